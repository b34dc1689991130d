//! What was switched when: one line for each switch, appended.

use std::io::Write as _;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
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

/// The environment's switches, oldest first. A line that a crash cut short is
/// passed over.
pub fn switches(root: &Root, name: &EnvName) -> Result<Vec<Switched>, StoreError> {
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

    use super::{Event, Switched, record, switches};
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
}
