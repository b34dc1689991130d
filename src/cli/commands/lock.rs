//! `envspec lock`: resolve a spec and write its lock.

use crate::apply::{ApplyError, LockPolicy};
use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::say::{NAME, styled};
use crate::cli::select;
use crate::store;

use super::walk;

/// Resolve a spec and write its lock beside it
///
/// A lock that still belongs to its spec is left alone; one that does not is
/// brought up to date with as few changes as possible.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A spec, or the name of an applied environment [default: the only spec in envs/]
    spec: Option<String>,

    /// Resolve anew, to the newest packages that the spec allows
    #[arg(long, conflicts_with = "check")]
    renew: bool,

    /// Write nothing; exit with 3 if the lock is stale
    #[arg(long)]
    check: bool,

    /// Touch no network: use what is cached or on disk
    #[arg(long)]
    offline: bool,
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let file = select::spec(app, args.spec.as_deref())?;
    let context = walk::context(app, &file, walk::network(args.offline))?;
    let subject = file.judge(&context)?;
    let policy = match (args.check, args.renew) {
        (true, _) => LockPolicy::Locked,
        (_, true) => LockPolicy::Renew,
        _ => LockPolicy::Update,
    };
    let locked = walk::block_on(walk::lock(app, &context, &subject, policy))?;
    // What belongs to the spec by its head may still be no lock, after a merge.
    let lock = locked.text.read().map_err(ApplyError::from)?;
    let name = styled(NAME, subject.file.lock_name());
    if locked.is_written() {
        app.ui.status(format!("{name} is up to date"));
    } else {
        walk::say_sources(app, &lock, &locked.platforms);
        store::write_whole(&subject.file.lock_path(), locked.text.as_str().as_bytes())?;
        app.ui.status(format!("Wrote {name}"));
    }
    Ok(Exit::Done)
}
