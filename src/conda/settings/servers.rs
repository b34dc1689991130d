//! What conda's configuration says of servers: certificates, proxies, patience, and
//! where passwords are kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use super::condarc::Said as Written;
use super::error::SettingsError;
use super::meaning::{Conda, truth};
use super::secret::SecretUrl;
use super::transport::{Credentials, Keeper, Proxies, Transport, Verify};

impl Conda<'_> {
    pub(super) fn transport(&self) -> Result<Transport, SettingsError> {
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

    /// `_get_binstar_token_directory` in conda's `conda/gateways/anaconda_client.py`.
    fn anaconda_tokens(&self) -> PathBuf {
        let folder = |name: &str| self.surroundings.variable(name).map(Path::new);
        match (folder("BINSTAR_CONFIG_DIR"), folder("XDG_CONFIG_HOME")) {
            (Some(folder), _) => folder.join("data"),
            (None, Some(folder)) => folder.join("binstar"),
            (None, None) => self.surroundings.home.join(".config/binstar"),
        }
    }
}
