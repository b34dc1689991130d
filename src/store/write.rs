//! Files that are there whole or not at all.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
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

/// Writes a script that only its owner may read or run, in folders that only
/// the owner may enter; these are made if need be. One that is there already is
/// left alone: so it can be told also where nothing can be written.
pub fn write_private_script(path: &str, text: &str) -> Result<(), StoreError> {
    let path = Path::new(path);
    let mode = path
        .metadata()
        .map(|known| known.permissions().mode() & 0o777);
    let has_text = || std::fs::read(path).is_ok_and(|known| known == text.as_bytes());
    if mode.is_ok_and(|mode| mode == 0o700) && has_text() {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(StoreError::io("could not make", folder))?;
    }
    write_with_mode(path, text.as_bytes(), 0o700)
}

/// Writes a file so that it is there whole or not at all: a temporary file
/// beside it, flushed to disk, renamed over it.
fn write_with_mode(path: &Path, bytes: &[u8], mode: u32) -> Result<(), StoreError> {
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
