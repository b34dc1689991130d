//! An environment deleted: its kernels are unregistered, its link is taken away.
//!
//! Spec and lock stay, and its generations too, until `gc` finds that nobody needs
//! them. Kernels go first: killed in between, nothing is left that leads nowhere, and
//! the same command finds by the link what is left to do.

use super::context::Context;
use super::error::ApplyError;
use super::generations_in_use::tell_kernels;
use super::hold::{WaitingFor, hold, with_reserve};
use super::observe::registered;
use super::publish::{record, record_what_was_missed};
use super::registration;
use crate::jupyter;
use crate::spec::EnvName;
use crate::store::{self, Event, Receipt};

/// What is taken away, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// The generation that was current; `None` if only kernels were left.
    pub generation: Option<String>,
    /// The kernelspecs, by their names.
    pub unregistered: Vec<String>,
}

/// What there is of an environment that deleting it takes away.
pub fn would_delete(context: &Context, name: &EnvName) -> Result<Deleted, ApplyError> {
    let kernels = registered(context, name)?.into_iter();
    Ok(Deleted {
        generation: store::current(&context.root, name)?,
        unregistered: kernels.map(|kernel| kernel.name).collect(),
    })
}

/// Deletes an environment. It waits for the right to change it, as [`hold`] does.
pub async fn delete(
    context: &Context,
    name: &EnvName,
    tell: &(dyn Fn(WaitingFor<'_>) + Sync),
) -> Result<Deleted, ApplyError> {
    with_reserve(context, async || delete_once(context, name, tell).await).await
}

async fn delete_once(
    context: &Context,
    name: &EnvName,
    tell: &(dyn Fn(WaitingFor<'_>) + Sync),
) -> Result<Deleted, ApplyError> {
    let lease = hold(context, name, tell).await?.lease;
    let deleted = would_delete(context, name)?;
    for registered in &deleted.unregistered {
        lease.confirm()?;
        registration::unregister(context, registered)?;
    }
    if let Some(generation) = &deleted.generation {
        for registered in unfinished(context, generation)? {
            lease.confirm()?;
            registration::unregister(context, &registered)?;
        }
        lease.confirm()?;
        record_what_was_missed(context, name, generation)?;
        record(context, name, Event::Delete, generation, None)?;
        store::unpublish(&context.root, name)?;
    }
    tell_kernels(context, None)?;
    drop(lease);
    Ok(deleted)
}

/// The names of the kernels of a generation of which there is no kernelspec, but may
/// be the rest of one whose removal was killed, without its mark.
fn unfinished(context: &Context, generation: &str) -> Result<Vec<String>, ApplyError> {
    // One that can't be read is as good as none.
    let receipt = Receipt::read_kept(&context.root, generation).unwrap_or_default();
    let folder = &context.kernels_dir;
    let known = jupyter::observed(folder).map_err(ApplyError::unreadable(folder))?;
    let kernels = receipt.into_iter().flat_map(|receipt| receipt.kernels);
    Ok(kernels
        .map(|kernel| kernel.registered)
        .filter(|name| !known.iter().any(|known| known.name == *name))
        .collect())
}
