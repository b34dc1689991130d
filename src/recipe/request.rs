//! What a recipe is made from, and the decisions that follow from it: names,
//! paths, where the server listens, which local port is its own.
//!
//! Everything is checked here, once. Behind [`Facts`] no path is relative, no
//! name can be misread, and the writers only write.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use miette::Diagnostic;
use thiserror::Error;

use crate::lock::Need;
use crate::site::{
    HostName, JobTmp, ResolvedLaunch, Scheduler, Site, SlurmName, Transport, UserName,
};
use crate::spec::EnvName;

/// What a recipe is made from.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The environment.
    pub env: &'a EnvName,
    /// The generation to start from: the absolute path of its prefix.
    pub generation: &'a str,
    /// The folder of the user's sessions on the cluster, absolute.
    pub sessions: &'a str,
    /// The site.
    pub site: &'a Site,
    /// The launch, judged by the site.
    pub launch: &'a ResolvedLaunch,
    /// The names of the kernels, for the reader.
    pub kernels: &'a [String],
    /// What leads from the laptop to the server.
    pub transport: Transport,
    /// What activation sets besides what the generation's own scripts set.
    pub variables: &'a BTreeMap<String, String>,
    /// Where packages go that users install for themselves (`~/…`), and what they
    /// install them with.
    pub personal: Option<(&'a str, &'a [&'a str])>,
    /// The user's name on each hop, as far as it is known; a placeholder stands
    /// for the others.
    pub users: &'a BTreeMap<HostName, UserName>,
    /// The ssh of the laptop.
    pub ssh: SshVersion,
    /// Whether hops that are needed only from outside are taken.
    pub outer_hops: OuterHops,
    /// How the browser proves that it is the user's.
    pub login: Login,
    /// What the packages need of the node.
    pub needs: &'a [Need],
    /// Which of several servers of the environment this is, from 1.
    pub server: NonZeroU16,
}

/// Classes of OpenSSH that need different instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SshVersion {
    /// 7.3 (2016) and later: has `ProxyJump` and `Include`.
    #[default]
    Since7_3,
    /// 5.6 to 7.2: `ssh -W` in a `ProxyCommand`, and no sockets at the far end
    /// of a tunnel for certain (they came with 6.7).
    Older,
}

/// Whether the hops are taken that a site needs only from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OuterHops {
    /// They are.
    #[default]
    Taken,
    /// They are left out: the user is inside, or has a VPN.
    LeftOut,
}

/// How the browser proves that it is the user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Login {
    /// With the token that the job makes.
    #[default]
    Token,
    /// With a password that the user sets once; programs still use the token.
    Password,
}

/// Where the server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// A unix socket in a private folder of the node's `/tmp`.
    NodeSocket,
    /// A unix socket in the session's folder, which an ssh to the node sees
    /// even where the job has a `/tmp` of its own.
    SessionSocket,
    /// A TCP port of the loopback.
    Port,
}

/// Why there can be no recipe.
#[derive(Debug, Clone, PartialEq, Eq, Error, Diagnostic)]
pub enum RecipeError {
    /// A path can't stand in a script.
    #[error("the {what} `{}` can't be used in a recipe: {why}", path.escape_debug())]
    #[diagnostic(help("choose another one with --root or ENVSPEC_ROOT"))]
    Path {
        /// Which path.
        what: &'static str,
        /// The path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A variable can't be exported by a shell.
    #[error("no shell can export the variable `{}`", name.escape_debug())]
    #[diagnostic(help(
        "under `variables:` a name has letters, digits and `_`, and a value no NUL character"
    ))]
    Variable {
        /// Its name.
        name: String,
    },
}

/// A request, checked, with everything decided that the writers need.
#[derive(Debug, Clone)]
pub(super) struct Facts<'a> {
    pub(super) asked: Request<'a>,
    /// `envspec-lab`, `envspec-lab+2`: the job's name, the ssh alias and the
    /// pointer to the newest session. `+` can't be in an environment's name.
    pub(super) session: String,
    /// The folder of the user's sessions, without a slash at its end.
    pub(super) sessions: String,
    /// The file of the start script.
    pub(super) script: String,
    pub(super) endpoint: Endpoint,
    pub(super) local_port: u16,
    pub(super) hops: Vec<Hop>,
    pub(super) place: Place,
}

/// An ssh host on the way with all that its block in the config needs.
#[derive(Debug, Clone)]
pub(super) struct Hop {
    pub(super) alias: String,
    pub(super) host: HostName,
    pub(super) others: Vec<HostName>,
    pub(super) user: UserName,
    pub(super) only_when: Option<String>,
}

/// Where the server runs, seen from the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// On the machine in front of the user.
    Here,
    /// On the last hop itself.
    LastHop,
    /// On a node that Slurm chooses.
    Node,
}

impl<'a> Facts<'a> {
    pub(super) fn new(asked: &Request<'a>) -> Result<Self, RecipeError> {
        check_path("generation", asked.generation)?;
        check_path("sessions' folder", asked.sessions)?;
        for (name, value) in asked.variables {
            let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !starts || !plain || value.contains('\0') {
                return Err(RecipeError::Variable { name: name.clone() });
            }
        }
        let session = match asked.server.get() {
            1 => format!("envspec-{}", asked.env),
            number => format!("envspec-{}+{number}", asked.env),
        };
        let place = match (&asked.site.scheduler, asked.site.ssh.hops.is_empty()) {
            (Scheduler::Slurm(_), _) => Place::Node,
            (Scheduler::None, true) => Place::Here,
            (Scheduler::None, false) => Place::LastHop,
        };
        let sessions = asked.sessions.trim_end_matches('/').to_owned();
        Ok(Self {
            script: format!("{sessions}/start/{session}{}.sh", variant(asked)),
            endpoint: endpoint(asked, place, &sessions),
            local_port: local_port(asked.env.as_str(), asked.server),
            hops: hops(asked),
            asked: asked.clone(),
            session,
            sessions,
            place,
        })
    }

    /// The alias of the host that takes commands; `None` when it is this one.
    pub(super) fn login(&self) -> Option<&str> {
        self.hops.last().map(|hop| hop.alias.as_str())
    }

    /// The path of a file of the newest session of this name.
    pub(super) fn newest(&self, file: &str) -> String {
        format!("{}/{}/{file}", self.sessions, self.session)
    }

    /// The path of the page that the browser opens.
    pub(super) fn url_path(&self) -> &'static str {
        match self.asked.launch.interface {
            crate::spec::Interface::Lab => "/lab",
            crate::spec::Interface::Notebook => "/tree",
            crate::spec::Interface::Server => "/",
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}{}", self.local_port, self.url_path())
    }

    /// The generation's name, if a line of `#SBATCH` can hold it.
    fn generation_id(&self) -> Option<&str> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let id = self
            .asked
            .generation
            .trim_end_matches('/')
            .rsplit('/')
            .next()?;
        (!id.is_empty() && id.chars().all(plain)).then_some(id)
    }

    /// What a job asks of Slurm, as long options.
    pub(super) fn resources(&self) -> Vec<String> {
        let launch = self.asked.launch;
        let mut options = vec![
            format!("--job-name={}", self.session),
            "--nodes=1".to_owned(),
            "--ntasks=1".to_owned(),
            format!("--cpus-per-task={}", launch.cpus),
        ];
        // So that it is known of a job that waits, too.
        options.extend(self.generation_id().map(|id| format!("--comment={id}")));
        options.extend(
            launch
                .time
                .map(|time| format!("--time={}", crate::site::slurm_time(time))),
        );
        options.extend(
            launch
                .memory
                .map(|size| format!("--mem={}", crate::site::slurm_memory(size))),
        );
        if launch.gpus > 0 {
            options.push(format!("--gres=gpu:{}", launch.gpus));
        }
        if !launch.partitions.is_empty() {
            let names: Vec<_> = launch.partitions.iter().map(SlurmName::as_str).collect();
            options.push(format!("--partition={}", names.join(",")));
        }
        options.extend(
            launch
                .account
                .as_ref()
                .map(|name| format!("--account={name}")),
        );
        options.extend(launch.qos.as_ref().map(|name| format!("--qos={name}")));
        options
    }
}

fn check_path(what: &'static str, path: &str) -> Result<(), RecipeError> {
    match unusable(path) {
        None => Ok(()),
        Some(why) => Err(RecipeError::Path {
            what,
            path: path.to_owned(),
            why,
        }),
    }
}

/// Why a path can't be the one of a root, a generation or a socket; `None` if it
/// can. envspec's own scripts take any text between quotes; what is refused here
/// has a meaning to a program that knows no quotes, or escapes nothing in them.
pub fn unusable(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        Some("it is not absolute")
    } else if path.chars().any(char::is_control) {
        Some("it holds a control character")
    } else if path.contains('\\') {
        Some("Slurm gives a backslash in a path a meaning of its own")
    } else if path.contains(':') {
        Some("a colon separates the parts of PATH and of a tunnel")
    } else if path.contains(['%', '$']) {
        Some("ssh and its server fill in what stands behind % and $")
    } else if path.contains(['"', '\'', '`']) {
        // `exec "PREFIX/bin/python"` in a shell, `'BINDIR': 'PREFIX/bin'` in Python.
        Some("packages write the path into their programs, between quotes of all kinds")
    } else if path.contains([';', '&', '|', '<', '>', '(', ')']) {
        // `R_HOME_DIR=PREFIX/lib/R` in R's own script.
        Some("R has its path in its start script, without any quotes")
    } else {
        None
    }
}

/// What tells the start scripts of a session's variants apart: a recipe that was
/// handed out must go on finding its own.
fn variant(asked: &Request<'_>) -> &'static str {
    match (asked.login, asked.ssh) {
        (Login::Token, SshVersion::Since7_3) => "",
        (Login::Password, SshVersion::Since7_3) => "+password",
        (Login::Token, SshVersion::Older) => "+old-ssh",
        (Login::Password, SshVersion::Older) => "+password+old-ssh",
    }
}

/// A socket keeps everybody else out by its folder's mode, a port doesn't.
fn endpoint(asked: &Request<'_>, place: Place, sessions: &str) -> Endpoint {
    // As long as Slurm's numbers get: 2^26 jobs, restarts of four digits.
    const LONGEST_KEY: &str = "/67108863-9999/server.sock";
    // A socket's address is `sun_path[108]` with a NUL at its end.
    const LONGEST_SOCKET: usize = 107;
    // A browser can't open a socket, and an old ssh can't forward one.
    let can = place != Place::Here && asked.ssh == SshVersion::Since7_3;
    if !can || asked.transport == Transport::Port {
        return Endpoint::Port;
    }
    match (place, asked.site.storage.job_tmp) {
        (Place::Here | Place::LastHop, _) | (Place::Node, JobTmp::Shared) => Endpoint::NodeSocket,
        (Place::Node, JobTmp::Private) => {
            if sessions.len() + LONGEST_KEY.len() <= LONGEST_SOCKET {
                Endpoint::SessionSocket
            } else {
                Endpoint::Port
            }
        }
    }
}

/// The port on the laptop: always the same for one environment, so that a
/// bookmark and a page that lost its server work again; different for its
/// second server. Below the range from which systems take ports at random
/// (32768 on Linux, 49152 on macOS), above Jupyter's own 8888.
pub fn local_port(env: &str, server: NonZeroU16) -> u16 {
    // FNV-1a: the number must not change with a compiler, and needs no more.
    let hash = env.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let step = (hash.wrapping_add(u32::from(server.get()) - 1)) % 10_000;
    20_000 + u16::try_from(step).expect("a number below 10,000")
}

fn hops(asked: &Request<'_>) -> Vec<Hop> {
    let all = &asked.site.ssh.hops;
    // The last hop is the login node: nobody can leave it out.
    let login = all.len().saturating_sub(1);
    let needed = |(index, hop): &(usize, &crate::site::Hop)| {
        asked.outer_hops == OuterHops::Taken || hop.only_when.is_none() || *index == login
    };
    let taken: Vec<_> = all
        .iter()
        .enumerate()
        .filter(needed)
        .map(|(_, hop)| hop)
        .collect();
    let last = taken.len().saturating_sub(1);
    let named = taken.into_iter().enumerate().map(|(index, hop)| Hop {
        alias: if index == last {
            format!("envspec-site-{}", asked.site.name)
        } else {
            format!("envspec-site-{}+hop{}", asked.site.name, index + 1)
        },
        host: hop.host().clone(),
        others: hop.hosts[1..].to_vec(),
        user: user_on(asked, hop),
        only_when: hop.only_when.as_ref().map(ToString::to_string),
    });
    named.collect()
}

fn user_on(asked: &Request<'_>, hop: &crate::site::Hop) -> UserName {
    let known = hop.hosts.iter().find_map(|host| asked.users.get(host));
    known.cloned().unwrap_or_else(|| {
        UserName::new(&format!("YOUR-NAME-ON-{}", clip(hop.host().as_str())))
            .expect("a host name holds no character that a user name doesn't")
    })
}

/// A user name may have 128 characters, a host name 253.
fn clip(host: &str) -> &str {
    // A host name is ASCII: every index is a character's.
    &host[..host.len().min(100)]
}
