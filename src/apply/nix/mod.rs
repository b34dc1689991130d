//! Kernels from Nix: asked of the real `nix`, locked as store paths, kept from its
//! garbage collector by a root inside the generation.
//!
//! The order is that of packages. When a lock is made each installable is evaluated and
//! its store path written into the lock, without building anything. `apply` then
//! realises that very path: it is there already, or a binary cache has it, or it is
//! built from the installable, which must still give the same path. So a second machine
//! gets the same kernel or is told that it would be another, and a run with nothing to
//! do asks Nix nothing.

mod error;
mod locked;
mod program;
mod realise;
mod sources;

pub use self::error::NixError;
pub(super) use self::locked::{inputs, lock, locked, store_paths};
pub(super) use self::program::store_folder;
pub(super) use self::realise::{Whence, gone, realise, realise_again, refuse_missing};
