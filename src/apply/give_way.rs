//! A newer conda package to which the `pip:` section has no solution stays at the version
//! that it had, if that is found by trying.

use std::sync::Arc;

use rattler_conda_types::{MatchSpec, PackageName, ParseStrictness, RepoDataRecord};
use rattler_lock::PypiDistributionData;

use super::blame::normalized;
use super::error::ApplyError;
use super::held_back::HeldBack;
use super::held_wheels::reasons;
use super::pip::{Asking, Once, PipFailure, guilty};
use super::solution::{Keep, Part};
use crate::conda::{CondaError, Line, Solve, brings_distributions, solve_all};
use crate::lock::PlatformPackages;
use crate::pip::{Answer, PipError};

/// Packages of conda's with the wheels beside them.
pub(super) struct Found {
    /// conda's.
    pub(super) packages: PlatformPackages,
    /// pip's.
    pub(super) answer: Answer,
}

/// What an attempt to hold packages gives; without a failure it was conda's solver that found
/// nothing.
type Tried = Result<Found, Option<Box<PipFailure>>>;

/// A package that is held for a try.
#[derive(Clone)]
struct Hold<'a> {
    before: &'a RepoDataRecord,
    after: &'a RepoDataRecord,
    /// How.
    spec: MatchSpec,
    /// Why nothing else will do.
    why: Option<Arc<PipFailure>>,
}

/// What pip adds to conda's packages. Where a newer lock is looked for, a conda package that
/// pip's lines do not go with is held, and what holds wheels is told.
pub(super) async fn beside(
    asking: &Asking<'_>,
    part: &Part<'_>,
    question: &Solve<'_>,
    packages: PlatformPackages,
    keep: &Keep<'_>,
) -> Result<(Found, Vec<HeldBack>), ApplyError> {
    let named = match keep {
        Keep::Nothing | Keep::All(_) => None,
        Keep::Renewed(_) => Some(&[][..]),
        Keep::AllBut(_, named) => Some(*named),
    };
    let answer = asking.resolve(&packages, &part.pip_before).await;
    let (found, mut held) = match answer {
        Ok(answer) => (Found { packages, answer }, Vec::new()),
        Err(ApplyError::Pip(failure)) if named.is_some() && is_unsolvable(failure.error()) => {
            asking.give_way(part, question, &packages, failure).await?
        }
        Err(error) => return Err(error),
    };
    if let (Some(named), Some(asked)) = (named, asking.asked(&found.packages).await?) {
        let is_meant = |wheel: &PypiDistributionData| {
            named.is_empty() || named.iter().any(|name| is_called(wheel, name))
        };
        held.extend(asking.held_wheels(&asked, &found.answer, is_meant).await);
    }
    Ok((found, held))
}

/// Whether a wheel is what somebody names, who may call it as its record is called.
pub(super) fn is_called(wheel: &PypiDistributionData, name: &PackageName) -> bool {
    let (own, name): (&str, &str) = (wheel.name.as_ref(), name.as_normalized());
    name == own || name.strip_prefix("pypi-") == Some(own)
}

impl Asking<'_> {
    /// Finds conda packages that have to stay what they were in the lock for the `pip:`
    /// section to have a solution, few of them, and tells them.
    ///
    /// # Errors
    /// The failure that there was, if nothing is found.
    pub(super) async fn give_way(
        &self,
        part: &Part<'_>,
        question: &Solve<'_>,
        moved: &PlatformPackages,
        failure: Box<PipFailure>,
    ) -> Result<(Found, Vec<HeldBack>), ApplyError> {
        let candidates = candidates(&part.locked, &moved.records);
        let mut known = moved.clone();
        known.records.clone_from(&part.locked);
        if candidates.is_empty() {
            return Err(failure.into());
        }
        // If it has none with what is locked either, what conda moved is not the reason.
        self.resolve(&known, &part.pip_before).await?;
        let named = failure.error().of_conda();
        let is_named = |hold: &&Hold<'_>| {
            let name = normalized(hold.before.package_record.name.as_normalized());
            let is_python = name == "python" && failure.error().speaks_of_python();
            is_python || named.iter().any(|own| own.split(' ').next() == Some(&name))
        };
        let first: Vec<Hold<'_>> = candidates.iter().filter(is_named).cloned().collect();
        let mut found = None;
        for holds in [first, candidates] {
            if holds.is_empty() {
                continue;
            }
            if let Ok(tried) = self.hold(part, question, moved, &holds).await? {
                found = Some((holds, tried));
                break;
            }
        }
        let Some((mut holds, mut best)) = found else {
            return Err(failure.into());
        };
        let mut place = 0;
        while holds.len() > 1 && place < holds.len() {
            let mut fewer = holds.clone();
            fewer.remove(place);
            match self.hold(part, question, moved, &fewer).await? {
                Ok(tried) => (holds, best) = (fewer, tried),
                Err(why) => {
                    holds[place].why = why.map(Arc::from);
                    place += 1;
                }
            }
        }
        for place in 0..holds.len() {
            let mut nearer = holds.clone();
            let Some(spec) = self.wanted(moved, &holds[place]).await? else {
                continue;
            };
            nearer[place].spec = spec;
            if let Ok(tried) = self.hold(part, question, moved, &nearer).await? {
                (holds, best) = (nearer, tried);
            }
        }
        let held = holds.iter().map(|hold| self.told(moved, hold, &failure));
        let held = held.collect();
        Ok((best, held))
    }

    /// Solves with packages held, and asks pip beside the solution.
    async fn hold(
        &self,
        part: &Part<'_>,
        question: &Solve<'_>,
        moved: &PlatformPackages,
        holds: &[Hold<'_>],
    ) -> Result<Tried, ApplyError> {
        let own = Line {
            kernel: None,
            is_written: false,
            number: 0,
        };
        let specs = holds.iter().map(|hold| hold.spec.clone());
        let specs: Vec<MatchSpec> = question.specs.iter().cloned().chain(specs).collect();
        let mut lines = question.lines.to_vec();
        lines.resize(specs.len(), own);
        let question = Solve {
            specs: &specs,
            lines: &lines,
            ..*question
        };
        let answers = solve_all(&[question], self.gateways, &self.context.progress).await?;
        let mut packages = moved.clone();
        match answers.into_iter().next() {
            Some(Ok(solution)) => packages.records = solution.records,
            Some(Err(CondaError::Unsolvable(_))) | None => return Ok(Err(None)),
            Some(Err(error)) => return Err(error.into()),
        }
        match self.resolve(&packages, &part.pip_before).await {
            Ok(answer) => Ok(Ok(Found { packages, answer })),
            Err(ApplyError::Pip(failure)) if is_unsolvable(failure.error()) => {
                Ok(Err(Some(failure)))
            }
            Err(error) => Err(error),
        }
    }

    /// The newest that pip's lines let in of a package, between what it was and what conda
    /// would make of it: what pip itself would take if conda brought none.
    async fn wanted(
        &self,
        moved: &PlatformPackages,
        hold: &Hold<'_>,
    ) -> Result<Option<MatchSpec>, ApplyError> {
        let Some(mut asked) = self.asked(moved).await? else {
            return Ok(None);
        };
        let name = normalized(hold.before.package_record.name.as_normalized());
        asked.brought.remove(&name);
        let once = Once {
            earlier: &[],
            alone: false,
        };
        let Ok(answer) = self.ask(&asked, &asked.said.requirements, once).await else {
            return Ok(None);
        };
        let mut wheels = answer.wheels.iter();
        let own = wheels.find(|wheel| normalized(wheel.name.as_ref()) == name);
        Ok(own.and_then(|own| spec(hold.before, &format!("<={}", own.version))))
    }

    fn told(&self, moved: &PlatformPackages, hold: &Hold<'_>, failure: &PipFailure) -> HeldBack {
        let failure = hold.why.as_deref().unwrap_or(failure);
        let section = self.subject.pip_of(moved.isolated.as_deref());
        let lines = section
            .into_iter()
            .flat_map(|section| guilty(section, failure.error()));
        HeldBack {
            platform: moved.platform,
            isolated: moved.isolated.clone(),
            name: hold.before.package_record.name.as_normalized().to_owned(),
            newest: hold.after.package_record.version.to_string(),
            requests: Vec::new(),
            pip: lines.cloned().collect(),
            conda: Vec::new(),
            reasons: reasons(failure),
        }
    }
}

/// Whether other conda packages could be the remedy.
fn is_unsolvable(error: &PipError) -> bool {
    matches!(
        error,
        PipError::NoSolution { .. }
            | PipError::NoWheel { .. }
            | PipError::Source { .. }
            | PipError::ForeignSource { .. }
    )
}

/// The packages of Python's that are not what they were, and Python, held at that.
fn candidates<'a>(before: &'a [RepoDataRecord], after: &'a [RepoDataRecord]) -> Vec<Hold<'a>> {
    let of_one = |before: &'a RepoDataRecord| {
        let own = &before.package_record;
        let name = own.name.as_normalized();
        let mut same = after
            .iter()
            .filter(|after| after.package_record.name == own.name);
        let after = same.find(|after| after.package_record.version != own.version)?;
        let spec = if name == "python" {
            let (major, minor) = own.version.as_major_minor()?;
            spec(before, &format!("{major}.{minor}.*"))?
        } else if brings_distributions(before) {
            spec(before, &format!("=={}", own.version))?
        } else {
            return None;
        };
        Some(Hold {
            before,
            after,
            spec,
            why: None,
        })
    };
    before.iter().filter_map(of_one).collect()
}

/// A requirement on the versions of a package.
fn spec(of: &RepoDataRecord, versions: &str) -> Option<MatchSpec> {
    let name = of.package_record.name.as_normalized();
    MatchSpec::from_str(&format!("{name} {versions}"), ParseStrictness::Lenient).ok()
}
