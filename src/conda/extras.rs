//! What the extras of a distribution need that a conda package brings. It stands in the
//! distribution's own metadata, which is looked into only where an extra is asked for.

use fs_err as fs;
use rattler_conda_types::RepoDataRecord;
use rattler_networking::LazyClient;
use rattler_package_streaming::ExtractError;
use rattler_package_streaming::archive::PackageArchive;
use rattler_package_streaming::reqwest::fetch::fetch_file_from_remote_url;

use super::distributions::{Known, brings_distributions, distribution, files, keep, of_one};
use super::error::CondaError;
use super::packages::{entry_name, is_entry_of};

/// What a distribution says of its extras: the lines `Provides-Extra` of its metadata, and
/// `Requires-Dist` of those requirements that are an extra's. `None` if no package brings
/// it, or in a form that does not say what its extras need (an `egg-info`).
///
/// # Errors
/// The package can't be read.
pub async fn extras(
    records: &[RepoDataRecord],
    name: &str,
    known: &Known<'_>,
    client: &LazyClient,
) -> Result<Option<Vec<String>>, CondaError> {
    for record in records.iter().filter(|record| brings_distributions(record)) {
        let brought = of_one(record, known, client).await?;
        if brought.iter().any(|(own, _)| own == name) {
            return of_package(record, name, known, client).await;
        }
    }
    Ok(None)
}

async fn of_package(
    record: &RepoDataRecord,
    name: &str,
    known: &Known<'_>,
    client: &LazyClient,
) -> Result<Option<Vec<String>>, CondaError> {
    let digest = record.package_record.sha256.map(hex::encode);
    let kept = digest.map(|digest| known.answers.join(format!("{digest}.{name}.extras")));
    let before = kept.as_ref().and_then(|path| fs::read_to_string(path).ok());
    if let Some(text) = before {
        return Ok(Some(text.lines().map(str::to_owned).collect()));
    }
    let paths = files(record, known.packages, client).await?;
    let is_it = |file: &&std::path::PathBuf| {
        file.ends_with("METADATA") && distribution(file).is_some_and(|(own, _)| own == name)
    };
    let mut listed = paths.paths.iter().map(|entry| &entry.relative_path);
    let Some(file) = listed.find(is_it) else {
        return Ok(None);
    };
    let read = read(record, file, known, client).await;
    let bytes = read.map_err(|source| CondaError::Listing {
        package: record.identifier.to_string(),
        source: Box::new(source),
    })?;
    let Some(bytes) = bytes else {
        return Ok(None);
    };
    let lines = of_metadata(&String::from_utf8_lossy(&bytes));
    if let Some(path) = kept
        && let Err(error) = keep(known.answers, &path, &lines.join("\n"))
    {
        tracing::debug!("what the extras of {name} need was not kept: {error}");
    }
    Ok(Some(lines))
}

/// A file of a package: of an unpacked one, else out of the archive.
async fn read(
    record: &RepoDataRecord,
    file: &std::path::Path,
    known: &Known<'_>,
    client: &LazyClient,
) -> Result<Option<Vec<u8>>, ExtractError> {
    for folder in known.packages {
        let entry = folder.join(entry_name(record));
        if is_entry_of(&entry, record)
            && let Ok(bytes) = fs::read(entry.join(file))
        {
            return Ok(Some(bytes));
        }
    }
    match record.url.to_file_path() {
        Ok(path) => PackageArchive::from_path(path).await?.read_file(file).await,
        Err(()) => {
            fetch_file_from_remote_url(client.client().clone(), record.url.clone(), file).await
        }
    }
}

/// Of a distribution's metadata (its headers: the description follows an empty line).
fn of_metadata(text: &str) -> Vec<String> {
    let headers = text.lines().take_while(|line| !line.is_empty());
    let is_of_extra = |line: &&str| {
        let marker = |requirement: &str| {
            requirement
                .split_once(';')
                .map(|(_, marker)| marker.to_owned())
        };
        match line.split_once(": ") {
            Some(("Provides-Extra", _)) => true,
            Some(("Requires-Dist", requirement)) => {
                marker(requirement).is_some_and(|marker| marker.contains("extra"))
            }
            _ => false,
        }
    };
    headers.filter(is_of_extra).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::of_metadata;

    #[test]
    fn only_what_is_an_extras_is_told_and_nothing_of_the_description() {
        let text = "Metadata-Version: 2.1\nName: httpx\nRequires-Dist: anyio\n\
                    Requires-Dist: tomli; python_version < '3.11'\nProvides-Extra: http2\n\
                    Requires-Dist: h2<5,>=3; extra == 'http2'\n\nProvides-Extra: none\n";
        assert_eq!(
            of_metadata(text),
            [
                "Provides-Extra: http2",
                "Requires-Dist: h2<5,>=3; extra == 'http2'"
            ]
        );
    }
}
