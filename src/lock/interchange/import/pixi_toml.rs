//! `pixi.toml`, and `[tool.pixi]` of a `pyproject.toml`: what maps to a spec; the rest
//! is listed by its key.

use rattler_conda_types::Subdir;
use rattler_lock::DEFAULT_ENVIRONMENT_NAME;
use toml::{Table, Value};

use super::pypi_toml::pypi_requirement;
use super::{Asked, ImportError, Imported, ask};
use crate::lock::interchange::text::one_line;

/// Which file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manifest {
    /// `pixi.toml`.
    Pixi,
    /// `pyproject.toml`.
    Pyproject,
}

impl Manifest {
    fn what(self) -> &'static str {
        match self {
            Self::Pixi => "a pixi.toml",
            Self::Pyproject => "a pyproject.toml with [tool.pixi]",
        }
    }
}

/// Reads a manifest: its default feature.
///
/// # Errors
/// It is no TOML, or nothing in it is pixi's.
pub fn manifest_of_pixi(
    name: &str,
    text: &str,
    manifest: Manifest,
) -> Result<Imported, ImportError> {
    let what = manifest.what();
    let root: Table = text
        .parse()
        .map_err(|error: toml::de::Error| ImportError::form(name, what, error.message()))?;
    let pixi = match manifest {
        Manifest::Pixi => Some(&root),
        Manifest::Pyproject => root
            .get("tool")
            .and_then(|tool| tool.get("pixi"))
            .and_then(Value::as_table),
    };
    let workspace =
        pixi.and_then(|pixi| table(pixi, "workspace").or_else(|| table(pixi, "project")));
    let (Some(pixi), Some(workspace)) = (pixi, workspace) else {
        return Err(ImportError::form(
            name,
            what,
            "it has no table `workspace` or `project` of pixi's",
        ));
    };
    let mut reading = Reading::default();
    reading.workspace(workspace);
    if manifest == Manifest::Pyproject {
        reading.pyproject(&root);
    }
    for (key, value) in pixi {
        reading.section(key, value);
    }
    let mut imported = reading.imported;
    imported.asked.dedup_by(|a, b| a.text == b.text);
    Ok(imported)
}

/// What was read until now.
#[derive(Default)]
struct Reading {
    imported: Imported,
}

impl Reading {
    fn left_out(&mut self, what: impl std::fmt::Display) {
        self.imported.left_out.push(one_line(&what.to_string()));
    }

    fn workspace(&mut self, workspace: &Table) {
        for (key, value) in workspace {
            match (key.as_str(), value) {
                ("name", Value::String(name)) => self.imported.name = Some(name.clone()),
                ("channels", Value::Array(channels)) => self.channels(channels),
                ("platforms", Value::Array(platforms)) => self.platforms(platforms),
                _ => self.left_out(format!("workspace.{key}")),
            }
        }
    }

    /// Names and URLs, or tables with a priority: the highest first, 0 if not said.
    fn channels(&mut self, channels: &[Value]) {
        let mut found: Vec<(i64, String)> = Vec::new();
        for channel in channels {
            match channel {
                Value::String(name) => found.push((0, name.clone())),
                Value::Table(table) => {
                    let priority = table.get("priority").and_then(Value::as_integer);
                    match table.get("channel").and_then(Value::as_str) {
                        Some(name) => found.push((priority.unwrap_or(0), name.to_owned())),
                        None => self.left_out("a channel without a name"),
                    }
                }
                _ => self.left_out("a channel that is no text"),
            }
        }
        found.sort_by_key(|(priority, _)| std::cmp::Reverse(*priority));
        self.imported.channels = found.into_iter().map(|(_, name)| name).collect();
    }

    fn platforms(&mut self, platforms: &[Value]) {
        for platform in platforms {
            let text = platform.as_str();
            if let Some(platform) = text.and_then(|text| text.parse::<Subdir>().ok()) {
                self.imported.platforms.push(platform);
            } else {
                let name = text.unwrap_or("with a definition of its own");
                self.left_out(format!("the platform {name}"));
            }
        }
    }

    /// `[project]` of a `pyproject.toml`: its dependencies are pixi's default feature's.
    fn pyproject(&mut self, root: &Table) {
        let Some(project) = table(root, "project") else {
            return;
        };
        if self.imported.name.is_none() {
            let name = project.get("name").and_then(Value::as_str);
            self.imported.name = name.map(str::to_owned);
        }
        if let Some(versions) = project.get("requires-python").and_then(Value::as_str) {
            let versions = versions.replace(' ', "");
            self.imported
                .asked
                .push(Asked::plainly(format!("python {versions}")));
        }
        for requirement in array(project, "dependencies") {
            match requirement.as_str() {
                Some(text) => self.imported.pip.push(text.to_owned()),
                None => self.left_out("a requirement in project.dependencies"),
            }
        }
        for key in ["optional-dependencies", "dynamic"] {
            if project.contains_key(key) {
                self.left_out(format!("project.{key}"));
            }
        }
        if root.contains_key("dependency-groups") {
            self.left_out("dependency-groups");
        }
        self.left_out("the project itself, which pixi installs from its folder");
    }

    fn section(&mut self, key: &str, value: &Value) {
        match (key, value) {
            ("workspace" | "project", _) => {}
            ("dependencies" | "host-dependencies" | "build-dependencies", Value::Table(table)) => {
                self.dependencies(key, table);
            }
            ("pypi-dependencies", Value::Table(table)) => self.pypi(key, table),
            ("activation", Value::Table(table)) => self.activation(key, table),
            ("system-requirements", Value::Table(table)) => self.system(table),
            ("target", Value::Table(targets)) => self.targets(targets),
            ("tasks", Value::Table(tasks)) => {
                for task in tasks.keys() {
                    self.left_out(format!("the task {task}"));
                }
            }
            ("feature", Value::Table(features)) => {
                for feature in features.keys() {
                    self.left_out(format!("the feature {feature}"));
                }
            }
            ("environments", Value::Table(environments)) => {
                for (environment, value) in environments {
                    self.environment(environment, value);
                }
            }
            _ => self.left_out(key),
        }
    }

    /// The default environment has the default feature, and may have others.
    fn environment(&mut self, name: &str, value: &Value) {
        let features = value
            .as_array()
            .or_else(|| value.get("features")?.as_array());
        let features = features.into_iter().flatten().filter_map(Value::as_str);
        let features = features.collect::<Vec<_>>().join(", ");
        if name != DEFAULT_ENVIRONMENT_NAME {
            self.left_out(format!("the environment {name}"));
        } else if !features.is_empty() {
            self.left_out(format!("what {name} has of the features {features}"));
        }
    }

    fn dependencies(&mut self, section: &str, table: &Table) {
        for (name, value) in table {
            match conda_requirement(name, value) {
                Some(text) => {
                    // One that an earlier section asks for differently stands twice.
                    let name = ask::name_of(&text).to_owned();
                    let known = |asked: &Asked| ask::name_of(&asked.text) == name;
                    if let Some(earlier) = self.imported.asked.iter().position(known) {
                        let earlier = self.imported.asked.remove(earlier);
                        if earlier.text != text {
                            self.left_out(format!("{} in favour of {text}", earlier.text));
                        }
                    }
                    self.imported.asked.push(Asked::plainly(text));
                }
                None => self.left_out(format!("{section}.{name}, which is built from its sources")),
            }
        }
    }

    fn pypi(&mut self, section: &str, table: &Table) {
        for (name, value) in table {
            match pypi_requirement(name, value) {
                Ok((requirement, without)) => {
                    self.imported.pip.push(requirement);
                    for key in without {
                        self.left_out(format!("{section}.{name}.{key}"));
                    }
                }
                Err(why) => self.left_out(format!("{section}.{name}, {why}")),
            }
        }
    }

    fn activation(&mut self, section: &str, table: &Table) {
        for (key, value) in table {
            let variables = value.as_table().filter(|_| key == "env");
            let Some(variables) = variables else {
                self.left_out(format!("{section}.{key}"));
                continue;
            };
            for (name, value) in variables {
                match plain_text(value) {
                    // pixi fills other variables in, which conda's variables don't.
                    Some(text) if !text.contains('$') => {
                        self.imported.variables.insert(name.clone(), text);
                    }
                    _ => self.left_out(format!("{section}.env.{name}")),
                }
            }
        }
    }

    fn system(&mut self, table: &Table) {
        for (key, value) in table {
            let known = match key.as_str() {
                "libc" => Some("glibc"),
                "cuda" => Some("cuda"),
                "linux" => Some("linux"),
                "archspec" => Some("arch"),
                _ => None,
            };
            // `libc = {family = "glibc", version = "2.28"}` too.
            let text = value.as_table().map_or_else(
                || plain_text(value),
                |libc| libc.get("version").and_then(plain_text),
            );
            match (known, text) {
                (Some(known), Some(text)) => {
                    // A spec's version has two parts at least.
                    let whole = text.contains('.') || known == "arch";
                    let text = if whole { text } else { format!("{text}.0") };
                    self.imported.target.insert(known, text);
                }
                _ => self.left_out(format!("system-requirements.{key}")),
            }
        }
    }

    /// What is for one platform alone is taken if the workspace has no other.
    fn targets(&mut self, targets: &Table) {
        for (selector, value) in targets {
            let all = !self.imported.platforms.is_empty()
                && self
                    .imported
                    .platforms
                    .iter()
                    .all(|platform| is_of(*platform, selector));
            let Some(sections) = value.as_table().filter(|_| all) else {
                self.left_out(format!("what is for {selector} alone"));
                continue;
            };
            for (key, value) in sections {
                self.section(key, value);
            }
        }
    }
}

/// Whether a platform is one that a selector of pixi's means.
fn is_of(platform: Subdir, selector: &str) -> bool {
    match selector {
        "unix" => platform.is_unix(),
        "linux" => platform.is_linux(),
        "osx" => platform.is_osx(),
        "win" => platform.is_windows(),
        other => platform.as_str() == other,
    }
}

/// A requirement of conda: a text of versions, or a table of its parts.
fn conda_requirement(name: &str, value: &Value) -> Option<String> {
    let any = |text: &str| text.trim().is_empty() || text.trim() == "*";
    let table = match value {
        Value::String(text) if any(text) => return Some(name.to_owned()),
        Value::String(text) => return Some(format!("{name} {}", text.trim())),
        Value::Table(table) => table,
        _ => return None,
    };
    if ["git", "path", "url"]
        .iter()
        .any(|key| table.contains_key(*key))
    {
        return None;
    }
    let mut parts = Vec::new();
    let mut channel = String::new();
    for (key, value) in table {
        let text = plain_text(value).filter(|text| !text.contains(['\'', '"', ']']))?;
        match key.as_str() {
            "channel" => channel = format!("{text}::"),
            "version" if any(&text) => {}
            "version" | "build" | "subdir" | "md5" | "sha256" => {
                parts.push(format!("{key}='{text}'"));
            }
            "build-number" => parts.push(format!("build_number='{text}'")),
            "file-name" => parts.push(format!("fn='{text}'")),
            _ => return None,
        }
    }
    let brackets = match parts.as_slice() {
        [] => String::new(),
        [only] if only.starts_with("version=") => {
            let version = &only["version='".len()..only.len() - 1];
            return Some(format!("{channel}{name} {version}"));
        }
        _ => format!("[{}]", parts.join(", ")),
    };
    Some(format!("{channel}{name}{brackets}"))
}

/// A text, or a number or truth as it is written.
pub(super) fn plain_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    }
}

fn table<'t>(table: &'t Table, key: &str) -> Option<&'t Table> {
    table.get(key).and_then(Value::as_table)
}

fn array<'t>(table: &'t Table, key: &str) -> &'t [Value] {
    table
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}
