//! The hosts of `tests/world/cluster.sh` in Rust: an instance that ends with
//! its owner, commands of users on hosts, and what can go wrong there.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::output::{Ran, tell_failures_at_once};
use super::tools::skipped;

/// How long a command may take if nothing else is said: `srun` and `ssh` can
/// wait for ever.
const PATIENCE: Duration = Duration::from_mins(1);

/// Exit codes of `cluster.sh`: hosts can't be made here; packages are missing.
const IMPOSSIBLE: i32 = 77;
const NOT_INSTALLED: i32 = 78;

/// Five hosts with Slurm and sshd; gone when dropped, or when this process dies.
pub(crate) struct Cluster {
    folder: PathBuf,
    holder: Child,
    /// While this is open, the hosts live.
    life: Option<ChildStdin>,
}

impl Cluster {
    /// Hosts of the test's own; nothing where this machine can't have them,
    /// which is told and counted.
    #[must_use]
    pub(crate) fn up() -> Option<Self> {
        Self::hold(&[])
    }

    /// The same, where each job has a `/tmp` of its own.
    #[must_use]
    pub(crate) fn with_private_tmp() -> Option<Self> {
        Self::hold(&[("CLUSTER_PRIVATE_TMP", "yes")])
    }

    /// Hosts that the tests of this process share: for those that make no
    /// faults and touch no other test's files and jobs.
    #[must_use]
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
        SHARED.get_or_init(Self::up).as_ref()
    }

    fn hold(settings: &[(&str, &str)]) -> Option<Self> {
        tell_failures_at_once();
        let said = tempfile::tempfile().unwrap();
        let mut holder = script()
            .arg("hold")
            .envs(settings.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(said.try_clone().unwrap())
            .spawn()
            .unwrap();
        let life = holder.stdin.take();
        let mut first_line = String::new();
        BufReader::new(holder.stdout.take().unwrap())
            .read_line(&mut first_line)
            .unwrap();
        if first_line.is_empty() {
            let status = holder.wait().unwrap();
            let why = text(&said);
            match status.code() {
                Some(IMPOSSIBLE) => count_skipped(why.trim()),
                Some(NOT_INSTALLED) => skipped(why.trim()),
                _ => panic!("the hosts did not start ({status}):\n{why}"),
            }
            return None;
        }
        Some(Self {
            folder: PathBuf::from(first_line.trim_end()),
            holder,
            life,
        })
    }

    /// A host: `ws`, `jump`, `login`, `med0101` or `med0102`.
    pub(crate) fn host<'a>(&'a self, name: &'a str) -> Host<'a> {
        Host {
            cluster: self,
            name,
        }
    }

    /// `ada` on the workstation, where a user sits.
    pub(crate) fn ws(&self) -> User<'_> {
        self.host("ws").user("ada")
    }

    /// `ada` on the login node.
    pub(crate) fn login(&self) -> User<'_> {
        self.host("login").user("ada")
    }

    /// The instance's folder on this machine.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A path of the cluster's shared home as this machine sees it.
    pub(crate) fn home(&self, user: &str) -> PathBuf {
        self.folder.join("cluster/home").join(user)
    }

    /// The process that holds the hosts.
    pub(crate) fn holder(&self) -> u32 {
        self.holder.id()
    }

    /// A small file system of its own for a folder below the cluster's
    /// `/home`, on all its hosts; sizes as `mount` takes them (`64k`).
    pub(crate) fn small_disk(&self, folder: &str, size: &str) {
        self.fault(&["small-disk", folder, size]);
    }

    /// What lies beneath the small file system is seen again.
    pub(crate) fn no_small_disk(&self, folder: &str) {
        self.fault(&["no-small-disk", folder]);
    }

    /// A job's time limit is reached now; Slurm notices within half a minute.
    pub(crate) fn time_up(&self, job: &str) {
        self.fault(&["time-up", job]);
    }

    fn fault(&self, arguments: &[&str]) {
        let mut command = self.command();
        command.args(arguments);
        drop(Running::start(command, self).wait(PATIENCE).success());
    }

    fn command(&self) -> Command {
        let mut command = script();
        command.arg("-C").arg(&self.folder).stdin(Stdio::null());
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.life.take());
        let started = Instant::now();
        while self.holder.try_wait().is_ok_and(|status| status.is_none()) {
            if started.elapsed() > PATIENCE {
                drop(self.holder.kill());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A host of the cluster.
#[derive(Clone, Copy)]
pub(crate) struct Host<'a> {
    cluster: &'a Cluster,
    name: &'a str,
}

impl<'a> Host<'a> {
    /// A user there; `root` as well.
    pub(crate) fn user(self, name: &'a str) -> User<'a> {
        User {
            host: self,
            name,
            patience: PATIENCE,
        }
    }

    /// Kills sshd with all its connections.
    pub(crate) fn sshd_stop(self) {
        self.fault("sshd-stop");
    }

    pub(crate) fn sshd_start(self) {
        self.fault("sshd-start");
    }

    /// Kills slurmd; the node's jobs go on.
    pub(crate) fn slurmd_stop(self) {
        self.fault("slurmd-stop");
    }

    pub(crate) fn slurmd_start(self) {
        self.fault("slurmd-start");
    }

    /// Stops all processes of this name (`ssh`, `sshd`) until they are thawed.
    pub(crate) fn freeze(self, program: &str) {
        self.cluster.fault(&["freeze", self.name, program]);
    }

    pub(crate) fn thaw(self, program: &str) {
        self.cluster.fault(&["thaw", self.name, program]);
    }

    /// Its packets are lost in silence until it joins the network again.
    pub(crate) fn cut(self) {
        self.fault("cut");
    }

    pub(crate) fn join(self) {
        self.fault("join");
    }

    /// Ends the host at once, with all its processes.
    pub(crate) fn power_off(self) {
        self.fault("power-off");
    }

    pub(crate) fn power_on(self) {
        self.fault("power-on");
    }

    fn fault(self, what: &str) {
        self.cluster.fault(&[what, self.name]);
    }
}

/// A user on a host.
#[derive(Clone, Copy)]
pub(crate) struct User<'a> {
    host: Host<'a>,
    name: &'a str,
    patience: Duration,
}

impl User<'_> {
    /// Commands of this user may take as long as this.
    pub(crate) fn within(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Runs a command to its end, from the home folder and with the
    /// environment of a login. A test fails if it takes too long.
    #[track_caller]
    pub(crate) fn run<const N: usize>(self, command: [&str; N]) -> Ran {
        self.start(command).wait(self.patience)
    }

    /// Runs a script of bash.
    #[track_caller]
    pub(crate) fn sh(self, script: &str) -> Ran {
        self.run(["bash", "-c", script])
    }

    /// Starts a command and lets it run.
    pub(crate) fn start<const N: usize>(self, command: [&str; N]) -> Running {
        Running::start(self.command(command), self.host.cluster)
    }

    /// A command that is not yet run; `env NAME=VALUE …` sets variables.
    pub(crate) fn command<const N: usize>(self, command: [&str; N]) -> Command {
        let mut started = self.host.cluster.command();
        started
            .args(["as", self.host.name, self.name, "--"])
            .args(command);
        started
    }

    /// Writes a file as this user.
    #[track_caller]
    pub(crate) fn write(self, path: &str, text: &str) {
        let mut input = tempfile::tempfile().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        input.rewind().unwrap();
        let mut command = self.command(["bash", "-c", "cat >\"$1\"", "bash", path]);
        command.stdin(input);
        let running = Running::start(command, self.host.cluster);
        drop(running.wait(self.patience).success());
    }

    /// Submits a batch script and returns the job's number.
    #[track_caller]
    pub(crate) fn sbatch(self, script: &str) -> String {
        self.write("job.sh", script);
        let output = self.run(["sbatch", "--parsable", "job.sh"]).success();
        output.stdout.trim().to_owned()
    }

    /// A job as `squeue` shows it: state and nodes (`R med0101`), nothing when
    /// it has ended.
    #[track_caller]
    pub(crate) fn job(self, job: &str) -> String {
        // Slurm forgets an ended job, and then does not know the number.
        let output = self.sh(&format!(
            "squeue --noheader -o '%i %t %N' | grep '^{job} '; true"
        ));
        let line = output.success().stdout;
        line.split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// A command that runs on a host; killed when dropped.
///
/// What it says goes to files: processes that it leaves behind (the master of
/// an ssh connection) would hold a pipe open.
pub(crate) struct Running {
    child: Child,
    stdout: File,
    stderr: File,
    folder: PathBuf,
    shown: String,
}

impl Running {
    fn start(mut command: Command, cluster: &Cluster) -> Self {
        let stdout = tempfile::tempfile().unwrap();
        let stderr = tempfile::tempfile().unwrap();
        let child = command
            .stdout(stdout.try_clone().unwrap())
            .stderr(stderr.try_clone().unwrap())
            .spawn()
            .unwrap();
        Self {
            child,
            stdout,
            stderr,
            folder: cluster.folder.clone(),
            shown: format!("{command:?}"),
        }
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(mut self, patience: Duration) -> Ran {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.ended() {
                break status;
            }
            assert!(
                started.elapsed() < patience,
                "still runs after {patience:?}: {}\n{}\n{}",
                self.shown,
                self.stdout(),
                self.stderr()
            );
            std::thread::sleep(Duration::from_millis(5));
        };
        let output = Output {
            status,
            stdout: self.stdout().into_bytes(),
            stderr: self.stderr().into_bytes(),
        };
        Ran::new(output, &self.folder)
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// What it has said so far.
    pub(crate) fn stdout(&self) -> String {
        text(&self.stdout)
    }

    pub(crate) fn stderr(&self) -> String {
        text(&self.stderr)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The script, told which target folder this build has.
fn script() -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_envspec"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/world/cluster.sh");
    let mut command = Command::new(path);
    command.env("CARGO_TARGET_DIR", binary.ancestors().nth(2).unwrap());
    command
}

/// The whole text of a file that another process may be writing: its offset,
/// which the two share, is left where it is.
fn text(file: &File) -> String {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mut text = Vec::new();
    File::open(path).unwrap().read_to_end(&mut text).unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

/// Tells that a test did not run because this machine can't have hosts, and
/// counts it in the file that `ENVSPEC_TEST_SKIPPED` names.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn count_skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    eprintln!("SKIPPED: {test}: {why}");
    if let Some(path) = std::env::var_os("ENVSPEC_TEST_SKIPPED") {
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        writeln!(file, "{test}: {why}").unwrap();
    }
}
