//! Which commit a spec was at when it was applied.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::store::SpecOrigin;

/// Asks git about the spec and its lock. Without git, or outside a checkout,
/// there is no commit to tell, and that is no failure.
pub(super) fn provenance(spec: &Path, lock: &Path) -> SpecOrigin {
    let commit = git(spec, &["rev-parse", "--verify", "HEAD"]);
    let dirty = commit.is_some()
        && git(
            spec,
            &[
                "status",
                "--porcelain",
                "--",
                &spec.to_string_lossy(),
                &lock.to_string_lossy(),
            ],
        )
        .is_none_or(|changed| !changed.is_empty());
    SpecOrigin {
        path: spec.to_owned(),
        commit,
        dirty,
    }
}

/// What git prints, run in the spec's folder; `None` if it failed.
fn git(spec: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(spec.parent()?)
        .args(arguments)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
