//! Kills a program at a system call of one's choice, or has that call fail, and
//! shows that it was that one: `strace` delivers the signal as the call is entered, so that it is the
//! first one not done.
//!
//! `strace` counts calls for each thread and each name on its own. The first
//! thread's are counted with nobody else's: without `-f` no other thread is
//! looked at. Those of all threads can't be counted (whichever is quicker comes
//! first), but told by the path they are for (`-P`).
//!
//! The first thread also writes to wake others, now more and now less often, so
//! its writes can't be counted. What is written to a file is killed at as the
//! call that opened it returns: by a signal that nobody handles, which, unlike
//! SIGKILL, lets that call be done and no instruction after it.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::output::Ran;
use super::{TestEnv, have, skipped};

/// What changes a file system. `openat` and `write` are also used for other
/// things: [`Call::parse`] leaves those out.
const CHANGES: &[&str] = &[
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "mkdir",
    "mkdirat",
    "unlink",
    "unlinkat",
    "rmdir",
    "open",
    "openat",
    "creat",
    "fsync",
    "fdatasync",
    "write",
    "pwrite64",
    "writev",
    "ftruncate",
    "truncate",
    "copy_file_range",
];

/// How often a call is aimed at that a run did not reach at the same count.
const AIMS: usize = 8;

/// Signals as `strace` and the system call them.
const AT: (&str, i32) = ("KILL", 9);
const AFTER: (&str, i32) = ("VTALRM", 26);

/// Whether a program can be traced here, which some containers forbid.
pub(crate) fn can_trace() -> bool {
    if !have("strace") {
        return false;
    }
    let tried = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "true"])
        .output()
        .unwrap();
    if !tried.status.success() {
        let words = String::from_utf8_lossy(&tried.stderr).into_owned();
        skipped(&format!("strace may not trace here: {words}"));
    }
    tried.status.success()
}

/// A call that changed something below the world's root, home or work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// The system call.
    pub(crate) name: String,
    /// The paths that it was given or whose file it was given, in their order,
    /// without what differs from run to run.
    pub(crate) paths: Vec<String>,
    /// Whether those are the very paths.
    exact: bool,
    /// How many calls of that name the thread had made, with it.
    count: usize,
    /// How many of the same name and paths.
    repeated: usize,
    /// Whether it is the first thread's.
    pub(crate) first_thread: bool,
    /// For the first `write` to a file, the call that opened it.
    opened: Option<Box<Self>>,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name, self.paths.join(", "))?;
        if self.repeated > 1 {
            write!(f, ", the {}. time", self.repeated)?;
        }
        Ok(())
    }
}

impl Call {
    /// What it was done to, or made.
    pub(crate) fn target(&self) -> &str {
        self.paths.last().map_or("", String::as_str)
    }

    /// Whether its path can be told before the run.
    pub(crate) fn is_known_before(&self) -> bool {
        self.exact
    }

    fn is(&self, other: &Self) -> bool {
        (&self.name, &self.paths, self.repeated) == (&other.name, &other.paths, other.repeated)
    }
}

/// The changing calls of a run, in the order in which they were entered.
pub(crate) fn record(env: &TestEnv, arguments: &[&str], all_threads: bool) -> Vec<Call> {
    let follow: &[&str] = if all_threads { &["-f"] } else { &[] };
    let (output, log) = traced(env, arguments, follow);
    assert!(output.status.success(), "{arguments:?} failed:\n{log}");
    let mut calls = calls(env, &log, true);
    if !all_threads {
        for at in 1..calls.len() {
            let (before, call) = (&calls[at - 1], &calls[at]);
            if call.name == "write" && before.name == "openat" && call.target() == before.target() {
                calls[at].opened = Some(Box::new(before.clone()));
            }
        }
    }
    calls
}

/// Kills a run before a call of its first thread that [`record`] told of.
/// `again` makes everything as it was before a run that missed it.
pub(crate) fn kill_at(env: &TestEnv, arguments: &[&str], call: &Call, again: impl Fn()) {
    let (aim, (signal, number)) = match &call.opened {
        Some(opened) => (opened.as_ref(), AFTER),
        None => (call, AT),
    };
    assert_ne!(aim.name, "write", "{call} is not the first to its file");
    let fault = format!("signal={signal}");
    let (_, made) = hit(env, arguments, aim, &fault, again, |output| {
        output.status.signal() == Some(number)
    });
    // Nothing comes after the call that it was killed at.
    assert!(made.last().is_some_and(|made| made.is(aim)), "{made:#?}");
}

/// Has a call of a run's first thread that [`record`] told of fail with an error
/// as the system's manual names it, and tells how the run ended.
pub(crate) fn fail_at(
    env: &TestEnv,
    arguments: &[&str],
    call: &Call,
    error: &str,
    again: impl Fn(),
) -> Ran {
    let fault = format!("error={error}");
    let (output, _) = hit(env, arguments, call, &fault, again, |_| true);
    Ran::new(output, &env.path(""))
}

/// Does something to a call of a run, which is told with the calls that it made.
fn hit(
    env: &TestEnv,
    arguments: &[&str],
    aim: &Call,
    fault: &str,
    again: impl Fn(),
    is_done: impl Fn(&Output) -> bool,
) -> (Output, Vec<Call>) {
    let mut count = aim.count;
    let mut seen = Vec::new();
    for _ in 0..AIMS {
        let inject = format!("inject={}:{fault}:when={count}", aim.name);
        let (output, log) = traced(env, arguments, &["-e", &inject]);
        let made = calls(env, &log, false);
        match made.iter().find(|made| made.is(aim)) {
            Some(hit) if is_done(&output) && hit.count == count => return (output, made),
            Some(passed) => count = passed.count,
            None => count += 1,
        }
        seen.push(log.lines().last().unwrap_or_default().to_owned());
        again();
    }
    panic!("{aim} was not hit; the runs ended with {seen:#?}");
}

/// Kills a run as any of its threads enters a call for a path, if one does.
#[must_use = "a run that was not killed shows nothing"]
pub(crate) fn kill_for(env: &TestEnv, arguments: &[&str], call: &Call) -> bool {
    let (output, log) = at_path(env, arguments, call, "signal=KILL");
    output.status.signal() == Some(9) && !log.is_empty()
}

/// Has a call for a path fail in whichever thread makes it first, if one does, and
/// tells how the run ended.
pub(crate) fn fail_for(env: &TestEnv, arguments: &[&str], call: &Call, error: &str) -> Option<Ran> {
    let (output, log) = at_path(env, arguments, call, &format!("error={error}"));
    log.contains("(INJECTED)")
        .then(|| Ran::new(output, &env.path("")))
}

/// Does something to the first call for a path. The log is empty if there is none.
fn at_path(env: &TestEnv, arguments: &[&str], call: &Call, fault: &str) -> (Output, String) {
    assert!(call.exact, "{call} has no path that is known before");
    let target = env.path(call.target());
    let target = target.to_str().unwrap();
    let inject = format!("inject={}:{fault}:when=1", call.name);
    let (output, log) = traced(env, arguments, &["-f", "-P", target, "-e", &inject]);
    let log = if log.contains(target) {
        log
    } else {
        String::new()
    };
    (output, log)
}

/// Runs envspec, each of whose changing calls takes longer.
pub(crate) fn slowly(env: &TestEnv, arguments: &[&str], microseconds: u32) {
    let inject = format!(
        "inject={}:delay_exit={microseconds}",
        CHANGES
            .iter()
            .filter(|name| !["write", "openat"].contains(name))
            .copied()
            .collect::<Vec<_>>()
            .join(",")
    );
    let (output, log) = traced(env, arguments, &["-e", &inject]);
    assert!(output.status.success(), "{arguments:?} failed:\n{log}");
}

fn traced(env: &TestEnv, arguments: &[&str], options: &[&str]) -> (Output, String) {
    let log = env.path("strace.log");
    let run = env.command(arguments);
    let mut strace = env.program("strace");
    strace
        // `env_clear` of the one is of no use to the other.
        .envs(
            run.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .args(["-y", "-qq", "-o", log.to_str().unwrap()])
        .args(["-e", &format!("trace={}", CHANGES.join(","))])
        .args(options)
        .arg("--")
        .arg(run.get_program())
        .args(run.get_args());
    let output = strace.output().unwrap();
    let log = fs_err::read(log).unwrap();
    (output, String::from_utf8_lossy(&log).into_owned())
}

/// Reads a log. `only_changes` leaves out what failed: the state before it is
/// the state after it.
fn calls(env: &TestEnv, log: &str, only_changes: bool) -> Vec<Call> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut same: BTreeMap<(String, Vec<String>), usize> = BTreeMap::new();
    let first = thread(log.lines().next().unwrap_or_default()).0;
    let mut all = Vec::new();
    for line in log.lines() {
        let (thread, rest) = thread(line);
        let Some((name, _)) = rest.split_once('(') else {
            continue;
        };
        if !CHANGES.contains(&name) {
            continue;
        }
        let count = counts.entry((thread, name)).or_default();
        *count += 1;
        // One that failed because it was told to counts as made.
        let failed = rest.contains(" = -1 ") && !rest.contains("(INJECTED)");
        let is_idle = failed || rest.ends_with(" = 0") && name.starts_with("copy");
        let opens = ["open", "openat"].contains(&name) && !rest.contains("O_CREAT");
        if opens || only_changes && is_idle {
            continue;
        }
        let given = paths(rest);
        let inside: Option<Vec<&Path>> = given.iter().map(|path| below(env, path)).collect();
        let Some(inside) = inside.filter(|inside| !inside.is_empty()) else {
            continue;
        };
        let exact = inside
            .last()
            .map(|path| path.to_string_lossy().into_owned());
        let paths: Vec<String> = inside.iter().map(|path| lasting(path)).collect();
        let repeated = same.entry((name.to_owned(), paths.clone())).or_default();
        // A call that failed is not told of, and not counted among the same.
        *repeated += usize::from(!is_idle);
        all.push(Call {
            name: name.to_owned(),
            // `strace` writes what is not ASCII in its own way.
            exact: exact.as_ref() == paths.last() && !rest.contains('\\'),
            paths,
            count: *count,
            repeated: *repeated,
            first_thread: thread == first,
            opened: None,
        });
    }
    all
}

/// The number of the thread, which `-f` writes first, and the call.
fn thread(line: &str) -> (&str, &str) {
    match line.split_once(' ') {
        Some((number, rest)) if number.parse::<u32>().is_ok() => (number, rest.trim_start()),
        _ => ("", line),
    }
}

/// The paths of a call: `"..."` and, for a file that is open, `9</...>`. What
/// is written and what a link says are none; a path that is relative to an open
/// folder is joined to it.
fn paths(call: &str) -> Vec<PathBuf> {
    let (name, mut rest) = call.split_once('(').unwrap();
    // A file that the call opened is told after it.
    rest = rest.split(") = ").next().unwrap();
    let by_file = [
        "fsync",
        "fdatasync",
        "write",
        "pwrite64",
        "writev",
        "ftruncate",
    ];
    let mut found = Vec::new();
    let mut folder: Option<PathBuf> = None;
    while let Some(at) = rest.find(['"', '<']) {
        let (opening, closing) = (
            &rest[at..=at],
            if &rest[at..=at] == "<" { '>' } else { '"' },
        );
        let Some(end) = rest[at + 1..].find(closing) else {
            break;
        };
        let text = PathBuf::from(&rest[at + 1..at + 1 + end]);
        rest = &rest[at + 2 + end..];
        if opening == "<" {
            if by_file.contains(&name) {
                return vec![text];
            }
            if name == "copy_file_range" {
                // From a file that is nobody's to one of the prefix.
                found = vec![text];
            } else {
                folder = Some(text);
            }
        } else {
            found.push(
                folder
                    .take()
                    .map_or(text.clone(), |folder| folder.join(&text)),
            );
        }
    }
    if name.starts_with("symlink") {
        // Its first text is what the link says.
        found.drain(..found.len().min(1));
    }
    found
}

/// A path as seen from the world, if it is in one of the folders that matter.
fn below<'p>(env: &TestEnv, path: &'p Path) -> Option<&'p Path> {
    let world = env.path("");
    let path = path.strip_prefix(&world).ok()?;
    ["root", "home", "work"]
        .iter()
        .any(|folder| path.starts_with(folder))
        .then_some(path)
}

/// A path without the letters that a temporary file draws and the number of a
/// process.
fn lasting(path: &Path) -> String {
    let mut parts = Vec::new();
    for part in path.iter().map(|part| part.to_string_lossy()) {
        let is_drawn = |text: &str| {
            text.len() == 6 && text.chars().all(|letter| letter.is_ascii_alphanumeric())
        };
        if let Some((_, generation)) = part
            .strip_prefix(".rubble-")
            .and_then(|rest| rest.split_once('-'))
        {
            parts.push(format!(".rubble-*-{generation}"));
            continue;
        }
        if let Some((_, user)) = part
            .strip_prefix(".fetch-")
            .and_then(|rest| rest.split_once('-'))
        {
            parts.push(format!(".fetch-*-{user}"));
            continue;
        }
        // What is unpacked there is moved to its name when it is whole.
        let is_unpacked = parts
            .last()
            .is_some_and(|folder: &String| folder.starts_with(".fetch-"))
            && part.starts_with('.')
            && !part.ends_with(".lock");
        if is_unpacked && let Some(stem) = part.get(..part.len().saturating_sub(6)) {
            parts.push(format!("{stem}*"));
            continue;
        }
        let is_number = |text: &str| text.parse::<u32>().is_ok();
        let ending = part.rsplit_once(['-', '.', '_']);
        let temporary = part.starts_with('.') || part.starts_with("prefix_record");
        parts.push(match ending {
            Some((stem, end)) if temporary && (is_drawn(end) || is_number(end)) => {
                format!("{stem}*")
            }
            _ => part.into_owned(),
        });
    }
    parts.join("/")
}
