//! Readers of others that may panic on a text.
//!
//! `pep508_rs` 0.9 does on a requirement whose name ends in `_`, `-` or `.`, which may stand
//! in a spec, in a lock and in the files of other tools. Bad input must never end a program
//! that could say what is wrong with it.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a reader gives; `None` if it panics. It changes nothing that outlives it.
pub(crate) fn careful<T>(read: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(read)).ok()
}

/// What is told then.
pub(crate) const PANICKED: &str = "it has a requirement of pip that can't be read";
