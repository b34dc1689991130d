//! Channels that may not be used: the site forbids them, or the configuration.

use rattler_conda_types::{Channel, RepoDataRecord};
use url::Url;

use super::context::Context;
use super::error::ApplyError;
use super::prefixes::LockedPrefix;
use super::resolve::Locked;
use super::subject::Subject;
use crate::conda::{Settings, resolve_channels};
use crate::lock::{Inputs, Request, is_wheel};
use crate::spec::{self, EnvSpec, Span, SpecErrors, shown};

/// The channels that a spec names, and the place of each; where it names none, those
/// of the configuration.
pub(super) fn named_channels<'a>(
    spec: &'a EnvSpec,
    settings: &'a Settings,
) -> Vec<(&'a str, Span)> {
    let written = spec.channels.iter();
    let written = written.map(|channel| (channel.value.as_str(), channel.span));
    match (&settings.channels, spec.channels.first()) {
        (Some(said), Some(first)) if !spec.names_channels => {
            let said = said.value.iter();
            said.map(|name| (name.as_str(), first.span)).collect()
        }
        _ => written.collect(),
    }
}

/// A channel under one of the names that it is asked for by.
struct Asked {
    name: String,
    span: Span,
    /// What conda's configuration says of it.
    verdict: Result<(), String>,
}

/// Refuses the names of channels that the site forbids, in the list and in front of a
/// package: before anybody asks what they mean.
pub(super) fn refuse_names<'a>(
    subject: &Subject,
    settings: &Settings,
    requests: impl Iterator<Item = &'a Request>,
) -> Result<(), ApplyError> {
    let listed = named_channels(&subject.file.spec, settings).into_iter();
    let listed = listed.map(|(name, span)| (name.to_owned(), span));
    let in_front = requests.filter_map(|request| {
        let name = request.spec.channel.as_ref()?.name.clone()?;
        Some((name, request.origin.span()))
    });
    let asked = listed.chain(in_front).map(|(name, span)| Asked {
        name,
        span,
        verdict: Ok(()),
    });
    judge(subject, asked.collect())
}

/// Refuses channels that the site or the configuration forbids, whatever name they were
/// asked for by: as a URL, behind an alias, at a mirror.
pub(super) fn refuse_forbidden(
    context: &Context,
    subject: &Subject,
    inputs: &Inputs,
) -> Result<(), ApplyError> {
    let settings = context.settings()?;
    let mut asked: Vec<Asked> = Vec::new();
    let mut ask = |name: String, span, verdict| {
        asked.push(Asked {
            name,
            span,
            verdict,
        });
    };
    let urls = |channel: &Channel| {
        let url: &Url = channel.base_url.url();
        let places = settings.places(url).into_iter();
        std::iter::once(url.clone()).chain(places)
    };
    for (name, span) in named_channels(&subject.file.spec, settings) {
        let (resolved, _) = resolve_channels(settings.names(), [name], [])?;
        for channel in &resolved {
            for url in urls(channel) {
                ask(
                    url.to_string(),
                    span,
                    settings.channel_verdict(channel.base_url.url()),
                );
            }
        }
    }
    for request in inputs.prefixes().flat_map(|(_, requests)| requests) {
        let span = request.origin.span();
        if let Some(channel) = &request.spec.channel {
            // The field: `name()` is the URL where the alias is a folder.
            if let Some(name) = &channel.name {
                ask(name.clone(), span, Ok(()));
            }
            for url in urls(channel) {
                ask(
                    url.to_string(),
                    span,
                    settings.channel_verdict(channel.base_url.url()),
                );
            }
        }
        if let Some(url) = &request.spec.url {
            let verdict = settings.package_verdict(url);
            for url in std::iter::once(url.clone()).chain(settings.places(url)) {
                ask(url.to_string(), span, verdict.clone());
            }
        }
    }
    judge(subject, asked)
}

/// Refuses the packages of a lock that are of a forbidden channel: a lock may be older than
/// the policy, or somebody else's.
pub(super) fn refuse_packages(
    context: &Context,
    subject: &Subject,
    prefixes: &[LockedPrefix],
) -> Result<(), ApplyError> {
    let settings = context.settings()?;
    let records = prefixes.iter().flat_map(|prefix| &prefix.records);
    for record in records.filter(|record| !is_wheel(record)) {
        let of_site = subject.site.channel_verdict(record.url.as_str());
        let verdict = of_site.and_then(|()| settings.package_verdict(&record.url));
        if let Err(reason) = verdict {
            return Err(ApplyError::ForbiddenPackage {
                name: subject.file.lock_name(),
                package: record.package_record.name.as_normalized().to_owned(),
                reason,
            });
        }
    }
    Ok(())
}

/// Refuses the packages of a lock that are from elsewhere than the spec's channels: who
/// edits a lock names the place and the checksum of what is installed.
pub(super) fn refuse_strangers(
    subject: &Subject,
    locked: &Locked,
    prefixes: &[LockedPrefix],
) -> Result<(), ApplyError> {
    if !locked.is_doubted() {
        return Ok(());
    }
    let of_channel = |url: &Url| {
        let mut channels = locked.channels.iter();
        channels.any(|channel| {
            let base = channel.base_url.url().as_str().trim_end_matches('/');
            let below = url.as_str().strip_prefix(base);
            below.is_some_and(|below| below.starts_with('/'))
        })
    };
    for prefix in prefixes {
        let asked_by_url = |url: &Url| {
            let mut requested = prefix.requested.iter();
            requested.any(|spec| spec.url.as_ref() == Some(url))
        };
        let is_stranger = |record: &&RepoDataRecord| {
            !is_wheel(record) && !of_channel(&record.url) && !asked_by_url(&record.url)
        };
        if let Some(record) = prefix.records.iter().find(is_stranger) {
            return Err(ApplyError::StrangePackage {
                name: subject.file.lock_name(),
                package: record.package_record.name.as_normalized().to_owned(),
                url: shown(record.url.as_str()),
            });
        }
    }
    Ok(())
}

fn judge(subject: &Subject, asked: Vec<Asked>) -> Result<(), ApplyError> {
    let site = &subject.site;
    let mut faults: Option<SpecErrors> = None;
    let mut blamed: Vec<Span> = Vec::new();
    for Asked {
        name,
        span,
        verdict,
    } in asked
    {
        let (by, reason) = match (site.channel_verdict(&name), verdict) {
            (Err(reason), _) => (format!("at the site {}", site.name), reason),
            (_, Err(reason)) => ("by conda's configuration".to_owned(), reason),
            _ => continue,
        };
        if blamed.contains(&span) {
            continue;
        }
        blamed.push(span);
        let message = format!("the channel `{name}` is forbidden {by}");
        let fault = spec::fault(&subject.file.source, span, message, "asked here", reason);
        faults = Some(match faults.take() {
            Some(earlier) => earlier.and(fault),
            None => fault,
        });
    }
    faults.map_or(Ok(()), |faults| Err(faults.into()))
}
