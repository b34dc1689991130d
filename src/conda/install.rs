//! Records into a prefix: fetched in parallel, checked by hash, linked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rattler::install::{Installer, LinkOptions, Reporter, Transaction};
use rattler_cache::package_cache::PackageCache;
use rattler_conda_types::{MatchSpec, PrefixRecord, RepoDataRecord, Subdir};
use rattler_networking::LazyClient;

use super::channels::refuse_secrets;
use super::error::CondaError;
use super::packages::Packages;
use super::progress::{Progress, Step};

/// The cache of unpacked packages in a folder; generations are hard-linked
/// from it.
pub fn package_cache(folder: &Path) -> PackageCache {
    PackageCache::new(folder)
}

/// A prefix to be filled.
pub struct Install<'a> {
    /// Where; no package is there yet.
    pub place: &'a Path,
    /// The path that the files name: where it all will be.
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
    /// Folders of packages whose files could not be hard-linked and were copied.
    pub copied_from: BTreeSet<PathBuf>,
    /// Packages that were damaged in the cache and are new there.
    pub renewed: Vec<String>,
}

/// Fills the prefix from `packages`, fetching what is missing there.
///
/// Link scripts of packages are not run (they may run anything). Every
/// archive's hash is checked before it enters the cache.
pub async fn install(
    install: Install<'_>,
    packages: Packages<'_>,
    client: &LazyClient,
    progress: &Arc<dyn Progress>,
) -> Result<Installed, CondaError> {
    let prefix = install.prefix;
    refuse_secrets(&install.records)?;
    widen_the_pool();
    let ready = packages
        .ready(&install.records, prefix, client, progress)
        .await?;
    let result = Installer::new()
        .with_package_cache(ready.cache.clone())
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
        .with_reporter(LinkReporter(Arc::clone(progress)))
        .with_alternative_target_prefix(prefix)
        .install(install.place, install.records)
        .await
        .map_err(|source| CondaError::install(prefix, source))?;
    Ok(Installed {
        clobbered: result.clobbered_paths.into_keys().collect(),
        copied_from: ready.far,
        renewed: ready.renewed,
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

/// Turns rattler's events into one step: packages that are in the prefix.
struct LinkReporter(Arc<dyn Progress>);

impl Reporter for LinkReporter {
    fn on_transaction_start(&self, transaction: &Transaction<PrefixRecord, RepoDataRecord>) {
        self.0
            .begin(Step::Link, transaction.operations.len() as u64);
    }

    fn on_link_complete(&self, _index: usize) {
        self.0.advance(Step::Link, 1);
    }

    fn on_transaction_complete(&self) {
        self.0.end(Step::Link);
    }

    fn on_transaction_operation_start(&self, _operation: usize) {}
    fn on_populate_cache_start(&self, operation: usize, _record: &RepoDataRecord) -> usize {
        operation
    }
    fn on_validate_start(&self, package: usize) -> usize {
        package
    }
    fn on_validate_complete(&self, _package: usize) {}
    fn on_download_start(&self, package: usize) -> usize {
        package
    }
    fn on_download_progress(&self, _package: usize, _so_far: u64, _total: Option<u64>) {}
    fn on_download_completed(&self, _package: usize) {}
    fn on_populate_cache_complete(&self, _package: usize) {}
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
