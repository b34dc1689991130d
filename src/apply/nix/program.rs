//! The programs of Nix: found, run, ended.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::process::Command;

use crate::apply::context::Context;
use crate::apply::kernels::both_ends;
use crate::conda::Network;

/// Where installers put the programs and a shell that is no login shell does not look.
const PLACES: [&str; 2] = [
    "/nix/var/nix/profiles/default/bin",
    "/run/current-system/sw/bin",
];

/// The same below the home.
const PLACES_AT_HOME: [&str; 2] = [".nix-profile/bin", ".local/state/nix/profile/bin"];

/// Switched off by default, in Debian's 2.8 as in the newest.
const FEATURES: [&str; 4] = [
    "--extra-experimental-features",
    "nix-command",
    "--extra-experimental-features",
    "flakes",
];

/// How long a Nix that is told to end may take: it ends its builders first.
const PATIENCE: Duration = Duration::from_secs(1);

/// The programs of Nix.
pub(in crate::apply) struct Nix<'a> {
    folder: PathBuf,
    environment: &'a BTreeMap<String, String>,
    is_offline: bool,
}

/// The folder of the store, with which all its paths begin.
pub(in crate::apply) fn store_folder(context: &Context) -> &str {
    let variable = |name| context.environment.get(name).map(String::as_str);
    let store = variable("NIX_STORE_DIR").or_else(|| variable("NIX_STORE"));
    store.map_or("/nix/store", |store| store.trim_end_matches('/'))
}

impl<'a> Nix<'a> {
    /// Finds them on the user's PATH, or where installers put them.
    pub(in crate::apply) fn find(context: &'a Context) -> Option<Self> {
        let path = context.environment.get("PATH").map_or("", String::as_str);
        let of_path = std::env::split_paths(path);
        let of_home = PLACES_AT_HOME.iter().map(|place| context.home.join(place));
        let folder = of_path
            .chain(of_home)
            .chain(PLACES.iter().map(PathBuf::from))
            .filter(|folder| folder.is_absolute())
            .find(|folder| {
                let is_there = |program: &str| folder.join(program).is_file();
                is_there("nix") && is_there("nix-store")
            })?;
        Some(Self {
            folder,
            environment: &context.environment,
            is_offline: context.network == Network::Offline,
        })
    }

    /// Runs a command of the `nix` program in a folder, and gives what it prints; the
    /// error is Nix's words. `last` is no option, whatever it begins with.
    pub(super) async fn command(
        &self,
        words: &[&str],
        last: &str,
        beside: &Path,
    ) -> Result<String, String> {
        let mut command = Command::new(self.folder.join("nix"));
        command.args(FEATURES);
        if self.is_offline {
            command.arg("--offline");
        }
        command.args(words).arg("--").arg(last);
        self.run(command, beside).await
    }

    /// Has a store path in the store, from a binary cache if need be, and makes a root
    /// for it at `root`, which lives as long as that link does.
    pub(super) async fn root(&self, path: &str, root: &Path) -> Result<(), String> {
        let mut command = Command::new(self.folder.join("nix-store"));
        if self.is_offline {
            command.args(["--option", "substitute", "false"]);
        }
        command.args(["--realise", path, "--add-root"]).arg(root);
        // Without it 2.3 and older want roots in their own folder.
        command.arg("--indirect");
        self.run(command, Path::new("/")).await.map(drop)
    }

    async fn run(&self, mut command: Command, beside: &Path) -> Result<String, String> {
        let shown = command
            .as_std()
            .get_program()
            .to_string_lossy()
            .into_owned();
        tracing::debug!("{:?}", command.as_std());
        let child = command
            // The user's own: where the store is, the daemon, caches, registries.
            .env_clear()
            .envs(self.environment)
            .current_dir(if beside.is_dir() {
                beside
            } else {
                Path::new("/")
            })
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{shown} can't be started: {error}"))?;
        let mut running = Running::of(child.id());
        let output = child.wait_with_output().await;
        running.0 = None;
        let output = output.map_err(|error| format!("{shown}: {error}"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = both_ends(&String::from_utf8_lossy(&output.stderr));
        Err(if said.is_empty() {
            format!("it printed nothing, and ended with {}", output.status)
        } else {
            said
        })
    }
}

/// A Nix at work, which is told to end when this is dropped. Killed at once it would
/// leave its builders, which are in sessions of their own.
struct Running(Option<Pid>);

impl Running {
    fn of(id: Option<u32>) -> Self {
        let id = id.and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(leader) = self.0 else { return };
        let told = Instant::now();
        // Errors mean that it is gone.
        let _gone = kill_process_group(leader, Signal::TERM);
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while told.elapsed() < PATIENCE {
            if !matches!(waitid(WaitId::Pid(leader), ended), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _gone = kill_process_group(leader, Signal::KILL);
    }
}
