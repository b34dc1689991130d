//! A look at each part of the way, in its order: ssh, the hops, the place that
//! takes commands, a compute node. Nothing is changed but a private folder, and
//! everything has an end.
//!
//! One fault must not hide another: a check that makes no sense after a bad one
//! is told as not tried, all others go on.

mod check;
mod forward;
mod hop;
mod place;

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

pub use check::{Check, Verdict};

use super::config::Hops;
use super::connection::{Connection, Questions};
use super::error::ClusterError;
use super::folder::PrivateFolder;
use super::login::{Login, Said, Script};
use forward::Forwarding;
pub(super) use hop::{Outcome, Trial};

/// How long an attempt to log in may take; and where somebody may be typing.
const PATIENCE: Duration = Duration::from_secs(20);
const TYPING: Duration = Duration::from_mins(1);

/// How long the look at a place may take: all of its parts have an end.
const LOOKING: Duration = Duration::from_mins(1);

/// Nothing is written down: an unknown host key is a finding, not a question.
const SETTINGS: &str = "StrictHostKeyChecking yes\nUpdateHostKeys no\nConnectTimeout 10\n";

/// This machine, in checks.
const HERE: &str = "this machine";

/// What to look at.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The hosts on the way; `None` if commands are given on this machine.
    pub hops: Option<&'a Hops>,
    /// The user's own ssh config.
    pub user_config: Option<&'a Path>,
    /// Where ssh's sockets go.
    pub sockets_in: &'a Path,
    /// Whether ssh may ask.
    pub questions: Questions,
    /// The root there, as a site writes it.
    pub root: &'a str,
    /// Whether there is a scheduler, whose nodes servers run on.
    pub has_slurm: bool,
}

/// Looks at all of it, and tells each check as soon as it is made.
pub async fn examine(asked: &Asked<'_>, tell: &mut dyn FnMut(Check)) -> Result<(), ClusterError> {
    if asked.hops.is_some() || asked.has_slurm {
        let mut command = Command::new("ssh");
        command.arg("-V");
        let folder = PrivateFolder::new(asked.sockets_in)?;
        match forward::come(command, folder.path(), PATIENCE).await {
            Ok(came) => tell(hop::version_check(&came.stderr)),
            Err(error) => {
                let remedy = "install it; on Debian: apt install openssh-client";
                tell(Check::bad("ssh version", HERE, error.to_string(), remedy));
                if asked.hops.is_some() {
                    tell(Check::not_tried("all else", HERE, "there is no ssh"));
                    return Ok(());
                }
            }
        }
    }
    let mut settings = SETTINGS.to_owned();
    if asked.questions == Questions::NotAsked {
        // On a command line it would not reach the ssh of a hop.
        settings.push_str("BatchMode yes\n");
    }
    let bench = Connection::unopened(
        asked.hops,
        asked.user_config,
        asked.sockets_in,
        asked.questions,
        &settings,
    )?;
    let mut walk = Walk {
        tell,
        patience: match asked.questions {
            Questions::Asked => TYPING,
            Questions::NotAsked => PATIENCE,
        },
        key: None,
    };
    match asked.hops {
        None => {
            let said = walk.place(&Login::Here, asked).await;
            if let Some(said) = said.filter(|_| asked.has_slurm) {
                walk.node(&bench, None, &said).await?;
            }
        }
        Some(hops) => walk.hops(bench, hops, asked).await?,
    }
    Ok(())
}

/// The walk, and what it remembers.
struct Walk<'t> {
    tell: &'t mut dyn FnMut(Check),
    patience: Duration,
    /// The key that opened the login node.
    key: Option<String>,
}

impl Walk<'_> {
    fn tell(&mut self, check: Check) {
        (self.tell)(check);
    }

    /// Tries each hop, then what lies behind.
    async fn hops(
        &mut self,
        mut bench: Connection,
        hops: &Hops,
        asked: &Asked<'_>,
    ) -> Result<(), ClusterError> {
        let mut before: Option<&str> = None;
        let mut closed: Option<&str> = None;
        for host in hops.hosts() {
            let host = host.as_str();
            if let Some(closed) = closed {
                let because = format!("{closed} is the way to it");
                self.tell(Check::not_tried("reach", host, &because));
                continue;
            }
            let trial = self.attempt(&bench, host).await?;
            for check in trial.checks(host, before, None) {
                self.tell(check);
            }
            if trial.outcome != Outcome::Accepted {
                closed = Some(host);
            }
            self.key = trial.key;
            before = Some(host);
        }
        let login = hops.login().as_str();
        let opened = match closed {
            Some(closed) => Err(format!("{closed} is the way to it")),
            None => bench
                .connect(hops, self.patience)
                .await
                .map_err(|error| error.to_string()),
        };
        if let Err(because) = opened {
            for name in ["forwarding", "scheduler", "root", "home", "kernels"] {
                if asked.has_slurm || name != "scheduler" {
                    self.tell(Check::not_tried(name, login, &because));
                }
            }
            if asked.has_slurm {
                self.tell(Check::not_tried("reach", "compute node", &because));
            }
            return Ok(());
        }
        let login = Login::There(Box::new(bench));
        let said = self.place(&login, asked).await;
        let Login::There(connection) = &login else {
            return Ok(());
        };
        match said {
            Some(said) if asked.has_slurm => {
                self.node(connection, Some(hops.login().as_str()), &said)
                    .await?;
            }
            // Servers run on the login node itself.
            _ => self.socket(connection, connection.host()).await?,
        }
        Ok(())
    }

    async fn attempt(&self, bench: &Connection, host: &str) -> Result<Trial, ClusterError> {
        let mut command = bench.command();
        command.args(["-v", host, "true"]);
        let came = forward::come(command, bench.sockets(), self.patience).await;
        let came = came.map_err(no_ssh)?;
        Ok(Trial::read(&came.stderr, came.code))
    }

    /// Looks at the place that takes commands.
    async fn place(&mut self, login: &Login, asked: &Asked<'_>) -> Option<Said> {
        let place = login.host();
        let scheduler = if asked.has_slurm { "slurm" } else { "none" };
        let script = |text, arguments| Script {
            what: "the look at the place",
            text,
            arguments,
            input: "",
            patience: LOOKING,
        };
        let arguments = [asked.root, scheduler];
        let said = login
            .run(script(include_str!("examine.sh"), &arguments))
            .await;
        let said = match said {
            Ok(said) => said,
            Err(error) => {
                let remedy = "the shell or a file system there hangs or fails: try it by hand";
                self.tell(Check::bad("commands", place, error.to_string(), remedy));
                return None;
            }
        };
        if asked.has_slurm {
            self.tell(place::scheduler(&said, place));
        }
        for check in place::storage(&said, place) {
            self.tell(check);
        }
        let kernels = place::kernels(&said);
        let needs: Vec<&str> = kernels.iter().flat_map(place::Kernel::needs).collect();
        let there = login.run(script(include_str!("runs.sh"), &needs)).await;
        self.tell(match there {
            Ok(there) => place::kernels_check(&kernels, place, &|path| {
                there.all("there").any(|known| known == path)
            }),
            Err(error) => Check::not_tried("kernels", place, &error.to_string()),
        });
        Some(said)
    }

    /// Tries a compute node, and the forwarding to it.
    async fn node(
        &mut self,
        connection: &Connection,
        login: Option<&str>,
        said: &Said,
    ) -> Result<(), ClusterError> {
        let node = place::node(said);
        if let Some(login) = login {
            // Without a node the login node's own sshd is as good.
            let to = format!("{}:22", node.unwrap_or("127.0.0.1"));
            let came = forward::port(connection, login, &to, self.patience).await;
            let (check, closed) = forwarding(login, &to, came.map_err(no_ssh)?);
            self.tell(check);
            if let (Some(node), Some(closed)) = (node, closed) {
                self.tell(match closed {
                    Closed::Forbidden => {
                        Check::not_tried("reach", node, &format!("{login} forbids forwarding"))
                    }
                    Closed::Dead(said) => Check::bad(
                        "reach",
                        node,
                        format!("its sshd does not answer: {said}"),
                        "the node may be down: look at it with sinfo on the login node",
                    ),
                });
                return Ok(());
            }
        }
        let Some(node) = node else {
            let because = "the scheduler names no node that is up";
            self.tell(Check::not_tried("reach", "compute node", because));
            return Ok(());
        };
        let trial = self.attempt(connection, node).await?;
        let key = self.key.take();
        for check in trial.checks(node, login, Some((login.unwrap_or(HERE), key.as_deref()))) {
            self.tell(check);
        }
        if trial.outcome == Outcome::Accepted {
            self.socket(connection, node).await?;
        } else {
            let because = format!("ssh does not get into {node}");
            self.tell(Check::not_tried("forwarding", node, &because));
        }
        Ok(())
    }

    /// Tries the forwarding to a socket, which is how servers are reached.
    async fn socket(&mut self, connection: &Connection, host: &str) -> Result<(), ClusterError> {
        let name = "forwarding";
        let came = forward::socket(connection, host, self.patience).await;
        self.tell(match came.map_err(no_ssh)? {
            Forwarding::Led | Forwarding::Nothing(_) => {
                Check::good(name, host, "to sockets is allowed")
            }
            Forwarding::Forbidden => Check::bad(
                name,
                host,
                "to sockets is forbidden, which is how servers are reached",
                "ask the site for AllowStreamLocalForwarding and AllowTcpForwarding in the sshd_config there",
            ),
            Forwarding::Untold(why) => {
                Check::unknown(name, host, why, "try it with a server: envspec launch, envspec connect")
            }
        });
        Ok(())
    }
}

/// Why a node is not tried after the forwarding to it.
enum Closed {
    Forbidden,
    Dead(String),
}

fn forwarding(login: &str, to: &str, came: Forwarding) -> (Check, Option<Closed>) {
    let name = "forwarding";
    match came {
        Forwarding::Led => (
            Check::good(name, login, format!("to {to} is allowed")),
            None,
        ),
        Forwarding::Nothing(said) => {
            let found = format!("to {to} is allowed; nothing answers there");
            (Check::good(name, login, found), Some(Closed::Dead(said)))
        }
        Forwarding::Forbidden => (
            Check::bad(
                name,
                login,
                "is forbidden: no compute node can be reached through it",
                "ask the site for AllowTcpForwarding in its sshd_config, or for another login node",
            ),
            Some(Closed::Forbidden),
        ),
        Forwarding::Untold(why) => {
            let remedy = format!("try it by hand: ssh -W {to} {login}");
            (Check::unknown(name, login, why, remedy), None)
        }
    }
}

fn no_ssh(source: std::io::Error) -> ClusterError {
    ClusterError::NoProgram {
        program: "ssh".to_owned(),
        source,
    }
}
