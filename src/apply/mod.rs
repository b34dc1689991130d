//! The line itself: spec → lock → plan → generation → kernelspecs.
//!
//! Each command walks a part of it. The rooms below know their own trade; this
//! one knows the order, and what belongs together of what they find. It prints
//! nothing.

mod adopt;
mod beside;
mod blame;
mod build;
mod collect;
mod commits;
mod context;
mod delete;
mod error;
mod export;
mod extras;
mod folders;
mod forbidden;
mod foreign_prefix;
mod generations_in_use;
mod give_way;
mod held_back;
mod held_wheels;
mod hold;
mod import;
mod judge;
mod kernels;
mod link;
mod nix;
mod no_solution;
mod observe;
mod pip;
mod prefixes;
mod provenance;
mod publish;
mod registration;
mod remedy;
mod repair;
mod requirements;
mod resolve;
mod revision;
mod rollback;
mod served;
mod solution;
mod sources;
mod spec_file;
mod subject;
mod unfit;
mod unlockable;
mod update;
mod verify;
mod would_run;

pub use adopt::{AdoptError, adopted};
pub use beside::definitions_beside;
pub use build::{Outcome, carry_out};
pub use collect::{Collect, Collected, Judged, LiveSession, collect};
pub use commits::Commits;
pub use context::{Context, Who};
pub use delete::{Deleted, delete, would_delete};
pub use error::ApplyError;
pub use export::{
    Exportable, exportable, isolated_kernels, not_exported, one_platform, plain_spec,
};
pub use held_back::HeldBack;
pub use hold::{WaitingFor, hold};
pub use import::{Brought, Import, import};
pub use kernels::Message;
pub use nix::NixError;
pub use no_solution::NoSolution;
pub use observe::{Prepared, prepare};
pub use pip::PipFailure;
pub use registration::Replaced;
pub use repair::{Repaired, repair};
pub use resolve::{LockPolicy, Locked, judge_channels, needs_solution, resolve};
pub use revision::{Revision, lock_at};
pub use rollback::{RolledBack, rollback};
pub use served::{Served, served};
pub use sources::{BuildError, Source};
pub use spec_file::SpecFile;
pub use subject::{Subject, SubjectKernel};
pub use unfit::{refuse_unfit, runs_here};
pub use update::{Cause, Move, Updated, update};
pub use verify::{Damage, Finding, Verified, verify, verify_generation};
