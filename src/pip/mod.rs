//! What the `pip:` section of a spec asks for, resolved by uv.
//!
//! uv is a program: one on the PATH, or the channels' own. It is asked once for each
//! platform, about a Python that need not be here, and told what conda's packages bring
//! already: those stay, and what does not go with them is a conflict. Its answers are
//! wheels, by URL and SHA-256, which go into the lock. Only where wheels do not do it is it
//! asked again, and may take sources too: what does not say its needs in a file is run then,
//! in a home of its own.

mod brought;
mod build;
mod configured;
mod error;
mod preference;
mod pylock;
mod question;
mod ways;

pub use build::{Build, Surroundings};
pub use error::PipError;
pub use pylock::{OfFolder, WantedHashes};
pub use question::{Answer, Lost, Question, Sources, Uv};
