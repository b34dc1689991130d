//! What has to be done: desired and observed state in, typed actions out.
//!
//! Planning reads nothing and changes nothing, so a plan can be printed, kept
//! and tested; carrying it out is another room's work.

mod action;
mod collect;
mod cost;
mod desired;

pub use action::{Action, Plan, plan};
pub use collect::{
    CachedPackage, Candidate, KEPT_EARLIER, KEPT_FOR, Kept, Retention, Shape, is_python_used,
    is_used, judge,
};
pub use cost::{Cost, Room};
pub use desired::{Desired, DesiredKernel, GenerationId, Observed, RegisteredKernel};
