//! `envspec history`: who switched an environment when, to what.

use serde::Serialize;

use crate::apply::Commits;
use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::say::{FAINT, styled, table};
use crate::cli::select;
use crate::lock::{Change, changes};
use crate::store::{self, Event, Receipt, Switched};

use super::diff::Counts;
use super::walk;

/// Show who switched an environment when, and what changed
///
/// The newest comes first. What a generation was is known also after it was
/// deleted. The commit is the first that holds spec and lock as they were; with a
/// `+` behind it there is none yet, and it is the one that was checked out. Times
/// are UTC.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The environment's name, or its spec [default: the only spec in envs/]
    name: Option<String>,

    /// Show every package that changed
    #[arg(short, long)]
    packages: bool,

    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// One switch in the answer.
#[derive(Serialize)]
struct Entry {
    at: String,
    by: String,
    event: Event,
    generation: String,
    from: Option<String>,
    current: bool,
    /// Whether the generation is there still.
    exists: bool,
    commit: Option<String>,
    dirty: bool,
    /// What changed; null if one of the two is not known any more.
    changes: Option<Vec<Change>>,
}

#[derive(Serialize)]
struct Answer<'a> {
    version: u32,
    environment: &'a str,
    switches: Vec<Entry>,
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let current = select::past(app, args.name.as_deref())?;
    let switches = store::past(&current.root, &current.name)?;
    let mut entries = Vec::with_capacity(switches.len());
    let mut before: Option<(String, Option<Receipt>)> = None;
    let mut commits = Commits::default();
    for Switched {
        at,
        by,
        event,
        to,
        spec,
    } in switches
    {
        // One that can't be read is as good as none.
        let receipt = Receipt::read_kept(&current.root, &to).unwrap_or_default();
        let changes = match (&before, &receipt) {
            (None, Some(after)) => Some(changes([], after.packages.clone())),
            (Some((_, Some(before))), Some(after)) => {
                Some(changes(before.packages.clone(), after.packages.clone()))
            }
            _ => None,
        };
        let (commit, dirty) = match &receipt {
            Some(receipt) => commits.of(receipt, spec.as_ref().unwrap_or(&receipt.spec)),
            None => (None, false),
        };
        entries.push(Entry {
            at,
            by,
            event,
            from: before.map(|(from, _)| from),
            current: false,
            exists: Receipt::exists(&current.root.generation(&to)?),
            commit,
            dirty,
            changes,
            generation: to.clone(),
        });
        before = Some((to, receipt));
    }
    if let Some(last) = entries.last_mut() {
        last.current = current.generation.as_ref() == Some(&last.generation);
    }
    entries.reverse();
    if args.json {
        app.ui.json(&Answer {
            version: 1,
            environment: current.name.as_str(),
            switches: entries,
        })?;
    } else if entries.is_empty() {
        app.ui
            .status(format!("Nothing is written about {}", current.name));
    } else {
        app.ui.answer(text(&entries, args.packages))?;
    }
    Ok(Exit::Done)
}

fn text(entries: &[Entry], packages: bool) -> String {
    let rows = entries.iter().map(|entry| {
        let commit = match &entry.commit {
            Some(commit) => {
                let dirty = if entry.dirty { "+" } else { "" };
                format!("{}{dirty}", &commit[..commit.len().min(9)])
            }
            None => styled(FAINT, "-"),
        };
        let generation = if entry.exists {
            entry.generation.clone()
        } else {
            styled(FAINT, format!("{} (deleted)", entry.generation))
        };
        vec![
            if entry.current { "*" } else { "" }.to_owned(),
            entry.at.replace('T', " ").replace('Z', ""),
            entry.by.clone(),
            match entry.event {
                Event::Apply => "apply".to_owned(),
                Event::Rollback => "rollback".to_owned(),
                Event::Delete => "delete".to_owned(),
            },
            generation,
            commit,
            entry
                .changes
                .as_deref()
                .map_or_else(|| styled(FAINT, "?"), |changes| Counts::of(changes).text()),
        ]
    });
    let head = [
        "",
        "when (UTC)",
        "by",
        "",
        "generation",
        "commit",
        "packages",
    ];
    let table = table(&head, rows);
    if !packages {
        return table;
    }
    // Below each line what it stands for.
    let mut lines: Vec<String> = Vec::new();
    for (number, line) in table.lines().enumerate() {
        lines.push(line.to_owned());
        let entry = number.checked_sub(1).and_then(|number| entries.get(number));
        for change in entry
            .and_then(|entry| entry.changes.as_deref())
            .unwrap_or_default()
        {
            lines.push(format!("     {}", walk::change_line(change)));
        }
    }
    lines.join("\n")
}
