//! `envspec diff`: what differs between two generations or two locks.

use std::path::{Path, PathBuf};

use fs_err as fs;
use rattler_conda_types::Subdir;
use serde::Serialize;

use crate::apply::{self, ApplyError};
use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::say::{BOLD, bytes, counted, styled};
use crate::cli::select;
use crate::lock::{Change, LockText, PackageId, changes};
use crate::spec::EnvName;
use crate::store::{self, Receipt, Root, Space, StoreError, Switched, Tally};

use super::walk;

/// Show what differs between two generations, two locks, or a lock and its past
///
/// Without arguments: the generation before the current one, and the current one.
/// With one generation: that one, and the current one. Files that end in `.lock`
/// are compared as locks; with --at it is the lock of a spec as it was at a
/// revision of git and as it is, or at two revisions.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// An environment, its spec, one or two generations, or two locks
    what: Vec<String>,

    /// The lock of the spec at this revision of git; given twice, at both
    #[arg(long, value_name = "REV")]
    at: Vec<String>,

    /// The platform of locks that are compared [default: this machine's]
    #[arg(long)]
    platform: Option<Subdir>,

    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// One of the two that are compared.
#[derive(Debug, Serialize)]
struct Side {
    name: String,
    packages: usize,
    /// What it takes of the disk, each file once; null for what is not there.
    space: Option<Space>,
    /// What its archives are together; null for a generation.
    archive_bytes: Option<u64>,
    #[serde(skip)]
    ids: Vec<PackageId>,
}

#[derive(Serialize)]
struct Answer<'a> {
    version: u32,
    from: &'a Side,
    to: &'a Side,
    changes: &'a [Change],
}

/// How many packages changed in which way.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    added: usize,
    removed: usize,
    up: usize,
    down: usize,
    rebuilt: usize,
}

impl Counts {
    pub(super) fn of(changes: &[Change]) -> Self {
        let mut counts = Self::default();
        for change in changes {
            *match change {
                Change::Added { .. } => &mut counts.added,
                Change::Removed { .. } => &mut counts.removed,
                Change::Upgraded { .. } => &mut counts.up,
                Change::Downgraded { .. } => &mut counts.down,
                Change::Rebuilt { .. } => &mut counts.rebuilt,
            } += 1;
        }
        counts
    }

    /// `+2 -1 ↑3`, with the signs of the single changes.
    pub(super) fn text(self) -> String {
        let parts: Vec<String> = [
            ("+", self.added),
            ("-", self.removed),
            ("↑", self.up),
            ("↓", self.down),
            ("~", self.rebuilt),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(sign, count)| format!("{sign}{count}"))
        .collect();
        if parts.is_empty() {
            "=".to_owned()
        } else {
            parts.join(" ")
        }
    }
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let (from, to) = sides(app, args)?;
    let changes = changes(from.ids.iter().cloned(), to.ids.iter().cloned());
    if args.json {
        app.ui.json(&Answer {
            version: 1,
            from: &from,
            to: &to,
            changes: &changes,
        })?;
    } else {
        app.ui.answer(text(&from, &to, &changes))?;
    }
    Ok(Exit::Done)
}

fn sides(app: &App<'_>, args: &Args) -> Result<(Side, Side), Failure> {
    let words: Vec<&str> = args.what.iter().map(String::as_str).collect();
    match (words.as_slice(), args.at.as_slice()) {
        ([from, to], []) if is_lock(from) && is_lock(to) => {
            Ok((lock(args, from)?, lock(args, to)?))
        }
        (words, []) => generations(app, words),
        ([] | [_], [from]) => {
            let path = lock_path(app, words.first().copied())?;
            Ok((lock_at(args, &path, from)?, lock(args, &path)?))
        }
        ([] | [_], [from, to]) => {
            let path = lock_path(app, words.first().copied())?;
            Ok((lock_at(args, &path, from)?, lock_at(args, &path, to)?))
        }
        _ => Err(Failure::usage(
            "too much to compare",
            "name one spec or lock, and --at once or twice",
        )),
    }
}

fn is_lock(word: &str) -> bool {
    Path::new(word)
        .extension()
        .is_some_and(|ending| ending == "lock")
}

/// The lock that a spec, an environment or its own path means.
fn lock_path(app: &App<'_>, said: Option<&str>) -> Result<String, Failure> {
    if let Some(path) = said.filter(|said| is_lock(said)) {
        return Ok(path.to_owned());
    }
    let (path, _): (PathBuf, _) = select::spec_path(app, said)?;
    Ok(path.with_extension("lock").to_string_lossy().into_owned())
}

fn lock(args: &Args, shown: &str) -> Result<Side, Failure> {
    let path = Path::new(shown);
    let text = fs::read_to_string(path).map_err(|source| ApplyError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    of_lock(args, &LockText::new(shown.to_owned(), text), shown)
}

fn lock_at(args: &Args, shown: &str, revision: &str) -> Result<Side, Failure> {
    let text = apply::lock_at(Path::new(shown), shown, revision)?;
    of_lock(args, &text, &format!("{shown} at {revision}"))
}

fn of_lock(args: &Args, text: &LockText, name: &str) -> Result<Side, Failure> {
    let platform = args.platform.or_else(Subdir::current);
    let platform = platform.unwrap_or(Subdir::Linux64);
    let read = text.read().and_then(|lock| lock.packages(platform));
    let packages = read.map_err(ApplyError::from)?;
    Ok(Side {
        name: name.to_owned(),
        packages: packages.len(),
        space: None,
        archive_bytes: Some(packages.iter().map(|(_, bytes)| bytes).sum()),
        ids: packages.into_iter().map(|(package, _)| package).collect(),
    })
}

/// Whether a word can be the beginning of a generation's digest.
fn is_digest(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Generations: none, one or two are named, maybe behind their environment.
fn generations(app: &App<'_>, words: &[&str]) -> Result<(Side, Side), Failure> {
    let mut words = words.to_vec();
    let is_environment = |word: &str| -> Result<bool, Failure> {
        if select::is_path(word) {
            return Ok(true);
        }
        let Some(name) = EnvName::new(word) else {
            return Ok(false);
        };
        for root in app.roots(&app.sites()?)? {
            if store::current(&root, &name)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    };
    let mut said = None;
    if let Some(first) = words.first().copied() {
        if is_environment(first)? {
            said = Some(words.remove(0));
        } else if let Some((name, _)) = first.rsplit_once('-')
            && is_environment(name)?
        {
            said = Some(name);
        }
    }
    // Neither an environment nor one of a generation: it may be the name of nothing.
    let said = said.or_else(|| words.first().copied().filter(|word| !is_digest(word)));
    let current = select::current(app, said)?;
    let root = &current.root;
    let named = |word: &str| generation(root, &current.name, word);
    let switches = || store::switches(root, &current.name);
    match words.as_slice() {
        [] => {
            let from = before(&switches()?, &current.generation).ok_or_else(|| {
                StoreError::NothingEarlier {
                    environment: current.name.to_string(),
                }
            })?;
            Ok((
                of_generation(root, &from)?,
                of_generation(root, &current.generation)?,
            ))
        }
        [from] => Ok((
            of_generation(root, &named(from)?)?,
            of_generation(root, &current.generation)?,
        )),
        [from, to] => Ok((
            of_generation(root, &named(from)?)?,
            of_generation(root, &named(to)?)?,
        )),
        _ => Err(Failure::usage(
            "too much to compare",
            "name one or two generations",
        )),
    }
}

/// What was current before.
fn before(switches: &[Switched], current: &str) -> Option<String> {
    let at = switches.iter().rposition(|to| to.to == current);
    let earlier = &switches[..at.unwrap_or(switches.len())];
    earlier.last().map(|to| to.to.clone())
}

/// The generation that a text means, there or deleted.
fn generation(root: &Root, name: &EnvName, word: &str) -> Result<String, Failure> {
    let digest = word.strip_prefix(&format!("{name}-")).unwrap_or(word);
    let beginning = format!("{name}-{digest}");
    let mut known: Vec<String> = store::generations(root, Some(name))?
        .0
        .into_iter()
        .map(|generation| generation.receipt.generation)
        .collect();
    known.extend(store::switches(root, name)?.into_iter().map(|to| to.to));
    known.retain(|id| id.starts_with(&beginning));
    known.sort();
    known.dedup();
    let name = word.to_owned();
    match known.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(StoreError::Unknown {
            what: "generation",
            name,
        }
        .into()),
        _ => Err(StoreError::Ambiguous { name }.into()),
    }
}

fn of_generation(root: &Root, generation: &str) -> Result<Side, Failure> {
    let receipt = Receipt::read_kept(root, generation)?.ok_or_else(|| StoreError::Unknown {
        what: "generation",
        name: generation.to_owned(),
    })?;
    let prefix = root.generation(generation)?;
    let there = prefix.is_dir();
    Ok(Side {
        name: generation.to_owned(),
        packages: receipt.packages.len(),
        space: there.then(|| Tally::of(&prefix).total()),
        archive_bytes: None,
        ids: receipt.packages,
    })
}

fn text(from: &Side, to: &Side, changes: &[Change]) -> String {
    let mut lines = vec![styled(BOLD, format!("{} → {}", from.name, to.name))];
    lines.extend(
        changes
            .iter()
            .map(|change| format!("  {}", walk::change_line(change))),
    );
    let mut sums = vec![format!(
        "{} → {} ({})",
        from.packages,
        counted(to.packages, "package"),
        Counts::of(changes).text()
    )];
    if let (Some(from), Some(to)) = (from.space, to.space) {
        let inodes = usize::try_from(to.inodes).unwrap_or(usize::MAX);
        sums.push(format!("{} → {}", bytes(from.bytes), bytes(to.bytes)));
        sums.push(format!("{} → {}", from.inodes, counted(inodes, "file")));
    }
    if let (Some(from), Some(to)) = (from.archive_bytes, to.archive_bytes) {
        sums.push(format!("{} → {} as archives", bytes(from), bytes(to)));
    }
    lines.push(sums.join(", "));
    lines.join("\n")
}
