//! Files that are there whole or not at all.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::NamedTempFile;

use super::error::StoreError;

/// Writes a file as [`write_with_mode`] does. One that is there keeps its mode;
/// a link is followed, so that what it leads to is written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mode = target
        .metadata()
        .map_or(0o644, |metadata| metadata.permissions().mode() & 0o777);
    write_with_mode(&target, bytes, mode)
}

/// The same in a folder that may have to be made.
pub fn write_whole_below(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder).map_err(StoreError::io("could not make", folder))?;
    }
    write_whole(path, bytes)
}

/// Writes files that belong together, in folders that may have to be made: all of them are
/// on the disk before the first gets its name, so that a full disk leaves what was there.
///
/// `over` is whether files that are there may be written over; else one that came in
/// between is left alone.
pub fn write_together(files: &[(&Path, &[u8])], over: Over) -> Result<(), StoreError> {
    let mut staged = Vec::new();
    for (path, bytes) in files {
        let target = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let mode = target
            .metadata()
            .map_or(0o644, |metadata| metadata.permissions().mode() & 0o777);
        if let Some(folder) = target.parent() {
            fs_err::create_dir_all(folder).map_err(StoreError::io("could not make", folder))?;
        }
        let file = stage(&target, bytes, mode).map_err(StoreError::io("could not write", path))?;
        staged.push((file, target, *path));
    }
    for (file, target, path) in staged {
        let named = match over {
            Over::Allowed => file.persist(&target),
            Over::Refused => match file.persist_noclobber(&target) {
                // A file system may have no way to name a file without a look before.
                Err(failed) if failed.error.kind() != ErrorKind::AlreadyExists => {
                    failed.file.persist(&target)
                }
                other => other,
            },
        };
        named.map_err(|error| StoreError::io("could not write", path)(error.error))?;
    }
    Ok(())
}

/// Whether files that are there may be written over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// They may.
    Allowed,
    /// They may not.
    Refused,
}

/// Writes a file so that it is there whole or not at all: a temporary file
/// beside it, flushed to disk, renamed over it.
pub(super) fn write_with_mode(path: &Path, bytes: &[u8], mode: u32) -> Result<(), StoreError> {
    let write = || -> std::io::Result<()> {
        let file = stage(path, bytes, mode)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(StoreError::io("could not write", path))
}

/// A temporary file beside a path with what is to be there, flushed to disk.
fn stage(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".envspec-new-")
        .permissions(std::fs::Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}
