//! The files of requirements and constraints that a `pip:` section names, read in their
//! place: what they say is part of what is asked, so of the lock's inputs too.
//!
//! A spec is a stranger's text, and what can't be understood of a file is shown, so no file
//! is read but those of the spec's own folder, or of the repository that the spec is in.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};

use fs_err as fs;

use super::folders;
use super::spec_file::{SpecFile, read_guarded};
use super::unlockable::is_archive;
use crate::spec::{
    self, EnvSpec, PipFolder, PipKind, PipRequirement, PipSection, SourceText, SpecErrors, shown,
};

/// How many files may be read for one spec.
const MOST_FILES: usize = 100;

/// What is asked of pip, by the isolated kernel for whose prefix it is, the environment's own
/// without one.
pub(super) type PipSections = BTreeMap<Option<String>, PipSection>;

/// The `pip:` sections of a spec as they are written.
pub(super) fn as_written(spec: &EnvSpec) -> PipSections {
    let kernels = spec.kernels.iter().filter(|kernel| kernel.isolated);
    let kernels = kernels.map(|kernel| Some(kernel.name.value.clone()));
    std::iter::once(None)
        .chain(kernels)
        .filter_map(|isolated| {
            let section = spec.pip_of(isolated.as_deref())?;
            Some((isolated, section))
        })
        .collect()
}

/// The same with the lines of the files that they name in the place of their names.
pub(super) fn with_files(file: &SpecFile) -> Result<PipSections, SpecErrors> {
    let mut sections = as_written(&file.spec);
    let mut reading = Reading {
        file,
        roof: roof(&file.beside),
        open: Vec::new(),
        seen: BTreeSet::new(),
        read: 0,
        lines: Vec::new(),
        faults: None,
    };
    for section in sections.values_mut() {
        // Each prefix has its own.
        reading.seen.clear();
        for line in &section.requirements {
            reading.line(line, Path::new(""));
        }
        section.requirements = std::mem::take(&mut reading.lines);
    }
    match reading.faults {
        Some(faults) => Err(faults),
        None => Ok(sections),
    }
}

/// The folder that all files have to be in: that of the repository, or the spec's own.
fn roof(beside: &Path) -> PathBuf {
    let repository = beside
        .ancestors()
        .find(|folder| folder.join(".git").exists());
    repository.unwrap_or(beside).to_owned()
}

struct Reading<'a> {
    file: &'a SpecFile,
    roof: PathBuf,
    /// The files whose lines are being read, each named by the one before it.
    open: Vec<PathBuf>,
    /// What was read, and whether for constraints: what is asked for twice is asked for.
    seen: BTreeSet<(PathBuf, bool)>,
    /// How many files were read for all prefixes.
    read: usize,
    lines: Vec<PipRequirement>,
    faults: Option<SpecErrors>,
}

impl Reading<'_> {
    /// Takes a line over, or those of the file that it names; `from` is the folder, as seen
    /// from the spec's, that the line's file is in.
    fn line(&mut self, line: &PipRequirement, from: &Path) {
        let (name, is_constraint) = match &line.kind {
            PipKind::RequirementFile(name) => (name, line.is_constraint),
            PipKind::ConstraintFile(name) => (name, true),
            PipKind::Path(place) if !is_archive(place) => return self.folder(line, place),
            PipKind::Editable(place) if !place.contains("://") => return self.folder(line, place),
            _ => return self.lines.push(line.clone()),
        };
        if let Err(fault) = self.lines_of(line, from, name, is_constraint) {
            self.fault(*fault);
        }
    }

    /// Takes a line over that asks for a folder, with the hash of what is in it. As for pip,
    /// its path begins at the spec's folder whatever file it stands in.
    fn folder(&mut self, line: &PipRequirement, place: &str) {
        let mut own = line.clone();
        // What was there at a revision is in its lock.
        if self.file.revision.is_none() {
            match self.look_into(line, place) {
                Ok(folder) => own.folder = Some(folder),
                Err(fault) => self.fault(*fault),
            }
        }
        self.lines.push(own);
    }

    fn look_into(&self, line: &PipRequirement, place: &str) -> Result<PipFolder, Box<SpecErrors>> {
        let fault = |message: String, help: &str| {
            let source = line.place(&self.file.source);
            Box::new(spec::fault(source, line.span, message, "asked here", help))
        };
        let end = place.find(['[', ';']).unwrap_or(place.len());
        let (name, rest) = (place[..end].trim_end(), place[end..].to_owned());
        let below = without_dots(Path::new(name));
        let path = self.file.beside.join(&below);
        let is_inside =
            without_dots(&path).starts_with(&self.roof) && !Path::new(name).is_absolute();
        if !is_inside || self.leads_out(&path) {
            return Err(fault(
                format!("{} is outside of {}", shown(name), self.roof.display()),
                "name a folder of the spec's own folder or repository by its relative path",
            ));
        }
        let is_project = ["pyproject.toml", "setup.py"]
            .iter()
            .any(|file| path.join(file).is_file());
        if !is_project {
            return Err(fault(
                format!("{} has neither pyproject.toml nor setup.py", shown(name)),
                "paths begin at the spec's folder",
            ));
        }
        let own = self.file.own();
        let sha256 = folders::digest(&path, &own).map_err(|error| {
            fault(
                format!("{} could not be read: {error}", shown(name)),
                "check the path and its permissions",
            )
        })?;
        let begins = below.starts_with("..") || below.as_os_str().is_empty();
        let path = match below.to_str() {
            Some("") => ".".to_owned(),
            Some(text) if begins => text.to_owned(),
            Some(text) => format!("./{text}"),
            None => return Err(fault(format!("{} is not UTF-8", shown(name)), "rename it")),
        };
        Ok(PipFolder { path, rest, sha256 })
    }

    fn lines_of(
        &mut self,
        line: &PipRequirement,
        from: &Path,
        name: &str,
        is_constraint: bool,
    ) -> Result<(), Box<SpecErrors>> {
        let fault = |message: String, help: &str| {
            let source = line.place(&self.file.source);
            Box::new(spec::fault(source, line.span, message, "asked here", help))
        };
        if name.contains("://") {
            return Err(fault(
                format!("{} is not beside the spec", shown(name)),
                "download it beside the spec and name it by its path: what is at a URL changes",
            ));
        }
        let below = without_dots(&from.join(name));
        let path = self.file.beside.join(&below);
        let is_inside =
            without_dots(&path).starts_with(&self.roof) && !Path::new(name).is_absolute();
        if !is_inside || self.leads_out(&path) {
            return Err(fault(
                format!("{} is outside of {}", shown(name), self.roof.display()),
                "name a file of the spec's own folder or repository by its relative path",
            ));
        }
        if self.open.contains(&below) {
            let way = self.open.iter().chain([&below]);
            let way: Vec<_> = way.map(|path| path.to_string_lossy()).collect();
            return Err(fault(
                format!(
                    "files of requirements ask for each other: {}",
                    way.join(" → ")
                ),
                "take one of the lines out",
            ));
        }
        if !self.seen.insert((below.clone(), is_constraint)) {
            return Ok(());
        }
        self.read += 1;
        if self.read > MOST_FILES {
            return Err(fault(
                format!("more than {MOST_FILES} files of requirements"),
                "put what they say into fewer files",
            ));
        }
        let bytes = self.read(&path, &below).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                let help = "paths begin at the folder of the file that names them";
                return fault(
                    format!("there is no file {}", shown(&self.shown(&below))),
                    help,
                );
            }
            let message = format!("{} could not be read: {error}", shown(&self.shown(&below)));
            fault(message, "check the path and its permissions")
        })?;
        if bytes.trim_ascii().is_empty() {
            return Ok(());
        }
        let source = SourceText::from_bytes(self.shown(&below), bytes)?;
        let lines = spec::read_requirements(&source, is_constraint)?;
        let folder = below.parent().unwrap_or(&below).to_owned();
        self.open.push(below);
        for mut own in lines {
            own.selector.clone_from(&line.selector);
            self.line(&own, &folder);
        }
        self.open.pop();
        Ok(())
    }

    /// Whether links lead out of the folder that all have to be in.
    fn leads_out(&self, path: &Path) -> bool {
        if self.file.revision.is_some() {
            return false;
        }
        let real = path.canonicalize().ok();
        let real = real.zip(self.roof.canonicalize().ok());
        real.is_some_and(|(path, roof)| !path.starts_with(roof))
    }

    fn read(&self, path: &Path, below: &Path) -> io::Result<Vec<u8>> {
        if let Some(revision) = &self.file.revision {
            let text = revision.file(&self.file.path, below);
            return Ok(text.ok_or(io::ErrorKind::NotFound)?.into_bytes());
        }
        fs::metadata(path)?;
        read_guarded(path, SourceText::MAX_BYTES)
    }

    /// The file as the user would name it.
    fn shown(&self, below: &Path) -> String {
        if let Some(revision) = &self.file.revision {
            // As git takes it in the spec's folder.
            return format!("{:.12}:./{}", revision.commit, below.display());
        }
        let path = Path::new(self.file.source.name()).with_file_name(below);
        without_dots(&path).to_string_lossy().into_owned()
    }

    fn fault(&mut self, fault: SpecErrors) {
        self.faults = Some(match self.faults.take() {
            Some(earlier) => earlier.and(fault),
            None => fault,
        });
    }
}

/// A path without `.`, and without `..` behind a folder.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        let ends_in_folder = matches!(plain.components().next_back(), Some(Component::Normal(_)));
        match part {
            Component::CurDir => {}
            Component::ParentDir if ends_in_folder => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}
