//! `pixi.lock`, of any version that rattler reads.

use std::collections::BTreeSet;
use std::str::FromStr as _;

use rattler_conda_types::package::BuildString;
use rattler_conda_types::{GenericVirtualPackage, PackageName, Subdir, Version};
use rattler_lock::{
    DEFAULT_ENVIRONMENT_NAME, Environment, LockFile, ParseCondaLockError, PypiPackageData,
};

use super::{ImportError, Imported, ask, wheels};
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
        .map_err(|error| match error {
            ParseCondaLockError::IncompatibleVersion {
                lock_file_version,
                max_supported_version,
            } => ImportError::Form {
                name: one_line(name),
                what: WHAT,
                reason: format!(
                    "it is of version {lock_file_version}, and this reads those up to {max_supported_version}"
                ),
                help: "take a newer envspec, or import what that pixi exports: pixi workspace export conda-explicit-spec",
            },
            other => ImportError::form(name, WHAT, other),
        })?;
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
    let mut of_pip = Vec::new();
    let mut no_lock = BTreeSet::new();
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
                let reason = "a package in it is at no URL";
                ImportError::form(name, what, reason)
            })?
            .unwrap_or_default();
        // Those are passed over without a word by whoever asks for records.
        let built = environment.conda_packages(platform).into_iter().flatten();
        for package in built.filter_map(|package| package.as_source()) {
            let name = one_line(package.name().as_normalized());
            let why = format!("{name} is built from its sources");
            if no_lock.insert(why.clone()) {
                left_out.push(why);
            }
        }
        let from_pip = pypi_packages(environment, platform.subdir());
        let mut pip = Vec::new();
        for package in &from_pip {
            match wheels::lockable(package) {
                Ok(wheel) => pip.push(wheel),
                Err(why) => drop(no_lock.insert(why)),
            }
        }
        pip.sort_by(|a, b| a.name.cmp(&b.name));
        of_pip.push((platform.subdir(), from_pip));
        let virtual_packages = platform.virtual_packages().iter();
        packages.push(PlatformPackages {
            isolated: None,
            platform: platform.subdir(),
            virtual_packages: virtual_packages
                .filter_map(|text| virtual_package(text))
                .collect(),
            records,
            pip,
        });
    }
    let (pip, not_asked_of_pip) = wheels::asked_of_pip(&of_pip);
    left_out.extend(not_asked_of_pip);
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
        no_lock: no_lock.into_iter().collect(),
        left_out,
        ..Imported::default()
    })
}

fn pypi_packages(environment: Environment<'_>, platform: Subdir) -> Vec<&PypiPackageData> {
    let by_platform = environment.packages_by_platform();
    let of_this = by_platform.filter(move |(of, _)| of.subdir() == platform);
    of_this
        .flat_map(|(_, packages)| packages)
        .filter_map(|package| package.as_pypi())
        .collect()
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
