//! Some packages to their newest version, and nothing else that need not move.
//!
//! First the newest version of each named package that has a solution is found, by
//! trying from the newest down. Then as many of the other packages as can be are held
//! at what they were: all of them, and where that has no solution, one after the other
//! (a maximal satisfiable set, grown by single tries). What has changed in the end is
//! forced: with everything else held, there is no solution in which it stays.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rattler_conda_types::version_spec::{EqualityOperator, VersionSpec};
use rattler_conda_types::{MatchSpec, Matches as _, PackageName, RepoDataRecord, Version};
use rattler_repodata_gateway::RepoData;
use rattler_solve::SolveError;

use super::conflict::{sentences, smallest_clash};
use super::solve::{Solve, Tried};

/// How long is searched for the newest version, and then for what can stay. After it,
/// the best that was found counts.
const PATIENCE: Duration = Duration::from_secs(20);

/// A package that is not at the newest version that the channels have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The package.
    pub name: PackageName,
    /// The newest version.
    pub newest: String,
    /// The smallest group of requirements that hold it back, counted in the
    /// question's. Empty if the version has no solution even alone, or if it took too long.
    pub specs: Vec<usize>,
    /// The solver's reasons, a few sentences.
    pub reasons: Vec<String>,
}

/// The solution in which the named packages are at the newest version that there can be,
/// and all others stay that can.
pub(super) fn newest(
    solve: &Solve<'_>,
    index: &[RepoData],
) -> Result<(Vec<RepoDataRecord>, Vec<Held>), SolveError> {
    let update = Update {
        solve,
        index,
        others: (solve.favored.iter())
            .filter(|record| !solve.named.contains(&record.package_record.name))
            .collect(),
    };
    let deadline = Instant::now() + PATIENCE;
    let mut specs = solve.specs.to_vec();
    let mut records = update.free(&specs, None)?;
    let mut held = Vec::new();
    for name in solve.named {
        let Some(mut reached) = version_of(name, &records) else {
            continue;
        };
        let versions = update.versions(name);
        for version in versions.iter().rev() {
            if *version <= reached || Instant::now() > deadline {
                break;
            }
            // Without a solver: a line of the spec, or one of what is chosen already.
            if !update.is_asked_for(name, version, &specs) {
                continue;
            }
            let with = [specs.as_slice(), &[exactly(name, version)]].concat();
            if let Ok(better) = update.free(&with, Some(left(deadline))) {
                records = better;
                reached = version.clone();
                break;
            }
        }
        if let Some(newest) = versions.last().filter(|newest| **newest > reached) {
            held.push(update.held(name, newest, &specs, deadline));
        }
        specs.push(exactly(name, &reached));
    }
    Ok((update.hold_others(&specs, records), held))
}

struct Update<'a> {
    solve: &'a Solve<'a>,
    index: &'a [RepoData],
    /// What is locked and not named.
    others: Vec<&'a RepoDataRecord>,
}

impl Update<'_> {
    /// Solves with the named packages free and the others favored.
    fn free(
        &self,
        specs: &[MatchSpec],
        patience: Option<Duration>,
    ) -> Result<Vec<RepoDataRecord>, SolveError> {
        let tried = Tried {
            favored: Some(self.others.clone()),
            patience,
            ..Tried::default()
        };
        self.solve.attempt_with(specs, self.index, tried)
    }

    /// The versions of a package in the first channel that has it, in order.
    fn versions(&self, name: &PackageName) -> Vec<Version> {
        let records = || {
            let all = self.index.iter().flatten();
            all.filter(|record| &record.package_record.name == name)
        };
        let first = records().next().map(|record| &record.channel);
        let versions: BTreeSet<&Version> = records()
            .filter(|record| Some(&record.channel) == first)
            .map(|record| record.package_record.version.version())
            .collect();
        versions.into_iter().cloned().collect()
    }

    /// Whether a version is among what the requirements on this very package let in.
    fn is_asked_for(&self, name: &PackageName, version: &Version, specs: &[MatchSpec]) -> bool {
        let mut own = specs
            .iter()
            .filter(|spec| spec.name.as_exact() == Some(name));
        own.all(|spec| {
            let all = self.index.iter().flatten();
            let mut of_version = all.filter(|record| {
                &record.package_record.name == name
                    && record.package_record.version.version() == version
            });
            of_version.any(|record| spec.matches(record))
        })
    }

    /// Who holds a package back from its newest version.
    fn held(
        &self,
        name: &PackageName,
        newest: &Version,
        specs: &[MatchSpec],
        deadline: Instant,
    ) -> Held {
        let exact = exactly(name, newest);
        // What was chosen for those named before counts as given.
        let given = [&specs[self.solve.specs.len()..], &[exact]].concat();
        let with = |group: &[usize]| {
            let lines = group.iter().map(|&at| self.solve.specs[at].clone());
            lines.chain(given.iter().cloned()).collect::<Vec<_>>()
        };
        let holds = |group: &[usize]| {
            Instant::now() > deadline || self.free(&with(group), Some(left(deadline))).is_ok()
        };
        let all: Vec<usize> = (0..self.solve.specs.len()).collect();
        let mut clash = if holds(&[]) {
            smallest_clash(&all, &holds)
        } else {
            Vec::new()
        };
        clash.sort_unstable();
        let reasons = match self.free(&with(&clash), Some(left(deadline))) {
            Err(SolveError::Unsolvable(reasons)) => sentences(&reasons.join("\n")),
            _ => Vec::new(),
        };
        Held {
            name: name.clone(),
            newest: newest.to_string(),
            specs: clash,
            reasons,
        }
    }

    /// Holds as many of the others as can be where they are. `found` is a solution.
    fn hold_others(&self, specs: &[MatchSpec], found: Vec<RepoDataRecord>) -> Vec<RepoDataRecord> {
        let deadline = Instant::now() + PATIENCE;
        let attempt = |pinned: &[&RepoDataRecord], without: &[MatchSpec]| {
            let tried = Tried {
                favored: Some(Vec::new()),
                pinned: pinned.to_vec(),
                without: without.to_vec(),
                patience: Some(left(deadline)),
                ..Tried::default()
            };
            self.solve.attempt_with(specs, self.index, tried).ok()
        };
        if let Some(records) = attempt(&self.others, &[]) {
            return records;
        }
        let mut best = found;
        let mut without = Vec::new();
        // Lines of the spec first: what somebody asked for is what they look at.
        let is_asked = |record: &RepoDataRecord| {
            let name = &record.package_record.name;
            (self.solve.specs.iter()).any(|spec| spec.name.as_exact() == Some(name))
        };
        let (asked, brought): (Vec<_>, Vec<_>) =
            self.others.iter().partition(|record| is_asked(record));
        for record in asked.into_iter().chain(brought) {
            if Instant::now() > deadline {
                return best;
            }
            if stays(record, &best) {
                continue;
            }
            let mut pinned = self.staying(&best);
            pinned.push(record);
            if let Some(better) = attempt(&pinned, &without) {
                best = better;
            }
        }
        let is_new = |record: &RepoDataRecord| {
            let name = &record.package_record.name;
            !(self.solve.favored.iter()).any(|locked| &locked.package_record.name == name)
        };
        let added: Vec<PackageName> = (best.iter())
            .filter(|record| is_new(record))
            .map(|record| record.package_record.name.clone())
            .collect();
        for name in added {
            let is_there = version_of(&name, &best).is_some();
            if !is_there || Instant::now() > deadline {
                continue;
            }
            without.push(nothing_of(&name));
            match attempt(&self.staying(&best), &without) {
                Some(better) => best = better,
                None => drop(without.pop()),
            }
        }
        best
    }

    /// The others that a solution leaves as they were, those that it lacks too.
    fn staying(&self, solution: &[RepoDataRecord]) -> Vec<&RepoDataRecord> {
        let others = self.others.iter().copied();
        others.filter(|record| stays(record, solution)).collect()
    }
}

/// Whether a solution has nothing else of a record's name.
fn stays(record: &RepoDataRecord, solution: &[RepoDataRecord]) -> bool {
    let before = &record.package_record;
    solution.iter().all(|record| {
        let after = &record.package_record;
        before.name != after.name
            || (&before.version, &before.build) == (&after.version, &after.build)
    })
}

fn version_of(name: &PackageName, records: &[RepoDataRecord]) -> Option<Version> {
    let mut records = records.iter().map(|record| &record.package_record);
    let found = records.find(|record| &record.name == name)?;
    Some(found.version.version().clone())
}

/// The requirement of one version.
fn exactly(name: &PackageName, version: &Version) -> MatchSpec {
    MatchSpec {
        version: Some(VersionSpec::Exact(
            EqualityOperator::Equals,
            version.clone(),
        )),
        ..MatchSpec::from(name.clone())
    }
}

/// A constraint that no package of the name meets.
fn nothing_of(name: &PackageName) -> MatchSpec {
    let none = VersionSpec::None;
    MatchSpec {
        version: Some(none),
        ..MatchSpec::from(name.clone())
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
