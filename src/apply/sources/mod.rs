//! Packages of Python's that the lock has as sources: built into wheels before a generation
//! is linked, and into the package cache with them.
//!
//! Building runs what the author of a source wrote, as pip does. So it runs in the
//! environment's own Python and packages, linked into a prefix that goes with it, in a home
//! that goes with it too, and has no right that the user has not. What comes of it is kept in
//! the cache by the source's hash and the Python's build: another generation, or another
//! environment, builds nothing.

mod error;
mod git;

use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use rattler_conda_types::RepoDataRecord;
use tempfile::TempDir;

pub use self::error::BuildError;
use self::error::{help, last_words};
use super::context::Context;
use super::error::ApplyError;
use super::folders;
use super::kernels::{Failed, Run, Staging, activate};
use super::observe::Prepared;
use super::pip::{Asking, PipFailure, lend, on_path};
use super::prefixes::LockedPrefix;
use crate::conda::{
    Gateways, Network, Packages, enter_built, fetch_source, package_cache, unbuilt,
};
use crate::lock::is_wheel;
use crate::pip::Build;
use crate::spec::PipSection;
use crate::store::StoreError;

/// How long one may take: some are compilers' work for hours.
const LIMIT: Duration = Duration::from_hours(6);

/// A source that is to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The package.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it is from.
    pub place: String,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

impl From<&RepoDataRecord> for Source {
    fn from(record: &RepoDataRecord) -> Self {
        let package = &record.package_record;
        Self {
            name: package.name.as_normalized().to_owned(),
            version: package.version.to_string(),
            place: record.url.to_string(),
        }
    }
}

/// The sources of which wheels are to be built for a generation.
pub(super) fn to_build(caches: &[PathBuf], prefixes: &[LockedPrefix]) -> Vec<Source> {
    let sources = prefixes
        .iter()
        .flat_map(|locked| unbuilt(&locked.records, caches));
    sources.map(Source::from).collect()
}

/// Builds what of a prefix's sources is not in the cache yet. `place` is a folder of the
/// generation that is being made.
pub(super) async fn build_sources(
    context: &Context,
    prepared: &Prepared,
    locked: &LockedPrefix,
    place: &Path,
) -> Result<(), ApplyError> {
    let caches = prepared.subject.packages(context);
    let missing = unbuilt(&locked.records, &caches);
    if missing.is_empty() {
        return Ok(());
    }
    let section = prepared.subject.pip_of(locked.isolated.as_deref());
    let uv = program(context, prepared, section).await?;
    let of_conda = locked.records.iter().filter(|record| !is_wheel(record));
    let prefix = lend(
        context,
        &prepared.subject,
        place,
        of_conda.cloned().collect(),
    )
    .await?;
    let workshop = Workshop {
        context,
        prepared,
        section,
        prefix: prefix.path(),
        uv: &uv.0,
    };
    for record in missing {
        let wheel = workshop.build(record).await?;
        let packages = Packages {
            folder: &caches[0],
            beneath: &caches[1..],
            user: prepared.desired.environment.as_str(),
        };
        enter_built(packages, record, &wheel.1).await?;
    }
    Ok(())
}

/// A uv, with the prefix that it is in if it was lent for this.
async fn program(
    context: &Context,
    prepared: &Prepared,
    section: Option<&PipSection>,
) -> Result<(PathBuf, Option<super::pip::Ready>), ApplyError> {
    let path = context.environment.get("PATH").map_or("", String::as_str);
    if let Some(own) = on_path(path, "uv") {
        return Ok((own, None));
    }
    let client = context.client()?;
    let cache = package_cache(&context.root.packages());
    let index = context.root.index();
    let gateways = Gateways::new(&client, context.network, &index, &cache);
    let asking = Asking::new(
        context,
        &prepared.subject,
        &prepared.locked.channels,
        &gateways,
        &client,
    );
    let ready = asking.uv(&context.root.pip(), section).await?;
    Ok((ready.uv.program.clone(), Some(ready)))
}

/// Where sources are built.
struct Workshop<'a> {
    context: &'a Context,
    prepared: &'a Prepared,
    /// What was asked of pip for the prefix.
    section: Option<&'a PipSection>,
    /// The environment's Python, with what conda brings beside it.
    prefix: &'a Path,
    uv: &'a Path,
}

impl Workshop<'_> {
    /// The wheel of a source, and the folder that it is in.
    async fn build(&self, record: &RepoDataRecord) -> Result<(TempDir, PathBuf), ApplyError> {
        let context = self.context;
        let staging = Staging::new(context, self.prefix)?;
        let activated = activate(context, &self.prepared.subject, self.prefix, staging.home())?;
        let folder = tempfile::Builder::new()
            .prefix("wheel-")
            .tempdir_in(staging.home())
            .map_err(StoreError::io("could not make a folder in", staging.home()))?;
        let source = self.source(record, folder.path()).await?;
        let into = tempfile::tempdir().map_err(StoreError::io(
            "could not make a folder in",
            &std::env::temp_dir(),
        ))?;
        let cache = context.root.pip().join("uv");
        let build = Build {
            source: &source,
            into: into.path(),
            python: &self.prefix.join("bin/python"),
            cache: &cache,
            offline: context.network == Network::Offline,
        };
        let ways = context.settings()?.for_programs();
        let source_of_spec = &self.prepared.subject.file.source;
        let around = Build::surroundings(&context.environment, &ways, staging.home())
            .map_err(|error| Box::new(PipFailure::new(source_of_spec, self.section, error)))?;
        let run = Run {
            program: self.uv.to_owned(),
            arguments: build.arguments(),
            shown: "uv build --wheel".to_owned(),
            environment: &activated.environment,
            env: around.variables,
            inherit: &[],
            input: around.configuration,
            limit: LIMIT,
        };
        let ran = staging.run(run).await;
        ran.map_err(|failed| self.failure(record, failed))?;
        let made = fs::read_dir(into.path()).into_iter().flatten().flatten();
        let mut wheels = made
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "whl"));
        match (wheels.next(), wheels.next()) {
            (Some(wheel), None) => Ok((into, wheel)),
            _ => Err(Box::new(BuildError::NoWheel {
                package: Source::from(record),
            })
            .into()),
        }
    }

    /// What is to be built: the archive, or the folder.
    async fn source(&self, record: &RepoDataRecord, folder: &Path) -> Result<PathBuf, ApplyError> {
        let context = self.context;
        if record.url.scheme().starts_with("git+") {
            return Ok(git::check_out(context, record, folder)
                .await
                .map_err(Box::new)?);
        }
        if record.url.scheme() == "folder" {
            return Ok(self
                .folder(record, folder.join("source"))
                .map_err(Box::new)?);
        }
        let kept = context.root.pip().join("sources");
        let network = context.network;
        Ok(fetch_source(record, &kept, network, context.settings()?).await?)
    }

    /// A copy of a folder beside the spec, if its files are those that were locked.
    fn folder(&self, record: &RepoDataRecord, into: PathBuf) -> Result<PathBuf, BuildError> {
        let subject = &self.prepared.subject;
        let wanted = record.package_record.sha256;
        let sections = subject.pip.values();
        let lines = sections.flat_map(|section| &section.requirements);
        let mut asked = lines.filter_map(|line| line.folder.as_ref());
        let found = asked.find(|folder| wanted.is_some_and(|wanted| wanted[..] == folder.sha256));
        let other = || BuildError::OtherFolder {
            package: Source::from(record),
        };
        let place = subject.file.beside.join(&found.ok_or_else(other)?.path);
        let own = subject.file.own();
        let failed = |source| BuildError::Folder {
            path: place.clone(),
            source,
        };
        folders::copy(&place, &own, &into).map_err(failed)?;
        let copied = folders::digest(&into, &[]).map_err(failed)?;
        if wanted.is_none_or(|wanted| wanted[..] != copied) {
            return Err(other());
        }
        Ok(into)
    }

    fn failure(&self, record: &RepoDataRecord, failed: Failed) -> ApplyError {
        let package = Source::from(record);
        let (words, said) = (last_words(&failed.said), failed.said);
        let words = if words.is_empty() {
            failed.output
        } else {
            words
        };
        if self.context.network == Network::Offline && said.contains("network was disabled") {
            return Box::new(BuildError::Offline { package, words }).into();
        }
        Box::new(BuildError::Failed {
            package,
            help: help(&said),
            words,
        })
        .into()
    }
}
