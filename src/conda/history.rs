//! The history that conda keeps of a prefix, so that its own listing
//! (`conda list --revisions`) tells of one that it did not make.
//!
//! A generation has one entry for ever: it came into being with all its packages.

use std::fmt::Write as _;
use std::path::Path;

use fs_err as fs;
use rattler_conda_types::{MatchSpec, RepoDataRecord};

/// What channels of conda's own server are behind, which conda leaves out.
const CONDAS_OWN: &str = "https://conda.anaconda.org/";

/// Writes the history of a prefix. `made` is RFC 3339, `command` what made it.
pub fn write_history(
    prefix: &Path,
    made: &str,
    command: &str,
    records: &[RepoDataRecord],
    requested: &[MatchSpec],
) -> std::io::Result<()> {
    fs::write(
        prefix.join("conda-meta/history"),
        text(made, command, records, requested),
    )
}

fn text(made: &str, command: &str, records: &[RepoDataRecord], requested: &[MatchSpec]) -> String {
    let when = made.replace('T', " ");
    let mut text = format!("==> {} <==\n# cmd: {command}\n", when.trim_end_matches('Z'));
    let mut lines: Vec<String> = records.iter().map(line).collect();
    lines.sort();
    for line in lines {
        text.push_str(&line);
    }
    let specs: Vec<String> = requested.iter().map(ToString::to_string).collect();
    // Conda reads Python's form of a list; JSON's is one of those.
    let specs = serde_json::Value::from(specs);
    let _ = writeln!(text, "# update specs: {specs}");
    text
}

/// `+conda-forge/linux-64::python-3.11.2-h0_cpython`.
fn line(record: &RepoDataRecord) -> String {
    let package = &record.package_record;
    let channel = record.channel.as_deref().unwrap_or_default();
    let channel = channel.strip_prefix(CONDAS_OWN).unwrap_or(channel);
    let from = match channel.trim_end_matches('/') {
        "" => String::new(),
        channel => format!("{channel}/{}::", package.subdir),
    };
    format!(
        "+{from}{}-{}-{}\n",
        package.name.as_normalized(),
        package.version,
        package.build
    )
}
