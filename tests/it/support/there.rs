//! An environment on a cluster of the test's own: applied by `ada`, known to her
//! workstation, in a root that all hosts see.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::channels::channels;
use super::cluster::{Cluster, Running, User};
use super::lab::key;
use super::output::Ran;

/// `ada`'s number on the cluster's hosts, and what belongs to her here.
const ADA: u32 = 52001;

/// A cluster with an environment `lab` of Python, R and bash.
pub(crate) struct There {
    pub(crate) cluster: Cluster,
    root: PathBuf,
}

impl There {
    /// The cluster of one test; nothing where this machine can't have one.
    pub(crate) fn up(test: &str) -> Option<Self> {
        Some(Self::applied(Cluster::up()?, test))
    }

    /// The same, where each job has a `/tmp` of its own.
    pub(crate) fn with_private_tmp(test: &str) -> Option<Self> {
        Some(Self::applied(Cluster::with_private_tmp()?, test))
    }

    /// A cluster that knows the spec and the site, where nothing was applied.
    pub(crate) fn bare(test: &str) -> Option<Self> {
        Some(Self::on(Cluster::up()?, test))
    }

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("there")
    }

    fn on(cluster: Cluster, test: &str) -> Self {
        let root = Self::folder().join(test);
        drop(fs_err::remove_dir_all(&root));
        fs_err::create_dir_all(&root).unwrap();
        let there = Self { cluster, root };
        there.settle();
        there
    }

    fn applied(cluster: Cluster, test: &str) -> Self {
        let there = Self::on(cluster, test);
        let folder = Self::folder();
        // The packages are unpacked once for all tests, and linked for each.
        let base = folder.join("packages");
        let guard = std::fs::File::create(folder.join("guard")).unwrap();
        guard.lock().unwrap();
        let done = folder.join("packages.done");
        if !fs_err::read_to_string(&done).is_ok_and(|made_of| made_of == key()) {
            drop(fs_err::remove_file(&done));
            drop(fs_err::remove_dir_all(&base));
            there.apply();
            fs_err::rename(there.root.join("pkgs"), &base).unwrap();
            fs_err::copy(there.lock(), folder.join("lab.lock")).unwrap();
            fs_err::remove_dir_all(&there.root).unwrap();
            fs_err::create_dir(&there.root).unwrap();
            Self::own(&there.root);
            fs_err::write(done, key()).unwrap();
        }
        drop(guard);
        let linked = Command::new("cp")
            .arg("-al")
            .arg(&base)
            .arg(there.root.join("pkgs"))
            .status()
            .unwrap();
        assert!(linked.success());
        fs_err::copy(folder.join("lab.lock"), there.lock()).unwrap();
        Self::own(&there.lock());
        there.apply();
        there
    }

    /// Puts spec and site where `ada` would have them: on the cluster, and in a
    /// clone on her workstation.
    fn settle(&self) {
        let site = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/world/cluster/site.yaml");
        let site = fs_err::read_to_string(site).unwrap();
        // The root may be called anything: YAML reads JSON.
        let root = serde_json::to_string(&self.root).unwrap();
        let site = format!("{site}\nstorage: {{root: {root}}}\n");
        let spec = "name: lab\nchannels: [conda-forge]\ndependencies: [python, jupyterlab]\n\
                    kernels: [python, r, bash]\nsite: world\nlaunch: {memory: 500M}\n";
        for home in [self.cluster.home("ada"), self.workstation()] {
            for (path, text) in [
                (".config/envspec/sites/world.yaml", site.as_str()),
                ("envs/lab.yaml", spec),
            ] {
                let path = home.join(path);
                fs_err::create_dir_all(path.parent().unwrap()).unwrap();
                fs_err::write(path, text).unwrap();
            }
            Self::own(&home.join(".config"));
            Self::own(&home.join("envs"));
        }
        Self::own(&self.root);
    }

    fn own(path: &Path) {
        let owned = Command::new("chown")
            .args(["-R", &format!("{ADA}:{ADA}")])
            .arg(path)
            .status();
        assert!(owned.unwrap().success());
    }

    fn apply(&self) {
        let alias = format!("ENVSPEC_CHANNEL_ALIAS=file://{}/", channels().display());
        let login = self.cluster.login();
        let program = program();
        let applied = login.run(["env", &alias, &program, "apply", "envs/lab.yaml"]);
        drop(applied.success());
    }

    fn lock(&self) -> PathBuf {
        self.cluster.home("ada").join("envs/lab.lock")
    }

    /// `ada`'s home on the workstation as this machine sees it.
    pub(crate) fn workstation(&self) -> PathBuf {
        self.cluster.folder().join("ws/home/ada")
    }

    /// The root, the same path on all hosts.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folders of sessions that run; without those that hold scripts and logs.
    pub(crate) fn sessions(&self) -> Vec<String> {
        let Ok(entries) = fs_err::read_dir(self.root.join("sessions")) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .flatten()
            .map(|entry| entry.file_name().into_string().unwrap())
            .filter(|name| {
                let kind = Path::new(name).extension();
                kind.is_none_or(|kind| kind != "log") && name != "start"
            })
            .collect();
        names.sort();
        names
    }

    /// The token of the newest session, read as root.
    pub(crate) fn token(&self) -> String {
        fs_err::read_to_string(self.root.join("sessions/envspec-lab/token")).unwrap()
    }
}

impl Drop for There {
    fn drop(&mut self) {
        // Aside, so that what still runs there is not waited for.
        drop(fs_err::remove_dir_all(self.root.join("sessions")));
    }
}

/// The program, as all hosts see it.
pub(crate) fn program() -> String {
    env!("CARGO_BIN_EXE_envspec").to_owned()
}

/// envspec as a user of a host.
pub(crate) trait Envspec {
    /// Runs it to its end.
    fn envspec<const N: usize>(self, arguments: [&str; N]) -> Ran;
    /// Starts it and lets it run.
    fn start_envspec<const N: usize>(self, arguments: [&str; N]) -> Running;
}

impl Envspec for User<'_> {
    #[track_caller]
    fn envspec<const N: usize>(self, arguments: [&str; N]) -> Ran {
        let words = words(arguments);
        self.run(["bash", "-c", &words])
    }

    fn start_envspec<const N: usize>(self, arguments: [&str; N]) -> Running {
        let words = format!("exec {}", words(arguments));
        self.start(["bash", "-c", &words])
    }
}

fn words<const N: usize>(arguments: [&str; N]) -> String {
    let words = arguments.map(|argument| format!("'{argument}'"));
    format!("'{}' {}", program(), words.join(" "))
}
