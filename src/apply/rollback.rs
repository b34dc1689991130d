//! Back to a generation that is still there: one rename and the kernelspecs.
//!
//! It is planned and published as an apply is, with the receipt in the place of
//! spec and lock. Neither of these is read or written.

use super::context::Context;
use super::error::ApplyError;
use super::hold::{WaitingFor, hold, with_reserve};
use super::observe::registered;
use super::publish::{Publishing, publish};
use super::registration::{self, Replaced};
use crate::plan::{self, Cost, Desired, DesiredKernel, GenerationId, Observed, Room};
use crate::spec::EnvName;
use crate::store::{self, Event, Receipt, StoreError};

/// What a rollback did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolledBack {
    /// The generation that was current.
    pub from: Option<String>,
    /// The one that is.
    pub to: String,
    /// Kernelspecs that were another root's until now.
    pub replaced: Vec<Replaced>,
}

/// Goes back to `wanted`, or to the generation that was current before.
///
/// A generation can be named by the beginning of its digest, with or without
/// the environment's name before it, as far as that tells one from the others.
///
/// It waits for the right to change the environment, as [`hold`] does.
pub async fn rollback(
    context: &Context,
    name: &EnvName,
    wanted: Option<&str>,
    tell: &(dyn Fn(WaitingFor<'_>) + Sync),
) -> Result<RolledBack, ApplyError> {
    with_reserve(context, async || {
        rollback_once(context, name, wanted, tell).await
    })
    .await
}

async fn rollback_once(
    context: &Context,
    name: &EnvName,
    wanted: Option<&str>,
    tell: &(dyn Fn(WaitingFor<'_>) + Sync),
) -> Result<RolledBack, ApplyError> {
    let lease = hold(context, name, tell).await?.lease;
    let from = store::current(&context.root, name)?;
    let unknown_environment = || StoreError::Unknown {
        what: "environment",
        name: name.to_string(),
    };
    let to = match wanted {
        Some(wanted) => named(context, name, wanted)?,
        None => earlier(
            context,
            name,
            from.as_deref().ok_or_else(unknown_environment)?,
        )?,
    };
    let prefix = context.root.generation(&to)?;
    let receipt = Receipt::read(&prefix)?.ok_or_else(|| StoreError::Unknown {
        what: "generation",
        name: to.clone(),
    })?;
    let plan = plan::plan(
        &desired(name, &to, &receipt),
        &observed(context, name, from.as_deref())?,
    );
    let replaced = registration::judge_names(context, &plan)?;
    let publishing = Publishing {
        lease: &lease,
        plan: &plan,
        environment: name,
        event: Event::Rollback,
        spec: Some(receipt.spec.clone()),
        staged: registration::stage(context, &plan, Some(&receipt))?,
    };
    publish(context, publishing)?;
    drop(lease);
    Ok(RolledBack { from, to, replaced })
}

/// What the receipt of a generation asks for.
fn desired(name: &EnvName, generation: &str, receipt: &Receipt) -> Desired {
    Desired {
        environment: name.clone(),
        generation: GenerationId::of_built(generation.to_owned()),
        packages: receipt.packages.clone(),
        store_paths: Vec::new(),
        kernels: receipt
            .kernels
            .iter()
            .map(|kernel| DesiredKernel {
                name: kernel.name.clone(),
                registered: kernel.registered.clone(),
            })
            .collect(),
    }
}

/// What is found. There is nothing to build and no lock to write.
fn observed(
    context: &Context,
    name: &EnvName,
    current: Option<&str>,
) -> Result<Observed, ApplyError> {
    let current = current.map(|current| {
        // A broken current generation is a reason to leave it, not to refuse.
        let packages = context
            .root
            .generation(current)
            .and_then(|prefix| Receipt::read(&prefix))
            .ok()
            .flatten()
            .map(|receipt| receipt.packages)
            .unwrap_or_default();
        (current.to_owned(), packages)
    });
    Ok(Observed {
        current,
        generation_exists: true,
        cost: Cost::default(),
        room: Room::default(),
        lock_written: true,
        registered: registered(context, name)?,
    })
}

/// The generation that a user's text means.
pub(super) fn named(context: &Context, name: &EnvName, wanted: &str) -> Result<String, ApplyError> {
    let digest = wanted.strip_prefix(&format!("{name}-")).unwrap_or(wanted);
    let beginning = format!("{name}-{digest}");
    let (generations, _) = store::generations(&context.root, Some(name))?;
    let mut matching = generations
        .into_iter()
        .map(|generation| generation.receipt.generation)
        .filter(|id| id.starts_with(&beginning));
    match (matching.next(), matching.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => Err(StoreError::Ambiguous {
            name: wanted.to_owned(),
        }
        .into()),
        (None, _) => Err(StoreError::Unknown {
            what: "generation",
            name: wanted.to_owned(),
        }
        .into()),
    }
}

/// The generation that was current before the current one, if it is still
/// there. Going back twice goes back two steps: a rollback is a step that is
/// taken back itself, not one to return to.
fn earlier(context: &Context, name: &EnvName, current: &str) -> Result<String, ApplyError> {
    let mut stack: Vec<String> = Vec::new();
    for switched in store::switches(&context.root, name)? {
        match switched.event {
            Event::Apply => stack.push(switched.to),
            // Nowhere.
            Event::Delete => {}
            // To a generation that was current: what came after it is undone.
            Event::Rollback => match stack.iter().rposition(|id| *id == switched.to) {
                Some(position) => stack.truncate(position + 1),
                None => stack.push(switched.to),
            },
        }
    }
    let here = stack.iter().rposition(|id| id == current);
    let before = &stack[..here.unwrap_or(stack.len())];
    for id in before.iter().rev().filter(|id| *id != current) {
        if Receipt::exists(&context.root.generation(id)?) {
            return Ok(id.clone());
        }
    }
    Err(StoreError::NothingEarlier {
        environment: name.to_string(),
    }
    .into())
}
