//! Where things are below the root.

use std::path::{Path, PathBuf};

use crate::spec::EnvName;

use super::error::StoreError;

/// The longest prefix that fits over the placeholder of 255 bytes, which needs
/// one byte to end it.
const PREFIX_LIMIT: usize = 254;

/// The folder that everything envspec makes is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(PathBuf);

/// Refuses a prefix at a path that is too long for packages to be installed at.
pub fn refuse_too_long(prefix: &Path) -> Result<(), StoreError> {
    let length = prefix.as_os_str().len();
    if length <= PREFIX_LIMIT {
        return Ok(());
    }
    Err(StoreError::PrefixTooLong {
        prefix: prefix.to_owned(),
        length,
        limit: PREFIX_LIMIT,
    })
}

impl Root {
    /// `path` is absolute.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The root itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Whether a path leads to this root: homes of clusters are often reached
    /// through links.
    pub fn is_at(&self, path: &Path) -> bool {
        self.0 == path
            || matches!(
                (self.0.canonicalize(), path.canonicalize()),
                (Ok(one), Ok(other)) if one == other
            )
    }

    /// The generations.
    pub fn generations(&self) -> PathBuf {
        self.0.join("gen")
    }

    /// A generation's prefix, if packages can be installed at so long a path.
    pub fn generation(&self, generation: &str) -> Result<PathBuf, StoreError> {
        let prefix = self.generations().join(generation);
        refuse_too_long(&prefix)?;
        Ok(prefix)
    }

    /// The links to current generations.
    pub fn environments(&self) -> PathBuf {
        self.0.join("envs")
    }

    /// The link to an environment's current generation.
    pub fn environment(&self, name: &EnvName) -> PathBuf {
        self.environments().join(name.as_str())
    }

    /// Unpacked packages, which generations are hard-linked from.
    pub fn packages(&self) -> PathBuf {
        self.0.join("pkgs")
    }

    /// The channels' indexes as last seen.
    pub fn index(&self) -> PathBuf {
        self.0.join("index")
    }

    /// What is known of Python's packages: uv's cache, what conda packages bring. In a
    /// root that a group shares, everybody has a folder of their own.
    pub fn pip(&self) -> PathBuf {
        self.own().join("pip")
    }

    /// Who is changing what.
    pub fn leases(&self) -> PathBuf {
        self.0.join("leases")
    }

    /// What was switched when, a file for each environment.
    pub fn history(&self, name: &EnvName) -> PathBuf {
        self.0.join("history").join(format!("{name}.jsonl"))
    }

    /// The receipt of a generation that was collected: what it was can still be
    /// told.
    pub fn kept_receipt(&self, generation: &str) -> PathBuf {
        let folder = self.0.join("history").join("receipts");
        folder.join(format!("{generation}.json"))
    }

    /// What the user's sessions write: in a root that a group shares, everybody's
    /// are in a folder of their own.
    pub fn sessions(&self) -> PathBuf {
        self.own().join("sessions")
    }
}
