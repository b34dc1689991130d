//! Wheels, unpacked as packages.
//!
//! rattler does it for the wheels that a channel lists, in a part of the cache of their
//! own. Here they are in the folders of packages, by name, version and build (which names
//! the file): what knows packages knows them too.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use rattler_cache::package_cache::{CacheMetadata, CacheReporter, PackageCache, PackageCacheError};
use rattler_conda_types::package::{IndexJson, PackageFile as _};
use rattler_conda_types::{PackageName, PackageRecord, RepoDataRecord};
use rattler_networking::LazyClient;
use rattler_package_streaming::{DownloadReporter, ExtractError, reqwest, tokio};

/// Fetches a wheel and unpacks it as a package.
pub(in crate::conda) async fn fetch_wheel(
    cache: &PackageCache,
    record: &RepoDataRecord,
    client: LazyClient,
    reporter: Option<Arc<dyn CacheReporter>>,
) -> Result<CacheMetadata, PackageCacheError> {
    let mut inside = record.package_record.clone();
    // Unpacked it is as its author calls it, whatever the record is called.
    let file = record.url.path_segments().and_then(Iterator::last);
    let own = file.and_then(|file| file.split('-').next());
    if let Some(name) = own.and_then(|own| PackageName::try_from(own).ok()) {
        inside.name = name;
    }
    let (url, called) = (record.url.clone(), record.package_record.clone());
    let listens = reporter
        .clone()
        .map(|reporter| Arc::new(Listens(reporter)) as _);
    let unpack = move |folder: PathBuf| {
        let listens: Option<Arc<dyn DownloadReporter>> = listens.clone();
        let (inside, url, client) = (inside.clone(), url.clone(), client.clone());
        let called = called.clone();
        async move {
            let sha256 = inside.sha256;
            let unpacked = if let Ok(path) = url.to_file_path() {
                tokio::fs::extract_wheel(&path, &folder, &inside).await?
            } else {
                let client = client.client().clone();
                reqwest::tokio::extract_wheel(client, url, &folder, sha256, listens, &inside)
                    .await?
            };
            match sha256 {
                Some(wanted) if wanted != unpacked.sha256 => Err(ExtractError::HashMismatch {
                    url: inside.name.as_source().to_owned(),
                    destination: folder.display().to_string(),
                    expected: hex::encode(wanted),
                    actual: hex::encode(unpacked.sha256),
                    total_size: unpacked.total_size,
                }),
                _ => {
                    call(&folder, called)?;
                    Ok(Some(unpacked.sha256))
                }
            }
        }
    };
    cache
        .get_or_fetch(&record.package_record, unpack, reporter)
        .await
}

/// Unpacks the wheel that was built of a source as the package of its record, whose hash is
/// that of the source.
pub(in crate::conda) async fn unpack_built(
    cache: &PackageCache,
    record: &RepoDataRecord,
    wheel: &Path,
) -> Result<CacheMetadata, PackageCacheError> {
    let record = record.package_record.clone();
    let mut inside = record.clone();
    let file = wheel.file_name().unwrap_or_default().to_string_lossy();
    let mut parts = file.split('-');
    if let Some(name) = parts.next().and_then(|own| PackageName::try_from(own).ok()) {
        inside.name = name;
    }
    // A folder may not have said its version before.
    let is_unknown = record.version.to_string() == "0";
    if let Some(version) = parts.next().and_then(|own| own.parse().ok())
        && is_unknown
    {
        inside.version = version;
    }
    let (path, key) = (wheel.to_owned(), record.clone());
    let unpack = move |folder: PathBuf| {
        let (inside, path, record) = (inside.clone(), path.clone(), record.clone());
        async move {
            tokio::fs::extract_wheel(&path, &folder, &inside).await?;
            let sha256 = record.sha256;
            call(&folder, record)?;
            Ok::<_, ExtractError>(sha256)
        }
    };
    cache.get_or_fetch(&key, unpack, None).await
}

/// Who listens to a cache, listening to one download.
struct Listens(Arc<dyn CacheReporter>);

impl DownloadReporter for Listens {
    fn on_download_start(&self) {
        self.0.on_download_start();
    }

    fn on_download_progress(&self, so_far: u64, total: Option<u64>) {
        self.0.on_download_progress(0, so_far, total);
    }

    fn on_download_complete(&self) {
        self.0.on_download_completed(0);
    }
}

/// Gives an unpacked package the name and version of its record.
fn call(folder: &Path, record: PackageRecord) -> std::io::Result<()> {
    let mut index = IndexJson::from_package_directory(folder)?;
    index.name = record.name;
    index.version = record.version;
    let text = serde_json::to_string_pretty(&index)?;
    fs::write(folder.join(IndexJson::package_path()), text)
}
