//! One change of an environment at a time.
//!
//! A lease is a file that only one process can create; it tells who holds it.
//! A holder of this machine that is no more is recognised and its lease taken
//! over; one on another machine can't be judged from here and is believed, even
//! if it died: then a person removes the file. (A heartbeat could tell.)
//!
//! The trouble with a dead holder's lease is that two may find it at once, and
//! the slower one would throw out the living one that the quicker put there.
//! So the right to replace a dead lease is itself a lease, named after that
//! very lease's text, which no other ever has. Who holds it and still finds the
//! dead one in its place can replace it without fear: nobody else may. Should
//! that one die too, its lease is taken over in the same way. A living lease is
//! never moved, not even for an instant. None of this needs a lock of the file
//! system's, which shared ones often lack.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::error::StoreError;
use super::holder::Holder;
use super::layout::Root;
use crate::spec::EnvName;

/// How often a lease is tried for that others give back or take over meanwhile.
const ATTEMPTS: usize = 16;

/// The right to change an environment, given back when dropped.
#[derive(Debug)]
pub struct Lease {
    path: PathBuf,
    /// What was written into it; no other lease has the same text.
    text: String,
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
        let me = Holder::this_process(by, host, now);
        match take_file(folder.join(name.as_str()), &me)? {
            Taken::Mine(lease) => Ok(lease),
            Taken::Theirs { holder, path } => Err(StoreError::Busy {
                environment: name.to_string(),
                holder,
                path,
            }),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Somebody who was told to may have removed it, and another taken it.
        let is_mine = fs::read_to_string(&self.path).is_ok_and(|text| text == self.text);
        if !is_mine {
            tracing::debug!("the lease {} is another's by now", self.path.display());
        } else if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!("the lease could not be given back: {error}");
        }
    }
}

/// What came of trying for a lease.
enum Taken {
    Mine(Lease),
    Theirs { holder: String, path: PathBuf },
}

/// Takes the lease that is a given file.
fn take_file(path: PathBuf, me: &Holder) -> Result<Taken, StoreError> {
    let text = me.new_lease()?;
    for _ in 0..ATTEMPTS {
        match create_whole(&path, &text) {
            Ok(()) => return Ok(Taken::Mine(Lease { path, text })),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(StoreError::io("could not make", &path)(error)),
        }
        let Some(found) = read(&path)? else {
            continue;
        };
        let holder = serde_json::from_str::<Holder>(&found).ok();
        if !holder.as_ref().is_some_and(|holder| holder.is_gone(me)) {
            let holder =
                holder.map_or_else(|| "another process".to_owned(), |holder| holder.to_string());
            return Ok(Taken::Theirs { holder, path });
        }
        let _right = match take_file(right_to_replace(&path, &found), me)? {
            Taken::Mine(right) => right,
            theirs @ Taken::Theirs { .. } => return Ok(theirs),
        };
        // Another may have had the right before, used it and given it back.
        if read(&path)?.as_deref() == Some(&found) {
            replace(&path, &text).map_err(StoreError::io("could not take over", &path))?;
            return Ok(Taken::Mine(Lease { path, text }));
        }
    }
    let holder = "another process that was quicker".to_owned();
    Ok(Taken::Theirs { holder, path })
}

/// The lease that is the right to replace a dead one of this text. No
/// environment's name begins with a full stop.
pub(super) fn right_to_replace(path: &Path, text: &str) -> PathBuf {
    let digest = hex::encode(&Sha256::digest(text)[..8]);
    path.with_file_name(format!(".after-{digest}"))
}

/// What is in a lease; `None` if it is not there, or no more.
fn read(path: &Path) -> Result<Option<String>, StoreError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::StaleNetworkFileHandle
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(StoreError::io("could not read", path)(error)),
    }
}

/// Creates a file that holds `text` from its first instant, or fails if there
/// is one. Whoever is killed here leaves no lease without a name in it, which
/// nobody could take over.
fn create_whole(path: &Path, text: &str) -> std::io::Result<()> {
    written(path, text)?
        .persist_noclobber(path)
        .map_err(|refused| refused.error)?;
    Ok(())
}

/// Puts a file that holds `text` into another's place, by one rename.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    written(path, text)?
        .persist(path)
        .map_err(|refused| refused.error)?;
    Ok(())
}

/// A file that holds `text`, beside the place that it is meant for.
fn written(path: &Path, text: &str) -> std::io::Result<NamedTempFile> {
    let folder = path.parent().expect("a lease is in a folder");
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    Ok(file)
}
