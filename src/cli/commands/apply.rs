//! `envspec apply`: from the spec to kernels that run.

use std::time::Instant;

use crate::apply;
use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::say::{NAME, counted, styled};
use crate::cli::select;
use crate::plan::Action;

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

    /// Show the plan and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let file = select::spec(app, args.spec.as_deref())?;
    let context = walk::context(app, &file, args.lock.network())?;
    walk::block_on(async {
        let prepared = walk::prepare(app, &context, file, args.lock.policy()).await?;
        let plan = &prepared.plan;
        if args.dry_run || plan.actions.is_empty() {
            let lock = prepared.subject.file.lock_name();
            let text = plan::text(plan, &lock);
            if args.dry_run {
                app.ui.answer(text)?;
            } else {
                app.ui.status(text);
            }
            return Ok(Exit::Done);
        }
        let started = Instant::now();
        let actions = plan.actions.clone();
        let packages = prepared.desired.packages.len();
        let generation = prepared.desired.generation.clone();
        let lock = prepared.subject.file.lock_name();
        let recipe = recipe::of(app, &context, &prepared.subject, generation.as_str())?;
        let outcome = apply::carry_out(&context, prepared).await?;

        let mut registered = Vec::new();
        for action in &actions {
            match action {
                Action::WriteLock => app.ui.status(format!("Wrote {}", styled(NAME, &lock))),
                Action::BuildGeneration { .. } => app.ui.status(format!(
                    "Installed {} as {} {}",
                    counted(packages, "package"),
                    styled(NAME, &generation),
                    walk::took(started)
                )),
                Action::Switch { .. } => {}
                Action::RegisterKernel { registered: name, .. } => registered.push(name.as_str()),
                Action::UnregisterKernel { registered } => app
                    .ui
                    .status(format!("Unregistered {}", styled(NAME, registered))),
            }
        }
        if !registered.is_empty() {
            app.ui
                .status(format!("Registered {}", styled(NAME, registered.join(", "))));
        }
        say_outcome(app, &outcome);
        app.ui.answer(recipe)?;
        Ok(Exit::Done)
    })
}

fn say_outcome(app: &App<'_>, outcome: &apply::Outcome) {
    if !outcome.clobbered.is_empty() {
        let first = outcome.clobbered[0].display();
        app.ui.warning(format!(
            "{} by more than one package, the first {first}; one of the files won",
            counted(outcome.clobbered.len(), "path is brought").replace("broughts", "brought"),
        ));
    }
    if !outcome.scripts.is_empty() {
        app.ui.warning(format!(
            "post-link scripts are not run; these packages bring one: {}",
            outcome.scripts.join(", ")
        ));
    }
}
