//! A requirement as a line of a spec, loosened or in another version.

use rattler_conda_types::{MatchSpec, PackageName, ParseMatchSpecOptions, RepoDataRecord};

use super::elsewhere::channel_name;

/// A requirement without what narrows it; `None` if nothing does.
pub(super) fn loose(spec: &MatchSpec) -> Option<MatchSpec> {
    let is_narrow = spec.version.is_some() || spec.build.is_some() || spec.build_number.is_some();
    (is_narrow && spec.url.is_none()).then(|| MatchSpec {
        version: None,
        build: None,
        build_number: None,
        ..spec.clone()
    })
}

/// The version of a package among records.
pub(super) fn version_of(name: &PackageName, records: &[RepoDataRecord]) -> Option<String> {
    let mut records = records.iter().map(|record| &record.package_record);
    let found = records.find(|record| &record.name == name)?;
    Some(found.version.to_string())
}

/// Lines for a version as people write them, the wider one first: `python 3.12.*`,
/// `python 3.12.4`.
pub(super) fn lines(
    spec: &MatchSpec,
    name: &PackageName,
    version: &str,
) -> Vec<(String, MatchSpec)> {
    let parts: Vec<&str> = version.split('.').collect();
    let is_number = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
    let mut versions = Vec::new();
    if parts.len() > 1 && parts[..2].iter().all(is_number) {
        versions.push(format!("{}.{}.*", parts[0], parts[1]));
    }
    versions.push(format!("=={version}"));
    let channel = spec.channel.as_deref().map(channel_name);
    let channel = channel.map(|name| format!("{name}::")).unwrap_or_default();
    let name = name.as_normalized();
    let texts = (versions.iter()).map(|version| format!("{channel}{name} {version}"));
    texts
        .filter_map(|text| {
            let written = read(&text, spec)?;
            Some((text, written))
        })
        .collect()
}

/// A line as the solver takes it; its channel is that of the line that it replaces.
pub(super) fn read(line: &str, instead: &MatchSpec) -> Option<MatchSpec> {
    let plain = line.rsplit("::").next()?;
    let spec = MatchSpec::from_str(plain, ParseMatchSpecOptions::lenient()).ok()?;
    Some(MatchSpec {
        channel: instead.channel.clone(),
        ..spec
    })
}
