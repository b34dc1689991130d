//! A way from this machine to a server: an ssh, and the socket at its near end.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use super::error::SessionError;
use super::front::Target;
use super::model::Record;
use crate::cluster::{forward, master, words};

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
    /// The way to a server of this machine.
    pub(super) fn here(record: &Record) -> Self {
        Self {
            target: match record.port() {
                Some(port) => Target::Port(port),
                None => Target::Socket(PathBuf::from(&record.at)),
            },
            ssh: None,
            host: record.node.clone(),
        }
    }

    /// Opens a way to a server by an ssh of which all is said but the host.
    /// `socket` is in a folder that nobody else may enter.
    pub(super) async fn open(
        mut command: Command,
        host: String,
        record: &Record,
        socket: PathBuf,
        patience: Duration,
    ) -> Result<Self, SessionError> {
        command.stderr(Stdio::piped());
        let orders = socket.with_extension("control");
        let ssh = master(command, &host, &orders, patience).await?;
        forward(&orders, &host, &socket, &record.at).await?;
        Ok(Self {
            target: Target::Socket(socket),
            ssh: Some(ssh),
            host,
        })
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
