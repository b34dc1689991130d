//! A new lock: the solver asked for each platform and each prefix.

use std::collections::BTreeSet;

use rattler_conda_types::{
    Channel, GenericVirtualPackage, MatchSpec, PackageName, RepoDataRecord, Subdir,
};
use rattler_lock::PypiDistributionData;

use super::context::Context;
use super::error::ApplyError;
use super::extras::warning;
use super::give_way::{beside, is_called};
use super::held_back::HeldBack;
use super::nix;
use super::no_solution::NoSolution;
use super::pip::Asking;
use super::subject::Subject;
use crate::conda::{
    self, CondaError, Conflict, Gateways, Held, Line, Network, Solve, package_cache, solve_all,
    virtual_packages,
};
use crate::lock::{Inputs, Lock, LockText, Origin, PlatformPackages, Request};

/// What of the lock that there is goes into the new one.
pub(super) enum Keep<'a> {
    /// Nothing: everything is resolved anew.
    Nothing,
    /// Nothing either; but this one is known to have been a solution.
    Renewed(&'a LockText),
    /// Whatever can be.
    All(&'a LockText),
    /// Whatever can be but for these packages, which are to be the newest.
    AllBut(&'a LockText, &'a [PackageName]),
}

/// A new lock.
pub(super) struct Solved {
    pub(super) text: LockText,
    /// The packages that could not become the newest, where that was looked for.
    pub(super) held: Vec<HeldBack>,
    /// What its user should know of it.
    pub(super) warnings: Vec<String>,
}

/// What is asked for one prefix on one platform.
pub(super) struct Part<'a> {
    isolated: Option<&'a str>,
    requests: Vec<&'a Request>,
    platform: Subdir,
    specs: Vec<MatchSpec>,
    lines: Vec<Line<'a>>,
    virtual_packages: Vec<GenericVirtualPackage>,
    before: Vec<RepoDataRecord>,
    /// What conda has in the lock, whether or not it is to be kept.
    pub(super) locked: Vec<RepoDataRecord>,
    /// What the `pip:` section brought, but for what is named.
    pub(super) pip_before: Vec<PypiDistributionData>,
    named: Vec<PackageName>,
    /// Whether what is locked is the answer.
    is_kept: bool,
}

/// Makes the lock of a spec.
pub(super) async fn solution(
    context: &Context,
    subject: &Subject,
    inputs: &Inputs,
    channels: &[Channel],
    keep: &Keep<'_>,
) -> Result<Solved, ApplyError> {
    let earlier = match keep {
        Keep::Nothing | Keep::Renewed(_) => None,
        Keep::All(lock) | Keep::AllBut(lock, _) => Some(*lock),
    };
    let from_nix = nix::lock(context, subject, inputs, earlier).await?;
    let parts = parts(inputs, keep)?;
    let others = other_channels(context, subject, channels);
    let open = || parts.iter().filter(|part| !part.is_kept);
    let questions: Vec<Solve<'_>> = open()
        .map(|part| Solve {
            channels,
            priority: inputs.channel_priority,
            platform: part.platform,
            specs: &part.specs,
            virtual_packages: &part.virtual_packages,
            favored: &part.before,
            named: &part.named,
            lines: &part.lines,
            isolated: part.isolated,
            others: &others,
        })
        .collect();
    let client = context.client()?;
    let _umask = context.root.join_group()?;
    let cache = package_cache(&context.root.packages());
    // The engine's files are for their owner alone.
    let index = match context.root.group() {
        Some(_) => context.root.index().join(context.who.uid.to_string()),
        None => context.root.index(),
    };
    let gateways = Gateways::new(&client, context.network, &index, &cache);
    let answers = solve_all(&questions, &gateways, &context.progress).await?;
    let mut solved = Vec::new();
    let mut held = Vec::new();
    let mut unsolvable = Vec::new();
    for (part, answer) in open().zip(answers) {
        match answer {
            Ok(conda::Solution {
                records,
                held: of_part,
            }) => {
                solved.push(records);
                held.extend(of_part.into_iter().map(|held| part.held_back(held)));
            }
            Err(CondaError::Unsolvable(conflict)) => unsolvable.push((part, *conflict)),
            Err(error) => return Err(error.into()),
        }
    }
    if !unsolvable.is_empty() {
        return Err(no_solution(subject, inputs, channels, &unsolvable));
    }
    let asking = Asking::new(context, subject, channels, &gateways, &client);
    let mut solved = solved.into_iter().zip(&questions);
    let mut solution = Vec::new();
    let mut warnings = BTreeSet::new();
    let mut sizes = earlier.map(LockText::wheel_sizes).unwrap_or_default();
    for part in &parts {
        let mut packages = PlatformPackages {
            isolated: part.isolated.map(str::to_owned),
            platform: part.platform,
            virtual_packages: part.virtual_packages.clone(),
            records: part.before.clone(),
            pip: part.pip_before.clone(),
        };
        if !part.is_kept {
            let (records, question) = solved.next().expect("each open part was solved");
            packages.records = records;
            let (found, held_by_pip) =
                Box::pin(beside(&asking, part, question, packages, keep)).await?;
            held.retain(|known: &HeldBack| !held_by_pip.iter().any(|new| new.is_of(known)));
            held.extend(held_by_pip);
            packages = found.packages;
            packages.pip = found.answer.wheels;
            warnings.extend(found.answer.lost.iter().map(warning));
            sizes.extend(found.answer.sizes);
        }
        solution.push(packages);
    }
    let spec_name = subject
        .file
        .path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    let text = Lock::render(&spec_name, inputs, channels, &solution, &from_nix)?;
    let text = sizes.told_in(&text, solution.iter().flat_map(|part| &part.pip));
    Ok(Solved {
        text: LockText::new(subject.file.lock_name(), text),
        held,
        warnings: warnings.into_iter().collect(),
    })
}

/// All that is to be asked: each prefix for each platform, in the order of the lock.
fn parts<'a>(inputs: &'a Inputs, keep: &Keep<'_>) -> Result<Vec<Part<'a>>, ApplyError> {
    let (lock, named) = match keep {
        Keep::Nothing | Keep::Renewed(_) => (None, &[][..]),
        Keep::All(lock) => (Some(lock), &[][..]),
        Keep::AllBut(lock, named) => (Some(lock), *named),
    };
    // A broken lock is no reason to stop: the solution just starts from nothing then.
    let earlier = lock.and_then(|lock| lock.read().ok());
    let renewed = match keep {
        Keep::Renewed(lock) => lock.read().ok(),
        _ => None,
    };
    let is_stale = || {
        let lines = lock.and_then(|lock| lock.inputs());
        lines.is_none_or(|lines| inputs.staleness(&lines).is_some())
    };
    let is_current = !named.is_empty() && !is_stale();
    let mut parts = Vec::new();
    for (isolated, requests) in inputs.prefixes() {
        for &platform in &inputs.platforms {
            let locked = earlier.as_ref();
            let locked = locked.and_then(|lock| lock.conda_records(isolated, platform).ok());
            let is_locked = locked.is_some();
            let pip = earlier
                .as_ref()
                .and_then(|lock| lock.pip(isolated, platform).ok());
            let pip = pip.unwrap_or_default();
            let is_named =
                |package: &PypiDistributionData| named.iter().any(|name| is_called(package, name));
            let renews_pip = pip.iter().any(is_named);
            let pip_before = pip
                .into_iter()
                .filter(|package| !is_named(package))
                .collect();
            let before = locked.unwrap_or_default();
            let known = renewed.as_ref();
            let known = known.and_then(|lock| lock.conda_records(isolated, platform).ok());
            let is_there = |name: &&PackageName| {
                let mut records = before.iter();
                records.any(|record| &record.package_record.name == *name)
            };
            let of_conda: Vec<PackageName> = named.iter().filter(is_there).cloned().collect();
            let (lines, requests): (Vec<Line<'_>>, Vec<&Request>) = requests
                .iter()
                .enumerate()
                .filter(|(_, request)| request.applies_to(platform))
                .map(|(number, request)| (line(number, request), request))
                .unzip();
            parts.push(Part {
                isolated,
                platform,
                specs: requests
                    .iter()
                    .map(|request| request.spec.clone())
                    .collect(),
                lines,
                requests,
                virtual_packages: virtual_packages(platform, &inputs.target)
                    .map_err(CondaError::from)?,
                is_kept: is_current && is_locked && of_conda.is_empty() && !renews_pip,
                locked: known.unwrap_or_else(|| before.clone()),
                before,
                pip_before,
                named: of_conda,
            });
        }
    }
    Ok(parts)
}

/// Whose a requirement is.
fn line(number: usize, request: &Request) -> Line<'_> {
    Line {
        number,
        kernel: request.origin.kernel(),
        is_written: matches!(request.origin, Origin::Spec { .. }),
    }
}

/// Channels that a user who misses a package may want: those that the site names in place
/// of forbidden ones, and the two that are most used. None that the site forbids, and
/// without the network only those that are files.
fn other_channels(context: &Context, subject: &Subject, asked: &[Channel]) -> Vec<Channel> {
    let Ok(settings) = context.settings() else {
        return Vec::new();
    };
    let names = settings.names();
    let site = &subject.site;
    let forbidden = site.forbidden.channels.iter();
    let instead =
        forbidden.flat_map(|forbidden| forbidden.instead.iter().map(crate::site::Line::as_str));
    let mut others: Vec<Channel> = Vec::new();
    for name in instead.chain(["conda-forge", "bioconda"]) {
        let Ok((channels, _)) = conda::resolve_channels(names, [name], []) else {
            continue;
        };
        for channel in channels {
            let url = channel.base_url.url();
            let is_known =
                (asked.iter().chain(&others)).any(|known| known.base_url == channel.base_url);
            let is_allowed =
                site.channel_verdict(name).is_ok() && site.channel_verdict(url.as_str()).is_ok();
            let is_reachable = context.network == Network::Online || url.scheme() == "file";
            if !is_known && is_allowed && is_reachable {
                others.push(channel);
            }
        }
    }
    others
}

impl Part<'_> {
    /// The same in the words of the spec.
    fn held_back(&self, held: Held) -> HeldBack {
        let requests = held.specs.iter().map(|&at| self.requests[at].clone());
        HeldBack {
            platform: self.platform,
            isolated: self.isolated.map(str::to_owned),
            name: held.name.as_normalized().to_owned(),
            newest: held.newest,
            requests: requests.collect(),
            pip: Vec::new(),
            conda: Vec::new(),
            reasons: held.reasons,
        }
    }
}

/// Words the conflicts in the user's own lines: the first one whole, of the others that
/// there are.
fn no_solution(
    subject: &Subject,
    inputs: &Inputs,
    channels: &[Channel],
    unsolvable: &[(&Part<'_>, Conflict)],
) -> ApplyError {
    let (first, conflict) = &unsolvable[0];
    let is_same = |(part, other): &&(&Part<'_>, Conflict)| {
        let is_same_line = |a: usize, b: usize| part.lines[a].number == first.lines[b].number;
        part.isolated == first.isolated && other.is_like(conflict, &is_same_line)
    };
    let platforms: Vec<Subdir> = (unsolvable.iter().filter(is_same))
        .map(|(part, _)| part.platform)
        .collect();
    let others: Vec<(Option<&str>, Subdir)> = (unsolvable.iter())
        .filter(|other| !is_same(other))
        .map(|(part, _)| (part.isolated, part.platform))
        .collect();
    let no_solution = NoSolution::new(
        &subject.file.source,
        &first.requests,
        channels,
        &platforms,
        conflict,
    );
    Box::new(no_solution.among(inputs.platforms.len(), &platforms, &others)).into()
}
