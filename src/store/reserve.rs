//! Some space that is kept for the day on which there is none left.
//!
//! The ways out of a full disk are `gc` and `rollback`, and both write a little
//! first: leases, a line of history. So a root holds some files that they give back
//! then. They are several: a quota may be one of files.

use std::io;
use std::path::PathBuf;

use fs_err as fs;

use super::layout::Root;

/// How many files are kept. A lease takes two while it is held.
const FILES: usize = 16;

/// The size of each, in bytes: a large block of a shared file system.
const SIZE: usize = 16 << 10;

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
        let lacking: Vec<PathBuf> = (0..FILES)
            .map(|number| folder.join(number.to_string()))
            .filter(|file| !file.exists())
            .collect();
        if lacking.is_empty() {
            return Ok(());
        }
        std::fs::create_dir_all(&folder)?;
        // What no file system can make smaller.
        let mut content = vec![0; SIZE];
        getrandom::fill(&mut content).map_err(|error| io::Error::other(error.to_string()))?;
        lacking
            .iter()
            .try_for_each(|file| fs::write(file, &content))
    }

    /// Gives the space back; tells whether there was any.
    pub fn spend_reserve(&self) -> bool {
        let files = (0..FILES).map(|number| self.reserve().join(number.to_string()));
        files.filter(|file| fs::remove_file(file).is_ok()).count() > 0
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
        root.fill_reserve();
        root.fill_reserve();
        assert_eq!(fs::read_dir(root.reserve()).unwrap().count(), FILES);
        assert!(root.spend_reserve());
        assert!(!root.spend_reserve());
        assert_eq!(fs::read_dir(root.reserve()).unwrap().count(), 0);
    }
}
