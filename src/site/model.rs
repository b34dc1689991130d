//! What a site is, once its file has been read.
//!
//! The types are the file's own shape: every key of the YAML is a field here,
//! an unknown one is an error, and each scalar is checked by its type. What
//! envspec does with a fact is said at the field; the facts themselves, and
//! where they come from, are in `envs/sites/*.yaml`.

use std::collections::BTreeMap;

use rattler_conda_types::Version;
use serde::Deserialize;
use serde::de::Deserializer;

use super::units::{HostName, HostPattern, Line, Scalar, SiteName, SlurmName, scalar};
use crate::spec::{MemorySize, WallTime};

/// A cluster, or a single machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// The name that a spec writes under `site:`.
    pub name: SiteName,
    /// The name for people.
    pub title: Line,
    /// What its users should know besides the steps.
    #[serde(default)]
    pub notes: Vec<Line>,
    /// The way in.
    #[serde(default)]
    pub ssh: Ssh,
    /// What starts jobs.
    pub scheduler: Scheduler,
    /// Where files go.
    #[serde(default)]
    pub storage: Storage,
    /// The nodes that environments run on.
    #[serde(default)]
    pub target: TargetNode,
    /// What the site doesn't allow.
    #[serde(default)]
    pub forbidden: Forbidden,
}

/// The way from a laptop to the nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ssh {
    /// The hosts on the way, the outermost first; the last one is the login
    /// node. Empty: the site is the machine in front of the user.
    #[serde(default)]
    pub hops: Vec<Hop>,
    /// How compute nodes are called.
    #[serde(default)]
    pub nodes: Vec<HostPattern>,
    /// Which keys open a compute node.
    #[serde(default)]
    pub nodes_accept: NodeKeys,
    /// How host keys are known to be right.
    #[serde(default)]
    pub host_keys: Option<HostKeys>,
    /// What leads from the laptop to a server.
    #[serde(default)]
    pub transport: Transport,
}

/// What leads from the laptop to a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// A unix socket in a folder that nobody else may enter.
    #[default]
    Socket,
    /// A TCP port of the loopback, where sshd forwards no sockets
    /// (`AllowStreamLocalForwarding no`).
    Port,
}

/// One ssh host on the way, or several that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hop {
    /// Its names; any of them does, the first one is taken.
    #[serde(deserialize_with = "one_or_more")]
    pub hosts: Vec<HostName>,
    /// Whether the account on it is the cluster's.
    #[serde(default)]
    pub account: Account,
    /// When the hop is needed; `None` is always.
    #[serde(default)]
    pub only_when: Option<Line>,
}

impl Hop {
    /// The host that a recipe names.
    pub fn host(&self) -> &HostName {
        // `one_or_more` refuses an empty list.
        &self.hosts[0]
    }
}

/// Whose account a hop asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// The user's name is the same as on the cluster.
    #[default]
    Cluster,
    /// The hop belongs to others: the user has a different name there.
    Separate,
}

/// Which keys a compute node accepts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKeys {
    /// The same as the login node.
    #[default]
    AsLoginNode,
    /// Only those in `~/.ssh/authorized_keys` of the home on the cluster.
    HomeAuthorizedKeys,
}

/// A certificate authority that signs the site's host keys.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostKeys {
    /// The hosts that it signs for.
    pub signed_for: HostPattern,
    /// The authority's public key; `None` sends the user to the site's pages.
    #[serde(default)]
    pub key: Option<Line>,
}

/// What starts jobs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheduler {
    /// Nothing: a server starts on the machine itself.
    None,
    /// Slurm.
    Slurm(Slurm),
}

/// What is known of a Slurm.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slurm {
    /// What a job asks when the spec says nothing.
    #[serde(default)]
    pub defaults: Defaults,
    /// The partition that takes a job which names none and routes it on.
    #[serde(default)]
    pub routing: Option<SlurmName>,
    /// The partitions; empty means that envspec doesn't know them.
    #[serde(default)]
    pub partitions: BTreeMap<SlurmName, Partition>,
    /// The longest interactive job with a GPU.
    #[serde(default, deserialize_with = "optional_scalar")]
    pub interactive_gpu_time: Option<WallTime>,
    /// How heavy work is done where login nodes forbid it.
    #[serde(default)]
    pub heavy_work: Option<HeavyWork>,
}

/// What a job asks when the spec says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// The time limit.
    #[serde(default, deserialize_with = "optional_scalar")]
    pub time: Option<WallTime>,
    /// Memory of the whole job on its node.
    #[serde(default, deserialize_with = "optional_scalar")]
    pub memory: Option<MemorySize>,
    /// Cores.
    #[serde(default)]
    pub cpus: Option<u32>,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// The longest job that it takes.
    #[serde(default, deserialize_with = "optional_scalar")]
    pub time: Option<WallTime>,
}

/// How heavy work (an install, an archive) is done away from the login node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeavyWork {
    /// The memory that `srun --mem` asks for it.
    #[serde(deserialize_with = "scalar")]
    pub memory: MemorySize,
    /// The site's rule.
    pub reason: Line,
}

/// Where files go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// The default root; a leading `~` is the home on the cluster. `None` is
    /// the data home of the XDG rules.
    #[serde(default)]
    pub root: Option<Line>,
    /// Roots that others fill with envspec, by their absolute paths: what is unpacked
    /// or built there is used, and never written.
    #[serde(default)]
    pub shared: Vec<Line>,
    /// The folders with limits of their own.
    #[serde(default)]
    pub areas: Vec<Area>,
    /// What `/tmp` is inside a job.
    #[serde(default)]
    pub job_tmp: JobTmp,
}

/// A folder with limits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Area {
    /// The folder; a leading `~` is the home on the cluster.
    pub path: Line,
    /// Its quota in bytes.
    #[serde(default, deserialize_with = "optional_scalar")]
    pub bytes: Option<MemorySize>,
    /// Its quota in files.
    #[serde(default)]
    pub files: Option<u64>,
    /// Days after a file's mtime when the site deletes it.
    #[serde(default)]
    pub purged_after_days: Option<u32>,
}

/// What `/tmp` is inside a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobTmp {
    /// The node's: an ssh to the node sees the same.
    #[default]
    Shared,
    /// The job's own (`job_container/tmpfs`): an ssh to the node doesn't see it.
    Private,
}

/// The nodes that environments run on, for conda's virtual packages; a spec's
/// `target:` goes before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetNode {
    /// The C library (`__glibc`).
    #[serde(default, deserialize_with = "optional_scalar")]
    pub glibc: Option<Version>,
    /// The CUDA version of the driver (`__cuda`).
    #[serde(default, deserialize_with = "optional_scalar")]
    pub cuda: Option<Version>,
    /// The Linux kernel (`__linux`).
    #[serde(default, deserialize_with = "optional_scalar")]
    pub linux: Option<Version>,
    /// The microarchitecture (`__archspec`).
    #[serde(default)]
    pub arch: Option<Line>,
}

/// What a site doesn't allow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forbidden {
    /// Channels that must not be used.
    #[serde(default)]
    pub channels: Option<ForbiddenChannels>,
    /// Things that must not be done, each with the site's reason.
    #[serde(default)]
    pub practices: BTreeMap<Practice, Line>,
}

/// Channels that must not be used.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForbiddenChannels {
    /// Names, as in `channels:` of a spec or as the first part of the path on
    /// conda.anaconda.org.
    pub names: Vec<Line>,
    /// Hosts none of whose channels may be used.
    #[serde(default)]
    pub hosts: Vec<HostName>,
    /// The site's reason.
    pub reason: Line,
    /// What to use in their place.
    #[serde(default)]
    pub instead: Vec<Line>,
}

/// Things that a site may forbid and that envspec knows how to avoid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Practice {
    /// `ssh -R`.
    ReverseTunnel,
    /// An ssh from the cluster to somewhere else.
    OnwardHop,
    /// screen or tmux on a compute node.
    ScreenOnNode,
    /// A Jupyter for several people, or without a token.
    SharedServer,
}

impl Site {
    /// The host that takes commands: the last hop.
    pub fn login(&self) -> Option<&Hop> {
        self.ssh.hops.last()
    }

    /// What is known of the site's Slurm; `None` when it has no scheduler.
    pub fn slurm(&self) -> Option<&Slurm> {
        match &self.scheduler {
            Scheduler::None => None,
            Scheduler::Slurm(slurm) => Some(slurm),
        }
    }

    /// The site's reason when it forbids a practice.
    pub fn forbids(&self, practice: Practice) -> Option<&Line> {
        self.forbidden.practices.get(&practice)
    }

    /// Whether a channel may be used; the error is the site's reason and what
    /// to use in its place.
    ///
    /// `channel` is a name or a URL as a spec has it, labels and all.
    pub fn channel_verdict(&self, channel: &str) -> Result<(), String> {
        let Some(forbidden) = &self.forbidden.channels else {
            return Ok(());
        };
        let lowered = channel.to_ascii_lowercase();
        let (host, path) = match lowered.split_once("://") {
            Some((_, rest)) => rest.split_once('/').unwrap_or((rest, "")),
            None => ("conda.anaconda.org", lowered.as_str()),
        };
        // Neither a password (`user:key@host`), nor a port, nor conda's
        // `/t/<token>/` makes it another channel.
        let host = host.rsplit('@').next().unwrap_or(host);
        let host = host.split(':').next().unwrap_or(host);
        let path = path.strip_prefix("t/").map_or(path, |rest| {
            rest.split_once('/').map_or(rest, |(_, path)| path)
        });
        let name = path.split('/').find(|part| !part.is_empty()).unwrap_or("");
        let named = host == "conda.anaconda.org"
            && forbidden.names.iter().any(|line| line.as_str() == name);
        let hosted = forbidden.hosts.iter().any(|line| line.as_str() == host);
        if !named && !hosted {
            return Ok(());
        }
        let instead: Vec<_> = forbidden.instead.iter().map(Line::as_str).collect();
        Err(match instead.as_slice() {
            [] => forbidden.reason.to_string(),
            others => format!("{}; use {}", forbidden.reason, others.join(", ")),
        })
    }
}

fn one_or_more<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<HostName>, D::Error> {
    let hosts = Vec::<HostName>::deserialize(from)?;
    if hosts.is_empty() {
        return Err(serde::de::Error::custom("a hop needs at least one host"));
    }
    Ok(hosts)
}

fn optional_scalar<'de, T: Scalar, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    scalar(from).map(Some)
}

impl Scalar for Version {
    const EXPECTED: &'static str = "a version as conda writes it";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}
