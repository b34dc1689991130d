//! A root that a group shares: a folder that its group may write and that gives its
//! group to what is made in it (setgid), as `chmod 2775` makes it.
//!
//! What one member makes there, the others must be able to use, whatever that
//! member's umask says: the folder's mode is the group's will.

mod members;

use std::os::unix::fs::MetadataExt as _;

use rustix::fs::{Access, Mode, access};

use super::error::StoreError;
use super::layout::Root;

pub use self::members::{Member, other_owner, user_name};

/// The group's right to write, and the bit that hands the group on.
const OF_A_GROUP: u32 = 0o2020;

impl Root {
    /// The number of the group that shares this root.
    pub fn group(&self) -> Option<u32> {
        let metadata = self.path().metadata().ok()?;
        (metadata.is_dir() && metadata.mode() & OF_A_GROUP == OF_A_GROUP).then(|| metadata.gid())
    }

    /// Makes sure that this process may change a group's root, and that the group
    /// may use what it makes for as long as the answer is kept. To any other root
    /// nothing is done.
    pub fn join_group(&self) -> Result<GroupsUmask, StoreError> {
        let Some(group) = self.group() else {
            return Ok(GroupsUmask(None));
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
        Ok(GroupsUmask(Some(umask)))
    }
}

/// While this is there, the process lets the group use what it makes. It is kept
/// for work in the root alone: what is made in the user's home is the user's.
#[derive(Debug)]
#[must_use = "the user's own umask is back when it goes"]
pub struct GroupsUmask(Option<Mode>);

impl Drop for GroupsUmask {
    fn drop(&mut self) {
        if let Some(umask) = self.0 {
            rustix::process::umask(umask);
        }
    }
}
