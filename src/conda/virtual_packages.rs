//! What the node offers that no package can bring: libc, CUDA, the kernel.

use rattler_conda_types::{GenericVirtualPackage, Subdir};
use rattler_virtual_packages::{
    DetectVirtualPackageError, VirtualPackageOverrides, VirtualPackages,
};

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
    for package in declared {
        packages.retain(|known| known.name != package.name);
        packages.push(package.clone());
    }
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(packages)
}
