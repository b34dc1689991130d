//! The files of a folder that a package is built of: those that git would keep.
//!
//! They decide by their hash whether a lock still belongs to the spec, and a copy of them is
//! what is built: nothing is written into the user's own folder.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use sha2::{Digest as _, Sha256};

/// The files below a folder, sorted: none that a `.gitignore` names, and none of `but`.
fn files(folder: &Path, but: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let folder = &folder.canonicalize()?;
    let but: Vec<PathBuf> = but
        .iter()
        .filter_map(|path| path.canonicalize().ok())
        .collect();
    let walk = ignore::WalkBuilder::new(folder)
        .hidden(false)
        .ignore(false)
        .git_global(false)
        .git_exclude(false)
        .require_git(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build();
    let mut files = Vec::new();
    for entry in walk {
        let entry = entry.map_err(io::Error::other)?;
        let is_folder = entry.file_type().is_none_or(|kind| kind.is_dir());
        if !is_folder && !but.iter().any(|path| path == entry.path()) {
            let below = entry.path().strip_prefix(folder);
            files.push(below.map_err(io::Error::other)?.to_owned());
        }
    }
    files.sort();
    Ok(files)
}

/// The SHA-256 of the files of a folder: of their paths, whether they can be run, and what
/// they hold.
pub(super) fn digest(folder: &Path, but: &[PathBuf]) -> io::Result<[u8; 32]> {
    let mut digest = Sha256::new();
    for below in files(folder, but)? {
        let path = folder.join(&below);
        let (kind, content) = content(&path)?;
        let name = below.as_os_str().as_encoded_bytes();
        for part in [kind, name, &content] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
    }
    Ok(digest.finalize().into())
}

/// What a file is and holds. What is neither a file nor a link (a pipe) would never end.
fn content(path: &Path) -> io::Result<(&'static [u8], Vec<u8>)> {
    use std::os::unix::ffi::OsStringExt as _;
    use std::os::unix::fs::PermissionsExt as _;
    let found = fs::symlink_metadata(path)?;
    if found.is_symlink() {
        return Ok((b"link", fs::read_link(path)?.into_os_string().into_vec()));
    }
    if !found.is_file() {
        let what = format!("{} is neither a file nor a folder", path.display());
        return Err(io::Error::other(what));
    }
    let is_program = found.permissions().mode() & 0o100 != 0;
    let kind: &[u8] = if is_program { b"program" } else { b"file" };
    Ok((kind, fs::read(path)?))
}

/// Copies the files of a folder.
pub(super) fn copy(folder: &Path, but: &[PathBuf], into: &Path) -> io::Result<()> {
    fs::create_dir_all(into)?;
    for below in files(folder, but)? {
        let (from, to) = (folder.join(&below), into.join(&below));
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        if from.is_symlink() {
            fs::os::unix::fs::symlink(fs::read_link(&from)?, &to)?;
        } else {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{copy, digest};

    #[test]
    fn what_git_would_not_keep_does_not_count_and_all_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs_err::create_dir_all(path("tool/.git")).unwrap();
        fs_err::write(path("tool/.gitignore"), "build/\n").unwrap();
        fs_err::write(path("tool/a.py"), "1").unwrap();
        fs_err::write(path("tool/lab.lock"), "1").unwrap();
        let but = [path("tool/lab.lock")];
        let of = |name: &str| digest(&path(name), &but).unwrap();
        let before = of("tool");
        fs_err::create_dir_all(path("tool/build")).unwrap();
        fs_err::write(path("tool/build/b.py"), "1").unwrap();
        fs_err::write(path("tool/.git/HEAD"), "1").unwrap();
        fs_err::write(path("tool/lab.lock"), "2").unwrap();
        assert_eq!(of("tool"), before);
        copy(&path("tool"), &but, &path("copy")).unwrap();
        assert_eq!(of("copy"), before);
        fs_err::write(path("tool/a.py"), "2").unwrap();
        let after = of("tool");
        assert_ne!(after, before);
        fs_err::os::unix::fs::symlink("a.py", path("tool/b.py")).unwrap();
        assert_ne!(of("tool"), after);
    }
}
