//! A root that a group shares: a folder that its group may write and that gives its
//! group to what is made in it (setgid), as `chmod 2775` makes it.
//!
//! What one member makes there, the others must be able to use, whatever that
//! member's umask says: the folder's mode is the group's will.

use std::os::unix::fs::MetadataExt as _;

use rustix::fs::{Access, Mode, access};

use super::error::StoreError;
use super::layout::Root;

/// The group's right to write, and the bit that hands the group on.
const OF_A_GROUP: u32 = 0o2020;

impl Root {
    /// The number of the group that shares this root.
    pub fn group(&self) -> Option<u32> {
        let metadata = self.path().metadata().ok()?;
        (metadata.is_dir() && metadata.mode() & OF_A_GROUP == OF_A_GROUP).then(|| metadata.gid())
    }

    /// Makes sure that this process may change a group's root, and that the group
    /// may use what it makes from now on. Any other root is nobody's business.
    pub fn join_group(&self) -> Result<(), StoreError> {
        let Some(group) = self.group() else {
            return Ok(());
        };
        if access(self.path(), Access::WRITE_OK) == Err(rustix::io::Errno::ACCESS) {
            return Err(StoreError::NotAMember {
                root: self.path().to_owned(),
                group,
            });
        }
        // The only way to read it is to set it.
        let umask = rustix::process::umask(Mode::RWXG | Mode::RWXO);
        rustix::process::umask(umask - Mode::RWXG);
        Ok(())
    }
}
