//! A program and all processes of its group, which end with this value.
//!
//! (std cannot make a session yet, and `unsafe` is forbidden: so it is a group, which
//! is what signals go to.)

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// How often a look is taken whether the program has ended.
const LOOK: Duration = Duration::from_millis(10);

/// A program that leads a group of its own.
#[derive(Debug)]
pub struct ProcessGroup {
    leader: Child,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Nobody can say.
    Unknown(String),
}

impl ProcessGroup {
    /// Starts a program in a group of its own.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let leader = command.process_group(0).spawn()?;
        Ok(Self { leader })
    }

    /// Waits until the program has ended; says how it did. It stays a zombie, so that
    /// its number still names its group and nothing else. What it left behind in the
    /// background is not waited for.
    pub async fn ended(&self) -> Ended {
        loop {
            if let Some(how) = self.has_ended() {
                return how;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn has_ended(&self) -> Option<Ended> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(self.number()), options) {
            Ok(None) => None,
            Ok(Some(status)) => Some(match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Ended::Code(code),
                (None, Some(signal)) => Ended::Signal(signal),
                (None, None) => Ended::Unknown("an unknown status".to_owned()),
            }),
            Err(error) => Some(Ended::Unknown(format!(
                "a status that can't be read ({error})"
            ))),
        }
    }

    /// Sends a signal to all of the group.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process_group(self.number(), signal)?)
    }

    fn number(&self) -> Pid {
        Pid::from_child(&self.leader)
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // The leader is not reaped yet, so the group's number is still its own;
        // an error can only mean that nobody is left in it.
        let _gone = self.signal(Signal::KILL);
        let _reaped = self.leader.wait();
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Unknown(how) => f.write_str(how),
        }
    }
}
