//! What can go wrong with a session, and how one ended.

use miette::Diagnostic;
use thiserror::Error;

use super::model::{Look, Session, State};
use crate::cluster::ClusterError;

/// What is known of a session that has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct End {
    /// The scheduler's word for it, while it remembers the job.
    pub(super) state: Option<String>,
    /// The log, if there is one.
    pub(super) log: Option<String>,
    /// Its last lines.
    pub(super) said: Vec<String>,
}

impl End {
    /// How it ended, if that was not by itself.
    pub fn how(&self) -> Option<String> {
        Some(match self.state.as_deref()? {
            "COMPLETED" => return None,
            "FAILED" => "its server failed".to_owned(),
            "CANCELLED" => "its job was cancelled".to_owned(),
            "TIMEOUT" | "DEADLINE" => "the time limit of its job was reached".to_owned(),
            "NODE_FAIL" | "BOOT_FAIL" => "its node was lost".to_owned(),
            "OUT_OF_MEMORY" => "its job took more memory than it had asked for".to_owned(),
            "PREEMPTED" => "the scheduler gave its node to another job".to_owned(),
            state => format!("the scheduler's word for it is {state}"),
        })
    }

    /// Where to read more.
    pub fn help(&self) -> String {
        match &self.log {
            Some(log) => format!("all that it said is in {log}"),
            None => "it said nothing: it never ran, or could not write".to_owned(),
        }
    }
}

/// What can go wrong with a session.
#[derive(Debug, Error, Diagnostic)]
pub enum SessionError {
    /// Between here and there.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Cluster(#[from] ClusterError),

    /// The environment was not applied there.
    #[error("the environment {environment} was not applied on {host}, below {root}")]
    #[diagnostic(help("apply it there: envspec apply. If its root is another one: --root"))]
    NotApplied {
        /// The environment.
        environment: String,
        /// Where it was looked for.
        host: String,
        /// Below which root.
        root: String,
    },

    /// No session of an environment.
    #[error("there is no session of {environment}")]
    #[diagnostic(help("see what there is with: envspec sessions. Start one: envspec launch"))]
    NoSession {
        /// The environment.
        environment: String,
    },

    /// Sessions of an environment, and the one that was named is none of them.
    #[error("there is no server {server} of {environment}")]
    #[diagnostic(help("these are there: {}", options(servers)))]
    NoServer {
        /// The environment.
        environment: String,
        /// The number that was named.
        server: u16,
        /// Those that there are.
        servers: Vec<u16>,
    },

    /// More than one session of an environment.
    #[error("there are several sessions of {environment}")]
    #[diagnostic(help("say which one: {}", options(servers)))]
    Several {
        /// The environment.
        environment: String,
        /// Their numbers.
        servers: Vec<u16>,
    },

    /// The scheduler took no job.
    #[error("the scheduler refused the job:\n{said}")]
    #[diagnostic(help(
        "its words are above; --time, --memory, --partition, --account and the like override the spec"
    ))]
    Refused {
        /// Its words.
        said: String,
    },

    /// The scheduler does not say which jobs there are.
    #[error("the scheduler does not answer:\n{said}")]
    #[diagnostic(help("try again later: what runs goes on meanwhile"))]
    Silent {
        /// What it said instead.
        said: String,
    },

    /// A server without a scheduler, on another of several machines.
    #[error("{session} runs on {node}, and not on this machine")]
    #[diagnostic(help("run the command there"))]
    Elsewhere {
        /// The session.
        session: String,
        /// The machine.
        node: String,
    },

    /// A job of another cluster that has the same root.
    #[error("{session} runs on the cluster {cluster}, and not on this one")]
    #[diagnostic(help("run the command on a login node of {cluster}"))]
    OtherCluster {
        /// The session.
        session: String,
        /// The cluster.
        cluster: String,
    },

    /// The session ended before it was ready.
    #[error("{session} ended before it was ready{}{}", how(end.how()), log_lines(&end.said))]
    #[diagnostic(help("{}", end.help()))]
    EndedEarly {
        /// The session.
        session: String,
        /// What is known of its end.
        end: End,
    },

    /// The scheduler did not end it.
    #[error("{session} is still there, though it was ended")]
    #[diagnostic(help(
        "look at it with: envspec sessions. The node may be lost: the scheduler ends it when it is back"
    ))]
    StaysOn {
        /// The session.
        session: String,
    },

    /// The local port is another program's.
    #[error("the port {port} of this machine is taken by another program")]
    #[diagnostic(help(
        "if that is a connect of yours, in another terminal, its address works already: http://127.0.0.1:{port}. \
         Else end that program, or take another port: --port N"
    ))]
    PortTaken {
        /// The port.
        port: u16,
    },

    /// The local port can't be had, for another reason.
    #[error("the port {port} of this machine can't be opened")]
    #[diagnostic(help(
        "take another port: --port N; those below 1024 are often the administrator's alone"
    ))]
    NoPort {
        /// The port.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },

    /// The server does not keep strangers out.
    #[error("the server of {session} answered a request without token with {status}")]
    #[diagnostic(help("it may be open to everybody: end it with envspec stop"))]
    Open {
        /// The session.
        session: String,
        /// The HTTP status.
        status: u16,
    },

    /// The server listens on a socket to which its node's sshd does not lead.
    #[error("the sshd of {host} does not lead to the socket of {session}")]
    #[diagnostic(help(
        "it may forward no sockets (`AllowStreamLocalForwarding no`). End the session with \
         envspec stop, and launch it with --transport port; to have it so always, write \
         `ssh: {{transport: port}}` into the site"
    ))]
    NoSockets {
        /// The session.
        session: String,
        /// The host.
        host: String,
    },

    /// The server does not answer through the tunnel.
    #[error("the server of {session} does not answer through the tunnel: {why}")]
    #[diagnostic(help("see each step with: envspec doctor"))]
    NoAnswer {
        /// The session.
        session: String,
        /// Why.
        why: String,
    },
}

impl SessionError {
    /// That a look found no session of an environment, or not the server that was
    /// named.
    pub fn none_of(environment: &str, server: Option<u16>, look: &Look) -> Self {
        let of_it = look.sessions.iter();
        let of_it = of_it.filter(|session| session.environment == environment);
        let servers: Vec<u16> = of_it.map(|session| session.server).collect();
        let environment = environment.to_owned();
        match server {
            Some(server) if !servers.is_empty() => Self::NoServer {
                environment,
                server,
                servers,
            },
            _ => Self::NoSession { environment },
        }
    }

    /// That a session is out of reach from here: another cluster's, or a process of
    /// another machine; `None` if it is not.
    pub(super) fn elsewhere(session: &Session) -> Option<Self> {
        let name = session.name.clone();
        match (&session.cluster, &session.record) {
            (Some(cluster), _) => Some(Self::OtherCluster {
                session: name,
                cluster: cluster.clone(),
            }),
            (None, Some(record)) if session.state == State::Unknown && record.job.is_none() => {
                Some(Self::Elsewhere {
                    session: name,
                    node: record.node.clone(),
                })
            }
            _ => None,
        }
    }
}

impl SessionError {
    /// Whether it says something of the way there and nothing of the session,
    /// which may go on.
    pub fn is_of_the_way(&self) -> bool {
        matches!(
            self,
            Self::Cluster(_) | Self::Silent { .. } | Self::NoAnswer { .. }
        )
    }
}

fn options(servers: &[u16]) -> String {
    let options: Vec<_> = servers.iter().map(|n| format!("--server {n}")).collect();
    options.join(", ")
}

fn how(how: Option<String>) -> String {
    how.map(|how| format!(": {how}")).unwrap_or_default()
}

fn log_lines(said: &[String]) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(":\n{}", said.join("\n"))
    }
}
