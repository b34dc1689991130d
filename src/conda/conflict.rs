//! Why there is no solution, in terms of what the user asked for.
//!
//! A solver's own report is a tree of every package it tried. The user wrote a
//! handful of lines: this finds the smallest group of them that cannot hold
//! together (no line of it can be left out), by solving again with parts of
//! the request (`QuickXplain`, Junker 2004), and only then asks the solver why.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rattler_conda_types::{MatchSpec, Matches as _, PackageName, Version};
use rattler_repodata_gateway::RepoData;
use rattler_solve::SolveError;

use super::solve::Solve;

/// How long the search for the smallest group may take, before the group found
/// so far is shown.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many lines of the solver's reasons are shown.
const REASON_LINES: usize = 8;

/// What stands in the way of a solution. Indexes count the request's specs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// No channel has a package of this name.
    NotFound {
        /// The requirement.
        spec: usize,
        /// Names that are near, best first.
        near: Vec<String>,
    },
    /// The package is there, in no version that matches.
    NoMatch {
        /// The requirement.
        spec: usize,
        /// The newest versions that the channels have, newest first.
        versions: Vec<String>,
    },
    /// These requirements cannot be met together.
    Clash {
        /// The smallest group, in the request's order.
        specs: Vec<usize>,
        /// The solver's reasons, a few lines.
        reasons: Vec<String>,
    },
}

/// What the channels have besides the records that match the request.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Every package's name.
    pub(super) names: Vec<PackageName>,
    /// The versions of the packages of which no record matches.
    pub(super) versions: BTreeMap<PackageName, BTreeSet<Version>>,
}

/// Explains why `solve` has no solution.
pub(super) fn explain(solve: &Solve<'_>, index: &[RepoData], known: &Known) -> Conflict {
    for (position, spec) in solve.specs.iter().enumerate() {
        let Some(name) = spec.name.as_exact() else {
            continue;
        };
        let any_matches = index
            .iter()
            .flatten()
            .any(|record| &record.package_record.name == name && spec.matches(record));
        if any_matches || is_virtual(name) {
            continue;
        }
        return match known.versions.get(name) {
            Some(versions) => Conflict::NoMatch {
                spec: position,
                versions: versions
                    .iter()
                    .rev()
                    .take(5)
                    .map(Version::to_string)
                    .collect(),
            },
            None => Conflict::NotFound {
                spec: position,
                near: near(name.as_normalized(), &known.names),
            },
        };
    }

    let all: Vec<usize> = (0..solve.specs.len()).collect();
    let deadline = Instant::now() + PATIENCE;
    let holds = |group: &[usize]| {
        let specs: Vec<MatchSpec> = group.iter().map(|&i| solve.specs[i].clone()).collect();
        Instant::now() > deadline || solve.attempt(&specs, index).is_ok()
    };
    let mut core = smallest_clash(&all, &holds);
    core.sort_unstable();
    if core.is_empty() {
        core = all;
    }
    let specs: Vec<MatchSpec> = core.iter().map(|&i| solve.specs[i].clone()).collect();
    let reasons = match solve.attempt(&specs, index) {
        Err(SolveError::Unsolvable(reasons)) => shorten(&reasons.join("\n")),
        _ => Vec::new(),
    };
    Conflict::Clash {
        specs: core,
        reasons,
    }
}

/// A virtual package is the machine's; no channel has it.
fn is_virtual(name: &PackageName) -> bool {
    name.as_normalized().starts_with("__")
}

/// Names that a slip of the fingers could have meant, best first.
fn near(name: &str, names: &[PackageName]) -> Vec<String> {
    let mut scored: Vec<(f64, &str)> = names
        .iter()
        .map(PackageName::as_normalized)
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
fn smallest_clash(all: &[usize], holds: &impl Fn(&[usize]) -> bool) -> Vec<usize> {
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

/// What the solver says of every node of its tree, and the tree shows already.
const SAID_BY_THE_TREE: [&str; 4] = [
    ", which can be installed with any of the following options:",
    ", which cannot be installed because there are no viable options:",
    " can be installed with any of the following options:",
    " cannot be installed because there are no viable options:",
];

/// The first lines of the solver's report, without its own heading and without
/// the candidates that it says nothing of.
fn shorten(report: &str) -> Vec<String> {
    let mut lines: Vec<String> = report
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.starts_with("The following packages are incompatible"))
        // The message says that they conflict.
        .filter(|line| !line.ends_with("which conflicts with the versions reported above."))
        .filter(|line| {
            // `shared-lib 2.0`: a version that could be taken is no reason.
            let text = line.trim_start_matches([' ', '│', '├', '└', '─']);
            !text.is_empty() && (text.contains([',', ':', '*']) || text.ends_with("would require"))
        })
        .map(|line| {
            SAID_BY_THE_TREE
                .iter()
                .fold(line.to_owned(), |line, said| line.replace(said, ""))
        })
        .collect();
    let left = lines.len().saturating_sub(REASON_LINES);
    lines.truncate(REASON_LINES);
    match left {
        0 => {}
        1 => lines.push("… and 1 line more".to_owned()),
        _ => lines.push(format!("… and {left} lines more")),
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::smallest_clash;

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
