//! Why there is no solution, in terms of what the user asked for.
//!
//! A solver's own report is a tree of every package it tried. The user wrote a
//! handful of lines: this finds the smallest group of them that cannot hold
//! together (no line of it can be left out), by solving again with parts of
//! the request (`QuickXplain`, Junker 2004), and only then asks the solver why.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rattler_conda_types::{MatchSpec, Matches as _, PackageName, RepoDataRecord};
use rattler_repodata_gateway::RepoData;
use rattler_solve::SolveError;

use super::elsewhere::Elsewhere;
use super::remedy::{Remedy, Search};
use super::solve::Solve;

/// How long the search for the smallest group may take, before the group found
/// so far is shown.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many of the solver's reasons are shown.
const REASON_LINES: usize = 6;

/// What stands in the way of a solution. Indexes count the request's specs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// No channel has a package of this name for the platform.
    NotFound {
        /// The requirement.
        spec: usize,
        /// Names that are near, best first.
        near: Vec<String>,
        /// Where there is one of this very name.
        elsewhere: Vec<Elsewhere>,
    },
    /// The package is there, in no version that matches.
    NoMatch {
        /// The requirement.
        spec: usize,
        /// The newest versions that there are, newest first.
        versions: Vec<String>,
        /// Builds of the version that was asked for, if it is there.
        builds: Vec<String>,
        /// What would solve, tried.
        remedies: Vec<Remedy>,
    },
    /// A channel has what is asked for, and one that goes before it has other versions.
    Hidden {
        /// The requirement.
        spec: usize,
        /// Who hides what.
        hidden: Hidden,
        /// What would solve, tried.
        remedies: Vec<Remedy>,
    },
    /// These requirements cannot be met together.
    Clash {
        /// The smallest group, in the request's order.
        specs: Vec<usize>,
        /// The solver's reasons, a few sentences.
        reasons: Vec<String>,
        /// What the priority of the channels hides, without which they could be met.
        hidden: Vec<Hidden>,
        /// What would solve, tried.
        remedies: Vec<Remedy>,
    },
}

impl Conflict {
    /// What would solve.
    pub(super) fn remedies_mut(&mut self) -> Option<&mut Vec<Remedy>> {
        match self {
            Self::NotFound { .. } => None,
            Self::NoMatch { remedies, .. }
            | Self::Hidden { remedies, .. }
            | Self::Clash { remedies, .. } => Some(remedies),
        }
    }

    /// Whether another one is the same, whatever would solve it. What is the same
    /// requirement in both says `is_same`, for each counts those of its own platform.
    pub fn is_like(&self, other: &Self, is_same: &dyn Fn(usize, usize) -> bool) -> bool {
        let bare = |conflict: &Self| {
            let mut conflict = conflict.clone();
            if let Some(remedies) = conflict.remedies_mut() {
                remedies.clear();
            }
            let specs = match &mut conflict {
                Self::Clash { specs, .. } => std::mem::take(specs),
                Self::NotFound { spec, .. }
                | Self::NoMatch { spec, .. }
                | Self::Hidden { spec, .. } => vec![std::mem::take(spec)],
            };
            (specs, conflict)
        };
        let ((specs, mine), (others, theirs)) = (bare(self), bare(other));
        let mut pairs = specs.iter().zip(&others);
        mine == theirs && specs.len() == others.len() && pairs.all(|(a, b)| is_same(*a, *b))
    }
}

/// A package of a channel that does not count, since one before it has the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// The package.
    pub name: String,
    /// The newest version that would do.
    pub version: String,
    /// The channel that has it.
    pub channel: String,
    /// The channel that hides it.
    pub by: String,
}

/// Explains why `solve` has no solution. `index` holds all records of what was
/// asked for, `names` all names of the channels.
pub(super) fn explain(solve: &Solve<'_>, index: &[RepoData], names: &[PackageName]) -> Conflict {
    let search = Search::new(solve, index);
    for (position, spec) in solve.specs.iter().enumerate() {
        let Some(name) = spec.name.as_exact() else {
            continue;
        };
        if is_virtual(name) {
            continue;
        }
        let records: Vec<&RepoDataRecord> = (index.iter().flatten())
            .filter(|record| &record.package_record.name == name)
            .collect();
        let Some(first) = records.first() else {
            return Conflict::NotFound {
                spec: position,
                near: near(
                    name.as_normalized(),
                    names.iter().map(PackageName::as_normalized),
                ),
                elsewhere: Vec::new(),
            };
        };
        // A requirement that names its channel takes what others have for nothing.
        let counts =
            |record: &RepoDataRecord| spec.channel.is_some() || record.channel == first.channel;
        let (matching, others): (Vec<&RepoDataRecord>, Vec<_>) =
            records.iter().partition(|record| spec.matches(**record));
        if matching.iter().any(|record| counts(record)) {
            continue;
        }
        if let Some(best) = newest(&matching) {
            let hidden = Hidden {
                name: name.as_normalized().to_owned(),
                version: best.package_record.version.to_string(),
                channel: search.channel_name(best),
                by: search.channel_name(first),
            };
            return Conflict::Hidden {
                spec: position,
                remedies: search.taken_from_channel(Some(position), best),
                hidden,
            };
        }
        return no_match(&search, position, spec, others, &counts);
    }
    clash(&search)
}

/// No record of the name matches.
fn no_match(
    search: &Search<'_>,
    position: usize,
    spec: &MatchSpec,
    mut records: Vec<&RepoDataRecord>,
    counts: &dyn Fn(&RepoDataRecord) -> bool,
) -> Conflict {
    /// How many builds are shown.
    const BUILDS: usize = 5;
    records.retain(|record| counts(record));
    let versions: BTreeSet<_> = (records.iter())
        .map(|record| record.package_record.version.version())
        .collect();
    let without_build = MatchSpec {
        build: None,
        build_number: None,
        ..spec.clone()
    };
    let builds: BTreeSet<String> = (records.iter())
        .filter(|record| without_build.matches(**record))
        .map(|record| record.package_record.build.to_string())
        .collect();
    Conflict::NoMatch {
        spec: position,
        versions: versions
            .into_iter()
            .rev()
            .take(5)
            .map(ToString::to_string)
            .collect(),
        builds: builds.into_iter().rev().take(BUILDS).collect(),
        remedies: search.remedies(&[position], &[]),
    }
}

/// The smallest group that can't be met, and what would help.
fn clash(search: &Search<'_>) -> Conflict {
    let solve = search.solve;
    let all: Vec<usize> = (0..solve.specs.len()).collect();
    let deadline = Instant::now() + PATIENCE;
    let of = |group: &[usize]| -> Vec<MatchSpec> {
        group.iter().map(|&i| solve.specs[i].clone()).collect()
    };
    let holds = |group: &[usize]| {
        Instant::now() > deadline || solve.attempt(&of(group), search.index).is_ok()
    };
    let mut core = smallest_clash(&all, &holds);
    core.sort_unstable();
    if core.is_empty() {
        core = all;
    }
    let reasons = match solve.attempt(&of(&core), search.index) {
        Err(SolveError::Unsolvable(reasons)) => sentences(&reasons.join("\n")),
        _ => Vec::new(),
    };
    let found = search.hidden(&of(&core));
    let mut remedies: Vec<Remedy> = (found.iter())
        .flat_map(|record| search.taken_from_channel(None, record))
        .collect();
    remedies.extend(search.remedies(&core, &reasons));
    let hidden = found.iter().filter_map(|record| {
        Some(Hidden {
            name: record.package_record.name.as_normalized().to_owned(),
            version: record.package_record.version.to_string(),
            channel: search.channel_name(record),
            by: search.channel_name(search.first(&record.package_record.name)?),
        })
    });
    Conflict::Clash {
        specs: core,
        reasons,
        hidden: hidden.collect(),
        remedies,
    }
}

/// The record of the newest version.
fn newest<'r>(records: &[&'r RepoDataRecord]) -> Option<&'r RepoDataRecord> {
    let version = |record: &&&RepoDataRecord| record.package_record.version.clone();
    records.iter().max_by_key(version).copied()
}

/// A virtual package is the machine's; no channel has it.
fn is_virtual(name: &PackageName) -> bool {
    name.as_normalized().starts_with("__")
}

/// Names that a slip of the fingers could have meant, best first.
pub fn near<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let mut scored: Vec<(f64, &str)> = names
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(score, _)| *score > 0.88)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup();
    scored
        .into_iter()
        .take(3)
        .map(|(_, candidate)| candidate.to_owned())
        .collect()
}

/// The smallest group of `all` that `holds` is false for (`QuickXplain`). Empty
/// if all of them hold.
pub(super) fn smallest_clash(all: &[usize], holds: &impl Fn(&[usize]) -> bool) -> Vec<usize> {
    if holds(all) {
        return Vec::new();
    }
    explain_part(&[], false, all, holds)
}

fn explain_part(
    background: &[usize],
    grew: bool,
    candidates: &[usize],
    holds: &impl Fn(&[usize]) -> bool,
) -> Vec<usize> {
    if grew && !holds(background) {
        return Vec::new();
    }
    if candidates.len() <= 1 {
        return candidates.to_vec();
    }
    let (left, right) = candidates.split_at(candidates.len() / 2);
    let with_left = [background, left].concat();
    let from_right = explain_part(&with_left, !left.is_empty(), right, holds);
    let with_right = [background, &from_right].concat();
    let from_left = explain_part(&with_right, !from_right.is_empty(), left, holds);
    [from_left, from_right].concat()
}

/// The solver's report is a tree: a requirement, below it the packages that meet
/// it, below each what it requires in turn. Told as sentences, one for each thing
/// required: `conflict-a 1.0 needs shared-lib 1.*`.
pub(super) fn sentences(report: &str) -> Vec<String> {
    const REQUIRES: &str = " would require";
    let mut said: Vec<String> = Vec::new();
    // The packages on the way from the root to the line, with their depths.
    let mut path: Vec<(usize, &str)> = Vec::new();
    for line in report.lines() {
        let text = line.trim_start_matches([' ', '│', '├', '└', '─']);
        let depth = line.chars().count() - text.chars().count();
        path.retain(|(above, _)| *above < depth);
        if let Some(package) = text.trim_end().strip_suffix(REQUIRES) {
            path.push((depth, package));
            continue;
        }
        // Directly below a package stands what it requires; the rest are
        // candidates, and versions of them that are no reason.
        let Some((_, package)) = path.last().filter(|(above, _)| *above + 3 == depth) else {
            continue;
        };
        let (requirement, verdict) = match text.split_once(", ") {
            Some((requirement, verdict)) => (requirement, verdict),
            None => (text, ""),
        };
        let absent = if verdict.starts_with("for which no candidates") {
            ", which there is not"
        } else {
            ""
        };
        let sentence = format!("{package} needs {}{absent}", requirement.trim_end());
        if !said.contains(&sentence) {
            said.push(sentence);
        }
    }
    // The cause is at the bottom of the tree; a wall of what stands above it
    // hides it.
    let more = said.len().saturating_sub(REASON_LINES);
    said.truncate(REASON_LINES);
    if more > 0 {
        said.push(format!("… and {more} more like these"));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::{sentences, smallest_clash};

    #[test]
    fn the_solvers_tree_is_told_in_sentences() {
        let report = "\
The following packages are incompatible
├─ conflict-b * can be installed with any of the following options:
│  └─ conflict-b 1.0 would require
│     └─ shared-lib 2.*, which can be installed with any of the following options:
│        └─ shared-lib 2.0
└─ gpu * cannot be installed because there are no viable options:
   └─ gpu 1.0 | 1.1 would require
      ├─ __cuda >=12, for which no candidates were found.
      └─ driver *, which cannot be installed because there are no viable options:
         └─ driver 3 would require
            └─ shared-lib 1.*, which cannot be installed because there are no viable options:
               └─ shared-lib 1.1, which conflicts with the versions reported above.
";
        assert_eq!(
            sentences(report),
            [
                "conflict-b 1.0 needs shared-lib 2.*",
                "gpu 1.0 | 1.1 needs __cuda >=12, which there is not",
                "gpu 1.0 | 1.1 needs driver *",
                "driver 3 needs shared-lib 1.*",
            ]
        );
    }

    /// A request holds unless it contains one of the given groups whole.
    fn clash_of(all: usize, groups: &[&[usize]]) -> Vec<usize> {
        let all: Vec<usize> = (0..all).collect();
        let mut found = smallest_clash(&all, &|request: &[usize]| {
            !groups
                .iter()
                .any(|group| group.iter().all(|spec| request.contains(spec)))
        });
        found.sort_unstable();
        found
    }

    #[test]
    fn a_request_that_holds_has_no_clash() {
        assert_eq!(clash_of(5, &[]), Vec::<usize>::new());
    }

    #[test]
    fn the_clash_is_the_whole_smallest_group_and_nothing_else() {
        assert_eq!(clash_of(12, &[&[3, 9]]), [3, 9]);
        assert_eq!(clash_of(12, &[&[7]]), [7]);
        assert_eq!(clash_of(9, &[&[0, 4, 8]]), [0, 4, 8]);
    }

    #[test]
    fn of_two_clashes_one_is_named_whole() {
        let found = clash_of(10, &[&[1, 2], &[6, 7]]);
        assert!(found == [1, 2] || found == [6, 7], "{found:?}");
    }
}
