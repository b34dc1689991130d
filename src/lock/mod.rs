//! The lock: what a spec was resolved to, and whether it still belongs to it.
//!
//! The file is a pixi.lock (version 7), so that pixi and everything built on
//! rattler reads it. What envspec needs beyond that, the inputs it was made
//! from, stands in comments at its head, in plain words that a reviewer of a
//! diff can read.

mod changes;
mod error;
mod file;
mod inputs;
pub mod interchange;
mod needs;
mod nix;
mod sizes;
mod wheel;
mod why;

pub use changes::{Change, PackageId, changes};
pub use error::LockError;
pub use file::{Lock, LockText, PlatformPackages, PrefixRecords};
pub use inputs::{Inputs, Origin, Request, Staleness, pip_lines};
pub use needs::Need;
pub use nix::{LockedNix, NixInput};
pub use sizes::WheelSizes;
pub use wheel::{PYPI, is_source, is_wheel, is_wheel_file, url_of};
pub use why::why;
