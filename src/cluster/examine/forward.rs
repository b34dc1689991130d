//! Whether a host forwards: tried with a real one.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::process::Command;

use super::super::connection::{Connection, forward, master};
use super::super::error::ClusterError;
use super::super::login::{Script, run_at};

/// How often what is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a forwarding came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Forwarding {
    /// It led to the other end.
    Led,
    /// It is allowed, but nothing answers at the other end: ssh's words.
    Nothing(String),
    /// The host forbids it.
    Forbidden,
    /// It does not tell.
    Untold(String),
}

impl Forwarding {
    /// Reads what came through `ssh -W`, and what ssh said.
    fn of_port(came: &str, said: &str) -> Self {
        let failed = said.lines().find(|line| line.contains("open failed: "));
        match failed {
            // sshd greets whoever connects.
            _ if came.contains("SSH-") => Self::Led,
            Some(line) if line.contains("administratively prohibited") => Self::Forbidden,
            Some(line) => Self::Nothing(line.rsplit(": ").next().unwrap_or(line).to_owned()),
            None => Self::Untold(last_words(said)),
        }
    }

    /// Reads what `ssh -vv` said once somebody connected to its socket, whose
    /// other end is one on which something listens: it fails only if the host
    /// does not allow it. `None` as long as it has not said it.
    fn of_socket(said: &str) -> Option<Self> {
        // The hops on the way open channels too.
        let (_, after) = said.split_once("new direct-streamlocal")?;
        let mut lines = after.lines();
        lines.find_map(|line| {
            if line.contains("open confirm") {
                Some(Self::Led)
            } else if line.contains("open failed") {
                Some(Self::Forbidden)
            } else {
                None
            }
        })
    }
}

/// What ssh said last that is no note for itself.
fn last_words(said: &str) -> String {
    let mut words = said.lines().filter(|line| !line.starts_with("debug"));
    words.next_back().unwrap_or("no words").trim().to_owned()
}

/// What an ssh came to: its exit code (`None` if it did not end in time), what
/// came through it and what it said.
pub(super) struct Came {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Runs a command to its end or the end of patience. Its words go to files of
/// the private folder: one that is killed has said them all the same.
pub(super) async fn come(
    mut command: Command,
    folder: &Path,
    patience: Duration,
) -> std::io::Result<Came> {
    let (out, err) = (folder.join("out"), folder.join("err"));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&out)?)
        .stderr(std::fs::File::create(&err)?)
        .spawn()?;
    let ended = tokio::time::timeout(patience, child.wait()).await;
    let code = if let Ok(status) = ended {
        Some(status?.code().unwrap_or(-1))
    } else {
        child.kill().await?;
        None
    };
    Ok(Came {
        code,
        stdout: text(&out),
        stderr: text(&err),
    })
}

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// Tries to reach a port through a host. Not over the shared connection, which
/// would keep the reason of a failure to itself.
pub(super) async fn port(
    connection: &Connection,
    through: &str,
    to: &str,
    patience: Duration,
) -> std::io::Result<Forwarding> {
    let mut command = connection.command();
    command.args(["-S", "none", "-W", to, through]);
    let came = come(command, connection.sockets(), patience).await?;
    Ok(Forwarding::of_port(&came.stdout, &came.stderr))
}

/// Tries to reach a socket on a host: one that is there, whatever it is. It is
/// connected to and nothing is sent.
pub(super) async fn socket(
    connection: &Connection,
    host: &str,
    patience: Duration,
) -> std::io::Result<Forwarding> {
    let script = Script {
        what: "the look for a socket",
        text: include_str!("sockets.sh"),
        arguments: &[],
        input: "",
        patience,
    };
    let there = match run_at(Some(connection), host, script).await {
        Ok(said) => said.one("socket").map(str::to_owned),
        Err(error) => return Ok(Forwarding::Untold(error.to_string())),
    };
    let Some(there) = there else {
        let why = "no socket is there to try it with".to_owned();
        return Ok(Forwarding::Untold(why));
    };
    let (here, err) = (
        connection.sockets().join("try"),
        connection.sockets().join("err"),
    );
    let mut command = connection.command();
    command.arg("-vv").stderr(std::fs::File::create(&err)?);
    let orders = connection.sockets().join("try.orders");
    let opened = async {
        let ssh = master(command, host, &orders, patience).await?;
        forward(&orders, host, &here, &there).await?;
        Ok::<_, ClusterError>(ssh)
    };
    let mut ssh = match opened.await {
        Ok(ssh) => ssh,
        Err(ClusterError::NoProgram { source, .. }) => return Err(source),
        Err(_) => return Ok(Forwarding::Untold(last_words(&text(&err)))),
    };
    let told = async {
        let mut connected = None;
        loop {
            if connected.is_none() {
                connected = UnixStream::connect(&here).await.ok();
            }
            if let Some(told) = Forwarding::of_socket(&text(&err)) {
                return told;
            }
            if !matches!(ssh.try_wait(), Ok(None)) {
                return Forwarding::Untold(last_words(&text(&err)));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let told = tokio::time::timeout(patience, told).await;
    ssh.kill().await?;
    Ok(told.unwrap_or_else(|_| Forwarding::Untold("no answer".to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_forwarding_is_told_from_a_dead_port() {
        let forbidden = "channel 0: open failed: administratively prohibited: open failed\n\
                         stdio forwarding failed\n";
        let dead = "channel 0: open failed: connect failed: Connection refused\n\
                    stdio forwarding failed\n";
        assert_eq!(Forwarding::of_port("", forbidden), Forwarding::Forbidden);
        assert_eq!(
            Forwarding::of_port("", dead),
            Forwarding::Nothing("Connection refused".to_owned())
        );
        let led = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10\r\n";
        assert_eq!(Forwarding::of_port(led, ""), Forwarding::Led);
    }

    #[test]
    fn a_channel_of_a_hop_on_the_way_is_not_taken_for_the_sockets() {
        let way = "debug1: channel 0: new stdio-forward [stdio-forward] (inactive timeout: 0)\n\
                   debug2: channel 0: open confirm rwindow 2097152 rmax 32768\n";
        let new = "debug1: channel 1: new direct-streamlocal@openssh.com \
                   [direct-streamlocal@openssh.com] (inactive timeout: 0)\n";
        let open = "debug2: channel 1: open confirm rwindow 2097152 rmax 32768\n";
        let failed = "channel 1: open failed: connect failed: open failed\n";
        assert_eq!(Forwarding::of_socket(way), None);
        assert_eq!(Forwarding::of_socket(&[way, new].concat()), None);
        let led = Forwarding::of_socket(&[way, new, open].concat());
        assert_eq!(led, Some(Forwarding::Led));
        let forbidden = Forwarding::of_socket(&[way, new, failed].concat());
        assert_eq!(forbidden, Some(Forwarding::Forbidden));
    }
}
