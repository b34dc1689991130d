//! Solving and locking (item 4): the same bytes for the same input, stale told
//! with the line that changed, no network where none may be, conflicts in the
//! user's own lines.

use std::path::Path;

use rattler_lock::LockFile;

use crate::support::{Channels, Server, TestEnv, assert_output, channels, tiny_spec};

fn locked_packages(text: &str) -> Vec<String> {
    let lock = LockFile::from_str_with_base_directory(text, None).unwrap();
    let environment = lock.default_environment().unwrap();
    let mut all: Vec<String> = environment
        .packages_by_platform()
        .flat_map(|(_, packages)| packages)
        .map(|package| {
            let record = package.as_binary_conda().unwrap();
            let record = &record.package_record;
            format!("{}-{}", record.name.as_normalized(), record.version)
        })
        .collect();
    all.sort();
    all
}

#[test]
fn the_same_input_gives_the_same_bytes_wherever_it_is_run() {
    let env = TestEnv::new();
    let spec = env.tiny(&["shared-lib", "unicode-name", "activation-vars"]);
    env.run(&["lock"]).success();
    let first = env.lock("lab");
    fs_err::remove_file(spec.with_extension("lock")).unwrap();
    let elsewhere = env
        .command(&["lock", spec.to_str().unwrap()])
        .current_dir(env.path("tmp"))
        .output()
        .unwrap();
    assert!(elsewhere.status.success());
    assert_eq!(env.lock("lab"), first);
    env.run(&["lock", "--renew"]).success();
    assert_eq!(env.lock("lab"), first);
}

#[test]
fn a_lock_is_read_by_rattler_lock_and_holds_what_was_solved() {
    let env = TestEnv::new();
    env.tiny(&["conflict-a", "odd-versions"]);
    env.run(&["lock"]).success();
    let text = env.lock("lab");
    assert_eq!(
        locked_packages(&text),
        ["conflict-a-1.0", "odd-versions-1!2.0", "shared-lib-1.1"]
    );
    let lock = LockFile::from_str_with_base_directory(&text, None).unwrap();
    let environment = lock.default_environment().unwrap();
    for (_, packages) in environment.packages_by_platform() {
        for package in packages {
            let record = &package.as_binary_conda().unwrap().package_record;
            assert!(record.sha256.is_some(), "{record:?}");
        }
    }
}

#[test]
fn a_lock_that_is_up_to_date_is_left_alone() {
    let env = TestEnv::new();
    let spec = env.tiny(&["shared-lib"]);
    env.run(&["lock"]).success();
    let before = crate::support::tree(&env.work());
    let second = env.run(&["lock"]).success();
    assert_output!(second);
    assert_eq!(crate::support::tree(&env.work()), before);
    // A comment is no change.
    let text = fs_err::read_to_string(&spec).unwrap();
    fs_err::write(&spec, format!("# for the lab\n{text}")).unwrap();
    env.run(&["lock", "--check"]).success();
}

#[test]
fn a_stale_lock_is_refused_with_the_line_that_changed() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib", "symlink"]);
    env.run(&["lock"]).success();
    let before = env.lock("lab");
    env.tiny(&["shared-lib 1.*", "symlink"]);
    for arguments in [
        &["apply", "--locked"][..],
        &["plan", "--locked"],
        &["lock", "--check"],
    ] {
        env.run(arguments)
            .fails_with(3)
            .says("+ request shared-lib 1.*")
            .says("- request shared-lib");
    }
    assert_output!(env.run(&["apply", "--locked"]).fails_with(3));
    assert_eq!(env.lock("lab"), before);
    assert!(!env.root().join("gen").exists());
}

#[test]
fn a_lock_of_several_platforms_and_prefixes_is_checked_without_the_network() {
    let records = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records/science");
    let mut server = Server::start(&records);
    let env = TestEnv::with_alias(server.url());
    let spec = |platforms: &str, kernels: &str| {
        let text = format!(
            "channels: [conda-forge]\ndependencies: [python 3.12.*, numpy]\n\
             platforms: [{platforms}]\ntarget: {{glibc: \"2.36\"}}\n{kernels}"
        );
        env.spec("lab", &text);
    };
    spec("linux-64, linux-aarch64, osx-arm64", "");
    env.run(&["lock"]).success();
    drop(server.requests());
    server.stop();
    env.run(&["lock", "--check"]).success();
    spec("linux-64, osx-arm64", "");
    env.run(&["lock", "--check"])
        .fails_with(3)
        .says("- platform linux-aarch64");

    let server = Server::start(&records);
    let mut env = TestEnv::with_alias(server.url());
    env.set("CONDA_OVERRIDE_GLIBC", "2.36");
    let spec = |python: &str| {
        let text = format!(
            "channels: [conda-forge]\ndependencies: [python 3.12.*]\nkernels:\n\
             \x20 - old: {{use: python, isolated: true, dependencies: [python {python}]}}\n"
        );
        env.spec("lab", &text);
    };
    spec("3.11.*");
    env.run(&["lock"]).success();
    drop(server.requests());
    env.run(&["lock", "--check"]).success();
    spec("3.10.*");
    env.run(&["lock", "--check"])
        .fails_with(3)
        .says("+ request of old python 3.10.*")
        .says("- request of old python 3.11.*");
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn platforms_without_a_solution_are_all_named_in_one_error() {
    let env = TestEnv::with_alias(format!(
        "file://{}/tests/records/science",
        env!("CARGO_MANIFEST_DIR")
    ));
    // No numpy of 1.24 for this python on any, and no libudev on two.
    let spec = |dependencies: &str| {
        let text = format!(
            "channels: [conda-forge]\ndependencies: [{dependencies}]\n\
             platforms: [linux-64, linux-aarch64, osx-arm64]\ntarget: {{glibc: \"2.36\"}}\n"
        );
        env.spec("lab", &text);
    };
    spec("python 3.12.*, libudev1");
    env.run(&["lock"])
        .fails_with(4)
        .says("no channel has the package `libudev1` for linux-aarch64 and osx-arm64");
    spec("numpy 1.24.*, python 3.13.*");
    env.run(&["lock"])
        .fails_with(4)
        .says("for linux-64: these two requirements cannot be met together")
        .says("No solution either: linux-aarch64, osx-arm64");
    assert!(!env.work().join("envs/lab.lock").exists());
}

#[test]
fn without_a_lock_locked_and_frozen_say_so() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib"]);
    env.run(&["apply", "--locked"])
        .fails_with(3)
        .says("there is no lock");
    env.run(&["apply", "--frozen"])
        .fails_with(3)
        .says("there is no lock");
}

#[test]
fn frozen_installs_a_stale_lock_as_it_is() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib 1.0"]);
    env.run(&["lock"]).success();
    let before = env.lock("lab");
    env.tiny(&["shared-lib 2.0"]);
    env.run(&["apply", "--frozen"]).success();
    let text = fs_err::read_to_string(env.prefix("lab").join("share/shared-lib.txt")).unwrap();
    assert_eq!(text, "shared-lib 1.0\n");
    assert_eq!(env.lock("lab"), before);
}

#[test]
fn after_one_run_online_everything_works_with_the_server_gone() {
    let mut server = Server::start(channels());
    let env = TestEnv::with_alias(server.url());
    env.tiny(&["shared-lib", "unicode-name"]);
    env.run(&["apply"]).success();
    server.stop();
    // Another root would need the network; the same one solves and links anew.
    fs_err::remove_file(env.work().join("envs/lab.lock")).unwrap();
    fs_err::remove_dir_all(env.root().join("gen")).unwrap();
    fs_err::remove_dir_all(env.root().join("envs")).unwrap();
    env.run(&["apply", "--offline"]).success();
    assert!(env.prefix("lab").join("share/shared-lib.txt").is_file());
    env.run(&["apply"]).success().says("Nothing to do");
}

#[test]
fn offline_asks_no_server_and_says_what_it_misses() {
    let server = Server::start(channels());
    let env = TestEnv::with_alias(server.url());
    env.tiny(&["shared-lib"]);
    let refused = env.run(&["apply", "--offline"]).fails_with(5);
    assert_eq!(server.requests(), [""; 0]);
    assert_output!(refused);

    // The index is there, the package is not.
    env.run(&["lock"]).success();
    drop(server.requests());
    let refused = env.run(&["apply", "--offline"]).fails_with(5);
    assert_eq!(server.requests(), [""; 0]);
    assert_output!(refused);
}

#[test]
fn offline_reads_channels_that_are_files() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib"]);
    env.run(&["apply", "--offline"]).success();
}

#[test]
fn a_second_solve_asks_for_the_index_with_its_validators_and_gets_304() {
    let server = Server::start(channels());
    let env = TestEnv::with_alias(server.url());
    env.tiny(&["shared-lib"]);
    env.run(&["lock"]).success();
    let first = server.requests();
    assert!(first.iter().any(|line| line.ends_with("200")), "{first:#?}");
    env.tiny(&["symlink"]);
    env.run(&["lock"]).success();
    let second = server.requests();
    assert!(
        second.iter().any(|line| line.ends_with("304")),
        "{second:#?}"
    );
}

#[test]
fn the_first_channel_that_has_a_name_wins_even_with_an_older_version() {
    let env = TestEnv::new();
    let made = Channels::new(env.path("made"));
    made.add("old", &["many-versions-1."]);
    made.add("new", &["many-versions-2.", "symlink-"]);
    let env = {
        let mut env = env;
        env.set_alias(made.alias());
        env
    };
    env.spec(
        "lab",
        "channels: [old, new]\ndependencies: [many-versions, symlink]\n",
    );
    env.run(&["lock"]).success();
    assert_eq!(
        locked_packages(&env.lock("lab")),
        ["many-versions-1.4", "symlink-1.0"]
    );
    env.spec(
        "lab",
        "channels: [new, old]\ndependencies: [many-versions]\n",
    );
    env.run(&["lock", "--renew"]).success();
    assert_eq!(locked_packages(&env.lock("lab")), ["many-versions-2.4"]);
    // Strict: what a package needs is not taken from the second one either, if
    // the first has another version of it.
    made.add("two", &["shared-lib-2."]);
    made.add("one", &["shared-lib-1.", "conflict-a"]);
    env.spec("lab", "channels: [two, one]\ndependencies: [conflict-a]\n");
    env.run(&["lock"]).fails_with(4).says("shared-lib 1.*");
    env.spec("lab", "channels: [one, two]\ndependencies: [conflict-a]\n");
    env.run(&["lock"]).success();
}

#[test]
fn a_requirement_can_name_its_own_channel() {
    let env = TestEnv::new();
    let made = Channels::new(env.path("made"));
    made.add("old", &["many-versions-1."]);
    made.add("new", &["many-versions-2."]);
    let mut env = env;
    env.set_alias(made.alias());
    env.spec(
        "lab",
        "channels: [old]\ndependencies: [\"new::many-versions\"]\n",
    );
    env.run(&["lock"]).success();
    assert_eq!(locked_packages(&env.lock("lab")), ["many-versions-2.4"]);
    assert!(env.lock("lab").contains("/made/new/"));
}

#[test]
fn a_change_of_one_requirement_keeps_the_other_versions() {
    let env = TestEnv::new();
    env.tiny(&["many-versions 1.2", "shared-lib 1.0"]);
    env.run(&["lock"]).success();
    env.tiny(&["many-versions", "shared-lib", "symlink"]);
    env.run(&["lock"]).success();
    assert_eq!(
        locked_packages(&env.lock("lab")),
        ["many-versions-1.2", "shared-lib-1.0", "symlink-1.0"]
    );
    env.run(&["lock", "--renew"]).success();
    assert_eq!(
        locked_packages(&env.lock("lab")),
        ["many-versions-2.4", "shared-lib-2.0", "symlink-1.0"]
    );
}

#[test]
fn the_spec_is_locked_for_every_platform_that_it_names() {
    let env = TestEnv::new();
    let text = tiny_spec(&["shared-lib"]) + "platforms: [linux-64, linux-aarch64]\n";
    let made = Channels::new(env.path("made"));
    let tiny = made.add("tiny", &["shared-lib-"]);
    fs_err::create_dir(tiny.join("linux-aarch64")).unwrap();
    fs_err::write(
        tiny.join("linux-aarch64/repodata.json"),
        r#"{"info": {"subdir": "linux-aarch64"}, "packages": {}, "packages.conda": {}}"#,
    )
    .unwrap();
    let mut env = env;
    env.set_alias(made.alias());
    env.spec("lab", &text);
    env.run(&["lock"]).success();
    let lock = LockFile::from_str_with_base_directory(&env.lock("lab"), None).unwrap();
    let environment = lock.default_environment().unwrap();
    assert_eq!(environment.packages_by_platform().count(), 2);
}

#[test]
fn a_package_for_gpus_is_solved_where_the_target_has_one() {
    let env = TestEnv::new();
    env.tiny(&["needs-cuda"]);
    env.run(&["lock"]).fails_with(4).says("__cuda");
    env.spec(
        "lab",
        &(tiny_spec(&["needs-cuda"]) + "target: {cuda: \"11.8\"}\n"),
    );
    env.run(&["lock"]).fails_with(4).says("__cuda");
    env.spec(
        "lab",
        &(tiny_spec(&["needs-cuda"]) + "target: {cuda: \"12.4\"}\n"),
    );
    env.run(&["lock"]).success();
    assert!(env.lock("lab").contains("__cuda=12.4"));
}

#[test]
fn the_target_is_the_specs_then_the_sites_then_this_machines() {
    let mut env = TestEnv::new();
    env.tiny(&["needs-new-glibc"]);
    env.run(&["lock"]).fails_with(4).says("__glibc");

    // This machine's, as conda lets one say it.
    env.set("CONDA_OVERRIDE_GLIBC", "3.0");
    env.run(&["lock"]).success();
    assert!(env.lock("lab").contains("__glibc=3.0"));

    // The site's before this machine's.
    let sites = env.path("home/.config/envspec/sites");
    fs_err::create_dir_all(&sites).unwrap();
    let site = "name: old\ntitle: an old cluster\nscheduler: none\ntarget: {glibc: \"2.17\"}\n";
    fs_err::write(sites.join("old.yaml"), site).unwrap();
    env.spec("lab", &(tiny_spec(&["needs-new-glibc"]) + "site: old\n"));
    env.run(&["lock"]).fails_with(4).says("__glibc");

    // The spec's before the site's.
    let text = tiny_spec(&["needs-new-glibc"]) + "site: old\ntarget: {glibc: \"2.99\"}\n";
    env.spec("lab", &text);
    env.run(&["lock"]).success();
    assert!(env.lock("lab").contains("__glibc=2.99"));
}

#[test]
fn a_conflict_names_the_two_lines_that_clash_and_nothing_else() {
    let env = TestEnv::new();
    env.tiny(&[
        "conflict-a",
        "symlink",
        "executable",
        "conflict-b",
        "unicode-name",
        "old-format",
    ]);
    let output = env.run(&["lock"]).fails_with(4);
    let underlined = |name: &str| {
        let lines: Vec<&str> = output.stderr.lines().collect();
        lines
            .windows(2)
            .any(|pair| pair[0].ends_with(&format!("- {name}")) && pair[1].contains("·   "))
    };
    assert!(
        underlined("conflict-a") && underlined("conflict-b"),
        "{output}"
    );
    for innocent in ["symlink", "executable", "unicode-name", "old-format"] {
        assert!(!underlined(innocent), "{output}");
        let help = output.stderr.split("help:").nth(1).unwrap();
        assert!(!help.contains(innocent), "{output}");
    }
    assert!(output.stderr.contains("shared-lib"), "{output}");
    let lines = output
        .stderr
        .lines()
        .filter(|line| !line.trim().is_empty())
        .count();
    assert!(lines <= 18, "{lines} lines are a wall:\n{output}");
}

#[test]
fn a_clash_with_a_line_of_the_users_own_names_that_line_too() {
    // The index is asked for records that match: shared-lib 2.0 is not among
    // them, and would seem not to exist.
    let env = TestEnv::new();
    env.tiny(&["shared-lib 1.*", "conflict-b"]);
    let output = env.run(&["lock"]).fails_with(4);
    assert!(
        output
            .stderr
            .contains("these two requirements cannot be met together"),
        "{output}"
    );
    assert!(
        output
            .stderr
            .contains("conflict-b 1.0 needs shared-lib 2.*\n"),
        "{output}"
    );
}

#[test]
fn a_misspelt_package_gets_a_suggestion_at_its_place() {
    let env = TestEnv::new();
    env.tiny(&["symlink", "shred-lib"]);
    assert_output!(env.run(&["lock"]).fails_with(4));
}

#[test]
fn a_version_that_no_channel_has_is_answered_with_those_there_are() {
    let env = TestEnv::new();
    env.tiny(&["many-versions >=3"]);
    assert_output!(env.run(&["lock"]).fails_with(4));
}

#[test]
fn a_dependency_that_no_channel_has_is_named() {
    let env = TestEnv::new();
    env.tiny(&["needs-missing"]);
    env.run(&["lock"]).fails_with(4).says("no-such-package");
}

#[test]
fn a_lock_with_the_marks_of_a_merge_is_not_up_to_date() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib"]);
    env.run(&["lock"]).success();
    let good = env.lock("lab");
    let path = env.work().join("envs/lab.lock");
    let (head, body) = good.split_at(good.find("packages:").unwrap());
    fs_err::write(&path, format!("{head}<<<<<<< ours\n{body}")).unwrap();
    for arguments in [&["lock", "--check"][..], &["lock"], &["apply"]] {
        env.run(arguments).fails_with(2).says("is not a lock");
    }
    // What is no lock at all is nobody's.
    fs_err::write(&path, "").unwrap();
    env.run(&["lock", "--renew"]).success();
    assert_eq!(env.lock("lab"), good);
}
