//! How to start a server on a site, reach it from a laptop and end it.
//!
//! From a [`Request`] (an environment's generation, a site, a judged launch)
//! comes a [`Recipe`]: the start script, the ssh config, the steps. Each
//! [`Format`] is written from that one model. The room only writes: it submits
//! nothing, asks no scheduler and opens no tunnel; what carries a recipe out
//! uses the same script and the same words.

/// Appends formatted text to a `String`.
macro_rules! put {
    ($out:expr, $($text:tt)*) => {{
        use std::fmt::Write as _;
        $out.write_fmt(format_args!($($text)*)).expect("writing into a String can't fail");
    }};
}

mod batch;
mod model;
mod request;
mod shell;
mod ssh;
mod steps;
#[cfg(test)]
mod tests;
mod write;

pub use model::{Format, Recipe, ScriptFile, Step, StepKind, Where};
pub use request::{
    Endpoint, Login, OuterHops, RecipeError, Request, SshVersion, local_port, unusable,
};
pub use shell::{CommandLine, Word, quote};
#[cfg(test)]
pub(crate) use tests::hostile;
