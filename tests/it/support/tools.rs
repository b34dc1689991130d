//! Programs that a test needs and envspec does not.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::channels;

/// Whether a program is there. Under `ENVSPEC_TEST_TOOLS=require`, which
/// `tests/run.sh` sets, a missing one fails the test; else it is told.
pub(crate) fn have(program: &str) -> bool {
    let found = Command::new("/bin/sh")
        .args(["-c", "command -v -- \"$1\"", "sh", program])
        .stdout(Stdio::null())
        .status()
        .unwrap()
        .success();
    if !found {
        skipped(&format!("{program} is not installed"));
    }
    found
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
/// Tells that a part of a test did not run; an error where all must run.
pub(crate) fn skipped(why: &str) {
    let required = std::env::var("ENVSPEC_TEST_TOOLS").is_ok_and(|value| value == "require");
    assert!(!required, "this test may not be skipped: {why}");
    eprintln!("SKIPPED: {why}");
}

/// The Python that has py-rattler: the one that built the channels.
pub(crate) fn world_python() -> PathBuf {
    let world: &Path = channels().parent().unwrap();
    world.join("venv/bin/python")
}
