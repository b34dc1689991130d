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

/// The name of a kernelspec's folder, in which one `*` may stand for anything
/// (`julia-*`: Julia writes its version there).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct KernelDir(String);

/// Where a kernelspec comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum KernelspecSource {
    /// A package brings it, in `share/jupyter/kernels`.
    Shipped {
        /// Its folder there.
        dir: KernelDir,
    },
    /// A program of the prefix writes it.
    ///
    /// It runs in the activated prefix with HOME, `XDG_DATA_HOME` and
    /// `JUPYTER_DATA_DIR` inside a staging folder (Deno looks at the second
    /// only, `IJulia` at the third), from which the kernelspec is taken. If a
    /// package already brings a folder that matches, that one is used and
    /// nothing runs.
    Installer {
        /// The command; its first word is an executable of the prefix.
        argv: Vec<String>,
        /// The folder that it makes.
        dir: KernelDir,
        /// Variables for this command alone, as literal values.
        #[serde(default)]
        env: BTreeMap<String, String>,
    },
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
    /// Its project has ended.
    Obsolete,
}

/// A kernel of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelDefinition {
    /// Its identifier, which a spec writes under `kernels`.
    pub id: KernelId,
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
    /// What else is worth knowing.
    #[serde(default)]
    pub notes: Option<String>,
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
        let definition: Self =
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
        Ok(definition)
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

impl KernelDir {
    /// Checks a text and makes it a folder's name; `None` if it could be
    /// anything but one plain folder.
    pub fn new(text: &str) -> Option<Self> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-*".contains(c);
        let plain = !text.starts_with('.') && text.chars().all(allowed);
        (plain && !text.is_empty() && text.matches('*').count() <= 1).then(|| Self(text.to_owned()))
    }

    /// Whether a folder of this name is meant.
    pub fn matches(&self, name: &str) -> bool {
        match self.0.split_once('*') {
            None => name == self.0,
            Some((start, end)) => {
                name.len() >= start.len() + end.len()
                    && name.starts_with(start)
                    && name.ends_with(end)
            }
        }
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reads a text and makes it something that only valid texts can be made.
fn checked<'de, D: Deserializer<'de>, T>(
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

impl<'de> Deserialize<'de> for KernelDir {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        checked(
            deserializer,
            "is no name of a folder, with at most one `*`",
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

#[cfg(test)]
mod tests {
    use super::*;

    const BASH: &str = include_str!("../../kernels/bash.yaml");

    /// The error that a definition gives after one change to a good one.
    fn error_after(from: &str, to: &str) -> String {
        let text = BASH.replace(from, to);
        assert_ne!(text, BASH, "nothing was changed");
        KernelDefinition::parse("mine/bash.yaml", &text)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_definition_says_what_a_kernel_needs() {
        let bash = KernelDefinition::parse("bash.yaml", BASH).unwrap();
        assert_eq!(bash.packages[0].text, "bash_kernel");
        assert!(
            matches!(&bash.kernelspec, KernelspecSource::Shipped { dir } if dir.as_str() == "bash")
        );
        assert!(matches!(&bash.interrupt, Interrupt::Cell(code) if code.contains("sleep")));
    }

    #[test]
    fn every_mistake_is_reported_with_file_and_line() {
        for (from, to, place, part) in [
            ("smoke:", "smokes:", "mine/bash.yaml:9:", "smokes"),
            ("{dir: bash}", "{dirs: bash}", "mine/bash.yaml:8:", "dirs"),
            (
                "{dir: bash}",
                "{dir: ../bash}",
                "mine/bash.yaml:8:",
                "`../bash` is no name",
            ),
            ("shipped:", "stolen:", "mine/bash.yaml:8:", "stolen"),
            (
                "[bash_kernel]",
                "[\"bash_kernel >=\"]",
                "mine/bash.yaml:6:",
                "MatchSpec",
            ),
            (
                "id: bash",
                "id: Bash",
                "mine/bash.yaml:1:",
                "`Bash` is no kernel id",
            ),
            (
                "state: tested",
                "state: perfect",
                "mine/bash.yaml:14:",
                "perfect",
            ),
            (
                "language: bash",
                "id: bash",
                "mine/bash.yaml:2:",
                "uplicate",
            ),
        ] {
            let error = error_after(from, to);
            assert!(error.starts_with(place), "{to}: {error}");
            assert!(error.contains(part), "{to}: {error}");
            assert_eq!(
                error.matches("line").count(),
                0,
                "the place is said once: {error}"
            );
        }
    }

    #[test]
    fn a_file_is_named_after_its_kernel() {
        let error = KernelDefinition::parse("fish.yaml", BASH).unwrap_err();
        assert!(matches!(error, DefinitionError::FileName { stem, .. } if stem == "fish"));
    }

    #[test]
    fn a_folder_pattern_matches_one_folders_name() {
        let pattern = KernelDir::new("julia-*").unwrap();
        assert!(pattern.matches("julia-1.12") && pattern.matches("julia-"));
        assert!(!pattern.matches("julia") && !pattern.matches("xjulia-1"));
        assert!(KernelDir::new("ir").unwrap().matches("ir"));
        for bad in ["", "a/b", "..", "*-*", "a b"] {
            assert!(KernelDir::new(bad).is_none(), "{bad}");
        }
    }
}
