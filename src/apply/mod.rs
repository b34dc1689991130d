//! The line itself: spec → lock → plan → generation → kernelspecs.
//!
//! Each command walks a part of it. The rooms below know their own trade; this
//! one knows the order, and what belongs together of what they find. It prints
//! nothing.

mod build;
mod context;
mod error;
mod kernels;
mod no_solution;
mod observe;
mod provenance;
mod publish;
mod registration;
mod resolve;
mod rollback;
mod served;
mod spec_file;

pub use build::{Outcome, carry_out, hold};
pub use context::{Context, Who};
pub use error::ApplyError;
pub use no_solution::NoSolution;
pub use observe::{Prepared, prepare};
pub use registration::Replaced;
pub use resolve::{LockPolicy, Locked, judge_channels, needs_solution, resolve};
pub use rollback::{RolledBack, rollback};
pub use served::{Served, served};
pub use spec_file::{SpecFile, Subject};
