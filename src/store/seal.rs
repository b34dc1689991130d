//! The end of a build: nobody can write into the prefix any more, what is in it
//! is on the disk, and the manifest tells what nobody else does.
//!
//! A package's files are told by `conda-meta`, with their hashes. The manifest
//! tells the rest: what was written for this prefix alone, the bytecode, and
//! where links lead.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fs_err as fs;
use rayon::prelude::*;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::error::StoreError;
use super::manifest::{Manifest, Thing};
use super::receipt::OWN;

/// What read permission is, for owner, group and others.
const READ: u32 = 0o444;

/// What write permission is, for owner, group and others.
const WRITE: u32 = 0o222;

/// Makes every file and folder of a prefix read-only, but those of the receipt,
/// which comes last, and gives the manifest.
///
/// Files that are hard-linked from the package cache become read-only there and
/// in every other generation too: they are the same files. `known` are the
/// digests that need not be computed.
pub fn seal(prefix: &Path, known: &BTreeMap<PathBuf, String>) -> Result<Manifest, StoreError> {
    let sealing = Sealing {
        prefix,
        known,
        uid: rustix::process::geteuid().as_raw(),
        found: Mutex::new(BTreeMap::new()),
    };
    sealing
        .folder(prefix)
        .map_err(StoreError::io("could not make read-only", prefix))?;
    let found = sealing.found.into_inner();
    Ok(Manifest::new(found.unwrap_or_else(PoisonError::into_inner)))
}

struct Sealing<'a> {
    prefix: &'a Path,
    known: &'a BTreeMap<PathBuf, String>,
    uid: u32,
    found: Mutex<BTreeMap<PathBuf, Thing>>,
}

impl Sealing<'_> {
    /// Seals a folder from below.
    fn folder(&self, folder: &Path) -> io::Result<()> {
        // rattler writes its records for their owner alone. Who may look into the folder
        // may read them: other tools and other users list packages by them.
        let readable = if folder.ends_with("conda-meta") {
            fs::metadata(folder)?.permissions().mode() & READ
        } else {
            0
        };
        let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
        entries.par_iter().try_for_each(|entry| {
            let path = entry.path();
            let kind = entry.file_type()?;
            if kind.is_dir() {
                let is_own = folder == self.prefix && entry.file_name() == OWN;
                return if is_own {
                    self.own(&path)
                } else {
                    self.folder(&path)
                };
            }
            let below = path.strip_prefix(self.prefix).unwrap_or(&path).to_owned();
            let thing = if kind.is_symlink() {
                Some(Thing::Link(fs::read_link(&path)?))
            } else {
                let metadata = entry.metadata()?;
                self.close(&path, &metadata, readable)?;
                match self.known.get(&below) {
                    Some(digest) => Some(Thing::File(digest.clone())),
                    None if metadata.nlink() == 1 => Some(Thing::File(digest(&path)?)),
                    None => None,
                }
            };
            if let Some(thing) = thing {
                let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
                found.insert(below, thing);
            }
            Ok(())
        })?;
        self.close(folder, &fs::metadata(folder)?, 0)
    }

    /// Seals the folders in the receipt's, which itself is still written to.
    fn own(&self, folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.folder(&entry.path())?;
            }
        }
        Ok(())
    }

    fn close(&self, path: &Path, metadata: &std::fs::Metadata, readable: u32) -> io::Result<()> {
        // Another's file, hard-linked from a cache that several share: theirs to
        // change, and not for us to write anyway.
        if metadata.uid() != self.uid && self.uid != 0 {
            return Ok(());
        }
        close(path, metadata, readable)
    }
}

/// Takes the write permission of a file or folder away, and adds what is given to who
/// may read it.
fn close(path: &Path, metadata: &std::fs::Metadata, readable: u32) -> io::Result<()> {
    let mode = metadata.permissions().mode() & 0o7777;
    let wanted = mode & !WRITE | readable;
    if mode == wanted {
        return Ok(());
    }
    fs::set_permissions(path, PermissionsExt::from_mode(wanted))
}

/// Makes everything below a folder as young as it can be: packages bring the times at
/// which they were built, and some sites delete what is old. Hard links of the same
/// files in the cache and in other generations become young with them.
pub fn renew(folder: &Path) -> Result<(), StoreError> {
    fn below(folder: &Path) -> io::Result<()> {
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        };
        let times = Timestamps {
            last_access: now,
            last_modification: now,
        };
        let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
        entries.par_iter().try_for_each(|entry| {
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                below(&path)?;
            }
            match utimensat(CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW) {
                // Another's file, hard-linked from a cache that several share.
                Err(Errno::PERM | Errno::ACCESS) | Ok(()) => Ok(()),
                Err(error) => Err(error.into()),
            }
        })
    }
    below(folder).map_err(StoreError::io("could not renew the times of", folder))
}

/// The SHA-256 of a file, as it is written everywhere.
pub fn digest(file: &Path) -> io::Result<String> {
    use io::Read as _;
    let mut file = fs::File::open(file)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// Makes a folder writable for its owner.
pub fn open_folder(folder: &Path) -> Result<(), StoreError> {
    let open = |metadata: std::fs::Metadata| {
        let mode = metadata.permissions().mode() & 0o7777;
        fs::set_permissions(folder, PermissionsExt::from_mode(mode | 0o200))
    };
    let opened = fs::metadata(folder).and_then(open);
    opened.map_err(StoreError::io("could not make writable", folder))
}

/// Makes a folder read-only with the files in it, and nothing below.
pub fn close_folder(folder: &Path) -> Result<(), StoreError> {
    close_files(folder).map_err(StoreError::io("could not make read-only", folder))
}

fn close_files(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            close(&entry.path(), &entry.metadata()?, 0)?;
        }
    }
    close(folder, &fs::metadata(folder)?, 0)
}

/// Waits until what was written to a prefix's file system is on the disk, so
/// that a receipt which says that it is whole never outlives a power cut alone.
///
/// One call for all: a flush for each file costs more than all the linking.
/// Elsewhere than on Linux there is no such call.
pub fn flush(prefix: &Path) -> Result<(), StoreError> {
    #[cfg(target_os = "linux")]
    fs::File::open(prefix)
        .and_then(|folder| Ok(rustix::fs::syncfs(folder)?))
        .map_err(StoreError::io("could not write to the disk", prefix))?;
    #[cfg(not(target_os = "linux"))]
    let _nothing_to_call = prefix;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt;

    use fs_err as fs;

    use super::seal;
    use crate::store::manifest::Thing;

    #[test]
    fn sealing_closes_everything_and_tells_what_is_only_here() {
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path().join("lab-1");
        fs::create_dir_all(prefix.join("a/b")).unwrap();
        fs::create_dir_all(prefix.join(".envspec/nix")).unwrap();
        fs_err::os::unix::fs::symlink("/nix/x", prefix.join(".envspec/nix/k")).unwrap();
        fs::write(folder.path().join("cached"), "of a package").unwrap();
        fs::hard_link(folder.path().join("cached"), prefix.join("a/shared")).unwrap();
        fs::write(prefix.join("a/b/own"), "").unwrap();
        fs::set_permissions(prefix.join("a/b/own"), PermissionsExt::from_mode(0o775)).unwrap();
        fs_err::os::unix::fs::symlink("b/own", prefix.join("a/link")).unwrap();
        let manifest = seal(&prefix, &BTreeMap::new()).unwrap();

        let mode = |path: &str| {
            fs::metadata(prefix.join(path))
                .unwrap()
                .permissions()
                .mode()
        };
        for path in ["", "a", "a/b", "a/shared", "a/b/own", ".envspec/nix"] {
            assert_eq!(mode(path) & 0o222, 0, "{path} can be written");
        }
        assert_eq!(mode("a/b/own") & 0o7777, 0o555);
        assert_ne!(mode(".envspec") & 0o200, 0, "the receipt is still to come");
        let cached = fs::metadata(folder.path().join("cached")).unwrap();
        assert_eq!(cached.permissions().mode() & 0o222, 0);
        let told: Vec<_> = manifest.iter().collect();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(told.len(), 3, "{told:?}");
        assert_eq!(told[0].0.to_str(), Some(".envspec/nix/k"));
        assert_eq!(*told[0].1, Thing::Link("/nix/x".into()));
        assert_eq!(told[1].0.to_str(), Some("a/b/own"));
        assert_eq!(*told[1].1, Thing::File(empty.to_owned()));
        assert_eq!(*told[2].1, Thing::Link("b/own".into()));
    }
}
