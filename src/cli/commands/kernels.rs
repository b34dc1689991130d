//! `envspec kernels`: the catalogue, real execution in each kernel, and what is wrong
//! with any that Jupyter finds.

use clap::Subcommand;
use serde::Serialize;

use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::say::{BOLD, styled, table};
use crate::kernel::{Interrupt, KernelDefinition};

use super::{kernels_doctor, kernels_test};

/// The catalogue of kernels, and real execution in each
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    command: KernelsCommand,
}

#[derive(Debug, Subcommand)]
enum KernelsCommand {
    /// List the kernels of the catalogue
    List {
        /// Only this language
        #[arg(long)]
        language: Option<String>,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what the catalogue knows of a kernel
    Show {
        /// The kernel
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
        KernelsCommand::List { language, json } => list(app, language.as_deref(), json),
        KernelsCommand::Show { id, json, yaml } => show(app, &id, json, yaml),
        KernelsCommand::Test {
            spec,
            kernels,
            timeout,
            json,
        } => kernels_test::run(app, spec.as_deref(), &kernels, timeout, json),
        KernelsCommand::Doctor(args) => kernels_doctor::run(app, &args),
    }
}

/// The answer in JSON.
#[derive(Serialize)]
pub(super) struct Answer<T> {
    pub(super) version: u32,
    pub(super) kernels: Vec<T>,
}

/// A kernel of the catalogue in JSON.
#[derive(Serialize)]
struct Entry<'a> {
    id: &'a str,
    language: &'a str,
    display_name: &'a str,
    summary: &'a str,
    homepage: &'a str,
    packages: Vec<&'a str>,
    kernelspec: String,
    state: crate::kernel::State,
    interrupts: bool,
    notes: Option<&'a str>,
}

fn entry(definition: &KernelDefinition) -> Entry<'_> {
    Entry {
        id: definition.id.as_str(),
        language: &definition.language,
        display_name: &definition.display_name,
        summary: &definition.summary,
        homepage: definition.homepage.as_str(),
        packages: definition
            .packages
            .iter()
            .map(|package| package.text.as_str())
            .collect(),
        kernelspec: definition.kernelspec.to_string(),
        state: definition.state,
        interrupts: matches!(definition.interrupt, Interrupt::Cell(_)),
        notes: definition.notes.as_deref(),
    }
}

fn list(app: &App<'_>, language: Option<&str>, json: bool) -> Result<Exit, Failure> {
    let catalogue = app.catalogue()?;
    let entries: Vec<Entry<'_>> = catalogue
        .iter()
        .filter(|definition| {
            language.is_none_or(|wanted| definition.language.eq_ignore_ascii_case(wanted))
        })
        .map(entry)
        .collect();
    if json {
        app.ui.json(&Answer {
            version: 1,
            kernels: entries,
        })?;
    } else if let (Some(language), true) = (language, entries.is_empty()) {
        let known: std::collections::BTreeSet<_> = catalogue
            .iter()
            .map(|definition| definition.language.as_str())
            .collect();
        return Err(Failure::usage(
            format!("no kernel for the language {language}"),
            format!(
                "there are kernels for {}",
                known.into_iter().collect::<Vec<_>>().join(", ")
            ),
        ));
    } else {
        let rows = entries.iter().map(|entry| {
            vec![
                entry.id.to_owned(),
                entry.language.to_owned(),
                state_text(entry.state).to_owned(),
                entry.packages.join(", "),
                entry.summary.to_owned(),
            ]
        });
        app.ui.answer(table(
            &["kernel", "language", "state", "packages", "what"],
            rows,
        ))?;
    }
    Ok(Exit::Done)
}

fn state_text(state: crate::kernel::State) -> &'static str {
    use crate::kernel::State;
    match state {
        State::Tested => "tested",
        State::RecipeOnly => "from the recipe only",
        State::NeedsNetwork => "needs the network",
        State::Licensed => "needs a licence",
        State::Obsolete => "obsolete",
    }
}

fn show(app: &App<'_>, id: &str, json: bool, yaml: bool) -> Result<Exit, Failure> {
    let catalogue = app.catalogue()?;
    let definition = catalogue.get(id)?;
    if yaml {
        app.ui.answer(definition.text.trim_end())?;
        return Ok(Exit::Done);
    }
    let entry = entry(&definition);
    if json {
        app.ui.json(&entry)?;
        return Ok(Exit::Done);
    }
    let row = |label: &str, value: &str| format!("{label:>12}  {value}");
    let interrupts = match &definition.interrupt {
        Interrupt::Cell(_) => "yes".to_owned(),
        Interrupt::Unsupported(reason) => format!("no: {reason}"),
    };
    let mut lines = vec![
        format!("{}  {}", styled(BOLD, entry.id), entry.summary),
        row("language", entry.language),
        row("state", state_text(entry.state)),
        row("packages", &entry.packages.join(", ")),
        row("kernelspec", &entry.kernelspec),
        row("interrupts", &interrupts),
        row("homepage", entry.homepage),
    ];
    lines.extend(entry.notes.map(|notes| row("notes", notes.trim())));
    app.ui.answer(lines.join("\n"))?;
    Ok(Exit::Done)
}
