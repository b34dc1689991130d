//! `envspec kernels`: the catalogue, and real execution in each kernel.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Subcommand;
use serde::Serialize;

use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::say::{BAD, BOLD, FAINT, GOOD, styled, table};
use crate::cli::select;
use crate::jupyter::{
    Home, KernelTest, KernelTestRequest, Limits, Step, scrubbed_environment, test_kernel,
};
use crate::kernel::{Catalogue, Interrupt, KernelDefinition, KernelSpec, KernelspecSource};
use crate::store::KernelReceipt;

use super::walk;

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
        #[arg(long, value_name = "SECONDS", default_value = "60")]
        timeout: u64,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(app: &App<'_>, args: Args) -> Result<Exit, Failure> {
    match args.command {
        KernelsCommand::List { language, json } => list(app, language.as_deref(), json),
        KernelsCommand::Show { id, json } => show(app, &id, json),
        KernelsCommand::Test {
            spec,
            kernels,
            timeout,
            json,
        } => test(app, spec.as_deref(), &kernels, timeout, json),
    }
}

/// The answer in JSON.
#[derive(Serialize)]
struct Answer<T> {
    version: u32,
    kernels: Vec<T>,
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
        kernelspec: match &definition.kernelspec {
            KernelspecSource::Shipped { dir } => format!("shipped as {}", dir.as_str()),
            KernelspecSource::Installer { argv, .. } => format!("made by: {}", argv.join(" ")),
        },
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
        State::Obsolete => "obsolete",
    }
}

fn show(app: &App<'_>, id: &str, json: bool) -> Result<Exit, Failure> {
    let catalogue = app.catalogue()?;
    let definition = catalogue.get(id)?;
    let entry = entry(definition);
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

/// A tested kernel in JSON; times in seconds.
#[derive(Serialize)]
struct Tested<'a> {
    kernel: &'a str,
    passed: bool,
    implementation: Option<&'a str>,
    seconds: BTreeMap<Step, f64>,
    failed: Option<Step>,
    reason: Option<String>,
    not_interruptible: Option<&'a str>,
}

fn test(
    app: &App<'_>,
    spec: Option<&str>,
    only: &[String],
    timeout: u64,
    json: bool,
) -> Result<Exit, Failure> {
    let applied = select::applied(app, spec)?;
    let known = &applied.receipt.kernels;
    for name in only {
        if !known.iter().any(|kernel| kernel.name == *name) {
            let names: Vec<_> = known.iter().map(|kernel| kernel.name.as_str()).collect();
            return Err(Failure::usage(
                format!("the environment {} has no kernel {name}", applied.name),
                format!("it has {}", names.join(", ")),
            ));
        }
    }
    let chosen: Vec<&KernelReceipt> = known
        .iter()
        .filter(|kernel| only.is_empty() || only.contains(&kernel.name))
        .collect();
    if chosen.is_empty() {
        return Err(Failure::usage(
            format!("the environment {} has no kernels", applied.name),
            "add one to its spec: envspec add python --apply",
        ));
    }
    let catalogue = app.catalogue()?;
    let environment = scrubbed_environment(|name| app.variable(name));
    let results = walk::block_on(async {
        let progress = app.progress();
        progress.begin(crate::conda::Step::Kernels, chosen.len() as u64);
        let mut results = Vec::new();
        // One after the other: side by side they would take each other's time,
        // and the table is about time.
        for kernel in chosen {
            let result = test_one(
                &catalogue,
                kernel,
                &applied.prefix,
                &environment,
                Duration::from_secs(timeout),
            )
            .await?;
            results.push((kernel.name.as_str(), result));
            progress.advance(crate::conda::Step::Kernels, 1);
        }
        progress.end(crate::conda::Step::Kernels);
        Ok(results)
    })?;
    if json {
        let kernels = results.iter().map(|(name, test)| tested(name, test));
        app.ui.json(&Answer {
            version: 1,
            kernels: kernels.collect(),
        })?;
    } else {
        app.ui.answer(text(&results))?;
    }
    let failed = results.iter().filter(|(_, test)| !test.passed());
    let failed: Vec<_> = failed.collect();
    for (name, test) in &failed {
        if let Some((step, reason)) = test.failure() {
            app.ui.status(format!(
                "\n{} {}: {reason}",
                styled(BAD, name),
                step_text(step)
            ));
        }
        if !test.log.is_empty() {
            app.ui.status(styled(FAINT, test.log.trim_end()));
        }
    }
    if !failed.is_empty() {
        app.ui.status(format!(
            "\nIf its files were changed, build it anew: rm -r {} && envspec apply {}",
            applied.prefix.display(),
            applied.name
        ));
    }
    Ok(if failed.is_empty() {
        Exit::Done
    } else {
        Exit::Cluster
    })
}

async fn test_one(
    catalogue: &Catalogue,
    kernel: &KernelReceipt,
    prefix: &std::path::Path,
    environment: &BTreeMap<String, String>,
    start: Duration,
) -> Result<KernelTest, Failure> {
    let definition = catalogue.get(&kernel.definition)?;
    let folder = prefix.join("share/jupyter/kernels").join(&kernel.directory);
    let path = folder.join("kernel.json");
    let text = fs_err::read_to_string(&path).map_err(|error| {
        Failure::usage(
            format!("the kernelspec can't be read: {error}"),
            "the generation is broken; remove it and apply again",
        )
    })?;
    let kernelspec = KernelSpec::parse(&text).map_err(|source| {
        Failure::from(crate::apply::ApplyError::Kernelspec {
            kernel: kernel.name.clone(),
            source,
        })
    })?;
    Ok(test_kernel(&KernelTestRequest {
        kernelspec: &kernelspec,
        resource_dir: &folder,
        smoke: &definition.smoke,
        interrupt: &definition.interrupt,
        environment,
        home: &Home::Private,
        limits: Limits {
            start,
            ..Limits::default()
        },
    })
    .await)
}

const STEPS: [Step; 5] = [
    Step::Start,
    Step::Execute,
    Step::Interrupt,
    Step::Again,
    Step::Shutdown,
];

fn step_text(step: Step) -> &'static str {
    match step {
        Step::Start => "start",
        Step::Execute => "run",
        Step::Interrupt => "interrupt",
        Step::Again => "run again",
        Step::Shutdown => "end",
    }
}

fn tested<'a>(name: &'a str, test: &'a KernelTest) -> Tested<'a> {
    Tested {
        kernel: name,
        passed: test.passed(),
        implementation: test.implementation.as_deref(),
        seconds: STEPS
            .into_iter()
            .filter_map(|step| Some((step, test.time(step)?.as_secs_f64())))
            .collect(),
        failed: test.failure().map(|(step, _)| step),
        reason: test.failure().map(|(_, reason)| reason.to_string()),
        not_interruptible: test.not_interruptible.as_deref(),
    }
}

fn text(results: &[(&str, KernelTest)]) -> String {
    let mut head = vec!["kernel", "", "what answered"];
    head.extend(STEPS.map(step_text));
    let rows = results.iter().map(|(name, test)| {
        let verdict = if test.passed() {
            styled(GOOD, "works")
        } else {
            styled(BAD, "fails")
        };
        let mut row = vec![
            (*name).to_owned(),
            verdict,
            test.implementation.clone().unwrap_or_default(),
        ];
        row.extend(STEPS.map(|step| match test.time(step) {
            Some(time) => format!("{:.2} s", time.as_secs_f64()),
            None if step == Step::Interrupt && test.not_interruptible.is_some() => "no".to_owned(),
            None => "-".to_owned(),
        }));
        row
    });
    table(&head, rows)
}
