//! Some space that is kept for the day on which there is none left.
//!
//! The ways out of a full disk are `gc` and `rollback`, and both write a little
//! first: leases, a line of history. So a root holds some files that they give back
//! then. They are several: a quota may be one of files.

use std::io;
use std::path::PathBuf;

use fs_err as fs;

use super::layout::Root;

/// Files for the gate, for a history, and for what else is written.
const FILES: usize = 8;

/// A lease is a file and its heartbeat, and who collects holds that of every
/// environment.
const FILES_OF_A_LEASE: usize = 2;

/// The size of each file, in bytes: more than a lease has, and a block or two of most
/// file systems.
const SIZE: u64 = 8 << 10;

impl Root {
    fn reserve(&self) -> PathBuf {
        self.path().join("reserve")
    }

    /// Sets the space aside, as far as there is any and it is not set aside already.
    pub fn fill_reserve(&self) {
        if let Err(error) = self.try_fill() {
            tracing::debug!("nothing is kept for a full disk: {error}");
        }
    }

    fn try_fill(&self) -> io::Result<()> {
        let folder = self.reserve();
        let environments = fs::read_dir(self.environments()).map_or(0, Iterator::count);
        let is_lacking = |file: &PathBuf| file.metadata().map_or(0, |found| found.len()) < SIZE;
        let lacking: Vec<PathBuf> = (0..FILES + FILES_OF_A_LEASE * environments)
            .map(|number| folder.join(number.to_string()))
            .filter(is_lacking)
            .collect();
        if lacking.is_empty() {
            return Ok(());
        }
        // Not the root: where there is none, nothing is kept.
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // What no file system can make smaller.
        let mut content = vec![0; SIZE.try_into().unwrap_or_default()];
        getrandom::fill(&mut content).map_err(|error| io::Error::other(error.to_string()))?;
        for file in lacking {
            if let Err(error) = fs::write(&file, &content) {
                // What is cut short gives nothing back.
                drop(fs::remove_file(&file));
                return Err(error);
            }
        }
        Ok(())
    }

    /// Gives the space back; tells whether there was any.
    pub fn spend_reserve(&self) -> bool {
        let entries = fs::read_dir(self.reserve()).into_iter().flatten().flatten();
        let files = entries.filter(|entry| {
            let name = entry.file_name();
            name.to_str()
                .is_some_and(|name| name.parse::<usize>().is_ok())
        });
        files
            .filter(|file| fs::remove_file(file.path()).is_ok())
            .count()
            > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_is_given_back_once() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        assert!(!root.spend_reserve());
        fs::create_dir_all(root.environments().join("lab")).unwrap();
        root.fill_reserve();
        let sizes = || -> Vec<u64> {
            let entries = fs::read_dir(root.reserve()).unwrap();
            entries
                .map(|entry| entry.unwrap().metadata().unwrap().len())
                .collect()
        };
        assert_eq!(sizes(), [SIZE; FILES + FILES_OF_A_LEASE]);
        // Cut short when there was no space.
        fs::write(root.reserve().join("3"), "").unwrap();
        root.fill_reserve();
        assert_eq!(sizes(), [SIZE; FILES + FILES_OF_A_LEASE]);
        assert!(root.spend_reserve());
        assert!(!root.spend_reserve());
        assert_eq!(fs::read_dir(root.reserve()).unwrap().count(), 0);
    }
}
