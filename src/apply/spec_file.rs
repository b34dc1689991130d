//! A spec on disk, read and judged against the catalogue and its site.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rattler_conda_types::Subdir;

use super::beside::definition;
use super::context::Context;
use super::error::ApplyError;
use super::nix::store_folder;
use super::requirements::with_files;
use super::revision::Revision;
use super::subject::{KernelOrigin, Subject, SubjectKernel};
use super::unlockable::refuse_unlockable;
use super::would_run::would_run;
use crate::conda;
use crate::kernel::{Installable, RegisteredName};
use crate::lock::LockText;
use crate::site::{ResolvedLaunch, Site, SiteError, SiteFault};
use crate::spec::{
    self, At, EnvName, EnvSpec, KernelRequest, Note, Reading, SourceText, Span, SpecErrors,
};

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

    /// The site that the spec names, and its launch as the site takes it.
    pub(super) fn session(
        &self,
        context: &Context,
        site: Option<&Site>,
    ) -> Result<(Site, ResolvedLaunch), ApplyError> {
        let site = match site {
            Some(site) => site.clone(),
            None => self.site(context)?,
        };
        let launch = self.launch(&site)?;
        Ok((site, launch))
    }

    /// The site that the spec names.
    fn site(&self, context: &Context) -> Result<Site, ApplyError> {
        let named = self.spec.site.as_ref();
        let found = context.sites.find(named.map(|name| name.value.as_str()));
        found.map_err(|error| match (named, error) {
            (Some(at), SiteError::Unknown { name, help }) => {
                let message = format!("there is no site `{name}`");
                spec::fault(&self.source, at.span, message, "asked here", help).into()
            }
            (_, error) => error.into(),
        })
    }

    /// The launch as a site takes it.
    fn launch(&self, site: &Site) -> Result<ResolvedLaunch, SpecErrors> {
        site.judge(&self.spec.launch).map_err(|fault| {
            let SiteFault { span, reason, help } = fault;
            spec::fault(&self.source, span, reason, "asked here", help)
        })
    }

    /// Judges the spec against the catalogue and the site that it names.
    pub fn judge(self, context: &Context) -> Result<Subject, ApplyError> {
        let mut faults: Option<SpecErrors> = None;
        let mut add = |fault: SpecErrors| {
            faults = Some(match faults.take() {
                Some(earlier) => earlier.and(fault),
                None => fault,
            });
        };
        let mut launch = None;
        let site = match self.site(context) {
            Ok(site) => {
                match self.launch(&site) {
                    Ok(resolved) => launch = Some(resolved),
                    Err(fault) => add(fault),
                }
                Some(site)
            }
            Err(ApplyError::Spec(fault)) => {
                add(fault);
                None
            }
            Err(error) => return Err(error),
        };
        let mut kernels = Vec::new();
        for request in &self.spec.kernels {
            match self.judge_kernel(context, request) {
                Ok(kernel) => kernels.push(kernel),
                Err(fault) => add(*fault),
            }
        }
        for (name, value) in &self.spec.variables {
            if would_run(value) {
                let message = format!("the variable `{name}` holds what a shell would run");
                let help = "other tools that activate the environment put it into a script; \
                            write the value itself";
                add(spec::fault(
                    &self.source,
                    self.place_of(name),
                    message,
                    "here",
                    help,
                ));
            }
        }
        if let Some(fault) = self.judge_target(context) {
            add(fault);
        }
        let pip = with_files(&self).unwrap_or_else(|fault| {
            add(fault);
            self.spec.pip.clone()
        });
        if let Some(fault) = refuse_unlockable(pip.as_ref(), &self.source) {
            add(fault);
        }
        match (faults, site, launch) {
            (None, Some(site), Some(launch)) => Ok(Subject {
                file: self,
                site,
                launch,
                kernels,
                pip,
            }),
            (Some(faults), _, _) => Err(faults.into()),
            (None, _, _) => unreachable!("a missing site or launch leaves a fault"),
        }
    }

    /// A processor that no platform of the lock has would be left out of it without a word.
    fn judge_target(&self, context: &Context) -> Option<SpecErrors> {
        let arch = self.spec.target.arch.as_ref()?;
        let asked: Vec<Subdir> = match self.spec.platforms.as_slice() {
            [] => vec![context.platform],
            platforms => platforms.iter().map(|at| at.value).collect(),
        };
        if asked
            .iter()
            .any(|platform| conda::fits(&arch.value, *platform))
        {
            return None;
        }
        let asked: Vec<&str> = asked.into_iter().map(Subdir::as_str).collect();
        let message = format!("no machine of {} is an {}", asked.join(", "), arch.value);
        let help = "write a processor of these, or put its platform under `platforms`";
        Some(spec::fault(
            &self.source,
            arch.span,
            message,
            "asked here",
            help,
        ))
    }

    /// Where the spec first writes a key of `variables`.
    fn place_of(&self, variable: &str) -> Span {
        let text = self.source.text();
        let section = text.find("variables").unwrap_or(0);
        let offset = text[section..]
            .find(variable)
            .map_or(section, |offset| section + offset);
        Span {
            offset,
            len: variable.len().min(text.len() - offset),
        }
    }

    fn judge_kernel(
        &self,
        context: &Context,
        request: &KernelRequest,
    ) -> Result<SubjectKernel, Box<SpecErrors>> {
        let span = request.definition.as_ref().unwrap_or(&request.name).span;
        let fault = |message: String, label: &str, help: String| {
            Box::new(spec::fault(&self.source, span, message, label, help))
        };
        // The lock calls the environment's own prefix so.
        if request.isolated && request.name.value == "default" {
            return Err(fault(
                "an isolated kernel cannot be called `default`".to_owned(),
                "asked here",
                "give it another name".to_owned(),
            ));
        }
        let told = |error: &dyn miette::Diagnostic| {
            let help = error.help().map(|help| help.to_string());
            let message = match error.source() {
                Some(reason) => format!("{error}: {reason}"),
                None => error.to_string(),
            };
            fault(message, "asked here", help.unwrap_or_default())
        };
        let definition = || {
            definition(self, &context.catalogue, request.definition_id())
                .map_err(|error| told(error.as_ref()))
        };
        let mut tested_by = None;
        let origin = match &request.installable {
            None => KernelOrigin::Packages(definition()?),
            Some(installable) => {
                if request.definition.is_some() {
                    tested_by = Some(definition()?);
                }
                KernelOrigin::Nix(self.judge_installable(context, request, installable)?)
            }
        };
        if let KernelOrigin::Packages(definition) = &origin
            && let (None, Some(package)) = (&definition.add_packages, request.packages.first())
        {
            let language = &definition.language;
            return Err(Box::new(spec::fault(
                &self.source,
                package.span,
                format!(
                    "the kernel {} has no packages of its own language",
                    definition.id
                ),
                "asked here",
                format!(
                    "packages for {language} come from conda's channels: put them under `dependencies`"
                ),
            )));
        }
        let registered =
            RegisteredName::new(&self.spec.name, &request.name.value).map_err(|error| {
                fault(
                    error.to_string(),
                    "asked here",
                    "use letters, digits, `-`, `.` and `_`".to_owned(),
                )
            })?;
        Ok(SubjectKernel {
            request: request.clone(),
            origin,
            tested_by,
            registered,
        })
    }

    /// What a kernel from Nix is asked for by.
    fn judge_installable(
        &self,
        context: &Context,
        request: &KernelRequest,
        installable: &At<String>,
    ) -> Result<Installable, Box<SpecErrors>> {
        let fault = |span: Span, message: String, help: &str| {
            Box::new(spec::fault(&self.source, span, message, "asked here", help))
        };
        let name = &request.name.value;
        if let Some(package) = request.packages.first() {
            return Err(fault(
                package.span,
                format!("the kernel {name} is from Nix, which knows no `packages`"),
                "let its installable bring them",
            ));
        }
        if request.isolated {
            return Err(fault(
                installable.span,
                format!("the kernel {name} is from Nix, which isolates it anyway"),
                "take `isolated` out",
            ));
        }
        Installable::parse(&installable.value, store_folder(context)).map_err(|reason| {
            fault(
                installable.span,
                format!("the installable of the kernel {name} can't be used: {reason}"),
                "name a package of a flake, such as path:./flake#ocaml, or a store path",
            )
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
