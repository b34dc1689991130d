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
pub(super) use self::failure::guilty;
use self::lines::Lines;
pub(super) use self::uv::{Ready, lend, on_path};
use super::context::Context;
use super::error::ApplyError;
use super::folders;
use super::subject::Subject;
use crate::conda::{Gateways, Known, Network, distributions};
use crate::lock::PlatformPackages;
use crate::pip::{Answer, PipError, Question, Sources, WantedHashes};
use crate::spec::{PipFolder, PipRequirement, PipSection};

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

/// How it is asked once.
#[derive(Clone, Copy)]
pub(super) struct Once<'a> {
    /// What is kept where nothing forces a change.
    pub(super) earlier: &'a [PypiDistributionData],
    /// Whether what is asked for is asked for without what it needs, and whatever else the
    /// lines say of versions and files: what an index has of it.
    pub(super) alone: bool,
}

/// What is asked for one prefix on one platform, beside what conda brings.
pub(super) struct Asked<'a> {
    pub(super) section: &'a PipSection,
    /// Its lines for the platform.
    pub(super) lines: Vec<&'a PipRequirement>,
    /// What they say to uv.
    pub(super) said: Lines,
    pub(super) solved: &'a PlatformPackages,
    /// The distributions of conda's packages.
    pub(super) brought: BTreeMap<String, String>,
    /// What is known of their extras.
    pub(super) extras: BTreeMap<String, Vec<String>>,
    python: String,
    /// Copies of the folders that lines ask for, below `_staged`.
    copies: Vec<(PathBuf, &'a PipFolder)>,
    _staged: TempDir,
    /// The environment's own Python, once sources had to be asked; `None` if it can't run
    /// here.
    lent: OnceCell<Option<TempDir>>,
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

    /// What is asked of pip beside packages of conda's; `None` if nothing is.
    pub(super) async fn asked<'p>(
        &'p self,
        solved: &'p PlatformPackages,
    ) -> Result<Option<Asked<'p>>, ApplyError> {
        let isolated = solved.isolated.as_deref();
        let Some(section) = self.subject.pip_of(isolated) else {
            return Ok(None);
        };
        let platform = solved.platform;
        let lines: Vec<&PipRequirement> = section.on(platform).collect();
        if lines.iter().all(|line| line.is_constraint) {
            return Ok(None);
        }
        let failed = |error| self.failure(Some(section), error);
        let no_python = || {
            let isolated = solved.isolated.clone();
            failed(PipError::NoPython { isolated, platform })
        };
        let python = python_of(&solved.records).ok_or_else(no_python)?;
        let known = Known {
            packages: &self.subject.packages(self.context),
            answers: &self.answers(),
        };
        let brought = distributions(&solved.records, &known, self.client).await?;
        let staged = tempfile::tempdir().map_err(|error| failed(error.into()))?;
        let copies = self
            .copies(&lines, staged.path())
            .map_err(|error| failed(error.into()))?;
        Ok(Some(Asked {
            said: Lines::of(&lines, &copies),
            section,
            lines,
            solved,
            brought,
            extras: BTreeMap::new(),
            python: python.package_record.version.to_string(),
            copies,
            _staged: staged,
            lent: OnceCell::new(),
        }))
    }

    /// Asks once for `requirements` beside `asked.brought`: for wheels, and where these don't
    /// do it, for sources too.
    pub(super) async fn ask(
        &self,
        asked: &Asked<'_>,
        requirements: &[String],
        once: Once<'_>,
    ) -> Result<Answer, ApplyError> {
        let failed = |error| self.failure(Some(asked.section), error);
        let folder = self.context.root.pip();
        let uv = || self.uv(&folder, Some(asked.section));
        let ready = self.ready.get_or_try_init(uv).await?;
        let of_folder = |path: &Path| {
            let path = path.canonicalize().ok()?;
            let (_, folder) = asked.copies.iter().find(|(copy, _)| *copy == path)?;
            Some((folder.path.clone(), folder.sha256))
        };
        let said = &asked.said;
        let any = WantedHashes::default();
        let ways = self.context.settings()?.for_programs();
        let question = Question {
            requirements,
            constraints: if once.alone { &[] } else { &said.constraints },
            hashes: if once.alone { &any } else { &said.hashes },
            sources: Sources::Never,
            folders: &of_folder,
            brought: &asked.brought,
            extras: &asked.extras,
            python: &asked.python,
            platform: asked.solved.platform,
            system: system(asked.solved),
            earlier: once.earlier,
            alone: once.alone,
            offline: self.context.network == Network::Offline,
            prereleases: said.prereleases,
            cache: &folder.join("uv"),
            environment: &self.context.environment,
            ways: &ways,
        };
        if once.alone || !said.asks_for_sources {
            match question.ask(&ready.uv).await {
                Err(error) if error.wants_sources() && !once.alone => {}
                answer => return answer.map_err(failed),
            }
        }
        let lent = || self.python(asked.solved, &folder);
        let lent = asked.lent.get_or_try_init(lent).await?;
        let python = lent.as_ref().map(|prefix| prefix.path().join("bin/python"));
        let question = Question {
            sources: python.as_deref().map_or(Sources::Read, Sources::Run),
            ..question
        };
        question.ask(&ready.uv).await.map_err(failed)
    }

    /// Where it is kept what conda's packages bring.
    pub(super) fn answers(&self) -> PathBuf {
        self.context.root.pip().join("distributions")
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

    fn failure(&self, section: Option<&PipSection>, error: PipError) -> ApplyError {
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
