//! Archives, fetched and unpacked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rattler::install::InstallerError;
use rattler_cache::package_cache::{CacheReporter, PackageCache};
use rattler_conda_types::RepoDataRecord;
use rattler_networking::{LazyClient, retry_policies::default_retry_policy};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::progress::FetchProgress;
use super::wheel::fetch_wheel;
use crate::conda::progress::Progress;
use crate::lock::{is_source, is_wheel};

/// How many archives are fetched or unpacked at a time.
const FETCHES: usize = 16;

/// Fetches packages and unpacks them in a folder.
pub(super) async fn fetch(
    folder: &Path,
    records: &[&RepoDataRecord],
    client: &LazyClient,
    progress: &Arc<dyn Progress>,
) -> Result<(), InstallerError> {
    if records.is_empty() {
        return Ok(());
    }
    let progress = FetchProgress::begin(progress, records);
    let cache = PackageCache::new(folder);
    let places = Arc::new(Semaphore::new(FETCHES));
    let mut fetches = JoinSet::new();
    for (number, record) in records.iter().enumerate() {
        let archive = Archive {
            cache: cache.clone(),
            client: client.clone(),
            record: (*record).clone(),
            reporter: progress.of(number),
        };
        let places = Arc::clone(&places);
        fetches.spawn(async move {
            let _place = places.acquire_owned().await;
            Box::pin(archive.fetch()).await
        });
    }
    while let Some(ended) = fetches.join_next().await {
        let ended = ended.unwrap_or_else(|error| {
            let what = "a fetch ended early".to_owned();
            Err(InstallerError::IoError(what, std::io::Error::other(error)))
        });
        if ended.is_err() {
            fetches.shutdown().await;
            return ended;
        }
    }
    Ok(())
}

/// An archive that is to be unpacked into a cache.
struct Archive {
    cache: PackageCache,
    client: LazyClient,
    record: RepoDataRecord,
    reporter: Arc<dyn CacheReporter>,
}

impl Archive {
    async fn fetch(self) -> Result<(), InstallerError> {
        let Self {
            cache,
            client,
            record,
            reporter,
        } = self;
        let listens = Some(Arc::clone(&reporter));
        let package = &record.package_record;
        if is_source(&record) {
            // Built before all others are linked; somebody has taken it away since.
            let gone = std::io::Error::from(std::io::ErrorKind::NotFound);
            let what = format!("the wheel built of {} is gone", record.url);
            return Err(InstallerError::IoError(what, gone));
        }
        let fetched = if is_wheel(&record) {
            fetch_wheel(&cache, &record, client, listens).await
        } else if let Some(path) = file(&record) {
            cache
                .get_or_fetch_from_path(&path, Some(package), listens)
                .await
        } else {
            let (url, retry) = (record.url.clone(), default_retry_policy());
            cache
                .get_or_fetch_from_url_with_retry(package, url, client, retry, listens, None)
                .await
        };
        reporter.on_download_completed(0);
        fetched
            .map(drop)
            .map_err(|error| InstallerError::FailedToFetch(record.url.to_string(), error))
    }
}

/// The archive, if it is a file here.
fn file(record: &RepoDataRecord) -> Option<PathBuf> {
    (record.url.scheme() == "file").then(|| record.url.to_file_path().ok())?
}
