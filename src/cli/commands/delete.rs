//! `envspec delete`: an environment with its kernels, gone.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::apply::{self, Deleted, WaitingFor};
use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::say::{NAME, path_word, styled};
use crate::cli::select;
use crate::conda::Network;
use crate::spec::EnvName;
use crate::store::{self, Receipt, Root};

use super::{gc, walk};

/// Delete an environment: unregister its kernels and take away its link
///
/// Spec, lock and history stay, and `envspec apply` brings it back. Its generations
/// go with the first `envspec gc` after 30 days, or when one is told `--keep` or
/// `--older-than`, if nothing runs from them.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The environment's name, or its spec
    name: String,

    /// Delete it also if a session of it waits or runs, or another member of the group uses it: what runs goes on
    #[arg(long)]
    force: bool,

    /// Show what would go and delete nothing
    #[arg(long)]
    dry_run: bool,

    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    version: u32,
    dry_run: bool,
    environment: &'a str,
    root: String,
    /// The generation that was current.
    generation: Option<&'a str>,
    /// The kernelspecs that were removed.
    unregistered: &'a [String],
    /// What runs from it, or may.
    in_use: &'a BTreeSet<String>,
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let (root, name) = find(app, &args.name)?;
    let context = app.context(root, Network::Offline)?;
    let in_use = in_use(app, &context.root, &name);
    if !in_use.is_empty() {
        let all: Vec<&str> = in_use.iter().map(String::as_str).collect();
        let said = format!("{name} is in use: {}", all.join(", "));
        if args.dry_run || args.force {
            app.ui.warning(said);
        } else {
            return Err(Failure::usage(
                said,
                format!(
                    "end it: envspec stop {name}. Or delete the environment with --force: what runs \
                     goes on, and keeps its generation"
                ),
            ));
        }
    }
    let deleted = if args.dry_run {
        apply::would_delete(&context, &name)?
    } else {
        let tell = |holder: WaitingFor<'_>| walk::say_waiting(app, &name, holder);
        walk::block_on(async { Ok(apply::delete(&context, &name, &tell).await?) })?
    };
    if args.json {
        app.ui.json(&Answer {
            version: 1,
            dry_run: args.dry_run,
            environment: name.as_str(),
            root: context.root.path().to_string_lossy().into_owned(),
            generation: deleted.generation.as_deref(),
            unregistered: &deleted.unregistered,
            in_use: &in_use,
        })?;
    } else {
        say(app, args, &context.root, &name, &deleted);
    }
    Ok(Exit::Done)
}

fn say(app: &App<'_>, args: &Args, root: &Root, name: &EnvName, deleted: &Deleted) {
    let (unregister, delete) = if args.dry_run {
        ("Would unregister", "Would delete")
    } else {
        ("Unregistered", "Deleted")
    };
    if !deleted.unregistered.is_empty() {
        let names = styled(NAME, deleted.unregistered.join(", "));
        app.ui.status(format!("{unregister} {names}"));
    }
    if let Some(generation) = &deleted.generation {
        let shown = styled(NAME, name);
        app.ui
            .status(format!("{delete} {shown}, which is at {generation}"));
        if !args.dry_run {
            let receipt = Receipt::read_kept(root, generation).unwrap_or_default();
            let spec = receipt.map(|receipt| path_word(&receipt.spec.path));
            app.ui.status(format!(
                "Spec and lock stay: envspec apply {} brings it back. Its generations go with the \
                 first envspec gc after 30 days, or at once with --older-than 0d",
                spec.unwrap_or_else(|| name.to_string())
            ));
        }
    }
}

/// The environment that is meant. One whose link a hand has removed is known by its
/// kernels.
fn find(app: &App<'_>, said: &str) -> Result<(Root, EnvName), Failure> {
    let failure = match select::current(app, Some(said)) {
        Ok(current) => return Ok((current.root, current.name)),
        Err(failure) => failure,
    };
    if let Some(name) = select::name_of(app, Some(said)) {
        for root in app.roots(&app.sites()?)? {
            let context = app.context(root, Network::Offline)?;
            let would = apply::would_delete(&context, &name)?;
            if would.generation.is_none() && !would.unregistered.is_empty() {
                return Ok((context.root, name));
            }
        }
    }
    Err(failure)
}

/// Sessions of an environment that wait or run, and members of the group whose kernels
/// or sessions may run from it. If the scheduler does not say what waits, every session
/// of which there is a start script may.
fn in_use(app: &App<'_>, root: &Root, name: &EnvName) -> BTreeSet<String> {
    let is_its = |generation: &str| {
        let of = generation.rsplit_once('-').map(|(of, _)| of);
        of == Some(name.as_str())
    };
    let mut all = BTreeSet::new();
    if let Some(live) = gc::live(app, root) {
        let its = live.into_iter();
        let its = its.filter(|session| session.environment == name.as_str());
        all.extend(its.map(|session| match session.job {
            Some(job) => format!("session {} (job {job})", session.name),
            None => format!("session {}", session.name),
        }));
    } else {
        let files = store::session_files(root);
        let records = files.records.into_iter();
        let records = records.map(|record| (record.session, record.generation));
        let scripts = files.scripts.into_iter().filter(|script| script.is_job);
        let scripts = scripts.filter_map(|script| Some((script.session, script.generation?)));
        let its = records.chain(scripts).filter(|(_, of)| is_its(of));
        all.extend(its.map(|(session, _)| format!("session {session}")));
    }
    let members = root.other_members().into_iter();
    let members = members.filter(|member| member.generations.iter().any(|of| is_its(of)));
    all.extend(members.map(|member| format!("member {}", member.name)));
    all
}
