//! Which generations, packages and leftovers may go: a judgement over observed
//! facts.
//!
//! What is in use stays, whatever was asked for. Of the rest, those stay that
//! one may want to go back to: the last few of each environment and the young
//! ones. Of an environment that was deleted only the young ones stay: a kernel may
//! still run on a machine that can't be seen from here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

/// How many earlier generations of an environment stay if nothing is said.
pub const KEPT_EARLIER: usize = 3;

/// How long a generation that was left stays if nothing is said, and what
/// sessions leave behind.
pub const KEPT_FOR: Duration = Duration::from_hours(30 * 24);

/// What stays although nobody uses it. Each rule keeps by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// So many earlier generations of each environment.
    pub keep: usize,
    /// Those that were current, or made, no longer ago than this.
    pub younger_than: Duration,
}

impl Retention {
    /// What is said replaces both rules: who names one wants only that.
    pub fn new(keep: Option<usize>, older_than: Option<Duration>) -> Self {
        match (keep, older_than) {
            (None, None) => Self {
                keep: KEPT_EARLIER,
                younger_than: KEPT_FOR,
            },
            (keep, older_than) => Self {
                keep: keep.unwrap_or(0),
                younger_than: older_than.unwrap_or(Duration::ZERO),
            },
        }
    }
}

/// What shape a folder of a generation is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// It has its receipt.
    Whole,
    /// It has none: an apply builds it, or was killed at it.
    Half,
    /// Its receipt can't be read: a newer envspec may know better.
    Unreadable,
}

/// Who or what refers to a generation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Kept {
    /// An environment's link points to it.
    Current,
    /// Its environment is being changed by somebody.
    Busy {
        /// Who.
        by: String,
    },
    /// A session runs from it or will.
    Session {
        /// The session's name.
        session: String,
    },
    /// A process of this machine uses it.
    Process {
        /// Its number.
        pid: u32,
        /// Its name.
        name: String,
    },
    /// Another member of the group may use it: for a kernel or a session.
    Member {
        /// The user's name.
        member: String,
    },
    /// A registered kernelspec runs it.
    Kernelspec {
        /// The kernelspec's name.
        registered: String,
    },
    /// A site shares this root: other people's environments may be links to it.
    Shared,
    /// It is another user's, who alone can delete it.
    Theirs {
        /// The user's name.
        owner: String,
    },
    /// Its receipt can't be read.
    Unreadable,
    /// It is one of the last few.
    Earlier,
    /// It was left, or made, not long ago.
    Young,
}

/// What is known of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The name of its folder.
    pub generation: String,
    /// Its environment.
    pub environment: String,
    /// Whether that was deleted.
    pub is_deleted: bool,
    /// What shape it is in.
    pub shape: Shape,
    /// How long ago it was left, or made if it never was current.
    pub idle: Duration,
    /// Who refers to it: never `Earlier` or `Young`, which are judged here.
    pub uses: BTreeSet<Kept>,
}

/// Says of each generation why it stays; what has no reason may go.
pub fn judge(candidates: &[Candidate], retention: Retention) -> BTreeMap<String, Option<Kept>> {
    let mut by_age: Vec<&Candidate> = candidates.iter().collect();
    // A stable order: of those of one second the first counts as the youngest.
    by_age.sort_by_key(|candidate| candidate.idle);
    let mut earlier: BTreeMap<&str, usize> = BTreeMap::new();
    let mut verdicts = BTreeMap::new();
    for candidate in by_age {
        let first_use = candidate.uses.first().cloned();
        let kept = match candidate.shape {
            Shape::Unreadable => first_use.or(Some(Kept::Unreadable)),
            Shape::Half => first_use,
            Shape::Whole if candidate.uses.contains(&Kept::Current) => Some(Kept::Current),
            Shape::Whole => {
                let before = earlier.entry(&candidate.environment).or_default();
                *before += 1;
                let is_earlier = !candidate.is_deleted && *before <= retention.keep;
                first_use
                    .or_else(|| is_earlier.then_some(Kept::Earlier))
                    .or_else(|| (candidate.idle < retention.younger_than).then_some(Kept::Young))
            }
        };
        verdicts.insert(candidate.generation.clone(), kept);
    }
    verdicts
}

/// A package in the cache.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CachedPackage {
    /// The name of its folder: name, version and build, for some a digest.
    pub folder: String,
    /// The digest of its archive, if it is noted.
    pub digest: Option<String>,
}

/// Whether a package of the cache is one of those that generations are made of,
/// which are written as name, version and build.
pub fn is_used(package: &CachedPackage, used: &BTreeSet<String>) -> bool {
    if used.contains(&package.folder) {
        return true;
    }
    // One that was asked for by its URL has the URL's digest behind its name.
    package.folder.rsplit_once('-').is_some_and(|(name, tail)| {
        tail.len() == 64 && tail.bytes().all(|byte| byte.is_ascii_hexdigit()) && used.contains(name)
    })
}

/// Whether bytecode for a Python (`3.11.2-h0_cpython`) can be of use: a
/// generation has that Python.
pub fn is_python_used(python: &str, used: &BTreeSet<String>) -> bool {
    used.contains(&format!("python-{python}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{CachedPackage, Candidate, Kept, Retention, Shape, is_python_used, is_used, judge};

    const DAY: Duration = Duration::from_hours(24);

    /// `name days shape uses`.
    fn candidate(line: &str) -> Candidate {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, days, shape, uses @ ..] = words.as_slice() else {
            panic!("{line}")
        };
        Candidate {
            generation: (*name).to_owned(),
            environment: name.rsplit_once('-').unwrap().0.to_owned(),
            is_deleted: uses.contains(&"deleted"),
            idle: DAY * days.parse().unwrap(),
            shape: match *shape {
                "whole" => Shape::Whole,
                "half" => Shape::Half,
                _ => Shape::Unreadable,
            },
            uses: uses
                .iter()
                .filter(|word| **word != "deleted")
                .map(|word| match *word {
                    "current" => Kept::Current,
                    "busy" => Kept::Busy {
                        by: "me@here".to_owned(),
                    },
                    "session" => Kept::Session {
                        session: "envspec-lab".to_owned(),
                    },
                    "process" => Kept::Process {
                        pid: 1,
                        name: "python".to_owned(),
                    },
                    _ => Kept::Kernelspec {
                        registered: "lab-python".to_owned(),
                    },
                })
                .collect(),
        }
    }

    fn kept(table: &str, retention: Retention) -> Vec<String> {
        let candidates: Vec<Candidate> = table
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(candidate)
            .collect();
        judge(&candidates, retention)
            .into_iter()
            .map(|(name, kept)| {
                let why = kept.map_or("goes".to_owned(), |kept| {
                    serde_json::to_value(kept).unwrap()["why"]
                        .as_str()
                        .unwrap()
                        .to_owned()
                });
                format!("{name} {why}")
            })
            .collect()
    }

    const LAB: &str = "
        lab-1 0   whole current
        lab-2 40  whole
        lab-3 50  whole
        lab-4 60  whole
        lab-5 70  whole
        lab-6 80  whole session
        lab-7 90  whole
        bio-1 0   whole current
        bio-2 99  whole
    ";

    #[test]
    fn if_nothing_is_said_the_last_three_stay_and_what_is_young() {
        let default = Retention::new(None, None);
        assert_eq!(
            kept(LAB, default),
            [
                "bio-1 current",
                "bio-2 earlier",
                "lab-1 current",
                "lab-2 earlier",
                "lab-3 earlier",
                "lab-4 earlier",
                "lab-5 goes",
                "lab-6 session",
                "lab-7 goes",
            ]
        );
        let young = "
            lab-1 0  whole current
            lab-2 1  whole
            lab-3 2  whole
            lab-4 3  whole
            lab-5 29 whole
            lab-6 31 whole
        ";
        let verdicts = kept(young, default);
        assert_eq!(verdicts[4..], ["lab-5 young", "lab-6 goes"]);
    }

    #[test]
    fn of_a_deleted_environment_what_is_young_or_in_use_stays_and_nothing_to_go_back_to() {
        let deleted = "
            lab-1 2  whole deleted
            lab-2 29 whole deleted
            lab-3 31 whole deleted
            lab-4 40 whole deleted session
        ";
        let wanted = ["lab-1 young", "lab-2 young", "lab-3 goes", "lab-4 session"];
        assert_eq!(kept(deleted, Retention::new(None, None)), wanted);
        let all = kept(deleted, Retention::new(Some(5), None));
        assert_eq!(all[..3], ["lab-1 goes", "lab-2 goes", "lab-3 goes"]);
    }

    #[test]
    fn what_is_said_replaces_both_rules() {
        let one = kept(LAB, Retention::new(Some(1), None));
        assert_eq!(one[1], "bio-2 earlier");
        assert_eq!(one[3..5], ["lab-2 earlier", "lab-3 goes"]);
        let old = kept(LAB, Retention::new(None, Some(DAY * 55)));
        assert_eq!(old[1], "bio-2 goes");
        assert_eq!(old[3..6], ["lab-2 young", "lab-3 young", "lab-4 goes"]);
        let both = kept(LAB, Retention::new(Some(1), Some(DAY * 55)));
        assert_eq!(
            both[1..6],
            [
                "bio-2 earlier",
                "lab-1 current",
                "lab-2 earlier",
                "lab-3 young",
                "lab-4 goes"
            ]
        );
    }

    #[test]
    fn what_is_in_use_stays_whatever_is_asked_for() {
        let table = "
            lab-1 900 whole current
            lab-2 900 whole session
            lab-3 900 whole process
            lab-4 900 whole kernelspec
            lab-5 900 whole busy
            lab-6 900 half  busy
            lab-7 900 half  process
            lab-8 0   half
            lab-9 900 unreadable
            lab-a 0   whole
        ";
        assert_eq!(
            kept(table, Retention::new(Some(0), Some(Duration::ZERO))),
            [
                "lab-1 current",
                "lab-2 session",
                "lab-3 process",
                "lab-4 kernelspec",
                "lab-5 busy",
                "lab-6 busy",
                "lab-7 process",
                "lab-8 goes",
                "lab-9 unreadable",
                "lab-a goes",
            ]
        );
    }

    #[test]
    fn a_package_is_used_by_its_name_version_and_build() {
        let used = ["a-1-0", "python-3.11.2-h0_cpython"]
            .map(str::to_owned)
            .into();
        let by_url = format!("a-1-0-{}", "ab".repeat(32));
        for (folder, expected) in [
            ("a-1-0", true),
            ("a-1-1", false),
            (by_url.as_str(), true),
            ("a-1-0-ab", false),
            ("b-1-0", false),
        ] {
            let package = CachedPackage {
                folder: folder.to_owned(),
                digest: None,
            };
            assert_eq!(is_used(&package, &used), expected, "{folder}");
        }
        assert!(is_python_used("3.11.2-h0_cpython", &used));
        assert!(!is_python_used("3.12.0-h0_cpython", &used));
    }
}
