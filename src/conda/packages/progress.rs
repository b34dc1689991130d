//! How far the archives are on their way, as one step with a total: bytes that
//! are in the cache.

use std::sync::{Arc, Mutex, PoisonError};

use rattler_cache::package_cache::CacheReporter;
use rattler_conda_types::RepoDataRecord;

use crate::conda::progress::{Progress, Step};

/// All archives that are fetched; the step ends when this goes.
pub(super) struct FetchProgress {
    progress: Arc<dyn Progress>,
    archives: Vec<Arc<Archive>>,
}

/// An archive on its way into the cache.
struct Archive {
    progress: Arc<dyn Progress>,
    state: Mutex<State>,
}

struct State {
    /// In bytes, as the channel or the index says, or the server when it comes.
    size: Option<u64>,
    told: u64,
}

impl FetchProgress {
    pub(super) fn begin(progress: &Arc<dyn Progress>, records: &[&RepoDataRecord]) -> Self {
        let sizes = records.iter().map(|record| record.package_record.size);
        progress.begin(Step::Fetch, sizes.clone().flatten().sum());
        let archive = |size| {
            Arc::new(Archive {
                progress: Arc::clone(progress),
                state: Mutex::new(State { size, told: 0 }),
            })
        };
        Self {
            progress: Arc::clone(progress),
            archives: sizes.map(archive).collect(),
        }
    }

    /// Who listens to one archive.
    pub(super) fn of(&self, number: usize) -> Arc<dyn CacheReporter> {
        Arc::clone(&self.archives[number]) as _
    }
}

impl Drop for FetchProgress {
    fn drop(&mut self) {
        self.progress.end(Step::Fetch);
    }
}

impl Archive {
    /// Tells how far it is; more than its size is not believed.
    fn tell(&self, so_far: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = so_far.min(state.size.unwrap_or(0));
        self.progress
            .advance(Step::Fetch, now.saturating_sub(state.told));
        state.told = now.max(state.told);
    }

    /// Counts an archive whose size nobody told before.
    fn is_of(&self, size: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.size.is_none() {
            self.progress.begin(Step::Fetch, size);
            state.size = Some(size);
        }
    }
}

impl CacheReporter for Archive {
    fn on_validate_start(&self) -> usize {
        0
    }
    fn on_validate_complete(&self, _index: usize) {}
    fn on_download_start(&self) -> usize {
        0
    }
    fn on_download_progress(&self, _index: usize, so_far: u64, total: Option<u64>) {
        if let Some(size) = total {
            self.is_of(size);
        }
        self.tell(so_far);
    }
    fn on_download_completed(&self, _index: usize) {
        self.tell(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex};

    use rattler_cache::package_cache::CacheReporter as _;

    use super::{Archive, State};
    use crate::conda::{Progress, Step};

    /// What is done, and what is to be done.
    #[derive(Default)]
    struct Sum(AtomicU64, AtomicU64);

    impl Progress for Sum {
        fn begin(&self, _step: Step, total: u64) {
            self.1.fetch_add(total, Ordering::Relaxed);
        }
        fn advance(&self, _step: Step, by: u64) {
            self.0.fetch_add(by, Ordering::Relaxed);
        }
        fn end(&self, _step: Step) {}
    }

    fn archive(sum: &Arc<Sum>, size: Option<u64>) -> Archive {
        Archive {
            progress: Arc::clone(sum) as Arc<dyn Progress>,
            state: Mutex::new(State { size, told: 0 }),
        }
    }

    #[test]
    fn an_archive_of_unknown_size_is_counted_once_its_server_tells_it() {
        let sum = Arc::new(Sum::default());
        let archive = archive(&sum, None);
        for (so_far, total) in [(1, None), (30, Some(100)), (60, Some(100))] {
            archive.on_download_progress(0, so_far, total);
        }
        archive.on_download_completed(0);
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        assert_eq!((of(&sum.0), of(&sum.1)), (100, 100));
    }

    #[test]
    fn what_is_told_of_an_archive_adds_up_to_its_size_whatever_the_server_sends() {
        let sum = Arc::new(Sum::default());
        let archive = archive(&sum, Some(100));
        for so_far in [30, 60, 10, 500, u64::MAX] {
            archive.tell(so_far);
        }
        assert_eq!(sum.0.load(Ordering::Relaxed), 100);
    }
}
