//! The `config.toml` that tools on rattler share, and pixi's own.
//!
//! rattler says where it is and what its keys mean (`rattler_config`); here it is only
//! read with the same care as a `.condarc`.

use std::sync::Arc;

use miette::NamedSource;
use rattler_config::config::{CommonConfig, Config as _, ConfigBase, NoExtension};
use rattler_config::locations::config_search_paths;

use super::error::SettingsError;
use super::places::{Surroundings, read};
use crate::spec;

/// What all files say together.
#[derive(Debug)]
pub(super) struct Rattler {
    pub(super) config: CommonConfig,
    /// The files that were there, each with its keys.
    pub(super) files: Vec<(String, Vec<String>)>,
}

/// Top-level keys that are followed, as they are written in a file.
const FOLLOWED: [&str; 5] = [
    "authentication-override-file",
    "default-channels",
    "mirrors",
    "proxy-config",
    "tls-no-verify",
];

/// Keys that change what is installed or where from, why they change nothing here.
const NOT_FOLLOWED: [(&str, &str); 4] = [
    ("exclude-newer", "a spec is solved alike on every machine"),
    ("s3-options", "envspec asks no channels on S3"),
    ("tls-root-certs", "the system's certificates count"),
    (
        "run-post-link-scripts",
        "the spec says whose are run: `post_link:`",
    ),
];

impl Rattler {
    /// Reads what is there; `None` if nothing is.
    pub(super) fn read(surroundings: &Surroundings) -> Result<Option<Self>, SettingsError> {
        let mut texts = Vec::new();
        for location in config_search_paths("pixi") {
            texts.extend(read(&location.path)?);
        }
        if texts.is_empty() {
            return Ok(None);
        }
        if surroundings.base.as_os_str().is_empty() {
            // The library begins relative paths there, and panics without.
            return Err(SettingsError::Unreadable {
                path: texts.swap_remove(0).0,
                why: "the working directory is gone".to_owned(),
            });
        }
        let mut config = CommonConfig::default();
        let mut files = Vec::new();
        for (path, text) in texts {
            let name = path.display().to_string();
            let fault = |message: String, span: Option<std::ops::Range<usize>>| {
                let hidden = spec::masked(&text);
                SettingsError::Toml {
                    message: spec::masked(&message),
                    text: Arc::new(NamedSource::new(&name, hidden).with_language("toml")),
                    span: span.map(Into::into),
                }
            };
            let (read, _) = ConfigBase::<NoExtension>::from_toml_str_shared(&text)
                .map_err(|error| fault(first_line(error.message()), error.span()))?;
            config = config
                .merge_config(&read)
                .map_err(|error| fault(error.to_string(), None))?;
            files.push((name, keys(&text)));
        }
        Ok(Some(Self { config, files }))
    }

    /// The keys of a file that are followed.
    pub(super) fn followed(keys: &[String]) -> Vec<String> {
        let is_known = |key: &&String| FOLLOWED.contains(&key.as_str());
        keys.iter().filter(is_known).cloned().collect()
    }

    /// Those that matter and are not followed, and why.
    pub(super) fn not_followed(keys: &[String]) -> Vec<(String, &'static str)> {
        let known = |key: &String| {
            let (name, why) = NOT_FOLLOWED.iter().find(|(name, _)| name == key)?;
            Some(((*name).to_owned(), *why))
        };
        keys.iter().filter_map(known).collect()
    }
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}

/// The names of a text's keys and tables, before any dot. The text was read before, so
/// this needs to know nothing of TOML but how a line begins; what is within a longer
/// value is no key that anybody looks for.
fn keys(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    let words = lines.filter_map(|line| {
        let line = line.trim_start_matches('[').trim_start_matches(['"', '\'']);
        let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))?;
        Some(line[..end].replace('_', "-"))
    });
    words.filter(|word| !word.is_empty()).collect()
}
