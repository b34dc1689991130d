//! What a run of the program left: three things, shown together, redacted.

use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::process::Output;
use std::sync::Once;

/// A run that nobody has judged yet.
#[must_use = "a run whose outcome nobody looks at proves nothing"]
pub(crate) struct Ran(CommandOutput);

impl Ran {
    pub(crate) fn new(output: Output, folder: &Path) -> Self {
        Self(CommandOutput {
            stdout: String::from_utf8(output.stdout).expect("stdout is text"),
            stderr: String::from_utf8(output.stderr).expect("stderr is text"),
            code: output.status.code(),
            folder: folder.to_str().unwrap().to_owned(),
        })
    }

    /// Whether it exited with 0, where a test can't know that before.
    pub(crate) fn succeeded(&self) -> bool {
        self.0.code == Some(0)
    }

    /// It exited with 0.
    #[track_caller]
    pub(crate) fn success(self) -> CommandOutput {
        self.fails_with(0)
    }

    /// It did not panic; how it exited is not the question.
    #[track_caller]
    pub(crate) fn either(self) -> CommandOutput {
        let code = self.0.code.expect("no signal ended it");
        self.fails_with(code)
    }

    /// It exited with this code, and did not panic.
    #[track_caller]
    pub(crate) fn fails_with(self, code: i32) -> CommandOutput {
        let output = self.0;
        assert_eq!(
            output.code,
            Some(code),
            "the exit code is not {code}:\n{output}"
        );
        assert!(
            !output.stderr.contains("panicked"),
            "it panicked:\n{output}"
        );
        output
    }
}

/// What a run left.
#[derive(Debug, Clone)]
pub(crate) struct CommandOutput {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    /// The folder whose path is not shown.
    folder: String,
}

impl CommandOutput {
    /// A run of earlier, which succeeded.
    pub(crate) fn of(stdout: String, stderr: String, folder: &Path) -> Self {
        Self {
            stdout,
            stderr,
            code: Some(0),
            folder: folder.to_str().unwrap().to_owned(),
        }
    }

    /// stdout as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!("stdout is no JSON ({error}):\n{self}"),
        }
    }

    /// stderr says this.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(
            unwrapped(&self.stderr).contains(text),
            "stderr does not say {text:?}:\n{self}"
        );
        self
    }
}

/// A diagnostic's text without the lines that its width broke.
fn unwrapped(text: &str) -> String {
    text.replace('│', " ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

impl fmt::Display for CommandOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |text: &str| {
            text.replace(&self.folder, "[DIR]")
                .lines()
                .map(str::trim_end)
                .collect::<Vec<_>>()
                .join("\n")
        };
        let code = self
            .code
            .map_or("a signal".to_owned(), |code| code.to_string());
        write!(
            f,
            "---- stdout\n{}\n---- stderr\n{}\n---- status {code}",
            part(&self.stdout),
            part(&self.stderr)
        )
    }
}

/// Compares an output with its snapshot, without what differs from run to run.
macro_rules! assert_output {
    ($($argument:expr),+) => {{
        let mut settings = insta::Settings::clone_current();
        settings.set_omit_expression(true);
        settings.set_prepend_module_to_snapshot(true);
        settings.add_filter(r"in \d+\.\d\d s", "in [TIME]");
        settings.add_filter(r"-[0-9a-f]{12}\b", "-[ID]");
        settings.add_filter(r"127\.0\.0\.1:\d+", "127.0.0.1:[PORT]");
        settings.add_filter(r"\b[0-9a-f]{64}\b", "[SHA256]");
        settings.add_filter(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\dZ?", "[WHEN]");
        settings.add_filter(r"\(process \d+\)", "(process [PID])");
        settings.add_filter(r"\.envspec-new-\w+", ".envspec-new-[X]");
        settings.add_filter(r"researcher@[\w.-]+", "researcher@[HOST]");
        // Whichever of the two was asked first.
        settings.add_filter(r"/tiny/(linux-64|noarch)/\n", "/tiny/[SUBDIR]/\n");
        // The channel's own, which depend on the machine's Debian.
        settings.add_filter(r"\b(deno|libgcc) [\d.]+", "$1 [VERSION]");
        settings.add_filter(r"\b[\d.]+ [kMGT]?B\b", "[SIZE]");
        settings.add_filter(r"\b\d+ files are left", "[FILES] files are left");
        settings.bind(|| insta::assert_snapshot!($($argument),+));
    }};
}
pub(crate) use assert_output;

/// Tells the first words of a failure when it happens, past what holds the output of
/// tests back: all of it comes at the end of the suite, or never if that is killed.
pub(crate) fn tell_failures_at_once() {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or("?").to_owned();
            let text: String = panic.to_string().chars().take(1500).collect();
            // Not the macro, which a test's own output would keep.
            drop(writeln!(std::io::stderr(), "FAILED {name}: {text}"));
            usual(panic);
        }));
    });
}
