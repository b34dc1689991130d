//! The `pip:` section of a spec, for one platform of its lock: what conda brings already,
//! a uv to ask, its answer, its reasons.

mod failure;
mod lines;
mod uv;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rattler_conda_types::{Channel, RepoDataRecord};
use rattler_lock::PypiDistributionData;
use rattler_networking::LazyClient;
use tempfile::TempDir;
use tokio::sync::OnceCell;

pub use self::failure::PipFailure;
use self::lines::Lines;
pub(super) use self::uv::{Ready, lend, on_path};
use super::context::Context;
use super::error::ApplyError;
use super::folders;
use super::subject::Subject;
use crate::conda::{Gateways, Known, Network, distributions};
use crate::lock::PlatformPackages;
use crate::pip::{PipError, Question, Sources};
use crate::spec::{self, PipFolder, PipKind, PipRequirement, PipSection, SpecErrors};

/// Who asks, and by which ways.
pub(super) struct Asking<'a> {
    pub(super) context: &'a Context,
    pub(super) subject: &'a Subject,
    pub(super) channels: &'a [Channel],
    pub(super) gateways: &'a Gateways,
    pub(super) client: &'a LazyClient,
    /// What is asked, once it was needed.
    pub(super) ready: OnceCell<Ready>,
}

impl<'a> Asking<'a> {
    /// One that has asked nothing yet.
    pub(super) fn new(
        context: &'a Context,
        subject: &'a Subject,
        channels: &'a [Channel],
        gateways: &'a Gateways,
        client: &'a LazyClient,
    ) -> Self {
        Self {
            context,
            subject,
            channels,
            gateways,
            client,
            ready: OnceCell::new(),
        }
    }

    /// What the `pip:` section adds to the packages of a platform; `earlier` is kept where
    /// nothing forces a change.
    pub(super) async fn resolve(
        &self,
        solved: &PlatformPackages,
        earlier: &[PypiDistributionData],
    ) -> Result<Vec<PypiDistributionData>, ApplyError> {
        let Some(section) = &self.subject.pip else {
            return Ok(Vec::new());
        };
        let platform = solved.platform;
        let lines: Vec<&PipRequirement> = section.on(platform).collect();
        if lines.iter().all(|line| line.is_constraint) {
            return Ok(Vec::new());
        }
        let failed = |error| self.failure(section, error);
        let python =
            python_of(&solved.records).ok_or_else(|| failed(PipError::NoPython { platform }))?;
        let folder = self.context.root.pip();
        let known = Known {
            packages: &self.subject.packages(self.context),
            answers: &folder.join("distributions"),
        };
        let brought = distributions(&solved.records, &known, self.client).await?;
        self.refuse_lost_extras(&lines, &brought)?;
        let ready = self.ready.get_or_try_init(|| self.uv(&folder)).await?;
        let staged = tempfile::tempdir().map_err(|error| failed(error.into()))?;
        let copies = self
            .copies(&lines, staged.path())
            .map_err(|error| failed(error.into()))?;
        let of_folder = |path: &Path| {
            let path = path.canonicalize().ok()?;
            let (_, folder) = copies.iter().find(|(copy, _)| *copy == path)?;
            Some((folder.path.clone(), folder.sha256))
        };
        let lines = Lines::of(&lines, &copies);
        let ways = self.context.settings()?.for_programs();
        let question = Question {
            requirements: &lines.requirements,
            constraints: &lines.constraints,
            hashes: &lines.hashes,
            sources: Sources::Never,
            folders: &of_folder,
            brought: &brought,
            python: &python.package_record.version.to_string(),
            platform,
            system: system(solved),
            earlier,
            offline: self.context.network == Network::Offline,
            prereleases: lines.prereleases,
            cache: &folder.join("uv"),
            environment: &self.context.environment,
            ways: &ways,
        };
        if !lines.asks_for_sources {
            match question.ask(&ready.uv).await {
                Err(error) if error.wants_sources() => {}
                answer => return answer.map_err(failed),
            }
        }
        let lent = self.python(solved, &folder).await?;
        let python = lent.as_ref().map(|prefix| prefix.path().join("bin/python"));
        let question = Question {
            sources: python.as_deref().map_or(Sources::Read, Sources::Run),
            ..question
        };
        question.ask(&ready.uv).await.map_err(failed)
    }

    /// Copies of the folders that lines ask for: what builds writes into the folder that it
    /// is run in.
    fn copies<'l>(
        &self,
        lines: &[&'l PipRequirement],
        into: &Path,
    ) -> std::io::Result<Vec<(PathBuf, &'l PipFolder)>> {
        let file = &self.subject.file;
        let asked = lines.iter().filter_map(|line| line.folder.as_ref());
        let copied = asked.enumerate().map(|(number, folder)| {
            let from = file.beside.join(&folder.path).canonicalize()?;
            let name = from.file_name().unwrap_or_default();
            let copy = into.canonicalize()?.join(number.to_string()).join(name);
            folders::copy(&from, &file.own(), &copy)?;
            Ok((copy, folder))
        });
        copied.collect()
    }

    /// The environment's own Python, lent for as long as sources are asked by it; `None` if
    /// it can't run here.
    async fn python(
        &self,
        solved: &PlatformPackages,
        folder: &Path,
    ) -> Result<Option<TempDir>, ApplyError> {
        if solved.platform != self.context.platform {
            return Ok(None);
        }
        let records = with_its_needs("python", &solved.records);
        let prefix = lend(self.context, self.subject, folder, records).await?;
        Ok(Some(prefix))
    }

    /// What conda brings stays as it is, so the extras of it would not be installed.
    fn refuse_lost_extras(
        &self,
        lines: &[&PipRequirement],
        brought: &BTreeMap<String, String>,
    ) -> Result<(), SpecErrors> {
        for line in lines {
            let PipKind::Named(requirement) = &line.kind else {
                continue;
            };
            let name: &str = requirement.name.as_ref();
            if let (Some(extra), true) = (requirement.extras.first(), brought.contains_key(name)) {
                return Err(spec::fault(
                    line.place(&self.subject.file.source),
                    line.span,
                    format!("conda brings {name}, so pip installs no extras of it"),
                    "asked here",
                    format!("list what its extra `{extra}` needs instead"),
                ));
            }
        }
        Ok(())
    }

    fn failure(&self, section: &PipSection, error: PipError) -> ApplyError {
        Box::new(PipFailure::new(&self.subject.file.source, section, error)).into()
    }
}

/// The Python among packages.
fn python_of(records: &[RepoDataRecord]) -> Option<&RepoDataRecord> {
    records
        .iter()
        .find(|record| record.package_record.name.as_normalized() == "python")
}

/// A package of a solution, and what it needs of it.
fn with_its_needs(name: &str, records: &[RepoDataRecord]) -> Vec<RepoDataRecord> {
    let mut wanted = vec![name];
    let mut taken: Vec<&RepoDataRecord> = Vec::new();
    while let Some(name) = wanted.pop() {
        let is_it = |record: &&RepoDataRecord| record.package_record.name.as_normalized() == name;
        let Some(record) = records.iter().find(is_it) else {
            continue;
        };
        if taken.contains(&record) {
            continue;
        }
        taken.push(record);
        let needs = record.package_record.depends.iter();
        wanted.extend(needs.filter_map(|needed| needed.split([' ', '=', '<', '>', '[']).next()));
    }
    taken.into_iter().cloned().collect()
}

/// The C library or the macOS that a platform was solved for.
fn system(solved: &PlatformPackages) -> Option<(u32, u32)> {
    let mut offered = solved.virtual_packages.iter();
    let found =
        offered.find(|offered| ["__glibc", "__osx"].contains(&offered.name.as_normalized()))?;
    let (major, minor) = found.version.as_major_minor()?;
    Some((u32::try_from(major).ok()?, u32::try_from(minor).ok()?))
}
