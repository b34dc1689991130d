//! One ssh connection to a login node, which all commands and tunnels share.
//!
//! Its master is a child of this process and its socket lies in a private folder
//! of this process: it is closed by ending that child, and no other program's
//! connection is ever touched. A process that is killed ends no child: the folder's
//! guard does that then. (The `openssh` crate puts its master into the
//! background, where one that hangs can't be ended; a connection that is to heal
//! must be.)

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::config::{Hops, ssh_config};
use super::error::ClusterError;
use super::folder::PrivateFolder;
use super::login::harmless;
use super::refusal::NO_ANSWER;

/// How often the socket of a connection that is being made is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What the user can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Questions {
    /// ssh may ask for a password or a host key at the terminal.
    Asked,
    /// There is nobody to ask.
    NotAsked,
}

/// A folder with ssh's config and sockets, and the connection to the login node
/// if there is one between.
#[derive(Debug)]
pub struct Connection {
    folder: PrivateFolder,
    host: String,
    questions: Questions,
    /// `None` where nodes are reached from this machine itself.
    master: Option<Child>,
}

impl Connection {
    /// Connects to the login node, through all hops. `user_config` is the user's
    /// own `~/.ssh/config`.
    pub async fn open(
        hops: &Hops,
        user_config: Option<&Path>,
        sockets_in: &Path,
        questions: Questions,
        patience: Duration,
    ) -> Result<Self, ClusterError> {
        let mut connection = Self::folder(Some(hops), user_config, sockets_in, questions, "")?;
        connection.connect(hops, patience).await?;
        Ok(connection)
    }

    /// The same folder and config without a connection, and with settings that
    /// go before all others: for a look at each hop.
    pub(super) fn unopened(
        hops: Option<&Hops>,
        user_config: Option<&Path>,
        sockets_in: &Path,
        questions: Questions,
        settings: &str,
    ) -> Result<Self, ClusterError> {
        Self::folder(hops, user_config, sockets_in, questions, settings)
    }

    /// Makes the connection to the login node.
    pub(super) async fn connect(
        &mut self,
        hops: &Hops,
        patience: Duration,
    ) -> Result<(), ClusterError> {
        let host = hops.login().to_string();
        let mut command = self.command();
        command.stderr(Stdio::piped());
        let orders = self.folder.path().join("login.control");
        self.master = Some(master(command, &host, &orders, patience).await?);
        self.host = host;
        Ok(())
    }

    /// From a machine that reaches the nodes itself.
    pub fn direct(
        user_config: Option<&Path>,
        sockets_in: &Path,
        questions: Questions,
    ) -> Result<Self, ClusterError> {
        Self::folder(None, user_config, sockets_in, questions, "")
    }

    fn folder(
        hops: Option<&Hops>,
        user_config: Option<&Path>,
        sockets_in: &Path,
        questions: Questions,
        settings: &str,
    ) -> Result<Self, ClusterError> {
        let no_folder = |source| ClusterError::NoFolder { source };
        let folder = PrivateFolder::new(sockets_in)?;
        let link = folder.path().join("user");
        let include = match user_config.filter(|path| path.is_file()) {
            Some(path) if !plain(path) => {
                std::os::unix::fs::symlink(path, &link).map_err(no_folder)?;
                Some(link.as_path())
            }
            path => path,
        };
        fs_err::write(
            folder.path().join("config"),
            format!("{settings}{}", ssh_config(hops, folder.path(), include)),
        )
        .map_err(no_folder)?;
        Ok(Self {
            folder,
            host: String::new(),
            questions,
            master: None,
        })
    }

    /// The login node.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The folder of the sockets.
    pub fn sockets(&self) -> &Path {
        self.folder.path()
    }

    /// ssh with the config of this connection; the host is still to be named.
    pub fn command(&self) -> Command {
        let mut command = Command::new("ssh");
        command.arg("-F").arg(self.folder.path().join("config"));
        if self.questions == Questions::NotAsked {
            command.args(["-o", "BatchMode=yes"]);
        }
        command.kill_on_drop(true);
        command
    }
}

/// Starts an ssh of which all is said but the host, and waits until it is
/// connected: from then on it takes orders at a socket.
pub(crate) async fn master(
    mut command: Command,
    host: &str,
    orders: &Path,
    patience: Duration,
) -> Result<Child, ClusterError> {
    command
        .args(["-o", "ControlMaster=yes", "-N", "-S"])
        .arg(orders)
        .arg(host)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let mut master = spawn(&mut command, "ssh")?;
    let connected = async {
        loop {
            if orders.exists() {
                return true;
            }
            if master.try_wait().is_ok_and(|status| status.is_some()) {
                return false;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let connected = tokio::time::timeout(patience, connected).await;
    if connected == Ok(true) {
        return Ok(master);
    }
    drop(master.start_kill());
    let said = words(&mut master).await;
    Err(ClusterError::Unreachable {
        host: host.to_owned(),
        said: match connected {
            Ok(_) => said,
            Err(_) => format!("{said}{NO_ANSWER} within {} s", patience.as_secs()),
        },
    })
}

/// Orders a connected ssh to lead from a socket of this machine to a socket or
/// port behind it. An order and no `-L`: what clears the forwardings of the
/// user's config would clear that too.
pub(crate) async fn forward(
    orders: &Path,
    host: &str,
    from: &Path,
    to: &str,
) -> Result<(), ClusterError> {
    let output = Command::new("ssh")
        .args(["-F", "/dev/null", "-S"])
        .arg(orders)
        .args(["-O", "forward", "-L"])
        .arg(format!("{}:{to}", from.display()))
        .arg(host)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| ClusterError::NoProgram {
            program: "ssh".to_owned(),
            source,
        })?;
    if output.status.success() {
        return Ok(());
    }
    Err(ClusterError::Unreachable {
        host: host.to_owned(),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Starts a program of this machine.
pub(super) fn spawn(command: &mut Command, program: &str) -> Result<Child, ClusterError> {
    command.spawn().map_err(|source| ClusterError::NoProgram {
        program: program.to_owned(),
        source,
    })
}

/// What a child that ends has said on its standard error.
pub(crate) async fn words(child: &mut Child) -> String {
    let mut said = Vec::new();
    if let Some(stderr) = &mut child.stderr {
        // One that hangs, or a grandchild that holds the pipe, is not waited for.
        let read = stderr.read_to_end(&mut said);
        drop(tokio::time::timeout(Duration::from_secs(2), read).await);
    }
    harmless(&String::from_utf8_lossy(&said).replace("\r\n", "\n"))
}

/// Whether ssh's config can hold a path without quoting it.
pub(super) fn plain(path: &Path) -> bool {
    path.to_str().is_some_and(|path| {
        path.chars()
            .all(|c| c.is_ascii_alphanumeric() || "/._-+@,".contains(c))
    })
}
