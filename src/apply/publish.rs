//! Making a generation the one that people meet: the switch and the
//! kernelspecs. There is one way to do that, for going forward and for going
//! back.
//!
//! What makes a generation is not done here: by now it is there, whole.

use std::collections::BTreeMap;

use super::context::{Context, now};
use super::error::ApplyError;
use super::generations_in_use::tell_kernels;
use super::registration;
use crate::jupyter::Staged;
use crate::plan::{Action, Plan};
use crate::spec::EnvName;
use crate::store::{self, Event, Lease, SpecOrigin, StoreError, Switched};

/// A plan of which only the publishing is left.
pub(super) struct Publishing<'p> {
    /// The environment's lease.
    pub(super) lease: &'p Lease,
    /// The plan.
    pub(super) plan: &'p Plan,
    /// Its environment, whose lease is held.
    pub(super) environment: &'p EnvName,
    /// What the history will call it.
    pub(super) event: Event,
    /// Where the spec came from that asks for it.
    pub(super) spec: Option<SpecOrigin>,
    /// The kernelspecs that it registers, by their names.
    pub(super) staged: BTreeMap<String, Staged>,
}

/// Carries out the actions that publish. Whatever can fail was done before (the
/// names judged, the kernelspecs staged): what is found only here is found with
/// the link already moved.
pub(super) fn publish(context: &Context, publishing: Publishing<'_>) -> Result<(), ApplyError> {
    let Publishing {
        lease,
        plan,
        environment,
        event,
        spec,
        mut staged,
    } = publishing;
    tell_kernels(context, Some(plan.to.as_str()))?;
    for action in &plan.actions {
        lease.confirm()?;
        match action {
            // Done, or there was no need.
            Action::WriteLock | Action::BuildGeneration { .. } => {}
            Action::Switch { from, to } => {
                store::publish(&context.root, environment, to.as_str())?;
                if let Some(from) = from {
                    record_what_was_missed(context, environment, from)?;
                }
                record(context, environment, event, to.as_str(), spec.clone())?;
            }
            Action::RegisterKernel { registered, .. } => {
                if let Some(staged) = staged.remove(registered) {
                    staged.publish()?;
                }
            }
            Action::UnregisterKernel { registered } => {
                registration::unregister(context, registered)?;
            }
        }
    }
    tell_kernels(context, None)
}

/// Records the switch to what was current until now, if the process that made it
/// was killed before it could: else nobody could go back to it.
pub(super) fn record_what_was_missed(
    context: &Context,
    environment: &EnvName,
    from: &str,
) -> Result<(), StoreError> {
    let switches = store::switches(&context.root, environment)?;
    if switches.last().is_some_and(|last| last.to == from) {
        return Ok(());
    }
    let was_current = switches.iter().any(|switched| switched.to == from);
    let event = if was_current {
        Event::Rollback
    } else {
        Event::Apply
    };
    record(context, environment, event, from, None)
}

/// Writes into the history of an environment.
pub(super) fn record(
    context: &Context,
    environment: &EnvName,
    event: Event,
    to: &str,
    spec: Option<SpecOrigin>,
) -> Result<(), StoreError> {
    let _umask = context.root.join_group()?;
    let switched = Switched {
        at: now(),
        by: context.who.to_string(),
        event,
        to: to.to_owned(),
        spec,
    };
    store::record(&context.root, environment, &switched)
}
