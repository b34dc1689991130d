//! Which commit a spec was at when it was applied.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::store::SpecOrigin;

/// Asks git about the spec and its lock. Without git, or outside a checkout,
/// there is no commit to tell, and that is no failure.
pub(super) async fn provenance(spec: &Path, lock: &Path) -> SpecOrigin {
    let told = git(
        spec,
        &[
            "--literal-pathspecs",
            "status",
            "--porcelain=v2",
            "--branch",
            "--untracked-files=normal",
            "--",
            &spec.to_string_lossy(),
            &lock.to_string_lossy(),
        ],
    )
    .await;
    let (commit, dirty) = told.as_deref().map_or((None, false), read_status);
    SpecOrigin {
        path: spec.to_owned(),
        commit,
        dirty,
    }
}

/// The commit and whether a file differs from it, out of `git status` in its
/// second form: lines that open with `#` tell of the branch, others of files.
fn read_status(told: &str) -> (Option<String>, bool) {
    let commit = told
        .lines()
        .find_map(|line| line.strip_prefix("# branch.oid "))
        // What git says before the first commit.
        .filter(|oid| *oid != "(initial)")
        .map(str::to_owned);
    let dirty = commit.is_some() && told.lines().any(|line| !line.starts_with('#'));
    (commit, dirty)
}

/// What git prints, run in the spec's folder; `None` if it failed.
async fn git(spec: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(spec.parent()?)
        .args(arguments)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::read_status;

    #[test]
    fn a_clean_checkout_has_a_commit_and_no_changes() {
        let told = "# branch.oid 4f0c\n# branch.head main\n# branch.upstream origin/main";
        assert_eq!(read_status(told), (Some("4f0c".to_owned()), false));
    }

    #[test]
    fn changed_and_untracked_files_make_it_dirty() {
        let head = "# branch.oid 4f0c\n# branch.head (detached)\n";
        for change in [
            "1 .M N... 100644 100644 100644 aa bb envs/lab.yaml",
            "? envs/lab.lock",
        ] {
            let told = format!("{head}{change}");
            assert_eq!(read_status(&told), (Some("4f0c".to_owned()), true));
        }
    }

    #[test]
    fn before_the_first_commit_there_is_none_to_tell() {
        let told = "# branch.oid (initial)\n# branch.head main\n? envs/lab.yaml";
        assert_eq!(read_status(told), (None, false));
    }
}
