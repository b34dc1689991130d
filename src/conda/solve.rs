//! Requirements and channels in, a complete set of package records out.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rattler_cache::package_cache::PackageCache;
use rattler_conda_types::{Channel, GenericVirtualPackage, MatchSpec, RepoDataRecord, Subdir};
use rattler_networking::LazyClient;
use rattler_repodata_gateway::fetch::CacheAction;
use rattler_repodata_gateway::{
    ChannelConfig, DownloadReporter, Gateway, GatewayError, RepoData, Reporter, SourceConfig,
};
use rattler_solve::resolvo::Solver;
use rattler_solve::{ChannelPriority, SolveError, SolverImpl, SolverTask};
use url::Url;

use super::checksum;
use super::client::Network;
use super::conflict;
use super::error::CondaError;
use super::index::IndexFolder;
use super::progress::{Progress, Step};
use crate::spec;

/// The way to the channels' indexes: one for a whole run, so that nothing is
/// fetched twice.
pub struct Gateways {
    gateway: Gateway,
    client: LazyClient,
    /// Is there for as long as the gateway is.
    _index: IndexFolder,
}

impl Gateways {
    /// Indexes are kept below `index_cache`; `packages` is where a requirement
    /// that names a package's own URL is unpacked.
    pub fn new(
        client: &LazyClient,
        network: Network,
        index_cache: &Path,
        packages: &PackageCache,
    ) -> Self {
        let cache_action = match network {
            Network::Online => CacheAction::CacheOrFetch,
            Network::Offline => CacheAction::ForceCacheOnly,
        };
        let index = IndexFolder::of(index_cache);
        let gateway = Gateway::builder()
            .with_client(client.clone())
            .with_cache_dir(index.path())
            .with_package_cache(packages.clone())
            .with_max_concurrent_requests(32)
            .with_channel_config(ChannelConfig {
                default: SourceConfig {
                    cache_action,
                    ..SourceConfig::default()
                },
                ..ChannelConfig::default()
            })
            .finish();
        Self {
            gateway,
            client: client.clone(),
            _index: index,
        }
    }
}

/// One question to the solver.
pub struct Solve<'a> {
    /// The channels in order of priority.
    pub channels: &'a [Channel],
    /// What the order means.
    pub priority: spec::ChannelPriority,
    /// The platform to solve for.
    pub platform: Subdir,
    /// What must be in the answer.
    pub specs: &'a [MatchSpec],
    /// What the node offers.
    pub virtual_packages: &'a [GenericVirtualPackage],
    /// Records to keep where nothing forces a change (those of an older lock).
    pub favored: &'a [RepoDataRecord],
}

impl Solve<'_> {
    /// The records of the solution, sorted by name.
    pub async fn run(
        &self,
        gateways: &Gateways,
        progress: &Arc<dyn Progress>,
    ) -> Result<Vec<RepoDataRecord>, CondaError> {
        progress.begin(Step::Index, 0);
        let index = self.index(gateways, progress).await;
        progress.end(Step::Index);
        let index = index?;

        progress.begin(Step::Solve, 0);
        let answer = self.answer(gateways, &index).await;
        progress.end(Step::Solve);
        let mut records = answer?;
        checksum::complete(&mut records, &gateways.client).await?;
        records.sort_by(|a, b| a.package_record.name.cmp(&b.package_record.name));
        Ok(records)
    }

    async fn index(
        &self,
        gateways: &Gateways,
        progress: &Arc<dyn Progress>,
    ) -> Result<Vec<RepoData>, CondaError> {
        let output = gateways
            .gateway
            .query(
                self.channels.iter().cloned(),
                [self.platform, Subdir::NoArch],
                self.specs.iter().map(whole_package),
            )
            .recursive(true)
            .with_reporter(IndexReporter {
                progress: Arc::clone(progress),
                seen: AtomicUsize::new(0),
            })
            .await
            .map_err(unreadable)?;
        Ok(output.repodata)
    }

    async fn answer(
        &self,
        gateways: &Gateways,
        index: &[RepoData],
    ) -> Result<Vec<RepoDataRecord>, CondaError> {
        // The solver is CPU-bound for up to seconds; nothing else waits on
        // this thread of the runtime.
        let solved = tokio::task::block_in_place(|| self.attempt(self.specs, index));
        match solved {
            Ok(records) => Ok(records),
            Err(SolveError::Unsolvable(_)) => {
                let names = gateways
                    .gateway
                    .names(
                        self.channels.iter().cloned(),
                        [self.platform, Subdir::NoArch],
                    )
                    .await
                    .map_err(unreadable)?
                    .names;
                let conflict =
                    tokio::task::block_in_place(|| conflict::explain(self, index, &names));
                Err(CondaError::Unsolvable(Box::new(conflict)))
            }
            Err(source) => Err(CondaError::Solver { source }),
        }
    }

    /// Solves for `specs`, which need not be all of the question's.
    pub(super) fn attempt(
        &self,
        specs: &[MatchSpec],
        index: &[RepoData],
    ) -> Result<Vec<RepoDataRecord>, SolveError> {
        let task = SolverTask {
            virtual_packages: self.virtual_packages.to_vec(),
            specs: specs.to_vec(),
            locked_packages: self.favored.iter().collect(),
            channel_priority: match self.priority {
                spec::ChannelPriority::Strict => ChannelPriority::Strict,
                spec::ChannelPriority::Disabled => ChannelPriority::Disabled,
            },
            ..index.iter().collect::<SolverTask<'_, _>>()
        };
        Solver.solve(task).map(|result| result.records)
    }
}

fn unreadable(source: GatewayError) -> CondaError {
    CondaError::Index {
        source: Box::new(source),
    }
}

/// What to ask the index for: all records of the package, not only those that
/// match. A channel of higher priority has the name also where none of its
/// records matches, and then the others' don't count; and to say why there is
/// no solution, those that don't match are what matters. A requirement that
/// names its own place is asked as it is.
fn whole_package(spec: &MatchSpec) -> MatchSpec {
    match spec.name.as_exact() {
        Some(name) if spec.channel.is_none() && spec.url.is_none() => MatchSpec::from(name.clone()),
        _ => spec.clone(),
    }
}

/// Counts the bytes of the indexes that arrive.
struct IndexReporter {
    progress: Arc<dyn Progress>,
    seen: AtomicUsize,
}

impl Reporter for IndexReporter {
    fn download_reporter(&self) -> Option<&dyn DownloadReporter> {
        Some(self)
    }
}

impl DownloadReporter for IndexReporter {
    fn on_download_progress(&self, _url: &Url, _index: usize, bytes: usize, _total: Option<usize>) {
        // Each report is that download's sum so far; concurrent ones interleave,
        // so only the growth of the largest is counted: a sign of life.
        let before = self.seen.fetch_max(bytes, Ordering::Relaxed);
        self.progress
            .advance(Step::Index, bytes.saturating_sub(before) as u64);
    }
}
