//! What is there, what is wanted, and the plan between the two.

use std::path::{Path, PathBuf};

use super::context::Context;
use super::error::ApplyError;
use super::forbidden::{refuse_packages, refuse_strangers};
use super::nix;
use super::prefixes::{LockedPrefix, needs};
use super::resolve::Locked;
use super::sources::{Source, to_build};
use super::subject::{KernelOrigin, Subject};
use super::unfit;
use crate::conda;
use crate::jupyter::{self, Owner};
use crate::lock::PackageId;
use crate::plan::{self, Cost, Desired, GenerationId, Observed, Plan, RegisteredKernel, Room};
use crate::spec::EnvName;
use crate::store::{self, Receipt};

/// A spec with its lock and its plan, ready to be carried out.
pub struct Prepared {
    /// The spec.
    pub subject: Subject,
    /// Its lock.
    pub locked: Locked,
    /// What they ask for.
    pub desired: Desired,
    /// What to do.
    pub plan: Plan,
    /// The spec that the current generation was made from, if that is another
    /// one which is still there.
    pub other_spec: Option<PathBuf>,
    /// What this machine lacks of what the packages need, where the spec's target says
    /// that they are for another one.
    pub unfit: Vec<String>,
    /// The sources of which wheels are built first, which runs what their authors wrote.
    pub sources: Vec<Source>,
    /// What is to be in it; nothing if the generation is there already.
    pub(super) prefixes: Vec<LockedPrefix>,
}

impl Prepared {
    /// Whether spec and lock are what they were when this was made.
    pub fn still_holds(&self) -> bool {
        let file = &self.subject.file;
        let lock = file.lock_text();
        // What was at a revision does not change.
        file.revision.is_some()
            || file.refuse_if_changed().is_ok()
                && lock.is_ok_and(|lock| self.locked.is_found(lock.as_ref()))
    }
}

/// Observes and plans. If the generation that is asked for is there, neither
/// the lock nor the prefix is read: the answer takes the same few file look-ups
/// for ten packages as for a thousand.
pub fn prepare(
    context: &Context,
    subject: Subject,
    locked: Locked,
) -> Result<Prepared, ApplyError> {
    let spec = &subject.file.spec;
    let generation = GenerationId::new(
        &spec.name,
        context.platform,
        locked.text.as_str(),
        &kernels_text(&subject),
        &serde_json::json!(spec.variables).to_string(),
    );
    let prefix = context.root.generation(generation.as_str())?;
    let current = store::current(&context.root, &spec.name)?;
    let generation_exists = Receipt::exists(&prefix);
    let is_current = current.as_deref() == Some(generation.as_str());

    let prefixes = if generation_exists && is_current {
        Vec::new()
    } else {
        locked.prefixes(context)?.to_vec()
    };
    let packages: Vec<PackageId> = prefixes.iter().flat_map(LockedPrefix::packages).collect();
    let (mut cost, mut room) = (Cost::default(), Room::default());
    let mut store_paths = Vec::new();
    let mut unfit = Vec::new();
    let mut sources = Vec::new();
    if !generation_exists {
        for locked in &prefixes {
            store::refuse_too_long(&locked.within(&prefix))?;
        }
        refuse_packages(context, &subject, &prefixes)?;
        refuse_strangers(&subject, &locked, &prefixes)?;
        refuse_lacking(&subject, &packages)?;
        unfit = unfit::judge(context, &subject, &needs(&prefixes))?;
        store_paths = nix::store_paths(context, &subject, &locked.text)?;
        let records = prefixes.iter().map(|prefix| prefix.records.as_slice());
        sources = to_build(&subject.packages(context), &prefixes);
        cost = conda::cost(context.root.path(), &subject.packages(context), records);
        room = store::room(context.root.path());
    }
    let mut other_spec = None;
    let before = match current {
        Some(current) if is_current => Some((current, packages.clone())),
        Some(current) => {
            // A broken one is a reason to leave it, not to refuse.
            let prefix = context.root.generation(&current)?;
            let receipt = Receipt::read(&prefix).unwrap_or_default();
            other_spec = receipt
                .as_ref()
                // A link leads to a shared root: its spec is of those who fill that.
                .filter(|_| !prefix.is_symlink())
                .map(|receipt| receipt.spec.path.clone())
                // One that was repaired without its receipt knows only its own copy.
                .filter(|path| !path.starts_with(context.root.generations()))
                .filter(|path| is_another_file(path, &subject.file.path));
            let packages = receipt.map(|receipt| receipt.packages).unwrap_or_default();
            Some((current, packages))
        }
        None => None,
    };
    let desired = Desired {
        environment: spec.name.clone(),
        generation,
        packages,
        kernels: subject.desired_kernels(),
        store_paths,
    };
    let observed = Observed {
        current: before,
        generation_exists,
        cost,
        room,
        lock_written: locked.is_written(),
        registered: registered(context, &spec.name)?,
    };
    let plan = plan::plan(&desired, &observed);
    Ok(Prepared {
        subject,
        locked,
        desired,
        plan,
        other_spec,
        unfit,
        sources,
        prefixes,
    })
}

/// Refuses a lock that is used as it is (`--frozen`) and lacks a package of a
/// kernel, before anything is built.
fn refuse_lacking(subject: &Subject, locked: &[PackageId]) -> Result<(), ApplyError> {
    for kernel in &subject.kernels {
        let packages = kernel.definition().map(|definition| &definition.packages);
        for package in packages.into_iter().flatten() {
            let Some(name) = package.spec.name.as_exact() else {
                continue;
            };
            let is_it = |id: &PackageId| {
                id.name == name.as_normalized() && id.isolated.as_deref() == kernel.isolated()
            };
            if !locked.iter().any(is_it) {
                return Err(ApplyError::LockLacks {
                    name: subject.file.lock_name(),
                    package: name.as_normalized().to_owned(),
                    kernel: kernel.request.name.value.clone(),
                });
            }
        }
    }
    Ok(())
}

/// Whether both files are there, and are not one.
fn is_another_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one != other)
}

/// The kernelspecs in the user's folder that are this environment's, of this
/// root.
pub(super) fn registered(
    context: &Context,
    name: &EnvName,
) -> Result<Vec<RegisteredKernel>, ApplyError> {
    let known = jupyter::observed(&context.kernels_dir)
        .map_err(ApplyError::unreadable(&context.kernels_dir))?;
    Ok(known
        .into_iter()
        .filter_map(|kernelspec| match kernelspec.owner {
            Owner::Envspec(mark)
                if mark.environment == name.as_str()
                    && context.root.is_at(Path::new(&mark.root)) =>
            {
                Some(RegisteredKernel {
                    name: kernelspec.name,
                    generation: mark.generation,
                })
            }
            _ => None,
        })
        .collect())
}

/// Everything about kernels that decides a generation's content: what the spec
/// says of each, and the definition's own text.
fn kernels_text(subject: &Subject) -> String {
    let kernels: Vec<_> = subject
        .kernels
        .iter()
        .map(|kernel| {
            let request = &kernel.request;
            let mut text = serde_json::json!({
                "name": request.name.value,
                "use": request.definition.as_ref().map(|id| &id.value),
                "display_name": request.display_name.as_ref().map(|name| &name.value),
                "env": request.env,
                "isolated": request.isolated,
                "memory": request.limits.memory.as_ref().map(|at| at.value.bytes()),
                "threads": request.limits.threads.as_ref().map(|at| at.value),
                "packages": request.packages.iter().map(|at| &at.value).collect::<Vec<_>>(),
            });
            // What the installable was resolved to is in the lock.
            let (key, value) = match &kernel.origin {
                KernelOrigin::Packages(definition) => ("definition", definition.text.as_str()),
                KernelOrigin::Nix(installable) => ("installable", installable.text()),
            };
            text[key] = value.into();
            if let Some(definition) = &kernel.tested_by {
                text["definition"] = definition.text.as_str().into();
            }
            text
        })
        .collect();
    serde_json::Value::from(kernels).to_string()
}
