//! A uv to ask, and a Python for it: the user's own, or the channels', lent for a run.

use std::path::{Path, PathBuf};

use rattler_conda_types::{MatchSpec, ParseStrictness, RepoDataRecord};
use tempfile::TempDir;

use super::Asking;
use crate::apply::context::Context;
use crate::apply::error::ApplyError;
use crate::apply::subject::Subject;
use crate::conda::{
    CondaError, Install, Line, Packages, Solve, install, solve_all, virtual_packages,
};
use crate::pip::{PipError, Uv};
use crate::spec::PipSection;
use crate::store::StoreError;

/// A uv, with the prefix that it is in if it was installed for this run.
pub(in crate::apply) struct Ready {
    pub(in crate::apply) uv: Uv,
    _prefix: Option<TempDir>,
}

impl Asking<'_> {
    /// The user's uv and Python, as far as there are, and for the rest the channels'. Any
    /// Python is good: it only tells uv what a Python is.
    pub(in crate::apply) async fn uv(
        &self,
        folder: &Path,
        section: Option<&PipSection>,
    ) -> Result<Ready, ApplyError> {
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
            number: 0,
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
        lend(context, self.subject, folder, records).await.map(Some)
    }
}

/// A prefix with packages, in a folder; it is gone when it is dropped.
pub(in crate::apply) async fn lend(
    context: &Context,
    subject: &Subject,
    folder: &Path,
    records: Vec<RepoDataRecord>,
) -> Result<TempDir, ApplyError> {
    fs_err::create_dir_all(folder).map_err(StoreError::io("could not make", folder))?;
    let prefix = tempfile::Builder::new()
        .prefix(".uv-")
        .tempdir_in(folder)
        .map_err(StoreError::io("could not write into", folder))?;
    let caches = subject.packages(context);
    fs_err::create_dir_all(&caches[0]).map_err(StoreError::io("could not make", &caches[0]))?;
    let packages = Packages {
        folder: &caches[0],
        beneath: &caches[1..],
        user: subject.file.spec.name.as_str(),
    };
    let wanted = Install {
        place: prefix.path(),
        prefix: prefix.path(),
        records,
        requested: Vec::new(),
        platform: context.platform,
    };
    let client = context.client()?;
    install(wanted, packages, &client, &context.progress).await?;
    Ok(prefix)
}

/// A program on a PATH; not one of a relative folder, which is another in each.
pub(in crate::apply) fn on_path(path: &str, program: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(|file| {
            file.metadata()
                .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        })
}
