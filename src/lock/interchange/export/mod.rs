//! From an environment to the files of other tools, one format a file.

mod conda_lock;
mod container;
mod environment;
mod explicit;
mod pixi;
mod requirements;

use std::collections::BTreeMap;

use miette::Diagnostic;
use rattler_conda_types::{RepoDataRecord, Subdir};
use rattler_lock::PypiPackageData;
use thiserror::Error;
use url::Url;

pub use conda_lock::conda_lock;
pub use container::{apptainer, dockerfile};
pub use environment::environment_pinned;
pub use explicit::explicit;
pub use pixi::pixi;
pub use requirements::requirements;

/// A channel as the spec names it, and where that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortableChannel {
    /// As the spec names it.
    pub name: String,
    /// Its base URL, which ends in a slash.
    pub url: Url,
}

/// The packages of one prefix for one platform.
#[derive(Debug, Clone)]
pub struct PortablePlatform {
    /// The platform.
    pub platform: Subdir,
    /// The packages of conda, sorted by name.
    pub conda: Vec<RepoDataRecord>,
    /// The packages of pip.
    pub pypi: Vec<PypiPackageData>,
}

/// What an export is made of: one prefix of a locked environment.
#[derive(Debug, Clone)]
pub struct Portable {
    /// The environment's name.
    pub name: String,
    /// The spec's file name, for comments.
    pub from: String,
    /// The channels in order of priority.
    pub channels: Vec<PortableChannel>,
    /// The variables that activation sets.
    pub variables: BTreeMap<String, String>,
    /// The packages by platform, in the lock's order.
    pub platforms: Vec<PortablePlatform>,
}

/// A file of another tool, and what is not in it, a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The file's text.
    pub text: String,
    /// What the format can't carry.
    pub left_out: Vec<String>,
}

/// Why there is no export.
#[derive(Debug, Error, Diagnostic)]
pub enum UnexportableError {
    /// The lock can't be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Lock(#[from] crate::lock::LockError),
    /// No image has this platform.
    #[error("there are no images of {platform} with conda in them")]
    #[diagnostic(help(
        "name a platform of the lock that has: --platform linux-64, linux-aarch64 or linux-ppc64le"
    ))]
    NoImage {
        /// The platform.
        platform: Subdir,
    },
    /// The format's own writer objects.
    #[error("the packages can't be written as {format}: {reason}")]
    #[diagnostic(help("take another format; `pixi` carries all that a lock has"))]
    Writer {
        /// The format.
        format: &'static str,
        /// The writer's words.
        reason: String,
    },
}

impl Portable {
    /// What a format without variables leaves out.
    fn variables_left_out(&self) -> Vec<String> {
        let names: Vec<&str> = self.variables.keys().map(String::as_str).collect();
        if names.is_empty() {
            return Vec::new();
        }
        vec![format!("the variables {}", names.join(", "))]
    }
}

impl PortablePlatform {
    /// What a format without packages of pip leaves out.
    fn pypi_left_out(&self) -> Vec<String> {
        let names: Vec<String> = self.pypi.iter().map(pypi_text).collect();
        if names.is_empty() {
            return Vec::new();
        }
        vec![format!("the packages of pip: {}", names.join(", "))]
    }

    /// The records in an order in which each comes after those that it needs, as conda
    /// installs an explicit list.
    fn in_order(&self) -> Vec<&RepoDataRecord> {
        let records: Vec<&RepoDataRecord> = self.conda.iter().collect();
        rattler_conda_types::PackageRecord::sort_topologically(records)
    }
}

/// `name==1.2`, as pip pins it; a folder or an archive by its place.
fn pypi_text(package: &PypiPackageData) -> String {
    match package.version() {
        Some(version) => format!("{}=={version}", package.name()),
        None => format!("{} @ {}", package.name(), package.location()),
    }
}

/// The requirement with which pip installs that very package: by its URL where it is not
/// from the index that everybody has.
fn pypi_requirement(package: &PypiPackageData) -> String {
    let location = package.location();
    let of_index = location.inner().as_url().is_none_or(|url| {
        let host = url.host_str().unwrap_or_default();
        host == "files.pythonhosted.org" || host == "pypi.org"
    });
    match package.version() {
        Some(version) if of_index => format!("{}=={version}", package.name()),
        _ => format!("{} @ {location}", package.name()),
    }
}
