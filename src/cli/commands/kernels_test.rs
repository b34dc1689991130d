//! `envspec kernels test`: real execution in each kernel of an environment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::say::{BAD, FAINT, GOOD, styled, table};
use crate::cli::select;
use crate::jupyter::{
    Home, KernelTest, KernelTestRequest, Limits, Step, TestFailure, scrubbed_environment,
    test_kernel,
};
use crate::kernel::{Catalogue, KernelDefinition, KernelSpec};
use crate::store::{KernelReceipt, Receipt};

use super::kernels_list::Answer;
use super::walk;

/// A tested kernel in JSON; times in seconds.
#[derive(Serialize)]
struct Tested<'a> {
    kernel: &'a str,
    verdict: Verdict,
    /// Whether it computed what it should: one that was only started did not pass.
    passed: bool,
    implementation: Option<&'a str>,
    seconds: BTreeMap<Step, f64>,
    failed: Option<Step>,
    reason: Option<String>,
    not_interruptible: Option<&'a str>,
}

/// What a test found.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    /// It computes.
    Works,
    /// It starts and ends; no definition has a cell for it.
    StartedOnly,
    /// A step failed.
    Fails,
}

impl Verdict {
    fn of(test: &KernelTest) -> Self {
        match test.time(Step::Execute) {
            _ if !test.passed() => Self::Fails,
            Some(_) => Self::Works,
            None => Self::StartedOnly,
        }
    }

    fn shown(self) -> String {
        match self {
            Self::Works => styled(GOOD, "works"),
            Self::StartedOnly => styled(FAINT, "started only"),
            Self::Fails => styled(BAD, "fails"),
        }
    }
}

pub(super) fn run(
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
    let started_only = results
        .iter()
        .filter(|(_, test)| Verdict::of(test) == Verdict::StartedOnly);
    for (name, _) in started_only {
        app.ui.status(format!(
            "\n{name} was only started: the catalogue has no definition for its language. \
             Name one whose cells to run with `use`, such as a file in kernels/ beside the spec"
        ));
    }
    let starts_not = |test: &KernelTest| {
        matches!(
            test.failure(),
            Some((
                Step::Start,
                TestFailure::NotStarted(_) | TestFailure::Ended { .. }
            ))
        )
    };
    if failed.iter().any(|(_, test)| starts_not(test)) {
        app.ui.status(format!(
            "\nIf its files were changed, this tells and mends it: envspec verify {} --repair",
            applied.name
        ));
    }
    Ok(if failed.is_empty() {
        Exit::Done
    } else {
        Exit::Cluster
    })
}

/// Reads a file of the generation.
fn read(path: &std::path::Path) -> Result<String, Failure> {
    fs_err::read_to_string(path).map_err(|error| {
        Failure::usage(
            format!("the generation can't be read: {error}"),
            "this tells what is damaged and mends it: envspec verify --repair",
        )
    })
}

/// The definition that a kernel was made with, whatever the catalogue says by now; `None`
/// for one from Nix of a language that none is for.
fn definition(
    catalogue: &Catalogue,
    kernel: &KernelReceipt,
    prefix: &std::path::Path,
) -> Result<Option<Arc<KernelDefinition>>, Failure> {
    let id = kernel.definition.as_str();
    if id.is_empty() {
        return Ok(None);
    }
    let path = Receipt::definition_path(prefix, id);
    // There are generations which do not keep those of kernels from Nix.
    if kernel.nix.is_some() && !path.exists() {
        let known = catalogue.get(id).map_err(|_| {
            Failure::usage(
                format!(
                    "the definition {id}, whose cells test the kernel {}, is neither in {} nor in the catalogue",
                    kernel.name,
                    path.display()
                ),
                "mend the generation with: envspec verify --repair; or put the definition into a folder that --kernels-dir names",
            )
        })?;
        return Ok(Some(known));
    }
    let text = read(&path)?;
    let definition = KernelDefinition::parse(&path.to_string_lossy(), &text)?;
    Ok(Some(Arc::new(definition)))
}

async fn test_one(
    catalogue: &Catalogue,
    kernel: &KernelReceipt,
    prefix: &std::path::Path,
    environment: &BTreeMap<String, String>,
    start: Duration,
) -> Result<KernelTest, Failure> {
    let definition = definition(catalogue, kernel, prefix)?;
    let folder = prefix.join("share/jupyter/kernels").join(&kernel.directory);
    let path = folder.join("kernel.json");
    let text = read(&path)?;
    let kernelspec = KernelSpec::parse(&text).map_err(|source| {
        Failure::from(crate::apply::ApplyError::Kernelspec {
            kernel: kernel.name.clone(),
            source,
        })
    })?;
    Ok(test_kernel(&KernelTestRequest {
        kernelspec: &kernelspec,
        resource_dir: &folder,
        cells: definition
            .as_ref()
            .map(|definition| (&definition.smoke, &definition.interrupt)),
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
        verdict: Verdict::of(test),
        passed: Verdict::of(test) == Verdict::Works,
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
        let mut row = vec![
            (*name).to_owned(),
            Verdict::of(test).shown(),
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
