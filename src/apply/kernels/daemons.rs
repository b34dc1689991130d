//! What a command left running in a session of its own (`setsid`, a daemon, a terminal's
//! shell): the signals to its group do not reach it.
//!
//! It is known by its HOME, which is a folder that was made for that command and whose
//! name nobody else has. One that has given itself another HOME is not found, nor one whose
//! environment only root can read (agents of ssh and gpg make theirs so), nor any where there
//! is no `/proc`.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, getpid};

/// How often is looked: one that is killed takes a moment to go, and may have started
/// another meanwhile.
const LOOKS: usize = 100;

/// How long it is waited between looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Kills all processes with this home, when dropped: before the folder goes, and before
/// what they may write into is taken to be whole.
pub(super) struct Daemons<'h>(pub(super) &'h Path);

impl Drop for Daemons<'_> {
    fn drop(&mut self) {
        // In a thread of its own: how often it reads depends on who else is on the machine,
        // and the calls of the thread that changes the store shall be the same in every
        // run (the tests kill at each of them).
        let home = self.0;
        let look = || {
            for _ in 0..LOOKS {
                if !kill_all(home) {
                    return true;
                }
                std::thread::sleep(PAUSE);
            }
            false
        };
        let are_gone = std::thread::scope(|scope| scope.spawn(look).join());
        if !are_gone.is_ok_and(|are| are) {
            tracing::warn!("there may still be processes at {}", home.display());
        }
    }
}

/// Kills those that are there, and tells whether there were any.
fn kill_all(home: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return false;
    };
    let numbers = entries.flatten().filter_map(|entry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        Pid::from_raw(number).filter(|pid| *pid != getpid())
    });
    let killed = numbers.filter(|pid| kill_if_at(*pid, home)).count();
    killed > 0
}

/// Kills a process that has this home. What is looked at and what is killed is one and
/// the same process, though another may get its number at any time.
#[cfg(target_os = "linux")]
fn kill_if_at(pid: Pid, home: &Path) -> bool {
    use rustix::io::Errno;
    use rustix::process::{PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(held) => is_at(pid, home) && pidfd_send_signal(held, Signal::KILL).is_ok(),
        // Before Linux 5.3: the look was an instant ago.
        Err(Errno::NOSYS | Errno::PERM) => {
            is_at(pid, home) && kill_process(pid, Signal::KILL).is_ok()
        }
        Err(_) => false,
    }
}

#[cfg(not(target_os = "linux"))]
fn kill_if_at(_pid: Pid, _home: &Path) -> bool {
    false
}

/// Whether a process was started with this home. Of a dead one, and of another user's,
/// nothing can be read.
#[cfg(target_os = "linux")]
fn is_at(pid: Pid, home: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt as _;

    let environment = std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()));
    let environment = environment.unwrap_or_default();
    let mut variables = environment.split(|byte| *byte == 0);
    variables.any(|variable| variable.strip_prefix(b"HOME=") == Some(home.as_os_str().as_bytes()))
}
