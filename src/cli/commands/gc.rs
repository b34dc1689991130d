//! `envspec gc`: what nobody needs any more goes.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};
use serde::Serialize;

use crate::apply::{self, Collect, Collected, Judged, LiveSession};
use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::say::{FAINT, NAME, ago, bytes, counted, styled, table};
use crate::cluster::Login;
use crate::conda::Network;
use crate::plan::{Kept, Retention};
use crate::session::{Scheduling, Sessions};
use crate::store::{Root, Space};

use super::walk;

/// Delete generations, packages and leftovers that nobody needs
///
/// What is in use stays: current generations, those of sessions that wait or run,
/// those that a process of this machine uses, those of registered kernels. Of the
/// others the last 3 of each environment stay, and those that were current less
/// than 30 days ago; --keep and --older-than take the place of both rules.
/// Packages of the cache go with the last generation that is made of them.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Keep the last N earlier generations of each environment
    #[arg(long, value_name = "N")]
    keep: Option<usize>,

    /// Delete what was left or made longer ago than this: 30d, 12h, 2w
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<Duration>,

    /// Show what would go and delete nothing
    #[arg(long)]
    dry_run: bool,

    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Reads an age; a day has 24 hours.
fn age(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text} is no age; write 30d, 12h or 2w");
    let span: Span = text.parse().map_err(|_| wrong())?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours());
    duration
        .ok()
        .and_then(|age| Duration::try_from(age).ok())
        .ok_or_else(wrong)
}

/// A generation in the answer.
#[derive(Serialize)]
struct Row<'a> {
    environment: &'a str,
    generation: &'a str,
    root: String,
    /// Why it stays; null for one that goes.
    kept: Option<&'a Kept>,
}

#[derive(Serialize)]
struct Answer<'a> {
    version: u32,
    dry_run: bool,
    generations: Vec<Row<'a>>,
    packages: usize,
    packages_kept: Vec<&'a str>,
    session_files: usize,
    freed: Space,
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let retention = Retention::new(args.keep, args.older_than);
    let mut all: Vec<(Root, Collected)> = Vec::new();
    for root in app.roots(&app.sites()?)? {
        let live = live(app, &root);
        let context = app.context(root.clone(), Network::Offline)?;
        let wanted = Collect {
            retention,
            dry_run: args.dry_run,
            live,
        };
        let tell = |holder: &str| walk::say_collecting(app, holder);
        let collected =
            walk::block_on(async { Ok(apply::collect(&context, &wanted, &tell).await?) })?;
        all.push((root, collected));
    }
    if args.json {
        app.ui.json(&answer(args, &all))?;
    } else {
        say(app, args, &all)?;
    }
    let mut failed = all
        .into_iter()
        .filter_map(|(_, collected)| collected.failed);
    match failed.next() {
        Some(error) => Err(error.into()),
        None => Ok(Exit::Done),
    }
}

/// The sessions that wait or run from a root, as far as this machine can tell.
/// `None` if the scheduler does not answer.
pub(super) fn live(app: &App<'_>, root: &Root) -> Option<Vec<LiveSession>> {
    if !root.sessions().is_dir() {
        return Some(Vec::new());
    }
    let scheduling = if app.has_slurm() {
        Scheduling::Slurm
    } else {
        Scheduling::None
    };
    let path = root.path().to_string_lossy();
    let look = walk::block_on(async {
        let sessions = Sessions::new(&Login::Here, &path, scheduling);
        Ok(sessions.look().await?)
    });
    let trouble = match look {
        Ok(look) if look.trouble.is_none() => {
            let sessions = look.sessions.into_iter();
            let all = sessions.map(|session| LiveSession {
                name: session.name,
                job: session.job,
                environment: session.environment,
                generation: session.generation,
            });
            let of_jobs = crate::store::session_files(root)
                .scripts
                .iter()
                .any(|script| script.is_job);
            // A root that is also used where there is a scheduler.
            return (scheduling == Scheduling::Slurm || !of_jobs).then(|| all.collect());
        }
        Ok(look) => look.trouble.unwrap_or_default(),
        Err(failure) => failure.report.to_string(),
    };
    app.ui.warning(format!(
        "what waits and runs is not known, so all that a start script names is kept: {trouble}"
    ));
    None
}

fn answer<'a>(args: &Args, all: &'a [(Root, Collected)]) -> Answer<'a> {
    let rows = all.iter().flat_map(|(root, collected)| {
        collected.generations.iter().map(|judged| Row {
            environment: &judged.environment,
            generation: &judged.generation,
            root: root.path().to_string_lossy().into_owned(),
            kept: judged.kept.as_ref(),
        })
    });
    Answer {
        version: 1,
        dry_run: args.dry_run,
        generations: rows.collect(),
        packages: all.iter().map(|(_, collected)| collected.packages).sum(),
        packages_kept: all
            .iter()
            .filter_map(|(_, collected)| collected.packages_kept.as_deref())
            .collect(),
        session_files: all
            .iter()
            .map(|(_, collected)| collected.session_files)
            .sum(),
        freed: freed(all),
    }
}

fn freed(all: &[(Root, Collected)]) -> Space {
    all.iter()
        .fold(Space::default(), |sum, (_, collected)| Space {
            bytes: sum.bytes + collected.freed.bytes,
            inodes: sum.inodes + collected.freed.inodes,
        })
}

fn say(app: &App<'_>, args: &Args, all: &[(Root, Collected)]) -> Result<(), Failure> {
    let judged: Vec<&Judged> = all
        .iter()
        .flat_map(|(_, collected)| &collected.generations)
        .collect();
    let rows: Vec<Vec<String>> = judged
        .iter()
        .map(|judged| {
            vec![
                match judged.kept {
                    Some(_) => String::new(),
                    None => styled(crate::cli::say::BAD, "-"),
                },
                judged.generation.clone(),
                match &judged.kept {
                    Some(kept) => why(kept),
                    None if args.dry_run => "would go".to_owned(),
                    None => "deleted".to_owned(),
                },
                match judged.kept {
                    Some(Kept::Current) => String::new(),
                    _ => styled(FAINT, ago(judged.idle)),
                },
            ]
        })
        .collect();
    if !rows.is_empty() {
        app.ui
            .answer(table(&["", "generation", "", "left"], rows))?;
    }
    for (_, collected) in all {
        if let Some(why) = &collected.packages_kept {
            app.ui
                .warning(format!("the packages were not looked at: {why}"));
        }
    }
    let gone = judged.iter().filter(|judged| judged.kept.is_none()).count();
    let packages: usize = all.iter().map(|(_, collected)| collected.packages).sum();
    let files: usize = all
        .iter()
        .map(|(_, collected)| collected.session_files)
        .sum();
    let mut what = Vec::new();
    for (count, thing) in [
        (gone, "generation"),
        (packages, "package"),
        (files, "file of old sessions"),
    ] {
        if count > 0 {
            what.push(match thing {
                "file of old sessions" if count > 1 => format!("{count} files of old sessions"),
                _ => counted(count, thing),
            });
        }
    }
    let freed = freed(all);
    let inodes = usize::try_from(freed.inodes).unwrap_or(usize::MAX);
    let space = format!("{} in {}", bytes(freed.bytes), counted(inodes, "file"));
    app.ui.status(match (what.is_empty(), args.dry_run) {
        (true, _) if freed.inodes == 0 => "Nothing to delete".to_owned(),
        (true, true) => format!("Would free {}", styled(NAME, space)),
        (true, false) => format!("Freed {}", styled(NAME, space)),
        (false, true) => format!("Would delete {}: {}", what.join(", "), styled(NAME, space)),
        (false, false) => format!("Deleted {}: {} freed", what.join(", "), styled(NAME, space)),
    });
    Ok(())
}

/// Why a generation stays.
fn why(kept: &Kept) -> String {
    match kept {
        Kept::Current => "current".to_owned(),
        Kept::Busy { by } => format!("being changed by {by}"),
        Kept::Session { session } => format!("session {session}"),
        Kept::Process { pid, name } => format!("process {pid} ({name})"),
        Kept::Member { member } => format!("may be used by {member}"),
        Kept::Shared => "in a root that a site shares".to_owned(),
        Kept::Theirs { owner } => format!("made by {owner}, who can delete it"),
        Kept::Kernelspec { registered } => format!("kernel {registered}"),
        Kept::Unreadable => "receipt can't be read".to_owned(),
        Kept::Earlier => "to go back to".to_owned(),
        Kept::Young => "young".to_owned(),
    }
}
