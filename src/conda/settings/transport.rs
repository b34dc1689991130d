//! How servers are spoken to: certificates, proxies, patience, passwords. What is said
//! only; [`crate::conda`]'s client carries it out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::secret::SecretUrl;

/// How servers are spoken to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Transport {
    /// Whose certificates are good.
    pub(crate) verify: Verify,
    /// The certificate to show, its key if that is another file, and who says so.
    pub(crate) identity: Option<(PathBuf, Option<PathBuf>, String)>,
    pub(crate) proxies: Proxies,
    /// How long to wait for a connection.
    pub(crate) connect_timeout: Option<Duration>,
    /// How long a server may be silent.
    pub(crate) read_timeout: Option<Duration>,
    /// How often to ask again.
    pub(crate) retries: Option<usize>,
    pub(crate) credentials: Credentials,
}

impl Transport {
    /// What other programs know of it, as variables: one proxy a scheme, the certificates,
    /// the certificate to show where it is one file with its key, the patience.
    pub(super) fn for_programs(&self) -> Vec<(&'static str, String)> {
        let mut variables = Vec::new();
        let mut set = |name, value: Option<String>| {
            variables.extend(value.map(|value| (name, value)));
        };
        let proxy = |scheme: &str| {
            let found = self.proxies.by_key.get(scheme);
            let found = found.or_else(|| self.proxies.by_key.get("all"));
            found.map(|url| url.exposed().to_string())
        };
        set("HTTP_PROXY", proxy("http"));
        set("HTTPS_PROXY", proxy("https"));
        set("NO_PROXY", self.proxies.none_for.clone());
        let path = |path: &PathBuf| path.to_str().map(str::to_owned);
        if let Verify::These { path: given, .. } = &self.verify {
            let name = if given.is_dir() {
                "SSL_CERT_DIR"
            } else {
                "SSL_CERT_FILE"
            };
            set(name, path(given));
        }
        if let Some((certificate, None, _)) = &self.identity {
            set("SSL_CLIENT_CERT", path(certificate));
        }
        let seconds = |patience: Duration| patience.as_secs().max(1).to_string();
        set("UV_HTTP_TIMEOUT", self.read_timeout.map(seconds));
        variables
    }
}

/// Whose certificates are good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Verify {
    /// Those that the system trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` count).
    #[default]
    System,
    /// Those of a file, or of the files of a folder, and no others.
    These {
        /// The file or folder.
        path: PathBuf,
        /// Who says so.
        by: String,
    },
    /// Nobody is asked who they are.
    Nobody {
        /// Who says so.
        by: String,
    },
}

/// Which proxy is for which URL; empty leaves it to the environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proxies {
    /// By what requests calls a key: `https://host`, `https`, `all://host`, `all`.
    pub(super) by_key: BTreeMap<String, SecretUrl>,
    /// Hosts without one, as in `NO_PROXY`.
    pub(crate) none_for: Option<String>,
}

impl Proxies {
    /// Whether nothing is said.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// The proxy of a URL: the most specific key counts (`select_proxy` in
    /// requests/utils.py, which conda asks).
    pub(crate) fn of(&self, url: &Url) -> Option<&SecretUrl> {
        let (scheme, host) = (url.scheme(), url.host_str().unwrap_or_default());
        let keys = [
            format!("{scheme}://{host}"),
            scheme.to_owned(),
            format!("all://{host}"),
            "all".to_owned(),
        ];
        keys.iter().find_map(|key| self.by_key.get(key))
    }
}

/// Where passwords and tokens are kept, in the order in which they are asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Credentials {
    /// Files in rattler's form; whether the user named them.
    pub(crate) files: Vec<Keeper>,
    /// A `.netrc`.
    pub(crate) netrc: Option<Keeper>,
    /// The tokens of `anaconda login`.
    pub(crate) anaconda: Option<PathBuf>,
    /// Whether the system's keyring can be asked without starting programs.
    pub(crate) has_keyring: bool,
}

/// A file with passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keeper {
    pub(crate) path: PathBuf,
    /// It was named, and is not just looked for at its usual place.
    pub(crate) is_named: bool,
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::{Proxies, SecretUrl};

    /// The order of `select_proxy` (psf/requests src/requests/utils.py).
    #[test]
    fn the_most_specific_proxy_counts() {
        let url = |text: &str| Url::parse(text).unwrap();
        let mut proxies = Proxies::default();
        for key in ["https://a.org", "https", "all://b.org", "all"] {
            let proxy = url(&format!(
                "http://{}.proxy",
                key.replace([':', '/', '.'], "-")
            ));
            proxies.by_key.insert(key.to_owned(), SecretUrl::new(proxy));
        }
        for (asked, expected) in [
            ("https://a.org/x", "http://https---a-org.proxy/"),
            ("https://b.org/x", "http://https.proxy/"),
            ("http://b.org/x", "http://all---b-org.proxy/"),
            ("http://c.org:81/x", "http://all.proxy/"),
        ] {
            let proxy = proxies.of(&url(asked)).unwrap();
            assert_eq!(proxy.exposed().as_str(), expected, "{asked}");
        }
    }
}
