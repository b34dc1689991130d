//! `envspec check`: the spec judged.

use crate::apply::{self, ApplyError, SpecFile};
use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::say::{NAME, counted, styled};
use crate::cli::select;
use crate::conda::Network;
use crate::spec::SpecErrors;

use super::walk;

/// Judge a spec: its form, its kernels, its site
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A spec, or the name of an applied environment [default: the only spec in envs/]
    spec: Option<String>,
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let (path, shown) = select::spec_path(app, args.spec.as_deref())?;
    let (file, mistakes) = SpecFile::open_with_mistakes(&path, &shown)?;
    if let Some(mistakes) = mistakes {
        return Err(all(app, file, mistakes).into());
    }
    let notes = select::remark(app, &file);
    let context = walk::context(app, &file, Network::Offline)?;
    let subject = file.judge(&context)?;
    apply::judge_channels(&context, &subject)?;
    let name = styled(NAME, subject.file.source.name());
    app.ui.status(match notes {
        0 => format!("{name} is a good spec"),
        notes => format!("{name} can be applied; mind {}", counted(notes, "warning")),
    });
    Ok(Exit::Done)
}

/// What is wrong with a file's form, and with what it asks for as far as that can be read.
fn all(app: &App<'_>, file: SpecFile, mistakes: SpecErrors) -> SpecErrors {
    let Ok(context) = walk::context(app, &file, Network::Offline) else {
        return mistakes;
    };
    match file.judge(&context) {
        Err(ApplyError::Spec(more)) => mistakes.and(more),
        _ => mistakes,
    }
}
