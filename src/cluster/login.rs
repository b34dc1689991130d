//! Running a script where the site takes commands.

use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::connection::Connection;
use super::error::ClusterError;
use crate::recipe::quote;

/// Where commands are given.
#[derive(Debug)]
pub enum Login {
    /// On this machine.
    Here,
    /// On a login node.
    There(Box<Connection>),
}

/// A script of this house: POSIX `sh`, with arguments and what it reads.
#[derive(Debug, Clone, Copy)]
pub struct Script<'a> {
    /// What it does, for messages: "the look for sessions".
    pub what: &'static str,
    /// Its text.
    pub text: &'static str,
    /// Its arguments.
    pub arguments: &'a [&'a str],
    /// Its standard input.
    pub input: &'a str,
    /// How long it may take.
    pub patience: Duration,
}

/// What a script printed: the lines that begin with its mark. Login shells
/// print banners, which do not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said(Vec<String>);

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

/// What each line of an answer begins with.
const MARK: char = '@';

/// A text from elsewhere without what a terminal would obey: control characters
/// but tabs and ends of lines.
pub(super) fn harmless(text: &str) -> String {
    let obeyed = |c: char| c.is_control() && c != '\t' && c != '\n';
    text.replace(obeyed, "\u{fffd}")
}

impl Said {
    pub(crate) fn new(output: &[u8]) -> Self {
        let text = String::from_utf8_lossy(output);
        Self(
            text.lines()
                .filter_map(|line| line.strip_prefix(MARK))
                .map(harmless)
                .collect(),
        )
    }

    /// The values of a name, in the order in which they were printed.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter_map(move |line| match line.split_once(' ') {
                Some((key, value)) if key == name => Some(value),
                None if line == name => Some(""),
                _ => None,
            })
    }

    /// The first value of a name.
    pub fn one<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }
}

/// Reads a script of as many bytes as `$0` says from the standard input and runs
/// it; what follows there is its input. A shell that is given a script on its
/// standard input may read more of it than the script. It holds nothing that a
/// login shell of any kind would change between single quotes. Its first line is
/// empty: a shell's greeting may end without ending its line.
const READ_AND_RUN: &str = "echo; eval \"$(dd bs=1 count=$0 2>/dev/null)\"";

/// The command that runs any script, told how many bytes it has. The arguments
/// are a part of the script: no login shell reads them, and no list of
/// processes shows them.
fn command_for(length: usize) -> [String; 4] {
    ["sh", "-c", READ_AND_RUN, &length.to_string()].map(str::to_owned)
}

/// A script behind the line that gives it its arguments.
fn with_arguments(script: &Script<'_>) -> String {
    let mut text = String::from("set --");
    for argument in script.arguments {
        text.push_str(" '");
        // All else is itself between the single quotes of `sh`.
        text.push_str(&argument.replace('\'', "'\\''"));
        text.push('\'');
    }
    text.push('\n');
    text.push_str(script.text);
    text
}

impl Login {
    /// The host's name for messages.
    pub fn host(&self) -> &str {
        match self {
            Self::Here => "this machine",
            Self::There(connection) => connection.host(),
        }
    }

    /// Runs a script and returns its answer. One that does not end with
    /// `@end` did not come through, whatever its exit code.
    pub async fn run(&self, script: Script<'_>) -> Result<Said, ClusterError> {
        match self {
            Self::Here => run_at(None, self.host(), script).await,
            Self::There(connection) => run_at(Some(connection), self.host(), script).await,
        }
    }
}

/// Runs a script on a host behind a connection; on this machine without one.
pub(super) async fn run_at(
    connection: Option<&Connection>,
    host: &str,
    script: Script<'_>,
) -> Result<Said, ClusterError> {
    let output = tokio::time::timeout(script.patience, output(connection, host, script))
        .await
        .map_err(|_| ClusterError::TimedOut {
            what: script.what,
            host: host.to_owned(),
            seconds: script.patience.as_secs(),
        })??;
    let said = Said::new(&output.stdout);
    if said.one("end").is_some() {
        return Ok(said);
    }
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    // ssh's own failure, not the command's.
    if connection.is_some() && output.status.code() == Some(255) {
        return Err(ClusterError::Lost {
            host: host.to_owned(),
            said: words,
        });
    }
    Err(ClusterError::Command {
        what: script.what,
        host: host.to_owned(),
        said: words,
    })
}

async fn output(
    connection: Option<&Connection>,
    host: &str,
    script: Script<'_>,
) -> Result<Output, ClusterError> {
    let text = with_arguments(&script);
    let words = command_for(text.len());
    let mut command = match connection {
        None => {
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]);
            command
        }
        Some(connection) => {
            let mut command = connection.command();
            // The login shell reads these once more.
            command.arg(host).args(words.map(|word| quote(&word)));
            command
        }
    };
    let failed = |source| ClusterError::NoProgram {
        program: match connection {
            None => "sh".to_owned(),
            Some(_) => "ssh".to_owned(),
        },
        source,
    };
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let mut stdin = child.stdin.take().expect("it is piped");
    let write = async move {
        // One that has ended already says why itself.
        drop(stdin.write_all((text + script.input).as_bytes()).await);
    };
    let (output, ()) = tokio::join!(child.wait_with_output(), write);
    output.map_err(failed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recipe::hostile::{hostile, login_shells};

    fn script<'a>(text: &'static str, arguments: &'a [&'a str], input: &'a str) -> Script<'a> {
        Script {
            what: "the test",
            text,
            arguments,
            input,
            patience: Duration::from_secs(10),
        }
    }

    #[tokio::test]
    async fn a_script_gets_its_arguments_and_its_input_and_banners_are_passed_over() {
        let text = "echo Welcome; printf '@arg %s\\n' \"$@\"; echo \"@input $(cat)\"; echo @end";
        let arguments = ["two words", "it's $HOME"];
        let said = Login::Here
            .run(script(text, &arguments, "echo not run\n"))
            .await
            .unwrap();
        assert_eq!(said.all("arg").collect::<Vec<_>>(), arguments);
        assert_eq!(said.one("input"), Some("echo not run"));
        assert_eq!(said.one("Welcome"), None);
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_taken_from_a_host() {
        let said =
            Said::new(b"@job 1|PENDING|\x1b]0;owned\x07\x1b[2J\r\n@spec a:\tb \xc3\xa9\xff\n");
        let job = said.one("job").unwrap();
        assert!(!job.chars().any(char::is_control), "{job:?}");
        assert!(job.contains("]0;owned"), "{job:?}");
        assert_eq!(said.one("spec"), Some("a:\tb \u{e9}\u{fffd}"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_the_login_shell_is_a_script_gets_its_arguments_as_they_were(
            arguments in proptest::collection::vec(hostile(), 0..4), input in hostile(),
        ) {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let shows = script("printf '%s\\0' \"$@\"; cat", &arguments, "");
            let text = with_arguments(&shows);
            let words = command_for(text.len()).map(|word| quote(&word)).join(" ");
            // Its first line ends a greeting of the shell's.
            let expected = format!("\n{}\0{input}", arguments.join("\0"));
            for shell in login_shells() {
                // What sshd does with a command.
                let mut child = std::process::Command::new(shell)
                    .args(["-c", &words])
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .spawn()
                    .unwrap();
                std::io::Write::write_all(
                    &mut child.stdin.take().unwrap(),
                    format!("{text}{input}").as_bytes(),
                )
                .unwrap();
                let output = child.wait_with_output().unwrap();
                prop_assert_eq!(String::from_utf8_lossy(&output.stdout), &*expected, "{}", shell);
            }
        }
    }

    #[tokio::test]
    async fn a_script_that_fails_or_hangs_says_so() {
        let failed = Login::Here
            .run(script("echo oh no >&2; exit 3", &[], ""))
            .await
            .unwrap_err();
        assert!(failed.to_string().contains("oh no"), "{failed}");
        let hangs = Script {
            patience: Duration::from_millis(50),
            ..script("sleep 60", &[], "")
        };
        let failed = Login::Here.run(hangs).await.unwrap_err();
        assert!(matches!(failed, ClusterError::TimedOut { .. }), "{failed}");
    }
}
