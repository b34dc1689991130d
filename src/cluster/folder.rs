//! A folder of this process's own, which goes with it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{ChildStdin, Command};

use super::connection::{plain, spawn};
use super::error::ClusterError;

/// A folder that only the user may enter. It is removed when dropped, and by a
/// guard beside this process if that is killed.
#[derive(Debug)]
pub struct PrivateFolder {
    folder: TempDir,
    /// Until this is closed the guard waits. After the folder: one that was removed
    /// in order leaves it nothing to do.
    _guarded: Option<ChildStdin>,
}

impl PrivateFolder {
    /// Makes one.
    pub fn new(within: &Path) -> Result<Self, ClusterError> {
        // The default is what the user's umask leaves open.
        let folder = tempfile::Builder::new()
            .prefix("envspec-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(within)
            .map_err(|source| ClusterError::NoFolder { source })?;
        let guarded = guard(folder.path())?;
        Ok(Self {
            folder,
            _guarded: guarded,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Starts the guard of a folder.
fn guard(folder: &Path) -> Result<Option<ChildStdin>, ClusterError> {
    let mut command = Command::new("sh");
    command
        .args(["-c", include_str!("guard.sh"), "sh"])
        .arg(folder)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Ok(spawn(&mut command, "sh")?.stdin)
}

/// The folder for sockets: the user's own one for such things, else `/tmp`. A
/// socket's path is limited to some hundred bytes, and to characters that ssh's
/// config can hold.
pub fn sockets_folder(runtime: Option<PathBuf>) -> PathBuf {
    const LONGEST: usize = 50;
    runtime
        .filter(|path| path.is_dir() && plain(path) && path.as_os_str().len() <= LONGEST)
        .unwrap_or_else(|| PathBuf::from("/tmp"))
}
