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

use std::collections::BTreeSet;
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
}

/// Gives the sources of a prefix their bytecode, made now or before. A prefix
/// works without: it is for the caller to decide what an error means.
pub async fn compile_bytecode(
    compile: Compile<'_>,
    progress: &Arc<dyn Progress>,
) -> io::Result<()> {
    let Some(python) = compile
        .records
        .iter()
        .map(|record| &record.package_record)
        .find(|package| package.name.as_normalized() == "python")
    else {
        return Ok(());
    };
    let python = format!("{}-{}", python.version, python.build);
    let folder = compile.packages.join(".bytecode").join(python);
    let entries: Vec<Entry> = compile
        .records
        .iter()
        .filter_map(|record| Entry::of(&folder, record))
        .collect();
    let (there, missing): (Vec<&Entry>, Vec<&Entry>) =
        entries.iter().partition(|entry| entry.is_there());
    if !missing.is_empty() {
        fs_err::create_dir_all(&folder)?;
        progress.begin(Step::Compile, missing.len() as u64);
        let made = compile::compile(compile.prefix, &folder, &missing, compile.clobbered).await;
        progress.advance(Step::Compile, missing.len() as u64);
        progress.end(Step::Compile);
        made?;
    }
    [there, missing]
        .concat()
        .into_par_iter()
        .try_for_each(|entry| entry.link(compile.prefix, compile.clobbered))
}
