//! Files that are there whole or not at all.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

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

/// Writes a file so that it is there whole or not at all: a temporary file
/// beside it, flushed to disk, renamed over it.
pub(super) fn write_with_mode(path: &Path, bytes: &[u8], mode: u32) -> Result<(), StoreError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(".envspec-new-")
            .permissions(std::fs::Permissions::from_mode(mode))
            .tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(StoreError::io("could not write", path))
}
