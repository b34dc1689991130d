//! A prefix that conda, mamba, micromamba or pixi made: its `conda-meta` and what pip
//! put into it.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use rattler_conda_types::{MatchSpec, Matches as _, ParseMatchSpecOptions, RepoDataRecord, Subdir};
use serde_json::Value;

use super::explicit::{channel_of, channels_of};
use super::{Asked, ImportError, Imported, ask, history, without_channel};
use crate::lock::PlatformPackages;
use crate::lock::interchange::text::one_line;

const WHAT: &str = "a prefix of conda";

/// A Python package's `dist-info` or `egg-info`, as pip leaves it.
#[derive(Debug, Clone, Default)]
pub struct DistInfo {
    /// Its path below the prefix.
    pub path: String,
    /// Its `METADATA` or `PKG-INFO`.
    pub metadata: String,
    /// Its `direct_url.json`: where it is from, if not from an index.
    pub direct_url: Option<String>,
}

/// What was read of a prefix.
#[derive(Debug, Clone, Default)]
pub struct PrefixContents {
    /// The files `conda-meta/*.json`, by name.
    pub records: Vec<(String, Vec<u8>)>,
    /// `conda-meta/history`, if there is one.
    pub history: Option<String>,
    /// `conda-meta/state`, if there is one: conda's variables of the environment.
    pub state: Option<String>,
    /// The `dist-info` folders of its `site-packages`.
    pub dist_infos: Vec<DistInfo>,
}

/// A record of an installed package, as far as it matters here.
struct Installed {
    record: RepoDataRecord,
    requested: Vec<String>,
    files: Vec<String>,
}

/// Understands a prefix. `here` is the platform where only noarch packages are.
///
/// # Errors
/// A record that can't be read: without it the packages would not be all.
pub fn prefix(
    name: &str,
    contents: &PrefixContents,
    here: Subdir,
) -> Result<Imported, ImportError> {
    let mut installed = Vec::new();
    for (file, bytes) in &contents.records {
        let record = installed_record(bytes)
            .map_err(|reason| ImportError::form(name, WHAT, format!("{file}: {reason}")))?;
        installed.push(record);
    }
    installed.sort_by(|a, b| {
        a.record
            .package_record
            .name
            .cmp(&b.record.package_record.name)
    });
    let twice = installed
        .windows(2)
        .find(|pair| pair[0].record.package_record.name == pair[1].record.package_record.name);
    if let Some(pair) = twice {
        let package = pair[0].record.package_record.name.as_normalized();
        let reason = format!("conda-meta has the package {package} twice");
        return Err(ImportError::form(name, WHAT, reason));
    }
    let (pip, mut left_out) = of_pip(contents, &installed);
    let subdirs = installed
        .iter()
        .filter_map(|one| Subdir::from_str(&one.record.package_record.subdir).ok());
    let platform = subdirs.into_iter().find(|subdir| *subdir != Subdir::NoArch);
    let platform = platform.unwrap_or(here);
    let from_history = contents.history.as_deref().map(history::requested);
    let mut requested = from_history.unwrap_or_default();
    if requested.is_empty() {
        requested = requested_by_records(&installed);
    }
    let packages = vec![PlatformPackages {
        isolated: None,
        platform,
        virtual_packages: Vec::new(),
        records: installed.into_iter().map(|one| one.record).collect(),
        pip: Vec::new(),
    }];
    let mut asked = Vec::new();
    for (name, text) in &requested {
        match as_asked(name, text, &packages[0].records) {
            Ok(one) => asked.push(one),
            Err(why) => left_out.push(why),
        }
    }
    if asked.is_empty() {
        let found = ask::leaves(&packages);
        asked = found.asked;
        left_out.extend(found.left_out);
        if !asked.is_empty() {
            left_out.push(
                "what was asked for: the prefix does not tell, so it is what no other package needs"
                    .to_owned(),
            );
        }
    }
    let (variables, unset) = variables(contents.state.as_deref().unwrap_or_default());
    left_out.extend(unset);
    let channels = channels_of(&packages);
    if channels.len() > 1 {
        left_out.push(
            "the channels' order of priority: a prefix does not tell, so the one with most packages is first"
                .to_owned(),
        );
    }
    Ok(Imported {
        channels,
        asked,
        pip,
        variables,
        platforms: vec![platform],
        packages,
        left_out,
        ..Imported::default()
    })
}

/// The variables that conda sets (`conda env config vars`), and those that a spec can't
/// set: an unset one has a mark in place of a value.
fn variables(state: &str) -> (BTreeMap<String, String>, Vec<String>) {
    const UNSET: &str = "***unset***";
    let state: Value = serde_json::from_str(state).unwrap_or_default();
    let (mut variables, mut left_out) = (BTreeMap::new(), Vec::new());
    for (name, value) in state["env_vars"].as_object().into_iter().flatten() {
        let named = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit());
        match value.as_str() {
            Some(value) if named && value != UNSET && !value.contains(char::is_control) => {
                variables.insert(name.clone(), value.to_owned());
            }
            _ => left_out.push(format!("the variable {}", one_line(name))),
        }
    }
    (variables, left_out)
}

/// Reads a record. Very old ones have no `fn`, and files and paths are not needed.
fn installed_record(bytes: &[u8]) -> Result<Installed, String> {
    let mut value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let object = value.as_object_mut().ok_or("it is no JSON object")?;
    let texts = |value: Option<Value>| match value {
        Some(Value::Array(items)) => items
            .into_iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect(),
        Some(Value::String(text)) => vec![text],
        _ => Vec::new(),
    };
    let files = texts(object.remove("files"));
    let mut requested: Vec<String> = texts(object.remove("requested_specs"));
    if requested.is_empty() {
        requested = texts(object.remove("requested_spec"));
    }
    // conda writes Python's word.
    requested.retain(|text| !text.is_empty() && text != "None");
    for unneeded in ["paths_data", "link", "requested_spec"] {
        object.remove(unneeded);
    }
    if !object.contains_key("fn") {
        let url = object
            .get("url")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let file = url.rsplit('/').next().unwrap_or_default().to_owned();
        object.insert("fn".to_owned(), Value::String(file));
    }
    let mut record: RepoDataRecord =
        serde_json::from_value(value).map_err(|error| error.to_string())?;
    record.url.set_fragment(None);
    record.channel = channel_of(&record.url);
    Ok(Installed {
        record,
        requested,
        files,
    })
}

fn requested_by_records(installed: &[Installed]) -> BTreeMap<String, String> {
    let wanted = installed.iter().filter_map(|one| {
        let name = one.record.package_record.name.as_normalized();
        let of_this = |text: &&String| ask::name_of(text).eq_ignore_ascii_case(name);
        let text = one.requested.iter().rev().find(of_this)?;
        Some((name.to_owned(), text.clone()))
    });
    wanted.collect()
}

/// A requirement of the past, if it holds for what is installed; else one that does.
fn as_asked(name: &str, text: &str, records: &[RepoDataRecord]) -> Result<Asked, String> {
    let record = records
        .iter()
        .map(|record| &record.package_record)
        .find(|package| package.name.as_normalized() == name);
    let Some(record) = record else {
        return Err(format!(
            "the wish for {}: it is not installed",
            one_line(text)
        ));
    };
    let read = MatchSpec::from_str(text, ParseMatchSpecOptions::lenient());
    let holds = read
        .as_ref()
        .is_ok_and(|spec| without_channel(spec).matches(record));
    if let Ok(spec) = read.as_ref().map(without_channel).map_err(drop)
        && holds
    {
        return Ok(Asked::plainly(spec.to_string()));
    }
    Ok(Asked {
        text: format!("{name} =={}", record.version),
        comment: Some(asked_for_as(text)),
    })
}

/// The packages that pip installed, and those of them that no requirement can name.
fn of_pip(contents: &PrefixContents, installed: &[Installed]) -> (Vec<String>, Vec<String>) {
    let of_conda: BTreeSet<&str> = installed
        .iter()
        .flat_map(|one| &one.files)
        .filter_map(|file| {
            let end = file.find(".dist-info").map(|at| at + ".dist-info".len());
            let end = end.or_else(|| Some(file.find(".egg-info")? + ".egg-info".len()));
            Some(&file[..end?])
        })
        .collect();
    let (mut pip, mut left_out) = (Vec::new(), Vec::new());
    for info in &contents.dist_infos {
        if of_conda.contains(info.path.as_str()) {
            continue;
        }
        match pip_requirement(info) {
            Ok(requirement) => pip.push(requirement),
            Err(why) => left_out.push(why),
        }
    }
    pip.sort();
    pip.dedup();
    (pip, left_out)
}

fn pip_requirement(info: &DistInfo) -> Result<String, String> {
    // The headers end at the first empty line; the description may look like one.
    let headers = || info.metadata.lines().take_while(|line| !line.is_empty());
    let header = |key: &str| {
        let value = headers().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        value.map(str::trim).filter(|value| !value.is_empty())
    };
    let unreadable = || format!("the Python package in {}", one_line(&info.path));
    let name = header("Name").ok_or_else(unreadable)?;
    let name = pep508_rs::PackageName::from_str(name).map_err(|_| unreadable())?;
    let version = header("Version").ok_or_else(unreadable)?;
    let version = pep440_rs::Version::from_str(version).map_err(|_| unreadable())?;
    let Some(direct) = &info.direct_url else {
        return Ok(format!("{name}=={version}"));
    };
    let direct: Value = serde_json::from_str(direct).map_err(|_| unreadable())?;
    let url = direct["url"]
        .as_str()
        .filter(|url| url::Url::parse(url).is_ok());
    let commit = direct["vcs_info"]["commit_id"].as_str();
    match (url, direct["vcs_info"]["vcs"].as_str(), commit) {
        (Some(url), Some("git"), Some(commit)) => Ok(format!("{name} @ git+{url}@{commit}")),
        (Some(url), None, _) if url.starts_with("https://") => Ok(format!("{name} @ {url}")),
        _ => Err(format!(
            "{name} {version} of pip, which is from a folder or a file"
        )),
    }
}

/// A comment for people. In brackets it would be a selector of platforms to conda-lock,
/// which leaves the line out then.
fn asked_for_as(text: &str) -> String {
    let text = one_line(text).replace('[', "(").replace(']', ")");
    format!("asked for as {text}")
}
