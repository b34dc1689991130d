//! Entries of a package cache, as rattler writes and believes them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rattler_conda_types::RepoDataRecord;
use rattler_conda_types::package::{PathType, PathsJson};
use rayon::prelude::*;

/// The hash in an entry's note follows a number of eight bytes.
const HASH: std::ops::Range<usize> = 8..40;

/// Lets whole entries of a run's own folder enter the cache, each by one rename.
pub(super) fn enter(from: &Path, cache: &Path) -> std::io::Result<()> {
    let entries = match fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    for name in names {
        let made = from.join(&name);
        let hidden = name.to_string_lossy().starts_with('.');
        // The note gets its hash last.
        let Some(hash_of_made) = hash(&made).filter(|_| !hidden && made.is_dir()) else {
            continue;
        };
        close(&made)?;
        let target = cache.join(&name);
        if target.symlink_metadata().is_ok() {
            if hash(&target) == Some(hash_of_made) && is_whole(&target) {
                continue;
            }
            // Without a note it is not believed: killed here, it is fetched again.
            remove_if_there(&note(&target))?;
            let aside = from.join(format!(".old-{}", name.to_string_lossy()));
            match fs::rename(&target, aside) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        match fs::rename(&made, &target) {
            Ok(()) => fs::rename(note(&made), note(&target))?,
            // Another run was quicker. This one links from its own.
            Err(_) if target.is_dir() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Takes the right to write away from every file of an entry: generations share them.
/// Its folders can be written still, so that a group can delete it.
fn close(folder: &Path) -> std::io::Result<()> {
    let entries = fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    entries.par_iter().try_for_each(|entry| {
        let kind = entry.file_type()?;
        if kind.is_dir() {
            return close(&entry.path());
        }
        if kind.is_file() {
            let mode = entry.metadata()?.permissions().mode() & 0o7777;
            if mode & 0o222 != 0 {
                let closed = std::fs::Permissions::from_mode(mode & !0o222);
                fs::set_permissions(entry.path(), closed)?;
            }
        }
        Ok(())
    })
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The name of a package's folder, as the installer will look for it.
pub(in crate::conda) fn entry_name(record: &RepoDataRecord) -> String {
    let package = &record.package_record;
    format!(
        "{}-{}-{}",
        package.name.as_normalized(),
        package.version,
        package.build
    )
}

/// The note beside an entry: a count and the archive's hash.
fn note(entry: &Path) -> PathBuf {
    let mut path = entry.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

/// The hash of the archive that an entry was unpacked from.
pub(super) fn hash(entry: &Path) -> Option<Vec<u8>> {
    let bytes = fs::read(note(entry)).ok()?;
    bytes.get(HASH).map(<[u8]>::to_owned)
}

/// Whether an entry is what a record names, by its hash.
pub(in crate::conda) fn is_entry_of(entry: &Path, record: &RepoDataRecord) -> bool {
    let wanted = record.package_record.sha256;
    entry.is_dir() && wanted.is_none_or(|wanted| hash(entry).as_deref() == Some(&wanted[..]))
}

/// Whether all files of an entry are there in their full length.
fn is_whole(entry: &Path) -> bool {
    whole(entry).is_some()
}

/// The paths of an entry whose files are all there in their full length.
pub(super) fn whole(entry: &Path) -> Option<PathsJson> {
    let paths = PathsJson::from_package_directory_with_deprecated_fallback(entry).ok()?;
    let is_whole = paths.paths.par_iter().with_min_len(200).all(|file| {
        let path = entry.join(&file.relative_path);
        match file.path_type {
            PathType::HardLink => path.metadata().is_ok_and(|found| {
                found.is_file() && file.size_in_bytes.is_none_or(|size| size == found.len())
            }),
            PathType::SoftLink => path.is_symlink(),
            PathType::Directory => path.is_dir(),
        }
    });
    is_whole.then_some(paths)
}
