//! The package cache: what is in it, and what generations are made of.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::error::StoreError;
use super::layout::Root;
use crate::plan::CachedPackage;

/// Where the digest of an archive is in the file beside its package, which
/// begins with a number of eight bytes.
const DIGEST: std::ops::Range<usize> = 8..40;

/// Hidden folders of the cache that are no rubble.
const KNOWN_HIDDEN: [&str; 1] = [".bytecode"];

/// The bytecode for one Python.
#[derive(Debug)]
pub struct Bytecode {
    /// The Python: version and build.
    pub python: String,
    /// Its folder.
    pub folder: PathBuf,
    /// The folders of packages, by the digests of their archives.
    pub packages: Vec<(String, PathBuf)>,
}

/// The cache of a root.
#[derive(Debug, Default)]
pub struct Cache {
    /// The packages, unpacked.
    pub packages: Vec<CachedPackage>,
    /// The bytecode, in a folder for each Python and in that for each package.
    pub bytecode: Vec<Bytecode>,
    /// What is half made: by killed processes, if nobody has a lease by now.
    pub rubble: Vec<PathBuf>,
}

/// Looks at the cache of a root that nobody is changing: what is half unpacked was
/// left by a killed process. What is not known there is left alone.
pub fn cache(root: &Root) -> Cache {
    let folder = root.packages();
    let mut cache = Cache::default();
    for path in folders(&folder) {
        let name = name(&path);
        if name.starts_with('.') {
            continue;
        }
        let note = note(root, &name);
        // Not a package: made by somebody else, or by a newer envspec.
        if note.exists() || path.join("info").is_dir() {
            let digest = fs::read(&note).ok();
            let digest = digest.and_then(|bytes| bytes.get(DIGEST).map(hex::encode));
            cache.packages.push(CachedPackage {
                folder: name,
                digest,
            });
        }
    }
    // A note whose package is gone, or is not there yet.
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        let note = name(&entry.path());
        // Versions have full stops in them, so the ending is cut off by hand.
        if let Some(package) = note.strip_suffix(".lock")
            && !package.starts_with('.')
            && !folder.join(package).is_dir()
        {
            cache.rubble.push(entry.path());
        }
    }
    for python in folders(&folder.join(".bytecode")) {
        let packages = folders(&python).into_iter();
        let packages = packages.filter(|folder| !name(folder).starts_with('.'));
        cache.rubble.extend(half(&python));
        cache.bytecode.push(Bytecode {
            python: name(&python),
            packages: packages.map(|folder| (name(&folder), folder)).collect(),
            folder: python,
        });
    }
    cache.rubble.extend(half(&folder));
    cache
}

/// The folder of a package.
pub fn package_folder(root: &Root, folder: &str) -> PathBuf {
    root.packages().join(folder)
}

/// The file beside a package that notes its digest.
pub fn note(root: &Root, folder: &str) -> PathBuf {
    root.packages().join(format!("{folder}.lock"))
}

/// The folder of a generation in which kernels have prefixes of their own.
pub const ISOLATED: &str = "envs";

/// The packages that the prefixes of a generation are made of, as name, version and
/// build.
pub fn linked(generation: &Path) -> Result<BTreeSet<String>, StoreError> {
    let mut names = BTreeSet::new();
    let mut prefixes = folders(&generation.join(ISOLATED));
    prefixes.push(generation.to_owned());
    for prefix in prefixes {
        let folder = prefix.join("conda-meta");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            // Nothing was linked yet.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(StoreError::io("could not read", &folder)(error)),
        };
        for entry in entries {
            let entry = entry.map_err(StoreError::io("could not read", &folder))?;
            if let Some(name) = name(&entry.path()).strip_suffix(".json") {
                names.insert(name.to_owned());
            }
        }
    }
    Ok(names)
}

/// The folders in a folder, not those that links lead to.
pub(super) fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Hidden folders: half unpacked, half compiled.
fn half(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let is_half = |path: &PathBuf| {
        name(path).starts_with('.') && !KNOWN_HIDDEN.contains(&name(path).as_str())
    };
    folders(folder).into_iter().filter(is_half)
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
