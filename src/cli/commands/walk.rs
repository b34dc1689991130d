//! What several commands have in common: the flags of the lock, the runtime,
//! and the stretch of the line from a spec to a plan.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::{Duration, Instant};

use clap::Args;
use rattler_conda_types::Subdir;

use crate::apply::{
    self, Context, LockPolicy, Locked, Prepared, Replaced, Source, SpecFile, Subject, WaitingFor,
};
use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::heavy;
use crate::cli::say::{FAINT, counted, path_word, styled};
use crate::cluster::Login;
use crate::conda::Network;
use crate::lock::{Change, Lock, LockError, PackageId, changes, is_source};
use crate::plan::Action;
use crate::session::{Session, Wanted};
use crate::site::Purge;
use crate::spec::EnvName;

use super::sessions::state_text;

/// How the lock and the network are used.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct LockFlags {
    /// Refuse a lock that is stale, instead of renewing it
    #[arg(long, conflicts_with = "frozen")]
    locked: bool,

    /// Use the lock as it is, stale or not
    #[arg(long)]
    frozen: bool,

    /// Touch no network: use what is cached or on disk
    #[arg(long)]
    offline: bool,
}

impl LockFlags {
    pub(super) fn policy(self) -> LockPolicy {
        match (self.locked, self.frozen) {
            (true, _) => LockPolicy::Locked,
            (_, true) => LockPolicy::Frozen,
            _ => LockPolicy::Update,
        }
    }

    pub(super) fn network(self) -> Network {
        network(self.offline)
    }
}

/// What `--offline` means.
pub(super) fn network(offline: bool) -> Network {
    if offline {
        Network::Offline
    } else {
        Network::Online
    }
}

/// Threads of the runtime at most. Its work is waiting; what computes or reads
/// files has threads of its own. Starting one for each core of a large login
/// node takes longer than all of a run that has nothing to do.
const WORKERS: usize = 4;

/// Runs asynchronous work to its end, or until the user has enough: then what
/// it holds (a lease, a kernel under test) is let go before the program ends.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(WORKERS))
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::usage(
                format!("no threads can be had: {error}"),
                "look at the limits of this shell: ulimit -u",
            )
        })?;
    let outcome = runtime.block_on(async {
        tokio::spawn(give_up());
        tokio::select! {
            outcome = work => outcome,
            () = interrupted() => Err(Failure::interrupted()),
        }
    });
    // Threads that are still linking files need not be waited for.
    runtime.shutdown_background();
    outcome
}

/// Ends with the first signal that asks the program to end. SIGUSR1 is one: it
/// is how a Ctrl-C comes through `srun`.
pub(in crate::cli) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
        SignalKind::user_defined1(),
    ];
    let Ok(mut streams) = signals
        .into_iter()
        .map(signal)
        .collect::<Result<Vec<_>, _>>()
    else {
        return std::future::pending().await;
    };
    std::future::poll_fn(|cx| {
        let any = streams
            .iter_mut()
            .any(|stream| stream.poll_recv(cx).is_ready());
        if any {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

/// A solver or an activation script at work does not listen. A lease that is held
/// meanwhile is of a process that is gone, and the next one takes it over.
#[expect(clippy::exit, reason = "the thread that would return is busy solving")]
async fn give_up() {
    interrupted().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    std::process::exit(Exit::Interrupted as i32);
}

/// The context for a spec: its site decides where the root is.
pub(super) fn context(
    app: &App<'_>,
    file: &SpecFile,
    network: Network,
) -> Result<Context, Failure> {
    app.context(app.root_of(file)?, network)
}

/// From a spec to its lock; says what was resolved.
pub(super) async fn lock(
    app: &App<'_>,
    context: &Context,
    subject: &Subject,
    policy: LockPolicy,
) -> Result<Locked, Failure> {
    let started = Instant::now();
    if heavy::rule(app, &subject.site).is_some() && apply::needs_solution(context, subject, policy)?
    {
        heavy::pass_on(app, &subject.site)?;
    }
    let locked = apply::resolve(context, subject, policy).await?;
    say_warnings(app, &locked);
    if !locked.is_written() {
        let new = locked.text.read().map_err(apply::ApplyError::from)?;
        // The file beside the spec is the old one still.
        let old = subject.lock_there().and_then(|lock| lock.read().ok());
        for &platform in &locked.platforms {
            let after = packages(&new, platform).map_err(apply::ApplyError::from)?;
            app.ui.status(format!(
                "Resolved {} for {platform} {}",
                counted(after.len(), "package"),
                took(started)
            ));
            if let Some(Ok(before)) = old.as_ref().map(|old| packages(old, platform)) {
                say_changes(app, &changes(before, after));
            }
        }
    }
    Ok(locked)
}

/// What is to be known of a new lock.
pub(super) fn say_warnings(app: &App<'_>, locked: &Locked) {
    for warning in &locked.warnings {
        app.ui.warning(warning);
    }
}

/// The packages of a lock for a platform.
fn packages(lock: &Lock, platform: Subdir) -> Result<Vec<PackageId>, LockError> {
    let packages = lock.packages(platform)?.into_iter();
    Ok(packages.map(|(package, _)| package).collect())
}

/// Says which packages of a lock are sources, that is what becomes of them when it is
/// applied.
pub(super) fn say_sources(app: &App<'_>, lock: &Lock, platforms: &[Subdir]) {
    let mut told = BTreeSet::new();
    for &platform in platforms {
        let prefixes = lock.prefixes(platform).unwrap_or_default();
        for record in prefixes.into_iter().flat_map(|(_, records)| records) {
            let source = Source::from(&record);
            if is_source(&record) && told.insert(source.to_string()) {
                app.ui.warning(format!(
                    "{source} has no wheel: to apply this builds it from source, which runs its author's code"
                ));
            }
        }
    }
}

/// From a spec to its plan.
pub(super) async fn prepare(
    app: &App<'_>,
    context: &Context,
    file: SpecFile,
    policy: LockPolicy,
) -> Result<Prepared, Failure> {
    let subject = file.judge(context)?;
    let locked = lock(app, context, &subject, policy).await?;
    let prepared = apply::prepare(context, subject, locked)?;
    if let Some(other) = &prepared.other_spec {
        app.ui.warning(format!(
            "the environment {} was made from {} until now; two specs of one name take turns, \
             so give one of them another `name:`",
            prepared.desired.environment,
            other.display()
        ));
    }
    for source in &prepared.sources {
        app.ui.warning(format!(
            "builds {source} from source, which runs its author's code: {}",
            source.place
        ));
    }
    for lack in &prepared.unfit {
        app.ui.warning(format!(
            "{lack}: it will run only on the node that `target` speaks of"
        ));
    }
    Ok(prepared)
}

/// Says so when the site deletes what is old where a generation is to be built.
pub(super) fn warn_if_purged(app: &App<'_>, context: &Context, prepared: &Prepared) {
    let builds = |action: &Action| matches!(action, Action::BuildGeneration { .. });
    let purge = prepared.subject.purge(context);
    if let Some(Purge { days }) = purge.filter(|_| prepared.plan.actions.iter().any(builds)) {
        let root = context.root.path().display();
        let when = match days {
            Some(days) => format!("deletes files {} after", counted(days as usize, "day")),
            None => "may delete files some time after".to_owned(),
        };
        app.ui.warning(format!(
            "at {root} the site {when} they were last written, which breaks environments without \
             a word; a root that stays: --root DIR or ENVSPEC_ROOT"
        ));
    }
}

/// Says for whom a command waits that wants to change an environment.
pub(super) fn say_waiting(app: &App<'_>, name: &EnvName, holder: WaitingFor<'_>) {
    match holder {
        WaitingFor::Change(by) => app.ui.status(format!(
            "Waiting: environment {name} is being changed by {by}"
        )),
        WaitingFor::Collection(by) => say_collecting(app, by),
    }
}

/// Says who collects.
pub(super) fn say_collecting(app: &App<'_>, by: &str) {
    app.ui.status(format!(
        "Waiting: what nobody needs is being collected by {by}"
    ));
}

/// Says whose kernelspecs were taken over.
pub(super) fn say_replaced(app: &App<'_>, replaced: &[Replaced]) {
    for Replaced { registered, was } in replaced {
        app.ui.warning(format!(
            "the kernel {registered} ran the environment {} in {} until now; \
             get that one back with: envspec apply {} --root {}",
            was.environment,
            was.root,
            was.environment,
            path_word(&was.root)
        ));
    }
}

/// Reaches the place where commands are given.
pub(super) async fn login(app: &App<'_>, way: &Wanted) -> Result<Login, Failure> {
    /// Somebody may be typing a password.
    const PATIENCE: Duration = Duration::from_mins(2);
    if let Some(hops) = &way.hops {
        app.ui.status(format!("Connecting to {}", hops.login()));
    }
    Ok(way.login(PATIENCE).await?)
}

/// Says how far a session is, if that is news.
pub(super) fn say_state(app: &App<'_>, session: &Session, said: &mut String) {
    let now = match session.node.as_deref() {
        Some(node) => format!("{} on {node}", state_text(session)),
        None => state_text(session),
    };
    if now != *said {
        app.ui.status(format!("{} is {now}", session.name));
        *said = now;
    }
}

/// `in 0.31 s`, faint.
pub(super) fn took(started: Instant) -> String {
    styled(
        FAINT,
        format!("in {:.2} s", started.elapsed().as_secs_f64()),
    )
}

/// Says what changes between two sets of packages, shortly.
pub(super) fn say_changes(app: &App<'_>, changes: &[Change]) {
    /// Beyond so many lines a count says more.
    const SHOWN: usize = 12;
    for change in changes.iter().take(SHOWN) {
        app.ui.status(format!("  {}", change_line(change)));
    }
    if changes.len() > SHOWN {
        app.ui
            .status(format!("  … and {} more", changes.len() - SHOWN));
    }
}

/// One change as a line; the sign tells the kind without colour too.
pub(super) fn change_line(change: &Change) -> String {
    use crate::cli::say::{BAD, GOOD, NAME};
    match change {
        Change::Added { to } => {
            format!("{} {} {}", styled(GOOD, "+"), to.full_name(), to.version)
        }
        Change::Removed { from } => {
            format!("{} {} {}", styled(BAD, "-"), from.full_name(), from.version)
        }
        Change::Upgraded { from, to } => format!(
            "{} {} {} → {}",
            styled(GOOD, "↑"),
            to.full_name(),
            from.version,
            to.version
        ),
        Change::Downgraded { from, to } => format!(
            "{} {} {} → {}",
            styled(BAD, "↓"),
            to.full_name(),
            from.version,
            to.version
        ),
        Change::Rebuilt { from, to } => format!(
            "{} {} {} {} → {}",
            styled(NAME, "~"),
            to.full_name(),
            to.version,
            from.build,
            to.build
        ),
    }
}
