//! The sources of a flake in a folder, by which a lock knows whether it is stale.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use sha2::{Digest as _, Sha256};

use super::error::NixError;

/// How many files and folders a flake's folder may have. Each command looks at all of
/// them, on a network file system too.
const ENTRIES: usize = 20_000;

/// How many bytes its sources may have together.
const BYTES: u64 = 16 * 1024 * 1024;

/// The digest of a flake's sources: each Nix file and each `flake.lock` below its folder
/// with its path. `None` if there are none. (Not all files: the folder may be that of
/// the spec, whose lock this goes into.)
pub(super) fn sources(kernel: &str, folder: &Path) -> Result<Option<String>, NixError> {
    sources_within(kernel, folder, ENTRIES, BYTES)
}

fn sources_within(
    kernel: &str,
    folder: &Path,
    entries: usize,
    bytes: u64,
) -> Result<Option<String>, NixError> {
    let mut walk = Walk {
        digest: Sha256::new(),
        found: 0,
        entries,
        bytes,
    };
    let walked = walk.folder(folder, Path::new(""));
    walked.map_err(|stop| match stop {
        Stop::Failed(path, source) => NixError::Sources {
            kernel: kernel.to_owned(),
            path,
            source,
        },
        Stop::TooMany(what) => NixError::TooManySources {
            kernel: kernel.to_owned(),
            folder: folder.to_owned(),
            what: match what {
                Bound::Entries => format!("more than {entries} files and folders"),
                Bound::Bytes => format!("Nix files of more than {} KiB", bytes / 1024),
            },
        },
    })?;
    let digest = walk.digest.finalize();
    // Half of it tells enough: the lock of one kernel is compared with its own.
    Ok((walk.found > 0).then(|| hex::encode(&digest[..16])))
}

/// Why a walk ended early.
enum Stop {
    Failed(PathBuf, io::Error),
    TooMany(Bound),
}

/// What is bounded.
enum Bound {
    Entries,
    Bytes,
}

/// A walk through a flake's folder, and what it may still look at.
struct Walk {
    digest: Sha256,
    found: usize,
    entries: usize,
    bytes: u64,
}

impl Walk {
    /// What is not there, or not any more, is no source.
    fn folder(&mut self, folder: &Path, below: &Path) -> Result<(), Stop> {
        let failed = |error| Stop::Failed(folder.to_owned(), error);
        let listed = match fs::read_dir(folder) {
            Err(error) if is_absent(&error) => return Ok(()),
            listed => listed.map_err(failed)?,
        };
        let mut entries: Vec<(OsString, fs::DirEntry)> = Vec::new();
        for entry in listed {
            let Some(left) = self.entries.checked_sub(1) else {
                return Err(Stop::TooMany(Bound::Entries));
            };
            self.entries = left;
            let entry = entry.map_err(failed)?;
            entries.push((entry.file_name(), entry));
        }
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (name, entry) in entries {
            let path = entry.path();
            let kind = match entry.file_type() {
                Err(error) if is_absent(&error) => continue,
                kind => kind.map_err(|error| Stop::Failed(path.clone(), error))?,
            };
            let below = below.join(&name);
            if kind.is_dir() && !name.to_string_lossy().starts_with('.') {
                self.folder(&path, &below)?;
            }
            let is_source =
                name == "flake.lock" || below.extension().is_some_and(|end| end == "nix");
            if kind.is_file() && is_source {
                self.source(&path, &below)?;
            }
        }
        Ok(())
    }

    fn source(&mut self, path: &Path, below: &Path) -> Result<(), Stop> {
        let mut content = Vec::new();
        let read = fs::File::open(path)
            .and_then(|file| file.take(self.bytes + 1).read_to_end(&mut content));
        match read {
            Err(error) if is_absent(&error) => return Ok(()),
            read => read.map_err(|error| Stop::Failed(path.to_owned(), error))?,
        };
        let Some(left) = self.bytes.checked_sub(content.len() as u64) else {
            return Err(Stop::TooMany(Bound::Bytes));
        };
        self.bytes = left;
        for part in [below.as_os_str().as_encoded_bytes(), &content] {
            self.digest.update((part.len() as u64).to_le_bytes());
            self.digest.update(part);
        }
        self.found += 1;
        Ok(())
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::path::Path;

    use fs_err as fs;
    use rustix::fs::{Mode, OFlags, mkdirat, openat};

    use super::{NixError, sources, sources_within};

    fn digest(folder: &Path) -> Option<String> {
        sources("k", folder).unwrap()
    }

    #[test]
    fn the_digest_of_a_flake_follows_its_sources_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            digest(folder.path())
        };
        assert_eq!(digest(folder.path()), None);
        assert_eq!(digest(&folder.path().join("nothing")), None);
        let first = write("flake.nix", "{}");
        // Locks that are there hold it.
        assert_eq!(first.as_deref(), Some("1f204bb354bfec4e618090175eaa34b6"));
        assert_eq!(write("lab.lock", "x"), first);
        assert_eq!(write(".git/x.nix", "x"), first);
        let second = write("a/b.nix", "1");
        assert_ne!(second, first);
        let third = write("a/b.nix", "2");
        assert_ne!(third, second);
        assert_ne!(write("flake.lock", "{}"), third);
    }

    #[test]
    fn a_folder_with_more_than_a_flake_has_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        for name in ["a/a.nix", "a/b.nix", "c"] {
            fs::write(folder.path().join(name), "12345").unwrap();
        }
        let within = |entries, bytes| sources_within("k", folder.path(), entries, bytes);
        let whole = digest(folder.path());
        assert_eq!(within(4, 10).unwrap(), whole);
        for (entries, bytes, wanted) in [(3, 10, "more than 3 files"), (4, 9, "Nix files")] {
            match within(entries, bytes) {
                Err(NixError::TooManySources {
                    folder: told, what, ..
                }) => {
                    assert_eq!(told, folder.path());
                    assert!(what.starts_with(wanted), "{what}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_no_flake_without_sources() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("flake.nix"), "{}").unwrap();
        // The system has no name for what is so deep; root may read all else.
        let name = "d".repeat(250);
        let mut at: OwnedFd = fs::File::open(folder.path()).unwrap().into_parts().0.into();
        for _ in 0..20 {
            mkdirat(&at, &name, Mode::RWXU).unwrap();
            at = openat(&at, &name, OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        match sources("k", folder.path()) {
            Err(NixError::Sources { path, .. }) => assert!(path.starts_with(folder.path())),
            other => panic!("{other:?}"),
        }
    }
}
