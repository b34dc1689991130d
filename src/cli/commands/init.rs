//! `envspec init`: a first spec.

use std::io::BufRead as _;
use std::path::{Path, PathBuf};

use crate::apply::SpecFile;
use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::say::{NAME, path_word, styled};
use crate::conda::Network;
use crate::kernel::Catalogue;
use crate::spec::edit::Starter;
use crate::spec::{EnvName, SourceText};
use crate::store;

use super::export::refuse_to_overwrite;
use super::walk;

/// Write a first spec, with comments on what else it can say
///
/// Asks for the name, the kernels and the packages if nothing of them is said and there is
/// somebody to ask. A file that is there stays as it is.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The environment's name, or the path of its spec [default: lab]
    #[arg(value_name = "NAME|SPEC")]
    spec: Option<String>,

    /// A kernel of the catalogue, as often as there are kernels [default: python]
    #[arg(long = "kernel", value_name = "KERNEL")]
    kernels: Vec<String>,

    /// A package, as often as there are packages [default: "jupyterlab >=4"]
    #[arg(long = "package", value_name = "PACKAGE")]
    packages: Vec<String>,

    /// A channel, the first of several first [default: conda-forge]
    #[arg(long = "channel", value_name = "CHANNEL")]
    channels: Vec<String>,

    /// The site [default: slurm where this machine takes jobs, else this machine]
    #[arg(long)]
    site: Option<String>,
}

/// What every Jupyter needs.
const JUPYTER: &str = "jupyterlab >=4";

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let nothing_said = args.spec.is_none() && args.kernels.is_empty() && args.packages.is_empty();
    let asks = nothing_said && app.ui.can_ask();
    let said = match &args.spec {
        None if asks => ask(app, "Name of the environment", "lab")?,
        said => said.clone().unwrap_or_else(|| "lab".to_owned()),
    };
    let (path, name) = place(&said)?;
    refuse_to_overwrite(
        &path,
        false,
        "give another name: envspec init NAME. What this one says: envspec show",
    )?;
    let catalogue = app.catalogue_beside(path.parent().unwrap_or(Path::new("")))?;
    let kernels = if asks {
        ask_for_kernels(app, &catalogue)?
    } else if args.kernels.is_empty() {
        vec!["python".to_owned()]
    } else {
        args.kernels.clone()
    };
    for kernel in &kernels {
        catalogue.get(kernel)?;
    }
    let mut packages = vec![JUPYTER.to_owned()];
    if asks {
        let more = ask(app, "Packages besides, with commas between", "none")?;
        packages.extend(words(&more, ",").filter(|word| word != "none"));
    } else {
        packages.extend(args.packages.iter().cloned());
    }
    let channels = match args.channels.as_slice() {
        [] => vec!["conda-forge".to_owned()],
        given => given.to_vec(),
    };
    let slurm = app.has_slurm().then_some("slurm");
    let starter = Starter {
        name: &name,
        channels: &channels,
        packages: &packages,
        kernels: &kernels,
        site: args.site.as_deref().or(slurm),
    };
    let source = SourceText::from_text(path.to_string_lossy(), starter.text())?;
    let file = SpecFile::of(&path, source)?;
    let text = file.source.text().to_owned();
    // What it names has to be there, or the first thing that it does is to fail.
    let context = walk::context(app, &file, Network::Offline)?;
    file.judge(&context)?;
    store::write_whole_below(&path, text.as_bytes())?;
    let shown = path_word(&path);
    app.ui.status(format!(
        "Wrote {}. To make it real: envspec apply {shown}",
        styled(NAME, &shown)
    ));
    Ok(Exit::Done)
}

/// The file of a name or a path, and the environment's name.
fn place(said: &str) -> Result<(PathBuf, EnvName), Failure> {
    let path = Path::new(said);
    let is_yaml = matches!(path.extension(), Some(ending) if ending == "yaml" || ending == "yml");
    let path = if is_yaml || said.contains('/') {
        path.to_owned()
    } else {
        Path::new("envs").join(format!("{said}.yaml"))
    };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    match EnvName::new(&stem) {
        Some(name)
            if path
                .extension()
                .is_some_and(|end| end == "yaml" || end == "yml") =>
        {
            Ok((path, name))
        }
        _ => Err(Failure::usage(
            format!("{said:?} is neither the name of an environment nor the path of a spec"),
            "write a name of letters, digits, `.`, `_` and `-`, or a path such as envs/lab.yaml",
        )),
    }
}

/// Asks until every kernel is known.
fn ask_for_kernels(app: &App<'_>, catalogue: &Catalogue) -> Result<Vec<String>, Failure> {
    loop {
        let said = ask(app, "Kernels (python, r, julia, bash, …)", "python")?;
        let kernels: Vec<String> = words(&said, ", ").collect();
        let unknown = kernels
            .iter()
            .find_map(|kernel| catalogue.get(kernel).err());
        match unknown {
            None => return Ok(kernels),
            Some(error) => drop(app.ui.failure(&error.into())),
        }
    }
}

/// The words between any of these characters.
fn words(text: &str, between: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c| between.contains(c)).map(str::trim);
    words.filter(|word| !word.is_empty()).map(str::to_owned)
}

/// Asks one question; an empty answer, or none, means what is proposed.
fn ask(app: &App<'_>, question: &str, proposed: &str) -> Result<String, Failure> {
    app.ui.question(format!("{question} [{proposed}]: "));
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|_| Failure::interrupted())?;
    let line = line.trim();
    Ok(if line.is_empty() { proposed } else { line }.to_owned())
}
