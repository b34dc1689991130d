//! At which commit a spec and its lock were what a generation was made from.
//!
//! A spec is often applied first and committed when it works. The receipt then only
//! knows the commit before; git knows the one that came.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sha2::{Digest as _, Sha256};

use super::revision::git_command;
use crate::store::{Receipt, SpecOrigin};

/// The SHA-256 of a spec and of its lock.
type Papers = (String, String);

/// The commits of specs, asked for once each.
#[derive(Debug, Default)]
pub struct Commits(BTreeMap<PathBuf, BTreeMap<Papers, String>>);

impl Commits {
    /// The commit that a generation was made from, and whether spec or lock differ
    /// from it: the first that holds both as they were, else the one that was
    /// checked out then. `origin` is the receipt's, or that of another time at which it was applied.
    pub fn of(&mut self, receipt: &Receipt, origin: &SpecOrigin) -> (Option<String>, bool) {
        if origin.dirty {
            let known = self
                .0
                .entry(origin.path.clone())
                .or_insert_with(|| all(&origin.path).unwrap_or_default());
            let papers = (receipt.spec_sha256.clone(), receipt.lock_sha256.clone());
            if let Some(commit) = known.get(&papers) {
                return (Some(commit.clone()), false);
            }
        }
        (origin.commit.clone(), origin.dirty)
    }
}

/// Every commit that changed a spec or its lock, by what they were then; the first
/// of several. `None` without git.
fn all(spec: &Path) -> Option<BTreeMap<Papers, String>> {
    let lock = spec.with_extension("lock");
    let names = [spec, &lock].map(|path| path.file_name().unwrap_or_default());
    let mut log = git_command(spec);
    log.args(["--literal-pathspecs", "log", "--format=%H", "--"]);
    let log = log.args(names).output();
    let log = String::from_utf8(log.ok()?.stdout).ok()?;
    let commits: Vec<&str> = log.lines().collect();

    let mut asked = tempfile::tempfile().ok()?;
    for (commit, name) in commits
        .iter()
        .flat_map(|commit| names.iter().map(move |name| (commit, name)))
    {
        writeln!(asked, "{commit}:./{}", name.display()).ok()?;
    }
    std::io::Seek::rewind(&mut asked).ok()?;
    let mut read = git_command(spec);
    read.args(["cat-file", "--batch"]).stdin(Stdio::from(asked));
    let told = read.output().ok()?.stdout;
    let digests = digests(&told);
    let mut found = BTreeMap::new();
    // The newest is told first, and the oldest stays.
    for (commit, papers) in commits.iter().zip(digests.chunks_exact(2)) {
        if let [Some(spec), Some(lock)] = papers {
            found.insert((spec.clone(), lock.clone()), (*commit).to_owned());
        }
    }
    Some(found)
}

/// The SHA-256 of each object in the answer of `git cat-file --batch`: a line with its
/// number, kind and size, then that many bytes and a line's end; one line for one that
/// is missing.
fn digests(mut told: &[u8]) -> Vec<Option<String>> {
    let mut all = Vec::new();
    while let Some(end) = told.iter().position(|byte| *byte == b'\n') {
        let head = String::from_utf8_lossy(&told[..end]).into_owned();
        told = &told[end + 1..];
        let size = head
            .rsplit_once(" blob ")
            .and_then(|(_, size)| size.parse::<usize>().ok());
        let content = size.and_then(|size| told.get(..size));
        all.push(content.map(|content| hex::encode(Sha256::digest(content))));
        if let Some(content) = content {
            told = told.get(content.len() + 1..).unwrap_or_default();
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_told_from_those_that_are_missing() {
        let told = b"4f0c blob 4\na\nb\n\n4f0d:./lab.lock missing\n4f0e blob 0\n\n";
        let of = |text: &str| Some(hex::encode(Sha256::digest(text)));
        assert_eq!(digests(told), [of("a\nb\n"), None, of("")]);
    }
}
