//! One entry of pixi's `pypi-dependencies`.

use toml::{Table, Value};

use super::pixi_toml::plain_text;

/// The requirement of pip for an entry, and the keys of it that are not in it.
///
/// # Errors
/// Why there is none.
pub(super) fn pypi_requirement(
    name: &str,
    value: &Value,
) -> Result<(String, Vec<String>), &'static str> {
    let table = match value {
        Value::String(versions) => {
            return Ok((format!("{name}{}", constraint(versions)), Vec::new()));
        }
        Value::Table(table) => table,
        _ => return Err("which is no text"),
    };
    if table.contains_key("path") {
        return Err("which is a folder of that project");
    }
    let extras = extras(table);
    let text = |key: &str| table.get(key).and_then(plain_text);
    let place = match (text("git"), text("url")) {
        (Some(git), _) => {
            let revision = ["rev", "tag", "branch"].iter().find_map(|key| text(key));
            let revision = revision
                .map(|revision| format!("@{revision}"))
                .unwrap_or_default();
            let folder = text("subdirectory").map(|folder| format!("#subdirectory={folder}"));
            let git = git.strip_prefix("git+").unwrap_or(&git);
            Some(format!("git+{git}{revision}{}", folder.unwrap_or_default()))
        }
        (None, Some(url)) => Some(url),
        (None, None) => None,
    };
    let requirement = match place {
        Some(place) => format!("{name}{extras} @ {place}"),
        None => format!(
            "{name}{extras}{}",
            constraint(&text("version").unwrap_or_default())
        ),
    };
    let known = [
        "version",
        "extras",
        "git",
        "url",
        "rev",
        "tag",
        "branch",
        "subdirectory",
    ];
    let without = table.keys().filter(|key| !known.contains(&key.as_str()));
    Ok((requirement, without.cloned().collect()))
}

fn extras(table: &Table) -> String {
    let extras = table.get("extras").and_then(Value::as_array);
    let extras: Vec<&str> = extras
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if extras.is_empty() {
        String::new()
    } else {
        format!("[{}]", extras.join(","))
    }
}

/// `*` asks for nothing, a bare version for that one.
fn constraint(versions: &str) -> String {
    let versions = versions.trim();
    if versions.is_empty() || versions == "*" {
        String::new()
    } else if versions.starts_with(|c: char| c.is_ascii_digit()) {
        format!("=={versions}")
    } else {
        versions.to_owned()
    }
}
