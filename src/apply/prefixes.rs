//! The prefixes of a generation: the environment's own, and one for each kernel that
//! the spec isolates.
//!
//! The others are in the folder `envs` of the first, as in conda's own base: they come,
//! are verified and go with it.

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

impl LockedPrefix {
    /// Where it is in a generation.
    pub(super) fn within(&self, generation: &Path) -> PathBuf {
        match &self.isolated {
            Some(kernel) => generation.join(ISOLATED).join(kernel),
            None => generation.to_owned(),
        }
    }

    /// Those of its packages that are built from source, with where that is from.
    pub(super) fn sources(&self) -> impl Iterator<Item = (String, String)> {
        let sources = self.records.iter().filter(|record| is_source(record));
        sources.map(|record| {
            let name = record.package_record.name.as_normalized();
            (name.to_owned(), record.url.to_string())
        })
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
