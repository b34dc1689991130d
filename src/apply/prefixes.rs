//! The prefixes of a generation: the environment's own, and one for each kernel that
//! the spec isolates.
//!
//! The others are in the folder `envs` of the first, as in conda's own base: they come,
//! are verified and go with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rattler_conda_types::{MatchSpec, RepoDataRecord};

use crate::lock::{Need, PackageId, is_source};
use crate::store::ISOLATED;

/// A prefix, as a lock has it.
#[derive(Debug, Clone)]
pub(super) struct LockedPrefix {
    /// The isolated kernel; `None` for the environment's own prefix.
    pub(super) isolated: Option<String>,
    /// The packages.
    pub(super) records: Vec<RepoDataRecord>,
    /// What was asked for.
    pub(super) requested: Vec<MatchSpec>,
}

/// What the packages of all prefixes need of the machine.
pub(super) fn needs(prefixes: &[LockedPrefix]) -> Vec<Need> {
    Need::of(prefixes.iter().flat_map(|prefix| &prefix.records))
}

/// The packages of all prefixes.
pub(super) fn packages(prefixes: &[LockedPrefix]) -> Vec<PackageId> {
    prefixes.iter().flat_map(LockedPrefix::packages).collect()
}

/// Those that are built from source, with where that is from.
pub(super) fn sources(prefixes: &[LockedPrefix]) -> BTreeMap<String, String> {
    let records = prefixes.iter().flat_map(|prefix| &prefix.records);
    let sources = records.filter(|record| is_source(record));
    let named = sources.map(|record| {
        let name = record.package_record.name.as_normalized();
        (name.to_owned(), record.url.to_string())
    });
    named.collect()
}

impl LockedPrefix {
    /// Where it is in a generation.
    pub(super) fn within(&self, generation: &Path) -> PathBuf {
        match &self.isolated {
            Some(kernel) => generation.join(ISOLATED).join(kernel),
            None => generation.to_owned(),
        }
    }

    /// Its packages.
    pub(super) fn packages(&self) -> impl Iterator<Item = PackageId> {
        self.records.iter().map(|record| {
            let mut package = PackageId::from(record);
            package.isolated.clone_from(&self.isolated);
            package
        })
    }
}
