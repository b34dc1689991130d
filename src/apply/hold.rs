//! The right to change an environment.

use super::context::Context;
use super::error::ApplyError;
use crate::conda::Step;
use crate::spec::EnvName;
use crate::store::{Granted, Lease, pass_gate};

/// Who is waited for: `user@host`, what process, since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitingFor<'a> {
    /// One who changes the same environment.
    Change(&'a str),
    /// One who collects what nobody needs.
    Collection(&'a str),
}

/// Waits for the right to change an environment: until nobody else changes it,
/// and nobody collects. `tell` is told who does.
pub async fn hold(
    context: &Context,
    name: &EnvName,
    tell: &(dyn Fn(WaitingFor<'_>) + Sync),
) -> Result<Granted, ApplyError> {
    let _umask = context.root.join_group()?;
    let (root, asker) = (&context.root, context.asker());
    let tell = |who: WaitingFor<'_>| {
        context.progress.end(Step::Wait);
        tell(who);
        context.progress.begin(Step::Wait, 0);
    };
    let granted = async {
        let granted = Lease::wait(root, name, &asker, &|by| tell(WaitingFor::Change(by))).await?;
        let was_shut = pass_gate(root, &asker, &|by| tell(WaitingFor::Collection(by))).await?;
        Ok(Granted {
            waited: granted.waited || was_shut,
            ..granted
        })
    };
    let granted = granted.await;
    context.progress.end(Step::Wait);
    granted
}

/// Does what makes room, or needs none; if there is not even room for that, once more
/// with what the root keeps for it.
pub(super) async fn with_reserve<T>(
    context: &Context,
    work: impl AsyncFn() -> Result<T, ApplyError>,
) -> Result<T, ApplyError> {
    let done = match work().await {
        Err(error) if error.is_full() && context.root.spend_reserve() => work().await,
        done => done,
    };
    if let Ok(_umask) = context.root.join_group() {
        context.root.fill_reserve();
    }
    done
}
