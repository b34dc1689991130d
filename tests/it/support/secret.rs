//! Whether a secret is anywhere where it must not be.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::output::CommandOutput;
use super::test_env::TestEnv;

/// Looks into every byte that runs of a world left, printed or written, for a secret:
/// as it is, escaped for a URL, and as the header has it. The files that it is kept in
/// are named.
#[track_caller]
pub(crate) fn no_trace(env: &TestEnv, said: &CommandOutput, secrets: &[&str], kept_in: &[PathBuf]) {
    let mut forms: Vec<String> = Vec::new();
    for secret in secrets {
        forms.push((*secret).to_owned());
        // Base64 of what ends with it, at each of the three places that it may begin.
        for before in ["", "u", "us"] {
            let whole = BASE64_STANDARD.encode(format!("{before}{secret}"));
            let inner = whole.trim_end_matches('=');
            forms.push(inner[4..inner.len() - 2].to_owned());
        }
    }
    for (place, text) in [("stdout", &said.stdout), ("stderr", &said.stderr)] {
        for form in &forms {
            assert!(!text.contains(form.as_str()), "{place} has {form}:\n{said}");
        }
    }
    let mut seen = 0;
    look(&env.path(""), &forms, kept_in, &mut seen);
    assert!(seen > 0, "nothing was written at all");
}

fn look(path: &Path, forms: &[String], kept_in: &[PathBuf], seen: &mut usize) {
    for form in forms {
        assert!(
            !path.to_string_lossy().contains(form.as_str()),
            "a name has {form}: {}",
            path.display()
        );
    }
    let metadata = path.symlink_metadata().unwrap();
    if metadata.is_dir() {
        for entry in fs_err::read_dir(path).unwrap() {
            look(&entry.unwrap().path(), forms, kept_in, seen);
        }
    } else if metadata.is_file() && !kept_in.iter().any(|kept| kept == path) {
        *seen += 1;
        let bytes = fs_err::read(path).unwrap();
        for form in forms {
            let has = bytes
                .windows(form.len())
                .any(|part| part == form.as_bytes());
            assert!(!has, "{} has {form}", path.display());
        }
    }
}
