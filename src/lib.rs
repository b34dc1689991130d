//! envspec.

pub mod jupyter;
pub mod kernel;
pub mod spec;
