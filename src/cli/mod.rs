//! What people see: commands, answers, errors, progress.
//!
//! A command's file reads its arguments, calls the rooms below, and says what
//! came of it. Answers go to stdout, conversation to stderr; the exit code is
//! one of [`Exit`].

mod app;
mod commands;
mod configured;
mod failure;
mod heavy;
mod progress;
mod reach;
mod say;
mod select;

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use app::App;
use commands::Arguments;
use failure::Failure;
use say::Ui;

/// Runs the program with this process's arguments.
pub fn main() -> ExitCode {
    let matches = Arguments::command().get_matches();
    let arguments = match Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    let ui = Ui::new(arguments.global.manner());
    panic::set_hook(Box::new(|_| {}));
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
        let app = App::new(&ui, arguments.global)?;
        commands::run(&app, arguments.command)
    }));
    let exit = match outcome {
        Ok(Ok(exit)) => exit,
        Ok(Err(failure)) => ui.failure(&failure),
        Err(cause) => ui.failure(&Failure::internal(cause.as_ref())),
    };
    ExitCode::from(exit as u8)
}
