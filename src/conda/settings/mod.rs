//! Conda's and rattler's configuration, as far as envspec follows it.
//!
//! A spec says what is installed; configuration says from where it is fetched, and what
//! a spec means that names no channel. So the lock is the same on every machine: it
//! holds the channels' own URLs, and a mirror, an alias or a password come into play
//! only when a file is asked for ([`Routes`]).
//!
//! What counts, the first that says something: the command line, the spec, variables,
//! files (`.condarc`, then rattler's), what is built in.

mod condarc;
mod error;
mod meaning;
mod merge;
mod places;
mod rattler;
mod routes;
mod secret;
mod servers;
mod shown;
mod transport;

use std::sync::{Arc, OnceLock};

use rattler_conda_types::Channel;
use url::Url;

pub use error::SettingsError;
pub use places::Surroundings;
pub(super) use routes::Routes;
pub use shown::Shown;
pub(super) use transport::{Credentials, Keeper, Proxies, Transport, Verify};

use super::channels::ChannelNames;

/// The configuration, read when it is first needed: most commands need none, and a
/// mistake in it must not keep them from working.
#[derive(Debug)]
pub struct Configuration {
    surroundings: Surroundings,
    read: OnceLock<Result<Arc<Settings>, SettingsError>>,
}

impl Configuration {
    /// The configuration of these surroundings.
    pub fn new(surroundings: Surroundings) -> Self {
        Self {
            surroundings,
            read: OnceLock::new(),
        }
    }

    /// What it says.
    pub fn settings(&self) -> Result<&Arc<Settings>, SettingsError> {
        self.read
            .get_or_init(|| Settings::read(&self.surroundings).map(Arc::new))
            .as_ref()
            .map_err(Clone::clone)
    }
}

/// A setting and who says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said<T> {
    /// What is said.
    pub value: T,
    /// The file or the variable.
    pub by: String,
}

/// What the configuration says.
#[derive(Debug)]
pub struct Settings {
    /// The files and variables that were there, with the keys that are followed; what
    /// counts most last.
    pub(super) sources: Vec<(String, Vec<String>)>,
    /// Keys that change what conda installs and change nothing here: the key, who says
    /// it, why.
    pub(super) not_followed: Vec<(String, String, &'static str)>,
    /// The channels of a spec that names none.
    pub channels: Option<Said<Vec<String>>>,
    /// What channels' names mean.
    pub(super) names: ChannelNames,
    /// Where files are really asked for.
    pub(super) routes: Routes,
    /// The only channels that may be used.
    pub(super) allowed: Option<Said<Vec<Channel>>>,
    /// Channels that may not be used.
    pub(super) denied: Option<Said<Vec<Channel>>>,
    /// Certificates, proxies, patience, passwords.
    pub(super) transport: Transport,
    pub(super) offline: Option<Said<()>>,
}

impl Settings {
    /// What channels' names mean.
    pub fn names(&self) -> &ChannelNames {
        &self.names
    }

    /// Why a channel may not be used, if the configuration forbids it. As for conda, a
    /// channel is allowed by itself; what is below a forbidden one is forbidden too.
    pub fn channel_verdict(&self, channel: &Url) -> Result<(), String> {
        self.verdict(channel, |known| known == channel)
    }

    /// The same for the URL of a package.
    pub fn package_verdict(&self, package: &Url) -> Result<(), String> {
        self.verdict(package, |known| {
            package.as_str().starts_with(known.as_str())
        })
    }

    fn verdict(&self, url: &Url, is_in: impl Fn(&Url) -> bool) -> Result<(), String> {
        let any = |list: &Said<Vec<Channel>>, has: &dyn Fn(&Url) -> bool| {
            let mut known = list.value.iter();
            known.any(|known| has(known.base_url.url()))
        };
        let below = |known: &Url| url.as_str().starts_with(known.as_str());
        if let Some(denied) = self.denied.as_ref().filter(|denied| any(denied, &below)) {
            return Err(format!("`denylist_channels` of {} has it", denied.by));
        }
        match &self.allowed {
            Some(allowed) if !any(allowed, &is_in) => Err(format!(
                "`allowlist_channels` of {} does not have it",
                allowed.by
            )),
            _ => Ok(()),
        }
    }

    /// The variables by which another program reaches the network as this one does; those
    /// that are set count more.
    pub fn for_programs(&self) -> Vec<(&'static str, String)> {
        self.transport.for_programs()
    }

    /// Where a channel's files are really asked for, if that is elsewhere.
    pub fn places(&self, channel: &Url) -> Vec<Url> {
        self.routes.places(channel)
    }

    /// Who says that no network is to be used, if somebody does.
    pub fn offline(&self) -> Option<&str> {
        self.offline.as_ref().map(|said| said.by.as_str())
    }

    /// Who says that nobody checks servers' certificates, if somebody does.
    pub fn trusts_anybody(&self) -> Option<&str> {
        match &self.transport.verify {
            Verify::Nobody { by } => Some(by),
            _ => None,
        }
    }
}
