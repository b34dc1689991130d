//! envspec.

pub mod apply;
pub mod cli;
pub mod conda;
pub mod jupyter;
pub mod kernel;
pub mod lock;
pub mod plan;
pub mod recipe;
pub mod site;
pub mod spec;
pub mod store;
