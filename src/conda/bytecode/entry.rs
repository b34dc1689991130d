//! The bytecode of one package for one Python, in the cache: files named by
//! their number, and a manifest of what they are. The folder appears by one
//! rename, whole.

use std::collections::BTreeSet;
use std::io;
use std::path::{Component, Path, PathBuf};

use fs_err as fs;
use rattler_conda_types::RepoDataRecord;
use sha2::{Digest as _, Sha256};

/// The file that lists an entry's files: in each line the SHA-256 and the path
/// below the prefix.
const MANIFEST: &str = "manifest";

/// A package's bytecode, there or not.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Its folder in the cache.
    folder: PathBuf,
    /// The package's file in `conda-meta`.
    pub(super) record: String,
}

impl Entry {
    /// The entry of a package; `None` if its content has no hash to go by.
    pub(super) fn of(folder: &Path, record: &RepoDataRecord) -> Option<Self> {
        let package = &record.package_record;
        let digest = match (&package.sha256, &package.md5) {
            (Some(sha256), _) => hex::encode(sha256),
            (None, Some(md5)) => hex::encode(md5),
            (None, None) => return None,
        };
        Some(Self {
            folder: folder.join(digest),
            record: format!(
                "{}-{}-{}.json",
                package.name.as_normalized(),
                package.version,
                package.build
            ),
        })
    }

    pub(super) fn is_there(&self) -> bool {
        self.folder.join(MANIFEST).exists()
    }

    /// Takes the files of a folder as this entry's, by one rename; `paths` says
    /// where they belong. Another process may have been quicker: as good.
    pub(super) fn take(&self, made: &Path, paths: &[String]) -> io::Result<()> {
        let mut manifest = String::new();
        for (number, path) in paths.iter().enumerate() {
            let digest = digest(&made.join(number.to_string()))?;
            manifest.extend([&digest, " ", path, "\n"]);
        }
        fs::write(made.join(MANIFEST), manifest)?;
        match fs::rename(made, &self.folder) {
            Err(_) if self.is_there() => fs::remove_dir_all(made),
            renamed => renamed,
        }
    }

    /// Removes the entry if a file of it is not what was made.
    pub(super) fn remove_if_damaged(&self) {
        let is_whole = || -> io::Result<bool> {
            let manifest = fs::read_to_string(self.folder.join(MANIFEST))?;
            for (number, (expected, _)) in lines(&manifest).enumerate() {
                if digest(&self.folder.join(number.to_string()))? != expected {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        if self.is_there() && !is_whole().unwrap_or(false) {
            tracing::debug!("bytecode {} is damaged", self.folder.display());
            // What stays is damaged still, and seen to be by the next who looks.
            drop(fs::remove_dir_all(&self.folder));
        }
    }

    /// Links the files to where Python looks for them in a prefix. Gives those
    /// that are there now, with their SHA-256.
    pub(super) fn link(
        &self,
        prefix: &Path,
        clobbered: &BTreeSet<PathBuf>,
    ) -> io::Result<Vec<(PathBuf, String)>> {
        let manifest = fs::read_to_string(self.folder.join(MANIFEST))?;
        let mut made = PathBuf::new();
        let mut linked = Vec::new();
        for (number, (digest, path)) in lines(&manifest).enumerate() {
            let path = Path::new(path);
            let inside = |part| matches!(part, Component::Normal(_));
            if !path.components().all(inside) || is_clobbered(path, clobbered) {
                continue;
            }
            let target = prefix.join(path);
            let folder = target.parent().unwrap_or(prefix);
            if folder != made {
                match fs::create_dir(folder) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(error);
                    }
                    _ => folder.clone_into(&mut made),
                }
            }
            let source = self.folder.join(number.to_string());
            match std::fs::hard_link(&source, &target) {
                Ok(()) => {}
                // A package's own.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                // Another file system, one without links, or too many of them.
                Err(_) => {
                    fs::copy(&source, &target)?;
                }
            }
            linked.push((path.to_owned(), digest.to_owned()));
        }
        Ok(linked)
    }
}

/// The lines of a manifest: digest and path.
fn lines(manifest: &str) -> impl Iterator<Item = (&str, &str)> {
    manifest.lines().filter_map(|line| line.split_once(' '))
}

fn digest(file: &Path) -> io::Result<String> {
    Ok(hex::encode(Sha256::digest(fs::read(file)?)))
}

/// Whether the source of a bytecode file is one that several packages bring.
fn is_clobbered(path: &Path, clobbered: &BTreeSet<PathBuf>) -> bool {
    if clobbered.is_empty() {
        return false;
    }
    let stem = path.file_name().and_then(|name| name.to_str());
    let stem = stem.and_then(|name| name.split('.').next());
    let folder = path.parent().and_then(Path::parent);
    match (folder, stem) {
        (Some(folder), Some(stem)) => clobbered.contains(&folder.join(format!("{stem}.py"))),
        _ => true,
    }
}
