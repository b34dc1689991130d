//! The packages of pip in a lock of another tool: those that a lock of envspec's can have,
//! and what to ask for.

use std::collections::{BTreeMap, BTreeSet};

use rattler_conda_types::Subdir;
use rattler_lock::{PackageHashes, PypiDistributionData, PypiPackageData, UrlOrPath, Verbatim};
use url::Url;

use super::ask::roots;
use super::only::{Platforms, for_pip};
use crate::lock::interchange::text::one_line;
use crate::lock::is_wheel_file;

/// Where everybody's index has its files, and where it is itself.
const FILES_OF_PYPI: &str = "files.pythonhosted.org";
const PYPI: &str = "https://pypi.org/simple";

/// What a package of pip becomes in a lock: the wheel, by URL and SHA-256, as uv's answers
/// are locked.
///
/// # Errors
/// Why a lock can't have it.
pub(super) fn lockable(package: &PypiPackageData) -> Result<PypiDistributionData, String> {
    let name = package.name();
    let Some(archive) = package.as_wheel() else {
        return Err(format!("{name} is a folder of that project"));
    };
    let named = format!("{name} {}", archive.version);
    let UrlOrPath::Url(url) = archive.location.inner() else {
        return Err(format!("{named} is a file of that project"));
    };
    if !matches!(url.scheme(), "https" | "http" | "file") {
        return Err(format!("{named} is in a repository"));
    }
    if !is_wheel_file(url) {
        return Err(format!("{named} is an archive of sources"));
    }
    let sha256 = archive.hash.as_ref().and_then(PackageHashes::sha256);
    let sha256 = sha256.ok_or_else(|| format!("{named} has no SHA-256"))?;
    let mut url = url.clone();
    url.set_fragment(None);
    let of_pypi = url.host_str() == Some(FILES_OF_PYPI);
    let index = archive.index_url.clone();
    Ok(PypiDistributionData {
        name: name.clone(),
        version: archive.version.clone(),
        index_url: index.or_else(|| of_pypi.then(|| Url::parse(PYPI).ok()).flatten()),
        location: Verbatim::new(UrlOrPath::Url(url)),
        hash: Some(PackageHashes::Sha256(*sha256)),
        requires_dist: Vec::new(),
        requires_python: archive.requires_python.clone(),
    })
}

/// The requirements that bring the packages of all platforms, and why some have none.
///
/// Those that another package of pip needs are not asked for, unless they are from a
/// place that no index tells.
pub(super) fn asked_of_pip(
    parts: &[(Subdir, Vec<&PypiPackageData>)],
) -> (Vec<String>, Vec<String>) {
    let all: Vec<Subdir> = parts.iter().map(|(platform, _)| *platform).collect();
    let mut wanted: BTreeMap<String, Platforms> = BTreeMap::new();
    let mut impossible = BTreeSet::new();
    for (platform, packages) in parts {
        let needs = packages.iter().map(|package| {
            // What is for an extra or another machine may not be needed here.
            let needed = package.requires_dist().iter();
            let needed = needed.filter(|one| one.marker == pep508_rs::MarkerTree::TRUE);
            let needed: Vec<&str> = needed.map(|one| one.name.as_ref()).collect();
            (package.name().as_ref(), needed)
        });
        let needs = needs.collect();
        let roots: BTreeSet<&str> = roots(&needs).into_iter().collect();
        for package in packages {
            let name: &str = package.name().as_ref();
            match requirement(package) {
                Ok(text) if roots.contains(name) || text.contains('@') => {
                    wanted.entry(text).or_default().insert(*platform);
                }
                Ok(_) => {}
                Err(why) => drop(impossible.insert(why)),
            }
        }
    }
    let mut left_out: Vec<String> = impossible.into_iter().collect();
    let mut asked = Vec::new();
    for (text, on) in wanted {
        match for_pip(&text, &on, &all) {
            Ok(line) => asked.push(line),
            Err(why) => left_out.push(why),
        }
    }
    (asked, left_out)
}

/// A package of pip as a requirement, or why it is none.
pub(super) fn requirement(package: &PypiPackageData) -> Result<String, String> {
    let name = package.name();
    let location = package.location().inner();
    let of_index = location
        .as_url()
        .is_none_or(|url| matches!(url.host_str(), Some(FILES_OF_PYPI | "pypi.org")));
    match (location, package.version()) {
        (UrlOrPath::Path(path), _) => Err(format!(
            "{name} of pip, which is a folder or a file of that project: {}",
            one_line(path.as_str())
        )),
        (UrlOrPath::Url(url), None) => Err(format!(
            "{name} of pip, which is a folder of that project: {}",
            one_line(url.as_str())
        )),
        (UrlOrPath::Url(_), Some(version)) if of_index => Ok(format!("{name}=={version}")),
        (UrlOrPath::Url(url), _) => {
            let mut url = url.clone();
            // A checksum there is in the lock; a folder in a repository is not.
            let keeps = |part: &str| part.starts_with("subdirectory=") || part.starts_with("egg=");
            if !url.fragment().is_some_and(keeps) {
                url.set_fragment(None);
            }
            Ok(format!("{name} @ {url}"))
        }
    }
}
