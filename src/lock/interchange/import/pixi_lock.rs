//! `pixi.lock`, of any version that rattler reads.

use std::str::FromStr as _;

use rattler_conda_types::package::BuildString;
use rattler_conda_types::{GenericVirtualPackage, PackageName, Subdir, Version};
use rattler_lock::{DEFAULT_ENVIRONMENT_NAME, Environment, LockFile, PypiPackageData, UrlOrPath};

use super::{ImportError, Imported, ask};
use crate::lock::PlatformPackages;
use crate::lock::interchange::text::one_line;
use crate::spec::{PANICKED, careful};

const WHAT: &str = "a pixi.lock";

/// Reads the default environment, for all its platforms.
///
/// # Errors
/// It is no such file, or a package in it is none that can be fetched.
pub fn lock_file_of_pixi(name: &str, text: &str) -> Result<Imported, ImportError> {
    let file = careful(|| LockFile::from_str_with_base_directory(text, None))
        .ok_or_else(|| ImportError::form(name, WHAT, PANICKED))?
        .map_err(|error| ImportError::form(name, WHAT, error))?;
    of_lock_file(name, WHAT, &file)
}

/// The same for a lock that was read.
pub(super) fn of_lock_file(
    name: &str,
    what: &'static str,
    file: &LockFile,
) -> Result<Imported, ImportError> {
    let mut left_out = Vec::new();
    let environment = file.default_environment().ok_or_else(|| {
        ImportError::form(name, what, "it has no environment that is called `default`")
    })?;
    let mut others: Vec<String> = file
        .environments()
        .map(|(name, _)| name)
        .filter(|name| *name != DEFAULT_ENVIRONMENT_NAME)
        .map(one_line)
        .collect();
    others.sort();
    if !others.is_empty() {
        left_out.push(format!("the environments {}", others.join(", ")));
    }
    let mut platforms: Vec<_> = environment.platforms().collect();
    platforms.sort_by(|a, b| a.name().as_str().cmp(b.name().as_str()));
    let mut packages = Vec::new();
    let mut pip: Vec<String> = Vec::new();
    for platform in platforms {
        if platform.name().as_str() != platform.subdir().as_str() {
            left_out.push(format!(
                "the platform {}",
                one_line(platform.name().as_str())
            ));
            continue;
        }
        let records = environment
            .conda_repodata_records(platform)
            .map_err(|_| {
                let reason = "a package in it is to be built from its sources";
                ImportError::form(name, what, reason)
            })?
            .unwrap_or_default();
        for package in pypi_packages(environment, platform.subdir()) {
            match requirement(package) {
                Ok(requirement) if pip.contains(&requirement) => {}
                Ok(requirement) => pip.push(requirement),
                Err(why) => left_out.push(why),
            }
        }
        let virtual_packages = platform.virtual_packages().iter();
        packages.push(PlatformPackages {
            isolated: None,
            platform: platform.subdir(),
            virtual_packages: virtual_packages
                .filter_map(|text| virtual_package(text))
                .collect(),
            records,
            pip: Vec::new(),
        });
    }
    pip.sort();
    left_out.dedup();
    let ask::Found {
        asked,
        left_out: not_asked,
    } = ask::leaves(&packages);
    left_out.extend(not_asked);
    Ok(Imported {
        channels: environment
            .channels()
            .iter()
            .map(|channel| channel.url.clone())
            .collect(),
        asked,
        pip,
        platforms: packages.iter().map(|part| part.platform).collect(),
        packages,
        left_out,
        ..Imported::default()
    })
}

fn pypi_packages(
    environment: Environment<'_>,
    platform: Subdir,
) -> impl Iterator<Item = &PypiPackageData> {
    let by_platform = environment.packages_by_platform();
    let of_this = by_platform.filter(move |(of, _)| of.subdir() == platform);
    of_this
        .flat_map(|(_, packages)| packages)
        .filter_map(|package| package.as_pypi())
        .collect::<Vec<_>>()
        .into_iter()
}

/// A package of pip as a requirement, or why it is none.
fn requirement(package: &PypiPackageData) -> Result<String, String> {
    let name = package.name();
    let location = package.location().inner();
    let of_index = location
        .as_url()
        .is_none_or(|url| matches!(url.host_str(), Some("files.pythonhosted.org" | "pypi.org")));
    match (location, package.version()) {
        (UrlOrPath::Path(_), _) | (_, None) => Err(format!(
            "{name} of pip, which is a folder or a file of that project"
        )),
        (UrlOrPath::Url(_), Some(version)) if of_index => Ok(format!("{name}=={version}")),
        (UrlOrPath::Url(url), _) => Ok(format!("{name} @ {url}")),
    }
}

/// `__glibc=2.36`, with a build string behind a second `=` where there is one.
fn virtual_package(text: &str) -> Option<GenericVirtualPackage> {
    let mut parts = text.splitn(3, '=');
    Some(GenericVirtualPackage {
        name: PackageName::from_str(parts.next()?).ok()?,
        version: Version::from_str(parts.next()?).ok()?,
        build_string: BuildString::from_str(parts.next().unwrap_or("0")).ok()?,
    })
}
