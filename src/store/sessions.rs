//! What sessions write below the root, as far as it refers to generations or is
//! left behind.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fs_err as fs;
use serde::Deserialize;

use super::layout::Root;

/// A server that said that it is ready, and has not cleaned up yet.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SessionRecord {
    /// The session's name.
    pub session: String,
    /// Its generation.
    pub generation: String,
    /// The job's number, if it is one.
    pub job: Option<u64>,
}

/// A script that starts a session, or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartScript {
    /// Where it is.
    pub path: PathBuf,
    /// The session's name.
    pub session: String,
    /// The generation that it starts from.
    pub generation: Option<String>,
    /// Whether it is for a scheduler.
    pub is_job: bool,
    /// How long ago it was written.
    pub idle: Duration,
}

/// A file that tells about a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Where it is.
    pub path: PathBuf,
    /// What it is named after: a job's number, a session, a server.
    pub of: String,
    /// How long ago it was written to.
    pub idle: Duration,
}

/// All of a root.
#[derive(Debug, Default)]
pub struct SessionFiles {
    /// The records of servers.
    pub records: Vec<SessionRecord>,
    /// The scripts.
    pub scripts: Vec<StartScript>,
    /// The logs.
    pub logs: Vec<Log>,
}

/// Looks at what sessions wrote.
pub fn session_files(root: &Root) -> SessionFiles {
    let folder = root.sessions();
    let mut found = SessionFiles::default();
    for path in entries(&folder) {
        if path.is_symlink() {
            continue;
        }
        if let Some(of) = stem(&path, "log") {
            found.logs.push(Log {
                of,
                idle: idle(&path),
                path,
            });
        } else if let Ok(text) = fs::read_to_string(path.join("session.json"))
            && let Ok(record) = serde_json::from_str(&text)
        {
            found.records.push(record);
        }
    }
    found.scripts = start_scripts(&folder);
    found
}

/// The scripts in a folder of sessions.
pub(super) fn start_scripts(sessions: &Path) -> Vec<StartScript> {
    let script = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap_or_default();
        Some(StartScript {
            session: stem(&path, "sh")?,
            generation: variable(&text, "generation")
                .and_then(|prefix| prefix.rsplit('/').next().map(str::to_owned)),
            // One that does not say it may be one.
            is_job: variable(&text, "scheduler").as_deref() != Some("none"),
            idle: idle(&path),
            path,
        })
    };
    let folder = sessions.join("start");
    entries(&folder).into_iter().filter_map(script).collect()
}

/// A variable of a start script, which begins with quoted assignments. Names of
/// generations have no character that is quoted inside a word.
fn variable(script: &str, name: &str) -> Option<String> {
    let assigned = script
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
    Some(assigned.trim_matches(['\'', '"']).to_owned())
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn stem(path: &Path, ending: &str) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let stem = name.strip_suffix(ending)?.strip_suffix('.')?;
    Some(stem.to_owned())
}

fn idle(path: &Path) -> Duration {
    let modified = fs::symlink_metadata(path).and_then(|found| found.modified());
    modified
        .ok()
        .and_then(|time| SystemTime::now().duration_since(time).ok())
        .unwrap_or_default()
}
