//! Definitions of kernels in the folder beside a spec: its own, which go with it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use miette::Diagnostic;

use super::error::ApplyError;
use super::spec_file::{SpecFile, read_guarded};
use crate::kernel::{Catalogue, KernelDefinition, KernelId};
use crate::spec::SourceText;
use crate::store::DEFINITIONS;

/// The endings of such a file, the usual one first.
const ENDINGS: [&str; 2] = ["yaml", "yml"];

/// The largest file that is taken for a definition. Real ones have a few kilobytes.
const MAX_BYTES: usize = SourceText::MAX_BYTES;

/// Why there is no definition.
type Mistake = Box<dyn Diagnostic + Send + Sync>;

/// The definition that a spec means by a name: a file beside it of that name, a kernel
/// of the catalogue, or one of either that has it as another name.
///
/// A file beside a spec is read when it is asked for, so that a mistake in one is told
/// to those whom it concerns.
pub(super) fn definition(
    spec: &SpecFile,
    catalogue: &Catalogue,
    name: &str,
) -> Result<Arc<KernelDefinition>, Mistake> {
    // What is no identifier could lead to any file.
    let of_that_name = KernelId::new(name).and_then(|id| {
        ENDINGS.iter().find_map(|ending| {
            let below = Path::new(DEFINITIONS).join(format!("{id}.{ending}"));
            read(spec, &below)
        })
    });
    if let Some(read) = of_that_name {
        return Ok(Arc::new(read?));
    }
    if let Some(known) = catalogue.by_id(name) {
        return Ok(known);
    }
    let beside = below(spec)
        .into_iter()
        .filter_map(|below| read(spec, &below));
    if let Some(also) = beside.flatten().find(|definition| definition.is_also(name)) {
        return Ok(Arc::new(also));
    }
    Ok(catalogue.get(name)?)
}

/// The definitions in the folder beside the specs of a folder: what messages call their
/// files, and their texts, in order.
pub fn definitions_beside(specs: &Path) -> Result<Vec<(String, String)>, ApplyError> {
    let folder = specs.join(DEFINITIONS);
    let texts = listed(&folder).into_iter().map(|path| {
        let text = text_of(&path).map_err(ApplyError::unreadable(&path))?;
        Ok((path.to_string_lossy().into_owned(), text))
    });
    texts.collect()
}

/// The text of a definition's file.
fn text_of(path: &Path) -> io::Result<String> {
    let bytes = read_guarded(path, MAX_BYTES)?;
    if bytes.len() > MAX_BYTES {
        return Err(io::Error::other(format!(
            "it is too large for the definition of a kernel, which has at most {MAX_BYTES} bytes"
        )));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8 text"))
}

/// Reads one of them; `None` if there is none. One that can't be read is a mistake: to go
/// on with the catalogue's kernel of the same name would be another kernel.
fn read(spec: &SpecFile, below: &Path) -> Option<Result<KernelDefinition, Mistake>> {
    let path = spec.path.with_file_name(below);
    let read = match &spec.revision {
        Some(revision) => Ok(revision.file(&spec.path, below)?),
        None => text_of(&path),
    };
    let text = match read {
        Ok(text) => text,
        Err(error) if is_absent(&error) => return None,
        Err(error) => return Some(Err(ApplyError::unreadable(&path)(error).into())),
    };
    let shown = spec.revision.as_ref().map_or_else(
        || {
            let path = Path::new(spec.source.name()).with_file_name(below);
            path.to_string_lossy().into_owned()
        },
        // As git takes it in the spec's folder.
        |revision| format!("{:.12}:./{}", revision.commit, below.display()),
    );
    Some(KernelDefinition::parse(&shown, &text).map_err(Into::into))
}

/// Whether there is no such file, or no folder that it could be in.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename
    )
}

/// All of them, by their paths below the spec's folder.
fn below(spec: &SpecFile) -> Vec<PathBuf> {
    let all = match &spec.revision {
        Some(revision) => revision.files(&spec.path, Path::new(DEFINITIONS)),
        None => listed(&spec.path.with_file_name(DEFINITIONS)),
    };
    let names = all.iter().filter_map(|path| path.file_name());
    names
        .map(|name| Path::new(DEFINITIONS).join(name))
        .filter(|path| is_definition(path))
        .collect()
}

/// The files of definitions in a folder, in order; none if it is not there.
fn listed(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| is_definition(path))
        .collect();
    files.sort();
    files
}

fn is_definition(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ENDINGS.contains(&ending))
}
