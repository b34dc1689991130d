//! `envspec export`: the environment as a file of another tool.

use std::path::PathBuf;

use clap::ValueEnum;
use rattler_conda_types::Subdir;

use crate::apply::{self, LockPolicy, Subject};
use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::say::{NAME, styled};
use crate::cli::select;
use crate::conda::Network;
use crate::lock::interchange::{self, Exported, PortablePlatform, secret_in};
use crate::store;

use super::walk;

/// Write an environment as a file of another tool
///
/// What the format has no place for is listed on stderr. All formats but `environment`
/// are made from the lock, which must be up to date.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A spec, or the name of an applied environment [default: the only spec in envs/]
    spec: Option<String>,

    /// The format
    #[arg(long, value_name = "FORMAT")]
    format: Format,

    /// The platform, where a format has only one [default: this machine's]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Subdir>,

    /// The prefix of this isolated kernel, in place of the environment's
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,

    /// Write to this file, which must not be there yet
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Write over the file
    #[arg(long, requires = "output")]
    force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// environment.yml as conda and mamba read it, kernels' packages included
    Environment,
    /// environment.yml with exact versions and builds
    EnvironmentPinned,
    /// `@EXPLICIT`: URLs with checksums, for conda create --file
    Explicit,
    /// conda-lock.yml, all platforms
    CondaLock,
    /// pixi.lock, all platforms and isolated kernels
    Pixi,
    /// What is Python's, for pip install -r
    Requirements,
    /// A Dockerfile that installs the lock
    Dockerfile,
    /// A definition of Apptainer that installs the lock
    Apptainer,
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    if let Some(path) = &args.output {
        refuse_to_overwrite(path, args.force, OTHER_FILE)?;
    }
    refuse_platform(args)?;
    let file = select::spec(app, args.spec.as_deref())?;
    let context = walk::context(app, &file, Network::Offline)?;
    let subject = file.judge(&context)?;
    refuse_unknown_kernel(&subject, args.kernel.as_deref())?;
    let kernel = args.kernel.as_deref();
    let mut exported = if args.format == Format::Environment {
        apply::plain_spec(&subject, kernel)?
    } else {
        let locking = walk::lock(app, &context, &subject, LockPolicy::Locked);
        let locked = walk::block_on(locking)?;
        let exportable = apply::exportable(&context, &subject, &locked, kernel)?;
        let portable = &exportable.portable;
        let at = || -> Result<&PortablePlatform, Failure> {
            apply::one_platform(portable, args.platform, context.platform).ok_or_else(|| {
                let all: Vec<&str> = portable
                    .platforms
                    .iter()
                    .map(|at| at.platform.as_str())
                    .collect();
                Failure::usage(
                    format!(
                        "the lock is not for {}",
                        args.platform.unwrap_or(context.platform)
                    ),
                    format!(
                        "name one that it is for with --platform: {}",
                        all.join(", ")
                    ),
                )
            })
        };
        match args.format {
            Format::Environment => unreachable!("it needs no lock"),
            Format::EnvironmentPinned => interchange::environment_pinned(portable, at()?),
            Format::Explicit => interchange::explicit(portable, at()?),
            Format::CondaLock => interchange::conda_lock(portable)?,
            Format::Pixi => interchange::pixi(&exportable.lock, kernel)?,
            Format::Requirements => interchange::requirements(portable, at()?),
            Format::Dockerfile => interchange::dockerfile(portable, at()?)?,
            Format::Apptainer => interchange::apptainer(portable, at()?)?,
        }
    };
    if args.format == Format::Pixi && !subject.file.spec.variables.is_empty() {
        exported
            .left_out
            .push("the variables, which pixi has in its manifest".to_owned());
    }
    let prefixes = args.format == Format::Pixi;
    exported
        .left_out
        .extend(apply::not_exported(&subject, kernel, prefixes));
    hand_over(app, args, &exported)
}

/// Prints the text or writes it, and says what is not in it.
fn hand_over(app: &App<'_>, args: &Args, exported: &Exported) -> Result<Exit, Failure> {
    if let Some(url) = secret_in(&exported.text) {
        return Err(Failure::usage(
            format!("the file would have a URL with a password or a token in it: {url}"),
            "take it out of the spec: what is exported is read by others",
        ));
    }
    match &args.output {
        None => app.ui.answer(exported.text.trim_end_matches('\n'))?,
        Some(path) => {
            let file = (path.as_path(), exported.text.as_bytes());
            store::write_together(&[file], over(args.force))?;
            app.ui
                .status(format!("Wrote {}", styled(NAME, path.display())));
        }
    }
    say_left_out(app, "not in it", &exported.left_out);
    Ok(Exit::Done)
}

/// Lists what was left out, also under `--quiet`.
pub(super) fn say_left_out(app: &App<'_>, what: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let lines: Vec<String> = lines
        .iter()
        .map(|line| format!("\n  - {}", interchange::one_line(line)))
        .collect();
    app.ui.warning(format!("{what}:{}", lines.concat()));
}

/// What to do where a file of the user's choice is there already.
pub(super) const OTHER_FILE: &str =
    "name another file with --output, or write over it with --force";

/// Refuses to write where something is; a folder or a device is never written over.
/// `instead` says what else can be done.
pub(super) fn refuse_to_overwrite(
    path: &std::path::Path,
    force: bool,
    instead: &str,
) -> Result<(), Failure> {
    let shown = path.display().to_string();
    let shown = shown.escape_debug();
    if let Some(there) = path.metadata().ok().filter(|there| !there.is_file()) {
        let what = if there.is_dir() {
            "a folder"
        } else {
            "no plain file"
        };
        return Err(Failure::usage(
            format!("{shown} is {what}"),
            "name a file with --output",
        ));
    }
    if force || path.symlink_metadata().is_err() {
        return Ok(());
    }
    Err(Failure::usage(format!("{shown} is there already"), instead))
}

/// What `--force` means for files that are there.
pub(super) fn over(force: bool) -> store::Over {
    if force {
        store::Over::Allowed
    } else {
        store::Over::Refused
    }
}

/// Refuses `--platform` where it would do nothing.
fn refuse_platform(args: &Args) -> Result<(), Failure> {
    let all = matches!(
        args.format,
        Format::Environment | Format::CondaLock | Format::Pixi
    );
    let Some(platform) = args.platform.filter(|_| all) else {
        return Ok(());
    };
    Err(Failure::usage(
        format!("this format is for all platforms of the spec, not for {platform} alone"),
        "leave --platform out",
    ))
}

fn refuse_unknown_kernel(subject: &Subject, kernel: Option<&str>) -> Result<(), Failure> {
    let isolated = apply::isolated_kernels(subject);
    let Some(kernel) = kernel.filter(|kernel| !isolated.contains(kernel)) else {
        return Ok(());
    };
    let help = match isolated.as_slice() {
        [] => "no kernel of the spec is isolated; leave --kernel out".to_owned(),
        some => format!("those that have one are {}", some.join(", ")),
    };
    Err(Failure::usage(
        format!("the spec has no kernel {kernel:?} with a prefix of its own"),
        help,
    ))
}
