//! A list of pip's requirements: the Python in an environment, as far as it can be told.
//!
//! conda's names are its own. The name in Python's index is known where a package says
//! it (its `purls`) or came from there, and for a few that everybody has; else conda's
//! name is taken for it, which is right for most and is said.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use rattler_conda_types::RepoDataRecord;

use super::{Exported, Portable, PortablePlatform, pypi_requirement};
use crate::lock::interchange::text::one_line;

/// The list, pinned, in three parts: sure names, guessed names, and comments for what
/// is Python's and can't be a requirement.
pub fn requirements(portable: &Portable, at: &PortablePlatform) -> Exported {
    let mut sure: BTreeMap<String, String> = BTreeMap::new();
    let mut guessed: BTreeMap<String, String> = BTreeMap::new();
    let mut python = None;
    let mut impossible = Vec::new();
    let mut others = 0;
    for package in &at.pypi {
        sure.insert(package.name().to_string(), pypi_requirement(package));
    }
    for record in &at.conda {
        let package = &record.package_record;
        let name = package.name.as_normalized();
        let version = package.version.to_string();
        if name == "python" {
            python = Some(version);
        } else if !is_of_python(record) {
            others += 1;
        } else if pep440_rs::Version::from_str(&version).is_err() {
            impossible.push(format!("{name} {version}: no version of Python's"));
        } else if let known @ [_, ..] = names_on_pypi(record).as_slice() {
            for name in known {
                sure.insert(name.clone(), format!("{name}=={version}"));
            }
        } else if let Some(name) = normalized(name) {
            guessed.insert(name.clone(), format!("{name}=={version}"));
        } else {
            impossible.push(format!("{name} {version}: no name of Python's"));
        }
    }
    guessed.retain(|name, _| !sure.contains_key(name));
    let mut lines = vec![format!(
        "# The packages of Python that {} was locked to, for {}.",
        one_line(&portable.from),
        at.platform
    )];
    if let Some(version) = python {
        lines.push(format!("# They were together with Python {version}."));
    }
    lines.extend(sure.into_values());
    if !guessed.is_empty() {
        lines.push("# conda's names, taken for those on PyPI:".to_owned());
    }
    lines.extend(guessed.values().cloned());
    let impossible_lines = impossible.iter();
    lines.extend(impossible_lines.map(|line| format!("# not listed: {}", one_line(line))));
    let mut left_out = portable.variables_left_out();
    if others > 0 {
        left_out.push(format!(
            "{others} packages of conda that are not Python's, among them libraries that these may need"
        ));
    }
    if !guessed.is_empty() {
        left_out.push(format!(
            "certainty: {} names are conda's, and may be others on PyPI",
            guessed.len()
        ));
    }
    left_out.extend(impossible);
    Exported {
        text: lines.join("\n") + "\n",
        left_out,
    }
}

/// Whether a package is a library or program of Python: it says its name there, or
/// needs Python and is no part of it.
fn is_of_python(record: &RepoDataRecord) -> bool {
    let package = &record.package_record;
    let name = package.name.as_normalized();
    // They hold Python's place in conda and bring nothing.
    if name == "python_abi" || name.starts_with('_') {
        return false;
    }
    let needs_python = package.depends.iter().any(|text| {
        let name = text.split([' ', '=', '<', '>', '!', '~', '[']).next();
        name == Some("python") || name == Some("python_abi")
    });
    needs_python || !names_on_pypi(record).is_empty()
}

/// Packages of conda-forge whose names differ from those in Python's index.
const OTHER_NAMES: [(&str, &str); 10] = [
    ("brotli-python", "brotli"),
    ("dask-core", "dask"),
    ("distributed-core", "distributed"),
    ("matplotlib-base", "matplotlib"),
    ("msgpack-python", "msgpack"),
    ("pytables", "tables"),
    ("python-graphviz", "graphviz"),
    ("python-tzdata", "tzdata"),
    ("pytorch", "torch"),
    ("seaborn-base", "seaborn"),
];

fn names_on_pypi(record: &RepoDataRecord) -> Vec<String> {
    let name = record.package_record.name.as_normalized();
    if let Some((_, other)) = OTHER_NAMES.iter().find(|(known, _)| *known == name) {
        return vec![(*other).to_owned()];
    }
    let urls = record.package_record.purls.iter().flatten();
    urls.filter(|url| url.package_type().as_str() == "pypi")
        .filter_map(|url| normalized(url.name()))
        .collect()
}

/// A name as Python's index compares it; `None` if it can't be one there, as `name_`.
fn normalized(name: &str) -> Option<String> {
    let name = pep508_rs::PackageName::from_str(name).ok()?;
    Some(name.to_string())
}
