//! Bytecode: what Python makes of a source before it runs it. Without it every
//! kernel compiles what it imports, at each start: nobody can write into a
//! generation later.
//!
//! It is made once for a package's content and a Python, kept beside the
//! package, and hard-linked into every generation. It bears no time of its
//! source and is never compared with it (PEP 552, unchecked), so it holds
//! wherever and whenever it is linked. The path that it was compiled with is
//! for nobody: the import sets the true one.

mod compile;
mod entry;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rattler_conda_types::RepoDataRecord;
use rayon::prelude::*;

use self::entry::Entry;
use super::progress::{Progress, Step};

/// What is to be compiled.
pub struct Compile<'a> {
    /// A prefix into which all is linked.
    pub prefix: &'a Path,
    /// The folder of unpacked packages.
    pub packages: &'a Path,
    /// What was linked.
    pub records: &'a [RepoDataRecord],
    /// Paths that more than one package brings: whose source is there is not
    /// looked into, and no bytecode is made of them.
    pub clobbered: &'a BTreeSet<PathBuf>,
    /// Whether what was made before is looked into, and made anew if somebody
    /// changed it.
    pub distrust: bool,
}

/// The bytecode of a prefix.
#[derive(Debug, Default)]
pub struct Bytecode {
    /// The files that were put there, each with its SHA-256.
    pub files: BTreeMap<PathBuf, String>,
    /// Why there is not all of it. A prefix works without: it is for the caller
    /// to decide what that means.
    pub lacking: Option<io::Error>,
}

/// Gives the sources of a prefix their bytecode, made now or before.
pub async fn compile_bytecode(compile: Compile<'_>, progress: &Arc<dyn Progress>) -> Bytecode {
    let Some(folder) = folder(compile.packages, compile.records) else {
        return Bytecode::default();
    };
    let entries: Vec<Entry> = compile
        .records
        .iter()
        .filter_map(|record| Entry::of(&folder, record))
        .collect();
    if compile.distrust {
        entries.par_iter().for_each(Entry::remove_if_damaged);
    }
    let missing: Vec<&Entry> = entries.iter().filter(|entry| !entry.is_there()).collect();
    let mut lacking = None;
    if !missing.is_empty() {
        progress.begin(Step::Compile, missing.len() as u64);
        let made = compile::compile(compile.prefix, &folder, &missing, compile.clobbered).await;
        progress.advance(Step::Compile, missing.len() as u64);
        progress.end(Step::Compile);
        lacking = made.err();
    }
    let linked: Vec<io::Result<Vec<(PathBuf, String)>>> = entries
        .par_iter()
        .filter(|entry| entry.is_there())
        .map(|entry| entry.link(compile.prefix, compile.clobbered))
        .collect();
    let mut files = BTreeMap::new();
    for linked in linked {
        match linked {
            Ok(linked) => files.extend(linked),
            // The one that says why there is less and less.
            Err(error) => lacking = Some(error),
        }
    }
    Bytecode { files, lacking }
}

/// Where the bytecode for the Python among packages is; `None` if there is none.
pub(super) fn folder(packages: &Path, records: &[RepoDataRecord]) -> Option<PathBuf> {
    let mut all = records.iter().map(|record| &record.package_record);
    let python = all.find(|package| package.name.as_normalized() == "python")?;
    let python = format!("{}-{}", python.version, python.build);
    Some(packages.join(".bytecode").join(python))
}

/// Whether a package's sources, if it brings any, are still to be compiled.
pub(super) fn is_lacking(folder: &Path, record: &RepoDataRecord) -> bool {
    Entry::of(folder, record).is_some_and(|entry| !entry.is_there())
}
