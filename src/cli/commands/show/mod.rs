//! `envspec show`: the spec explained.

mod answer;
mod text;

use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::select;
use crate::conda::Network;
use crate::store;

use super::walk;

/// Explain a spec: what it asks for, where it goes, what is there
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A spec, or the name of an applied environment [default: the only spec in envs/]
    spec: Option<String>,

    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let file = select::spec(app, args.spec.as_deref())?;
    let context = walk::context(app, &file, Network::Offline)?;
    let subject = file.judge(&context)?;
    let current = store::current(&context.root, &subject.file.spec.name)?.map(|generation| {
        let prefix = context.root.generations().join(&generation);
        if store::Receipt::exists(&prefix) {
            generation
        } else {
            format!("{generation}, which is gone: envspec apply")
        }
    });
    let mut answer = answer::answer(&context, &subject, current)?;
    let settings = context.settings()?;
    if let Some(said) = settings
        .channels
        .as_ref()
        .filter(|_| !subject.file.spec.names_channels)
    {
        answer.channels.clone_from(&said.value);
    }
    answer.configuration = settings.shown();
    if args.json {
        app.ui.json(&answer)?;
    } else {
        app.ui.answer(text::text(&answer))?;
    }
    Ok(Exit::Done)
}
