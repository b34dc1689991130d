//! envspec.

pub mod recipe;
pub mod site;
pub mod spec;
