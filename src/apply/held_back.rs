//! What a newer lock could not have, and who is in its way.

use rattler_conda_types::Subdir;

use crate::lock::Request;
use crate::spec::PipRequirement;

/// A package that something holds back from its newest version.
#[derive(Debug)]
pub struct HeldBack {
    /// The platform.
    pub platform: Subdir,
    /// The kernel in whose own prefix it is, if not in the environment's.
    pub isolated: Option<String>,
    /// The package.
    pub name: String,
    /// The newest version there is.
    pub newest: String,
    /// The smallest group of requirements that it does not go with.
    pub requests: Vec<Request>,
    /// Lines for pip that it does not go with.
    pub pip: Vec<PipRequirement>,
    /// What conda brings that a wheel does not go with: `numpy 2.1.0`.
    pub conda: Vec<String>,
    /// The solver's reasons, a few sentences.
    pub reasons: Vec<String>,
}

impl HeldBack {
    /// Whether another one is of the same package in the same prefix.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        self.name == other.name
            && self.platform == other.platform
            && self.isolated == other.isolated
    }
}
