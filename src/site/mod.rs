//! Clusters as data: hops, scheduler, storage, policy.
//!
//! A site is one YAML file. The built-in ones are in `envs/sites/`; a user adds
//! or replaces them with a folder. This room turns the text into types and
//! judges what a spec asks against them. It reads no file, knows no user name
//! and asks no scheduler.

mod catalogue;
mod judge;
mod model;
mod parse;
mod purge;
mod quota;
mod units;

pub use catalogue::Sites;
pub use judge::{InteractiveForm, ResolvedLaunch, SiteFault};
pub use model::{
    Account, Area, Defaults, ForbiddenChannels, HeavyWork, Hop, HostKeys, JobTmp, NodeKeys,
    Partition, Practice, Scheduler, Site, Slurm, Ssh, Storage, TargetNode, Transport,
};
pub use parse::SiteError;
pub use purge::Purge;
pub use quota::Quota;
pub use units::{
    HostName, HostPattern, Line, SiteName, SlurmName, UserName, slurm_memory, slurm_time,
};
