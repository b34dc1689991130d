//! What somebody may have asked for, told from what they got.

use std::collections::{BTreeMap, BTreeSet};

use rattler_conda_types::{PackageRecord, RepoDataRecord, Subdir};

use super::Asked;
use super::only::{Platforms, for_conda};
use crate::lock::PlatformPackages;

/// How the requirements were found.
pub(super) struct Found {
    pub(super) asked: Vec<Asked>,
    /// What no requirement can say.
    pub(super) left_out: Vec<String>,
}

/// Languages whose version matters to all that is built for it, and is said even where
/// another package asks for it.
const LANGUAGES: [&str; 2] = ["python", "r-base"];

/// Requirements that hold for packages and bring all of them: those that no other one
/// needs, at their versions, and the languages. What is only on some platforms is asked
/// for there.
pub(super) fn leaves(packages: &[PlatformPackages]) -> Found {
    let all: Vec<Subdir> = packages.iter().map(|part| part.platform).collect();
    let sets: Vec<BTreeMap<&str, &PackageRecord>> =
        packages.iter().map(|part| by_name(&part.records)).collect();
    let mut wanted: BTreeSet<&str> = BTreeSet::new();
    for set in &sets {
        let needs = set.iter().map(|(name, record)| {
            let needed = record.depends.iter().map(|text| name_of(text)).collect();
            (*name, needed)
        });
        wanted.extend(roots(&needs.collect()));
    }
    // The packages of a name, with the platforms that they are on.
    let found_as = |name: &str| -> (Vec<&PackageRecord>, Platforms) {
        let parts = all.iter().zip(&sets);
        let there = parts.filter_map(|(platform, set)| Some((*set.get(name)?, *platform)));
        there.unzip()
    };
    let mut wishes = Vec::new();
    for language in LANGUAGES {
        let (records, on) = found_as(language);
        let versions: BTreeSet<String> = records.into_iter().map(series).collect();
        if let (1, Some(version)) = (versions.len(), versions.first()) {
            wanted.remove(language);
            wishes.push((format!("{language} {version}.*"), on));
        }
    }
    let told = sets
        .iter()
        .any(|set| set.values().any(|record| !record.depends.is_empty()));
    for name in wanted {
        let (records, on) = found_as(name);
        let of_all = |what: fn(&PackageRecord) -> String| -> BTreeSet<String> {
            records.iter().map(|record| what(record)).collect()
        };
        let versions = of_all(|record| record.version.to_string());
        let builds = of_all(|record| record.build.to_string());
        let text = match (versions.len(), builds.len(), told) {
            // Where nothing tells what needs what, the list is exact and stays so.
            (1, 1, false) => format!("{name} {} {}", records[0].version, records[0].build),
            (1, ..) => format!("{name} =={}", records[0].version),
            _ => name.to_owned(),
        };
        wishes.push((text, on));
    }
    let mut found = Found {
        asked: Vec::new(),
        left_out: Vec::new(),
    };
    for (text, on) in wishes {
        match for_conda(&text, &on, &all) {
            Ok(lines) => found.asked.extend(lines),
            Err(why) => found.left_out.push(why),
        }
    }
    if !told && sets.iter().any(|set| set.len() > 1) {
        found.left_out.push(
            "which package needs which: the source does not tell, so each one is asked for"
                .to_owned(),
        );
    }
    found
}

/// What packages need and is not among them, a line for each platform: a prefix that was
/// damaged, a list that was cut.
pub fn missing(packages: &[PlatformPackages]) -> Vec<String> {
    let lines = packages.iter().filter_map(|part| {
        let set = by_name(&part.records);
        let needed = set.values().flat_map(|record| &record.depends);
        // What only the machine can offer is no package.
        let absent: BTreeSet<&str> = needed
            .map(|text| name_of(text))
            .filter(|name| !name.starts_with("__") && !set.contains_key(name))
            .collect();
        let names: Vec<&str> = absent.into_iter().collect();
        (!names.is_empty()).then(|| {
            let names = names.join(", ");
            format!(
                "what its packages need and is not there, for {}: {names}",
                part.platform
            )
        })
    });
    lines.collect()
}

fn by_name(records: &[RepoDataRecord]) -> BTreeMap<&str, &PackageRecord> {
    records
        .iter()
        .map(|record| &record.package_record)
        .map(|record| (record.name.as_normalized(), record))
        .collect()
}

/// Of names and what each of them needs: those that no other one needs, and one of each
/// circle that nobody needs.
pub(super) fn roots<'r>(set: &BTreeMap<&'r str, Vec<&'r str>>) -> Vec<&'r str> {
    let mut needed: BTreeSet<&str> = BTreeSet::new();
    for (name, needs) in set {
        needed.extend(needs.iter().filter(|other| *other != name));
    }
    let mut roots: Vec<&str> = set
        .keys()
        .copied()
        .filter(|name| !needed.contains(name))
        .collect();
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    let mut next: Vec<&str> = roots.clone();
    let mut all = set.keys();
    loop {
        while let Some(name) = next.pop() {
            if let Some(needs) = set.get(name).filter(|_| reached.insert(name)) {
                next.extend(needs.iter().filter(|name| set.contains_key(*name)));
            }
        }
        // What was passed over is reached, and stays so.
        let Some(in_a_circle) = all.find(|name| !reached.contains(**name)) else {
            return roots;
        };
        roots.push(in_a_circle);
        next.push(in_a_circle);
    }
}

/// The name in a requirement of a package.
pub(super) fn name_of(requirement: &str) -> &str {
    let requirement = requirement.trim();
    let requirement = requirement.rsplit("::").next().unwrap_or(requirement);
    let end = requirement
        .find(|c: char| c.is_whitespace() || "=<>!~[;|,".contains(c))
        .unwrap_or(requirement.len());
    &requirement[..end]
}

/// `3.11` of `3.11.8`.
fn series(record: &PackageRecord) -> String {
    let version = record.version.to_string();
    let parts: Vec<&str> = version.split('.').take(2).collect();
    parts.join(".")
}
