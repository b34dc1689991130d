//! envspec.

pub mod conda;
pub mod lock;
pub mod plan;
pub mod spec;
pub mod store;
