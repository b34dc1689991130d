//! A kernelspec: what a `kernel.json` holds, and how it is changed so that
//! Jupyter starts the kernel in its own prefix with its own environment.
//!
//! The document is kept as it was written, unknown fields and their order
//! included; only what has to change is changed. Sources: `jupyter_client`'s
//! `kernelspec.py`, `manager.py` (`format_kernel_cmd`) and
//! `provisioning/provisioner_base.py` (`pre_launch`).

use std::collections::BTreeMap;

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use super::mark::Mark;

/// How Jupyter interrupts a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InterruptMode {
    /// By SIGINT to its process group.
    #[default]
    Signal,
    /// By an `interrupt_request` on its control channel.
    Message,
}

/// The document of a `kernel.json` that Jupyter would accept.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelSpec {
    pub(super) document: Map<String, Value>,
}

/// A `kernel.json` that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error, Diagnostic)]
pub enum KernelSpecError {
    /// It is not JSON.
    #[error("kernel.json is not valid JSON: {reason}")]
    #[diagnostic(help("the package that brought it is broken: reinstall it or report it"))]
    Json {
        /// What the parser says.
        reason: String,
    },
    /// A field has a value that Jupyter could not use.
    #[error("the field `{field}` of kernel.json is not {expected}")]
    #[diagnostic(help("the package that brought it is broken: reinstall it or report it"))]
    Field {
        /// The field.
        field: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// Nothing here can limit a kernel's memory.
    #[error("there is no `prlimit` in /usr/bin, which limits a kernel's memory")]
    #[diagnostic(help("take `memory` out of the kernel's limits, or install util-linux"))]
    NoPrlimit,
    /// Nothing here can keep a kernel from the server's variables.
    #[error("there is no `env` in /usr/bin, which keeps a kernel from the environment's variables")]
    #[diagnostic(help("install coreutils, or take `isolated` out of the kernel"))]
    NoEnv,
    /// The program is neither absolute nor in the prefix.
    #[error("the kernel's program `{program}` is not in {prefix}/bin")]
    #[diagnostic(help("add the package that brings `{program}` to the kernel's dependencies"))]
    Program {
        /// The first word of argv.
        program: String,
        /// The prefix that was looked into.
        prefix: String,
    },
    /// The program is absolute, and none.
    #[error("the kernel's program {program} is no executable file")]
    #[diagnostic(help(
        "let its definition name a program of the prefix: a bare `name`, or {{prefix}}/…"
    ))]
    NoProgram {
        /// The first word of argv.
        program: String,
    },
    /// The command or a variable names a folder that is there for the installer alone.
    #[error("its kernelspec names {path}, which is deleted when the installer has ended")]
    #[diagnostic(help("let the installer put what the kernel needs below {{prefix}}"))]
    Gone {
        /// The folder.
        path: String,
    },
    /// The program of a kernel from Nix is no program.
    #[error("the kernel's program `{program}` is not in the store: there is no executable {path}")]
    #[diagnostic(help(
        "let its kernel.json name it by its path there: ${{pkgs.program}}/bin/program"
    ))]
    StoreProgram {
        /// The first word of argv.
        program: String,
        /// Where it was looked for.
        path: String,
    },
}

impl KernelSpec {
    /// Reads a `kernel.json`.
    pub fn parse(text: &str) -> Result<Self, KernelSpecError> {
        let document: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| KernelSpecError::Json {
                reason: error.to_string(),
            })?;
        let is = |field, expected, judge: fn(&Value) -> bool| match document.get(field) {
            Some(value) if !judge(value) => Err(KernelSpecError::Field { field, expected }),
            _ => Ok(()),
        };
        let texts = |value: &Value| {
            value
                .as_array()
                .is_some_and(|all| !all.is_empty() && all.iter().all(Value::is_string))
        };
        is("argv", "a list of texts with a program in front", texts)?;
        is("display_name", "a text", Value::is_string)?;
        is("language", "a text", Value::is_string)?;
        is("metadata", "a mapping", Value::is_object)?;
        is("interrupt_mode", "`signal` or `message`", |value| {
            mode(value).is_some()
        })?;
        is("env", "a mapping of texts", |value| {
            value
                .as_object()
                .is_some_and(|all| all.values().all(Value::is_string))
        })?;
        if !document.contains_key("argv") {
            let (field, expected) = ("argv", "there");
            return Err(KernelSpecError::Field { field, expected });
        }
        Ok(Self { document })
    }

    /// One of which nothing is known but how to start it.
    pub fn of(argv: &[String], display_name: &str, language: &str) -> Self {
        let fields: [(&str, Value); 3] = [
            ("argv", argv.to_vec().into()),
            ("display_name", display_name.into()),
            ("language", language.into()),
        ];
        let document = fields.map(|(name, value)| (name.to_owned(), value));
        Self {
            document: Map::from_iter(document),
        }
    }

    /// The same from another folder: where its command and its variables name files in
    /// the old one, they name them in the new one.
    #[must_use]
    pub fn moved(&self, from: &str, to: &str) -> Self {
        let mut document = self.document.clone();
        for field in ["argv", "env"] {
            let texts: Vec<&mut Value> = match document.get_mut(field) {
                Some(Value::Array(all)) => all.iter_mut().collect(),
                Some(Value::Object(all)) => all.values_mut().collect(),
                _ => Vec::new(),
            };
            for text in texts {
                if let Value::String(text) = text {
                    *text = text.replace(from, to);
                }
            }
        }
        Self { document }
    }

    /// The command, with `{connection_file}` and `{resource_dir}` in it.
    pub fn argv(&self) -> Vec<&str> {
        let words = self.document.get("argv").and_then(Value::as_array);
        words
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    /// Whether its command or a variable names a path.
    pub fn names(&self, path: &str) -> bool {
        let env = self.env();
        let mut texts = self
            .argv()
            .into_iter()
            .chain(env.values().map(String::as_str));
        texts.any(|text| text.contains(path))
    }

    /// The variables, as templates that Jupyter fills in.
    pub fn env(&self) -> BTreeMap<String, String> {
        let variables = self.document.get("env").and_then(Value::as_object);
        let text =
            |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        variables.into_iter().flatten().filter_map(text).collect()
    }

    /// The name that a launcher shows.
    pub fn display_name(&self) -> &str {
        self.document
            .get("display_name")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The language.
    pub fn language(&self) -> &str {
        self.document
            .get("language")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// How the kernel is interrupted.
    pub fn interrupt_mode(&self) -> InterruptMode {
        self.document
            .get("interrupt_mode")
            .and_then(mode)
            .unwrap_or_default()
    }

    /// envspec's mark, if the kernelspec bears one.
    pub fn mark(&self) -> Option<Mark> {
        let mark = self.document.get("metadata")?.get("envspec")?;
        Mark::deserialize(mark).ok()
    }

    /// The kernelspec to register for the user: with envspec's mark, and with
    /// the environment's name in the one that a launcher shows, unless
    /// `display_name` says what to show.
    #[must_use]
    pub fn marked(&self, mark: &Mark, display_name: Option<&str>) -> Self {
        let mut document = self.document.clone();
        let shown = display_name.map_or_else(
            || format!("{} ({})", self.display_name(), mark.environment),
            str::to_owned,
        );
        document.insert("display_name".to_owned(), shown.into());
        if let Ok(mark) = serde_json::to_value(mark) {
            metadata(&mut document).insert("envspec".to_owned(), mark);
        }
        Self { document }
    }

    /// Whether its channels can be unix sockets.
    pub fn can_ipc(&self) -> bool {
        let known = self
            .document
            .get("metadata")
            .and_then(|all| all.get(TRANSPORT));
        let known = known.and_then(Value::as_array);
        known.is_some_and(|all| all.iter().any(|word| word == "ipc"))
    }

    /// The text of the file, with a newline at its end.
    pub fn to_json(&self) -> String {
        let mut text = format!("{:#}", Value::Object(self.document.clone()));
        text.push('\n');
        text
    }
}

/// The field of the metadata that lists the transports which a kernel knows,
/// beside `jupyter_client`'s own `supported_encryption`.
pub(super) const TRANSPORT: &str = "supported_transport";

/// The metadata of a document, which [`KernelSpec::parse`] has seen to be a mapping.
pub(super) fn metadata(document: &mut Map<String, Value>) -> &mut Map<String, Value> {
    let metadata = document
        .entry("metadata")
        .or_insert_with(|| Map::new().into());
    metadata.as_object_mut().expect("a mapping, as was checked")
}

/// Reads an interrupt mode as Jupyter does, whatever its case.
fn mode(value: &Value) -> Option<InterruptMode> {
    match value.as_str()?.to_ascii_lowercase().as_str() {
        "signal" => Some(InterruptMode::Signal),
        "message" => Some(InterruptMode::Message),
        _ => None,
    }
}
