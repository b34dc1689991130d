//! The README: what it shows is run, what it links to exists.

use std::path::Path;

use crate::support::{TestEnv, channels};

const README: &str = include_str!("../../README.md");

/// A command of a console session and what the README says that it prints.
struct Shown {
    command: String,
    output: String,
}

/// The fenced blocks of a kind, without their fences.
fn blocks(kind: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = README.lines();
    while let Some(line) = lines.next() {
        if line == format!("```{kind}") {
            let inside = lines.by_ref().take_while(|line| *line != "```");
            blocks.push(inside.collect::<Vec<_>>().join("\n"));
        }
    }
    blocks
}

fn sessions() -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    for block in blocks("console") {
        for line in block.lines() {
            match (line.strip_prefix("$ "), shown.last_mut()) {
                (Some(command), _) => shown.push(Shown {
                    command: command.to_owned(),
                    output: String::new(),
                }),
                (None, Some(last)) => {
                    last.output.push_str(line);
                    last.output.push('\n');
                }
                (None, None) => panic!("a session begins with a command: {line}"),
            }
        }
    }
    shown
}

#[test]
fn the_sessions_of_the_readme_go_as_shown() {
    let env = TestEnv::new();
    let mut sessions = sessions().into_iter();
    // The first one shows the file that all others work on.
    let given = sessions.next().unwrap();
    let file = given.command.strip_prefix("cat envs/").unwrap();
    env.spec(file.trim_end_matches(".yaml"), &given.output);

    let program = Path::new(env!("CARGO_BIN_EXE_envspec"));
    let path = format!("{}:/usr/bin:/bin", program.parent().unwrap().display());
    let alias = format!("file://{}", channels().display());
    let mut count = 0;
    for shown in sessions {
        let mut command = env.program("bash");
        command
            .args(["-c", &format!("{} 2>&1", shown.command)])
            .env("PATH", &path)
            .env("ENVSPEC_CHANNEL_ALIAS", &alias);
        let output = command.output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}\n{printed}", shown.command);
        let matched = snapbox::Assert::new().action_env("SNAPSHOTS").try_eq(
            Some(&shown.command),
            printed.trim_end().to_owned().into(),
            shown.output.trim_end().to_owned().into(),
        );
        if let Err(difference) = matched {
            panic!("$ {}\n{difference}", shown.command);
        }
        count += 1;
    }
    assert!(
        count >= 7,
        "the README shows the whole way: {count} commands"
    );
}

#[test]
fn the_scripts_and_files_that_the_readme_names_are_there() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    for block in blocks("sh") {
        let script = block.lines().next().unwrap();
        assert!(top.join(script).is_file(), "{script}");
    }
    for link in README.split("](").skip(1) {
        let target = link.split(')').next().unwrap();
        if !target.contains("://") {
            assert!(top.join(target).exists(), "{target}");
        }
    }
}

#[test]
fn the_readme_lists_the_exit_codes_that_the_help_lists() {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let help = TestEnv::new().run(&["--help"]).success();
    let help = words(&help.stdout);
    let listed = &help[help.find("Exit codes:").unwrap()..];
    assert!(words(README).contains(listed), "{listed}");
}
