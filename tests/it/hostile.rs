//! Specs and locks that mean harm: answered in time, in words, and with nothing of them
//! printed raw or done outside.

use std::fmt::Write as _;
use std::time::Duration;

use crate::support::{CommandOutput, Server, TestEnv, channels, tree};

/// How long an answer to any file may take on a slow machine, with a program that was
/// not optimised.
const BOUND: Duration = Duration::from_mins(1);

/// Runs within the bound.
#[track_caller]
fn soon(env: &TestEnv, arguments: &[&str]) -> crate::support::Ran {
    env.start(arguments).wait_within(BOUND)
}

/// Nothing in it moves a terminal's cursor or breaks a line but a line break.
#[track_caller]
fn is_tame(said: &CommandOutput) {
    for text in [&said.stdout, &said.stderr] {
        let wild = text
            .chars()
            .find(|c| (c.is_control() && *c != '\n') || "\u{202e}\u{2066}".contains(*c));
        assert!(wild.is_none(), "{wild:?} in\n{said}");
    }
}

#[test]
fn aliases_of_yaml_that_grow_without_end_are_refused() {
    let env = TestEnv::new();
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        writeln!(text, "a{level}: &a{level} [{before}]").unwrap();
    }
    text.push_str("dependencies: *a19\n");
    env.spec("lab", &text);
    for command in ["check", "show", "lock"] {
        let said = soon(&env, &[command]).fails_with(2);
        assert!(said.stderr.len() < 20_000, "{}", said.stderr.len());
        is_tame(&said);
    }
}

#[test]
fn a_hundred_thousand_dependencies_are_refused_in_seconds_and_those_that_fit_are_solved() {
    let env = TestEnv::new();
    let of = |count: u32| {
        let mut text = "channels: [tiny]\ndependencies:\n".to_owned();
        for number in 0..count {
            writeln!(text, "- p{number:x}").unwrap();
        }
        assert!(text.len() < 1 << 20);
        text
    };
    env.spec("lab", &of(100_000));
    soon(&env, &["check"])
        .fails_with(2)
        .says("the file has more than 20000 values");
    env.spec("lab", &of(19_000));
    soon(&env, &["check"]).success();
    let said = soon(&env, &["lock"])
        .fails_with(4)
        .says("no channel has a package");
    assert!(said.stderr.len() < 20_000, "{}", said.stderr.len());
}

#[test]
fn names_of_a_megabyte_are_shown_cut() {
    let env = TestEnv::new();
    let long = "x".repeat(900_000);
    for text in [
        format!("name: {long}\ndependencies: [symlink]\n"),
        format!("channels: [{long}]\ndependencies: [symlink]\n"),
        format!("channels: [tiny]\ndependencies: [{long}]\n"),
        format!("channels: [tiny]\ndependencies: [\"symlink {long}\"]\n"),
        format!("channels: [tiny]\ndependencies: [symlink]\nkernels: [{long}]\n"),
        format!("channels: [tiny]\ndependencies: [symlink]\nplatforms: [{long}]\n"),
        format!("channels: [tiny]\ndependencies: [symlink]\nsite: {long}\n"),
        format!("channels: [tiny]\ndependencies: [symlink]\n{long}: 1\n"),
    ] {
        env.spec("lab", &text);
        let said = soon(&env, &["lock"]).either();
        assert_ne!(
            said.code,
            Some(1),
            "{}",
            &said.stderr[..1000.min(said.stderr.len())]
        );
        let first = &text[..text.len().min(60)];
        assert!(said.stderr.len() < 20_000, "{first}: {}", said.stderr.len());
        is_tame(&said);
    }
}

/// What moves a cursor, sets a title, rings, turns the direction of writing.
const ESCAPE: &str = "\\e[2J\\e]0;x\\a\\r\\b\\u202e\\x9b";

#[test]
fn no_escape_of_a_spec_reaches_the_terminal() {
    let env = TestEnv::new();
    let bad = format!("\"a{ESCAPE}b\"");
    for text in [
        format!("name: {bad}\ndependencies: [symlink]\n"),
        format!("channels: [{bad}]\ndependencies: [symlink]\n"),
        format!("channels: [tiny]\ndependencies: [{bad}]\n"),
        format!("channels: [tiny]\ndependencies: [python, {{pip: [{bad}]}}]\n"),
        format!("channels: [tiny]\ndependencies: [{{{bad}: x}}]\n"),
        format!("channels: [tiny]\ndependencies: [symlink]\nplatforms: [{bad}]\n"),
        format!("channels: [tiny]\ndependencies: [symlink]\nkernels: [{bad}]\n"),
        format!(
            "channels: [tiny]\ndependencies: [symlink]\nkernels: [bash: {{display_name: {bad}}}]\n"
        ),
        format!(
            "channels: [tiny]\ndependencies: [symlink]\nkernels: [x: {{installable: {bad}}}]\n"
        ),
        format!(
            "channels: [tiny]\ndependencies: [symlink]\nkernels: [bash: {{env: {{X: {bad}}}}}]\n"
        ),
        format!("channels: [tiny]\ndependencies: [symlink]\nvariables: {{X: {bad}}}\n"),
        format!("channels: [tiny]\ndependencies: [symlink]\nvariables: {{{bad}: x}}\n"),
        format!("channels: [tiny]\ndependencies: [symlink]\nsite: {bad}\n"),
        format!("channels: [tiny]\ndependencies: [symlink]\ntarget: {{glibc: {bad}}}\n"),
        format!("channels: [tiny]\ndependencies: [symlink]\nlaunch: {{partition: {bad}}}\n"),
        format!("channels: [tiny]\ndependencies: [symlink]\nlaunch: {{root_dir: {bad}}}\n"),
        format!("channels: [tiny]\ndependencies: [symlink]\n{bad}: x\n"),
        format!("channels: [tiny]\ndependencies: [symlink]\nchannel_priority: {bad}\n"),
        format!("channels: [tiny]\ndependencies: [symlink]\nprefix: {bad}\n"),
    ] {
        env.spec("lab", &text);
        for command in [
            &["check"][..],
            &["show"],
            &["show", "--json"],
            &["plan"],
            &["list"],
            &["kernels", "list"],
            &["lock"],
            &["export", "--format", "environment"],
            &["recipe"],
        ] {
            is_tame(&env.run(command).either());
        }
    }
}

#[test]
fn a_name_that_is_a_path_is_refused_and_nothing_is_made() {
    let env = TestEnv::new();
    let before = tree(&env.path("home"));
    for name in [
        "../../evil",
        "/evil",
        "..",
        ".",
        "a/b",
        "a\\\\b",
        "-rf",
        "a b",
    ] {
        for text in [
            format!("name: \"{name}\"\nchannels: [tiny]\ndependencies: [symlink]\n"),
            format!("channels: [tiny]\ndependencies: [symlink]\nkernels: [\"{name}\"]\n"),
            format!(
                "channels: [tiny]\ndependencies: [symlink]\nkernels: [\"{name}\": {{use: bash}}]\n"
            ),
        ] {
            env.spec("lab", &text);
            is_tame(&env.run(&["apply"]).fails_with(2));
        }
        let said = env.run(&["rollback", name]);
        assert!(!said.succeeded(), "{name}");
    }
    assert!(tree(&env.path("home")) == before);
    assert!(!env.root().join("gen").exists());
}

/// A lock of one package, whose line of its URL is `- conda: URL`.
fn locked(env: &TestEnv) -> (String, String) {
    env.tiny(&["symlink"]);
    env.run(&["lock"]).success();
    let text = env.lock("lab");
    let line = text
        .lines()
        .find(|line| line.contains("- conda: "))
        .unwrap();
    let url = line.split_once("- conda: ").unwrap().1.to_owned();
    (text, url)
}

fn put(env: &TestEnv, text: &str) {
    fs_err::write(env.work().join("envs/lab.lock"), text).unwrap();
}

#[test]
fn a_package_of_a_lock_from_elsewhere_is_refused_unless_it_is_asked_for_as_it_is() {
    let env = TestEnv::new();
    let (text, url) = locked(&env);
    let server = Server::start(channels());
    let elsewhere = format!(
        "{}/tiny/{}",
        server.url(),
        url.split("/tiny/").nth(1).unwrap()
    );
    let edited = text.replace(&url, &elsewhere);
    assert_ne!(edited, text);
    put(&env, &edited);
    for command in [&["apply"][..], &["apply", "--locked"], &["plan"]] {
        env.run(command)
            .fails_with(2)
            .says("symlink")
            .says("which is in no channel of the spec");
    }
    // A host whose name only begins so is another one.
    let beside = url.replace("/tiny/", "/tiny-evil/");
    put(&env, &text.replace(&url, &beside));
    env.run(&["apply"]).fails_with(2);
    assert!(!env.root().join("gen").exists());
    put(&env, &edited);
    env.run(&["apply", "--frozen"]).success();
}

#[test]
fn a_lock_without_a_hash_or_with_a_wrong_one_installs_nothing() {
    let env = TestEnv::new();
    let (text, _) = locked(&env);
    let is_sum = |line: &&str| {
        let line = line.trim_start();
        !(line.starts_with("sha256:") || line.starts_with("md5:"))
    };
    let without: Vec<&str> = text.lines().filter(is_sum).collect();
    put(&env, &without.join("\n"));
    for command in [&["apply"][..], &["apply", "--frozen"], &["plan"]] {
        env.run(command)
            .fails_with(2)
            .says("package symlink has neither sha256 nor md5");
    }
    let wrong: Vec<String> = text
        .lines()
        .map(|line| match line.split_once("sha256: ") {
            Some((before, sum)) => format!("{before}sha256: {}", "0".repeat(sum.len())),
            None => line.to_owned(),
        })
        .collect();
    put(&env, &wrong.join("\n"));
    env.run(&["apply", "--frozen"])
        .fails_with(5)
        .says("symlink");
    assert!(!env.root().join("envs/lab").exists());
}

#[test]
fn a_name_in_a_lock_that_is_a_path_or_moves_the_cursor_is_refused() {
    let env = TestEnv::new();
    let (text, url) = locked(&env);
    let before = tree(&env.path("home"));
    let file = url.rsplit('/').next().unwrap();
    for odd in [
        "..%2f..%2fevil-1.0-0.conda",
        "symlink-1.0-..%2f..%2fevil.conda",
        "symlink-1.0-a%1b%5b2Jb.conda",
        "symlink-1.0-a%0ab.conda",
    ] {
        put(&env, &text.replace(file, odd));
        is_tame(&env.run(&["apply", "--frozen", "--verbose"]).either());
    }
    for (key, value) in [
        ("name", "../../evil"),
        ("build", "../../../evil"),
        ("build", "\"a\\e[2Jb\""),
        ("subdir", "../../evil"),
        ("version", "../1"),
        ("file_name", "../../evil-1.0-0.conda"),
        ("license", "\"a\\e[2Jb\""),
    ] {
        let sum = text
            .lines()
            .find(|line| line.contains("  sha256: "))
            .unwrap();
        put(
            &env,
            &text.replace(sum, &format!("{sum}\n  {key}: {value}")),
        );
        for command in [
            &["apply", "--frozen", "--verbose"][..],
            &["plan", "--frozen"],
        ] {
            is_tame(&env.run(command).either());
        }
    }
    assert!(tree(&env.path("home")) == before);
    assert!(!env.path("evil").exists() && !env.work().join("evil").exists());
}

#[test]
fn a_lock_of_half_a_million_packages_is_refused_by_its_size() {
    let env = TestEnv::new();
    let (text, url) = locked(&env);
    let (head, entry) = text.split_once("packages:\n- conda: ").unwrap();
    let mut many = head.to_owned();
    many.push_str("packages:\n- conda: ");
    many.push_str(entry);
    let rest = entry.split_once('\n').unwrap().1;
    for number in 0..500_000 {
        let other = url.replace("symlink-1.0", &format!("symlink-1.{number}"));
        write!(many, "- conda: {other}\n{rest}").unwrap();
    }
    put(&env, &many);
    let said = soon(&env, &["apply", "--frozen"]).either();
    assert_ne!(said.code, Some(0), "{said}");
    is_tame(&said.says("it is too large to be a lock"));
}
