//! What can go wrong between here and a login node.

use miette::Diagnostic;
use thiserror::Error;

use super::refusal::Refusal;

/// A failure of ssh, of the login node or of its scheduler.
#[derive(Debug, Error, Diagnostic)]
pub enum ClusterError {
    /// A program of this machine can't be started.
    #[error("could not run {program}")]
    #[diagnostic(help("is it installed? On Debian: apt install openssh-client"))]
    NoProgram {
        /// The program.
        program: String,
        /// The system's word.
        source: std::io::Error,
    },

    /// No folder for ssh's sockets.
    #[error("no private folder for ssh could be made")]
    #[diagnostic(help("look at XDG_RUNTIME_DIR and /tmp: space, and your right to write there"))]
    NoFolder {
        /// The system's word.
        source: std::io::Error,
    },

    /// ssh did not connect.
    #[error("could not connect to {host}{}{}", found(host, said), words(said))]
    #[diagnostic(help("{}each hop is looked at by: envspec doctor", remedy(host, said)))]
    Unreachable {
        /// The host that was to be reached.
        host: String,
        /// What ssh said.
        said: String,
    },

    /// A connection that was there is not any more.
    #[error("the connection to {host} was lost{}", words(said))]
    #[diagnostic(help("run the command again"))]
    Lost {
        /// The host.
        host: String,
        /// What ssh said.
        said: String,
    },

    /// A command there failed.
    #[error("{what} failed on {host}{}", words(said))]
    #[diagnostic(help("its words are above; nothing else was changed"))]
    Command {
        /// What was tried.
        what: &'static str,
        /// On which host.
        host: String,
        /// What it said.
        said: String,
    },

    /// A command there took too long.
    #[error("{what} took more than {seconds} s on {host}")]
    #[diagnostic(help("the scheduler or the file system may be busy: try again later"))]
    TimedOut {
        /// What was tried.
        what: &'static str,
        /// On which host.
        host: String,
        /// How long was waited.
        seconds: u64,
    },

    /// An answer that makes no sense.
    #[error("{what} on {host} answered what can't be understood: {said}")]
    #[diagnostic(help("please report it with this answer"))]
    Answer {
        /// What was asked.
        what: &'static str,
        /// On which host.
        host: String,
        /// What came.
        said: String,
    },
}

/// What is wrong behind a colon, if ssh's words are understood.
fn found(host: &str, said: &str) -> String {
    Refusal::read(host, said).map_or_else(String::new, |refusal| format!(": {}", refusal.found))
}

/// What to do about it, as the beginning of a help.
fn remedy(host: &str, said: &str) -> String {
    Refusal::read(host, said).map_or_else(
        || format!("by hand: ssh {host}; "),
        |refusal| format!("{}; ", refusal.remedy),
    )
}

/// The words of a program behind a colon, if there are any.
fn words(said: &str) -> String {
    match said.trim() {
        "" => String::new(),
        said => format!(":\n{said}"),
    }
}
