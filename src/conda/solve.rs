//! Requirements and channels in, a complete set of package records out.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::try_join_all;
use rattler_cache::package_cache::PackageCache;
use rattler_conda_types::{
    Channel, GenericVirtualPackage, MatchSpec, PackageName, RepoDataRecord, Subdir,
};
use rattler_networking::LazyClient;
use rattler_repodata_gateway::fetch::CacheAction;
use rattler_repodata_gateway::{
    ChannelConfig, DownloadReporter, Gateway, GatewayError, RepoData, Reporter, SourceConfig,
};
use rattler_solve::resolvo::Solver;
use rattler_solve::{ChannelPriority, SolveError, SolverImpl, SolverTask};
use rayon::prelude::*;
use url::Url;

use super::checksum;
use super::client::Network;
use super::conflict::{self, Conflict};
use super::elsewhere;
use super::error::CondaError;
use super::index::IndexFolder;
use super::progress::{Progress, Step};
use super::update::{self, Held};
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
    /// The packages that are to go to their newest version, whatever is favored, with
    /// as few changes of the others as that takes.
    pub named: &'a [PackageName],
    /// Whose each requirement is.
    pub lines: &'a [Line<'a>],
    /// The kernel for whose own prefix it is: what is changed for one platform changes
    /// for all of the same prefix.
    pub isolated: Option<&'a str>,
    /// Channels that are not asked, and may be named to who misses a package.
    pub others: &'a [Channel],
}

/// Whose a requirement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The kernel that it is asked for with.
    pub kernel: Option<&'a str>,
    /// Whether somebody wrote it, and can write another one.
    pub is_written: bool,
    /// Its number among all lines of the prefix, those for other platforms too: the same
    /// line has the same on each platform.
    pub number: usize,
}

/// The answer to a question.
#[derive(Debug)]
pub struct Solution {
    /// The records, sorted by name.
    pub records: Vec<RepoDataRecord>,
    /// The named packages that are not at their newest version.
    pub held: Vec<Held>,
}

/// Answers questions, all at once: the indexes are asked for together, and each core
/// solves. The outer error is that of an index; there is an answer for each question.
pub async fn solve_all(
    questions: &[Solve<'_>],
    gateways: &Gateways,
    progress: &Arc<dyn Progress>,
) -> Result<Vec<Result<Solution, CondaError>>, CondaError> {
    progress.begin(Step::Index, 0);
    let indexes = questions
        .iter()
        .map(|question| question.index(gateways, progress));
    let indexes = try_join_all(indexes).await;
    progress.end(Step::Index);
    let indexes = indexes?;

    progress.begin(Step::Solve, 0);
    // The solver is CPU-bound for up to seconds; nothing else waits on this thread of
    // the runtime.
    let answers = tokio::task::block_in_place(|| answers(questions, &indexes));
    let mut explained = Vec::new();
    for ((question, index), answer) in questions.iter().zip(&indexes).zip(answers) {
        explained.push(match answer {
            Ok(mut solution) => {
                checksum::complete(&mut solution.records, &gateways.client).await?;
                Ok(solution)
            }
            Err(SolveError::Unsolvable(_)) => {
                let mut conflict = question.explain(gateways, index).await?;
                let others = questions.iter().zip(&indexes);
                keep_for_all(&mut conflict, question, others);
                Err(CondaError::Unsolvable(Box::new(conflict)))
            }
            Err(source) => Err(CondaError::Solver { source }),
        });
    }
    progress.end(Step::Solve);
    Ok(explained)
}

/// The answers, from as many threads as there are cores. They are a pool of their own:
/// the global one would have that size for all that comes after it.
fn answers(
    questions: &[Solve<'_>],
    indexes: &[Vec<RepoData>],
) -> Vec<Result<Solution, SolveError>> {
    /// As the main thread has, where a single question is answered.
    const STACK: usize = 8 << 20;
    let in_turn = || {
        let asked = questions.iter().zip(indexes);
        asked
            .map(|(question, index)| question.answer(index))
            .collect()
    };
    if questions.len() < 2 {
        return in_turn();
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(cores.min(questions.len()))
        .stack_size(STACK)
        .build();
    pool.map_or_else(
        |_| in_turn(),
        |pool| {
            let asked = questions.par_iter().zip(indexes);
            let answers = asked.map(|(question, index)| question.answer(index));
            pool.install(|| answers.collect())
        },
    )
}

/// Keeps of what would solve a question only what solves the same for all platforms that
/// it changes.
fn keep_for_all<'q>(
    conflict: &mut Conflict,
    question: &Solve<'_>,
    others: impl Iterator<Item = (&'q Solve<'q>, &'q Vec<RepoData>)>,
) {
    let Some(remedies) = conflict.remedies_mut() else {
        return;
    };
    for (other, index) in others {
        if other.isolated == question.isolated && other.platform != question.platform {
            tokio::task::block_in_place(|| {
                remedies.retain(|remedy| remedy.solves(question, other, index));
            });
        }
    }
}

impl Solve<'_> {
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

    fn answer(&self, index: &[RepoData]) -> Result<Solution, SolveError> {
        let (mut records, held) = if self.named.is_empty() {
            (self.attempt(self.specs, index)?, Vec::new())
        } else {
            update::newest(self, index)?
        };
        records.sort_by(|a, b| a.package_record.name.cmp(&b.package_record.name));
        Ok(Solution { records, held })
    }

    /// Why there is no solution.
    async fn explain(
        &self,
        gateways: &Gateways,
        index: &[RepoData],
    ) -> Result<Conflict, CondaError> {
        let names = gateways
            .gateway
            .names(
                self.channels.iter().cloned(),
                [self.platform, Subdir::NoArch],
            )
            .await
            .map_err(unreadable)?
            .names;
        let mut conflict = tokio::task::block_in_place(|| conflict::explain(self, index, &names));
        if let Conflict::NotFound {
            spec, elsewhere, ..
        } = &mut conflict
            && let Some(name) = self.specs[*spec].name.as_exact()
        {
            *elsewhere = elsewhere::look(self, &gateways.gateway, name).await;
        }
        Ok(conflict)
    }

    /// Solves for `specs`, which need not be all of the question's.
    pub(super) fn attempt(
        &self,
        specs: &[MatchSpec],
        index: &[RepoData],
    ) -> Result<Vec<RepoDataRecord>, SolveError> {
        self.attempt_with(specs, index, Tried::default())
    }

    /// The same with something held for a try.
    pub(super) fn attempt_with(
        &self,
        specs: &[MatchSpec],
        index: &[RepoData],
        tried: Tried<'_>,
    ) -> Result<Vec<RepoDataRecord>, SolveError> {
        let favored = tried
            .favored
            .unwrap_or_else(|| self.favored.iter().collect());
        let task = SolverTask {
            virtual_packages: tried
                .machine
                .unwrap_or_else(|| self.virtual_packages.to_vec()),
            specs: specs.to_vec(),
            locked_packages: favored,
            pinned_packages: tried.pinned,
            constraints: tried.without,
            timeout: tried.patience,
            channel_priority: match self.priority {
                spec::ChannelPriority::Strict if !tried.any_channel => ChannelPriority::Strict,
                _ => ChannelPriority::Disabled,
            },
            ..index.iter().collect::<SolverTask<'_, _>>()
        };
        Solver.solve(task).map(|result| result.records)
    }
}

/// What is different for one try.
#[derive(Default)]
pub(super) struct Tried<'a> {
    /// The records to favor, if not the question's.
    pub(super) favored: Option<Vec<&'a RepoDataRecord>>,
    /// The only records that there are of their names.
    pub(super) pinned: Vec<&'a RepoDataRecord>,
    /// What there must not be.
    pub(super) without: Vec<MatchSpec>,
    /// The virtual packages, if not the question's.
    pub(super) machine: Option<Vec<GenericVirtualPackage>>,
    /// Whether the order of the channels is of no account.
    pub(super) any_channel: bool,
    /// How long it may take.
    pub(super) patience: Option<Duration>,
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
