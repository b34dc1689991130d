//! A spec on disk, read; [judged](super::judge) against the catalogue and its site.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::error::ApplyError;
use super::revision::Revision;
use crate::lock::LockText;
use crate::spec::{self, EnvName, EnvSpec, Note, Reading, SourceText, SpecErrors};

/// The largest file that is taken for a lock, in bytes. Real ones, of many platforms, have
/// a few megabytes.
const MAX_LOCK: usize = 64 * 1024 * 1024;

/// Reads a file that a stranger may have put there: nothing that would block or never
/// end, as a pipe or a device does, and one byte more than `most` at most, which tells
/// that it has too many.
pub(super) fn read_guarded(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path)?;
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The name of an environment whose spec does not say it.
fn name_of(path: &Path) -> Option<EnvName> {
    EnvName::new(&path.file_stem().unwrap_or_default().to_string_lossy())
}

/// A spec's file, understood by itself.
#[derive(Debug)]
pub struct SpecFile {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// The folder that relative installables begin at: its own, but for a copy.
    pub beside: PathBuf,
    /// Its text.
    pub source: SourceText,
    /// What it says.
    pub spec: EnvSpec,
    /// What is worth a word.
    pub notes: Vec<Note>,
    /// The revision that it was read at; `None` for the file as it is.
    pub revision: Option<Revision>,
}

impl SpecFile {
    /// Reads a spec. `shown` is the path as the user gave it.
    pub fn open(path: &Path, shown: &str) -> Result<Self, ApplyError> {
        Self::of(path, Self::read(path, shown)?)
    }

    /// Reads a spec of which something may be wrong: what can be judged of it all the
    /// same, and what is wrong.
    pub fn open_with_mistakes(
        path: &Path,
        shown: &str,
    ) -> Result<(Self, Option<SpecErrors>), ApplyError> {
        let source = Self::read(path, shown)?;
        let Reading {
            spec,
            notes,
            errors,
        } = spec::read_spec(&source, name_of(path));
        match (spec, errors) {
            (None, Some(errors)) => Err(errors.into()),
            (None, None) => unreachable!("a file without a spec leaves a fault"),
            (Some(spec), errors) => Ok((Self::with(path, source, spec, notes), errors)),
        }
    }

    fn read(path: &Path, shown: &str) -> Result<SourceText, ApplyError> {
        // The lock's name is made from the spec's: with another ending the two
        // could be one file.
        let is_yaml =
            matches!(path.extension(), Some(ending) if ending == "yaml" || ending == "yml");
        let bytes = match read_guarded(path, SourceText::MAX_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let path = path.to_owned();
                return Err(ApplyError::NoSpec { path });
            }
            Ok(_) if !is_yaml => {
                let path = path.to_owned();
                return Err(ApplyError::NotYaml { path });
            }
            read => read.map_err(ApplyError::unreadable(path))?,
        };
        Ok(SourceText::from_bytes(shown, bytes)?)
    }

    /// The same for a text that is not on disk yet.
    pub fn of(path: &Path, source: SourceText) -> Result<Self, ApplyError> {
        let (spec, notes) = spec::parse(&source, name_of(path))?;
        Ok(Self::with(path, source, spec, notes))
    }

    fn with(path: &Path, source: SourceText, spec: EnvSpec, notes: Vec<Note>) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self {
            beside: path.parent().unwrap_or(&path).to_owned(),
            path,
            source,
            spec,
            notes,
            revision: None,
        }
    }

    /// The lock's text: beside the spec, or at its revision; `None` if there is
    /// none.
    pub(super) fn lock_text(&self) -> Result<Option<LockText>, ApplyError> {
        let path = self.lock_path();
        let read = match &self.revision {
            Some(revision) => Ok(revision.lock.clone()),
            None => read_lock(&path),
        };
        match read {
            Ok(text) => Ok(Some(LockText::new(self.lock_name(), text))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ApplyError::unreadable(&path)(error)),
        }
    }

    /// The lock beside the spec: `lab.yaml` has `lab.lock`.
    pub fn lock_path(&self) -> PathBuf {
        self.path.with_extension("lock")
    }

    /// The files that are envspec's own, which are no part of a package in their folder.
    pub(super) fn own(&self) -> [PathBuf; 2] {
        [self.path.clone(), self.lock_path()]
    }

    /// The lock's name as messages call it.
    pub fn lock_name(&self) -> String {
        match &self.revision {
            Some(revision) => revision.lock_name.clone(),
            None => Path::new(self.source.name())
                .with_extension("lock")
                .to_string_lossy()
                .into_owned(),
        }
    }

    /// Refuses to go on if the file says something else by now.
    pub fn refuse_if_changed(&self) -> Result<(), ApplyError> {
        let now = fs::read(&self.path).map_err(ApplyError::unreadable(&self.path))?;
        if now == self.source.text().as_bytes() {
            return Ok(());
        }
        Err(ApplyError::SpecChanged {
            name: self.source.name().to_owned(),
        })
    }
}

/// Reads a lock, if it is no larger than one can be: what is read is taken apart in
/// memory, several times its size.
fn read_lock(path: &Path) -> io::Result<String> {
    let bytes = read_guarded(path, MAX_LOCK)?;
    if bytes.len() > MAX_LOCK {
        return Err(io::Error::other("it is too large to be a lock"));
    }
    String::from_utf8(bytes).map_err(io::Error::other)
}
