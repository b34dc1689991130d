//! Back to a generation that is still there: one rename and the kernelspecs.

use super::context::{Context, now};
use super::error::ApplyError;
use super::kernels;
use super::observe::registered;
use crate::spec::EnvName;
use crate::store::{self, Event, Lease, Receipt, StoreError, Switched};

/// What a rollback did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolledBack {
    /// The generation that was current.
    pub from: Option<String>,
    /// The one that is.
    pub to: String,
}

/// Goes back to `wanted`, or to the generation that was current before.
///
/// A generation can be named by the beginning of what follows the
/// environment's name, as far as that tells one from the others.
pub fn rollback(
    context: &Context,
    name: &EnvName,
    wanted: Option<&str>,
) -> Result<RolledBack, ApplyError> {
    let lease = Lease::take(
        &context.root,
        name,
        &context.who.to_string(),
        &context.who.host,
        &now(),
    )?;
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
    if from.as_deref() != Some(to.as_str()) {
        store::publish(&context.root, name, &to)?;
        let switched = Switched {
            at: now(),
            by: context.who.to_string(),
            event: Event::Rollback,
            to: to.clone(),
        };
        store::record(&context.root, name, &switched)?;
    }
    for kernel in &receipt.kernels {
        kernels::register(context, &prefix, Some(&receipt), &kernel.registered)?;
    }
    for stale in registered(context, name)? {
        if !receipt
            .kernels
            .iter()
            .any(|kernel| kernel.registered == stale.name)
        {
            kernels::unregister(context, &stale.name)?;
        }
    }
    drop(lease);
    Ok(RolledBack { from, to })
}

/// The generation that a user's text means.
fn named(context: &Context, name: &EnvName, wanted: &str) -> Result<String, ApplyError> {
    let beginning = format!("{name}-{wanted}");
    let mut matching = store::generations(&context.root, Some(name))?
        .into_iter()
        .map(|generation| generation.receipt.generation)
        .filter(|id| id == wanted || id.starts_with(&beginning));
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
