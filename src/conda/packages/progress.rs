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
    /// In bytes, as the channel says.
    size: u64,
    told: Mutex<u64>,
}

impl FetchProgress {
    pub(super) fn begin(progress: &Arc<dyn Progress>, records: &[&RepoDataRecord]) -> Self {
        let sizes = records
            .iter()
            .map(|record| record.package_record.size.unwrap_or(0));
        progress.begin(Step::Fetch, sizes.clone().sum());
        let archive = |size| {
            Arc::new(Archive {
                progress: Arc::clone(progress),
                size,
                told: Mutex::new(0),
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
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let now = so_far.min(self.size);
        self.progress
            .advance(Step::Fetch, now.saturating_sub(*told));
        *told = now.max(*told);
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
    fn on_download_progress(&self, _index: usize, so_far: u64, _total: Option<u64>) {
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

    use super::Archive;
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
        let archive = Archive {
            progress: Arc::clone(&sum) as Arc<dyn Progress>,
            size: 100,
            told: Mutex::new(0),
        };
        for so_far in [30, 60, 10, 500, u64::MAX] {
            archive.tell(so_far);
        }
        assert_eq!(sum.0.load(Ordering::Relaxed), 100);
    }
}
