//! The file: text with spans → [`EnvSpec`].
//!
//! [`SourceText`] judges the bytes, [`parse`] reads the YAML and finds all its
//! faults at once, and [`edit`] writes into a spec without touching what the
//! author wrote around the place. Pure: the caller reads and writes the file.

mod careful;
mod content;
mod dependencies;
pub mod edit;
mod errors;
mod launch;
mod model;
mod parse;
mod pip;
mod reader;
mod requirement;
mod requirements_file;
mod secret;
mod sections;
mod selector;
mod source;
mod yaml;

pub(crate) use careful::{PANICKED, careful};
pub use content::Content;
pub use errors::{SpecErrors, Warning, fault};
pub use launch::{Interface, Launch, MemorySize, MemorySizeError, WallTime, WallTimeError};
pub use model::{
    At, ChannelPriority, Dependency, EnvName, EnvSpec, KernelRequest, Limits, Note, PipSection,
    Span, Target,
};
pub use parse::{Reading, parse, read_spec};
pub use pip::{PipFolder, PipKind, PipOption, PipRequirement};
pub use requirements_file::read_requirements;
pub use secret::secret_in;
pub(crate) use secret::{Of, masked, secret_in_channel, without_secret};
pub use selector::{Selector, words_for};
pub use source::{SourceText, shown};
pub(crate) use yaml::{Entry, Node, Value};

/// Reads a YAML text that is no spec (a `.condarc`) into the tree that specs are read
/// into; `None` if nothing is in it.
pub(crate) fn read_yaml(source: &SourceText) -> Result<Option<Node>, SpecErrors> {
    let mut faults = Vec::new();
    let root = yaml::read(source, &mut faults, &mut Vec::new());
    if faults.is_empty() {
        return Ok(root);
    }
    Err(SpecErrors::new(source, faults))
}
