//! What one feature of a manifest of pixi's asks for: its own tables, and those of its
//! `target`s, which hold in place of the first on their platforms.

use std::collections::BTreeMap;

use rattler_conda_types::Subdir;
use toml::{Table, Value};

use super::ask;
use super::only::{Platforms, for_conda, for_pip};
use super::pixi_toml::plain_text;
use super::pypi_toml::pypi_requirement;

/// What was read of features until now.
#[derive(Default)]
pub(super) struct Wishes {
    /// Of conda: requirements with the platforms that they are for, in order.
    pub(super) conda: Vec<(String, Platforms)>,
    /// Of pip: the same.
    pub(super) pip: Vec<(String, Platforms)>,
    /// Options of pip.
    pub(super) options: Vec<String>,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) target: BTreeMap<&'static str, String>,
    pub(super) left_out: Vec<String>,
}

/// The keys that a feature may have beside `target`; others are not for here.
pub(super) const KEYS: [&str; 8] = [
    "dependencies",
    "host-dependencies",
    "build-dependencies",
    "pypi-dependencies",
    "pypi-options",
    "activation",
    "system-requirements",
    "tasks",
];

/// Those of them whose requirements hold in place of the others', the strongest last.
const OF_CONDA: [&str; 3] = ["dependencies", "host-dependencies", "build-dependencies"];

impl Wishes {
    /// Reads a feature, whose keys are shown behind `prefix`.
    pub(super) fn feature(&mut self, prefix: &str, feature: &Table, all: &[Subdir]) {
        let mut own = Self::default();
        own.tables(prefix, feature, &all.iter().copied().collect(), all);
        let targets = feature.get("target").and_then(Value::as_table);
        let mut targets: Vec<_> = targets.into_iter().flatten().collect();
        targets.sort_by_key(|(selector, _)| match selector.as_str() {
            "unix" => 0,
            "linux" | "osx" | "win" => 1,
            _ => 2,
        });
        for (selector, value) in targets {
            let on: Platforms = all
                .iter()
                .copied()
                .filter(|platform| is_of(*platform, selector))
                .collect();
            match value.as_table() {
                Some(table) if !on.is_empty() => {
                    let prefix = format!("{prefix}target.{selector}.");
                    own.tables(&prefix, table, &on, all);
                }
                _ => own.left_out.push(format!("what is for {selector} alone")),
            }
        }
        self.merge(own);
    }

    /// Another feature's wishes hold beside these.
    fn merge(&mut self, other: Self) {
        self.conda.extend(other.conda);
        self.pip.extend(other.pip);
        self.options.extend(other.options);
        for (name, value) in other.variables {
            // The feature that is named first wins.
            self.variables.entry(name).or_insert(value);
        }
        for (key, value) in other.target {
            let known = self.target.entry(key).or_insert_with(|| value.clone());
            let number = |text: &str| -> Vec<u64> {
                text.split('.')
                    .filter_map(|part| part.parse().ok())
                    .collect()
            };
            if number(&value) > number(known) {
                *known = value;
            }
        }
        self.left_out.extend(other.left_out);
    }

    /// The tables of a feature or of a target.
    fn tables(&mut self, prefix: &str, tables: &Table, on: &Platforms, all: &[Subdir]) {
        for key in OF_CONDA {
            if let Some(table) = tables.get(key).and_then(Value::as_table) {
                self.dependencies(&format!("{prefix}{key}"), table, on);
            }
        }
        let everywhere = all.iter().all(|platform| on.contains(platform));
        for (key, value) in tables {
            let section = format!("{prefix}{key}");
            match (key.as_str(), value) {
                ("pypi-dependencies", Value::Table(table)) => self.pypi(&section, table, on),
                ("pypi-options", Value::Table(table)) => self.options(&section, table),
                ("activation", Value::Table(table)) => {
                    self.activation(&section, table, everywhere);
                }
                ("system-requirements", Value::Table(table)) => self.system(&section, table),
                ("tasks", Value::Table(tasks)) => {
                    let named = |task| match prefix {
                        "" => format!("the task {task}"),
                        _ => format!("the task {task} of {}", prefix.trim_end_matches('.')),
                    };
                    self.left_out.extend(tasks.keys().map(named));
                }
                (known, Value::Table(_)) if OF_CONDA.contains(&known) => {}
                // A manifest's other keys are told by who reads it.
                (other, _) if prefix.is_empty() && !KEYS.contains(&other) => {}
                ("target" | "platforms" | "channels", _) => {}
                _ => self.left_out.push(section),
            }
        }
    }

    fn dependencies(&mut self, section: &str, table: &Table, on: &Platforms) {
        for (name, value) in table {
            let Some(text) = conda_requirement(name, value) else {
                let what = "which is built from its sources";
                self.left_out.push(format!("{section}.{name}, {what}"));
                continue;
            };
            let name = ask::name_of(&text).to_owned();
            for (earlier, places) in &mut self.conda {
                if ask::name_of(earlier) == name && *earlier != text {
                    places.retain(|platform| !on.contains(platform));
                    if places.is_empty() {
                        self.left_out.push(format!("{earlier} in favour of {text}"));
                    }
                }
            }
            self.conda.retain(|(_, places)| !places.is_empty());
            match self.conda.iter_mut().find(|(known, _)| *known == text) {
                Some((_, places)) => places.extend(on),
                None => self.conda.push((text, on.clone())),
            }
        }
    }

    fn pypi(&mut self, section: &str, table: &Table, on: &Platforms) {
        for (name, value) in table {
            let (requirement, without) = match pypi_requirement(name, value) {
                Ok(read) => read,
                Err(why) => {
                    self.left_out.push(format!("{section}.{name}, {why}"));
                    continue;
                }
            };
            let keys = without.into_iter();
            self.left_out
                .extend(keys.map(|key| format!("{section}.{name}.{key}")));
            for (earlier, places) in &mut self.pip {
                if is_named(earlier, name) {
                    places.retain(|platform| !on.contains(platform));
                    if places.is_empty() && *earlier != requirement {
                        self.left_out
                            .push(format!("{earlier} in favour of {requirement}"));
                    }
                }
            }
            self.pip.retain(|(_, places)| !places.is_empty());
            match self.pip.iter_mut().find(|(known, _)| *known == requirement) {
                Some((_, places)) => places.extend(on),
                None => self.pip.push((requirement, on.clone())),
            }
        }
    }

    /// Where pip's packages are looked for.
    fn options(&mut self, section: &str, table: &Table) {
        for (key, value) in table {
            let texts: Vec<&str> = match value {
                Value::String(text) => vec![text],
                Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
                _ => Vec::new(),
            };
            let option = match key.as_str() {
                "index-url" => "--index-url",
                "extra-index-urls" => "--extra-index-url",
                _ => {
                    self.left_out.push(format!("{section}.{key}"));
                    continue;
                }
            };
            for text in texts {
                // One word, or it would be read as something else.
                if url::Url::parse(text).is_ok() && !text.contains([' ', '\'', '"', '\\', '#']) {
                    self.options.push(format!("{option} {text}"));
                } else {
                    self.left_out.push(format!("{section}.{key}"));
                }
            }
        }
    }

    /// `everywhere` is whether it is for all platforms: variables of a spec are.
    fn activation(&mut self, section: &str, table: &Table, everywhere: bool) {
        for (key, value) in table {
            let variables = value.as_table().filter(|_| key == "env");
            let Some(variables) = variables else {
                self.left_out.push(format!("{section}.{key}"));
                continue;
            };
            for (name, value) in variables {
                match plain_text(value) {
                    // pixi fills other variables in, which conda's variables don't.
                    Some(text) if everywhere && !text.contains('$') => {
                        self.variables.insert(name.clone(), text);
                    }
                    _ => self.left_out.push(format!("{section}.env.{name}")),
                }
            }
        }
    }

    fn system(&mut self, section: &str, table: &Table) {
        for (key, value) in table {
            let known = match key.as_str() {
                "libc" => Some("glibc"),
                "cuda" => Some("cuda"),
                "linux" => Some("linux"),
                "archspec" => Some("arch"),
                _ => None,
            };
            // `libc = {family = "glibc", version = "2.28"}` too.
            let family = value.get("family").and_then(Value::as_str);
            let known = known.filter(|_| family.is_none_or(|family| family == "glibc"));
            let text = value.as_table().map_or_else(
                || plain_text(value),
                |libc| libc.get("version").and_then(plain_text),
            );
            match (known, text) {
                (Some(known), Some(text)) => {
                    // A spec's version has two parts at least.
                    let whole = text.contains('.') || known == "arch";
                    let text = if whole { text } else { format!("{text}.0") };
                    self.target.insert(known, text);
                }
                _ => self.left_out.push(format!("{section}.{key}")),
            }
        }
    }

    /// The lines of a spec for all of it; what can't be said is left out.
    pub(super) fn lines(&mut self, all: &[Subdir]) -> (Vec<super::Asked>, Vec<String>) {
        let mut asked = Vec::new();
        for (text, on) in std::mem::take(&mut self.conda) {
            match for_conda(&text, &on, all) {
                Ok(lines) => asked.extend(lines),
                Err(why) => self.left_out.push(why),
            }
        }
        let mut pip = Vec::new();
        for (text, on) in std::mem::take(&mut self.pip) {
            match for_pip(&text, &on, all) {
                Ok(line) => pip.push(line),
                Err(why) => self.left_out.push(why),
            }
        }
        (asked, pip)
    }
}

/// Whether a selector of pixi's means a platform.
fn is_of(platform: Subdir, selector: &str) -> bool {
    match selector {
        "unix" => platform.is_unix(),
        "linux" => platform.is_linux(),
        "osx" => platform.is_osx(),
        "win" => platform.is_windows(),
        other => platform.as_str() == other,
    }
}

/// Whether a requirement of pip is of this name.
fn is_named(requirement: &str, name: &str) -> bool {
    let same = |text: &str| text.to_lowercase().replace(['_', '.'], "-");
    let end = requirement.find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)));
    same(&requirement[..end.unwrap_or(requirement.len())]) == same(name)
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
