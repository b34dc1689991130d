//! `@EXPLICIT`: a list of URLs, each with a checksum if whoever made it wanted one.

use std::collections::BTreeSet;
use std::str::FromStr as _;

use rattler_conda_types::package::{BuildString, CondaArchiveIdentifier};
use rattler_conda_types::{
    ExplicitEnvironmentEntry, ExplicitEnvironmentSpec, NoArchType, PackageArchiveHash, PackageName,
    PackageRecord, ParseExplicitEnvironmentSpecError, RepoDataRecord, Subdir, VersionWithSource,
};
use url::Url;

use super::{ImportError, Imported, ask};
use crate::lock::PlatformPackages;

const WHAT: &str = "a list of conda's explicit URLs";

/// Reads the list. `here` is the platform where neither the list nor a URL tells one.
///
/// # Errors
/// A line that is no package's URL, or a package twice.
pub fn explicit_list(name: &str, text: &str, here: Subdir) -> Result<Imported, ImportError> {
    // rattler takes an empty line for a URL.
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let list = ExplicitEnvironmentSpec::from_str(&lines.join("\n")).map_err(|error| {
        // Its message repeats the line, which may be a URL with a password.
        let reason = match &error {
            ParseExplicitEnvironmentSpecError::InvalidUrl(_, why) => {
                format!("a line behind @EXPLICIT is no URL: {why}")
            }
            other => other.to_string(),
        };
        ImportError::form(name, WHAT, reason)
    })?;
    let mut records = Vec::new();
    let mut names = BTreeSet::new();
    for entry in &list.packages {
        let record = record(entry).map_err(|reason| ImportError::form(name, WHAT, reason))?;
        let package = record.package_record.name.as_normalized().to_owned();
        if !names.insert(package.clone()) {
            let reason = format!("the package {package} is in it twice");
            return Err(ImportError::form(name, WHAT, reason));
        }
        records.push(record);
    }
    let told = records.iter().find_map(|record| {
        let subdir = Subdir::from_str(&record.package_record.subdir).ok()?;
        (subdir != Subdir::NoArch).then_some(subdir)
    });
    let platform = list.platform.or(told).unwrap_or(here);
    let packages = vec![PlatformPackages {
        isolated: None,
        platform,
        virtual_packages: Vec::new(),
        records,
        pip: Vec::new(),
    }];
    let ask::Found { asked, left_out } = ask::leaves(&packages);
    Ok(Imported {
        channels: channels_of(&packages),
        asked,
        platforms: vec![platform],
        packages,
        left_out,
        ..Imported::default()
    })
}

/// The record of a package, as much of it as its URL tells.
fn record(entry: &ExplicitEnvironmentEntry) -> Result<RepoDataRecord, String> {
    let mut url = entry.url.clone();
    let file = url
        .path_segments()
        .and_then(|mut segments| segments.next_back())
        .unwrap_or_default()
        .replace("%21", "!")
        .replace("%2B", "+");
    let no_package = || format!("{file} is not named as a package of conda");
    let identifier = CondaArchiveIdentifier::try_from_filename(&file).ok_or_else(no_package)?;
    let parts = &identifier.identifier;
    let name = PackageName::from_str(&parts.name).map_err(|_| no_package())?;
    let version = VersionWithSource::from_str(&parts.version).map_err(|_| no_package())?;
    let build = BuildString::from_str(&parts.build_string).map_err(|_| no_package())?;
    let mut package = PackageRecord::new(name, version, build);
    package.build_number = build_number(&parts.build_string);
    let subdir = subdir_of(&url).ok_or_else(|| format!("{file} is in no folder of a platform"))?;
    package.subdir = subdir.to_string();
    package.noarch = match (subdir, parts.build_string.contains("py")) {
        (Subdir::NoArch, true) => NoArchType::python(),
        (Subdir::NoArch, false) => NoArchType::generic(),
        _ => NoArchType::none(),
    };
    match entry.package_archive_hash() {
        Ok(Some(PackageArchiveHash::Md5(md5))) => package.md5 = Some(md5),
        Ok(Some(PackageArchiveHash::Sha256(sha256))) => package.sha256 = Some(sha256),
        Ok(None) => {}
        Err(_) => return Err(format!("{file} has a checksum that is none")),
    }
    url.set_fragment(None);
    Ok(RepoDataRecord {
        package_record: package,
        identifier: identifier.into(),
        channel: channel_of(&url),
        url,
    })
}

/// The folder of a platform that a package is in.
fn subdir_of(url: &Url) -> Option<Subdir> {
    let folder = url.path_segments()?.rev().nth(1)?.to_owned();
    Subdir::from_str(&folder).ok()
}

/// The channel's base URL of a package's: all before the folder of the platform.
pub(super) fn channel_of(url: &Url) -> Option<String> {
    let mut base = url.clone();
    base.set_fragment(None);
    base.set_query(None);
    base.path_segments_mut().ok()?.pop().pop().push("");
    Some(base.to_string())
}

/// The channels of packages, the one with most of them first.
pub(super) fn channels_of(packages: &[PlatformPackages]) -> Vec<String> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for record in packages.iter().flat_map(|part| &part.records) {
        let Some(channel) = channel_of(&record.url) else {
            continue;
        };
        match counts.iter_mut().find(|(known, _)| *known == channel) {
            Some((_, count)) => *count += 1,
            None => counts.push((channel, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.into_iter().map(|(channel, _)| channel).collect()
}

/// Recipes end the build string with it.
fn build_number(build: &str) -> u64 {
    let digits = build.len() - build.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    build[build.len() - digits..].parse().unwrap_or(0)
}
