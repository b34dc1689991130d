//! The file: text with spans → [`EnvSpec`].

mod launch;
mod model;

pub use launch::{Interface, Launch, MemorySize, WallTime};
pub use model::{At, Dependency, EnvName, EnvSpec, KernelRequest, Note, PipSection, Span, Target};
