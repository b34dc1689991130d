//! What members of a group have of their own in the root that they share: the files
//! of their sessions, and the word which generations their kernels run from.
//!
//! A member's folder is named by the user's number, so that the scripts of sessions
//! (`src/session/root.sh`) find the same one. The group may look into it, so that
//! whoever collects knows what others use; tokens are in folders below that which
//! only their owner may enter.

use std::collections::BTreeSet;
use std::fs::{Metadata, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fs_err as fs;

use crate::store::Root;
use crate::store::StoreError;
use crate::store::sessions::start_scripts;
use crate::store::write::write_with_mode;

/// All may add a folder, none touch another's; the group is handed on.
const MEMBERS: u32 = 0o3770;

/// The owner writes, the group looks.
const OWN: u32 = 0o750;

/// How long a start script counts as one of a session: whether another member's job
/// waits or runs is often kept from others. Longer than jobs may run nearly
/// everywhere.
const SESSION_FOR: Duration = Duration::from_hours(30 * 24);

/// Another member of the group, as far as it matters to who collects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The user's name, or the number if it has none here.
    pub name: String,
    /// The generations that kernels or sessions may run from.
    pub generations: BTreeSet<String>,
}

impl Root {
    fn members(&self) -> PathBuf {
        self.path().join("members")
    }

    /// The folder of what is the user's own: the root itself, or in a group's root
    /// the member's.
    pub(in crate::store) fn own(&self) -> PathBuf {
        let user = rustix::process::getuid().as_raw().to_string();
        self.group()
            .map_or_else(|| self.path().to_owned(), |_| self.members().join(user))
    }

    /// Writes a script that starts a session of the user's: readable for nobody
    /// else, in a group's root for the group. One that is there already is left
    /// alone: so it can be told also where nothing can be written.
    pub fn write_start_script(&self, path: &Path, text: &str) -> Result<(), StoreError> {
        let is_groups = self.group().is_some();
        let mode = if is_groups { OWN } else { 0o700 };
        // In a group's root another member may have made a folder of that name.
        let is_own = !is_groups || self.own().symlink_metadata().is_ok_and(|own| is_mine(&own));
        let is_there = is_own
            && path
                .metadata()
                .is_ok_and(|known| known.mode() & 0o777 == mode)
            && fs::read(path).is_ok_and(|known| known == text.as_bytes());
        if is_there {
            // By its age the group knows that a session may start from it. Where that
            // can't be written no session can start.
            drop(fs::File::open(path).and_then(|file| file.file().set_modified(SystemTime::now())));
            return Ok(());
        }
        let _umask = self.join_group()?;
        if is_groups {
            self.make_own()?;
        } else {
            let root = self.path();
            std::fs::create_dir_all(root).map_err(StoreError::io("could not make", root))?;
        }
        make(&self.sessions(), mode)?;
        make(path.parent().unwrap_or(path), mode)?;
        write_with_mode(path, text.as_bytes(), mode)
    }

    /// Tells the group whose root this is which generations the user's registered
    /// kernels run from.
    pub fn tell_kernels(&self, generations: &BTreeSet<String>) -> Result<(), StoreError> {
        let _umask = self.join_group()?;
        self.make_own()?;
        let lines: String = generations.iter().flat_map(|name| [name, "\n"]).collect();
        write_with_mode(&kernels(&self.own()), lines.as_bytes(), 0o640)
    }

    /// The other members of the group that this root belongs to.
    pub fn other_members(&self) -> Vec<Member> {
        let own = self.own();
        let folders = fs::read_dir(self.members()).into_iter().flatten().flatten();
        folders
            .map(|entry| entry.path())
            .filter(|folder| *folder != own)
            .filter_map(|folder| member(&folder))
            .collect()
    }

    fn make_own(&self) -> Result<(), StoreError> {
        let members = self.members();
        let made = std::fs::create_dir(&members);
        let mine = || {
            members
                .symlink_metadata()
                .is_ok_and(|found| is_mine(&found))
        };
        if made.is_ok() || mine() {
            // Also if the one who made it was killed before this.
            set_mode(&members, MEMBERS)?;
        }
        make(&self.own(), OWN)
    }
}

/// The other user whose folder this is, if it is one: a generation is read-only,
/// and only its owner can change that to delete it.
pub fn other_owner(folder: &Path) -> Option<String> {
    let me = rustix::process::geteuid();
    let owner = folder.symlink_metadata().ok()?.uid();
    (!me.is_root() && owner != me.as_raw()).then(|| name_or_number(owner))
}

/// The name of a user, if this machine knows one.
pub fn user_name(number: u32) -> Option<String> {
    let user = nix::unistd::User::from_uid(number.into()).ok().flatten();
    user.map(|user| user.name)
}

fn name_or_number(number: u32) -> String {
    user_name(number).unwrap_or_else(|| number.to_string())
}

fn is_mine(found: &Metadata) -> bool {
    found.is_dir() && found.uid() == rustix::process::geteuid().as_raw()
}

/// Makes a folder and gives it its mode. One that is there must be the user's own, and
/// no link: another member may have put it there.
fn make(folder: &Path, mode: u32) -> Result<(), StoreError> {
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(StoreError::io("could not make", folder)(error));
        }
        _ => {}
    }
    let found = folder.symlink_metadata();
    let found = found.map_err(StoreError::io("could not read", folder))?;
    if is_mine(&found) {
        set_mode(folder, mode)
    } else {
        Err(StoreError::NotYours {
            folder: folder.to_owned(),
        })
    }
}

fn set_mode(folder: &Path, mode: u32) -> Result<(), StoreError> {
    let set = || {
        // On a folder that hands its group on, this bit stays if it is not named.
        let handed_on = folder.symlink_metadata()?.mode() & 0o2000;
        std::fs::set_permissions(folder, Permissions::from_mode(mode | handed_on))
    };
    set().map_err(StoreError::io("could not set the mode of", folder))
}

fn kernels(own: &Path) -> PathBuf {
    own.join("kernels")
}

fn member(folder: &Path) -> Option<Member> {
    let number: u32 = folder.file_name()?.to_str()?.parse().ok()?;
    let told = fs::read_to_string(kernels(folder)).unwrap_or_default();
    let mut generations: BTreeSet<String> = told.lines().map(str::to_owned).collect();
    let scripts = start_scripts(&folder.join("sessions")).into_iter();
    let young = scripts.filter(|script| script.idle < SESSION_FOR);
    generations.extend(young.filter_map(|script| script.generation));
    Some(Member {
        name: name_or_number(number),
        generations,
    })
}
