//! A place where commands of a kernel's definition run: the activated prefix, with all
//! that a home has in a folder that goes with us.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::apply::context::Context;
use crate::store::StoreError;

/// How many lines of a failed command's output are shown of each end: some
/// languages put the cause first, some last.
const OUTPUT_LINES: usize = 5;

/// Variables of the user's that every command sees: how the network is reached.
const NETWORK: [&str; 13] = [
    "ALL_PROXY",
    "CURL_CA_BUNDLE",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NODE_EXTRA_CA_CERTS",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// An empty home.
pub(super) struct Staging<'a> {
    prefix: &'a Path,
    home: TempDir,
    of_user: &'a BTreeMap<String, String>,
}

/// A command that did not do its work.
#[derive(Debug)]
pub(super) struct Failed {
    /// The command.
    pub(super) command: String,
    /// The last lines that it printed, or why it could not be started.
    pub(super) output: String,
}

/// What to run.
pub(super) struct Run<'r> {
    /// The program's path.
    pub(super) program: PathBuf,
    /// Its arguments.
    pub(super) arguments: Vec<String>,
    /// What messages call the command.
    pub(super) shown: String,
    /// The whole environment, but for what the staging adds.
    pub(super) environment: &'r BTreeMap<String, String>,
    /// Variables for this command alone.
    pub(super) env: Vec<(String, String)>,
    /// Variables of the user's that it sees, beside the network's.
    pub(super) inherit: &'r [String],
    /// How long it may take.
    pub(super) limit: Duration,
}

impl<'a> Staging<'a> {
    pub(super) fn new(context: &'a Context, prefix: &'a Path) -> Result<Self, StoreError> {
        let temporary = std::env::temp_dir();
        let home = tempfile::Builder::new()
            .prefix("envspec-home-")
            .tempdir()
            .map_err(StoreError::io("could not make a folder in", &temporary))?;
        Ok(Self {
            prefix,
            home,
            of_user: &context.environment,
        })
    }

    /// The home.
    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Where data of a user goes in it.
    fn data(&self) -> PathBuf {
        self.home().join(".local/share")
    }

    /// Where kernelspecs of a user go in it. Whichever of HOME, `XDG_DATA_HOME` and
    /// `JUPYTER_DATA_DIR` an installer looks at, it is this folder that it finds.
    pub(super) fn kernels(&self) -> PathBuf {
        self.data().join("jupyter/kernels")
    }

    /// Runs a command to its end.
    pub(super) async fn run(&self, run: Run<'_>) -> Result<(), Failed> {
        let failed = |output: String| Failed {
            command: run.shown.clone(),
            output,
        };
        if !run.program.exists() {
            return Err(failed(format!("there is no {}", run.program.display())));
        }
        let inherited = NETWORK
            .into_iter()
            .chain(run.inherit.iter().map(String::as_str));
        let inherited = inherited.filter_map(|name| self.of_user.get_key_value(name));
        let home = self.home().to_string_lossy();
        let child = Command::new(&run.program)
            .args(&run.arguments)
            .env_clear()
            .envs(run.environment)
            .envs(inherited)
            // Java takes the home from the system, whatever HOME says.
            .env("JAVA_TOOL_OPTIONS", format!("-Duser.home={home}"))
            .envs(run.env)
            .env("HOME", self.home())
            .env("XDG_DATA_HOME", self.data())
            .env("JUPYTER_DATA_DIR", self.data().join("jupyter"))
            .env("PREFIX", self.prefix)
            .current_dir(self.home())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let group = Group::of(&child);
        let output = tokio::time::timeout(run.limit, child.wait_with_output()).await;
        drop(group);
        let Ok(output) = output else {
            let limit = run.limit.as_secs();
            return Err(failed(format!(
                "it did not end within {limit} seconds and was killed"
            )));
        };
        let output = output.map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        let text = [output.stdout, output.stderr].concat();
        let text = both_ends(&String::from_utf8_lossy(&text));
        let silent = || format!("it printed nothing, and ended with {}", output.status);
        Err(failed(if text.is_empty() { silent() } else { text }))
    }
}

/// The processes of a command, killed when dropped: what it left in the
/// background, or all of them when the user has enough. None may write into a
/// generation once that is whole.
struct Group(Option<Pid>);

impl Group {
    /// The group that a child leads.
    fn of(child: &Child) -> Self {
        let leader = child.id().and_then(|id| i32::try_from(id).ok());
        Self(leader.and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // An error means that nobody is left in it.
            let _gone = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// The beginning and the end of a text.
pub(in crate::apply) fn both_ends(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    if lines.len() <= 2 * OUTPUT_LINES {
        return lines.join("\n");
    }
    let (head, tail) = (&lines[..OUTPUT_LINES], &lines[lines.len() - OUTPUT_LINES..]);
    [head, &["…"], tail].concat().join("\n")
}
