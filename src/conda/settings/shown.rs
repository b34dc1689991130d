//! The configuration as people and programs may see it.

use serde::Serialize;
use url::Url;

use super::{Settings, Verify};

/// What was read and what it changes; no secret is in it.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// What was read, what counts most last.
    pub files: Vec<ShownFile>,
    /// Channels that are asked for elsewhere than their URL says.
    pub places: Vec<ShownPlace>,
    /// Proxies by what they are for: scheme, host and port.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub proxies: std::collections::BTreeMap<String, String>,
    /// Whose certificates are good, if not those that the system trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificates: Option<String>,
    /// The certificate that servers are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<std::path::PathBuf>,
    /// How many URLs have a password or a token.
    pub secrets: usize,
    /// Whether no network is used.
    pub offline: bool,
    /// What is said and not followed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_followed: Vec<ShownIgnored>,
}

/// A file, or variables.
#[derive(Debug, Serialize)]
pub struct ShownFile {
    /// Its path, or the variables' names.
    pub name: String,
    /// The keys that are followed.
    pub keys: Vec<String>,
}

/// What begins with one URL is asked for at others.
#[derive(Debug, Serialize)]
pub struct ShownPlace {
    /// As the lock has it.
    pub channel: Url,
    /// Where it is asked for.
    pub asked_at: Vec<Url>,
}

/// A key that changes nothing.
#[derive(Debug, Serialize)]
pub struct ShownIgnored {
    /// The key.
    pub key: String,
    /// Who says it.
    pub by: String,
    /// Why it is not followed.
    pub why: &'static str,
}

impl Settings {
    /// The configuration for people; `None` if there is none.
    pub fn shown(&self) -> Option<Shown> {
        if self.sources.is_empty() {
            return None;
        }
        let proxies = self.transport.proxies.by_key.iter();
        Some(Shown {
            files: self
                .sources
                .iter()
                .map(|(name, keys)| ShownFile {
                    name: name.clone(),
                    keys: keys.clone(),
                })
                .collect(),
            places: self
                .routes
                .rules()
                .into_iter()
                .map(|(channel, asked_at)| ShownPlace { channel, asked_at })
                .collect(),
            proxies: proxies
                .map(|(key, url)| {
                    let url = url.clean();
                    let port = url.port().map(|port| format!(":{port}"));
                    let host = url.host_str().unwrap_or_default().to_owned();
                    (key.clone(), host + &port.unwrap_or_default())
                })
                .collect(),
            certificates: match &self.transport.verify {
                Verify::System => None,
                Verify::These { path, .. } => Some(path.display().to_string()),
                Verify::Nobody { .. } => Some("not checked".to_owned()),
            },
            client_certificate: self
                .transport
                .identity
                .as_ref()
                .map(|(path, ..)| path.clone()),
            secrets: self.routes.secrets(),
            offline: self.offline.is_some(),
            not_followed: self
                .not_followed
                .iter()
                .map(|(key, by, why)| ShownIgnored {
                    key: key.clone(),
                    by: by.clone(),
                    why,
                })
                .collect(),
        })
    }
}
