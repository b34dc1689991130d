//! What an installation adds to the disk, from what packages list of themselves.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rattler_conda_types::RepoDataRecord;
use rattler_conda_types::package::{PackageFile as _, PathType, PathsJson};
use rayon::prelude::*;

use crate::plan::Cost;

/// An archive, unpacked, is about this many times as large: 3.7 over the 209
/// packages of a Jupyter with Python, R and bash, 4 and more with large sources.
const UNPACKED: u64 = 4;

/// One file of an unpacked package for so many bytes of its archive: 6,700 over
/// the same packages.
const ARCHIVE_PER_FILE: u64 = 6_500;

/// Every package has some files whatever its size: its own records.
const FILES_OF_A_PACKAGE: u64 = 12;

/// The least of them.
const LEAST_FILES_OF_A_PACKAGE: u64 = 4;

/// A folder, or a small file, takes a block.
const BLOCK: u64 = 4096;

/// What installing records would add, given what is unpacked already.
pub fn cost(packages: &Path, records: &[RepoDataRecord]) -> Cost {
    let parts: Vec<(Cost, HashSet<String>)> = records
        .par_iter()
        .map(|record| of_one(packages, record))
        .collect();
    let mut sum = Cost::default();
    let mut folders = HashSet::new();
    for (cost, of_one) in parts {
        sum.fetch_bytes += cost.fetch_bytes;
        sum.bytes += cost.bytes;
        sum.files += cost.files;
        sum.least_bytes += cost.least_bytes;
        sum.least_files += cost.least_files;
        sum.estimated |= cost.estimated;
        folders.extend(of_one);
    }
    let folders = folders.len() as u64;
    sum.bytes += folders * BLOCK;
    sum.files += folders;
    sum.least_bytes += folders * BLOCK;
    sum.least_files += folders;
    sum
}

/// What one package adds: exact if it is unpacked, with the folders that it needs.
fn of_one(packages: &Path, record: &RepoDataRecord) -> (Cost, HashSet<String>) {
    let archive = record.package_record.size.unwrap_or(0);
    let package = &record.package_record;
    // As rattler's cache calls it.
    let unpacked = packages.join(format!(
        "{}-{}-{}",
        package.name.as_normalized(),
        package.version,
        package.build
    ));
    let Ok(paths) = PathsJson::from_package_directory(&unpacked) else {
        let cost = Cost {
            fetch_bytes: archive,
            bytes: archive * UNPACKED,
            files: archive / ARCHIVE_PER_FILE + FILES_OF_A_PACKAGE,
            estimated: true,
            least_bytes: archive,
            least_files: LEAST_FILES_OF_A_PACKAGE,
        };
        return (cost, HashSet::new());
    };
    // Its record; links and what holds the prefix are made anew, all else is
    // hard-linked.
    let mut cost = Cost {
        bytes: 512 * paths.paths.len() as u64 + BLOCK,
        files: 1,
        ..Cost::default()
    };
    // Many systems refuse hard links to another user's files (`fs.protected_hardlinks`):
    // those are copied.
    let me = rustix::process::geteuid();
    let is_foreign = unpacked
        .metadata()
        .is_ok_and(|found| !me.is_root() && found.uid() != me.as_raw());
    let mut folders = HashSet::new();
    for entry in &paths.paths {
        if entry.path_type == PathType::SoftLink {
            cost.files += 1;
        } else if entry.prefix_placeholder.is_some() || is_foreign {
            cost.bytes += entry.size_in_bytes.unwrap_or(0).next_multiple_of(BLOCK);
            cost.files += 1;
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
        }
    }
    cost.least_bytes = cost.bytes;
    cost.least_files = cost.files;
    (cost, folders)
}
