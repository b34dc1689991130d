//! What a walk needs to know of the world: a plain struct, passed first.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rattler_conda_types::Subdir;
use rattler_networking::LazyClient;

use crate::conda::{Configuration, Network, Progress, Settings, SettingsError, http_client};
use crate::kernel::Catalogue;
use crate::site::Sites;
use crate::store::{Asker, Root};

/// Who is at work.
#[derive(Debug, Clone)]
pub struct Who {
    /// The user's name, if it is known.
    pub user: Option<String>,
    /// The user's number.
    pub uid: u32,
    /// This machine's name.
    pub host: String,
    /// The Slurm job that this process is part of.
    pub job: Option<String>,
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.user {
            Some(user) => write!(f, "{user}@{}", self.host),
            None => write!(f, "{}@{}", self.uid, self.host),
        }
    }
}

/// The surroundings of a walk.
pub struct Context {
    /// Where everything is kept.
    pub root: Root,
    /// Whether the network may be used.
    pub network: Network,
    /// Conda's and rattler's configuration.
    pub configuration: Arc<Configuration>,
    /// The platform of this machine.
    pub platform: Subdir,
    /// The kernels that are known.
    pub catalogue: Catalogue,
    /// The sites that are known.
    pub sites: Sites,
    /// The user's environment: for commands that have to know how the network is
    /// reached from here.
    pub environment: BTreeMap<String, String>,
    /// The user's home.
    pub home: PathBuf,
    /// The user's folder of kernelspecs.
    pub kernels_dir: PathBuf,
    /// Who is at work.
    pub who: Who,
    /// Who listens to long work.
    pub progress: Arc<dyn Progress>,
}

impl Context {
    /// What conda's and rattler's configuration says.
    pub fn settings(&self) -> Result<&Arc<Settings>, SettingsError> {
        self.configuration.settings()
    }

    /// The one HTTP client; nothing is built before something is asked for.
    pub(super) fn client(&self) -> Result<LazyClient, SettingsError> {
        Ok(http_client(self.network, self.settings()?))
    }

    /// Who asks for leases.
    pub(super) fn asker(&self) -> Asker<'_> {
        Asker {
            by: self.who.to_string(),
            host: &self.who.host,
            job: self.who.job.as_deref(),
            now,
        }
    }
}

/// The time, as it is written into receipts: RFC 3339, UTC, whole seconds.
pub(super) fn now() -> String {
    jiff::Timestamp::now()
        .round(jiff::Unit::Second)
        .map_or_else(
            |_| jiff::Timestamp::now().to_string(),
            |now| now.to_string(),
        )
}
