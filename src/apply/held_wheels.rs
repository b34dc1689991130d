//! Wheels that are not the newest, and what holds them, as far as uv can say it.

use std::time::{Duration, Instant};

use rattler_lock::{PypiDistributionData, UrlOrPath};

use super::blame::normalized;
use super::error::ApplyError;
use super::held_back::HeldBack;
use super::pip::{Asked, Asking, Once, PipFailure, guilty};
use crate::lock::is_wheel_file;
use crate::pip::Answer;
use crate::spec::{PipKind, PipRequirement};

/// How long is searched for what holds wheels.
const PATIENCE: Duration = Duration::from_secs(20);

impl Asking<'_> {
    /// Those of an answer's wheels that `is_meant` names and an index has newer.
    pub(super) async fn held_wheels(
        &self,
        asked: &Asked<'_>,
        answer: &Answer,
        is_meant: impl Fn(&PypiDistributionData) -> bool,
    ) -> Vec<HeldBack> {
        let deadline = Instant::now() + PATIENCE;
        let is_of_index = |wheel: &&PypiDistributionData| {
            let UrlOrPath::Url(url) = &*wheel.location else {
                return false;
            };
            // One that is asked for by its URL is what that has, and of a source it is not
            // known what an index would have newer without one.
            let is_asked = |line: &PipRequirement| line.text.contains(url.as_str());
            is_wheel_file(url) && !asked.lines.iter().any(|line| is_asked(line))
        };
        let of_index = answer.wheels.iter().filter(is_of_index);
        let meant: Vec<&PypiDistributionData> = of_index.filter(|wheel| is_meant(wheel)).collect();
        if meant.is_empty() {
            return Vec::new();
        }
        let mut alone = asked.said.options.clone();
        alone.extend(meant.iter().map(|wheel| wheel.name.to_string()));
        let once = Once {
            earlier: &[],
            alone: true,
        };
        let newest = match self.ask(asked, &alone, once).await {
            Ok(newest) => newest.wheels,
            Err(error) => {
                tracing::debug!("what is newer is not known: {error}");
                return Vec::new();
            }
        };
        let mut held = Vec::new();
        for wheel in meant {
            let newer = newest
                .iter()
                .find(|newer| newer.name == wheel.name && newer.version > wheel.version);
            if let Some(newer) = newer {
                held.push(self.held_wheel(asked, answer, newer, deadline).await);
            }
        }
        held
    }

    /// Who holds a wheel back from a version.
    async fn held_wheel(
        &self,
        asked: &Asked<'_>,
        answer: &Answer,
        newer: &PypiDistributionData,
        deadline: Instant,
    ) -> HeldBack {
        let mut held = HeldBack {
            platform: asked.solved.platform,
            isolated: asked.solved.isolated.clone(),
            name: newer.name.to_string(),
            newest: newer.version.to_string(),
            requests: Vec::new(),
            pip: Vec::new(),
            conda: Vec::new(),
            reasons: Vec::new(),
        };
        let Some(left) = deadline.checked_duration_since(Instant::now()) else {
            return held;
        };
        let mut lines = asked.said.requirements.clone();
        lines.push(format!("{}=={}", newer.name, newer.version));
        let once = Once {
            earlier: &[],
            alone: false,
        };
        match tokio::time::timeout(left, self.ask(asked, &lines, once)).await {
            Err(_) => {}
            Ok(Ok(with)) => held.reasons.extend(older(answer, &with)),
            Ok(Err(ApplyError::Pip(failure))) => {
                held.conda = failure.error().of_conda();
                let named = guilty(asked.section, failure.error());
                held.pip = named
                    .into_iter()
                    .filter(|line| !asks_for_any(line, &held.name))
                    .cloned()
                    .collect();
                held.reasons = reasons(&failure);
            }
            Ok(Err(error)) => tracing::debug!("who holds {} is not known: {error}", held.name),
        }
        held
    }
}

/// Whether a line asks for any version and file of a distribution, so that it holds none
/// back.
fn asks_for_any(line: &PipRequirement, name: &str) -> bool {
    match &line.kind {
        PipKind::Named(requirement) => {
            let is_of_any = requirement.version_or_url.is_none() && line.hashes().next().is_none();
            normalized(requirement.name.as_ref()) == name && is_of_any
        }
        _ => false,
    }
}

/// uv's reasons, a sentence each.
pub(super) fn reasons(failure: &PipFailure) -> Vec<String> {
    let mut reasons: Vec<String> = failure.error().reasons().map(str::to_owned).collect();
    if reasons.is_empty() {
        reasons.push(failure.error().to_string());
    }
    reasons
}

/// What would be older if a wheel were newer.
fn older(now: &Answer, with: &Answer) -> Vec<String> {
    let mut told = Vec::new();
    for wheel in &with.wheels {
        let now = now.wheels.iter().find(|now| now.name == wheel.name);
        if now.is_some_and(|now| now.version > wheel.version) {
            let (name, version) = (&wheel.name, &wheel.version);
            told.push(format!("{name} could be {version} at most beside it"));
        }
    }
    told
}
