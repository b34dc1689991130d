//! A spec and its lock as they were at a revision of git.

use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::ApplyError;
use super::spec_file::SpecFile;
use crate::kernel::Installable;
use crate::lock::LockText;
use crate::spec::SourceText;

/// What was found at a revision beside the spec itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// The commit.
    pub commit: String,
    /// When it was made, as git writes it: `2026-01-31`.
    pub date: String,
    /// The text of the lock.
    pub lock: String,
    /// What messages call that lock.
    pub(super) lock_name: String,
}

impl Revision {
    /// The argument that means to Nix a flake beside a spec as it was then.
    pub(super) fn flake(&self, spec: &Path, installable: &Installable) -> Option<String> {
        let beside = spec.parent()?.canonicalize().ok()?;
        let folder = without_dots(&installable.folder(&beside)?);
        let output = git(spec, &["rev-parse", "--show-toplevel"]).ok()?;
        let top = String::from_utf8(output.stdout).ok()?;
        let top = top.trim_end_matches('\n');
        let below = folder.strip_prefix(top).ok()?.to_str()?;
        installable.at_commit(top, below, &self.commit)
    }

    /// The text of a file at a path below the spec's folder.
    pub(super) fn file(&self, spec: &Path, below: &Path) -> Option<String> {
        let text = show(spec, &self.commit, below)?;
        Some(String::from_utf8_lossy(&text).into_owned())
    }

    /// The files in a folder below the spec's, by their paths below that.
    pub(super) fn files(&self, spec: &Path, below: &Path) -> Vec<PathBuf> {
        let Some(below) = below.to_str() else {
            return Vec::new();
        };
        let folder = format!("{}:./{below}", self.commit);
        // All of that folder's tree: not only what is named as the folder git runs in.
        let arguments = ["ls-tree", "--full-tree", "--name-only", "-z", &folder];
        let output = git(spec, &arguments);
        let names = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let names = names.unwrap_or_default();
        let names = names.split('\0').filter(|name| !name.is_empty());
        names.map(|name| Path::new(below).join(name)).collect()
    }
}

impl SpecFile {
    /// Reads a spec as it was at a revision, and finds its lock. `shown` is the
    /// path as the user gave it; the file itself may be gone.
    pub fn open_at(path: &Path, shown: &str, revision: &str) -> Result<Self, ApplyError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if !matches!(path.extension(), Some(ending) if ending == "yaml" || ending == "yml") {
            return Err(ApplyError::NotYaml { path });
        }
        let (commit, date) = commit(&path, revision)?;
        let missing = |path: &Path| ApplyError::NotAtRevision {
            path: path.to_owned(),
            revision: revision.to_owned(),
        };
        let at_commit = |path: &Path| {
            let name = path.file_name().map(Path::new)?;
            show(path, &commit, name)
        };
        let text = at_commit(&path).ok_or_else(|| missing(&path))?;
        let source = SourceText::from_bytes(format!("{shown} at {revision}"), text)?;
        let lock_path = path.with_extension("lock");
        let lock = at_commit(&lock_path).ok_or_else(|| missing(&lock_path))?;
        let lock_name = Path::new(shown).with_extension("lock");
        let mut file = Self::of(&path, source)?;
        file.revision = Some(Revision {
            commit,
            date,
            lock: String::from_utf8_lossy(&lock).into_owned(),
            lock_name: format!("{} at {revision}", lock_name.display()),
        });
        Ok(file)
    }
}

/// The text of a lock as it was at a revision.
pub fn lock_at(path: &Path, shown: &str, revision: &str) -> Result<LockText, ApplyError> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (commit, _) = commit(&path, revision)?;
    let name = path.file_name().map_or(path.as_path(), Path::new);
    let text = show(&path, &commit, name).ok_or_else(|| ApplyError::NotAtRevision {
        path: path.clone(),
        revision: revision.to_owned(),
    })?;
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(LockText::new(format!("{shown} at {revision}"), text))
}

/// A path without `.` and `..`; it may not be there any more.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

/// The commit that a revision means, and its date.
fn commit(path: &Path, revision: &str) -> Result<(String, String), ApplyError> {
    let refused = |reason: String| ApplyError::NoRevision {
        revision: revision.to_owned(),
        path: path.to_owned(),
        reason,
    };
    // With `--end-of-options` it is no option, whatever it begins with.
    let wanted = format!("{revision}^{{commit}}");
    let arguments = [
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        &wanted,
    ];
    let output = git(path, &arguments).map_err(|error| refused(format!("git: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().next().unwrap_or("git knows no such commit");
        return Err(refused(said.to_owned()));
    }
    let commit = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let date = git(path, &["show", "-s", "--format=%cs", &commit])
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default();
    Ok((commit, date))
}

/// A file at a commit, by its path below the folder of another.
fn show(beside: &Path, commit: &str, below: &Path) -> Option<Vec<u8>> {
    let below = below.to_str()?;
    // As git keeps it: no filter, no conversion runs.
    let output = git(
        beside,
        &["cat-file", "blob", &format!("{commit}:./{below}")],
    )
    .ok()?;
    output.status.success().then_some(output.stdout)
}

/// Runs git in the folder of a file.
fn git(path: &Path, arguments: &[&str]) -> std::io::Result<std::process::Output> {
    git_command(path).args(arguments).output()
}

/// Git in the folder of a file.
pub(super) fn git_command(path: &Path) -> Command {
    let mut git = Command::new("git");
    git.arg("-C")
        .arg(path.parent().unwrap_or(path))
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    git
}
