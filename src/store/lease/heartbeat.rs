//! How a holder shows that it lives, and how others see that it does not.
//!
//! A holder counts up in a file beside its lease, from a thread of its own. Who
//! waits reads that file now and then and adds up how long it stayed as it is, on
//! its own monotonic clock: no clock of another machine is asked, and no time of a
//! file, so clocks may differ or be set back. Time in which the one who waits could
//! not look (its machine slept, the file server hung) is hardly counted, because a
//! holder that hangs on the same server is not gone.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fs_err as fs;
use tokio::sync::watch;

use super::{digest, read};
use crate::store::StoreError;

/// How often a holder beats, and how long it may be silent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rhythm {
    /// Between two beats.
    pub(super) every: Duration,
    /// Without a beat, until others may take over.
    pub(super) expires: Duration,
}

impl Default for Rhythm {
    /// An NFS client believes what it knows of a file for a minute at most; what
    /// is silent for longer is silent.
    fn default() -> Self {
        Self {
            every: Duration::from_secs(5),
            expires: Duration::from_secs(90),
        }
    }
}

impl Rhythm {
    pub(super) fn expires_ms(self) -> u64 {
        u64::try_from(self.expires.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Where the holder of a lease of this text beats. No environment's name begins
/// with a full stop.
pub(super) fn beat_path(lease: &Path, text: &str) -> PathBuf {
    lease.with_file_name(format!(".beat-{}", digest(text)))
}

/// Beats, for all who may read the root, whatever the umask says: to whom the beat
/// is hidden, the holder is silent.
fn beat_once(beat: &Path, count: u64) -> std::io::Result<()> {
    fs::write(beat, count.to_string())?;
    if count == 1 {
        fs::set_permissions(beat, std::fs::Permissions::from_mode(0o644))?;
    }
    Ok(())
}

/// The thread that beats, until it is dropped or the lease is another's.
#[derive(Debug)]
pub(super) struct Heart {
    lost: watch::Receiver<bool>,
    /// Ends the thread when dropped.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Heart {
    /// Begins to beat for the lease at `path`.
    pub(super) fn start(path: &Path, text: &str, rhythm: Rhythm) -> Result<Self, StoreError> {
        let (stop, stopped) = channel::<()>();
        let (tell, lost) = watch::channel(false);
        let beat = beat_path(path, text);
        let (path, text) = (path.to_owned(), text.to_owned());
        let failed = StoreError::io("could not start a thread for the lease", &path);
        let work = {
            let path = path.clone();
            move || {
                let mut count: u64 = 0;
                while stopped.recv_timeout(rhythm.every) == Err(RecvTimeoutError::Timeout) {
                    match read(&path) {
                        Ok(Some(found)) if found == text => {}
                        Ok(_) => {
                            tell.send_replace(true);
                            break;
                        }
                        // The disk is in trouble; whose the lease is can't be said.
                        Err(_) => continue,
                    }
                    count += 1;
                    if let Err(error) = beat_once(&beat, count) {
                        tracing::debug!("a beat was left out: {error}");
                    }
                }
                if count > 0 {
                    drop(fs::remove_file(&beat));
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("heartbeat".to_owned())
            .spawn(work)
            .map_err(failed)?;
        Ok(Self {
            lost,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Comes back once the lease is another's.
    pub(super) async fn lost(&self) {
        let mut lost = self.lost.clone();
        if lost.wait_for(|lost| *lost).await.is_err() {
            // The thread is gone without having seen that.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// How long the holder of a lease has been silent, as seen from here.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// The lease's text, and the beat.
    seen: Option<(String, Option<String>)>,
    last: Option<Instant>,
    silent: Duration,
}

impl Silence {
    /// Looks at a lease of this text: how long has its holder been silent? `step`
    /// is the time between two looks; more than twice as much is not counted.
    pub(super) fn look(&mut self, lease: &Path, text: &str, step: Duration) -> Duration {
        let Ok(beat) = read(&beat_path(lease, text)) else {
            // Who can't look knows nothing.
            *self = Self::default();
            return Duration::ZERO;
        };
        self.note((text.to_owned(), beat), Instant::now(), step)
    }

    fn note(&mut self, now: (String, Option<String>), at: Instant, step: Duration) -> Duration {
        let since = self
            .last
            .map_or(Duration::ZERO, |last| at.duration_since(last));
        self.last = Some(at);
        if self.seen.as_ref() == Some(&now) {
            self.silent += since.min(step * 2);
        } else {
            self.seen = Some(now);
            self.silent = Duration::ZERO;
        }
        self.silent
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Silence;

    const STEP: Duration = Duration::from_secs(1);

    #[test]
    fn silence_is_added_up_and_ended_by_a_beat_or_another_lease() {
        let mut silence = Silence::default();
        let start = Instant::now();
        let mut at = |seconds, text: &str, beat: Option<&str>| {
            let now = (text.to_owned(), beat.map(str::to_owned));
            silence
                .note(now, start + Duration::from_secs(seconds), STEP)
                .as_secs()
        };
        assert_eq!(at(0, "one", None), 0);
        assert_eq!(at(1, "one", None), 1);
        assert_eq!(at(2, "one", None), 2);
        assert_eq!(at(3, "one", Some("1")), 0, "it beats");
        assert_eq!(at(4, "one", Some("1")), 1);
        assert_eq!(at(5, "one", Some("2")), 0, "it beats again");
        assert_eq!(at(6, "one", Some("2")), 1);
        assert_eq!(at(7, "two", Some("2")), 0, "it is another's");
    }

    #[test]
    fn time_in_which_nobody_looked_is_hardly_counted() {
        let mut silence = Silence::default();
        let start = Instant::now();
        let now = || ("one".to_owned(), None);
        silence.note(now(), start, STEP);
        // The machine of the one who waits slept for an hour.
        let silent = silence.note(now(), start + Duration::from_hours(1), STEP);
        assert_eq!(silent, STEP * 2);
    }
}
