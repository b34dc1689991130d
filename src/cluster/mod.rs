//! The machine that takes a site's commands: this one, or a login node behind
//! ssh hops; and what its scheduler says.
//!
//! Whatever is done there is a script of this house, sent to `sh` on its
//! standard input: the user's login shell, which may be any, reads nothing but
//! one line of quoted words. The system's ssh is used, with the user's own
//! keys, agent and configuration; nothing here asks for a password itself.

mod config;
mod connection;
mod error;
mod examine;
mod folder;
mod login;
mod reason;
mod refusal;
mod slurm;

pub use config::{Hops, ssh_config};
pub use connection::{Connection, Questions};
pub(crate) use connection::{forward, master, words};
pub use error::ClusterError;
pub use examine::{Asked, Check, Verdict, examine};
pub use folder::{PrivateFolder, sockets_folder};
pub use login::{Login, Said, Script};
pub use slurm::{JOB_COLUMNS, Job, JobState};
