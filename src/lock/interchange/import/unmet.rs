//! Whether exact packages are what a spec asks for.

use std::collections::BTreeMap;

use pep508_rs::VersionOrUrl;
use rattler_conda_types::{MatchSpec, Matches as _, PackageRecord};

use crate::lock::{PlatformPackages, url_of};
use crate::spec::{EnvSpec, PipKind, PipRequirement};

/// The requirements that packages don't meet, a line each. Channels are not compared:
/// where a package is fetched from says its URL.
pub fn unmet<'s>(
    requirements: impl IntoIterator<Item = &'s MatchSpec>,
    packages: &[PlatformPackages],
) -> Vec<String> {
    let parts: Vec<ByName<'_>> = packages.iter().map(ByName::of).collect();
    let mut lines = Vec::new();
    for requirement in requirements {
        let parts = parts.iter().filter(|part| !part.meets(requirement));
        lines.extend(parts.map(|part| format!("{requirement} for {}", part.all.platform)));
    }
    lines
}

/// The same for what a spec asks of conda and of pip, each on the platforms that it is
/// for.
pub fn unmet_by(spec: &EnvSpec, packages: &[PlatformPackages]) -> Vec<String> {
    let mut lines = Vec::new();
    for part in packages {
        let by_name = ByName::of(part);
        let of_here = spec.dependencies.iter();
        let of_here = of_here.filter(|own| own.applies_to(part.platform));
        let unmet = of_here.filter(|own| !by_name.meets(&own.spec));
        lines.extend(unmet.map(|own| format!("{} for {}", own.spec, part.platform)));
        let of_pip = spec.pip_of(part.isolated.as_deref());
        let of_pip = of_pip.iter().flat_map(|pip| pip.on(part.platform));
        let unmet = of_pip.filter(|line| !meets_pip(part, line));
        lines.extend(unmet.map(|line| format!("{} for {}", line.text, part.platform)));
    }
    lines
}

/// The packages of a platform by name: a list may have a hundred thousand.
struct ByName<'p> {
    all: &'p PlatformPackages,
    by_name: BTreeMap<&'p str, Vec<&'p PackageRecord>>,
}

impl<'p> ByName<'p> {
    fn of(part: &'p PlatformPackages) -> Self {
        let mut by_name: BTreeMap<&str, Vec<&PackageRecord>> = BTreeMap::new();
        for record in &part.records {
            let package = &record.package_record;
            let name = package.name.as_normalized();
            by_name.entry(name).or_default().push(package);
        }
        Self { all: part, by_name }
    }

    fn meets(&self, requirement: &MatchSpec) -> bool {
        let anywhere = without_channel(requirement);
        match requirement.name.as_exact() {
            Some(name) => {
                let named = self.by_name.get(name.as_normalized());
                let mut named = named.into_iter().flatten();
                named.any(|package| anywhere.matches(*package))
            }
            None => self
                .by_name
                .values()
                .flatten()
                .any(|package| anywhere.matches(*package)),
        }
    }
}

/// Whether a wheel or a package of conda answers a line of pip's.
fn meets_pip(part: &PlatformPackages, line: &PipRequirement) -> bool {
    let requirement = match &line.kind {
        PipKind::Options | PipKind::ConstraintFile(_) => return true,
        PipKind::Url(url) => {
            let mut wheels = part.pip.iter().filter_map(url_of);
            return wheels.any(|found| found.as_str() == url);
        }
        PipKind::Named(requirement) => requirement,
        // What no lock can have.
        PipKind::Path(_) | PipKind::Editable(_) | PipKind::RequirementFile(_) => return false,
    };
    if let Some(wheel) = part.pip.iter().find(|one| one.name == requirement.name) {
        return match &requirement.version_or_url {
            None => true,
            Some(VersionOrUrl::VersionSpecifier(versions)) => versions.contains(&wheel.version),
            Some(VersionOrUrl::Url(url)) => url_of(wheel) == Some(url),
        };
    }
    // Whoever chose the packages knew what a marker says there.
    if requirement.marker != pep508_rs::MarkerTree::TRUE {
        return true;
    }
    let name: &str = requirement.name.as_ref();
    let mut of_conda = part.records.iter().map(|record| &record.package_record);
    let brings = of_conda.find(|package| {
        let mut purls = package.purls.iter().flatten();
        package.name.as_normalized() == name
            || purls.any(|purl| purl.package_type().as_str() == "pypi" && purl.name() == name)
    });
    let Some(package) = brings else {
        return false;
    };
    match &requirement.version_or_url {
        None => true,
        Some(VersionOrUrl::VersionSpecifier(versions)) => {
            let version = package.version.to_string().parse();
            version.is_ok_and(|version| versions.contains(&version))
        }
        Some(VersionOrUrl::Url(_)) => false,
    }
}

/// A requirement without the place that it is to come from.
pub(super) fn without_channel(requirement: &MatchSpec) -> MatchSpec {
    MatchSpec {
        channel: None,
        subdir: None,
        url: None,
        ..requirement.clone()
    }
}
