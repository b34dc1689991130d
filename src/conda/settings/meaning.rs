//! Parameters → what they mean.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rattler_conda_types::Channel;
use url::Url;

use super::condarc::{At, Item, Parameter, Said as Written, Source};
use super::error::SettingsError;
use super::merge::merge;
use super::places::Surroundings;
use super::rattler::Rattler;
use super::routes::{Routes, folder};
use super::secret::{SecretUrl, masked};
use super::transport::{Credentials, Keeper, Proxies, Transport, Verify};
use super::{Said, Settings};
use crate::conda::channels::{ChannelNames, NAMED};

/// What `defaults` is where nobody says it (`DEFAULT_CHANNELS_UNIX` in conda's
/// conda/base/constants.py).
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
        .filter_map(|(key, all)| Some((key, merge(all)?)))
        .collect()
}

/// What conda's configuration says, merged.
struct Conda<'a> {
    parameters: BTreeMap<&'static str, Parameter>,
    sources: &'a [Source],
    surroundings: &'a Surroundings,
}

impl Conda<'_> {
    fn one(&self, key: &str) -> Option<&Item> {
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

    fn map(&self, key: &str) -> impl Iterator<Item = (&String, &Parameter)> {
        let map = match self.parameters.get(key).map(|parameter| &parameter.said) {
            Some(Written::Map(map)) => Some(map),
            _ => None,
        };
        map.into_iter().flatten()
    }

    fn by(&self, at: At) -> String {
        self.sources[at.source].name.clone()
    }

    fn fault(&self, at: At, message: &str, help: &str) -> SettingsError {
        self.sources[at.source].fault(at, message, help)
    }

    fn url(&self, key: &str, item: &Item) -> Result<Url, SettingsError> {
        Url::parse(&item.text).map_err(|error| {
            let message = format!("`{key}` is no URL: {error}");
            self.fault(
                item.at,
                &message,
                "write https://…, or file:///… for a folder",
            )
        })
    }

    /// `boolify` in conda's conda/auxlib/type_coercion.py.
    fn truth(&self, key: &str) -> Result<Option<Said<bool>>, SettingsError> {
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

    fn number(&self, key: &str) -> Result<Option<f64>, SettingsError> {
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
        let named = Url::parse(NAMED).expect("it is a URL");
        // Names are put behind what the command line says, and that is the URL meant.
        for (name, parameter) in self.map("custom_channels") {
            let Written::One(item) = &parameter.said else {
                continue;
            };
            let place = folder(self.url("custom_channels", item)?);
            let name = name.trim_matches('/');
            let joined = |base: &Url| {
                base.join(name).map_err(|error| {
                    let message = format!("`{}` is no channel's name: {error}", masked(name));
                    self.fault(parameter.at, &message, "write a name such as conda-forge")
                })
            };
            let place = joined(&place)?;
            routes.entrust(&place);
            if alias.is_none() {
                routes.add(&joined(&named)?, place);
            }
        }
        if let Some(item) = self.one("channel_alias") {
            let place = self.url("channel_alias", item)?;
            routes.entrust(&place);
            for old in self.list("migrated_channel_aliases").unwrap_or_default() {
                routes.add(&self.url("migrated_channel_aliases", old)?, place.clone());
            }
            if alias.is_none() {
                routes.add(&named, place);
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
                let message = format!("`{}` is no channel", masked(&text));
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

    fn transport(&self) -> Result<Transport, SettingsError> {
        let seconds = |key: &str| {
            let number = self.number(key)?;
            Ok::<_, SettingsError>(number.filter(|&n| n > 0.0).map(Duration::from_secs_f64))
        };
        let path = |key: &str| {
            self.one(key).map(|item| {
                let path = self.surroundings.path(&item.text);
                (path, self.by(item.at))
            })
        };
        let key = path("client_ssl_cert_key").map(|(path, _)| path);
        let identity = path("client_ssl_cert").map(|(cert, by)| (cert, key, by));
        Ok(Transport {
            verify: self.verify()?,
            identity,
            proxies: self.proxies()?,
            connect_timeout: seconds("remote_connect_timeout_secs")?,
            read_timeout: seconds("remote_read_timeout_secs")?,
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is a small number that is not negative"
            )]
            retries: self
                .number("remote_max_retries")?
                .map(|times| times as usize),
            credentials: self.credentials()?,
        })
    }

    /// `ssl_verify`, and what requests asks where it says nothing but true.
    fn verify(&self) -> Result<Verify, SettingsError> {
        let these = |path, by| {
            let path = self.surroundings.path(path);
            Verify::These { path, by }
        };
        if let Some(item) = self.one("ssl_verify") {
            let by = self.by(item.at);
            match (item.text.as_str(), truth(&item.text)) {
                (_, Some(false)) => return Ok(Verify::Nobody { by }),
                (_, Some(true)) | ("truststore", _) => {}
                (path, None) => {
                    let verify = these(path, by);
                    if let Verify::These { path, .. } = &verify
                        && !path.exists()
                    {
                        let message = "`ssl_verify` names a file that is not there";
                        let help = "write true, false, truststore, or the path of certificates";
                        return Err(self.fault(item.at, message, help));
                    }
                    return Ok(verify);
                }
            }
        }
        let of_requests = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];
        let named = of_requests.iter().find_map(|name| {
            let path = self.surroundings.text(name)?;
            Some(these(path, (*name).to_owned()))
        });
        Ok(named.unwrap_or_default())
    }

    /// `proxy_servers`; a variable (`HTTPS_PROXY`) counts more, as for requests.
    fn proxies(&self) -> Result<Proxies, SettingsError> {
        let mut proxies = Proxies::default();
        for (key, parameter) in self.map("proxy_servers") {
            let Written::One(item) = &parameter.said else {
                continue;
            };
            // requests takes a proxy without a scheme for one of HTTP.
            let text = if item.text.contains("://") {
                item.text.clone()
            } else {
                format!("http://{}", item.text)
            };
            let url = Url::parse(&text).map_err(|error| {
                let message = format!("`proxy_servers` has no URL here: {error}");
                self.fault(item.at, &message, "write http://host:port")
            })?;
            proxies.by_key.insert(key.clone(), SecretUrl::new(url));
        }
        if proxies.is_empty() {
            return Ok(proxies);
        }
        for scheme in ["http", "https", "all"] {
            let lower = format!("{scheme}_proxy");
            let upper = lower.to_ascii_uppercase();
            let found = [lower, upper]
                .iter()
                .find_map(|name| Some((self.surroundings.text(name)?, name.clone())));
            let Some((text, name)) = found else {
                continue;
            };
            let url = Url::parse(text).map_err(|error| SettingsError::Variable {
                name,
                message: format!("it is no URL: {error}"),
            })?;
            proxies
                .by_key
                .insert(scheme.to_owned(), SecretUrl::new(url));
        }
        let none_for = ["no_proxy", "NO_PROXY"];
        proxies.none_for = none_for
            .iter()
            .find_map(|name| self.surroundings.text(name).map(str::to_owned));
        Ok(proxies)
    }

    fn credentials(&self) -> Result<Credentials, SettingsError> {
        let home = &self.surroundings.home;
        let named = |name: &str| {
            let path = self.surroundings.text(name)?;
            Some(Keeper {
                path: self.surroundings.path(path),
                is_named: true,
            })
        };
        let usual = |below: &str| Keeper {
            path: home.join(below),
            is_named: false,
        };
        let mut files: Vec<Keeper> = named("RATTLER_AUTH_FILE").into_iter().collect();
        files.push(usual(".rattler/credentials.json"));
        let adds_token = self.truth("add_anaconda_token")?;
        // libdbus starts a program where nobody says where the bus is.
        let bus = self.surroundings.variable("DBUS_SESSION_BUS_ADDRESS");
        Ok(Credentials {
            files,
            netrc: Some(named("NETRC").unwrap_or_else(|| usual(".netrc"))),
            anaconda: adds_token
                .is_none_or(|said| said.value)
                .then(|| self.anaconda_tokens()),
            has_keyring: bus.is_some() || !cfg!(target_os = "linux"),
        })
    }

    /// `_get_binstar_token_directory` in conda's conda/gateways/anaconda_client.py.
    fn anaconda_tokens(&self) -> std::path::PathBuf {
        let folder = |name: &str| self.surroundings.variable(name).map(Path::new);
        match (folder("BINSTAR_CONFIG_DIR"), folder("XDG_CONFIG_HOME")) {
            (Some(folder), _) => folder.join("data"),
            (None, Some(folder)) => folder.join("binstar"),
            (None, None) => self.surroundings.home.join(".config/binstar"),
        }
    }
}

/// The text without the secret of a URL, which is remembered.
fn entrusted(routes: &mut Routes, text: &str) -> String {
    match Url::parse(text) {
        Ok(url) if text.contains("://") => routes.entrust(&url).to_string(),
        _ => text.to_owned(),
    }
}

fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" | "1" => Some(true),
        "false" | "no" | "off" | "n" | "0" | "none" => Some(false),
        _ => None,
    }
}
