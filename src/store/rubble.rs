//! What is deleted: moved aside by one rename, which is the instant at which it
//! is gone for everybody, then taken away file by file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use fs_err as fs;
use rayon::prelude::*;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::error::StoreError;
use super::layout::Root;
use super::lease::{Holder, NEW, digest, read};
use super::receipt::Receipt;

/// What an apply's rubble is renamed to before it is deleted.
const RUBBLE: &str = ".rubble-";

/// The same of what was collected, which can be put back for a moment: no apply
/// deletes it.
const COLLECTED: &str = ".collected-";

/// What the name of a generation begins with while its packages are linked.
pub(super) const BUILDING: &str = ".building-";

/// What a damaged generation is renamed to while it is built again.
pub(super) const DAMAGED: &str = ".damaged-";

/// How old a lease is that was written and never put in its place, by whomever:
/// that takes an instant.
const UNFINISHED: Duration = Duration::from_hours(1);

/// How many folders are emptied at a time. It is waiting, for the server at each
/// file on a network file system.
const AT_A_TIME: usize = 16;

/// Moves what is in the way of a new generation aside, and says where it is now.
pub(super) fn move_rubble(path: &Path) -> Result<PathBuf, StoreError> {
    move_as(path, &format!("{RUBBLE}{}-", std::process::id()))
}

/// The same, if there is anything.
pub(super) fn move_rubble_if_there(path: &Path) -> Result<(), StoreError> {
    match path.symlink_metadata() {
        Ok(_) => move_rubble(path).map(drop),
        Err(_) => Ok(()),
    }
}

/// Moves something aside that was collected, and says where it is now. One
/// process at a time does that: the gate is shut.
pub fn move_aside(path: &Path) -> Result<PathBuf, StoreError> {
    move_as(path, COLLECTED)
}

/// Whether something was moved aside before, and is nobody's any more.
pub fn is_aside(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    [RUBBLE, COLLECTED]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

fn move_as(path: &Path, prefix: &str) -> Result<PathBuf, StoreError> {
    let aside = path.with_file_name(format!(
        "{prefix}{}",
        path.file_name().unwrap_or_default().to_string_lossy()
    ));
    // Left by one that was killed and had the same number.
    if aside.symlink_metadata().is_ok() {
        delete(std::slice::from_ref(&aside), &|_| {})?;
    }
    fs::rename(path, &aside).map_err(StoreError::io("could not move aside", path))?;
    Ok(aside)
}

/// Deletes what [`move_rubble`] moved aside, and damaged generations that were
/// built again, by whomever. A failure is not the user's concern: the next call
/// tries again.
pub fn clear_rubble(root: &Root) {
    let mut rubble = in_folder(&root.generations(), &[RUBBLE]);
    rubble.extend(replaced(root));
    if let Err(error) = delete(&rubble, &|_| {}) {
        tracing::debug!("rubble stays for now: {error}");
    }
}

/// The damaged generations that were built again.
fn replaced(root: &Root) -> Vec<PathBuf> {
    let mut damaged = in_folder(&root.generations(), &[DAMAGED]);
    damaged.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix(DAMAGED)
            .is_some_and(|generation| Receipt::exists(&root.generations().join(generation)))
    });
    damaged
}

/// All that was moved aside below a root, by whomever, and is still there, and what
/// killed processes left of leases. `host` is this machine's name.
pub fn rubble(root: &Root, host: &str) -> Vec<PathBuf> {
    let packages = root.packages();
    let bytecode = packages.join(".bytecode");
    let mut folders = vec![root.generations(), packages, bytecode.clone()];
    folders.extend(super::packages::folders(&bytecode));
    let trees = folders
        .iter()
        .flat_map(|folder| in_folder(folder, &[RUBBLE, COLLECTED]));
    let leases = [root.leases(), Root::new(root.packages()).leases()];
    let left = leases
        .iter()
        .flat_map(|folder| left_of_leases(folder, host));
    // What is another's is for them to delete.
    let mine = |path: &PathBuf| super::group::other_owner(path).is_none();
    let all = trees.chain(left).chain(replaced(root));
    all.filter(mine).collect()
}

/// What a folder of leases has that belongs to none and to nobody who lives.
fn left_of_leases(folder: &Path, host: &str) -> Vec<PathBuf> {
    // First, so that whatever lease they belong to is seen afterwards.
    let mut hidden = in_folder(folder, &["."]);
    let texts = in_folder(folder, &[""]).into_iter();
    let known: BTreeSet<String> = texts
        .filter_map(|path| read(&path).ok()?)
        .map(|text| digest(&text))
        .collect();
    let me = Holder::this_process("", host, "");
    hidden.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match name.strip_prefix(NEW) {
            // Written in one go and then renamed: nobody will do that any more.
            Some(_) => {
                let text = read(path).ok().flatten();
                let holder = text.and_then(|text| serde_json::from_str::<Holder>(&text).ok());
                holder.is_some_and(|holder| holder.is_gone(&me)) || is_older(path, UNFINISHED)
            }
            // The beat of a lease, or the right to replace it.
            None => name
                .rsplit_once('-')
                .is_some_and(|(_, lease)| !known.contains(lease)),
        }
    });
    hidden
}

/// Whether a file was written to longer ago than this.
fn is_older(path: &Path, age: Duration) -> bool {
    let modified = fs::symlink_metadata(path).and_then(|found| found.modified());
    modified.is_ok_and(|time| time.elapsed().is_ok_and(|elapsed| elapsed > age))
}

fn in_folder(folder: &Path, prefixes: &[&str]) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            prefixes.iter().any(|prefix| name.starts_with(prefix))
        })
        .map(|entry| entry.path())
        .collect()
}

/// Deletes trees, also read-only ones, and nothing that a link in them leads to.
/// `deleted` hears how many files went. What another process deletes at the same
/// time is as good; the first failure is told once all else is gone.
pub fn delete(trees: &[PathBuf], deleted: &(dyn Fn(u64) + Sync)) -> Result<(), StoreError> {
    let mut folders = Vec::new();
    for tree in trees {
        match tree.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => list_folders(tree, &mut folders),
            Ok(_) => match fs::remove_file(tree) {
                Ok(()) => deleted(1),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::io("could not delete", tree)(error)),
            },
            Err(_) => {}
        }
    }
    let failed: Mutex<Option<StoreError>> = Mutex::new(None);
    let note = |folder: &Path, error: std::io::Error| {
        let mut failed = failed
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        failed.get_or_insert_with(|| StoreError::io("could not delete", folder)(error));
    };
    let empty_all = || {
        folders.par_iter().for_each(|folder| match empty(folder) {
            Ok(files) => deleted(files),
            Err(error) => note(folder, error),
        });
    };
    match rayon::ThreadPoolBuilder::new()
        .num_threads(AT_A_TIME)
        .build()
    {
        Ok(pool) => pool.install(empty_all),
        Err(_) => empty_all(),
    }
    // A folder stands before those in it.
    for folder in folders.iter().rev() {
        match std::fs::remove_dir(folder) {
            Ok(()) => deleted(1),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => note(folder, error),
        }
    }
    let failed = failed
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    failed.map_or(Ok(()), Err)
}

/// A folder and those below it, each before those in it, and each made writable
/// for its owner: finished generations are not.
fn list_folders(folder: &Path, all: &mut Vec<PathBuf>) {
    use std::os::unix::fs::PermissionsExt as _;
    let here = all.len();
    all.push(folder.to_owned());
    let open = |mode: u32| mode & 0o700 == 0o700;
    if let Ok(metadata) = folder.symlink_metadata()
        && metadata.is_dir()
        && !open(metadata.permissions().mode())
    {
        drop(std::fs::set_permissions(
            folder,
            std::fs::Permissions::from_mode(0o700),
        ));
    }
    let Ok(entries) = std::fs::read_dir(&all[here]) else {
        return;
    };
    for entry in entries.flatten() {
        // What a link leads to is none of ours.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            list_folders(&entry.path(), all);
        }
    }
}

/// Deletes the files of one folder, and says how many they were.
fn empty(folder: &Path) -> std::io::Result<u64> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = match rustix::fs::open(folder, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(0),
        open => open?,
    };
    let mut files = 0;
    for entry in rustix::fs::Dir::read_from(&open)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match rustix::fs::unlinkat(&open, name, AtFlags::empty()) {
            Ok(()) => files += 1,
            // Folders have their own turn.
            Err(Errno::NOENT | Errno::ISDIR | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::sync::atomic::{AtomicU64, Ordering};

    use fs_err as fs;

    use super::{delete, move_aside};

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_read_only_tree_goes_and_what_its_links_lead_to_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = |below: &str| folder.path().join(below);
        for name in ["tree/a/b", "tree/c", "mine"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        for name in ["tree/a/b/file", "tree/c/file", "mine/file"] {
            fs::write(path(name), "").unwrap();
        }
        fs_err::os::unix::fs::symlink(path("mine"), path("tree/a/link")).unwrap();
        fs::hard_link(path("mine/file"), path("tree/a/hard")).unwrap();
        mode(&path("mine/file"), 0o444);
        mode(&path("mine"), 0o555);
        for name in ["tree/a/b", "tree/a", "tree/c", "tree"] {
            mode(&path(name), 0o555);
        }
        let aside = move_aside(&path("tree")).unwrap();
        assert!(!path("tree").exists());

        let count = AtomicU64::new(0);
        delete(&[aside.clone(), path("nothing")], &|files| {
            count.fetch_add(files, Ordering::Relaxed);
        })
        .unwrap();
        assert!(!aside.exists());
        // Four folders, two files, two links.
        assert_eq!(count.into_inner(), 8);
        let kept = |below: &str| path(below).metadata().unwrap().permissions().mode() & 0o777;
        assert!(path("mine/file").exists());
        assert_eq!((kept("mine"), kept("mine/file")), (0o555, 0o444));
        mode(&path("mine"), 0o755);
    }
}
