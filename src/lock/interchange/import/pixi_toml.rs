//! `pixi.toml`, and `[tool.pixi]` of a `pyproject.toml`: what maps to a spec; the rest
//! is listed by its key.

use std::collections::BTreeSet;

use rattler_conda_types::Subdir;
use rattler_lock::DEFAULT_ENVIRONMENT_NAME;
use toml::{Table, Value};

use super::only::universe;
use super::pixi_feature::{KEYS, Wishes};
use super::{Asked, ImportError, Imported};
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

/// Reads a manifest: its default environment.
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
    let all = universe(&reading.imported.platforms);
    if manifest == Manifest::Pyproject {
        reading.pyproject(&root);
    }
    for key in pixi.keys().filter(|key| !KEYS.contains(&key.as_str())) {
        reading.section(key);
    }
    let features = reading.environments(pixi);
    let mut wishes = Wishes::default();
    for (name, feature) in &features {
        wishes.feature(&format!("feature.{name}."), feature, &all);
        reading.of_feature(name, feature);
    }
    wishes.feature("", pixi, &all);
    reading.finish(wishes, &all);
    Ok(reading.imported)
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

    /// A key of the manifest that no feature has.
    fn section(&mut self, key: &str) {
        let read = ["workspace", "project", "target", "feature", "environments"];
        if !read.contains(&key) {
            self.left_out(key);
        }
    }

    /// The features that the default environment has beside the default one; what is for
    /// other environments is told.
    fn environments<'t>(&mut self, pixi: &'t Table) -> Vec<(&'t str, &'t Table)> {
        let environments = table(pixi, "environments");
        let mut names: Vec<&str> = Vec::new();
        for (name, value) in environments.into_iter().flatten() {
            if name != DEFAULT_ENVIRONMENT_NAME {
                self.left_out(format!("the environment {name}"));
                continue;
            }
            let features = value
                .as_array()
                .or_else(|| value.get("features")?.as_array());
            names = features
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            if value.get("no-default-feature") == Some(&Value::Boolean(true)) {
                self.left_out("that the default environment is without the default feature");
            }
        }
        let mut found = Vec::new();
        for (name, feature) in table(pixi, "feature").into_iter().flatten() {
            match feature.as_table() {
                Some(feature) if names.contains(&name.as_str()) => {
                    found.push((name.as_str(), feature));
                }
                _ => self.left_out(format!("the feature {name}")),
            }
        }
        // The order in which the environment names them is their rank.
        found.sort_by_key(|(name, _)| names.iter().position(|known| known == name));
        for name in names {
            if !found.iter().any(|(known, _)| *known == name) {
                self.left_out(format!("the feature {name}, which the manifest lacks"));
            }
        }
        found
    }

    /// The channels and platforms of a feature that is part of the environment.
    fn of_feature(&mut self, name: &str, feature: &Table) {
        let channels = array(feature, "channels");
        if !channels.is_empty() {
            let mut own = Self::default();
            own.channels(channels);
            let general = std::mem::take(&mut self.imported.channels);
            self.imported.channels = own.imported.channels;
            self.imported.left_out.extend(own.imported.left_out);
            for channel in general {
                if !self.imported.channels.contains(&channel) {
                    self.imported.channels.push(channel);
                }
            }
        }
        let platforms: Vec<&str> = array(feature, "platforms")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        if !platforms.is_empty() {
            let all = std::mem::take(&mut self.imported.platforms);
            for platform in all {
                if platforms.contains(&platform.as_str()) {
                    self.imported.platforms.push(platform);
                } else {
                    self.left_out(format!("the platform {platform}, which {name} is not for"));
                }
            }
        }
    }

    fn finish(&mut self, mut wishes: Wishes, all: &[Subdir]) {
        let kept: Vec<Subdir> = self.imported.platforms.clone();
        let all: Vec<Subdir> = if kept.is_empty() { all.to_vec() } else { kept };
        for (_, on) in wishes.conda.iter_mut().chain(&mut wishes.pip) {
            on.retain(|platform| all.contains(platform));
        }
        wishes.conda.retain(|(_, on)| !on.is_empty());
        wishes.pip.retain(|(_, on)| !on.is_empty());
        let (asked, pip) = wishes.lines(&all);
        for one in asked {
            if !self.imported.asked.contains(&one) {
                self.imported.asked.push(one);
            }
        }
        let mut pip: Vec<String> = self.imported.pip.drain(..).chain(pip).collect();
        if !pip.is_empty() {
            pip.splice(0..0, wishes.options);
        } else if !wishes.options.is_empty() {
            self.left_out("pypi-options, for nothing is asked of pip");
        }
        let mut known = BTreeSet::new();
        pip.retain(|line| known.insert(line.clone()));
        self.imported.pip = pip;
        self.imported.variables = wishes.variables;
        self.imported.target = wishes.target;
        for line in wishes.left_out {
            self.left_out(line);
        }
    }
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
