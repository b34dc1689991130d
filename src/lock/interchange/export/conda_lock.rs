//! `conda-lock.yml`, version 1: all platforms in one file.
//!
//! rattler's own conversion refuses what the format has no word for (a Python that tells
//! where its packages go, virtual packages, a name that is needed twice), so that hardly
//! a lock of today would pass. conda-lock itself leaves these out, and so does this.

use std::collections::BTreeMap;

use rattler_conda_lock::{Channel, Hashes, LockFile, Manager, Metadata, Package};
use rattler_conda_types::{MatchSpec, ParseStrictness, RepoDataRecord, Subdir};
use rattler_lock::{PackageHashes, PypiPackageData, UrlOrPath};

use super::{Exported, Portable, UnexportableError, pypi_text};
use crate::lock::interchange::text::one_line;

/// The file for all platforms of the lock.
///
/// # Errors
/// The format's own rules are broken, as by two packages of one name.
pub fn conda_lock(portable: &Portable) -> Result<Exported, UnexportableError> {
    let mut left_out = portable.variables_left_out();
    let mut packages = Vec::new();
    for at in &portable.platforms {
        for record in &at.conda {
            packages.push(conda_package(record, at.platform));
        }
        for package in &at.pypi {
            match pip_package(package, at.platform) {
                Some(package) => packages.push(package),
                None => left_out.push(format!(
                    "{} for {}: conda-lock has only archives",
                    pypi_text(package),
                    at.platform
                )),
            }
        }
    }
    let mut file = LockFile {
        metadata: Metadata {
            channels: portable
                .channels
                .iter()
                .map(|channel| Channel {
                    url: channel.name.clone(),
                    used_env_vars: Vec::new(),
                })
                .collect(),
            platforms: portable
                .platforms
                .iter()
                .map(|at| at.platform.to_string())
                .collect(),
            sources: vec![portable.from.clone()],
            ..Metadata::default()
        },
        package: packages,
    };
    file.metadata.content_hash = file.compute_content_hashes();
    left_out.push(
        "the content hash of conda-lock's own input: it is of the packages, so that \
         `conda-lock --check-input-hash` locks anew"
            .to_owned(),
    );
    let body = file.to_yaml().map_err(|error| UnexportableError::Writer {
        format: "conda-lock.yml",
        reason: one_line(&error.to_string()),
    })?;
    let from = one_line(&portable.from);
    Ok(Exported {
        text: format!(
            "# The packages that {from} was locked to; install them with\n\
             # conda-lock install --name {} <this file>\n{body}",
            portable.name
        ),
        left_out,
    })
}

fn conda_package(record: &RepoDataRecord, platform: Subdir) -> Package {
    let package = &record.package_record;
    Package {
        name: package.name.as_normalized().to_owned(),
        version: package.version.to_string(),
        manager: Manager::Conda,
        platform: platform.to_string(),
        dependencies: conda_dependencies(&package.depends),
        url: record.url.to_string(),
        hash: Hashes {
            md5: package.md5.map(hex::encode),
            sha256: package.sha256.map(hex::encode),
        },
        source: None,
        build: Some(package.build.to_string()),
        category: "main".to_owned(),
        optional: false,
    }
}

/// The requirements by name. A name that is required twice gets both constraints, as
/// far as they are of versions.
fn conda_dependencies(depends: &[String]) -> BTreeMap<String, String> {
    let mut by_name: BTreeMap<String, String> = BTreeMap::new();
    for text in depends {
        // What only the machine can offer is no package.
        if text.starts_with("__") {
            continue;
        }
        let (name, constraint) = parts(text);
        by_name
            .entry(name)
            .and_modify(|known| {
                let versions = !known.contains(' ') && !constraint.contains(' ');
                if known.is_empty() {
                    known.clone_from(&constraint);
                } else if versions && !constraint.is_empty() {
                    known.push(',');
                    known.push_str(&constraint);
                }
            })
            .or_insert(constraint);
    }
    by_name
}

/// The name of a requirement and what follows it, in the words of the package where it is
/// in the usual form.
fn parts(requirement: &str) -> (String, String) {
    let (name, rest) = requirement.split_once(' ').unwrap_or((requirement, ""));
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.chars().all(is_name) && !rest.contains('[') {
        return (name.to_owned(), rest.trim().to_owned());
    }
    match MatchSpec::from_str(requirement, ParseStrictness::Lenient) {
        Ok(spec) => {
            let (name, rest) = spec.into_nameless();
            let constraint = rest.to_string();
            let any = constraint == "*";
            (
                name.to_string(),
                if any { String::new() } else { constraint },
            )
        }
        Err(_) => (name.to_owned(), rest.to_owned()),
    }
}

/// `None` for what is no archive behind a URL.
fn pip_package(package: &PypiPackageData, platform: Subdir) -> Option<Package> {
    let archive = package.as_wheel()?;
    let UrlOrPath::Url(url) = archive.location.inner() else {
        return None;
    };
    if !matches!(url.scheme(), "http" | "https" | "file") {
        return None;
    }
    let mut dependencies = BTreeMap::new();
    for requirement in &archive.requires_dist {
        // What is for an extra or for another machine is not in the lock.
        if requirement.marker != pep508_rs::MarkerTree::TRUE {
            continue;
        }
        let constraint = match &requirement.version_or_url {
            Some(pep508_rs::VersionOrUrl::VersionSpecifier(versions)) => versions.to_string(),
            _ => String::new(),
        };
        dependencies.insert(requirement.name.to_string(), constraint);
    }
    let hash = archive.hash.as_ref();
    Some(Package {
        name: archive.name.to_string(),
        version: archive.version.to_string(),
        manager: Manager::Pip,
        platform: platform.to_string(),
        dependencies,
        url: url.to_string(),
        hash: Hashes {
            md5: hash.and_then(PackageHashes::md5).map(hex::encode),
            sha256: hash.and_then(PackageHashes::sha256).map(hex::encode),
        },
        source: None,
        build: None,
        category: "main".to_owned(),
        optional: false,
    })
}
