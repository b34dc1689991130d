//! Generations: staged, published, found again.

use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::error::StoreError;
use super::layout::Root;
use super::receipt::{OWN, Receipt};
use super::rubble::{self, BUILDING, DAMAGED};
use crate::spec::EnvName;

/// A whole generation on disk.
#[derive(Debug, Clone)]
pub struct Generation {
    /// Its prefix.
    pub prefix: PathBuf,
    /// What it is.
    pub receipt: Receipt,
    /// Whether the environment's link points to it.
    pub current: bool,
}

/// The name of an environment's current generation; `None` if it has none.
pub fn current(root: &Root, name: &EnvName) -> Result<Option<String>, StoreError> {
    let link = root.environment(name);
    match fs::read_link(&link) {
        Ok(target) => Ok(target
            .file_name()
            .map(|generation| generation.to_string_lossy().into_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        // A folder or a file where the link should be.
        Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
            Err(StoreError::Foreign { path: link })
        }
        Err(error) => Err(StoreError::io("could not read", &link)(error)),
    }
}

/// The environments of a root, each with the name of its current generation,
/// whether that is there or not.
pub fn environments(root: &Root) -> Result<Vec<(EnvName, String)>, StoreError> {
    let folder = root.environments();
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("could not read", &folder)(error)),
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        if let Some(name) = EnvName::new(&name.to_string_lossy())
            && let Ok(Some(generation)) = current(root, &name)
        {
            found.push((name, generation));
        }
    }
    found.sort();
    Ok(found)
}

/// All whole generations below the root, of one environment or of all, oldest
/// first; and why others can't be read, which are in nobody's way.
pub fn generations(
    root: &Root,
    of: Option<&EnvName>,
) -> Result<(Vec<Generation>, Vec<StoreError>), StoreError> {
    let folder = root.generations();
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok((Vec::new(), Vec::new()));
        }
        Err(error) => return Err(StoreError::io("could not read", &folder)(error)),
    };
    let (mut found, mut broken) = (Vec::new(), Vec::new());
    for entry in entries {
        let prefix = entry
            .map_err(StoreError::io("could not read", &folder))?
            .path();
        // Rubble, and what is being repaired: out of use, with a receipt or not.
        let name = prefix.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        let receipt = match Receipt::read(&prefix) {
            Ok(Some(receipt)) => receipt,
            Ok(None) => continue,
            Err(error) => {
                broken.push(error);
                continue;
            }
        };
        let Some(name) = EnvName::new(&receipt.environment) else {
            continue;
        };
        if of.is_some_and(|wanted| *wanted != name) {
            continue;
        }
        let current = current(root, &name)?.is_some_and(|id| id == receipt.generation);
        found.push(Generation {
            prefix,
            receipt,
            current,
        });
    }
    found.sort_by(|a, b| {
        (&a.receipt.environment, &a.receipt.created, &a.prefix).cmp(&(
            &b.receipt.environment,
            &b.receipt.created,
            &b.prefix,
        ))
    });
    Ok((found, broken))
}

/// The generation that a path leads into, by whatever links: its own prefix, that of
/// an isolated kernel, a folder below. Its prefix is given without links. One that is
/// damaged or was moved is one too.
pub fn generation_around(path: &Path) -> Option<PathBuf> {
    let real = path.canonicalize().ok()?;
    let is_generation = |prefix: &&Path| Receipt::path(prefix).is_file();
    real.ancestors().find(is_generation).map(Path::to_owned)
}

/// Where the packages of a generation are linked before they are at its prefix.
fn building(root: &Root, prefix: &Path) -> PathBuf {
    let name = prefix.file_name().unwrap_or_default().to_string_lossy();
    root.generations().join(format!("{BUILDING}{name}"))
}

/// Makes room for a generation, and tells where its packages are to be linked: nothing
/// is there afterwards. What a killed process left there is moved aside, to be deleted
/// once the new one is in place ([`super::clear_rubble`]): deleting many files first
/// makes ext4 slow at creating them.
pub fn stage(root: &Root, prefix: &Path) -> Result<PathBuf, StoreError> {
    for folder in [root.generations(), root.environments(), root.packages()] {
        fs::create_dir_all(&folder).map_err(StoreError::io("could not make", &folder))?;
    }
    let place = building(root, prefix);
    rubble::move_rubble_if_there(&place)?;
    Ok(place)
}

/// Puts at its prefix what was linked elsewhere. What is at the prefix is where that
/// was afterwards, by one exchange of the two names: somebody may be running it.
pub fn put_in_place(place: &Path, prefix: &Path) -> Result<(), StoreError> {
    let failed = || StoreError::io("could not put into its place", prefix);
    if prefix.symlink_metadata().is_err() {
        return fs::rename(place, prefix).map_err(failed());
    }
    match renameat_with(CWD, place, CWD, prefix, RenameFlags::EXCHANGE) {
        // Not every file system can, network ones least. Then it is gone for an instant.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            let aside = rubble::move_rubble(prefix)?;
            fs::rename(place, prefix).map_err(failed())?;
            fs::rename(aside, place).map_err(failed())
        }
        exchanged => exchanged.map_err(|error| failed()(error.into())),
    }
}

/// Moves aside what was at the prefix of a generation that was put into its place, or
/// what came of one that could not be built. The prefix stays if somebody may run it.
pub fn abandon(root: &Root, name: &EnvName, prefix: &Path) -> Result<(), StoreError> {
    rubble::move_rubble_if_there(&building(root, prefix))?;
    let is_current = current(root, name)?.is_some_and(|id| root.generations().join(id) == prefix);
    if !is_current && !Receipt::exists(prefix) {
        rubble::move_rubble_if_there(prefix)?;
    }
    Ok(())
}

/// Whether this is a generation that an apply began and did not finish. What bears no
/// trace of envspec is none, whoever put it there.
pub fn is_unfinished(prefix: &Path) -> bool {
    let name = prefix.file_name().unwrap_or_default().to_string_lossy();
    let is_named = name.rsplit_once('-').is_some_and(|(environment, digest)| {
        EnvName::new(environment).is_some()
            && digest.len() == 12
            && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    let is_folder = prefix.symlink_metadata().is_ok_and(|found| found.is_dir());
    // It was killed before it wrote a word.
    let is_empty = || fs::read_dir(prefix).is_ok_and(|mut entries| entries.next().is_none());
    is_named
        && is_folder
        && !Receipt::path(prefix).exists()
        && (prefix.join(OWN).is_dir() || is_empty())
}

/// Moves the unfinished generations of an environment aside, whose lease the caller
/// has: nobody builds them any more. A failure is not the user's concern.
pub fn clear_unfinished(root: &Root, name: &EnvName) {
    let entries = fs::read_dir(root.generations())
        .into_iter()
        .flatten()
        .flatten();
    let prefixes = entries.map(|entry| entry.path()).filter(|prefix| {
        let folder = prefix.file_name().unwrap_or_default().to_string_lossy();
        let (is_building, folder) = match folder.strip_prefix(BUILDING) {
            Some(folder) => (true, folder),
            None => (false, folder.as_ref()),
        };
        let of = folder.rsplit_once('-').map(|(of, _)| of);
        of == Some(name.as_str()) && (is_building || is_unfinished(prefix))
    });
    for prefix in prefixes.collect::<Vec<_>>() {
        if let Err(error) = rubble::move_rubble(&prefix) {
            tracing::debug!("an unfinished generation stays: {error}");
        }
    }
}

/// Where a damaged generation is while it is built again. It keeps the papers
/// to build it from, so nobody clears it away before.
pub fn damaged(root: &Root, prefix: &Path) -> PathBuf {
    let name = prefix.file_name().unwrap_or_default().to_string_lossy();
    root.generations().join(format!("{DAMAGED}{name}"))
}

/// Keeps the damaged generation that was at the prefix until one took its place, and
/// is where that was built: for its papers, and to be put back. One that was killed may
/// not have come so far.
pub fn keep_damaged(root: &Root, prefix: &Path) -> Result<(), StoreError> {
    let (place, damaged) = (building(root, prefix), damaged(root, prefix));
    if !Receipt::spec_path(&place).exists() || damaged.exists() {
        return rubble::move_rubble_if_there(&place);
    }
    fs::rename(&place, damaged).map_err(StoreError::io("could not move aside", &place))
}

/// Puts a damaged generation back where it was: better than none.
pub fn put_back(root: &Root, prefix: &Path) -> Result<(), StoreError> {
    let damaged = damaged(root, prefix);
    if damaged.exists() {
        put_in_place(&damaged, prefix)?;
        rubble::move_rubble_if_there(&damaged)?;
    }
    rubble::move_rubble_if_there(&building(root, prefix))
}

/// What was linked and never put into its place, with its environment. Somebody may be
/// at it who has that one's lease.
pub fn half_built(root: &Root) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(root.generations())
        .into_iter()
        .flatten()
        .flatten();
    let of = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.strip_prefix(BUILDING)?;
        let environment = name.rsplit_once('-')?.0.to_owned();
        super::other_owner(&path)
            .is_none()
            .then_some((environment, path))
    };
    entries.filter_map(|entry| of(entry.path())).collect()
}

/// Makes a whole generation the current one, by one rename.
pub fn publish(root: &Root, name: &EnvName, generation: &str) -> Result<(), StoreError> {
    let folder = root.environments();
    fs::create_dir_all(&folder).map_err(StoreError::io("could not make", &folder))?;
    let link = root.environment(name);
    if link
        .symlink_metadata()
        .is_ok_and(|metadata| !metadata.is_symlink())
    {
        return Err(StoreError::Foreign { path: link });
    }
    let target = Path::new("..").join("gen").join(generation);
    // One name for all who come, one after the other: whoever changes an
    // environment has its lease.
    let new = folder.join(format!(".{name}.new"));
    // Left over from a killed one.
    drop(fs::remove_file(&new));
    fs_err::os::unix::fs::symlink(&target, &new).map_err(StoreError::io("could not link", &new))?;
    fs::rename(&new, &link).map_err(StoreError::io("could not switch", &link))
}

/// Takes the link of an environment away, in one step: it has no current generation
/// then.
pub fn unpublish(root: &Root, name: &EnvName) -> Result<(), StoreError> {
    let link = root.environment(name);
    if current(root, name)?.is_none() {
        return Ok(());
    }
    fs::remove_file(&link).map_err(StoreError::io("could not remove", &link))
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::{current, publish, put_in_place, stage, unpublish};
    use crate::spec::EnvName;
    use crate::store::{Root, StoreError, clear_rubble};

    fn root() -> (tempfile::TempDir, Root, EnvName) {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        (folder, root, EnvName::new("lab").unwrap())
    }

    #[test]
    fn publishing_switches_the_link_and_leaves_nothing_beside_it() {
        let (_folder, root, name) = root();
        assert_eq!(current(&root, &name).unwrap(), None);
        for generation in ["lab-1", "lab-2", "lab-1"] {
            fs::create_dir_all(root.generations().join(generation)).unwrap();
            publish(&root, &name, generation).unwrap();
            assert_eq!(current(&root, &name).unwrap().as_deref(), Some(generation));
            let link = root.environment(&name);
            assert!(link.is_dir(), "the link leads to the generation");
        }
        assert_eq!(fs::read_dir(root.environments()).unwrap().count(), 1);
        // Once more, and there is nothing to do.
        for _ in 0..2 {
            unpublish(&root, &name).unwrap();
            assert_eq!(current(&root, &name).unwrap(), None);
        }
        assert_eq!(fs::read_dir(root.environments()).unwrap().count(), 0);
        assert_eq!(fs::read_dir(root.generations()).unwrap().count(), 2);
    }

    #[test]
    fn a_folder_in_the_links_place_is_not_touched() {
        let (_folder, root, name) = root();
        let foreign = root.environment(&name);
        fs::create_dir_all(&foreign).unwrap();
        fs::write(foreign.join("mine"), "").unwrap();
        let refused = publish(&root, &name, "lab-1").unwrap_err();
        assert!(matches!(refused, StoreError::Foreign { .. }), "{refused}");
        let refused = unpublish(&root, &name).unwrap_err();
        assert!(matches!(refused, StoreError::Foreign { .. }), "{refused}");
        assert!(foreign.join("mine").exists());
    }

    #[test]
    fn what_is_put_into_its_place_changes_it_with_what_was_there() {
        let (_folder, root, _) = root();
        let prefix = root.generations().join("lab-1");
        for (text, there) in [("one", None), ("two", Some("one"))] {
            let place = stage(&root, &prefix).unwrap();
            fs::create_dir(&place).unwrap();
            fs::write(place.join("text"), text).unwrap();
            put_in_place(&place, &prefix).unwrap();
            assert_eq!(fs::read_to_string(prefix.join("text")).unwrap(), text);
            let was = fs::read_to_string(place.join("text")).ok();
            assert_eq!(was.as_deref(), there);
        }
    }

    #[test]
    fn what_a_killed_apply_left_is_moved_aside_and_then_deleted() {
        let (_folder, root, _) = root();
        let prefix = root.generations().join("lab-1");
        let half = root.generations().join(".building-lab-1");
        fs::create_dir_all(half.join("half")).unwrap();
        assert_eq!(stage(&root, &prefix).unwrap(), half);
        assert!(!half.exists());
        assert_eq!(fs::read_dir(root.generations()).unwrap().count(), 1);
        clear_rubble(&root);
        assert_eq!(fs::read_dir(root.generations()).unwrap().count(), 0);
    }
}
