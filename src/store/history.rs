//! What was switched when: one line for each switch, appended; and when an environment
//! was deleted.

use std::io::Write as _;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::generations::current;
use super::layout::Root;
use super::receipt::SpecOrigin;
use crate::spec::EnvName;

/// Why an environment was switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// `apply` made or found the generation that the spec asks for.
    Apply,
    /// `rollback` went back to it.
    Rollback,
    /// `delete` took the environment away, which was at it.
    Delete,
}

/// One switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switched {
    /// When, RFC 3339, UTC.
    pub at: String,
    /// Who: `user@host`.
    pub by: String,
    /// Why.
    pub event: Event,
    /// To which generation.
    pub to: String,
    /// Where the spec came from that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<SpecOrigin>,
}

/// Appends a switch to the environment's history.
pub fn record(root: &Root, name: &EnvName, switched: &Switched) -> Result<(), StoreError> {
    let path = root.history(name);
    let failed = || StoreError::io("could not write", &path);
    let folder = path.parent().expect("a history is in a folder");
    fs::create_dir_all(folder).map_err(failed())?;
    let line = serde_json::to_string(switched)
        .expect("a switch is plain text, which JSON can always hold");
    // A newline on both sides: what a crash cut short before must not swallow
    // this line too.
    let line = format!("\n{line}\n");
    fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .map_err(failed())
}

/// The environment's switches, oldest first.
pub fn switches(root: &Root, name: &EnvName) -> Result<Vec<Switched>, StoreError> {
    let mut all = past(root, name)?;
    all.retain(|switched| switched.event != Event::Delete);
    Ok(all)
}

/// Whether deleting it is the last that happened to the environment. One whose link is
/// there was not deleted: who noted it was killed.
pub fn is_deleted(root: &Root, name: &EnvName) -> Result<bool, StoreError> {
    if current(root, name)?.is_some() {
        return Ok(false);
    }
    let last = past(root, name)?.pop();
    Ok(last.is_some_and(|last| last.event == Event::Delete))
}

/// All that happened to the environment, oldest first: its switches, and when it was
/// deleted. A line that a crash cut short is passed over.
pub fn past(root: &Root, name: &EnvName) -> Result<Vec<Switched>, StoreError> {
    let path = root.history(name);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(StoreError::io("could not read", &path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use fs_err as fs;

    use super::{Event, Switched, is_deleted, past, record, switches};
    use crate::spec::EnvName;
    use crate::store::Root;

    #[test]
    fn a_line_that_a_crash_cut_short_costs_itself_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        let name = EnvName::new("lab").unwrap();
        let switched = |to: &str| Switched {
            at: "2026-01-01T00:00:00Z".to_owned(),
            by: "me@here".to_owned(),
            event: Event::Apply,
            to: to.to_owned(),
            spec: None,
        };
        record(&root, &name, &switched("lab-1")).unwrap();
        fs::OpenOptions::new()
            .append(true)
            .open(root.history(&name))
            .and_then(|mut file| file.write_all(b"{\"at\": \"20"))
            .unwrap();
        record(&root, &name, &switched("lab-2")).unwrap();
        let found = switches(&root, &name).unwrap();
        assert_eq!(found, [switched("lab-1"), switched("lab-2")]);
    }

    #[test]
    fn a_deletion_is_told_and_is_no_switch() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        let name = EnvName::new("lab").unwrap();
        let mut events = Vec::new();
        for (event, deleted) in [
            (Event::Apply, false),
            (Event::Delete, true),
            (Event::Apply, false),
        ] {
            let switched = Switched {
                at: "2026-01-01T00:00:00Z".to_owned(),
                by: "me@here".to_owned(),
                event,
                to: "lab-1".to_owned(),
                spec: None,
            };
            record(&root, &name, &switched).unwrap();
            events.push(switched);
            assert_eq!(is_deleted(&root, &name).unwrap(), deleted);
        }
        assert_eq!(past(&root, &name).unwrap(), events);
        // Killed before the link went.
        let mut delete = events[1].clone();
        delete.at = "2026-01-02T00:00:00Z".to_owned();
        record(&root, &name, &delete).unwrap();
        assert!(is_deleted(&root, &name).unwrap());
        fs::create_dir_all(root.environments()).unwrap();
        fs::os::unix::fs::symlink("../gen/lab-1", root.environment(&name)).unwrap();
        assert!(!is_deleted(&root, &name).unwrap());
        assert_eq!(switches(&root, &name).unwrap().len(), 2);
    }
}
