//! Records into a prefix: fetched in parallel, checked by hash, linked.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rattler::install::{Installer, LinkOptions, Reporter, Transaction};
use rattler_cache::package_cache::PackageCache;
use rattler_conda_types::{MatchSpec, PrefixRecord, RepoDataRecord, Subdir};
use rattler_networking::LazyClient;

use super::error::CondaError;
use super::progress::{Progress, Step};

/// The cache of unpacked packages in a folder; generations are hard-linked
/// from it.
pub fn package_cache(folder: &Path) -> PackageCache {
    PackageCache::new(folder)
}

/// A prefix to be filled.
pub struct Install<'a> {
    /// Where; the folder must not exist or be empty.
    pub prefix: &'a Path,
    /// What, complete and consistent (a lock's records).
    pub records: Vec<RepoDataRecord>,
    /// The user's own requirements, recorded in `conda-meta` for other tools.
    pub requested: Vec<MatchSpec>,
    /// The platform of the prefix.
    pub platform: Subdir,
}

/// What an installation left to tell.
#[derive(Debug, Default)]
pub struct Installed {
    /// Paths that more than one package brings; one of them won.
    pub clobbered: BTreeSet<PathBuf>,
}

/// Fills the prefix from `cache`, fetching what is missing there.
///
/// Link scripts of packages are not run (they may run anything). Every
/// archive's hash is checked before it enters the cache.
pub async fn install(
    install: Install<'_>,
    cache: &PackageCache,
    client: &LazyClient,
    progress: &Arc<dyn Progress>,
) -> Result<Installed, CondaError> {
    let prefix = install.prefix;
    widen_the_pool();
    let result = Installer::new()
        .with_package_cache(cache.clone())
        .with_download_client(client.clone())
        .with_target_platform(install.platform)
        .with_installed_packages(Vec::new())
        .with_requested_specs(install.requested)
        .with_execute_link_scripts(false)
        .with_link_options(LinkOptions {
            // Every file system that can hold a prefix has them; asking makes
            // and removes one in the prefix for each package.
            allow_symbolic_links: Some(true),
            // Asked for each package: it depends on the cache's layer.
            allow_hard_links: None,
            // A copy on write is a file more against the quota and a page more
            // in memory, where a hard link is neither.
            allow_ref_links: Some(false),
        })
        .with_max_concurrent_requests(16)
        .with_reporter(InstallReporter::new(Arc::clone(progress)))
        .install(prefix, install.records)
        .await
        .map_err(|source| CondaError::install(prefix, source))?;
    Ok(Installed {
        clobbered: result.clobbered_paths.into_keys().collect(),
    })
}

/// How many packages are linked at a time.
///
/// rattler links on rayon's global pool, which has a thread for each core. But
/// linking is waiting: for the disk at each record, which is flushed, and for
/// the server at each file on a network file system. Two threads on a small
/// login node wait one after the other; a hundred on a large one only quarrel
/// over the folders' locks.
const LINKERS: usize = 16;

/// Gives rayon's pool its size. Whoever comes first decides: a pool that is
/// there already is as good, only slower.
fn widen_the_pool() {
    rayon::ThreadPoolBuilder::new()
        .num_threads(LINKERS)
        .thread_name(|index| format!("link-{index}"))
        .build_global()
        .ok();
}

/// Turns rattler's events into two steps with totals.
struct InstallReporter {
    progress: Arc<dyn Progress>,
    next: AtomicUsize,
    /// Bytes told so far for each running download.
    told: Mutex<HashMap<usize, u64>>,
}

impl InstallReporter {
    fn new(progress: Arc<dyn Progress>) -> Self {
        Self {
            progress,
            next: AtomicUsize::new(0),
            told: Mutex::new(HashMap::new()),
        }
    }
}

impl Reporter for InstallReporter {
    fn on_transaction_start(&self, transaction: &Transaction<PrefixRecord, RepoDataRecord>) {
        self.progress
            .begin(Step::Link, transaction.operations.len() as u64);
    }

    fn on_download_start(&self, _cache_entry: usize) -> usize {
        self.progress.begin(Step::Fetch, 0);
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn on_download_progress(&self, download: usize, so_far: u64, total: Option<u64>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let before = told.entry(download).or_insert_with(|| {
            self.progress.begin(Step::Fetch, total.unwrap_or(0));
            0
        });
        self.progress
            .advance(Step::Fetch, so_far.saturating_sub(*before));
        *before = so_far;
    }

    fn on_download_completed(&self, _download: usize) {}

    fn on_link_complete(&self, _index: usize) {
        self.progress.advance(Step::Link, 1);
    }

    fn on_transaction_complete(&self) {
        self.progress.end(Step::Fetch);
        self.progress.end(Step::Link);
    }

    fn on_transaction_operation_start(&self, _operation: usize) {}
    fn on_populate_cache_start(&self, operation: usize, _record: &RepoDataRecord) -> usize {
        operation
    }
    fn on_validate_start(&self, cache_entry: usize) -> usize {
        cache_entry
    }
    fn on_validate_complete(&self, _validation: usize) {}
    fn on_populate_cache_complete(&self, _cache_entry: usize) {}
    fn on_unlink_start(&self, operation: usize, _record: &PrefixRecord) -> usize {
        operation
    }
    fn on_unlink_complete(&self, _index: usize) {}
    fn on_link_start(&self, operation: usize, _record: &RepoDataRecord) -> usize {
        operation
    }
    fn on_transaction_operation_complete(&self, _operation: usize) {}
    fn on_post_link_start(&self, _package: &str, _script: &str) -> usize {
        0
    }
    fn on_post_link_complete(&self, _index: usize, _success: bool) {}
    fn on_pre_unlink_start(&self, _package: &str, _script: &str) -> usize {
        0
    }
    fn on_pre_unlink_complete(&self, _index: usize, _success: bool) {}
}
