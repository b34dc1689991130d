//! The formats of other tools: what a spec and its lock become for them, and what
//! their files become here.
//!
//! Pure, text to text: reading and writing files, and asking what kernels need, is
//! the business of [`crate::apply`]. No format carries all that a spec says, so each
//! function gives a text together with what is not in it; nothing is left out in
//! silence, in neither direction.

mod export;
mod import;
mod text;

pub use crate::spec::secret_in;
pub use export::{
    Exported, Portable, PortableChannel, PortablePlatform, UnexportableError, apptainer,
    conda_lock, dockerfile, environment_pinned, explicit, pixi, requirements,
};
pub use import::{
    Asked, DistInfo, ForeignKind, ImportError, Imported, Manifest, PrefixContents, conda_lock_file,
    explicit_list, few, kind_of, lock_file_of_pixi, manifest_of_pixi, missing, prefix, unmet,
    unmet_by,
};
pub use text::{one_line, scalar};

#[cfg(test)]
mod tests;
