//! envspec.

pub mod spec;
