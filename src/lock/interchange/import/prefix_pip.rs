//! What pip, uv and their like put into a prefix.

use std::collections::BTreeSet;
use std::path::Path;
use std::str::FromStr as _;

use rattler_lock::{PackageHashes, PypiDistributionData, UrlOrPath, Verbatim};
use serde_json::Value;
use url::Url;

use super::prefix::{Installed, PrefixContents};
use super::wheels;
use crate::lock::interchange::text::one_line;

/// A Python package's `dist-info` or `egg-info`, as pip leaves it.
#[derive(Debug, Clone, Default)]
pub struct DistInfo {
    /// Its path below the prefix.
    pub path: String,
    /// Its `METADATA` or `PKG-INFO`; for an `egg-link` nothing.
    pub metadata: String,
    /// Its `direct_url.json`: where it is from, if not from an index.
    pub direct_url: Option<String>,
    /// Its `INSTALLER`: who put it there.
    pub installer: Option<String>,
}

/// What there is of pip.
pub(super) struct OfPip {
    pub(super) asked: Vec<String>,
    pub(super) wheels: Vec<PypiDistributionData>,
    pub(super) no_lock: Vec<String>,
    pub(super) left_out: Vec<String>,
}

/// The packages that pip installed, and those of them that no requirement can name. Wheels
/// among the records, as envspec writes them, are taken out of these.
pub(super) fn of_pip(contents: &PrefixContents, installed: &mut Vec<Installed>) -> OfPip {
    let of_records: BTreeSet<String> = installed
        .iter()
        .flat_map(|one| &one.files)
        .filter_map(|file| {
            let end = file.find(".dist-info").map(|at| at + ".dist-info".len());
            let end = end.or_else(|| Some(file.find(".egg-info")? + ".egg-info".len()));
            Some(file[..end?].to_owned())
        })
        .collect();
    let mut found = OfPip {
        asked: Vec::new(),
        wheels: Vec::new(),
        no_lock: Vec::new(),
        left_out: Vec::new(),
    };
    installed.retain(|one| match recorded(one) {
        Some(wheel) => {
            found.take(wheel);
            false
        }
        None => true,
    });
    for info in &contents.dist_infos {
        if of_records.contains(&info.path) {
            continue;
        }
        match understood(info) {
            Ok(Understood::Wheel(wheel)) => found.take(*wheel),
            Ok(Understood::Line { line, named }) => {
                found.asked.push(line);
                found
                    .no_lock
                    .push(format!("of {named} the prefix has no checksum"));
            }
            Err(why) => {
                // Some of the environment would be missing.
                found.no_lock.push(why.clone());
                found.left_out.push(why);
            }
        }
    }
    found.wheels.sort_by(|a, b| a.name.cmp(&b.name));
    found.asked.sort();
    found.asked.dedup();
    found
}

impl OfPip {
    fn take(&mut self, wheel: PypiDistributionData) {
        if let Ok(line) = wheels::requirement(&wheel.clone().into()) {
            self.asked.push(line);
        }
        self.wheels.push(wheel);
    }
}

/// A wheel that envspec installed, by its record.
fn recorded(installed: &Installed) -> Option<PypiDistributionData> {
    let record = &installed.record;
    wheel_at(&record.url, record.package_record.sha256?.into())
}

/// The wheel behind a URL, named by its file.
fn wheel_at(url: &Url, sha256: [u8; 32]) -> Option<PypiDistributionData> {
    let stem = url.path().rsplit('/').next()?.strip_suffix(".whl")?;
    let mut parts = stem.split('-');
    let (name, version) = (parts.next()?, parts.next()?.replace("%2B", "+"));
    let wheel = PypiDistributionData {
        name: pep508_rs::PackageName::from_str(name).ok()?,
        version: pep440_rs::Version::from_str(&version).ok()?,
        location: Verbatim::new(UrlOrPath::Url(url.clone())),
        index_url: None,
        hash: Some(PackageHashes::Sha256(sha256.into())),
        requires_dist: Vec::new(),
        requires_python: None,
    };
    wheels::lockable(&wheel.into()).ok()
}

enum Understood {
    Wheel(Box<PypiDistributionData>),
    Line { line: String, named: String },
}

fn understood(info: &DistInfo) -> Result<Understood, String> {
    if Path::new(&info.path)
        .extension()
        .is_some_and(|end| end == "egg-link")
    {
        return Err(format!(
            "the Python package of {}, which is a folder elsewhere",
            one_line(&info.path)
        ));
    }
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
    if info.installer.as_deref().map(str::trim) == Some("conda") {
        return Err(format!(
            "{name} {version}, which conda left behind in {}",
            one_line(&info.path)
        ));
    }
    let named = format!("{name} {version}");
    let Some(direct) = &info.direct_url else {
        let line = format!("{name}=={version}");
        return Ok(Understood::Line { line, named });
    };
    let direct: Value = serde_json::from_str(direct).map_err(|_| unreadable())?;
    let url = direct["url"].as_str().unwrap_or_default();
    let parsed = Url::parse(url).map_err(|_| unreadable())?;
    let folder = direct["subdirectory"].as_str();
    let folder = folder.map_or_else(String::new, |folder| format!("#subdirectory={folder}"));
    let vcs = &direct["vcs_info"];
    let shown = one_line(url);
    match (vcs["vcs"].as_str(), vcs["commit_id"].as_str()) {
        (Some(vcs @ ("git" | "hg" | "svn" | "bzr")), Some(commit)) => {
            let line = format!("{name} @ {vcs}+{url}@{commit}{folder}");
            return Ok(Understood::Line { line, named });
        }
        (Some(_), _) => return Err(unreadable()),
        (None, _) => {}
    }
    if direct["dir_info"]["editable"] == Value::Bool(true) {
        return Err(format!("{named} of pip, an editable install of {shown}"));
    }
    if !matches!(parsed.scheme(), "https" | "http") {
        return Err(format!("{named} of pip, which is from {shown}"));
    }
    let archive = &direct["archive_info"];
    let old = archive["hash"]
        .as_str()
        .and_then(|hash| hash.strip_prefix("sha256="));
    let sha256 = archive["hashes"]["sha256"].as_str().or(old);
    let sha256 = sha256.and_then(|text| {
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest).ok()?;
        Some(digest)
    });
    if let Some(wheel) = sha256.and_then(|sha256| wheel_at(&parsed, sha256)) {
        return Ok(Understood::Wheel(Box::new(wheel)));
    }
    let line = format!("{name} @ {url}{folder}");
    Ok(Understood::Line { line, named })
}
