//! `envspec sessions`: the servers that run, and those that wait.

use serde::Serialize;

use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::reach::SiteFlags;
use crate::cli::say::{GOOD, styled, table};
use crate::session::{Session, State};

use super::walk;

/// List the sessions: servers that run, and those that wait
///
/// Whether one runs is the scheduler's word. What a server left that was killed
/// is cleaned up.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A spec, whose site is asked [default: the only spec in envs/]
    spec: Option<String>,

    /// Answer in JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    site: SiteFlags,
}

#[derive(Serialize)]
struct Answer<'a> {
    version: u32,
    root: &'a str,
    sessions: &'a [Session],
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let site = args.site.site(app, args.spec.as_deref())?;
    let way = args.site.way(app, &site)?;
    let look = walk::block_on(async {
        let login = walk::login(app, &way).await?;
        Ok(way.sessions(&login).look().await?)
    })?;
    if let Some(trouble) = &look.trouble {
        app.ui
            .warning(format!("the scheduler does not answer: {trouble}"));
    }
    for key in &look.cleaned {
        app.ui
            .status(format!("Removed what the killed session {key} had left"));
    }
    if args.json {
        app.ui.json(&Answer {
            version: 1,
            root: &look.root,
            sessions: &look.sessions,
        })?;
    } else if look.sessions.is_empty() {
        app.ui.status("No session. Start one with: envspec launch");
    } else {
        app.ui.answer(text(&look.sessions))?;
    }
    Ok(Exit::Done)
}

fn text(sessions: &[Session]) -> String {
    let head = [
        "session",
        "state",
        "job",
        "node",
        "age",
        "left",
        "generation",
    ];
    let rows = sessions.iter().map(|session| {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            session.name.clone(),
            state_text(session),
            session.job.map_or("-".to_owned(), |job| job.to_string()),
            or_none(&session.node),
            or_none(&session.age),
            or_none(&session.left),
            or_none(&session.generation),
        ]
    });
    table(&head, rows)
}

/// A state in words, with the scheduler's reason and what to do about it.
pub(super) fn state_text(session: &Session) -> String {
    if let Some(cluster) = &session.cluster {
        return format!("on cluster {cluster}");
    }
    let advice = session.advice.iter().map(|advice| format!(": {advice}"));
    match (session.state, &session.reason) {
        (State::Pending, Some(reason)) => {
            format!("pending ({reason}{})", advice.collect::<String>())
        }
        (State::Pending, None) => "pending".to_owned(),
        (State::Starting, Some(reason)) => format!("starting ({reason})"),
        (State::Starting, None) => "starting".to_owned(),
        (State::Ready, _) => styled(GOOD, "ready"),
        (State::Ending, _) => "ending".to_owned(),
        (State::Unknown, _) if session.record.is_some() && session.job.is_none() => {
            "unknown (it is another machine's)".to_owned()
        }
        (State::Unknown, _) => "unknown (the scheduler does not answer)".to_owned(),
    }
}
