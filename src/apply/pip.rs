//! The `pip:` section of a spec, for one platform of its lock: what conda brings already,
//! a uv to ask, its answer, its reasons.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use rattler_conda_types::{Channel, MatchSpec, ParseStrictness, RepoDataRecord};
use rattler_lock::PypiDistributionData;
use rattler_networking::LazyClient;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::context::Context;
use super::error::ApplyError;
use super::subject::Subject;
use crate::conda::{
    CondaError, Gateways, Install, Known, Line, Network, Packages, Solve, distributions, install,
    solve_all, virtual_packages,
};
use crate::lock::PlatformPackages;
use crate::pip::{Answer, PipError, Question, Uv};
use crate::spec::{self, PipKind, PipRequirement, PipSection};
use crate::store::StoreError;

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
    /// Whether what is asked for is asked for without what it needs.
    pub(super) alone: bool,
}

/// A uv, with the prefix that it is in if it was installed for this run.
pub(super) struct Ready {
    uv: Uv,
    _prefix: Option<TempDir>,
}

/// What is asked for one prefix on one platform, beside what conda brings.
pub(super) struct Asked<'a> {
    pub(super) section: PipSection,
    /// Its lines for the platform, but for `--pre`.
    pub(super) lines: Vec<PipRequirement>,
    pub(super) solved: &'a PlatformPackages,
    /// The distributions of conda's packages.
    pub(super) brought: BTreeMap<String, String>,
    /// What is known of their extras.
    pub(super) extras: BTreeMap<String, Vec<String>>,
    python: String,
    prereleases: bool,
}

impl Asking<'_> {
    /// What is asked of pip beside packages of conda's; `None` if nothing is.
    pub(super) async fn asked<'p>(
        &self,
        solved: &'p PlatformPackages,
    ) -> Result<Option<Asked<'p>>, ApplyError> {
        let isolated = solved.isolated.as_deref();
        let Some(section) = self.subject.file.spec.pip_of(isolated) else {
            return Ok(None);
        };
        let platform = solved.platform;
        let lines: Vec<PipRequirement> = section.on(platform).cloned().collect();
        if lines.is_empty() {
            return Ok(None);
        }
        let no_python = || {
            let isolated = solved.isolated.clone();
            self.failure(&section, PipError::NoPython { isolated, platform })
        };
        let python = python_of(&solved.records).ok_or_else(no_python)?;
        let python = python.package_record.version.to_string();
        let packages = self.subject.packages(self.context);
        let answers = self.answers();
        let known = Known {
            packages: &packages,
            answers: &answers,
        };
        let brought = distributions(&solved.records, &known, self.client).await?;
        let is_pre = |line: &&PipRequirement| {
            let alone = matches!(line.kind, PipKind::Options);
            alone && line.options.iter().any(|option| option.name == "--pre")
        };
        let (pre, lines): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| is_pre(&line));
        Ok(Some(Asked {
            section,
            lines,
            solved,
            brought,
            extras: BTreeMap::new(),
            python,
            prereleases: !pre.is_empty(),
        }))
    }

    /// Asks once for `requirements` beside `asked.brought`.
    pub(super) async fn ask(
        &self,
        asked: &Asked<'_>,
        requirements: &[String],
        once: Once<'_>,
    ) -> Result<Answer, ApplyError> {
        let folder = self.context.root.pip();
        let ready = self
            .ready
            .get_or_try_init(|| self.uv(&folder, &asked.section))
            .await?;
        let question = Question {
            requirements,
            brought: &asked.brought,
            extras: &asked.extras,
            python: &asked.python,
            platform: asked.solved.platform,
            system: system(asked.solved),
            earlier: once.earlier,
            alone: once.alone,
            offline: self.context.network == Network::Offline,
            prereleases: asked.prereleases,
            cache: &folder.join("uv"),
            environment: &self.context.environment,
            ways: &self.context.settings()?.for_programs(),
        };
        let answer = question.ask(&ready.uv).await;
        answer.map_err(|error| self.failure(&asked.section, error))
    }

    /// Where it is kept what conda's packages bring.
    pub(super) fn answers(&self) -> PathBuf {
        self.context.root.pip().join("distributions")
    }

    /// The user's uv and Python, as far as there are, and for the rest the channels'. Any
    /// Python is good: it only tells uv what a Python is.
    async fn uv(&self, folder: &Path, section: &PipSection) -> Result<Ready, ApplyError> {
        let path = self.context.environment.get("PATH");
        let path = path.map_or("", String::as_str);
        let (program, own_python) = (on_path(path, "uv"), on_path(path, "python3"));
        if let (Some(program), Some(python)) = (&program, &own_python) {
            let (program, python) = (program.clone(), python.clone());
            return Ok(Ready {
                uv: Uv { program, python },
                _prefix: None,
            });
        }
        let mut wanted = Vec::new();
        if program.is_none() {
            wanted.push("uv".to_owned());
        }
        if own_python.is_none() {
            wanted.push("python".to_owned());
        }
        let Some(prefix) = self.install(folder, &wanted).await? else {
            return Err(self.failure(section, PipError::NoProgram { programs: wanted }));
        };
        let inside = |name: &str| prefix.path().join("bin").join(name);
        Ok(Ready {
            uv: Uv {
                program: program.unwrap_or_else(|| inside("uv")),
                python: own_python.unwrap_or_else(|| inside("python3")),
            },
            _prefix: Some(prefix),
        })
    }

    /// A prefix with packages of the spec's channels, gone with this run; `None` if these
    /// have them not.
    async fn install(
        &self,
        folder: &Path,
        wanted: &[String],
    ) -> Result<Option<TempDir>, ApplyError> {
        let context = self.context;
        let specs: Vec<MatchSpec> = wanted
            .iter()
            .filter_map(|text| MatchSpec::from_str(text, ParseStrictness::Lenient).ok())
            .collect();
        let line = Line {
            kernel: None,
            is_written: false,
        };
        let lines = vec![line; specs.len()];
        let question = Solve {
            channels: self.channels,
            platform: context.platform,
            specs: &specs,
            virtual_packages: &virtual_packages(context.platform, &[]).map_err(CondaError::from)?,
            favored: &[],
            priority: self.subject.file.spec.channel_priority,
            named: &[],
            lines: &lines,
            isolated: None,
            others: &[],
        };
        let answers = solve_all(&[question], self.gateways, &context.progress).await?;
        let records = match answers.into_iter().next() {
            Some(Ok(solution)) => solution.records,
            Some(Err(CondaError::Unsolvable(_))) | None => return Ok(None),
            Some(Err(error)) => return Err(error.into()),
        };
        fs_err::create_dir_all(folder).map_err(StoreError::io("could not make", folder))?;
        let prefix = tempfile::Builder::new()
            .prefix(".uv-")
            .tempdir_in(folder)
            .map_err(StoreError::io("could not write into", folder))?;
        let caches = self.subject.packages(context);
        fs_err::create_dir_all(&caches[0]).map_err(StoreError::io("could not make", &caches[0]))?;
        let packages = Packages {
            folder: &caches[0],
            beneath: &caches[1..],
            user: self.subject.file.spec.name.as_str(),
        };
        let wanted = Install {
            place: prefix.path(),
            prefix: prefix.path(),
            records,
            requested: specs,
            platform: context.platform,
        };
        install(wanted, packages, self.client, &context.progress).await?;
        Ok(Some(prefix))
    }

    fn failure(&self, section: &PipSection, error: PipError) -> ApplyError {
        let source = &self.subject.file.source;
        Box::new(PipFailure {
            labels: labels(section, &error),
            source: NamedSource::new(source.name(), Arc::from(source.text())).with_language("yaml"),
            error,
        })
        .into()
    }
}

/// The Python among packages.
fn python_of(records: &[RepoDataRecord]) -> Option<&RepoDataRecord> {
    records
        .iter()
        .find(|record| record.package_record.name.as_normalized() == "python")
}

/// The C library or the macOS that a platform was solved for.
fn system(solved: &PlatformPackages) -> Option<(u32, u32)> {
    let mut offered = solved.virtual_packages.iter();
    let found =
        offered.find(|offered| ["__glibc", "__osx"].contains(&offered.name.as_normalized()))?;
    let (major, minor) = found.version.as_major_minor()?;
    Some((u32::try_from(major).ok()?, u32::try_from(minor).ok()?))
}

/// A program on a PATH; not one of a relative folder, which is another in each.
fn on_path(path: &str, program: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(|file| {
            file.metadata()
                .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        })
}

/// The lines that uv's reasons speak of.
pub(super) fn guilty<'s>(section: &'s PipSection, error: &PipError) -> Vec<&'s PipRequirement> {
    let said = match error {
        PipError::NoSolution { reasons, .. } => reasons.clone(),
        PipError::NoWheel { packages, .. } => packages.join(" "),
        PipError::Refused { words } | PipError::Network { words } => words.clone(),
        _ => String::new(),
    };
    let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let words: Vec<String> = said.split(|c| !is_of_a_name(c)).map(normalized).collect();
    let lines = section.requirements.iter();
    lines
        .filter(|line| {
            let name = line
                .text
                .split(|c| !is_of_a_name(c))
                .next()
                .unwrap_or_default();
            words.contains(&normalized(name))
        })
        .collect()
}

/// Their places; the whole section's if there are none.
fn labels(section: &PipSection, error: &PipError) -> Vec<LabeledSpan> {
    let lines = guilty(section, error);
    let mut places: Vec<spec::Span> = lines.iter().map(|line| line.span).collect();
    if places.is_empty() {
        places.push(section.span);
    }
    let label = |place| LabeledSpan::new_with_span(None, place);
    places.into_iter().map(label).collect()
}

pub(super) fn normalized(name: &str) -> String {
    name.trim_matches(['.', '-', '_'])
        .to_lowercase()
        .replace(['_', '.'], "-")
}

/// What is asked of pip can't be had, with the lines that ask for it.
#[derive(Debug)]
pub struct PipFailure {
    error: PipError,
    source: NamedSource<Arc<str>>,
    labels: Vec<LabeledSpan>,
}

impl PipFailure {
    /// What went wrong.
    pub fn error(&self) -> &PipError {
        &self.error
    }
}

impl fmt::Display for PipFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for PipFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

impl Diagnostic for PipFailure {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.error.help()
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}
