//! A spec that can be worked on, and what it asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rattler_conda_types::{GenericVirtualPackage, PackageName, Version};

use super::context::Context;
use super::requirements::PipSections;
use super::spec_file::SpecFile;
use crate::kernel::{Installable, KernelDefinition, KernelspecSource, RegisteredName};
use crate::lock::LockText;
use crate::plan::DesiredKernel;
use crate::site::{Purge, ResolvedLaunch, Site};
use crate::spec::{KernelRequest, PipSection};
use crate::store::Root;

/// A kernel of a spec with its definition.
#[derive(Debug)]
pub struct SubjectKernel {
    /// What the spec asks for.
    pub request: KernelRequest,
    /// Where it comes from.
    pub origin: KernelOrigin,
    /// The definition that `use` names for a kernel from Nix, whose cells test it.
    pub tested_by: Option<Arc<KernelDefinition>>,
    /// The name to register it under.
    pub registered: RegisteredName,
}

/// Where a kernel comes from.
#[derive(Debug, Clone)]
pub enum KernelOrigin {
    /// The packages of a definition.
    Packages(Arc<KernelDefinition>),
    /// A store path of Nix.
    Nix(Installable),
}

impl SubjectKernel {
    /// The definition that it is made by; `None` if it is from Nix.
    pub fn definition(&self) -> Option<&KernelDefinition> {
        match &self.origin {
            KernelOrigin::Packages(definition) => Some(definition),
            KernelOrigin::Nix(_) => None,
        }
    }
}

/// A spec that can be worked on: its kernels are known, its site too.
#[derive(Debug)]
pub struct Subject {
    /// The spec.
    pub file: SpecFile,
    /// Its site.
    pub site: Site,
    /// What a session asks for, the site's defaults filled in.
    pub launch: ResolvedLaunch,
    /// Its kernels, in the spec's order.
    pub kernels: Vec<SubjectKernel>,
    /// What it asks of pip, with what the files of requirements say that it names.
    pub(super) pip: PipSections,
}

impl SubjectKernel {
    /// Its name, if it has a prefix of its own.
    pub(super) fn isolated(&self) -> Option<&str> {
        let request = &self.request;
        request.isolated.then_some(request.name.value.as_str())
    }
}

impl Subject {
    /// What is asked of pip for a prefix: the environment's own, with what the kernels in it
    /// ask for, or that of an isolated kernel.
    pub fn pip_of(&self, isolated: Option<&str>) -> Option<&PipSection> {
        self.pip.get(&isolated.map(str::to_owned))
    }

    /// The virtual packages that the spec's target declares, then the site.
    pub fn declared_target(&self) -> Vec<GenericVirtualPackage> {
        let target = &self.file.spec.target;
        let site = &self.site.target;
        let version = |name: &'static str, version: Option<&Version>| {
            version.and_then(|version| virtual_package(name, version.clone(), "0"))
        };
        let arch = target
            .arch
            .as_ref()
            .map(|arch| arch.value.as_str())
            .or(site.arch.as_ref().map(crate::site::Line::as_str));
        [
            version(
                "__glibc",
                target
                    .glibc
                    .as_ref()
                    .map(|at| &at.value)
                    .or(site.glibc.as_ref()),
            ),
            version(
                "__cuda",
                target
                    .cuda
                    .as_ref()
                    .map(|at| &at.value)
                    .or(site.cuda.as_ref()),
            ),
            version(
                "__linux",
                target
                    .linux
                    .as_ref()
                    .map(|at| &at.value)
                    .or(site.linux.as_ref()),
            ),
            // Its version is 1 by convention; the build string is the name.
            arch.and_then(|arch| virtual_package("__archspec", Version::major(1), arch)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The packages whose post-link scripts the spec or a definition vouches for.
    pub(super) fn post_link(&self) -> BTreeSet<String> {
        let of_spec = self.file.spec.post_link.iter();
        let of_spec = of_spec.map(|package| package.value.as_normalized().to_owned());
        let of_kernels = self.made_by_definitions().filter_map(|definition| {
            let KernelspecSource::PostLink { package, .. } = &definition.kernelspec else {
                return None;
            };
            Some(package.as_normalized().to_owned())
        });
        of_spec.chain(of_kernels).collect()
    }

    /// The texts of its kernels' definitions, by their identifiers.
    pub(super) fn definitions(&self) -> BTreeMap<String, String> {
        let tested_by = self
            .kernels
            .iter()
            .filter_map(|kernel| kernel.tested_by.as_deref());
        self.made_by_definitions()
            .chain(tested_by)
            .map(|definition| (definition.id.to_string(), definition.text.clone()))
            .collect()
    }

    fn made_by_definitions(&self) -> impl Iterator<Item = &KernelDefinition> {
        self.kernels.iter().filter_map(SubjectKernel::definition)
    }

    /// The kernels from Nix, by their names in the spec.
    pub(super) fn asked_of_nix(&self) -> impl Iterator<Item = (&str, &Installable)> {
        self.kernels
            .iter()
            .filter_map(|kernel| match &kernel.origin {
                KernelOrigin::Nix(installable) => {
                    Some((kernel.request.name.value.as_str(), installable))
                }
                KernelOrigin::Packages(_) => None,
            })
    }

    /// The roots of others that the site names, which are only read.
    pub(super) fn shared_roots(&self) -> impl Iterator<Item = Root> {
        let paths = self.site.storage.shared.iter();
        paths.map(|path| Root::new(PathBuf::from(path.as_str())))
    }

    /// The caches of unpacked packages: the root's own, and those of shared roots.
    pub(super) fn packages(&self, context: &Context) -> Vec<PathBuf> {
        let shared = self.shared_roots().map(|root| root.packages());
        std::iter::once(context.root.packages())
            .chain(shared)
            .collect()
    }

    /// When the site deletes what is below the root, if it does.
    pub fn purge(&self, context: &Context) -> Option<Purge> {
        // What is not there yet will be below what is.
        let real = |path: &Path| {
            path.ancestors().find_map(|above| {
                let below = path.strip_prefix(above).ok()?;
                Some(above.canonicalize().ok()?.join(below))
            })
        };
        self.site.purge(context.root.path(), &context.home, real)
    }

    /// The lock beside the spec as it is now, stale or not; `None` if there is
    /// none that can be read.
    pub fn lock_there(&self) -> Option<LockText> {
        self.file.lock_text().ok().flatten()
    }

    /// The kernels as a plan speaks of them.
    pub fn desired_kernels(&self) -> Vec<DesiredKernel> {
        self.kernels
            .iter()
            .map(|kernel| DesiredKernel {
                name: kernel.request.name.value.clone(),
                registered: kernel.registered.as_str().to_owned(),
            })
            .collect()
    }
}

/// A virtual package; `None` if `build` can't be a build string, which the
/// spec and the site have ruled out before.
fn virtual_package(
    name: &'static str,
    version: Version,
    build: &str,
) -> Option<GenericVirtualPackage> {
    Some(GenericVirtualPackage {
        name: PackageName::new_unchecked(name),
        version,
        build_string: build.parse().ok()?,
    })
}
