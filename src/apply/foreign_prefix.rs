//! Reading a prefix that another tool made. Nothing in it is run, nothing of it is
//! trusted: files are bounded, and only plain files are opened.

use std::io;
use std::path::Path;

use fs_err as fs;

use super::error::ApplyError;
use super::spec_file::read_guarded;
use crate::lock::interchange::{DistInfo, PrefixContents};

/// The largest record that is read, in bytes: those of packages with a hundred thousand
/// files have 40 million.
const MAX_RECORD: usize = 128 * 1024 * 1024;

/// The largest history that is read.
const MAX_HISTORY: usize = 32 * 1024 * 1024;

/// How much of a Python package's metadata is read, whose headers come first, and of
/// conda's variables.
const MAX_METADATA: usize = 64 * 1024;

/// The most entries of a folder that are looked at.
const MAX_ENTRIES: usize = 50_000;

/// Reads what a prefix tells of itself.
///
/// # Errors
/// The folder is no prefix, or a record can't be read.
pub(super) fn read(prefix: &Path) -> Result<PrefixContents, ApplyError> {
    let meta = prefix.join("conda-meta");
    if !meta.is_dir() {
        let reason = io::Error::other("it has no conda-meta, so it is no prefix of conda");
        return Err(ApplyError::unreadable(prefix)(reason));
    }
    let mut contents = PrefixContents::default();
    for (name, path) in entries(&meta)? {
        if !name.to_lowercase().ends_with(".json") {
            continue;
        }
        let bytes = read_guarded(&path, MAX_RECORD).map_err(ApplyError::unreadable(&path))?;
        contents.records.push((name, bytes));
    }
    let history = meta.join("history");
    if history.is_file() {
        let bytes =
            read_guarded(&history, MAX_HISTORY).map_err(ApplyError::unreadable(&history))?;
        contents.history = Some(String::from_utf8_lossy(&bytes).into_owned());
    }
    for (file, text) in [
        ("state", &mut contents.state),
        ("pinned", &mut contents.pinned),
        ("pixi", &mut contents.pixi),
    ] {
        let file = meta.join(file);
        if file.is_file() {
            let bytes = read_guarded(&file, MAX_METADATA).map_err(ApplyError::unreadable(&file))?;
            *text = Some(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    // Windows has it elsewhere.
    let of_windows = "Lib/site-packages";
    let found = &mut contents.dist_infos;
    site_packages(&prefix.join(of_windows), of_windows, found)?;
    let lib = prefix.join("lib");
    for (name, path) in entries_if_there(&lib)? {
        // conda-forge's `python3.1` is a link to the real one.
        let is_link = path
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_symlink());
        if name.starts_with("python") && !is_link {
            let below = format!("lib/{name}/site-packages");
            site_packages(
                &path.join("site-packages"),
                &below,
                &mut contents.dist_infos,
            )?;
        }
    }
    Ok(contents)
}

/// What pip and its like left in a `site-packages`.
fn site_packages(folder: &Path, below: &str, found: &mut Vec<DistInfo>) -> Result<(), ApplyError> {
    for (name, path) in entries_if_there(folder)? {
        let metadata = if name.ends_with(".dist-info") {
            path.join("METADATA")
        } else if name.ends_with(".egg-info") && path.is_dir() {
            path.join("PKG-INFO")
        } else if name.ends_with(".egg-info") || name.ends_with(".egg-link") {
            path.clone()
        } else {
            continue;
        };
        let text = |path: &Path| {
            let bytes = read_guarded(path, MAX_METADATA).ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        };
        found.push(DistInfo {
            path: format!("{below}/{name}"),
            metadata: text(&metadata).unwrap_or_default(),
            direct_url: text(&path.join("direct_url.json")),
            installer: text(&path.join("INSTALLER")),
        });
    }
    Ok(())
}

/// The entries of a folder by name, in order.
fn entries(folder: &Path) -> Result<Vec<(String, std::path::PathBuf)>, ApplyError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(ApplyError::unreadable(folder))? {
        let entry = entry.map_err(ApplyError::unreadable(folder))?;
        found.push((
            entry.file_name().to_string_lossy().into_owned(),
            entry.path(),
        ));
        if found.len() > MAX_ENTRIES {
            let reason = io::Error::other("it has too many entries to be a prefix's");
            return Err(ApplyError::unreadable(folder)(reason));
        }
    }
    found.sort();
    Ok(found)
}

fn entries_if_there(folder: &Path) -> Result<Vec<(String, std::path::PathBuf)>, ApplyError> {
    if folder.is_dir() {
        entries(folder)
    } else {
        Ok(Vec::new())
    }
}
