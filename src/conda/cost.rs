//! What an installation adds to the disk, from what packages list of themselves.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rattler_conda_types::RepoDataRecord;
use rattler_conda_types::package::{PackageFile as _, PathType, PathsJson};
use rayon::prelude::*;

use super::bytecode;
use super::packages::entry_name;
use crate::lock::is_wheel;
use crate::plan::Cost;

/// What becomes of an archive: how many times as large it is unpacked, and one file
/// for so many of its bytes. Of Python's sources with their bytecode, and of all else.
/// Over the 209 packages of a Jupyter with Python, R and bash it was 5.7 times and
/// 2,200 bytes, 3.1 times and 10,800 bytes; small environments take more, and some
/// packages double.
const OF_PYTHON: (u64, u64) = (7, 1_700);
const OF_OTHERS: (u64, u64) = (4, 8_000);

/// Every package has some files whatever its size: its own records.
const FILES_OF_A_PACKAGE: u64 = 12;

/// The least of them.
const LEAST_FILES_OF_A_PACKAGE: u64 = 4;

/// A folder, or a small file, takes a block.
const BLOCK: u64 = 4096;

/// What installing records below a root would add, given what is unpacked already
/// in the caches `packages`, the first one first. What several prefixes have is
/// fetched once.
pub fn cost<'r>(
    root: &Path,
    packages: &[PathBuf],
    prefixes: impl Iterator<Item = &'r [RepoDataRecord]>,
) -> Cost {
    let mut seen = HashSet::new();
    let mut sum = Cost::default();
    for records in prefixes {
        let new = records
            .iter()
            .filter(|record| seen.insert(entry_name(record)));
        let new: HashSet<String> = new.map(entry_name).collect();
        sum.add(&of_prefix(root, packages, records, &new));
    }
    sum
}

/// The same for one prefix. Archives of what is not in `new` are counted already.
fn of_prefix(
    root: &Path,
    packages: &[PathBuf],
    records: &[RepoDataRecord],
    new: &HashSet<String>,
) -> Cost {
    let device = |path: &Path| path.metadata().ok().map(|found| found.dev());
    let there = Known {
        new,
        device: root.ancestors().find_map(device),
        packages,
        bytecode: packages
            .first()
            .and_then(|own| bytecode::folder(own, records)),
    };
    let parts: Vec<(Cost, HashSet<String>)> = records
        .par_iter()
        .map(|record| of_one(&there, record))
        .collect();
    let mut sum = Cost::default();
    let mut folders = HashSet::new();
    for (cost, of_one) in parts {
        sum.add(&cost);
        folders.extend(of_one);
    }
    let folders = folders.len() as u64;
    sum.bytes += folders * BLOCK;
    sum.files += folders;
    sum.least_bytes += folders * BLOCK;
    sum.least_files += folders;
    sum
}

/// What is there already.
struct Known<'a> {
    /// What is fetched for this prefix, and not for one before it.
    new: &'a HashSet<String>,
    /// The file system that generations are on.
    device: Option<u64>,
    packages: &'a [PathBuf],
    /// The folder of the bytecode for the Python that is to be installed.
    bytecode: Option<PathBuf>,
}

/// Whether it is a wheel of one machine, whatever its record says.
fn has_binaries(record: &RepoDataRecord) -> bool {
    is_wheel(record) && !record.url.path().ends_with("-any.whl")
}

/// What one package adds: exact if it is unpacked and compiled, with the folders that
/// it needs.
fn of_one(there: &Known<'_>, record: &RepoDataRecord) -> (Cost, HashSet<String>) {
    let size = record.package_record.size;
    let archive = size.unwrap_or(0);
    let name = entry_name(record);
    let known = there.packages.iter().find_map(|folder| {
        let unpacked = folder.join(&name);
        let paths = PathsJson::from_package_directory(&unpacked).ok()?;
        Some((unpacked, paths))
    });
    let Some((unpacked, paths)) = known else {
        if !there.new.contains(&name) {
            let cost = Cost {
                files: LEAST_FILES_OF_A_PACKAGE,
                bytes: LEAST_FILES_OF_A_PACKAGE * BLOCK,
                estimated: true,
                ..Cost::default()
            };
            return (cost, HashSet::new());
        }
        let is_python = record.package_record.noarch.is_python() && !has_binaries(record);
        let (unpacked, bytes_per_file) = if is_python { OF_PYTHON } else { OF_OTHERS };
        let cost = Cost {
            fetch_bytes: archive,
            bytes: archive * unpacked,
            files: archive / bytes_per_file + FILES_OF_A_PACKAGE,
            estimated: true,
            of_unknown_size: usize::from(size.is_none()),
            least_bytes: archive,
            least_files: LEAST_FILES_OF_A_PACKAGE,
        };
        return (cost, HashSet::new());
    };
    // Its record. Links and what holds the prefix are made anew, all else is
    // hard-linked.
    let mut cost = Cost {
        bytes: 512 * paths.paths.len() as u64 + BLOCK,
        files: 1,
        ..Cost::default()
    };
    let me = rustix::process::geteuid();
    let unpacked = unpacked.metadata().ok();
    // No link leads to another file system, and many systems refuse links to another
    // user's files (`fs.protected_hardlinks`): those are copied.
    let is_far = unpacked
        .as_ref()
        .is_some_and(|found| Some(found.dev()) != there.device);
    let is_foreign = unpacked.is_some_and(|found| !me.is_root() && found.uid() != me.as_raw());
    let bytecode = there.bytecode.as_ref();
    let is_compiled = !bytecode.is_some_and(|folder| bytecode::is_lacking(folder, record));
    let mut maybe = Cost::default();
    let mut folders = HashSet::new();
    for entry in &paths.paths {
        let bytes = entry.size_in_bytes.unwrap_or(0).next_multiple_of(BLOCK);
        let is_link = entry.path_type == PathType::SoftLink;
        let is_made = entry.prefix_placeholder.is_some() || is_far;
        let of = if is_link || is_made {
            &mut cost
        } else {
            &mut maybe
        };
        if is_link {
            of.files += 1;
        } else if is_made || is_foreign {
            of.bytes += bytes;
            of.files += 1;
        }
        let path = entry.relative_path.to_string_lossy();
        let mut rest = path.as_ref();
        while let Some((folder, _)) = rest.rsplit_once('/') {
            if !folders.insert(folder.to_owned()) {
                break;
            }
            rest = folder;
        }
        if let Some(folder) = path
            .strip_suffix(".py")
            .and_then(|stem| stem.rsplit_once('/'))
        {
            folders.insert(format!("{}/__pycache__", folder.0));
            if !is_compiled {
                // About as large as the source.
                maybe.bytes += bytes;
                maybe.files += 1;
                maybe.estimated = true;
            }
        }
    }
    cost.least_bytes = cost.bytes;
    cost.least_files = cost.files;
    cost.bytes += maybe.bytes;
    cost.files += maybe.files;
    cost.estimated = maybe.estimated;
    (cost, folders)
}
