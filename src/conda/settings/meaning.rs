//! Parameters → what they mean.

use std::collections::BTreeMap;

use rattler_conda_types::Channel;
use url::Url;

use super::condarc::{At, Item, Parameter, Said as Written, Source};
use super::error::SettingsError;
use super::merge::merge;
use super::places::Surroundings;
use super::rattler::Rattler;
use super::routes::{Routes, folder};
use super::secret::SecretUrl;
use super::transport::{Keeper, Verify};
use super::{Said, Settings};
use crate::conda::channels::{ChannelNames, NAMED};
use crate::spec;

/// What `defaults` is where nobody says it (`DEFAULT_CHANNELS_UNIX` in conda's
/// `conda/base/constants.py`).
const DEFAULTS: [&str; 2] = [
    "https://repo.anaconda.com/pkgs/main",
    "https://repo.anaconda.com/pkgs/r",
];

impl Settings {
    /// Reads all configuration of these surroundings.
    pub(super) fn read(surroundings: &Surroundings) -> Result<Self, SettingsError> {
        let mut sources = Vec::new();
        for (path, text) in surroundings.condarcs()? {
            let number = sources.len();
            sources.push(Source::of_file(number, &path, &text, surroundings)?);
        }
        sources.push(Source::of_variables(sources.len(), surroundings));
        let rattler = Rattler::read(surroundings)?;
        let conda = Conda {
            parameters: merged(&sources),
            sources: &sources,
            surroundings,
        };
        let mut routes = Routes::default();
        let names = conda.names(&mut routes)?;
        let channels = conda.channels(&mut routes)?;
        let mut settings = Self {
            sources: Vec::new(),
            not_followed: Vec::new(),
            channels,
            allowed: conda.list_of(&names, &mut routes, "allowlist_channels")?,
            denied: conda.list_of(&names, &mut routes, "denylist_channels")?,
            names,
            routes,
            transport: conda.transport()?,
            offline: conda
                .truth("offline")?
                .filter(|said| said.value)
                .map(|said| Said {
                    value: (),
                    by: said.by,
                }),
        };
        if let Some(rattler) = rattler {
            settings.add(rattler, surroundings);
        }
        for source in sources {
            for (key, why) in source.not_followed {
                settings.not_followed.push((key, source.name.clone(), why));
            }
            let keys = source.parameters.into_keys().map(str::to_owned);
            let is_file = source.shown.is_some();
            let keys: Vec<String> = keys.collect();
            if is_file || !keys.is_empty() {
                settings.sources.push((source.name, keys));
            }
        }
        Ok(settings)
    }

    /// What rattler's files say, where conda's say nothing.
    fn add(&mut self, rattler: Rattler, surroundings: &Surroundings) {
        let Rattler { config, files } = rattler;
        let by = files
            .iter()
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        if let Some(channels) = config.default_channels.filter(|_| self.channels.is_none()) {
            let clean = |channel: &rattler_conda_types::NamedChannelOrUrl| match channel {
                rattler_conda_types::NamedChannelOrUrl::Url(url) => {
                    self.routes.entrust(url).to_string()
                }
                other => other.as_str().to_owned(),
            };
            let value = channels.iter().map(clean).collect();
            self.channels = Some(Said {
                value,
                by: by.clone(),
            });
        }
        for (from, to) in config.mirrors {
            self.routes.add_mirrors(from, to);
        }
        let transport = &mut self.transport;
        if transport.verify == Verify::System && config.tls_no_verify == Some(true) {
            transport.verify = Verify::Nobody { by: by.clone() };
        }
        if transport.proxies.is_empty() {
            let proxies = config.proxy_config;
            let by_key = [("http", proxies.http), ("https", proxies.https)]
                .into_iter()
                .filter_map(|(key, url)| Some((key.to_owned(), SecretUrl::new(url?))));
            transport.proxies.by_key = by_key.collect();
            if !proxies.non_proxy_hosts.is_empty() {
                transport.proxies.none_for = Some(proxies.non_proxy_hosts.join(","));
            }
        }
        if let Some(path) = config.authentication_override_file {
            let keeper = Keeper {
                path: surroundings.base.join(path),
                is_named: true,
            };
            // `RATTLER_AUTH_FILE` is asked before it.
            let files = &mut transport.credentials.files;
            let place = usize::from(surroundings.variable("RATTLER_AUTH_FILE").is_some());
            files.insert(place, keeper);
        }
        for (name, keys) in files {
            for (key, why) in Rattler::not_followed(&keys) {
                self.not_followed.push((key, name.clone(), why));
            }
            self.sources.push((name, Rattler::followed(&keys)));
        }
    }
}

fn merged(sources: &[Source]) -> BTreeMap<&'static str, Parameter> {
    let mut all: BTreeMap<&'static str, Vec<Parameter>> = BTreeMap::new();
    for source in sources {
        for (key, parameter) in &source.parameters {
            all.entry(key).or_default().push(parameter.clone());
        }
    }
    all.into_iter()
        .filter_map(|(key, all)| Some((key, merge(&all)?)))
        .collect()
}

/// What conda's configuration says, merged.
pub(super) struct Conda<'a> {
    parameters: BTreeMap<&'static str, Parameter>,
    sources: &'a [Source],
    pub(super) surroundings: &'a Surroundings,
}

impl Conda<'_> {
    pub(super) fn one(&self, key: &str) -> Option<&Item> {
        match &self.parameters.get(key)?.said {
            Written::One(item) => Some(item),
            _ => None,
        }
    }

    fn list(&self, key: &str) -> Option<&[Item]> {
        match &self.parameters.get(key)?.said {
            Written::List(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn map(&self, key: &str) -> impl Iterator<Item = (&String, &Parameter)> {
        let map = match self.parameters.get(key).map(|parameter| &parameter.said) {
            Some(Written::Map(map)) => Some(map),
            _ => None,
        };
        map.into_iter().flatten()
    }

    pub(super) fn by(&self, at: At) -> String {
        self.sources[at.source].name.clone()
    }

    pub(super) fn fault(&self, at: At, message: &str, help: &str) -> SettingsError {
        self.sources[at.source].fault(at, message, help)
    }

    fn url(&self, key: &str, item: &Item) -> Result<Url, SettingsError> {
        const SCHEMES: [&str; 3] = ["http", "https", "file"];
        let why = match Url::parse(&item.text) {
            Ok(url) if !SCHEMES.contains(&url.scheme()) || url.cannot_be_a_base() => {
                "it begins with neither https:// nor file://".to_owned()
            }
            Ok(url) => return Ok(url),
            Err(error) => error.to_string(),
        };
        let message = format!("`{key}` is no URL: {why}");
        let help = "write https://…, or file:///… for a folder";
        Err(self.fault(item.at, &message, help))
    }

    /// `boolify` in conda's `conda/auxlib/type_coercion.py`.
    pub(super) fn truth(&self, key: &str) -> Result<Option<Said<bool>>, SettingsError> {
        let Some(item) = self.one(key) else {
            return Ok(None);
        };
        let Some(value) = truth(&item.text) else {
            let message = format!("`{key}` is neither true nor false");
            return Err(self.fault(item.at, &message, "write true or false"));
        };
        let by = self.by(item.at);
        Ok(Some(Said { value, by }))
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>, SettingsError> {
        let Some(item) = self.one(key) else {
            return Ok(None);
        };
        match item.text.parse::<f64>() {
            Ok(number) if (0.0..=86_400.0).contains(&number) => Ok(Some(number)),
            _ => {
                let message = format!("`{key}` is no number from 0 to 86400");
                Err(self.fault(item.at, &message, "write a number, such as 60"))
            }
        }
    }

    /// What names mean, and where those are asked for that conda has elsewhere.
    fn names(&self, routes: &mut Routes) -> Result<ChannelNames, SettingsError> {
        let alias = &self.surroundings.alias;
        let mut names = ChannelNames::new(alias.clone(), &self.surroundings.base);
        let server = Url::parse(NAMED).expect("it is a URL");
        // Names are put behind what the command line says, and that is the URL meant.
        for (name, parameter) in self.map("custom_channels") {
            let Written::One(item) = &parameter.said else {
                continue;
            };
            let place = folder(self.url("custom_channels", item)?);
            let name = name.trim_matches('/');
            let joined = |base: &Url| {
                base.join(name).map_err(|error| {
                    let message = format!("`{}` is no channel's name: {error}", spec::masked(name));
                    self.fault(parameter.at, &message, "write a name such as conda-forge")
                })
            };
            let place = joined(&place)?;
            routes.entrust(&place);
            if alias.is_none() {
                routes.add(&joined(&server)?, place);
            }
        }
        if let Some(item) = self.one("channel_alias") {
            let place = self.url("channel_alias", item)?;
            routes.entrust(&place);
            for old in self.list("migrated_channel_aliases").unwrap_or_default() {
                routes.add(&self.url("migrated_channel_aliases", old)?, place.clone());
            }
            if alias.is_none() {
                routes.add(&server, place);
            }
        }
        let defaults = match self.list("default_channels") {
            Some(items) => self.resolved(&names, routes, items)?,
            None => DEFAULTS
                .iter()
                .map(|text| Channel::from_url(Url::parse(text).expect("it is a URL")))
                .collect(),
        };
        let mut several = BTreeMap::from([("defaults".to_owned(), defaults)]);
        for (name, parameter) in self.map("custom_multichannels") {
            if let Written::List(items) = &parameter.said {
                several.insert(name.clone(), self.resolved(&names, routes, items)?);
            }
        }
        names.set_several(several);
        Ok(names)
    }

    /// Channels by names and URLs; what is secret in a URL is remembered and taken out.
    fn resolved(
        &self,
        names: &ChannelNames,
        routes: &mut Routes,
        items: &[Item],
    ) -> Result<Vec<Channel>, SettingsError> {
        let mut channels = Vec::new();
        for item in items {
            let text = entrusted(routes, &item.text);
            let found = names.channels(&text).map_err(|_| {
                let message = format!("`{}` is no channel", spec::masked(&text));
                let help = "write a name such as conda-forge, a URL, or a path";
                self.fault(item.at, &message, help)
            })?;
            channels.extend(found);
        }
        Ok(channels)
    }

    fn list_of(
        &self,
        names: &ChannelNames,
        routes: &mut Routes,
        key: &str,
    ) -> Result<Option<Said<Vec<Channel>>>, SettingsError> {
        let (Some(items), Some(parameter)) = (self.list(key), self.parameters.get(key)) else {
            return Ok(None);
        };
        // An empty list allows and denies nothing in particular.
        if items.is_empty() {
            return Ok(None);
        }
        let value = self.resolved(names, routes, items)?;
        let by = self.by(parameter.at);
        Ok(Some(Said { value, by }))
    }

    /// The channels of a spec that names none.
    fn channels(&self, routes: &mut Routes) -> Result<Option<Said<Vec<String>>>, SettingsError> {
        let Some(items) = self.list("channels") else {
            return Ok(None);
        };
        let mut value = Vec::new();
        let mut by: Vec<String> = Vec::new();
        for item in items.iter().filter(|item| item.text != "nodefaults") {
            if item.text.contains("://") {
                self.url("channels", item)?;
            }
            value.push(entrusted(routes, &item.text));
            let source = self.by(item.at);
            if !by.contains(&source) {
                by.push(source);
            }
        }
        let by = by.join(", ");
        Ok((!value.is_empty()).then_some(Said { value, by }))
    }
}

/// The text without the secret of a URL, which is remembered.
fn entrusted(routes: &mut Routes, text: &str) -> String {
    match Url::parse(text) {
        Ok(url) if text.contains("://") => routes.entrust(&url).to_string(),
        _ => text.to_owned(),
    }
}

pub(super) fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" | "1" => Some(true),
        "false" | "no" | "off" | "n" | "0" | "none" => Some(false),
        _ => None,
    }
}
