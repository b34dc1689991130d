//! The package cache, made what the archives say again.

use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rattler::install::InstallerError;
use rattler_cache::package_cache::PackageCache;
use rattler_cache::validation::{ValidationMode, validate_package_directory};
use rattler_conda_types::RepoDataRecord;
use rattler_networking::LazyClient;
use rattler_networking::retry_policies::default_retry_policy;

use super::channels::refuse_secrets;
use super::error::CondaError;
use super::packages::{entry_name, fetch_wheel};
use super::progress::{Progress, Step};
use crate::lock::{is_source, is_wheel};

/// How many packages are looked into at a time.
const AT_A_TIME: usize = 8;

/// Compares every file of the packages in the cache with the hash that its
/// archive records, and fetches those packages again that differ.
///
/// What was hard-linked from a damaged file keeps it; a prefix that is made
/// afterwards is good. Nobody collects from the cache meanwhile: who repairs has the
/// lease of an environment. An apply of another environment that has found an entry
/// whole just before it goes fails, and works when it is run again.
pub async fn refresh_cache(
    records: &[RepoDataRecord],
    folder: &Path,
    client: &LazyClient,
    progress: &Arc<dyn Progress>,
) -> Result<(), CondaError> {
    let cache = PackageCache::new_layered([folder], false, ValidationMode::Full);
    let failed = |name: String| {
        move |error| CondaError::install(folder, InstallerError::FailedToFetch(name, error))
    };
    refuse_secrets(records)?;
    progress.begin(Step::Cache, records.len() as u64);
    let known = records
        .iter()
        .filter(|record| folder.join(entry_name(record)).is_dir());
    let refreshed = stream::iter(known)
        .map(|record| {
            let cache = &cache;
            async move {
                let package = &record.package_record;
                if is_source(record) {
                    progress.advance(Step::Cache, 1);
                    return remove_if_damaged(&folder.join(entry_name(record)))
                        .map_err(|error| CondaError::install(folder, error));
                }
                let fetched = if is_wheel(record) {
                    fetch_wheel(cache, record, client.clone(), None).await
                } else if let Ok(path) = record.url.to_file_path() {
                    cache
                        .get_or_fetch_from_path(&path, Some(package), None)
                        .await
                } else {
                    let (url, client) = (record.url.clone(), client.clone());
                    let retry = default_retry_policy();
                    cache
                        .get_or_fetch_from_url_with_retry(package, url, client, retry, None, None)
                        .await
                };
                progress.advance(Step::Cache, 1);
                fetched.map(drop).map_err(failed(record.url.to_string()))
            }
        })
        .buffer_unordered(AT_A_TIME)
        .try_for_each(|()| async { Ok(()) })
        .await;
    progress.end(Step::Cache);
    refreshed
}

/// Takes what was built of a source out of the cache if it is not what it was: it is built
/// again.
fn remove_if_damaged(entry: &Path) -> Result<(), InstallerError> {
    if validate_package_directory(entry, ValidationMode::Full).is_ok() {
        return Ok(());
    }
    let what = || format!("could not remove {}", entry.display());
    fs_err::remove_dir_all(entry).map_err(|error| InstallerError::IoError(what(), error))
}
