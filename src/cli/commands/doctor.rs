//! `envspec doctor`: each part of the way looked at, with a remedy for what is
//! wrong.

use std::net::TcpListener;
use std::time::Duration;

use miette::Diagnostic as _;
use serde::Serialize;

use crate::apply;
use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::reach::{self, SiteFlags};
use crate::cli::say::{BAD, FAINT, GOOD, counted, styled};
use crate::cli::select;
use crate::cluster::{self, Asked, Check, Verdict};
use crate::conda::Network;
use crate::session::{self, Scheduling, Target};

use super::walk;

/// Look at each part of the way, and say what is wrong and what to do
///
/// From the laptop or the login node: ssh, every hop with its host key and your
/// key, forwarding, the scheduler, the root and the home, the kernelspecs, a
/// compute node, the port of this machine. Nothing is changed.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A spec, or the name of an environment [default: the only spec in envs/]
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
    checks: &'a [Check],
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let target = args.site.target(app, args.spec.as_deref())?;
    let way = args.site.way(app, &target.site)?;
    let asked = Asked {
        hops: way.hops.as_ref(),
        user_config: way.user_config.as_deref(),
        sockets_in: &way.sockets_in,
        questions: way.questions,
        root: &way.root,
        has_slurm: way.scheduler == Scheduling::Slurm,
    };
    let mut checks: Vec<Check> = Vec::new();
    let mut unsaid = Ok(());
    walk::block_on(async {
        let mut tell = |check: Check| {
            if !args.json && unsaid.is_ok() {
                unsaid = app.ui.answer(text(&check));
            }
            checks.push(check);
        };
        tell(port((way.port)(target.environment.as_str(), 1)).await);
        if let Some(check) = fitness(app, &target) {
            tell(check);
        }
        Ok(cluster::examine(&asked, &mut tell).await?)
    })?;
    unsaid?;
    if args.json {
        app.ui.json(&Answer {
            version: 1,
            checks: &checks,
        })?;
    }
    let is_bad = checks.iter().any(|check| check.verdict == Verdict::Bad);
    Ok(if is_bad { Exit::Cluster } else { Exit::Done })
}

/// Whether what is applied can run, where this machine is to run it.
fn fitness(app: &App<'_>, target: &reach::Target) -> Option<Check> {
    let (name, place) = ("packages' needs", "this machine");
    if !apply::runs_here(&target.site) {
        return None;
    }
    let root = app.root(&target.site).ok()?;
    let applied = select::applied_in(root, &target.environment).ok()?;
    let context = app.context(applied.root, Network::Offline).ok()?;
    let needs = &applied.receipt.needs;
    let judged = apply::refuse_unfit(&context, &target.site, needs);
    Some(match judged {
        Ok(()) => Check::good(name, place, format!("{} met", counted(needs.len(), "need"))),
        Err(error) => {
            let remedy = error.help().map(|help| help.to_string());
            Check::bad(name, place, error.to_string(), remedy.unwrap_or_default())
        }
    })
}

/// A check in one line, and below it what to do.
fn text(check: &Check) -> String {
    let sign = match check.verdict {
        Verdict::Good => styled(GOOD, "ok "),
        Verdict::Bad => styled(BAD, "BAD"),
        Verdict::Unknown => styled(FAINT, "?  "),
    };
    let found = check.found.lines().map(str::trim).collect::<Vec<_>>();
    let mut text = format!(
        "{sign}  {:17}  {:12}  {}",
        check.name,
        check.place,
        found.join("; ")
    );
    if let Some(remedy) = &check.remedy {
        text.push_str("\n       -> ");
        text.push_str(remedy);
    }
    text
}

/// Whether `connect` can have its port on this machine.
async fn port(port: u16) -> Check {
    let (name, place) = ("port", "this machine");
    if TcpListener::bind(("127.0.0.1", port)).is_ok() {
        return Check::good(name, place, format!("{port} is free"));
    }
    let target = Target::Port(port);
    let asked = tokio::time::timeout(Duration::from_secs(3), session::answers(&target)).await;
    if matches!(asked, Ok(Ok(()))) {
        let found = format!("a Jupyter answers at {port}, maybe by a connection of yours");
        let remedy = "if it is not yours, take another port: envspec connect --port N";
        return Check::unknown(name, place, found, remedy);
    }
    Check::bad(
        name,
        place,
        format!("{port} is taken by another program"),
        "end that program, or take another port: envspec connect --port N",
    )
}
