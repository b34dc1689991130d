//! A port of this machine that leads to a server.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::model::{Record, SessionError};
use crate::cluster::{ClusterError, spawn, words};

/// How often a port that is to open is tried.
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
    port: u16,
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
            port,
            ssh: None,
            host: record.node.clone(),
        })
    }

    /// Opens a way from a port of this machine to a server, by an ssh of which
    /// all is said but the host and what to forward.
    pub(super) async fn open(
        mut command: Command,
        host: String,
        record: &Record,
        port: u16,
        patience: Duration,
    ) -> Result<Self, SessionError> {
        if !is_free(port) {
            return Err(SessionError::PortTaken { port });
        }
        command
            .arg("-N")
            .arg("-L")
            .arg(format!("127.0.0.1:{port}:{}", record.at))
            .arg(&host)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut ssh = spawn(&mut command, "ssh")?;
        let opened = async {
            loop {
                if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
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
                port,
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

    /// The port of this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The machine that it leads to.
    pub fn host(&self) -> &str {
        &self.host
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

/// Whether a port of the loopback can be taken.
fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// A port that is free at this moment.
pub(super) fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
