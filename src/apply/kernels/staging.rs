//! A place where commands of a kernel's definition run: the activated prefix, with all
//! that a home has in a folder that goes with us.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use fs_err as fs;
use tempfile::TempDir;

use super::daemons::Daemons;
use super::network;
use crate::apply::context::Context;
use crate::conda::Network;
use crate::jupyter::{Ended, ProcessGroup};
use crate::store::StoreError;

/// How many lines of a failed command's output are shown of each end: some
/// languages put the cause first, some last.
const OUTPUT_LINES: usize = 5;

/// How many bytes of it are read of each end.
const OUTPUT_BYTES: u64 = 16 << 10;

/// An empty home.
pub(in crate::apply) struct Staging<'a> {
    prefix: &'a Path,
    home: TempDir,
    of_user: &'a BTreeMap<String, String>,
    network: Network,
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        // What an activation script left, too.
        drop(Daemons(self.home()));
    }
}

/// A command that did not do its work.
#[derive(Debug)]
pub(in crate::apply) struct Failed {
    /// The command.
    pub(in crate::apply) command: String,
    /// The last lines that it printed, or why it could not be started.
    pub(in crate::apply) output: String,
    /// All that was read of what it printed.
    pub(in crate::apply) said: String,
}

/// What to run.
pub(in crate::apply) struct Run<'r> {
    /// The program's path.
    pub(in crate::apply) program: PathBuf,
    /// Its arguments.
    pub(in crate::apply) arguments: Vec<String>,
    /// What messages call the command.
    pub(in crate::apply) shown: String,
    /// The whole environment, but for what the staging adds.
    pub(in crate::apply) environment: &'r BTreeMap<String, String>,
    /// Variables for this command alone.
    pub(in crate::apply) env: Vec<(String, String)>,
    /// Variables of the user's that it sees, beside the network's.
    pub(in crate::apply) inherit: &'r [String],
    /// What it gets to read, and nobody after it; nothing if it is empty.
    pub(in crate::apply) input: String,
    /// How long it may take.
    pub(in crate::apply) limit: Duration,
}

impl<'a> Staging<'a> {
    pub(in crate::apply) fn new(
        context: &'a Context,
        prefix: &'a Path,
    ) -> Result<Self, StoreError> {
        let temporary = std::env::temp_dir();
        let home = tempfile::Builder::new()
            .prefix("envspec-home-")
            .tempdir()
            .map_err(StoreError::io("could not make a folder in", &temporary))?;
        let staging = Self {
            prefix,
            home,
            of_user: &context.environment,
            network: context.network,
        };
        let scratch = staging.scratch();
        fs::create_dir(&scratch).map_err(StoreError::io("could not make", &scratch))?;
        Ok(staging)
    }

    /// The home.
    pub(in crate::apply) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Where temporary files go in it: who is killed leaves them.
    fn scratch(&self) -> PathBuf {
        self.home().join("tmp")
    }

    /// Where data of a user goes in it.
    fn data(&self) -> PathBuf {
        self.home().join(".local/share")
    }

    /// Where kernelspecs of a user go in it. Whichever of HOME, `XDG_DATA_HOME` and
    /// `JUPYTER_DATA_DIR` an installer looks at, it is this folder that it finds.
    pub(in crate::apply) fn kernels(&self) -> PathBuf {
        self.data().join("jupyter/kernels")
    }

    /// Runs a command to its end, and ends what it left in the background: that may not
    /// write into a generation once it is whole.
    pub(in crate::apply) async fn run(&self, run: Run<'_>) -> Result<(), Failed> {
        let failed = |output: String| Failed {
            command: run.shown.clone(),
            output,
            said: String::new(),
        };
        if !run.program.exists() {
            return Err(failed(format!("there is no {}", run.program.display())));
        }
        // Not a pipe: a daemon that holds it would have us wait for its end.
        let printed = tempfile::Builder::new()
            .append(true)
            .tempfile_in(self.home())
            .map_err(|error| failed(error.to_string()))?
            .into_file();
        let running = self
            .start(&run, &printed)
            .map_err(|error| failed(error.to_string()))?;
        let ended = tokio::time::timeout(run.limit, running.group.ended()).await;
        drop(running);
        if let Ok(Ended::Code(0)) = ended {
            return Ok(());
        }
        let said = ends(&printed).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        let output = match (ended, both_ends(&said)) {
            (Ok(ended), silence) if silence.is_empty() => {
                format!("it printed nothing, and ended with {ended}")
            }
            (Ok(_), text) => text,
            (Err(_), text) => {
                let limit = run.limit.as_secs();
                let late = format!("it did not end within {limit} seconds and was killed\n");
                (late + &text).trim_end().to_owned()
            }
        };
        Err(Failed {
            said,
            ..failed(output)
        })
    }

    fn start(&self, run: &Run<'_>, output: &std::fs::File) -> io::Result<Running<'_>> {
        let network = network::variables(self.network, self.of_user, run.inherit);
        let (home, scratch) = (self.home().display(), self.scratch());
        // Java takes the home from the system, whatever HOME says.
        let java = format!(
            "-Duser.home={home} -Djava.io.tmpdir={}{}",
            scratch.display(),
            network::words_for_java(self.network),
        );
        let mut command = Command::new(&run.program);
        command
            .args(&run.arguments)
            .env_clear()
            .envs(run.environment)
            .envs(network)
            .env("JAVA_TOOL_OPTIONS", java)
            .envs(run.env.iter().cloned())
            .env("HOME", self.home())
            .env("TMPDIR", scratch)
            .env("XDG_DATA_HOME", self.data())
            .env("JUPYTER_DATA_DIR", self.data().join("jupyter"))
            .env("PREFIX", self.prefix)
            .current_dir(self.home())
            .stdin(input(&run.input)?)
            .stdout(output.try_clone()?)
            .stderr(output.try_clone()?);
        Ok(Running {
            group: ProcessGroup::start(&mut command)?,
            _daemons: Daemons(self.home()),
        })
    }
}

/// The processes of a command. All are killed when this is dropped, also when the user
/// has enough: those of its group, and after them (fields are dropped in their order)
/// those that have left it.
struct Running<'h> {
    group: ProcessGroup,
    _daemons: Daemons<'h>,
}

/// A pipe that holds a text: what was read of it is gone.
fn input(text: &str) -> io::Result<Stdio> {
    if text.is_empty() {
        return Ok(Stdio::null());
    }
    let (reader, mut writer) = io::pipe()?;
    let text = text.to_owned();
    // More than a pipe holds waits for its reader; one that ends before it has read says why.
    std::thread::spawn(move || drop(writer.write_all(text.as_bytes())));
    Ok(reader.into())
}

/// The first and the last bytes of a file.
fn ends(mut file: &std::fs::File) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(OUTPUT_BYTES).read_to_end(&mut bytes)?;
    let rest = length.saturating_sub(OUTPUT_BYTES).max(OUTPUT_BYTES);
    file.seek(SeekFrom::Start(rest))?;
    file.take(OUTPUT_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
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
