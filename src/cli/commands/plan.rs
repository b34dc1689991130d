//! `envspec plan`: what `apply` would do.

use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::say::{BAD, BOLD, NAME, bytes, counted, styled};
use crate::cli::select;
use crate::plan::{Action, Cost, Plan, Room};

use super::walk::{self, LockFlags};

/// Show what apply would do, and do nothing
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A spec, or the name of an applied environment [default: the only spec in envs/]
    spec: Option<String>,

    #[command(flatten)]
    lock: LockFlags,

    /// Answer in JSON
    #[arg(long)]
    json: bool,

    /// Exit with 3 if there is something to do
    #[arg(long)]
    check: bool,
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let file = select::spec(app, args.spec.as_deref())?;
    let context = walk::context(app, &file, args.lock.network())?;
    let prepared = walk::block_on(walk::prepare(app, &context, file, args.lock.policy()))?;
    walk::warn_if_purged(app, &context, &prepared);
    let plan = &prepared.plan;
    if args.json {
        app.ui.json(plan)?;
    } else {
        app.ui
            .answer(text(plan, &prepared.subject.file.lock_name()))?;
    }
    if args.check && !plan.actions.is_empty() {
        return Ok(Exit::Pending);
    }
    Ok(Exit::Done)
}

/// The plan for people.
pub(super) fn text(plan: &Plan, lock: &str) -> String {
    if plan.actions.is_empty() {
        return format!(
            "Nothing to do: {} is at {}",
            styled(NAME, &plan.environment),
            styled(NAME, &plan.to)
        );
    }
    let mut lines = vec![styled(BOLD, format!("Plan for {}", plan.environment))];
    for change in &plan.packages {
        lines.push(format!("  {}", walk::change_line(change)));
    }
    for action in &plan.actions {
        lines.push(match action {
            Action::WriteLock => format!("Write {}", styled(NAME, lock)),
            Action::BuildGeneration {
                generation,
                packages,
                cost,
                left,
                store_paths,
            } => {
                let line = build_line(generation.as_str(), *packages, cost, left);
                let from_nix = store_paths.iter();
                from_nix.fold(line, |line, path| line + "\n  with " + path)
            }
            Action::Switch { from, to } => match from {
                Some(from) => format!("Switch from {} to {}", styled(NAME, from), styled(NAME, to)),
                None => format!("Switch to {}", styled(NAME, to)),
            },
            Action::RegisterKernel { kernel, registered } => {
                format!("Register {} as {}", kernel, styled(NAME, registered))
            }
            Action::UnregisterKernel { registered } => {
                format!("Unregister {}", styled(NAME, registered))
            }
        });
    }
    lines.join("\n")
}

/// What is built, what that adds, and what is left for it.
fn build_line(generation: &str, packages: usize, cost: &Cost, left: &Room) -> String {
    let fetch = match cost.fetch_bytes {
        0 => String::new(),
        count if cost.of_unknown_size > 0 => format!(", fetch {} or more", bytes(count)),
        count => format!(", fetch {}", bytes(count)),
    };
    let left_words = match left.in_words() {
        words if words.is_empty() => words,
        words => format!("; {words} are left"),
    };
    let verdict = if left.is_too_small_for(cost) {
        styled(BAD, ": it does not fit")
    } else if left.is_tight_for(cost) {
        styled(BAD, ": it may not fit")
    } else {
        String::new()
    };
    format!(
        "Build {} of {}{fetch}\n  adds {}{left_words}{verdict}",
        styled(NAME, generation),
        counted(packages, "package"),
        cost.in_words()
    )
}
