//! The sources of Python's packages: fetched as archives, and the wheels that were built of
//! them put into the cache, from where they are linked as all others are.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use rattler::install::InstallerError;
use rattler_conda_types::RepoDataRecord;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::channels::refuse_secrets;
use super::client::{Network, http_client};
use super::error::{CondaError, words};
use super::packages::{Packages, is_there};
use super::settings::Settings;
use crate::lock::is_source;

/// The sources among records of which no wheel is in the caches, built for their Python.
pub fn unbuilt<'r>(records: &'r [RepoDataRecord], caches: &[PathBuf]) -> Vec<&'r RepoDataRecord> {
    let sources = records.iter().filter(|record| is_source(record));
    sources.filter(|record| !is_there(record, caches)).collect()
}

/// Puts the wheel that was built of a source into the cache, as the package that its record
/// names.
///
/// # Errors
/// It is of another name or version, or the disk refuses.
pub async fn enter_built(
    packages: Packages<'_>,
    record: &RepoDataRecord,
    wheel: &Path,
) -> Result<(), CondaError> {
    let entered = packages.enter_wheel(record, wheel).await;
    entered.map_err(|source: InstallerError| CondaError::install(packages.folder, source))
}

/// The archive of a source, by its SHA-256: one that was fetched into `kept` before, or is
/// fetched now.
pub async fn fetch_source(
    record: &RepoDataRecord,
    kept: &Path,
    network: Network,
    settings: &Arc<Settings>,
) -> Result<PathBuf, CondaError> {
    refuse_secrets(std::slice::from_ref(record))?;
    let url = &record.url;
    let failed = |why: String| CondaError::Source {
        package: url.to_string(),
        why,
    };
    let wanted = record.package_record.sha256.as_ref();
    let wanted = wanted.ok_or_else(|| failed("the lock has no SHA-256 of it".to_owned()))?;
    let folder = kept.join(hex::encode(wanted));
    let name = url.path_segments().and_then(Iterator::last);
    let place = folder.join(
        name.filter(|name| is_plain(name))
            .unwrap_or("source.tar.gz"),
    );
    let is_it = |bytes: &[u8]| Sha256::digest(bytes)[..] == wanted[..];
    if fs::read(&place).is_ok_and(|bytes| is_it(&bytes)) {
        return Ok(place);
    }
    let bytes = bytes(url, network, settings).await.map_err(failed)?;
    if !is_it(&bytes) {
        return Err(failed(
            "it has another SHA-256 than the lock says".to_owned(),
        ));
    }
    let keep = || -> std::io::Result<()> {
        fs::create_dir_all(&folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&folder)?;
        file.write_all(&bytes)?;
        file.persist(&place)?;
        Ok(())
    };
    keep().map_err(|error| {
        let what = format!("could not write into {}", folder.display());
        CondaError::install(kept, InstallerError::IoError(what, error))
    })?;
    Ok(place)
}

/// Whether a name is one that a file may have.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+!".contains(c);
    !name.is_empty() && !name.starts_with(['.', '-']) && name.chars().all(plain)
}

async fn bytes(url: &Url, network: Network, settings: &Arc<Settings>) -> Result<Vec<u8>, String> {
    if let Ok(path) = url.to_file_path() {
        return fs::read(path).map_err(|error| error.to_string());
    }
    let client = http_client(network, settings);
    let answer = client.client().get(url.clone()).send().await;
    let answer = answer.map_err(|error| words(&error))?;
    let answer = answer.error_for_status().map_err(|error| words(&error))?;
    let bytes = answer.bytes().await.map_err(|error| words(&error))?;
    Ok(bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn what_an_archive_is_called_never_leads_out_of_its_folder() {
        assert!(is_plain("tool-1.0+local.tar.gz"));
        for name in ["", "..", "-x", "a/b", "a%2fb", ".tar.gz"] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
