//! One entry of the catalogue: which packages bring a kernel, where its
//! kernelspec comes from, and how to see that it works.
//!
//! The form is closed: an unknown key is an error that names the file and the
//! line, because a typing mistake in `interrupt` would otherwise pass as a
//! kernel without one. Every text that ends in an argv is one argument and is
//! never read by a shell.

use std::collections::BTreeMap;

use miette::Diagnostic;
use rattler_conda_types::{MatchSpec, ParseStrictness};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use super::kernelspec::InterruptMode;
use super::source::{Argv, KernelspecSource};

/// The identifier of a definition: `[a-z0-9._-]`, the first one a letter or a
/// digit. Also the stem of its file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct KernelId(String);

/// A conda requirement that a kernel adds to the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelPackage {
    /// The requirement as conda understands it.
    pub spec: MatchSpec,
    /// The requirement as the definition writes it.
    pub text: String,
}

/// A cell that shows that the kernel computes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smoke {
    /// The cell.
    pub code: String,
    /// What it prints or evaluates to, blanks at both ends aside.
    pub expect: String,
}

/// How to see that a running cell can be stopped.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interrupt {
    /// A cell that prints something at once and then would run for minutes.
    Cell(String),
    /// The kernel can't be interrupted, for this reason.
    Unsupported(String),
}

/// How much of a definition has been seen to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Installed and run by the tests.
    Tested,
    /// Written from the package's recipe and source; not run.
    RecipeOnly,
    /// Its installer downloads from outside conda's channels.
    NeedsNetwork,
    /// Runs a program that has to be bought, and is not in its packages.
    Licensed,
    /// Its project has ended, or no package of it works.
    Obsolete,
}

/// A kernel of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelDefinition {
    /// Its identifier, which a spec writes under `kernels`.
    pub id: KernelId,
    /// Other names that it is asked for by.
    #[serde(default)]
    pub aliases: Vec<KernelId>,
    /// The language, as Jupyter's `language` has it.
    pub language: String,
    /// The name that a launcher shows.
    pub display_name: String,
    /// One line about it.
    pub summary: String,
    /// Where its project lives.
    pub homepage: url::Url,
    /// The packages that it needs in its prefix.
    pub packages: Vec<KernelPackage>,
    /// Where its kernelspec comes from.
    pub kernelspec: KernelspecSource,
    /// The command that adds packages of the kernel's own language, which the spec
    /// lists under `packages`; each follows as an argument of its own.
    #[serde(default)]
    pub add_packages: Option<Argv>,
    /// The way it is interrupted, where its own kernelspec has that wrong.
    #[serde(default)]
    pub interrupt_mode: Option<InterruptMode>,
    /// Whether its channels can be unix sockets (`transport: ipc` in Jupyter's
    /// connection file), which a folder's mode keeps from other users.
    #[serde(default)]
    pub ipc: bool,
    /// Variables of the kernel, as templates that Jupyter fills in (`${HOME}`).
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The cell that shows that it computes.
    pub smoke: Smoke,
    /// How to see that it can be interrupted.
    pub interrupt: Interrupt,
    /// How much of this has been seen to work.
    pub state: State,
    /// The attribute of nixpkgs that has the kernel, for those who leave for Nix.
    #[serde(default)]
    pub nixpkgs: Option<String>,
    /// What else is worth knowing.
    #[serde(default)]
    pub notes: Option<String>,
    /// The file that this was read from: kept with what is made by it.
    #[serde(skip)]
    pub text: String,
}

/// A definition that can't be used.
#[derive(Debug, Error, Diagnostic)]
pub enum DefinitionError {
    /// The text is not YAML, or not of this form.
    #[error("{file}:{line}:{column}: {message}")]
    #[diagnostic(help("copy the form from one that works: envspec kernels show python --yaml"))]
    Form {
        /// The file's name.
        file: String,
        /// The line, counted from 1.
        line: u64,
        /// The column, counted from 1.
        column: u64,
        /// What is wrong there.
        message: String,
    },
    /// The identifier and the file's name differ.
    #[error("{file}: the file is named for `{stem}`, the kernel in it is `{id}`")]
    #[diagnostic(help("rename the file to `{id}.yaml`, or change its `id`"))]
    FileName {
        /// The file's name.
        file: String,
        /// The name without its ending.
        stem: String,
        /// The identifier in the file.
        id: String,
    },
}

impl KernelDefinition {
    /// Reads a definition; `file` is the name that errors give.
    pub fn parse(file: &str, text: &str) -> Result<Self, DefinitionError> {
        let options = serde_yaml::options! { with_snippet: false };
        let mut definition: Self =
            serde_yaml::from_str_with_options(text, options).map_err(|error| {
                let place = error.location();
                DefinitionError::Form {
                    file: file.to_owned(),
                    line: place.map_or(1, |at| at.line()),
                    column: place.map_or(1, |at| at.column()),
                    message: without_place(&error),
                }
            })?;
        let stem = file.rsplit('/').next().unwrap_or(file);
        let stem = stem
            .strip_suffix(".yaml")
            .or(stem.strip_suffix(".yml"))
            .unwrap_or(stem);
        if stem != definition.id.as_str() {
            return Err(DefinitionError::FileName {
                file: file.to_owned(),
                stem: stem.to_owned(),
                id: definition.id.0,
            });
        }
        text.clone_into(&mut definition.text);
        Ok(definition)
    }

    /// Whether this is one of its other names.
    pub fn is_also(&self, name: &str) -> bool {
        self.aliases.iter().any(|alias| alias.as_str() == name)
    }
}

/// What the parser says, without the place that it adds at the end.
fn without_place(error: &serde_yaml::Error) -> String {
    let message = error.to_string();
    match message.rfind(" at line ") {
        Some(end) => message[..end].to_owned(),
        None => message,
    }
}

impl KernelId {
    /// Checks a text and makes it an identifier; `None` if it breaks the rule.
    pub fn new(text: &str) -> Option<Self> {
        let first = text.bytes().next()?;
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        (first.is_ascii_alphanumeric() && text.bytes().all(allowed)).then(|| Self(text.to_owned()))
    }

    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for KernelId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a text and makes it something that only valid texts can be made.
pub(super) fn checked<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    rule: &str,
    make: impl FnOnce(&str) -> Option<T>,
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    make(&text).ok_or_else(|| D::Error::custom(format!("`{text}` {rule}")))
}

impl<'de> Deserialize<'de> for KernelId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        checked(
            deserializer,
            "is no kernel id: it takes `a-z`, `0-9`, `.`, `_` and `-`",
            Self::new,
        )
    }
}

impl<'de> Deserialize<'de> for KernelPackage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let spec = MatchSpec::from_str(&text, ParseStrictness::Lenient)
            .map_err(|error| D::Error::custom(format!("`{text}` is no MatchSpec: {error}")))?;
        Ok(Self { spec, text })
    }
}
