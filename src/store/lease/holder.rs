//! Who holds a lease, and whether that process is still there.
//!
//! A process number alone tells little: it is given out again after a reboot,
//! and in a container nearly everything is process 1. With the boot and the
//! instant at which the process started it is one process for all time. Where
//! the system tells neither (macOS, a closed `/proc`), the number has to do.
//!
//! A process on another machine can't be asked about: there its heartbeat tells
//! (`heartbeat`). The machine is known by its host name, so containers that share
//! a root need host names of their own.

use std::fmt;
use std::time::Duration;

use fs_err as fs;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use crate::store::StoreError;

/// Where Linux tells which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The start of a process among the fields of `/proc/PID/stat` that follow its
/// name, counted from 0; proc(5) counts it as field 22 and the name as 2.
const START_AFTER_NAME: usize = 19;

/// Who asks for leases.
#[derive(Debug, Clone)]
pub struct Asker<'a> {
    /// `user@host`.
    pub by: String,
    /// This machine's name.
    pub host: &'a str,
    /// The Slurm job that this process is part of.
    pub job: Option<&'a str>,
    /// The time, RFC 3339.
    pub now: fn() -> String,
}

impl Asker<'_> {
    /// As the holder that it may become now.
    pub(super) fn holder(&self) -> Holder {
        Holder {
            job: self.job.map(str::to_owned),
            ..Holder::this_process(&self.by, self.host, &(self.now)())
        }
    }
}

/// Who holds a lease: what is written into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct Holder {
    /// `user@host`.
    pub(in crate::store) by: String,
    /// The machine's name.
    pub(in crate::store) host: String,
    /// The process's number on that machine.
    pub(in crate::store) pid: u32,
    /// The Slurm job that it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::store) job: Option<String>,
    /// Since when, RFC 3339. For people: no clock is ever compared with it.
    pub(in crate::store) since: String,
    /// After how many milliseconds without a beat it counts as gone; a holder
    /// that does not say is believed for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::store) expires_ms: Option<u64>,
    /// The machine's boot, if it tells.
    #[serde(default)]
    pub(in crate::store) boot: Option<String>,
    /// When the process started, in the kernel's ticks since the boot, if the
    /// machine tells.
    #[serde(default)]
    pub(in crate::store) started: Option<u64>,
    /// Random: no two leases ever have the same text.
    #[serde(default)]
    pub(in crate::store) token: String,
}

impl Holder {
    /// This process. `by` is `user@host`, `now` RFC 3339.
    pub(in crate::store) fn this_process(by: &str, host: &str, now: &str) -> Self {
        let pid = std::process::id();
        Self {
            by: by.to_owned(),
            host: host.to_owned(),
            pid,
            job: None,
            since: now.to_owned(),
            expires_ms: None,
            boot: fs::read_to_string(BOOT_ID)
                .ok()
                .map(|id| id.trim().to_owned()),
            started: started(pid),
            token: String::new(),
        }
    }

    /// The text of a lease of its own.
    pub(in crate::store) fn new_lease(&self) -> Result<String, StoreError> {
        let mut token = [0; 16];
        getrandom::fill(&mut token)
            .map_err(|error| std::io::Error::other(error.to_string()))
            .map_err(StoreError::io(
                "could not get randomness from",
                "the system".as_ref(),
            ))?;
        let holder = Self {
            token: hex::encode(token),
            ..self.clone()
        };
        Ok(serde_json::to_string(&holder)
            .expect("a holder is plain text, which JSON can always hold"))
    }

    /// How long it may be silent until it counts as gone.
    pub(in crate::store) fn expires(&self) -> Option<Duration> {
        self.expires_ms.map(Duration::from_millis)
    }

    /// Whether the holder has certainly ended, as seen by `me`.
    pub(in crate::store) fn is_gone(&self, me: &Self) -> bool {
        if self.host != me.host {
            return false;
        }
        if let (Some(then), Some(now)) = (&self.boot, &me.boot)
            && then != now
        {
            return true;
        }
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return true;
        };
        if test_kill_process(pid) == Err(Errno::SRCH) {
            return true;
        }
        // There is a process of that number: is it the same one?
        match (self.started, started(self.pid)) {
            (Some(then), Some(now)) => then != now,
            _ => false,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {}", self.by, self.pid)?;
        if let Some(job) = &self.job {
            write!(f, ", job {job}")?;
        }
        write!(f, ") since {}", self.since)
    }
}

/// When a process started, if there is a `/proc` that shows it.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in brackets and may have brackets and spaces in it.
    let (_, fields) = stat.rsplit_once(')')?;
    fields
        .split_ascii_whitespace()
        .nth(START_AFTER_NAME)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::Holder;

    fn me() -> Holder {
        Holder::this_process("me@here", "here", "2026-01-01T00:00:00Z")
    }

    #[test]
    fn a_living_process_is_not_gone() {
        assert!(!me().is_gone(&me()));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_number_that_another_process_has_now_is_recognised() {
        let mut earlier = me();
        earlier.started = earlier.started.map(|ticks| ticks - 1);
        assert!(earlier.started.is_some());
        assert!(earlier.is_gone(&me()));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_of_an_earlier_boot_is_gone_even_if_all_else_is_the_same() {
        let mut earlier = me();
        assert!(earlier.boot.is_some());
        earlier.boot = Some("an earlier one".to_owned());
        assert!(earlier.is_gone(&me()));
    }

    #[test]
    fn where_the_system_tells_nothing_more_the_number_is_believed() {
        let silent = Holder {
            boot: None,
            started: None,
            ..me()
        };
        assert!(!silent.is_gone(&me()));
        assert!(!me().is_gone(&silent));
    }

    #[test]
    fn nothing_is_said_about_another_machine() {
        let elsewhere = Holder {
            host: "there".to_owned(),
            boot: Some("another".to_owned()),
            started: Some(1),
            ..me()
        };
        assert!(!elsewhere.is_gone(&me()));
    }
}
