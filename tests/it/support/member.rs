//! Other users of this machine.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{TestEnv, skipped};

/// envspec as another user of this machine, with a home of its own.
pub(crate) struct Member<'e> {
    env: &'e TestEnv,
    uid: u32,
    groups: String,
}

impl<'e> Member<'e> {
    /// `None`, told loudly, where this process can't become others.
    pub(crate) fn new(env: &'e TestEnv, uid: u32, groups: &[u32]) -> Option<Self> {
        if !rustix::process::getuid().is_root() {
            skipped("other users: only root can be them");
            return None;
        }
        let groups: Vec<_> = groups.iter().map(u32::to_string).collect();
        let member = Self {
            env,
            uid,
            groups: match groups.as_slice() {
                [] => "--clear-groups".to_owned(),
                groups => format!("--groups={}", groups.join(",")),
            },
        };
        let mode = std::fs::Permissions::from_mode(0o755);
        fs_err::set_permissions(env.path("."), mode).unwrap();
        for folder in ["envs", "tmp"] {
            fs_err::create_dir_all(member.home().join(folder)).unwrap();
        }
        member.own(&member.home());
        Some(member)
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.env.path(&format!("home-{}", self.uid))
    }

    pub(crate) fn own(&self, path: &Path) {
        let pair = format!("{0}:{0}", self.uid);
        let owned = Command::new("chown").args(["-R", &pair]).arg(path).status();
        assert!(owned.unwrap().success());
    }

    pub(crate) fn spec(&self, text: &str) {
        fs_err::write(self.home().join("envs/lab.yaml"), text).unwrap();
        self.own(&self.home());
    }

    /// Arguments for `sh -c 'umask …; exec envspec …'`.
    pub(crate) fn command(&self, root: &Path, umask: &str, arguments: &str) -> Command {
        let known = self.env.command(&[]);
        let program = known.get_program().to_str().unwrap();
        let mut command = self.sh(&format!("umask {umask}; exec {program} {arguments}"));
        command.env("ENVSPEC_ROOT", root);
        command
    }

    /// A line for a shell, in this user's home.
    pub(crate) fn sh(&self, line: &str) -> Command {
        let known = self.env.command(&[]);
        let mut command = Command::new("setpriv");
        let number = self.uid;
        command
            .args([format!("--reuid={number}"), format!("--regid={number}")])
            .args([&self.groups, "sh", "-c", line])
            .env_clear()
            .envs(
                known
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .env("HOME", self.home())
            .env("TMPDIR", self.home().join("tmp"))
            .env("USER", format!("member{number}"))
            .env_remove("ENVSPEC_ROOT")
            .current_dir(self.home());
        command
    }
}
