//! The folder of indexes, if it can be used without waiting for ever.
//!
//! rattler locks an index's file while it renews it, and waits for that lock
//! without an end. A node that died with it must not stop all others: the files
//! are tried first, for a while. Where a file system has no locks at all, it does
//! not even begin.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long another may take to renew an index.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder for indexes.
pub(super) struct IndexFolder {
    path: PathBuf,
    /// Where the usual one can't be had: one for this run, gone with it.
    own: Option<TempDir>,
}

impl IndexFolder {
    /// `usual`, or a new one if a file there stays locked, or can't be.
    pub(super) fn of(usual: &Path) -> Self {
        Self::within(usual, PATIENCE)
    }

    fn within(usual: &Path, patience: Duration) -> Self {
        let path = usual.to_owned();
        let deadline = Instant::now() + patience;
        if has_locks(usual) && locks(usual).iter().all(|file| is_free(file, deadline)) {
            return Self { path, own: None };
        }
        tracing::warn!(
            "the index {} can't be locked and is left alone",
            path.display()
        );
        match tempfile::Builder::new().prefix("envspec-index-").tempdir() {
            Ok(own) => Self {
                path,
                own: Some(own),
            },
            Err(_) => Self { path, own: None },
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.own.as_ref().map_or(&self.path, TempDir::path)
    }
}

/// Whether files can be locked in a folder, or where it is still to be made. One that
/// can't be written into is rattler's to tell.
fn has_locks(folder: &Path) -> bool {
    let there = folder.ancestors().find(|folder| folder.is_dir());
    let made = there.map(tempfile::tempfile_in).and_then(Result::ok);
    made.is_none_or(|file| file.try_lock().is_ok())
}

/// The files below a folder that rattler may lock.
fn locks(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            // The parts of an index are not locked, and they are many.
            if name.contains("shards-cache") {
                continue;
            }
            found.extend(locks(&path));
        } else if name.ends_with(".lock") || name.contains("shards-cache") {
            found.push(path);
        }
    }
    found
}

/// Whether a file's lock can be had before the deadline.
fn is_free(path: &Path, deadline: Instant) -> bool {
    use std::fs::TryLockError;
    let Ok(file) = std::fs::File::options().read(true).write(true).open(path) else {
        return !path.exists();
    };
    loop {
        match file.try_lock() {
            Ok(()) => return true,
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::IndexFolder;

    #[test]
    fn an_index_that_stays_locked_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("noarch");
        std::fs::create_dir(&inner).unwrap();
        let lock = std::fs::File::create(inner.join("abc.lock")).unwrap();
        let patience = Duration::from_millis(100);
        let usual = IndexFolder::within(folder.path(), patience);
        assert_eq!(usual.path(), folder.path());
        lock.lock().unwrap();
        let other = IndexFolder::within(folder.path(), patience);
        assert_ne!(other.path(), folder.path());
        assert!(other.path().is_dir());
    }

    #[test]
    fn an_index_whose_lock_is_given_back_in_time_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let lock = std::fs::File::create(folder.path().join("abc.lock")).unwrap();
        lock.lock().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(100));
                lock.unlock().unwrap();
            });
            let usual = IndexFolder::within(folder.path(), Duration::from_mins(1));
            assert_eq!(usual.path(), folder.path());
        });
    }
}
