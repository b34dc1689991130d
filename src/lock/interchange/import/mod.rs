//! From the files of other tools to a spec, and to a lock where they have exact packages.
//!
//! Each reader gives an [`Imported`]: what could be understood, and what could not, a
//! line each. [`Imported::spec_text`] writes the spec. Whether the packages fit to what
//! the spec asks is asked again by [`unmet`], in the words of the spec that was written.

mod ask;
mod conda_lock;
mod explicit;
mod history;
mod kind;
mod only;
mod pixi_feature;
mod pixi_lock;
mod pixi_toml;
mod prefix;
mod prefix_pip;
mod pypi_toml;
mod unmet;
mod wheels;
mod write;

use std::collections::BTreeMap;

use miette::Diagnostic;
use rattler_conda_types::Subdir;
use thiserror::Error;

use super::text::one_line;
use crate::lock::PlatformPackages;
use crate::spec::secret_in;

pub use ask::missing;
pub use conda_lock::conda_lock_file;
pub use explicit::explicit_list;
pub use kind::{ForeignKind, kind_of};
pub use pixi_lock::lock_file_of_pixi;
pub use pixi_toml::{Manifest, manifest_of_pixi};
pub use prefix::{PrefixContents, prefix};
pub use prefix_pip::DistInfo;
pub use unmet::{unmet, unmet_by};

/// One requirement of the spec to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// As conda reads it.
    pub text: String,
    /// The word for the platforms that it is for, as a comment has it: `linux`; `None`
    /// if it is for all.
    pub selector: Option<String>,
    /// Why it is there, if that is not plain.
    pub comment: Option<String>,
}

impl Asked {
    /// A requirement as its author wrote it.
    pub(super) fn plainly(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            selector: None,
            comment: None,
        }
    }
}

/// What was understood of a file of another tool.
#[derive(Debug, Clone, Default)]
pub struct Imported {
    /// The environment's name, if it has one.
    pub name: Option<String>,
    /// The channels in order of priority, by name or URL.
    pub channels: Vec<String>,
    /// What is asked of conda.
    pub asked: Vec<Asked>,
    /// What is asked of pip.
    pub pip: Vec<String>,
    /// The variables that activation sets.
    pub variables: BTreeMap<String, String>,
    /// The node to solve for, by the keys of a spec's `target`.
    pub target: BTreeMap<&'static str, String>,
    /// The platforms, if they are told.
    pub platforms: Vec<Subdir>,
    /// The kernels whose packages are there.
    pub kernels: Vec<String>,
    /// The exact packages for each platform; empty if the source has none.
    pub packages: Vec<PlatformPackages>,
    /// Why the exact packages can't become a lock, a line each.
    pub no_lock: Vec<String>,
    /// What was not taken over.
    pub left_out: Vec<String>,
}

/// Why a file was not imported.
#[derive(Debug, Error, Diagnostic)]
pub enum ImportError {
    /// It is not what it seems to be.
    #[error("{name} can't be read as {what}: {reason}")]
    #[diagnostic(help("{help}"))]
    Form {
        /// The file.
        name: String,
        /// What it was taken for.
        what: &'static str,
        /// Why.
        reason: String,
        /// What to do.
        help: &'static str,
    },
    /// A URL in it has a password or a token.
    #[error("{name} has a URL with a password or a token in it: {url}")]
    #[diagnostic(help(
        "take it out: specs and locks are read by others, and the place for secrets is ~/.netrc or the keyring of `rattler auth`"
    ))]
    Secret {
        /// The file.
        name: String,
        /// The URL without it.
        url: String,
    },
    /// Exact packages without a checksum, which a lock must have.
    #[error("{name} has no checksum of {}", few(.packages))]
    #[diagnostic(help(
        "make it again with checksums (conda list --explicit --md5), or import the spec without the lock: --no-lock"
    ))]
    NoChecksum {
        /// The file.
        name: String,
        /// The packages.
        packages: Vec<String>,
    },
}

/// The first of many.
pub fn few(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let first = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

impl ImportError {
    /// A complaint about a file's form, whose reason may repeat the file.
    fn form(name: &str, what: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Form {
            name: one_line(name),
            what,
            reason: one_line(&reason.to_string()),
            help: "is it the right file? It was taken for this by its name and its first lines",
        }
    }

    /// A complaint about a prefix.
    fn prefix(name: &str, reason: impl std::fmt::Display) -> Self {
        Self::Form {
            name: one_line(name),
            what: "a prefix of conda",
            reason: one_line(&reason.to_string()),
            help: "if the tool that made it still reads it, import what that writes: conda env export, conda list --explicit --md5",
        }
    }
}

impl Imported {
    /// Refuses URLs with secrets in all that is taken over or told.
    ///
    /// # Errors
    /// The first of them.
    pub fn refuse_secrets(&self, name: &str) -> Result<(), ImportError> {
        let channels = self.channels.iter().cloned();
        let asked = self.asked.iter().map(|asked| asked.text.clone());
        let pip = self.pip.iter().cloned();
        let variables = self.variables.values().cloned();
        let records = self.packages.iter().flat_map(|part| &part.records);
        let records = records.map(|record| record.url.to_string());
        let wheels = self.packages.iter().flat_map(|part| &part.pip);
        let wheels = wheels.flat_map(|wheel| {
            let index = wheel.index_url.as_ref().map(ToString::to_string);
            index.into_iter().chain([wheel.location.to_string()])
        });
        let mut texts = channels
            .chain(asked)
            .chain(pip)
            .chain(variables)
            .chain(records)
            .chain(wheels)
            .chain(self.left_out.iter().cloned());
        match texts.find_map(|text| secret_in(&text)) {
            None => Ok(()),
            Some(url) => Err(ImportError::Secret {
                name: one_line(name),
                url: one_line(&url),
            }),
        }
    }

    /// Refuses packages that a lock can't have.
    ///
    /// # Errors
    /// Those without a checksum.
    pub fn refuse_without_checksum(&self, name: &str) -> Result<(), ImportError> {
        let packages: Vec<String> = self
            .packages
            .iter()
            .flat_map(|part| &part.records)
            .map(|record| &record.package_record)
            .filter(|package| package.sha256.is_none() && package.md5.is_none())
            .map(|package| one_line(package.name.as_normalized()))
            .collect();
        if packages.is_empty() {
            return Ok(());
        }
        Err(ImportError::NoChecksum {
            name: one_line(name),
            packages,
        })
    }

    /// How many packages have only MD5 to be known by.
    pub fn md5_alone(&self) -> usize {
        let records = self.packages.iter().flat_map(|part| &part.records);
        records
            .filter(|record| record.package_record.sha256.is_none())
            .count()
    }
}
