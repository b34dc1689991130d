//! The state that a spec asks for, and the state that is found.

use rattler_conda_types::Subdir;
use sha2::{Digest, Sha256};

use super::cost::{Cost, Room};
use crate::lock::PackageId;
use crate::spec::EnvName;

/// Changes whenever a generation of the same lock would be laid out otherwise.
const LAYOUT: &str = "3";

/// The name of a generation: the environment's name and a digest of everything
/// that decides its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct GenerationId(String);

impl GenerationId {
    /// `lock` is the lock's text; `kernels` and `variables` are texts that
    /// hold all that a spec and the kernel definitions say beyond the lock.
    pub fn new(
        name: &EnvName,
        platform: Subdir,
        lock: &str,
        kernels: &str,
        variables: &str,
    ) -> Self {
        let mut digest = Sha256::new();
        for part in [LAYOUT, platform.as_str(), lock, kernels, variables] {
            // The length keeps parts from flowing into one another.
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part.as_bytes());
        }
        // 48 bits: far beyond any number of generations of one environment,
        // and short, for the prefix has little room.
        let short = hex::encode(&digest.finalize()[..6]);
        Self(format!("{name}-{short}"))
    }

    /// The name of a generation that is there, by which it is wanted again.
    pub fn of_built(name: String) -> Self {
        Self(name)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for GenerationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A kernel that the spec asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredKernel {
    /// Its name in the spec.
    pub name: String,
    /// The name to register it under for the user.
    pub registered: String,
}

/// What is asked for: by a spec and its lock, or by who goes back to a
/// generation.
#[derive(Debug, Clone)]
pub struct Desired {
    /// The environment.
    pub environment: EnvName,
    /// The generation that it should have.
    pub generation: GenerationId,
    /// The packages of that generation.
    pub packages: Vec<PackageId>,
    /// The kernels.
    pub kernels: Vec<DesiredKernel>,
    /// The store paths of those from Nix.
    pub store_paths: Vec<String>,
}

/// A kernelspec in the user's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredKernel {
    /// Its folder's name.
    pub name: String,
    /// The generation that it starts, if it carries envspec's mark for this
    /// environment and root.
    pub generation: String,
}

/// What is found.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// The current generation's name, and its packages.
    pub current: Option<(String, Vec<PackageId>)>,
    /// Whether the desired generation is there, whole.
    pub generation_exists: bool,
    /// What building it would take; nothing if it is there.
    pub cost: Cost,
    /// What is left where it would be built.
    pub room: Room,
    /// Whether the lock beside the spec is the one to be used.
    pub lock_written: bool,
    /// The kernelspecs in the user's folder that are this environment's.
    pub registered: Vec<RegisteredKernel>,
}
