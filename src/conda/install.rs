//! Records into a prefix: fetched in parallel, checked by hash, linked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
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

/// Holds the cache for as long as it lives: an installation waits, as this waits
/// for none.
#[derive(Debug)]
pub struct CacheHeld {
    /// Unlocked as it is closed.
    _file: std::fs::File,
}

/// Holds a cache if nothing is installed from it right now: rattler locks this
/// file of it meanwhile. Where a file system has no locks, nothing is said.
pub fn hold_cache(folder: &Path) -> std::io::Result<Option<CacheHeld>> {
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join(".cache.lock"))?;
    match file.try_lock() {
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Ok(()) | Err(std::fs::TryLockError::Error(_)) => Ok(Some(CacheHeld { _file: file })),
    }
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

/// Turns rattler's events into two steps with totals: bytes of archives that
/// are in the cache, packages that are in the prefix.
struct InstallReporter {
    progress: Arc<dyn Progress>,
    archives: Mutex<Vec<Archive>>,
}

/// An archive on its way into the cache; sizes in bytes, as the channel says.
struct Archive {
    size: u64,
    told: u64,
}

impl InstallReporter {
    fn new(progress: Arc<dyn Progress>) -> Self {
        Self {
            progress,
            archives: Mutex::new(Vec::new()),
        }
    }

    /// Tells how far an archive is; more than its size is not believed.
    fn tell(&self, archive: usize, so_far: u64) {
        let mut archives = self.archives.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(archive) = archives.get_mut(archive) else {
            return;
        };
        let now = so_far.min(archive.size);
        self.progress
            .advance(Step::Fetch, now.saturating_sub(archive.told));
        archive.told = archive.told.max(now);
    }
}

impl Reporter for InstallReporter {
    fn on_transaction_start(&self, transaction: &Transaction<PrefixRecord, RepoDataRecord>) {
        let bytes = transaction
            .installed_packages()
            .filter_map(|record| record.package_record.size)
            .sum();
        self.progress.begin(Step::Fetch, bytes);
        self.progress
            .begin(Step::Link, transaction.operations.len() as u64);
    }

    fn on_populate_cache_start(&self, _operation: usize, record: &RepoDataRecord) -> usize {
        let mut archives = self.archives.lock().unwrap_or_else(PoisonError::into_inner);
        archives.push(Archive {
            size: record.package_record.size.unwrap_or(0),
            told: 0,
        });
        archives.len() - 1
    }

    fn on_download_start(&self, archive: usize) -> usize {
        archive
    }

    fn on_download_progress(&self, archive: usize, so_far: u64, _total: Option<u64>) {
        self.tell(archive, so_far);
    }

    fn on_populate_cache_complete(&self, archive: usize) {
        self.tell(archive, u64::MAX);
    }

    fn on_link_complete(&self, _index: usize) {
        self.progress.advance(Step::Link, 1);
    }

    fn on_transaction_complete(&self) {
        self.progress.end(Step::Fetch);
        self.progress.end(Step::Link);
    }

    fn on_transaction_operation_start(&self, _operation: usize) {}
    fn on_validate_start(&self, archive: usize) -> usize {
        archive
    }
    fn on_validate_complete(&self, _archive: usize) {}
    fn on_download_completed(&self, _archive: usize) {}
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{Archive, InstallReporter};
    use crate::conda::{Progress, Step};

    #[derive(Default)]
    struct Sum(AtomicU64);

    impl Progress for Sum {
        fn begin(&self, _step: Step, _total: u64) {}
        fn advance(&self, _step: Step, by: u64) {
            self.0.fetch_add(by, Ordering::Relaxed);
        }
        fn end(&self, _step: Step) {}
    }

    #[test]
    fn what_is_told_of_an_archive_adds_up_to_its_size_whatever_the_server_sends() {
        let sum = Arc::new(Sum::default());
        let reporter = InstallReporter::new(Arc::clone(&sum) as Arc<dyn Progress>);
        reporter
            .archives
            .lock()
            .unwrap()
            .push(Archive { size: 100, told: 0 });
        for so_far in [30, 60, 10, 500, u64::MAX] {
            reporter.tell(0, so_far);
        }
        assert_eq!(sum.0.load(Ordering::Relaxed), 100);
    }
}
