//! A world of its own for one test: home, root, working directory, and nothing
//! of the environment of whoever runs the tests.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::channels;
use super::output::{Ran, tell_failures_at_once};

/// A private world. Its folder has the same length everywhere, so that messages
/// with a path in them break their lines at the same places.
pub(crate) struct TestEnv {
    folder: TempDir,
    alias: String,
    variables: Vec<(String, String)>,
}

impl TestEnv {
    /// A world whose channels are the test world's, as files.
    pub(crate) fn new() -> Self {
        tell_failures_at_once();
        let folder = tempfile::Builder::new()
            .prefix("es-")
            .tempdir_in("/tmp")
            .unwrap();
        for name in ["home", "work/envs", "tmp"] {
            fs_err::create_dir_all(folder.path().join(name)).unwrap();
        }
        let link = folder.path().join("channels");
        fs_err::os::unix::fs::symlink(channels(), &link).unwrap();
        Self {
            alias: format!("file://{}", link.display()),
            folder,
            variables: Vec::new(),
        }
    }

    /// The same with channels from elsewhere.
    pub(crate) fn with_alias(alias: impl Into<String>) -> Self {
        Self {
            alias: alias.into(),
            ..Self::new()
        }
    }

    /// Takes its channels from elsewhere from now on.
    pub(crate) fn set_alias(&mut self, alias: impl Into<String>) {
        self.alias = alias.into();
    }

    /// Sets a variable for every run.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.into()));
    }

    /// Sets a variable no more.
    pub(crate) fn unset(&mut self, name: &str) {
        self.variables.retain(|(known, _)| known != name);
    }

    /// A path in this world.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// The working directory.
    pub(crate) fn work(&self) -> PathBuf {
        self.path("work")
    }

    /// envspec's root.
    pub(crate) fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// The user's kernelspecs.
    pub(crate) fn user_kernels(&self) -> PathBuf {
        self.path("home/.local/share/jupyter/kernels")
    }

    /// Writes `envs/NAME.yaml`.
    pub(crate) fn spec(&self, name: &str, text: &str) -> PathBuf {
        self.bytes(name, text.as_bytes())
    }

    /// Writes `envs/NAME.yaml` of any bytes.
    pub(crate) fn bytes(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.work().join(format!("envs/{name}.yaml"));
        fs_err::write(&path, bytes).unwrap();
        path
    }

    /// Writes the spec `lab` of packages of `tiny`.
    pub(crate) fn tiny(&self, dependencies: &[&str]) -> PathBuf {
        self.spec("lab", &tiny_spec(dependencies))
    }

    /// Waits until a run has unpacked a package, and says where.
    pub(crate) fn unpacked(&self, package: &str) -> PathBuf {
        soon("a package that was unpacked", || {
            let hidden = fs_err::read_dir(self.root().join("pkgs")).ok()?.flatten();
            let of_run = hidden.map(|entry| entry.path().join(package));
            of_run.filter(|path| path.join("info").is_dir()).last()
        })
    }

    /// Leaves the lease of somebody on a host that is gone, who counts as gone after
    /// half a second of silence.
    pub(crate) fn dead_lease(&self, lease: &str) {
        let path = self.root().join(lease);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        let text = r#"{"by": "anna@gone", "host": "gone", "pid": 1, "since": "2026-01-01T00:00:00Z", "expires_ms": 500}"#;
        fs_err::write(path, text).unwrap();
    }

    /// The text of `envs/NAME.lock`.
    #[track_caller]
    pub(crate) fn lock(&self, name: &str) -> String {
        fs_err::read_to_string(self.work().join(format!("envs/{name}.lock"))).unwrap()
    }

    /// The current generation's prefix.
    #[track_caller]
    pub(crate) fn prefix(&self, name: &str) -> PathBuf {
        fs_err::canonicalize(self.root().join("envs").join(name)).unwrap()
    }

    /// The receipt of the current generation.
    #[track_caller]
    pub(crate) fn receipt(&self, name: &str) -> serde_json::Value {
        let path = self.prefix(name).join(".envspec/receipt.json");
        serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap()
    }

    /// Any program in this world: its environment and working directory.
    pub(crate) fn program(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .env_clear()
            .current_dir(self.work())
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .env("USER", "researcher")
            .env("LANG", "C.UTF-8")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// envspec with arguments, not yet run.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_envspec"));
        command
            .env("ENVSPEC_ROOT", self.root())
            .env("ENVSPEC_CHANNEL_ALIAS", &self.alias)
            .envs(self.variables.iter().cloned())
            .args(arguments);
        command
    }

    /// Runs envspec.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.output(&mut self.command(arguments))
    }

    /// Runs a command to its end.
    pub(crate) fn output(&self, command: &mut Command) -> Ran {
        let output = command.output().unwrap();
        Ran::new(output, self.folder.path())
    }

    /// Starts envspec and lets it run.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let child = self
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Running {
            child: Some(child),
            folder: self.folder.path().to_owned(),
        }
    }
}

/// A spec of packages of the channel `tiny`.
pub(crate) fn tiny_spec(dependencies: &[&str]) -> String {
    let mut text = "channels: [tiny]\ndependencies:\n".to_owned();
    for dependency in dependencies {
        text.push_str("  - ");
        text.push_str(dependency);
        text.push('\n');
    }
    text
}

/// An envspec that runs; killed when dropped.
pub(crate) struct Running {
    child: Option<Child>,
    folder: PathBuf,
}

impl Running {
    /// Kills it with a signal that no program can catch, and tells whether it
    /// was that which ended it.
    #[must_use = "it may have been done before"]
    pub(crate) fn kill(mut self) -> bool {
        use std::os::unix::process::ExitStatusExt as _;
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap().signal() == Some(9)
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Ran {
        let output = self.child.take().unwrap().wait_with_output().unwrap();
        Ran::new(output, &self.folder)
    }

    /// Waits for its end, which must come in time.
    #[track_caller]
    pub(crate) fn wait_within(mut self, bound: Duration) -> Ran {
        let started = Instant::now();
        while self.child.as_mut().unwrap().try_wait().unwrap().is_none() {
            assert!(started.elapsed() < bound, "it hangs: {bound:?} are over");
            std::thread::sleep(Duration::from_millis(5));
        }
        self.wait()
    }

    /// Whether it has ended.
    pub(crate) fn is_done(&mut self) -> bool {
        self.child.as_mut().unwrap().try_wait().unwrap().is_some()
    }

    /// Its process number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Looks again and again until it sees something, a minute at most.
#[track_caller]
pub(crate) fn soon<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(
            started.elapsed() < Duration::from_mins(1),
            "not seen within a minute: {what}"
        );
        std::thread::sleep(pause);
        // A look at another host is a program that takes its part of the machine.
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}
