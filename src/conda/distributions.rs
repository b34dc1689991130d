//! Which of Python's distributions conda packages bring: numpy 2.1.0 by the package
//! numpy, torch by pytorch. Only the packages themselves say so, in the list of their
//! files; of one that is not here yet that list alone is fetched.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rattler_conda_types::package::{PackageFile as _, PathsJson};
use rattler_conda_types::{PackageName, RepoDataRecord};
use rattler_networking::LazyClient;
use rattler_package_streaming::ExtractError;
use rattler_package_streaming::reqwest::fetch::fetch_package_file_from_remote_url;
use rattler_package_streaming::seek::read_package_file;

use super::channels::refuse_secrets;
use super::error::CondaError;
use super::packages::{entry_name, is_entry_of};

/// How many packages are asked at a time.
const AT_A_TIME: usize = 32;

/// Where what is asked may be known already.
pub struct Known<'a> {
    /// Folders of unpacked packages.
    pub packages: &'a [PathBuf],
    /// The folder that keeps the answers: a file by the archive's SHA-256, a line for each
    /// distribution.
    pub answers: &'a Path,
}

/// The distributions that packages bring, with their versions, by their normalised names.
pub async fn distributions(
    records: &[RepoDataRecord],
    known: &Known<'_>,
    client: &LazyClient,
) -> Result<BTreeMap<String, String>, CondaError> {
    refuse_secrets(records)?;
    let all = stream::iter(records.iter().filter(|record| brings_distributions(record)))
        .map(|record| of_one(record, known, client))
        .buffer_unordered(AT_A_TIME);
    all.try_concat()
        .await
        .map(|all: Vec<(String, String)>| all.into_iter().collect())
}

/// Whether a package may bring a distribution: it needs Python, or is for any.
pub fn brings_distributions(record: &RepoDataRecord) -> bool {
    let package = &record.package_record;
    package.noarch.is_python() || needs_python(&package.depends)
}

/// Whether one of these requirements is Python, in whatever form.
fn needs_python(depends: &[String]) -> bool {
    let needs = |dependency: &String| {
        let name = PackageName::normalized_name_from_matchspec_str(dependency);
        matches!(&*name, "python" | "python_abi" | "pypy")
    };
    depends.iter().any(needs)
}

pub(super) async fn of_one(
    record: &RepoDataRecord,
    known: &Known<'_>,
    client: &LazyClient,
) -> Result<Vec<(String, String)>, CondaError> {
    let digest = record.package_record.sha256.map(hex::encode);
    let kept = digest.map(|digest| known.answers.join(digest));
    let before = kept.as_ref().and_then(|path| fs::read_to_string(path).ok());
    if let Some(text) = before {
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        return Ok(pairs
            .map(|(name, version)| (name.to_owned(), version.to_owned()))
            .collect());
    }
    let found = among(&files(record, known.packages, client).await?);
    if let Some(path) = kept {
        let lines = found.iter().fold(String::new(), |lines, (name, version)| {
            lines + name + " " + version + "\n"
        });
        // Without, it is asked again.
        if let Err(error) = keep(known.answers, &path, &lines) {
            tracing::debug!("what a package brings was not kept: {error}");
        }
    }
    Ok(found)
}

/// Puts an answer into its place, whole: half of one would say that a package brings
/// nothing.
pub(super) fn keep(folder: &Path, path: &Path, lines: &str) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(lines.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// The list of a package's files.
pub(super) async fn files(
    record: &RepoDataRecord,
    packages: &[PathBuf],
    client: &LazyClient,
) -> Result<PathsJson, CondaError> {
    for folder in packages {
        let entry = folder.join(entry_name(record));
        if is_entry_of(&entry, record)
            && let Ok(paths) = PathsJson::from_package_directory(&entry)
        {
            return Ok(paths);
        }
    }
    let listed = match record.url.to_file_path() {
        Ok(path) => tokio::task::block_in_place(|| read_package_file(path)),
        Err(()) => {
            fetch_package_file_from_remote_url(client.client().clone(), record.url.clone()).await
        }
    };
    listed.map_err(|source: ExtractError| CondaError::Listing {
        package: record.identifier.to_string(),
        source: Box::new(source),
    })
}

/// The distributions in a list of files.
fn among(paths: &PathsJson) -> Vec<(String, String)> {
    let mut found: Vec<_> = paths
        .paths
        .iter()
        .filter_map(|entry| distribution(&entry.relative_path))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The distribution that a file is the metadata of: directly in a folder of packages of
/// Python's, for what lies deeper is another's copy.
pub(super) fn distribution(file: &Path) -> Option<(String, String)> {
    let text = file.to_str()?;
    let below = match text.strip_prefix("site-packages/") {
        Some(below) => below,
        None => text.split_once("/site-packages/")?.1,
    };
    let (folder, metadata) = below.split_once('/').unwrap_or((below, ""));
    let (stem, kind) = folder.rsplit_once('.')?;
    let is_metadata = match kind {
        "dist-info" => metadata == "METADATA",
        "egg-info" => ["PKG-INFO", ""].contains(&metadata),
        _ => false,
    };
    if !is_metadata {
        return None;
    }
    // `name-1.0-py3.12` is what setuptools calls it.
    let stem = stem.rsplit_once("-py").map_or(stem, |(before, _)| before);
    let (name, version) = stem.rsplit_once('-')?;
    let name: pep508_rs::PackageName = name.parse().ok()?;
    let version: pep440_rs::Version = version.parse().ok()?;
    Some((name.to_string(), version.to_string()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{distribution, needs_python};

    #[test]
    fn python_is_needed_in_whatever_form_it_is_written() {
        for (requirement, is_python) in [
            ("python", true),
            ("python >=3.9", true),
            ("python=3.12", true),
            ("python[version='>=3.9']", true),
            ("Python_abi 3.12.* *_cp312", true),
            ("pythonic", false),
            ("python-dateutil >=2", false),
            ("libgcc >=13", false),
        ] {
            let needs = needs_python(&[requirement.to_owned()]);
            assert_eq!(needs, is_python, "{requirement}");
        }
    }

    #[test]
    fn the_metadata_of_a_distribution_tells_its_name_and_version() {
        for (file, name, version) in [
            (
                "site-packages/rich-13.7.1.dist-info/METADATA",
                "rich",
                "13.7.1",
            ),
            (
                "lib/python3.12/site-packages/numpy-2.1.0.dist-info/METADATA",
                "numpy",
                "2.1.0",
            ),
            (
                "lib/python3.9/site-packages/PyYAML-6.0-py3.9.egg-info/PKG-INFO",
                "pyyaml",
                "6.0",
            ),
            (
                "lib/python3.9/site-packages/ruamel.yaml-0.17-py3.9.egg-info",
                "ruamel-yaml",
                "0.17",
            ),
        ] {
            let found = distribution(Path::new(file)).unwrap();
            assert_eq!(found, (name.to_owned(), version.to_owned()), "{file}");
        }
    }

    #[test]
    fn another_file_or_what_a_package_carries_within_is_none() {
        for file in [
            "site-packages/rich-13.7.1.dist-info/RECORD",
            "lib/python3.12/site-packages/setuptools/_vendor/wheel-0.43.0.dist-info/METADATA",
            "share/doc/x-1.0.dist-info/METADATA",
            "site-packages/odd.dist-info/METADATA",
            "site-packages/odd-notaversion.dist-info/METADATA",
        ] {
            assert_eq!(distribution(Path::new(file)), None, "{file}");
        }
    }
}
