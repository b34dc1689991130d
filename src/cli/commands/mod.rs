//! The commands, one file each.

mod add;
mod apply;
mod check;
mod connect;
mod delete;
mod diff;
mod doctor;
mod edit_spec;
mod export;
mod gc;
mod history;
mod import;
mod init;
mod kernels;
mod kernels_doctor;
mod kernels_list;
mod kernels_mend;
mod kernels_show;
mod kernels_test;
mod launch;
mod list;
mod lock;
mod open_page;
mod plan;
mod recipe;
mod remove;
mod rollback;
mod sessions;
mod show;
mod stop;
mod update;
mod verify;
pub(super) mod walk;

use clap::{Parser, Subcommand};

use super::app::{App, Global};
use super::failure::{Exit, Failure};

/// One YAML file in git becomes a Jupyter with its kernels, and the recipe to
/// reach it.
#[derive(Debug, Parser)]
#[command(
    name = "envspec",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 internal, 2 usage or bad spec, 3 changes pending, 4 no solution, \
                  5 network, 6 kernel, cluster or ssh, 7 store or disk, 130 interrupted"
)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    pub(in crate::cli) global: Global,
    #[command(subcommand)]
    pub(in crate::cli) command: Command,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    Init(init::Args),
    Apply(apply::Args),
    Plan(plan::Args),
    Lock(lock::Args),
    Update(update::Args),
    Check(check::Args),
    Show(show::Args),
    Add(add::Args),
    Remove(remove::Args),
    List(list::Args),
    History(history::Args),
    Diff(diff::Args),
    Export(export::Args),
    Import(import::Args),
    Rollback(rollback::Args),
    Verify(verify::Args),
    Delete(delete::Args),
    Gc(gc::Args),
    Kernels(kernels::Args),
    Recipe(recipe::Args),
    Launch(launch::Args),
    Sessions(sessions::Args),
    Connect(connect::Args),
    Doctor(doctor::Args),
    Stop(stop::Args),
}

/// Runs a command.
pub(in crate::cli) fn run(app: &App<'_>, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Init(args) => init::run(app, &args),
        Command::Apply(args) => apply::run(app, &args),
        Command::Plan(args) => plan::run(app, &args),
        Command::Lock(args) => lock::run(app, &args),
        Command::Update(args) => update::run(app, &args),
        Command::Check(args) => check::run(app, &args),
        Command::Show(args) => show::run(app, &args),
        Command::Add(args) => add::run(app, &args),
        Command::Remove(args) => remove::run(app, &args),
        Command::List(args) => list::run(app, &args),
        Command::History(args) => history::run(app, &args),
        Command::Diff(args) => diff::run(app, &args),
        Command::Export(args) => export::run(app, &args),
        Command::Import(args) => import::run(app, &args),
        Command::Rollback(args) => rollback::run(app, &args),
        Command::Verify(args) => verify::run(app, &args),
        Command::Delete(args) => delete::run(app, &args),
        Command::Gc(args) => gc::run(app, &args),
        Command::Kernels(args) => kernels::run(app, args),
        Command::Recipe(args) => recipe::run(app, &args),
        Command::Launch(args) => launch::run(app, &args),
        Command::Sessions(args) => sessions::run(app, &args),
        Command::Connect(args) => connect::run(app, &args),
        Command::Doctor(args) => doctor::run(app, &args),
        Command::Stop(args) => stop::run(app, &args),
    }
}
