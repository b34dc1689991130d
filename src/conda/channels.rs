//! From a channel's name in the spec to its URL.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rattler_conda_types::{Channel, ChannelConfig, MatchSpec, RepoDataRecord};
use url::Url;

use super::error::CondaError;
use crate::spec::secret_in_channel;

/// Where channels are that are named and not written as a URL, unless the command line
/// says otherwise: conda's own server.
pub(super) const NAMED: &str = "https://conda.anaconda.org/";

/// What channels' names mean.
///
/// A name is a URL below [`NAMED`] or below the alias of the command line, on every
/// machine; that files are asked for elsewhere is for [`super::Settings`] to know. Some
/// names mean several channels, as conda's configuration says (`defaults`).
#[derive(Debug, Clone)]
pub struct ChannelNames {
    config: ChannelConfig,
    several: BTreeMap<String, Vec<Channel>>,
}

impl ChannelNames {
    /// `alias` is the URL that names are put behind, conda's own server if
    /// `None`; relative paths of channels start at `base`.
    pub fn new(alias: Option<Url>, base: &Path) -> Self {
        let mut config = ChannelConfig::default_with_root_dir(base.to_owned());
        if let Some(mut alias) = alias {
            // Joining a name to a URL without it would replace the last folder.
            if !alias.path().ends_with('/') {
                alias.set_path(&format!("{}/", alias.path()));
            }
            config.channel_alias = alias;
        }
        Self {
            config,
            several: BTreeMap::new(),
        }
    }

    /// A channel's name where its URL is behind the alias, else the URL.
    pub fn short(&self, url: &Url) -> String {
        let name = self.config.strip_channel_alias(url);
        name.unwrap_or_else(|| url.to_string())
    }

    /// Names that mean several channels.
    pub(super) fn set_several(&mut self, several: BTreeMap<String, Vec<Channel>>) {
        self.several = several;
    }

    /// The channels of a name: one, but for names that mean several.
    pub fn channels(&self, name: &str) -> Result<Vec<Channel>, CondaError> {
        if let Some(several) = self.several.get(name) {
            return Ok(several.clone());
        }
        let channel =
            Channel::from_str(name, &self.config).map_err(|source| CondaError::BadChannel {
                channel: name.to_owned(),
                source,
            })?;
        refuse_secret(channel.base_url.url())?;
        Ok(vec![channel])
    }

    /// A spec such as `conda-forge::python` names its channel by name; the
    /// parser resolved it against conda's own server, this against the alias.
    fn settle(&self, spec: &MatchSpec) -> Result<MatchSpec, CondaError> {
        if let Some(url) = &spec.url {
            refuse_secret(url)?;
        }
        let Some(channel) = &spec.channel else {
            return Ok(spec.clone());
        };
        let by_name = ChannelConfig::default_with_root_dir(self.config.root_dir.clone());
        if by_name
            .strip_channel_alias(channel.base_url.url())
            .is_none()
        {
            // Written as a URL: it means that very place.
            refuse_secret(channel.base_url.url())?;
            return Ok(spec.clone());
        }
        let mut channels = self.channels(channel.name())?;
        let (Some(settled), true) = (channels.pop(), channels.is_empty()) else {
            return Err(CondaError::SeveralChannels {
                name: channel.name().to_owned(),
            });
        };
        Ok(MatchSpec {
            channel: Some(Arc::new(settled)),
            ..spec.clone()
        })
    }
}

/// Refuses a URL with a password or a token: specs and locks are read by others.
fn refuse_secret(url: &Url) -> Result<(), CondaError> {
    match secret_in_channel(url) {
        Some(channel) => Err(CondaError::ChannelSecret { channel }),
        None => Ok(()),
    }
}

/// The same for the packages of a lock, which somebody may have edited: what is asked
/// for is told when it can't be had.
pub(super) fn refuse_secrets(records: &[RepoDataRecord]) -> Result<(), CondaError> {
    records
        .iter()
        .try_for_each(|record| refuse_secret(&record.url))
}

/// Resolves the channels of a spec, in order of priority, and the requirements
/// that name a channel of their own (`channel::name`). As in conda, such a
/// channel is searched too, after the listed ones.
pub fn resolve_channels<'a>(
    names: &ChannelNames,
    channels: impl IntoIterator<Item = &'a str>,
    specs: impl IntoIterator<Item = &'a MatchSpec>,
) -> Result<(Vec<Channel>, Vec<MatchSpec>), CondaError> {
    let mut resolved = Vec::new();
    let mut settled = Vec::new();
    let mut push = |channel: Channel| {
        if !resolved
            .iter()
            .any(|known: &Channel| known.base_url == channel.base_url)
        {
            resolved.push(channel);
        }
    };
    for name in channels {
        names.channels(name)?.into_iter().for_each(&mut push);
    }
    for spec in specs {
        let spec = names.settle(spec)?;
        if let Some(channel) = &spec.channel {
            push(Channel::clone(channel));
        }
        settled.push(spec);
    }
    Ok((resolved, settled))
}
