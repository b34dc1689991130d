//! `envspec check`: the spec judged.

use crate::apply;
use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::say::{NAME, styled};
use crate::cli::select;
use crate::conda::Network;

use super::walk;

/// Judge a spec: its form, its kernels, its site
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A spec, or the name of an applied environment [default: the only spec in envs/]
    spec: Option<String>,
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let file = select::spec(app, args.spec.as_deref())?;
    let context = walk::context(app, &file, Network::Offline)?;
    let subject = file.judge(&context)?;
    apply::judge_channels(&context, &subject)?;
    app.ui.status(format!(
        "{} is a good spec",
        styled(NAME, subject.file.source.name())
    ));
    Ok(Exit::Done)
}
