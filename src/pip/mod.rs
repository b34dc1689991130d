//! What the `pip:` section of a spec asks for, resolved by uv.
//!
//! uv is a program: one on the PATH, or the channels' own. It is asked once for each
//! platform, about a Python that need not be here, and told what conda's packages bring
//! already: those stay, and what does not go with them is a conflict. Nothing of what it
//! finds is run; its answers are wheels, by URL and SHA-256, which go into the lock.

mod brought;
mod configured;
mod error;
mod pylock;
mod question;

pub use error::PipError;
pub use question::{Answer, Lost, Question, Uv};
