//! A way from this machine to a server: an ssh, and the socket at its near end.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use super::error::SessionError;
use super::front::Target;
use super::model::Record;
use crate::cluster::{ClusterError, spawn, words};

/// How often a socket that is to open is tried.
const TRY_EVERY: Duration = Duration::from_millis(10);

/// Which machine the server runs on, seen from where the tunnel begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On this one: there is nothing to tunnel through.
    Here,
    /// On the login node.
    LoginNode,
    /// On the node of its job.
    Node,
}

/// An open way to a server. It is an ssh of this process's own: dropped, it is
/// closed.
#[derive(Debug)]
pub struct Tunnel {
    target: Target,
    /// `None` if the server listens on this machine.
    ssh: Option<Child>,
    host: String,
}

impl Tunnel {
    /// The way to a server that listens on a port of this machine.
    pub(super) fn here(record: &Record) -> Result<Self, SessionError> {
        let port = record.port().ok_or_else(|| SessionError::NoAnswer {
            session: record.session.clone(),
            why: format!("it listens at {}", record.at),
        })?;
        Ok(Self {
            target: Target::Port(port),
            ssh: None,
            host: record.node.clone(),
        })
    }

    /// Opens a way to a server by an ssh of which all is said but the host and
    /// what to forward. `socket` is in a folder that nobody else may enter.
    pub(super) async fn open(
        mut command: Command,
        host: String,
        record: &Record,
        socket: PathBuf,
        patience: Duration,
    ) -> Result<Self, SessionError> {
        let control = socket.with_extension("control");
        command
            .args(["-N", "-o", "ControlMaster=yes", "-o"])
            .arg(format!("ControlPath={}", control.display()))
            .arg("-L")
            .arg(format!("{}:{}", socket.display(), record.at))
            .arg(&host)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut ssh = spawn(&mut command, "ssh")?;
        let target = Target::Socket(socket);
        let opened = async {
            loop {
                if target.connect().await.is_ok() {
                    return true;
                }
                if !matches!(ssh.try_wait(), Ok(None)) {
                    return false;
                }
                tokio::time::sleep(TRY_EVERY).await;
            }
        };
        match tokio::time::timeout(patience, opened).await {
            Ok(true) => Ok(Self {
                target,
                ssh: Some(ssh),
                host,
            }),
            outcome => {
                drop(ssh.start_kill());
                let said = words(&mut ssh).await;
                let said = match outcome {
                    Ok(_) => said,
                    Err(_) => format!("{said}no answer within {} s", patience.as_secs()),
                };
                Err(ClusterError::Unreachable { host, said }.into())
            }
        }
    }

    /// Its near end.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The machine that it leads to.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Closes it, and tells why no answer came through it: ssh knows more.
    pub(super) async fn explain(mut self, error: SessionError, record: &Record) -> SessionError {
        let (SessionError::NoAnswer { session, .. }, Some(ssh)) = (&error, &mut self.ssh) else {
            return error;
        };
        drop(ssh.start_kill());
        let said = words(ssh).await;
        // So an sshd answers that is told `AllowStreamLocalForwarding no`, and
        // one that does not see the socket.
        if record.is_socket() && said.contains("connect failed: open failed") {
            return SessionError::NoSockets {
                session: session.clone(),
                host: self.host,
            };
        }
        match said.trim() {
            "" => error,
            said => SessionError::NoAnswer {
                session: session.clone(),
                why: said.to_owned(),
            },
        }
    }

    /// Waits until it is closed from the other side, and tells why; for ever if
    /// nothing can close it.
    pub async fn closed(&mut self) -> String {
        match &mut self.ssh {
            Some(ssh) => {
                drop(ssh.wait().await);
                words(ssh).await
            }
            None => std::future::pending().await,
        }
    }
}
