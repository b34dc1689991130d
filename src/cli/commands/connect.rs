//! `envspec connect`: the way from this machine to a server, kept open.

use std::num::NonZeroU16;

use tokio::sync::mpsc::unbounded_channel;

use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::reach::SiteFlags;
use crate::cli::say::{NAME, causes, first_line, styled};
use crate::session::{self, Event, Record, Session, Started};

use super::launch::{self, Asks};
use super::{open_page, walk};

/// Connect this machine to a server, and stay connected
///
/// Goes through every hop of the site, finds the session, opens the tunnel,
/// proves that the server refuses strangers and answers you, and prints the
/// address. It mends what breaks: after a lost network or a dead hop, or when
/// the job was moved to another node, the same address works again. Ends with
/// Ctrl-C, or with the session.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A spec, or the name of an environment [default: the only spec in envs/]
    spec: Option<String>,

    /// Which of several servers of the environment
    #[arg(long, value_name = "N", conflicts_with = "launch")]
    server: Option<u16>,

    /// Start a server first, and connect to it
    #[arg(long)]
    launch: bool,

    /// Open the page in the browser
    #[arg(long)]
    open: bool,

    /// The port of this machine [default: always the same for the environment]
    #[arg(long, value_name = "N")]
    port: Option<NonZeroU16>,

    #[command(flatten)]
    asks: Asks,

    #[command(flatten)]
    site: SiteFlags,
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let target = args.site.target(app, args.spec.as_deref())?;
    let mut way = args.site.way(app, &target.site)?;
    way.environment = target.environment.to_string();
    way.server = args.server;
    way.chosen_port = args.port.map(NonZeroU16::get);
    let environment = way.environment.clone();
    let submitted = launch::Submitted::default();
    let connected = std::cell::Cell::new(false);
    let outcome = walk::block_on(async {
        let mut meant = None;
        if args.launch {
            let login = walk::login(app, &way).await?;
            let sessions = way.sessions(&login);
            let launched =
                launch::start(app, &way, &sessions, target, &args.asks, &submitted).await?;
            meant = match launched.started {
                // To wait for it is the connection's work, which a lost network
                // does not end.
                Started::Job(job) => Session::of_job(&launched.name, job),
                Started::Process(_) => {
                    Some(launch::ready(app, &sessions, &launched, &submitted).await?)
                }
            };
        }
        let mut said = String::new();
        let (pages, to_open) = unbounded_channel();
        let sockets_in = way.sockets_in.clone();
        let mut shown: Option<String> = None;
        let mut lost = false;
        let mut events = |event: Event<'_>| match event {
            Event::Connecting(host) => app.ui.status(format!("Connecting to {host}")),
            Event::Waiting(session) => walk::say_state(app, session, &mut said),
            Event::Ready {
                record,
                port,
                token,
            } => {
                lost = false;
                if connected.replace(true) {
                    app.ui.status("Connected again");
                }
                // One that was started anew by hand has a new token.
                if shown.as_deref() != Some(token) {
                    let address = say_ready(app, record, port, token);
                    if args.open {
                        // Whoever opens it is there as long as this.
                        drop(pages.send(address));
                    }
                    shown = Some(token.to_owned());
                }
            }
            Event::Lost(error) => {
                if !lost {
                    app.ui.status(format!(
                        "The connection was lost and is being mended: {}",
                        in_one_line(&causes(error))
                    ));
                }
                lost = true;
            }
        };
        let end = tokio::select! {
            end = session::connect(&mut way, meant, &mut events) => end?,
            never = open_page::each(app, &sockets_in, to_open) => match never {},
        };
        app.ui.status(match end.how() {
            Some(how) => format!("The session has ended: {how}; {}", end.help()),
            None => "The session has ended".to_owned(),
        });
        Ok(Exit::Done)
    });
    match outcome {
        // Ctrl-C is how a way that stands is closed.
        Err(failure) if failure.exit == Exit::Interrupted && connected.get() => {
            app.ui.status("Disconnected; the server goes on");
            Ok(Exit::Done)
        }
        outcome => {
            outcome.map_err(|failure| launch::not_waited_for(failure, &environment, submitted))
        }
    }
}

/// An error in one line, with the last words of a program that said many: they
/// are its reason, what is before them may be a host's greeting.
fn in_one_line(error: &str) -> String {
    match error.trim().rsplit_once('\n') {
        Some((before, last)) => format!("{} {}", first_line(before), last.trim()),
        None => first_line(error).to_owned(),
    }
}

/// Prints the address, with the token for a terminal alone: a pipe may lead
/// into a log. Gives the address with the token.
fn say_ready(app: &App<'_>, record: &Record, port: u16, token: &str) -> String {
    let url = format!("http://127.0.0.1:{port}{}", record.url_path);
    let with_token = match record.login.as_str() {
        "token" => format!("{url}?token={token}"),
        _ => url.clone(),
    };
    let shown = if app.ui.answers_a_person() {
        &with_token
    } else {
        &url
    };
    // There is nobody to tell if stdout is gone.
    drop(app.ui.answer(styled(NAME, shown)));
    app.ui.status(format!(
        "Connected to {} on {}. Ctrl-C closes the way; the server goes on",
        record.session, record.node
    ));
    with_token
}
