//! envspec.

pub mod conda;
pub mod lock;
pub mod spec;
pub mod store;
