//! The smallest changes with which there is a solution, found by trying.
//!
//! Whatever is suggested was solved before, with the whole request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rattler_conda_types::{
    Channel, GenericVirtualPackage, MatchSpec, PackageName, RepoDataRecord, Version,
};
use rattler_repodata_gateway::RepoData;

use super::conflict::smallest_clash;
use super::elsewhere::channel_name;
use super::line::{lines, loose, read, version_of};
use super::solve::{Solve, Tried};
use crate::lock::Need;

/// How long is tried.
const PATIENCE: Duration = Duration::from_secs(15);

/// How many changes of a single line are shown.
const SHOWN: usize = 3;

/// A change with which the whole request has a solution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// What to change.
    pub change: Suggestion,
    /// The requirements in the place of others, counted in the request's.
    changed: Vec<(usize, Option<MatchSpec>)>,
    /// A requirement more.
    added: Option<MatchSpec>,
}

impl Remedy {
    /// Whether it solves another question too, if it changes anything there: `of` is the
    /// one that it was found for. The same line may be for both platforms, or for one.
    pub(super) fn solves(&self, of: &Solve<'_>, other: &Solve<'_>, index: &[RepoData]) -> bool {
        let search = Search::new(other, index);
        if let Suggestion::Isolated(at) = self.change {
            return search.apart(of.lines.get(at).and_then(|line| line.kernel));
        }
        let there = |at: usize| {
            let number = of.lines.get(at)?.number;
            other.lines.iter().position(|line| line.number == number)
        };
        let changed = self.changed.iter();
        let changed: Vec<_> = changed
            .filter_map(|(at, spec)| Some((there(*at)?, spec.clone())))
            .collect();
        if changed.is_empty() && self.added.is_none() {
            return true;
        }
        let mut specs = search.with(&changed);
        specs.extend(self.added.clone());
        search.solves(&specs).is_some()
    }
}

/// What to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Suggestion {
    /// Lines that are written otherwise.
    Lines(Vec<Rewritten>),
    /// A line more: a package from a channel that another one hides.
    Added(String),
    /// A machine that has more: `glibc`, `2.34`.
    Target(String, String),
    /// The kernel of this requirement in a prefix of its own.
    Isolated(usize),
}

/// A requirement, written otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// The requirement, counted in the request's.
    pub spec: usize,
    /// The line in its place; `None` if it is left out.
    pub line: Option<String>,
}

/// A search for remedies, which ends in time.
pub(super) struct Search<'a> {
    pub(super) solve: &'a Solve<'a>,
    pub(super) index: &'a [RepoData],
    deadline: std::cell::Cell<Option<Instant>>,
}

impl<'a> Search<'a> {
    pub(super) fn new(solve: &'a Solve<'a>, index: &'a [RepoData]) -> Self {
        Self {
            solve,
            index,
            deadline: std::cell::Cell::new(None),
        }
    }

    /// What would solve, the smallest change first. `core` is the smallest group that
    /// clashes, `reasons` the solver's sentences about it.
    pub(super) fn remedies(&self, core: &[usize], reasons: &[String]) -> Vec<Remedy> {
        let written = |at: &&usize| {
            self.solve
                .lines
                .get(**at)
                .is_none_or(|line| line.is_written)
        };
        let lines: Vec<usize> = core.iter().filter(written).copied().collect();
        let mut found: Vec<Remedy> = self.target(reasons).into_iter().collect();
        found.extend(self.isolated(core));
        let one: Vec<Remedy> = (lines.iter())
            .filter_map(|&at| Some(self.lines(vec![self.loosened(&[], at)?])))
            .take(SHOWN)
            .collect();
        if !one.is_empty() {
            found.extend(one);
            return found;
        }
        if let Some(two) = lines.iter().find_map(|&at| self.two(at)) {
            found.push(two);
            return found;
        }
        let left_out = |&at: &usize| {
            let specs = self.with(&[(at, None)]);
            let rewritten = Rewritten {
                spec: at,
                line: None,
            };
            self.solves(&specs).map(|_| self.lines(vec![rewritten]))
        };
        found.extend(lines.iter().filter_map(left_out).take(SHOWN));
        found
    }

    /// One line in a version that goes with all others; `changed` are changed already.
    fn loosened(&self, changed: &[(usize, Option<MatchSpec>)], at: usize) -> Option<Rewritten> {
        let spec = &self.solve.specs[at];
        let name = spec.name.as_exact()?;
        let with = |spec: MatchSpec| {
            let mut changed = changed.to_vec();
            changed.push((at, Some(spec)));
            self.solves(&self.with(&changed))
        };
        let records = with(loose(spec)?)?;
        let version = version_of(name, &records)?;
        let (line, _) = lines(spec, name, &version)
            .into_iter()
            .find(|(_, written)| {
                let is_other = written != spec;
                is_other && with(written.clone()).is_some()
            })?;
        Some(Rewritten {
            spec: at,
            line: Some(line),
        })
    }

    /// This line and another one, where there is more than one clash.
    fn two(&self, at: usize) -> Option<Remedy> {
        let loose_one = loose(&self.solve.specs[at])?;
        let specs = self.with(&[(at, Some(loose_one.clone()))]);
        let all: Vec<usize> = (0..specs.len()).collect();
        let holds = |group: &[usize]| {
            let specs: Vec<MatchSpec> = group.iter().map(|&i| specs[i].clone()).collect();
            self.is_over() || self.solves(&specs).is_some()
        };
        let clash = smallest_clash(&all, &holds);
        let others = clash.into_iter().filter(|&other| {
            other != at
                && self
                    .solve
                    .lines
                    .get(other)
                    .is_none_or(|line| line.is_written)
        });
        others.into_iter().find_map(|other| {
            let second = self.loosened(&[(at, Some(loose_one.clone()))], other)?;
            // The first, now with the second as it is suggested.
            let line = second.line.as_ref()?;
            let written = read(line, &self.solve.specs[other])?;
            let first = self.loosened(&[(other, Some(written))], at)?;
            Some(self.lines(vec![first, second]))
        })
    }

    /// The remedy of lines that were tried.
    fn lines(&self, lines: Vec<Rewritten>) -> Remedy {
        let changed = lines.iter().map(|line| {
            let text = line.line.as_ref();
            let spec = text.and_then(|text| read(text, &self.solve.specs[line.spec]));
            (line.spec, spec)
        });
        Remedy {
            changed: changed.collect(),
            added: None,
            change: Suggestion::Lines(lines),
        }
    }

    /// A machine that offers what the reasons miss.
    fn target(&self, reasons: &[String]) -> Option<Remedy> {
        let mut wanted: Vec<(String, Version)> = Vec::new();
        for reason in reasons {
            let Some((_, requirement)) = reason.split_once(" needs ") else {
                continue;
            };
            let requirement = requirement.trim_end_matches(", which there is not");
            let need = Need {
                requirement: requirement.to_owned(),
                by: String::new(),
                if_there: false,
            };
            let what = need.what();
            let is_of_target = ["__glibc", "__cuda", "__linux"]
                .iter()
                .any(|name| requirement.starts_with(name));
            if is_of_target && !need.is_met(self.solve.virtual_packages) {
                let any = || "12.0".parse().ok().filter(|_| what == "cuda");
                wanted.extend(need.least().or_else(any).map(|least| (what.clone(), least)));
            }
        }
        wanted.sort_by(|a, b| a.1.cmp(&b.1));
        wanted.into_iter().find_map(|(what, version)| {
            let name = PackageName::new_unchecked(format!("__{what}"));
            let mut machine = self.solve.virtual_packages.to_vec();
            machine.retain(|package| package.name != name);
            machine.push(GenericVirtualPackage {
                name,
                version: version.clone(),
                build_string: "0".parse().ok()?,
            });
            let tried = Tried {
                machine: Some(machine),
                patience: Some(self.left()),
                ..Tried::default()
            };
            let specs = self.solve.specs;
            self.solve.attempt_with(specs, self.index, tried).ok()?;
            Some(Remedy {
                change: Suggestion::Target(what, version.to_string()),
                changed: Vec::new(),
                added: None,
            })
        })
    }

    /// The last kernel of those that clash in a prefix of its own, if something else
    /// clashes too.
    fn isolated(&self, core: &[usize]) -> Option<Remedy> {
        let kernel = |at: usize| self.solve.lines.get(at).and_then(|line| line.kernel);
        let last = core
            .iter()
            .rev()
            .copied()
            .find(|&at| kernel(at).is_some())?;
        let is_its = |at: usize| kernel(at) == kernel(last);
        if core.iter().all(|&at| is_its(at)) {
            return None;
        }
        self.apart(kernel(last)).then(|| Remedy {
            change: Suggestion::Isolated(last),
            changed: Vec::new(),
            added: None,
        })
    }

    /// Whether there are solutions for a kernel alone and for all else.
    fn apart(&self, kernel: Option<&str>) -> bool {
        let of = |at: usize| self.solve.lines.get(at).and_then(|line| line.kernel);
        let all = 0..self.solve.specs.len();
        let (own, rest): (Vec<usize>, Vec<usize>) = all.partition(|&at| of(at) == kernel);
        [own, rest].into_iter().all(|group| {
            let specs = group.into_iter().map(|at| self.solve.specs[at].clone());
            self.solves(&specs.collect::<Vec<_>>()).is_some()
        })
    }

    /// The records that a solution of `specs` would take from channels that others hide.
    /// Nothing if there is none even then, or if nothing is hidden.
    pub(super) fn hidden(&self, specs: &[MatchSpec]) -> Vec<RepoDataRecord> {
        if self.solve.channels.len() < 2 {
            return Vec::new();
        }
        let tried = Tried {
            any_channel: true,
            patience: Some(self.left()),
            ..Tried::default()
        };
        let solved = self.solve.attempt_with(specs, self.index, tried);
        let mut records = solved.unwrap_or_default();
        records.retain(|record| {
            let first = self.first(&record.package_record.name);
            first.is_some_and(|first| first.channel != record.channel)
        });
        records
    }

    /// The first record of a name: its channel is the one that counts.
    pub(super) fn first(&self, name: &PackageName) -> Option<&RepoDataRecord> {
        let mut all = self.index.iter().flatten();
        all.find(|record| &record.package_record.name == name)
    }

    /// The channel of a record, as a spec names it.
    pub(super) fn channel_name(&self, record: &RepoDataRecord) -> String {
        match self.channel(record) {
            Some(channel) => channel_name(channel),
            None => record.channel.clone().unwrap_or_default(),
        }
    }

    fn channel(&self, record: &RepoDataRecord) -> Option<&Channel> {
        let of = record.channel.as_deref();
        let mut channels = self.solve.channels.iter();
        channels.find(|channel| Some(channel.canonical_name().as_str()) == of)
    }

    /// The same package from the channel of a record: in the line that asks for it, or
    /// in a line more.
    pub(super) fn taken_from_channel(
        &self,
        at: Option<usize>,
        record: &RepoDataRecord,
    ) -> Vec<Remedy> {
        let Some(channel) = self.channel(record) else {
            return Vec::new();
        };
        let any = MatchSpec::from(record.package_record.name.clone());
        let spec = MatchSpec {
            channel: Some(Arc::new(channel.clone())),
            ..at.map_or(any, |at| self.solve.specs[at].clone())
        };
        let plain = MatchSpec {
            channel: None,
            ..spec.clone()
        };
        let line = format!("{}::{plain}", channel_name(channel));
        let (changed, added) = match at {
            Some(at) => (vec![(at, Some(spec))], None),
            None => (Vec::new(), Some(spec)),
        };
        let mut specs = self.with(&changed);
        specs.extend(added.clone());
        if self.solves(&specs).is_none() {
            return Vec::new();
        }
        let change = match at {
            Some(spec) => Suggestion::Lines(vec![Rewritten {
                spec,
                line: Some(line),
            }]),
            None => Suggestion::Added(line),
        };
        vec![Remedy {
            change,
            changed,
            added,
        }]
    }

    /// The request with some requirements changed or left out.
    fn with(&self, changed: &[(usize, Option<MatchSpec>)]) -> Vec<MatchSpec> {
        let of_one = |(at, spec): (usize, &MatchSpec)| match changed
            .iter()
            .find(|(changed, _)| *changed == at)
        {
            Some((_, other)) => other.clone(),
            None => Some(spec.clone()),
        };
        let specs = self.solve.specs.iter().enumerate();
        specs.filter_map(of_one).collect()
    }

    fn solves(&self, specs: &[MatchSpec]) -> Option<Vec<RepoDataRecord>> {
        if self.is_over() {
            return None;
        }
        let tried = Tried {
            patience: Some(self.left()),
            ..Tried::default()
        };
        self.solve.attempt_with(specs, self.index, tried).ok()
    }

    /// What is left of the time, which begins with the first try.
    fn left(&self) -> Duration {
        let deadline = self
            .deadline
            .get()
            .unwrap_or_else(|| Instant::now() + PATIENCE);
        self.deadline.set(Some(deadline));
        deadline.saturating_duration_since(Instant::now())
    }

    fn is_over(&self) -> bool {
        self.left().is_zero()
    }
}
