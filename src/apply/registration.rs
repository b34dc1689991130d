//! The kernels of a generation, registered for the user: whose a name is, and
//! what the kernelspec in the user's folder says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::context::Context;
use super::error::ApplyError;
use super::kernels::KERNELS;
use crate::jupyter::{self, Staged};
use crate::kernel::{KERNELSPEC_MARK_VERSION, KernelSpec, Mark, RegisteredName};
use crate::plan::{Action, Plan};
use crate::store::{KernelReceipt, Receipt, Root, StoreError};

/// A kernelspec that belonged to another environment of envspec's until now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// The kernelspec's name.
    pub registered: String,
    /// Whose it was.
    pub was: Mark,
}

/// Judges the names of the kernels that a plan registers, before anything is
/// built or switched: refuses one that is somebody else's, and tells which are
/// taken over.
pub(super) fn judge_names(context: &Context, plan: &Plan) -> Result<Vec<Replaced>, ApplyError> {
    let mut all = Vec::new();
    for action in &plan.actions {
        if let Action::RegisterKernel { kernel, registered } = action {
            let mark = Mark {
                version: KERNELSPEC_MARK_VERSION,
                environment: plan.environment.clone(),
                kernel: kernel.clone(),
                generation: plan.to.to_string(),
                root: context.root.path().to_string_lossy().into_owned(),
            };
            let name = registered_name(registered)?;
            let may_replace = |theirs: &Mark| may_replace(&mark, theirs);
            let found = jupyter::replaced(&context.kernels_dir, &name, &mark, &may_replace)?;
            all.extend(found.map(|was| Replaced {
                registered: registered.clone(),
                was,
            }));
        }
    }
    // Of the same root by another path: nobody's loss. One that can't be seen may
    // be of another cluster that shares this home.
    all.retain(|replaced| !context.root.is_at(Path::new(&replaced.was.root)));
    Ok(all)
}

/// Whether a kernelspec of another environment may be replaced: one of the same
/// name in another root may (who applies a spec there wants its kernels to be
/// those), and one whose generation is gone.
fn may_replace(mine: &Mark, theirs: &Mark) -> bool {
    let same_name = (&mine.environment, &mine.kernel) == (&theirs.environment, &theirs.kernel);
    same_name || !is_there(theirs)
}

/// Whether the generation that a kernelspec runs from is there.
fn is_there(mark: &Mark) -> bool {
    Root::new(PathBuf::from(&mark.root))
        .generation(&mark.generation)
        .is_ok_and(|prefix| Receipt::exists(&prefix))
}

/// Stages every kernelspec that a plan registers, so that nothing is left to
/// fail for want of space or permission once the link is moved.
pub(super) fn stage(
    context: &Context,
    plan: &Plan,
    receipt: Option<&Receipt>,
) -> Result<BTreeMap<String, Staged>, ApplyError> {
    let prefix = context.root.generation(plan.to.as_str())?;
    let mut read = None;
    let mut all = BTreeMap::new();
    for action in &plan.actions {
        let Action::RegisterKernel { registered, .. } = action else {
            continue;
        };
        let receipt = match (receipt, &mut read) {
            (Some(receipt), _) => Some(receipt),
            (None, Some(receipt)) => Some(&*receipt),
            (None, read) => {
                *read = Receipt::read(&prefix)?;
                read.as_ref()
            }
        };
        let staged = stage_one(context, &prefix, receipt, registered)?;
        all.insert(registered.clone(), staged);
    }
    Ok(all)
}

/// Stages one kernel of a generation, with envspec's mark.
pub(super) fn stage_one(
    context: &Context,
    prefix: &Path,
    receipt: Option<&Receipt>,
    registered: &str,
) -> Result<Staged, ApplyError> {
    let Some((receipt, kernel)) = receipt.and_then(|receipt| {
        let kernel = receipt
            .kernels
            .iter()
            .find(|kernel| kernel.registered == registered)?;
        Some((receipt, kernel))
    }) else {
        return Err(no_kernel(registered).into());
    };
    let folder = prefix.join(KERNELS).join(&kernel.directory);
    let mark = mark(context, receipt, &kernel.name);
    let marked = marked(&folder, kernel, &mark)?;
    let resources = jupyter::read_resources(&folder).map_err(ApplyError::unreadable(&folder))?;
    Ok(jupyter::stage(
        &context.kernels_dir,
        &registered_name(registered)?,
        &marked,
        &resources,
        &|theirs| may_replace(&mark, theirs),
    )?)
}

/// What the kernelspec of a registered name in the user's folder has to say.
pub(super) fn wanted(
    context: &Context,
    prefix: &Path,
    receipt: &Receipt,
    registered: &str,
) -> Result<KernelSpec, ApplyError> {
    let kernels = &receipt.kernels;
    let kernel = kernels
        .iter()
        .find(|kernel| kernel.registered == registered)
        .ok_or_else(|| no_kernel(registered))?;
    let folder = prefix.join(KERNELS).join(&kernel.directory);
    marked(&folder, kernel, &mark(context, receipt, &kernel.name))
}

fn no_kernel(registered: &str) -> StoreError {
    StoreError::Unknown {
        what: "kernel in the generation",
        name: registered.to_owned(),
    }
}

fn mark(context: &Context, receipt: &Receipt, kernel: &str) -> Mark {
    Mark {
        version: KERNELSPEC_MARK_VERSION,
        environment: receipt.environment.clone(),
        kernel: kernel.to_owned(),
        generation: receipt.generation.clone(),
        root: context.root.path().to_string_lossy().into_owned(),
    }
}

/// The kernelspec of a folder in a generation, with envspec's mark.
fn marked(folder: &Path, kernel: &KernelReceipt, mark: &Mark) -> Result<KernelSpec, ApplyError> {
    let path = folder.join("kernel.json");
    let text = fs::read_to_string(&path).map_err(ApplyError::unreadable(&path))?;
    let kernelspec = KernelSpec::parse(&text).map_err(|source| ApplyError::Kernelspec {
        kernel: kernel.name.clone(),
        source,
    })?;
    Ok(kernelspec.marked(mark, Some(&kernel.display_name)))
}

/// Takes one of envspec's kernelspecs out of the user's folder.
pub(super) fn unregister(context: &Context, registered: &str) -> Result<(), ApplyError> {
    jupyter::unregister(&context.kernels_dir, &registered_name(registered)?)?;
    Ok(())
}

/// A name out of a plan or a receipt, which a hand may have changed.
fn registered_name(text: &str) -> Result<RegisteredName, ApplyError> {
    RegisteredName::of_folder(text).ok_or_else(|| {
        StoreError::Unknown {
            what: "kernelspec that Jupyter would see as",
            name: text.to_owned(),
        }
        .into()
    })
}
