//! One change of an environment at a time.
//!
//! A lease is a file that only one process can create; it tells who holds it.
//! A holder of this machine that is no more is recognised at once, one on another
//! machine by the silence of its heartbeat (`heartbeat`), and the lease is taken
//! over. No two machines' clocks are ever compared, nor a file's times.
//!
//! A process that was only suspended may so lose its lease and wake up later. It
//! looks again ([`Lease::confirm`]) right before each act that others see. Between
//! that look and the act is an instant in which it could still be stopped: what it
//! then does is one rename to something whole.
//!
//! The trouble with a dead holder's lease is that two may find it at once, and
//! the slower one would throw out the living one that the quicker put there.
//! So the right to replace a dead lease is itself a lease, named after that
//! very lease's text, which no other ever has. Who holds it and still finds the
//! dead one in its place can replace it without fear: nobody else may. (Stopped
//! there for so long that its right expires, it may throw out a living one, which
//! notices as every holder does.) Should that one die too, its lease is taken over
//! in the same way. A living lease is never moved, not even for an instant. None of
//! this needs a lock of the file system's, which shared ones often lack.

mod gate;
mod heartbeat;
mod holder;
#[cfg(test)]
mod tests;
mod wait;
#[cfg(test)]
mod wait_tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

pub use self::gate::{pass_gate, shut_gate};
use self::heartbeat::{Heart, Rhythm, beat_path};
pub use self::holder::Asker;
pub(super) use self::holder::Holder;
pub use self::wait::Granted;
use super::error::StoreError;
use super::layout::Root;
use crate::spec::EnvName;

/// How often a lease is tried for that others give back or take over meanwhile.
const ATTEMPTS: usize = 16;

/// What a lease is called until it is whole.
pub(super) const NEW: &str = ".new-";

/// A lease's mode, whatever the umask says: who must not read it can't enter the root.
const READABLE: u32 = 0o644;

/// The right to change an environment, given back when dropped.
#[derive(Debug)]
pub struct Lease {
    path: PathBuf,
    /// What was written into it; no other lease has the same text.
    text: String,
    /// Shows others that this process lives. The right to replace a lease has
    /// none: it is held for an instant.
    heart: Option<Heart>,
}

impl Lease {
    /// Takes the lease of an environment, or tells who has it.
    pub fn take(root: &Root, name: &EnvName, asker: &Asker<'_>) -> Result<Self, StoreError> {
        let path = place(root, name)?;
        match take_file(path, &asker.holder(), Rhythm::default(), &BTreeSet::new())? {
            Taken::Mine(lease) => lease.beating(Rhythm::default()),
            Taken::Theirs(theirs) => Err(StoreError::Busy {
                environment: name.to_string(),
                holder: theirs.holder,
                path: theirs.path,
            }),
        }
    }

    /// Who has the leases below a root, by environment; without those who are known to
    /// be gone. Changes nothing.
    pub fn holders(root: &Root, asker: &Asker<'_>) -> BTreeMap<String, String> {
        let me = asker.holder();
        let entries = fs::read_dir(root.leases()).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                EnvName::new(&name)?;
                let text = read(&entry.path()).ok()??;
                let holder: Option<Holder> = serde_json::from_str(&text).ok();
                let is_gone = holder.is_some_and(|holder| holder.is_gone(&me));
                (!is_gone).then(|| (name, words(&text)))
            })
            .collect()
    }

    /// The same lease with a heartbeat.
    fn beating(mut self, rhythm: Rhythm) -> Result<Self, StoreError> {
        self.heart = Some(Heart::start(&self.path, &self.text, rhythm)?);
        Ok(self)
    }

    /// Makes sure that the lease is still this process's, which it may not be
    /// if the process was suspended. To be asked right before each act that others
    /// see.
    pub fn confirm(&self) -> Result<(), StoreError> {
        match read(&self.path)? {
            Some(text) if text == self.text => Ok(()),
            now => Err(self.overtaken(now.as_deref())),
        }
    }

    /// Waits until the lease is another's, which normally never happens.
    pub async fn lost(&self) -> StoreError {
        match &self.heart {
            Some(heart) => heart.lost().await,
            None => std::future::pending().await,
        }
        self.overtaken(read(&self.path).ok().flatten().as_deref())
    }

    fn overtaken(&self, now: Option<&str>) -> StoreError {
        StoreError::Overtaken {
            environment: self
                .path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            by: match now {
                Some(text) => format!("it is held by {}", words(text)),
                None => "who took it over is done by now, or it was removed".to_owned(),
            },
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // First, so that no beat is left of a lease that is not there.
        drop(self.heart.take());
        // Somebody may have taken it over, or removed it, and another taken it.
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
    Theirs(Theirs),
}

/// A lease that another holds.
struct Theirs {
    /// Who, where, since when.
    holder: String,
    /// The lease: the one that was asked for, or the right to replace it.
    path: PathBuf,
    /// Its text; `None` if it changed hands too often to tell.
    text: Option<String>,
    /// How long its holder may be silent.
    expires: Option<std::time::Duration>,
}

/// The lease of an environment; its folder is there afterwards.
fn place(root: &Root, name: &EnvName) -> Result<PathBuf, StoreError> {
    let folder = root.leases();
    fs::create_dir_all(&folder).map_err(StoreError::io("could not make", &folder))?;
    Ok(folder.join(name.as_str()))
}

/// Takes the lease that is a given file. `silent` are the texts of leases whose
/// holders were silent for too long.
fn take_file(
    path: PathBuf,
    me: &Holder,
    rhythm: Rhythm,
    silent: &BTreeSet<String>,
) -> Result<Taken, StoreError> {
    let text = Holder {
        expires_ms: Some(rhythm.expires_ms()),
        ..me.clone()
    }
    .new_lease()?;
    let mine = |path| {
        let heart = None;
        Ok(Taken::Mine(Lease {
            path,
            text: text.clone(),
            heart,
        }))
    };
    for _ in 0..ATTEMPTS {
        let Some(found) = read(&path)? else {
            match create_whole(&path, &text) {
                Ok(()) => return mine(path),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(StoreError::io("could not make", &path)(error)),
            }
        };
        if found == text {
            // The server did make it, and its answer was lost.
            return mine(path);
        }
        let holder = serde_json::from_str::<Holder>(&found).ok();
        let is_gone =
            silent.contains(&found) || holder.as_ref().is_some_and(|holder| holder.is_gone(me));
        if !is_gone {
            return Ok(Taken::Theirs(Theirs {
                holder: words(&found),
                path,
                // One without a name in it: its writer was killed in that instant.
                expires: holder.map_or(Some(rhythm.expires), |holder| holder.expires()),
                text: Some(found),
            }));
        }
        let right = right_to_replace(&path, &found);
        let _right = match take_file(right, me, rhythm, silent)? {
            Taken::Mine(right) => right,
            theirs @ Taken::Theirs(_) => return Ok(theirs),
        };
        // Another may have had the right before, used it and given it back.
        if read(&path)?.as_deref() == Some(&found) {
            replace(&path, &text).map_err(StoreError::io("could not take over", &path))?;
            // Nobody looks for the dead one's beat any more.
            drop(fs::remove_file(beat_path(&path, &found)));
            return mine(path);
        }
    }
    Ok(Taken::Theirs(Theirs {
        holder: "another process that was quicker".to_owned(),
        path,
        text: None,
        expires: None,
    }))
}

/// Makes a look into a folder a fresh one: some network file systems remember for up
/// to a minute what is not there, unless this machine changes the folder itself.
fn refresh(folder: &Path) -> Result<(), StoreError> {
    let made = tempfile::Builder::new().prefix(NEW).tempfile_in(folder);
    let made = made.and_then(NamedTempFile::close);
    made.map_err(StoreError::io("could not write into", folder))
}

/// Who holds a lease of this text.
fn words(text: &str) -> String {
    serde_json::from_str::<Holder>(text).map_or_else(
        |_| "another process".to_owned(),
        |holder| holder.to_string(),
    )
}

/// The lease that is the right to replace a dead one of this text. No
/// environment's name begins with a full stop.
pub(super) fn right_to_replace(path: &Path, text: &str) -> PathBuf {
    path.with_file_name(format!(".after-{}", digest(text)))
}

/// What tells a lease from every other in a file's name.
pub(super) fn digest(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..8])
}

/// What is in a lease; `None` if it is not there, or no more.
pub(super) fn read(path: &Path) -> Result<Option<String>, StoreError> {
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
/// nobody could take over before it was silent for long.
fn create_whole(path: &Path, text: &str) -> std::io::Result<()> {
    match written(path, text)?.persist_noclobber(path) {
        Ok(_file) => Ok(()),
        Err(refused) if refused.error.kind() == ErrorKind::AlreadyExists => Err(refused.error),
        // Neither a rename that replaces nothing nor hard links: an instant in which
        // it is empty can't be helped. Another trouble meets this one too.
        Err(_) => {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(path)?;
            let filled = file
                .set_permissions(std::fs::Permissions::from_mode(READABLE))
                .and_then(|()| file.write_all(text.as_bytes()));
            if filled.is_err() {
                drop(fs::remove_file(path));
            }
            filled
        }
    }
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
    let mut file = tempfile::Builder::new().prefix(NEW).tempfile_in(folder)?;
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(READABLE))?;
    file.write_all(text.as_bytes())?;
    Ok(file)
}
