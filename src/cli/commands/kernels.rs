//! `envspec kernels`: the catalogue, real execution in each kernel, and what is wrong
//! with any that Jupyter finds.

use clap::Subcommand;

use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::kernel::State;

use super::kernels_list::StateWanted;
use super::{kernels_doctor, kernels_list, kernels_show, kernels_test};

/// The catalogue of kernels, and real execution in each
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    command: KernelsCommand,
}

#[derive(Debug, Subcommand)]
enum KernelsCommand {
    /// List the kernels of the catalogue
    ///
    /// Those of `envs/kernels` are among them, which go before the user's and the built-in ones.
    List {
        /// Only this language, by any of its names: r, c++, js
        #[arg(long)]
        language: Option<String>,
        /// Only kernels of which this is known
        #[arg(long, value_name = "STATE")]
        state: Option<StateWanted>,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what the catalogue knows of a kernel
    Show {
        /// The kernel, by its name or another one that it has
        id: String,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
        /// Print the definition itself, to copy and change
        #[arg(long, conflicts_with = "json")]
        yaml: bool,
    },
    /// Run code in each kernel of an applied environment
    ///
    /// Starts every kernel from its kernel.json as Jupyter would, in an
    /// environment that holds nothing else; runs a cell, interrupts a long one,
    /// runs the cell again, shuts down. Exits with 6 if a kernel fails.
    Test {
        /// A spec, or the name of an applied environment [default: the only spec in envs/]
        spec: Option<String>,
        /// Only these kernels
        #[arg(long = "kernel", value_name = "NAME")]
        kernels: Vec<String>,
        /// How long a kernel may take to start, in seconds
        #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(1..))]
        timeout: u64,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    Doctor(kernels_doctor::Args),
}

pub(super) fn run(app: &App<'_>, args: Args) -> Result<Exit, Failure> {
    match args.command {
        KernelsCommand::List {
            language,
            state,
            json,
        } => kernels_list::run(app, language.as_deref(), state.map(State::from), json),
        KernelsCommand::Show { id, json, yaml } => kernels_show::run(app, &id, json, yaml),
        KernelsCommand::Test {
            spec,
            kernels,
            timeout,
            json,
        } => kernels_test::run(app, spec.as_deref(), &kernels, timeout, json),
        KernelsCommand::Doctor(args) => kernels_doctor::run(app, &args),
    }
}
