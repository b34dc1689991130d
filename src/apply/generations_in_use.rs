//! What is known of each generation before it is judged: how old it is, and who
//! refers to it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use super::collect::{LiveSession, environment_of, folder_names};
use super::context::Context;
use super::error::ApplyError;
use crate::jupyter::{self, Owner};
use crate::plan::{Candidate, Kept, Shape};
use crate::spec::EnvName;
use crate::store::{
    self, InUse, Log, Receipt, Root, SessionFiles, SessionRecord, StartScript, StoreError,
};

/// What was seen of a root.
pub(super) struct Observed {
    /// Its generations.
    pub(super) candidates: Vec<Candidate>,
    /// The current ones.
    pub(super) current: BTreeSet<String>,
    /// Servers that are ready.
    pub(super) records: Vec<SessionRecord>,
    /// Scripts that start sessions.
    pub(super) scripts: Vec<StartScript>,
    /// The names of those of them that run on this machine.
    pub(super) running_scripts: BTreeSet<String>,
    /// What sessions said.
    pub(super) logs: Vec<Log>,
}

/// Looks at a root. `busy` tells whose lease another process has.
pub(super) fn observe(
    context: &Context,
    busy: &BTreeMap<String, String>,
    live: Option<&[LiveSession]>,
) -> Result<Observed, ApplyError> {
    let root = &context.root;
    let files = store::session_files(root);
    let processes = store::in_use(root);
    let mut references = References::of_sessions(&files, &processes, live);
    for (generation, process) in processes.generations {
        let store::Process { pid, name } = process;
        references.add(&generation, Kept::Process { pid, name });
    }
    for (registered, generation) in kernels_of(context)? {
        references.add(&generation, Kept::Kernelspec { registered });
    }
    for store::Member { name, generations } in root.other_members() {
        for generation in generations {
            let member = name.clone();
            references.add(&generation, Kept::Member { member });
        }
    }
    let mut current = BTreeSet::new();
    for (_, generation) in store::environments(root)? {
        references.add(&generation, Kept::Current);
        current.insert(generation);
    }

    let is_shared = context
        .sites
        .names()
        .filter_map(|name| context.sites.find(Some(name)).ok())
        .any(|site| {
            let mut roots = site.storage.shared.iter();
            roots.any(|shared| root.is_at(Path::new(shared.as_str())))
        });
    let now = jiff::Timestamp::now();
    let mut candidates = Vec::new();
    for generation in folder_names(&root.generations()) {
        let prefix = root.generations().join(&generation);
        // A link leads to a generation of a shared root, or to one that was there.
        if !prefix.is_symlink() && !prefix.is_dir() {
            continue;
        }
        let (shape, receipt) = match Receipt::read(&prefix) {
            Ok(Some(receipt)) => (Shape::Whole, Some(receipt)),
            Ok(None) if prefix.is_symlink() || store::is_unfinished(&prefix) => (Shape::Half, None),
            Ok(None) => continue,
            Err(_) => (Shape::Unreadable, None),
        };
        let environment = receipt.as_ref().map_or_else(
            || environment_of(&generation),
            |receipt| receipt.environment.clone(),
        );
        let mut uses = references
            .generations
            .remove(&generation)
            .unwrap_or_default();
        let of_environment = references.environments.get(&environment);
        uses.extend(of_environment.into_iter().flatten().cloned());
        if let Some(by) = busy.get(&environment) {
            uses.insert(Kept::Busy { by: by.clone() });
        }
        if is_shared {
            uses.insert(Kept::Shared);
        }
        uses.extend(store::other_owner(&prefix).map(|owner| Kept::Theirs { owner }));
        let made = receipt.as_ref().map(|receipt| receipt.created.as_str());
        let is_deleted = is_deleted(root, &environment);
        let (idle, switch) = idle(root, &environment, &generation, made, is_deleted, now)?;
        let candidate = Candidate {
            generation,
            environment,
            is_deleted,
            shape,
            idle,
            uses,
        };
        candidates.push((switch, candidate));
    }
    // Switches of one second are told apart by their order.
    candidates.sort_by(|(switch, one), (other_switch, other)| {
        (&one.environment, other_switch, one.idle).cmp(&(&other.environment, switch, other.idle))
    });
    // A clock that was set back in between: who was left later is idle for no longer.
    let mut longest: BTreeMap<String, Duration> = BTreeMap::new();
    for (_, one) in candidates
        .iter_mut()
        .rev()
        .filter(|(switch, _)| switch.is_some())
    {
        let longest = longest.entry(one.environment.clone()).or_insert(one.idle);
        one.idle = one.idle.min(*longest);
        *longest = one.idle;
    }
    let candidates = candidates.into_iter().map(|(_, one)| one).collect();
    Ok(Observed {
        candidates,
        current,
        records: files.records,
        scripts: files.scripts,
        running_scripts: processes.scripts.into_keys().collect(),
        logs: files.logs,
    })
}

/// Whether an environment was deleted. What can't be read was not.
fn is_deleted(root: &Root, environment: &str) -> bool {
    let name = EnvName::new(environment);
    name.is_some_and(|name| store::is_deleted(root, &name).unwrap_or_default())
}

/// The user's kernelspecs that run from a generation of the root, and from which.
fn kernels_of(context: &Context) -> Result<Vec<(String, String)>, ApplyError> {
    let folder = &context.kernels_dir;
    let known = jupyter::observed(folder).map_err(ApplyError::unreadable(folder))?;
    let of_root = known.into_iter().filter_map(|kernelspec| {
        let Owner::Envspec(mark) = kernelspec.owner else {
            return None;
        };
        let is_here = context.root.is_at(Path::new(&mark.root));
        is_here.then_some((kernelspec.name, mark.generation))
    });
    Ok(of_root.collect())
}

/// Tells the group whose root it is what the user's kernels run from, and will soon,
/// so that no other member collects that.
pub(super) fn tell_kernels(context: &Context, soon: Option<&str>) -> Result<(), ApplyError> {
    if context.root.group().is_none() {
        return Ok(());
    }
    let kernels = kernels_of(context)?.into_iter();
    let generations = kernels
        .map(|(_, generation)| generation)
        .chain(soon.map(str::to_owned))
        .collect();
    Ok(context.root.tell_kernels(&generations)?)
}

/// Who refers to what.
#[derive(Default)]
struct References {
    generations: BTreeMap<String, BTreeSet<Kept>>,
    /// To any generation of an environment.
    environments: BTreeMap<String, BTreeSet<Kept>>,
}

impl References {
    /// Whom sessions refer to: those that are ready, those that wait or start.
    fn of_sessions(files: &SessionFiles, processes: &InUse, live: Option<&[LiveSession]>) -> Self {
        let mut references = Self::default();
        for record in &files.records {
            let session = record.session.clone();
            references.add(&record.generation, Kept::Session { session });
        }
        for script in &files.scripts {
            let file = format!("{}.sh", script.session);
            let waits = match live {
                Some(live) => live
                    .iter()
                    .any(|live| live.name == script.session && live.generation.is_none()),
                // Whether its job waits can't be told.
                None => script.is_job,
            };
            let session = script.session.clone();
            match &script.generation {
                Some(generation) if waits || processes.scripts.contains_key(&file) => {
                    references.add(generation, Kept::Session { session });
                }
                _ => {}
            }
        }
        for session in live.unwrap_or_default() {
            let kept = Kept::Session {
                session: session.name.clone(),
            };
            let script = files
                .scripts
                .iter()
                .find(|script| script.session == session.name);
            match (&session.generation, script) {
                (Some(generation), _) => references.add(generation, kept),
                // Its script told above.
                (None, Some(script)) if script.generation.is_some() => {}
                (None, _) => {
                    let of = references.environments.entry(session.environment.clone());
                    of.or_default().insert(kept);
                }
            }
        }
        references
    }

    fn add(&mut self, generation: &str, kept: Kept) {
        let of = self.generations.entry(generation.to_owned());
        of.or_default().insert(kept);
    }
}

/// How long ago a generation was left for another, and by which switch it came; if it never was current, how
/// long ago it was made; if its environment was deleted, how long ago that was. What can't
/// be told counts as now.
fn idle(
    root: &Root,
    environment: &str,
    generation: &str,
    made: Option<&str>,
    is_deleted: bool,
    now: jiff::Timestamp,
) -> Result<(Duration, Option<usize>), StoreError> {
    let mut since = made.map(str::to_owned);
    let mut switch = None;
    if let Some(name) = EnvName::new(environment) {
        let past = store::past(root, &name)?;
        if let Some(last) = past.iter().rposition(|to| to.to == generation) {
            since = past.get(last + 1).map(|left| left.at.clone());
            switch = Some(last);
        }
        if is_deleted {
            since = past.last().map(|deleted| deleted.at.clone());
        }
    }
    let since = since.and_then(|at| at.parse::<jiff::Timestamp>().ok());
    let age = since.map(|since| now.duration_since(since));
    let age = age.and_then(|age| Duration::try_from(age).ok());
    Ok((age.unwrap_or_default(), switch))
}
