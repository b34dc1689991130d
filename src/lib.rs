//! envspec.

pub mod spec;
pub mod site;
