//! `envspec apply`: from the spec to kernels that run.

use std::time::Instant;

use crate::apply::{self, Context, LockPolicy, Outcome, Prepared, SpecFile, WaitingFor};
use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::heavy;
use crate::cli::say::{NAME, counted, styled};
use crate::cli::select;
use crate::conda::Network;
use crate::plan::Action;
use crate::spec::EnvName;
use crate::store::Receipt;

use super::plan;
use super::recipe;
use super::walk::{self, LockFlags};

/// Make a spec real: lock, generation, kernelspecs, recipe
///
/// A new generation is built beside the current one, which goes on working; one
/// rename makes it current.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A spec, or the name of an applied environment [default: the only spec in envs/]
    spec: Option<String>,

    #[command(flatten)]
    lock: LockFlags,

    /// Take spec and lock as they were at this revision of git: a commit, a tag, a branch
    #[arg(long, value_name = "REV", conflicts_with = "locked")]
    at: Option<String>,

    /// Show the plan and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let (file, policy) = match &args.at {
        Some(revision) => {
            let file = select::spec_at(app, args.spec.as_deref(), revision)?;
            if let Some(revision) = &file.revision {
                let commit = &revision.commit[..revision.commit.len().min(9)];
                app.ui.status(format!(
                    "{} as it was at {} of {}",
                    file.spec.name,
                    styled(NAME, commit),
                    revision.date
                ));
            }
            // What was locked then is what is wanted, whatever is the newest now.
            (file, LockPolicy::Frozen)
        }
        None => (select::spec(app, args.spec.as_deref())?, args.lock.policy()),
    };
    if args.dry_run {
        let context = walk::context(app, &file, args.lock.network())?;
        let prepared = walk::block_on(walk::prepare(app, &context, file, policy))?;
        walk::warn_if_purged(app, &context, &prepared);
        let lock = prepared.subject.file.lock_name();
        app.ui.answer(plan::text(&prepared.plan, &lock))?;
        return Ok(Exit::Done);
    }
    spec(app, file, args.lock.network(), policy)
}

/// Applies a spec.
pub(super) fn spec(
    app: &App<'_>,
    mut file: SpecFile,
    network: Network,
    policy: LockPolicy,
) -> Result<Exit, Failure> {
    // Another may change spec or lock until the lease is held, the site too.
    loop {
        let context = walk::context(app, &file, network)?;
        match walk::block_on(once(app, &context, file, policy))? {
            Some(changed) => file = SpecFile::open(&changed.path, changed.source.name())?,
            None => return Ok(Exit::Done),
        }
    }
}

/// Applies a spec, or gives it back if it has changed, or its lock.
async fn once(
    app: &App<'_>,
    context: &Context,
    file: SpecFile,
    policy: LockPolicy,
) -> Result<Option<SpecFile>, Failure> {
    let prepared = walk::prepare(app, context, file, policy).await?;
    if nothing_to_do(app, &prepared) {
        return Ok(None);
    }
    if builds(&prepared) {
        heavy::pass_on(app, &prepared.subject.site)?;
    }
    let name = &prepared.desired.environment;
    let tell = |holder: WaitingFor<'_>| walk::say_waiting(app, name, holder);
    let lease = apply::hold(context, name, &tell).await?.lease;
    if !prepared.still_holds() {
        // The lease is not kept: the work may have to go on elsewhere.
        return Ok(Some(prepared.subject.file));
    }
    // What another built meanwhile counts.
    let prepared = apply::prepare(context, prepared.subject, prepared.locked)?;
    if nothing_to_do(app, &prepared) {
        return Ok(None);
    }
    warn_if_tight(app, &prepared);
    walk::warn_if_purged(app, context, &prepared);
    let started = Instant::now();
    let done = apply::carry_out(context, prepared, lease).await?;
    let prepared = &done.prepared;
    say_actions(app, &done, &prepared.subject.file.lock_name(), started);
    say_outcome(app, &done);
    let generation = prepared.desired.generation.as_str();
    say_recipe(app, context, &prepared.desired.environment, generation)?;
    Ok(None)
}

/// Whether that is so; says so then.
fn nothing_to_do(app: &App<'_>, prepared: &Prepared) -> bool {
    let is_nothing = prepared.plan.actions.is_empty();
    if is_nothing {
        let lock = prepared.subject.file.lock_name();
        app.ui.status(plan::text(&prepared.plan, &lock));
    }
    is_nothing
}

fn builds(prepared: &Prepared) -> bool {
    let is_build = |action: &Action| matches!(action, Action::BuildGeneration { .. });
    prepared.plan.actions.iter().any(is_build)
}

/// Says so when a generation may not fit: what unpacked archives take is known
/// once they are.
fn warn_if_tight(app: &App<'_>, prepared: &Prepared) {
    for action in &prepared.plan.actions {
        if let Action::BuildGeneration { cost, left, .. } = action
            && left.is_tight_for(cost)
            && !left.is_too_small_for(cost)
        {
            app.ui.warning(format!(
                "it may not fit: the new generation takes {}, and {} are left",
                cost.in_words(),
                left.in_words()
            ));
        }
    }
}

fn say_actions(app: &App<'_>, done: &Outcome, lock: &str, started: Instant) {
    let (mut registered, mut unregistered) = (Vec::new(), Vec::new());
    for action in &done.prepared.plan.actions {
        match action {
            Action::WriteLock => app.ui.status(format!("Wrote {}", styled(NAME, lock))),
            Action::BuildGeneration {
                generation,
                packages,
                ..
            } => match &done.shared {
                Some(shared) => app.ui.status(format!(
                    "Using {}, which is there already",
                    styled(NAME, shared.display())
                )),
                None => app.ui.status(format!(
                    "Installed {} as {} {}",
                    counted(*packages, "package"),
                    styled(NAME, generation),
                    walk::took(started)
                )),
            },
            Action::Switch { to, .. } => {
                app.ui.status(format!("Switched to {}", styled(NAME, to)));
            }
            Action::RegisterKernel {
                registered: name, ..
            } => registered.push(name.as_str()),
            Action::UnregisterKernel { registered } => unregistered.push(registered.as_str()),
        }
    }
    for (done, names) in [("Registered", registered), ("Unregistered", unregistered)] {
        if !names.is_empty() {
            app.ui
                .status(format!("{done} {}", styled(NAME, names.join(", "))));
        }
    }
}

/// Prints the recipe. Kernels alone are something too: other servers of the
/// user start them, and there is no recipe for that.
fn say_recipe(
    app: &App<'_>,
    context: &Context,
    name: &EnvName,
    generation: &str,
) -> Result<(), Failure> {
    let prefix = context.root.generation(generation)?;
    let Some(receipt) = Receipt::read(&prefix)? else {
        return Ok(());
    };
    let served = apply::served(context, name, &prefix, &receipt, None)?;
    match served.missing_server() {
        None => app.ui.answer(recipe::text(app, context, &served)?)?,
        Some(package) => app.ui.status(format!(
            "There is no Jupyter in {name}, so there is no recipe to start one. \
             To have one: envspec add {package} --apply"
        )),
    }
    Ok(())
}

fn say_outcome(app: &App<'_>, outcome: &Outcome) {
    walk::say_replaced(app, &outcome.replaced);
    if let Some(first) = outcome.clobbered.first() {
        let more = match outcome.clobbered.len() - 1 {
            0 => String::new(),
            more => format!(" and {}", counted(more, "other path")),
        };
        app.ui.warning(format!(
            "more than one package brings {}{more}; one of the files won",
            first.display(),
        ));
    }
    for folder in &outcome.copied_from {
        app.ui.status(format!(
            "The packages in {} can't be hard-linked: their files were copied, not linked",
            folder.display()
        ));
    }
    if !outcome.renewed.is_empty() {
        app.ui.warning(format!(
            "damaged in the package cache, and fetched anew: {}; \
             other generations share the files that were damaged",
            outcome.renewed.join(", ")
        ));
    }
    if let Some(why) = &outcome.no_bytecode {
        app.ui.warning(format!(
            "Python's sources could not all be compiled, so kernels start slower: {why}"
        ));
    }
    for message in &outcome.messages {
        app.ui.warning(message);
    }
    if !outcome.scripts.is_empty() {
        let packages = outcome.scripts.join(", ");
        app.ui.warning(format!(
            "post-link scripts run only where somebody vouches for them; not run: {packages}. If you \
             trust them, say so in the spec: post_link: [{packages}]"
        ));
    }
}
