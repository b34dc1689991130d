//! Generations on disk: built, published by one rename, listed, switched back.
//!
//! A generation is a conda prefix that is never changed once its receipt is
//! written; a folder without a receipt is rubble. Nothing here knows what is in
//! a prefix: the conda room fills it, this room says where and when it counts.

mod error;
mod generations;
mod history;
mod holder;
mod layout;
mod lease;
#[cfg(test)]
mod lease_tests;
mod receipt;
mod room;
mod write;

pub use error::StoreError;
pub use generations::{
    Generation, clear_rubble, current, environments, generations, publish, stage,
};
pub use history::{Event, Switched, record, switches};
pub use layout::Root;
pub use lease::Lease;
pub use receipt::{KernelReceipt, Receipt, SpecOrigin};
pub use room::room;
pub use write::{write_private_script, write_whole};
