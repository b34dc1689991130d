//! What differs between two sets of packages.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::str::FromStr;

use rattler_conda_types::{RepoDataRecord, Version};
use serde::{Deserialize, Serialize};

/// One package of a set, as much of it as a person compares.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PackageId {
    /// The name, normalised.
    pub name: String,
    /// The version.
    pub version: String,
    /// The build string.
    pub build: String,
    /// The kernel in whose own prefix it is, if not in the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolated: Option<String>,
}

impl From<&RepoDataRecord> for PackageId {
    fn from(record: &RepoDataRecord) -> Self {
        let record = &record.package_record;
        Self {
            name: record.name.as_normalized().to_owned(),
            version: record.version.to_string(),
            build: record.build.to_string(),
            isolated: None,
        }
    }
}

impl PackageId {
    /// Its prefix and its name: what a set has once.
    fn key(&self) -> (Option<&str>, &str) {
        (self.isolated.as_deref(), &self.name)
    }

    /// The name, behind that of the kernel in whose own prefix it is.
    pub fn full_name(&self) -> String {
        match &self.isolated {
            Some(kernel) => format!("{kernel}: {}", self.name),
            None => self.name.clone(),
        }
    }
}

/// What happened to one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// It is new.
    Added {
        /// The package.
        to: PackageId,
    },
    /// It is gone.
    Removed {
        /// The package.
        from: PackageId,
    },
    /// A higher version.
    Upgraded {
        /// Before.
        from: PackageId,
        /// After.
        to: PackageId,
    },
    /// A lower version.
    Downgraded {
        /// Before.
        from: PackageId,
        /// After.
        to: PackageId,
    },
    /// Another build of the same version.
    Rebuilt {
        /// Before.
        from: PackageId,
        /// After.
        to: PackageId,
    },
}

impl Change {
    fn between(from: PackageId, to: PackageId) -> Self {
        match compare_versions(&from.version, &to.version) {
            Ordering::Less => Self::Upgraded { from, to },
            Ordering::Greater => Self::Downgraded { from, to },
            Ordering::Equal => Self::Rebuilt { from, to },
        }
    }

    /// The package, as it is afterwards if it is there then.
    pub fn package(&self) -> &PackageId {
        match self {
            Self::Removed { from } => from,
            Self::Added { to }
            | Self::Upgraded { to, .. }
            | Self::Downgraded { to, .. }
            | Self::Rebuilt { to, .. } => to,
        }
    }
}

/// Conda's order of versions; texts that are no versions compare as text.
fn compare_versions(a: &str, b: &str) -> Ordering {
    match (Version::from_str(a), Version::from_str(b)) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        _ => a.cmp(b),
    }
}

/// What leads from one set of packages to another, ordered by name, the isolated
/// prefixes last. A prefix has each name once, as a conda environment does.
pub fn changes(
    before: impl IntoIterator<Item = PackageId>,
    after: impl IntoIterator<Item = PackageId>,
) -> Vec<Change> {
    let key = |package: &PackageId| (package.isolated.clone(), package.name.clone());
    let keyed = |package: PackageId| (key(&package), package);
    let mut before: BTreeMap<_, _> = before.into_iter().map(keyed).collect();
    let mut changes = Vec::new();
    for to in after {
        match before.remove(&key(&to)) {
            None => changes.push(Change::Added { to }),
            Some(from) if from == to => {}
            Some(from) => changes.push(Change::between(from, to)),
        }
    }
    changes.extend(before.into_values().map(|from| Change::Removed { from }));
    changes.sort_by(|a, b| a.package().key().cmp(&b.package().key()));
    changes
}

#[cfg(test)]
mod tests {
    use super::{Change, PackageId, changes};

    fn set(texts: &[&str]) -> Vec<PackageId> {
        texts
            .iter()
            .map(|text| {
                let mut words = text.split(' ').map(str::to_owned);
                PackageId {
                    name: words.next().unwrap(),
                    version: words.next().unwrap(),
                    build: words.next().unwrap_or_default(),
                    isolated: None,
                }
            })
            .collect()
    }

    #[test]
    fn a_set_does_not_differ_from_itself() {
        let packages = set(&["a 1 0", "b 2 0"]);
        assert_eq!(changes(packages.clone(), packages), []);
    }

    #[test]
    fn every_kind_of_change_is_told_apart_and_ordered_by_name() {
        let before = set(&["gone 1 0", "up 1.9 0", "down 2 0", "same 1 0", "build 1 h0"]);
        let after = set(&[
            "up 1.10 0",
            "new 1 0",
            "down 1.9 0",
            "same 1 0",
            "build 1 h1",
        ]);
        let kinds: Vec<String> = changes(before, after)
            .iter()
            .map(|change| {
                let kind = match change {
                    Change::Added { .. } => "+",
                    Change::Removed { .. } => "-",
                    Change::Upgraded { .. } => "^",
                    Change::Downgraded { .. } => "v",
                    Change::Rebuilt { .. } => "~",
                };
                format!("{kind}{}", change.package().name)
            })
            .collect();
        assert_eq!(kinds, ["~build", "vdown", "-gone", "+new", "^up"]);
    }
}
