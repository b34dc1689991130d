//! Collecting what nobody needs any more: generations, packages, leftovers.
//!
//! First all is looked at and judged, with the gate shut and the leases held.
//! What may go is moved aside, one rename each: from then on it is gone for
//! everybody. Then gate and leases are given back, and what was moved aside is
//! deleted, by this run or, if it is killed, by the next.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::context::Context;
use super::error::ApplyError;
use super::generations_in_use::{Observed, observe};
use super::hold::with_reserve;
use crate::conda::Step;
use crate::plan::{KEPT_FOR, Kept, Retention, is_python_used, is_used, judge};
use crate::spec::EnvName;
use crate::store::{self, Lease, Receipt, Space, StoreError, Tally};

/// A session that the scheduler knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSession {
    /// Its name.
    pub name: String,
    /// Its job.
    pub job: Option<u64>,
    /// Its environment.
    pub environment: String,
    /// Its generation, if that is known.
    pub generation: Option<String>,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Collect {
    /// What stays although nobody uses it.
    pub retention: Retention,
    /// Look and judge only.
    pub dry_run: bool,
    /// The sessions that wait or run; `None` if the scheduler does not say, and
    /// so any start script may be one's.
    pub live: Option<Vec<LiveSession>>,
}

/// A generation and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The name of its folder.
    pub generation: String,
    /// Its environment.
    pub environment: String,
    /// How long ago it was left, or made.
    pub idle: Duration,
    /// Why it stays; `None` if it goes.
    pub kept: Option<Kept>,
}

/// What was done, or would be.
#[derive(Debug, Default)]
pub struct Collected {
    /// Every generation.
    pub generations: Vec<Judged>,
    /// How many packages of the cache go.
    pub packages: usize,
    /// Why none of them was looked at.
    pub packages_kept: Option<String>,
    /// How many files of sessions long gone.
    pub session_files: usize,
    /// How much is freed: of files with several hard links, those whose last
    /// link goes.
    pub freed: Space,
    /// Why some of it is there still.
    pub failed: Option<StoreError>,
}

/// Leases of environments, and who has the others.
#[derive(Default)]
struct Leases {
    held: Vec<Lease>,
    busy: BTreeMap<String, String>,
}

/// Collects. `tell` is told who does so already, and is waited for.
pub async fn collect(
    context: &Context,
    wanted: &Collect,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Collected, ApplyError> {
    // Whatever was applied had a lease. What else there may be is not envspec's.
    if !context.root.leases().is_dir() {
        return Ok(Collected::default());
    }
    if wanted.dry_run {
        return collect_once(context, wanted, tell).await;
    }
    with_reserve(context, async || collect_once(context, wanted, tell).await).await
}

async fn collect_once(
    context: &Context,
    wanted: &Collect,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Collected, ApplyError> {
    let root = &context.root;
    // What is left in the root meanwhile, leases above all, the group must see.
    let _umask = root.join_group()?;
    let mut leases = Leases::default();
    let gate = if wanted.dry_run {
        leases.busy = Lease::holders(root, &context.asker());
        None
    } else {
        let gate = store::shut_gate(root, &context.asker(), tell).await?;
        leases.take(context)?;
        Some(gate)
    };
    let observed = observe(context, &leases.busy, wanted.live.as_deref())?;
    let verdicts = judge(&observed.candidates, wanted.retention);
    let mut generations: Vec<Judged> = observed
        .candidates
        .iter()
        .map(|candidate| Judged {
            generation: candidate.generation.clone(),
            environment: candidate.environment.clone(),
            idle: candidate.idle,
            kept: verdicts.get(&candidate.generation).cloned().flatten(),
        })
        .collect();
    let names = |stay: bool| {
        let judged = generations.iter();
        let wanted = judged.filter(move |judged| judged.kept.is_some() == stay);
        wanted.map(|judged| judged.generation.clone())
    };
    let going: Vec<String> = names(false).collect();
    let staying: BTreeSet<String> = names(true).collect();

    let mut doomed: Vec<PathBuf> = store::rubble(root, &context.who.host);
    let half = store::half_built(root).into_iter();
    let nobodys = half.filter(|(environment, _)| !leases.busy.contains_key(environment));
    doomed.extend(nobodys.map(|(_, path)| path));
    let prefixes = going.iter().map(|name| root.generations().join(name));
    doomed.extend(prefixes);
    let mut collected = Collected::default();
    let mut notes = Vec::new();
    if let Some(holder) = leases.busy.iter().next() {
        let (name, by) = holder;
        collected.packages_kept = Some(format!(
            "{name} is being changed by {by}; should they be gone, an apply of {name} takes over"
        ));
    } else if root.packages().is_dir() {
        // Nobody fetches or links packages: all leases are held.
        let unused = unused(context, &staying)?;
        collected.packages = unused.packages;
        doomed.extend(unused.folders);
        notes = unused.notes;
    }
    let files = session_leftovers(&observed, wanted, &staying);
    collected.session_files = files.len();
    doomed.extend(files);
    doomed.extend(notes);

    let Some(gate) = gate else {
        let mut tally = Tally::default();
        for path in &doomed {
            tally.add(path);
        }
        // Their receipts are kept.
        let mut kept = Tally::default();
        for generation in &going {
            kept.add(&Receipt::path(&root.generations().join(generation)));
        }
        collected.freed = tally.own().without(kept.total());
        collected.generations = generations;
        return Ok(collected);
    };
    for generation in &going {
        Receipt::keep(root, generation)?;
    }
    let mut aside = Vec::with_capacity(doomed.len());
    for path in doomed {
        // Whoever changes anything passes it. So if this process was suspended and
        // taken for dead, its gate tells.
        gate.confirm()?;
        aside.push(if path.is_dir() && !store::is_aside(&path) {
            store::move_aside(&path)?
        } else {
            path
        });
    }
    put_back_what_is_used(context, &mut aside, &mut generations);
    drop((gate, leases));
    collected.generations = generations;
    delete(context, &aside, &mut collected);
    Ok(collected)
}

/// Puts generations back that a process began to use between the look at the
/// processes and now. Nobody can begin any more: nobody knows the name.
fn put_back_what_is_used(context: &Context, aside: &mut Vec<PathBuf>, generations: &mut [Judged]) {
    let folder = context.root.generations();
    let in_use = store::in_use(&context.root).generations;
    for (name, process) in in_use {
        let place = folder.join(&name);
        let Some(position) = aside.iter().position(|path| *path == place) else {
            continue;
        };
        let judged = generations
            .iter_mut()
            .find(|judged| name.ends_with(&format!("-{}", judged.generation)));
        if let Some(judged) = judged
            && fs_err::rename(&place, folder.join(&judged.generation)).is_ok()
        {
            aside.remove(position);
            judged.kept = Some(Kept::Process {
                pid: process.pid,
                name: process.name,
            });
        }
    }
}

/// Deletes, and counts what is free for it.
fn delete(context: &Context, aside: &[PathBuf], collected: &mut Collected) {
    let mut before = Tally::default();
    for path in aside {
        before.add(path);
    }
    let progress = &context.progress;
    progress.begin(Step::Delete, before.total().inodes);
    let count = AtomicU64::new(0);
    let deleted = store::delete(aside, &|files| {
        count.fetch_add(files, Ordering::Relaxed);
        progress.advance(Step::Delete, files);
    });
    progress.end(Step::Delete);
    collected.freed = before.own();
    if let Err(error) = deleted {
        collected.failed = Some(error);
        // What could not be deleted, and what it shares links with, is not free.
        let mut left = Tally::default();
        for path in aside {
            left.add(path);
        }
        collected.freed = collected.freed.without(left.total());
    }
}

impl Leases {
    /// Takes the lease of every environment that there is a trace of, which also
    /// clears away those of dead holders.
    fn take(&mut self, context: &Context) -> Result<(), StoreError> {
        let root = &context.root;
        let mut names: BTreeSet<String> = folder_names(&root.leases());
        names.extend(folder_names(&root.environments()));
        let generations = folder_names(&root.generations());
        names.extend(generations.iter().map(|name| environment_of(name)));
        let asker = context.asker();
        for name in names.iter().filter_map(|name| EnvName::new(name)) {
            match Lease::take(root, &name, &asker) {
                Ok(lease) => self.held.push(lease),
                Err(StoreError::Busy { holder, .. }) => {
                    self.busy.insert(name.to_string(), holder);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The environment of a generation, by the name of its folder.
pub(super) fn environment_of(generation: &str) -> String {
    let name = generation.rsplit_once('-').map(|(name, _)| name);
    name.unwrap_or(generation).to_owned()
}

/// The names in a folder that are no hidden ones.
pub(super) fn folder_names(folder: &std::path::Path) -> BTreeSet<String> {
    let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect()
}

/// What no generation needs of the cache.
struct Unused {
    packages: usize,
    folders: Vec<PathBuf>,
    notes: Vec<PathBuf>,
}

fn unused(context: &Context, staying: &BTreeSet<String>) -> Result<Unused, ApplyError> {
    let root = &context.root;
    let mut used = BTreeSet::new();
    for generation in staying {
        used.extend(store::linked(&root.generations().join(generation))?);
    }
    let cache = store::cache(root);
    let mut unused = Unused {
        packages: 0,
        folders: cache.rubble,
        notes: Vec::new(),
    };
    let mut used_digests = BTreeSet::new();
    for package in cache.packages {
        if is_used(&package, &used) {
            used_digests.extend(package.digest);
        } else {
            unused.packages += 1;
            unused
                .folders
                .push(store::package_folder(root, &package.folder));
            unused.notes.push(store::note(root, &package.folder));
        }
    }
    for bytecode in cache.bytecode {
        if is_python_used(&bytecode.python, &used) {
            let of_none = |(digest, _): &(String, PathBuf)| !used_digests.contains(digest);
            let folders = bytecode.packages.into_iter().filter(of_none);
            unused.folders.extend(folders.map(|(_, folder)| folder));
        } else {
            unused.folders.push(bytecode.folder);
        }
    }
    Ok(unused)
}

/// Files of sessions that are long gone: start scripts and logs.
fn session_leftovers(
    observed: &Observed,
    wanted: &Collect,
    staying: &BTreeSet<String>,
) -> Vec<PathBuf> {
    let patience = match wanted.retention.younger_than {
        Duration::ZERO => KEPT_FOR,
        age => age,
    };
    // Nobody knows what waits.
    let Some(live) = &wanted.live else {
        return Vec::new();
    };
    let lives = |name: &str| {
        live.iter().any(|session| session.name == name)
            || observed.records.iter().any(|record| record.session == name)
            || observed.running_scripts.contains(&format!("{name}.sh"))
    };
    let mut files = Vec::new();
    for script in &observed.scripts {
        let of_current = script.generation.as_deref().is_some_and(|generation| {
            staying.contains(generation) && observed.current.contains(generation)
        });
        // Of no use any more.
        let of_none = script
            .generation
            .as_ref()
            .is_some_and(|generation| !staying.contains(generation));
        if !lives(&script.session) && !of_current && (of_none || script.idle > patience) {
            files.push(script.path.clone());
        }
    }
    for log in &observed.logs {
        let is_job = |job: u64| log.of == job.to_string() || log.of.starts_with(&format!("{job}-"));
        let of_live = lives(&log.of)
            || live.iter().filter_map(|session| session.job).any(is_job)
            || observed
                .records
                .iter()
                .filter_map(|record| record.job)
                .any(is_job);
        // A server without a scheduler: its record says its session's name, and
        // its log is written to.
        if !of_live && log.idle > patience.max(KEPT_FOR) {
            files.push(log.path.clone());
        }
    }
    files
}
