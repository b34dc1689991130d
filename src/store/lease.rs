//! One change of an environment at a time.
//!
//! A lease is a file that only one process can create; it tells who holds it.
//! A holder of this machine that is no more is recognised by its process
//! number; one on another machine can't be judged from here and is believed.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::layout::Root;
use crate::spec::EnvName;

/// Who holds a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    by: String,
    host: String,
    pid: u32,
    since: String,
}

/// The right to change an environment, given back when dropped.
#[derive(Debug)]
pub struct Lease {
    path: PathBuf,
}

impl Lease {
    /// Takes the lease of an environment, or tells who has it. `by` is
    /// `user@host`, `host` this machine's name, `now` RFC 3339.
    pub fn take(
        root: &Root,
        name: &EnvName,
        by: &str,
        host: &str,
        now: &str,
    ) -> Result<Self, StoreError> {
        let folder = root.leases();
        fs::create_dir_all(&folder).map_err(StoreError::io("could not make", &folder))?;
        let path = folder.join(name.as_str());
        let holder = Holder {
            by: by.to_owned(),
            host: host.to_owned(),
            pid: std::process::id(),
            since: now.to_owned(),
        };
        let text = serde_json::to_string(&holder)
            .expect("a holder is plain text, which JSON can always hold");
        // Twice: the second time after a dead holder's lease was removed.
        for _ in 0..2 {
            match create_whole(&path, &text) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    let there = fs::read_to_string(&path).unwrap_or_default();
                    let known = serde_json::from_str::<Holder>(&there).ok();
                    if !known.as_ref().is_some_and(|known| is_gone(known, host)) {
                        let holder = known.map_or_else(
                            || "another process".to_owned(),
                            |known| {
                                format!(
                                    "{} (process {}) since {}",
                                    known.by, known.pid, known.since
                                )
                            },
                        );
                        return Err(StoreError::Busy {
                            environment: name.to_string(),
                            holder,
                            path,
                        });
                    }
                    fs::remove_file(&path).map_err(StoreError::io("could not take over", &path))?;
                }
                Err(error) => return Err(StoreError::io("could not make", &path)(error)),
            }
        }
        Err(StoreError::Busy {
            environment: name.to_string(),
            holder: "another process that was quicker".to_owned(),
            path,
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!("the lease could not be given back: {error}");
        }
    }
}

/// Creates a file that holds `text` from its first instant, or fails if there
/// is one. Whoever is killed here leaves no lease without a name in it, which
/// nobody could take over.
fn create_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().expect("a lease is in a folder");
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.persist_noclobber(path)
        .map_err(|refused| refused.error)?;
    Ok(())
}

/// Whether a holder of this machine has ended.
fn is_gone(holder: &Holder, host: &str) -> bool {
    holder.host == host
        && rustix::process::Pid::from_raw(holder.pid.cast_signed()).is_none_or(|pid| {
            rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
        })
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::{Holder, Lease};
    use crate::spec::EnvName;
    use crate::store::{Root, StoreError};

    const NOW: &str = "2026-01-01T00:00:00Z";

    fn take(root: &Root, host: &str) -> Result<Lease, StoreError> {
        let name = EnvName::new("lab").unwrap();
        Lease::take(root, &name, &format!("me@{host}"), host, NOW)
    }

    fn held_by(root: &Root, host: &str, pid: u32) {
        fs::create_dir_all(root.leases()).unwrap();
        let holder = Holder {
            by: format!("other@{host}"),
            host: host.to_owned(),
            pid,
            since: NOW.to_owned(),
        };
        let text = serde_json::to_string(&holder).unwrap();
        fs::write(root.leases().join("lab"), text).unwrap();
    }

    /// The number of a process that has ended and was waited for.
    fn dead_process() -> u32 {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id()
    }

    #[test]
    fn a_lease_is_held_once_and_given_back_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        let first = take(&root, "here").unwrap();
        let refused = take(&root, "here").unwrap_err().to_string();
        assert!(refused.contains("me@here"), "{refused}");
        assert!(refused.contains(NOW), "{refused}");
        drop(first);
        take(&root, "here").unwrap();
    }

    #[test]
    fn a_dead_holder_of_this_machine_is_recognised() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        held_by(&root, "here", dead_process());
        take(&root, "here").unwrap();
    }

    #[test]
    fn a_holder_of_another_machine_is_believed_whatever_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        held_by(&root, "there", dead_process());
        assert!(matches!(
            take(&root, "here").unwrap_err(),
            StoreError::Busy { .. }
        ));
    }
}
