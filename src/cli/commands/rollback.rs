//! `envspec rollback`: back to an earlier generation.

use crate::apply::{self, WaitingFor};
use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::say::{NAME, styled};
use crate::cli::select;
use crate::conda::Network;

use super::walk;

/// Go back to an earlier generation
///
/// One rename, whatever the size. The spec and its lock in git are not touched:
/// the next apply goes forward to what they say.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The environment's name, or its spec [default: the only spec in envs/]
    name: Option<String>,

    /// The generation, as `envspec list` shows it, or the beginning of its digest [default: the one before]
    generation: Option<String>,
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let current = select::current(app, args.name.as_deref())?;
    let context = app.context(current.root, Network::Offline)?;
    let tell = |holder: WaitingFor<'_>| walk::say_waiting(app, &current.name, holder);
    let wanted = args.generation.as_deref();
    let done = walk::block_on(async {
        Ok(apply::rollback(&context, &current.name, wanted, &tell).await?)
    })?;
    walk::say_replaced(app, &done.replaced);
    if done.from.as_deref() == Some(done.to.as_str()) {
        app.ui.status(format!(
            "{} is at {} already",
            current.name,
            styled(NAME, &done.to)
        ));
    } else {
        app.ui.status(format!(
            "{} is at {} again",
            current.name,
            styled(NAME, &done.to)
        ));
    }
    Ok(Exit::Done)
}
