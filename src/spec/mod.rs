//! The file: text with spans → [`EnvSpec`].
//!
//! [`SourceText`] judges the bytes, [`parse`] reads the YAML and finds all its
//! faults at once, and [`edit`] writes into a spec without touching what the
//! author wrote around the place. Pure: the caller reads and writes the file.

mod content;
pub mod edit;
mod errors;
mod launch;
mod model;
mod parse;
mod reader;
mod requirement;
mod sections;
mod source;
mod yaml;

pub use content::Content;
pub use errors::{SpecErrors, Warning, fault};
pub use launch::{Interface, Launch, MemorySize, MemorySizeError, WallTime, WallTimeError};
pub use model::{
    At, Dependency, EnvName, EnvSpec, KernelRequest, Limits, Note, PipSection, Span, Target,
};
pub use parse::parse;
pub use source::{SourceText, shown};
