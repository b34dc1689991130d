//! What the node offers that no package can bring: libc, CUDA, the kernel.

use archspec::cpu::Microarchitecture;
use rattler_conda_types::{GenericVirtualPackage, Subdir};
use rattler_virtual_packages::{
    Archspec, DetectVirtualPackageError, VirtualPackageOverrides, VirtualPackages,
};

use crate::lock::Need;

/// A need that this machine does not meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// The need.
    pub need: Need,
    /// What there is in its place: a version, or the name of the processor.
    pub there: Option<String>,
}

/// The needs that this machine does not meet. `CONDA_OVERRIDE_*` count as its values.
pub fn lacks(needs: &[Need]) -> Result<Vec<Lack>, DetectVirtualPackageError> {
    if needs.is_empty() {
        return Ok(Vec::new());
    }
    let here = VirtualPackages::detect(&VirtualPackageOverrides::from_env(), None)?;
    let processor = here.archspec.clone();
    let offered: Vec<GenericVirtualPackage> = here.into_generic_virtual_packages().collect();
    let is_met = |need: &Need| match (need.architecture(), &processor) {
        // One processor runs the programs of others.
        (Some(wanted), Some(own)) => Archspec::from_known_name(&wanted).map_or_else(
            || need.is_met(&offered),
            |wanted| own.is_compatible_with(&wanted),
        ),
        _ => need.is_met(&offered),
    };
    let lack = |need: &Need| {
        let what = need.what();
        let there = offered
            .iter()
            .find(|package| package.name.as_normalized().trim_start_matches('_') == what);
        let there = there.map(|package| match what.as_str() {
            "archspec" => package.build_string.to_string(),
            _ => package.version.to_string(),
        });
        Lack {
            need: need.clone(),
            there,
        }
    };
    Ok(needs
        .iter()
        .filter(|need| !is_met(need))
        .map(lack)
        .collect())
}

/// Whether a microarchitecture is one of a platform's machines. A name that archspec does not
/// know fits nowhere.
pub fn fits(architecture: &str, platform: Subdir) -> bool {
    let family = match platform {
        Subdir::Linux64 | Subdir::Osx64 | Subdir::Win64 => "x86_64",
        Subdir::LinuxAarch64 | Subdir::OsxArm64 | Subdir::WinArm64 => "aarch64",
        Subdir::LinuxPpc64le => "ppc64le",
        _ => return true,
    };
    let known = Microarchitecture::known_targets().get(architecture);
    known.is_some_and(|known| known.family().name() == family)
}

/// The virtual packages to solve for.
///
/// What `declared` (the spec's target, then the site) names wins; the rest is
/// this machine's when `platform` is its own, else the platform's baseline.
/// The microarchitecture is never this machine's: a login node's processor
/// says nothing of the compute node's, and a lock made here must install
/// there. `CONDA_OVERRIDE_*` count as this machine's values.
pub fn virtual_packages(
    platform: Subdir,
    declared: &[GenericVirtualPackage],
) -> Result<Vec<GenericVirtualPackage>, DetectVirtualPackageError> {
    let detected = if Some(platform) == Subdir::current() {
        let mut here = VirtualPackages::detect(&VirtualPackageOverrides::from_env(), None)?;
        here.archspec = VirtualPackages::baseline_for_platform(platform).archspec;
        here
    } else {
        VirtualPackages::baseline_for_platform(platform)
    };
    let mut packages: Vec<GenericVirtualPackage> =
        detected.into_generic_virtual_packages().collect();
    let is_of_platform = |package: &&GenericVirtualPackage| {
        package.name.as_normalized() != "__archspec"
            || fits(package.build_string.as_ref(), platform)
    };
    for package in declared.iter().filter(is_of_platform) {
        packages.retain(|known| known.name != package.name);
        packages.push(package.clone());
    }
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(packages)
}
