//! Conflicts on real records, as they are shown: who clashes, why, and what would solve.
//!
//! Whatever is suggested is put into the spec by the test, and then there is a solution.

use std::path::Path;

use crate::support::{CommandOutput, TestEnv, assert_output};

fn env() -> TestEnv {
    let records = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records/science");
    // A link: the path of the checkout is in some messages.
    let env = TestEnv::new();
    let link = env.path("records");
    fs_err::os::unix::fs::symlink(records, &link).unwrap();
    let mut env = env;
    env.set_alias(format!("file://{}", link.display()));
    env
}

const TARGET: &str = "target: {glibc: \"2.28\", linux: \"5.10\"}\n";

/// The conflict of a spec, and each line that it suggests, tried.
#[track_caller]
fn conflict(env: &TestEnv, text: &str) -> CommandOutput {
    let text = format!("{text}{TARGET}");
    env.spec("lab", &text);
    let output = env.run(&["lock"]).fails_with(4);
    let mut tried = 0;
    for changed in suggestions(&output.stderr, &text) {
        env.spec("lab", &changed);
        let solved = env.run(&["lock"]);
        assert!(
            solved.succeeded(),
            "this has no solution:\n{changed}\n{output}"
        );
        fs_err::remove_file(env.work().join("envs/lab.lock")).unwrap();
        tried += 1;
    }
    let promised = output.stderr.matches("solves ").count();
    assert!(
        tried >= promised,
        "{tried} suggestions were tried:\n{output}"
    );
    env.spec("lab", &text);
    output
}

/// The spec with each suggestion in it.
fn suggestions(said: &str, text: &str) -> Vec<String> {
    let said = said.split("help:").nth(1).unwrap();
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentences = said
        .replace(" or with ", "\nwith ")
        .replace(" or without ", "\nwithout ");
    let sentences = sentences.replace("solves ", "\n");
    let in_quotes = |sentence: &str| -> Vec<String> {
        sentence
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let item = |line: &str| line.strip_prefix("- ").unwrap().to_owned();
    let mut specs = Vec::new();
    for sentence in sentences.lines() {
        let quoted = in_quotes(sentence);
        if sentence.starts_with("with a prefix") {
            let kernel = item(&quoted[0]);
            let (kernel, _) = kernel.split_once(':').unwrap();
            let from = format!("{kernel}: {{");
            specs.push(text.replace(&from, &format!("{from}isolated: true, ")));
        } else if sentence.starts_with("for a node") {
            let target = format!("{TARGET}{}", quoted[0]);
            let own = quoted[0]
                .trim_start_matches("target: {")
                .trim_end_matches('}');
            let what = own.split(':').next().unwrap();
            let kept = TARGET.replace(&format!("{what}: \"2.28\", "), "");
            assert!(target.contains(what));
            let merged = kept.replace("target: {", &format!("target: {{{own}, "));
            specs.push(text.replace(TARGET, &merged));
        } else if sentence.starts_with("with one line more") {
            let line = format!("dependencies:\n  - {}\n", item(&quoted[0]));
            specs.push(text.replace("dependencies:\n", &line));
        } else if sentence.starts_with("without") {
            specs.push(text.replace(&format!("  {}\n", quoted[0]), ""));
        } else if sentence.starts_with("with ") {
            let mut changed = text.to_owned();
            for pair in quoted.chunks(2) {
                let (now, before) = (item(&pair[0]), item(&pair[1]));
                assert!(changed.contains(&before), "{before}");
                changed = changed.replacen(&before, &now, 1);
            }
            specs.push(changed);
        }
    }
    specs
}

fn dependencies(lines: &[&str]) -> String {
    let mut text = "channels: [conda-forge]\ndependencies:\n".to_owned();
    for line in lines {
        text.extend(["  - ", line, "\n"]);
    }
    text
}

#[test]
fn a_pin_of_python_and_a_package_that_is_too_old_for_it() {
    let env = env();
    let text = dependencies(&["python 3.13.*", "numpy 1.24.*", "pandas"]);
    assert_output!(conflict(&env, &text));
}

#[test]
fn pins_that_clash_twice_take_two_changes() {
    let env = env();
    let text = dependencies(&[
        "python 3.13.*",
        "numpy 1.26.*",
        "scipy 1.11.*",
        "pandas 3.*",
    ]);
    assert_output!(conflict(&env, &text));
}

#[test]
fn two_kernels_with_a_python_each() {
    let env = env();
    let text = dependencies(&["python 3.12.*"])
        + "kernels:\n  - python\n  - old: {use: python, dependencies: [python 3.11.*, scipy 1.11.*]}\n";
    assert_output!(conflict(&env, &text));
}

#[test]
fn a_package_that_is_too_new_for_the_libc_of_the_node() {
    let env = env();
    assert_output!(conflict(&env, &dependencies(&["libudev1 258.*"])));
}

#[test]
fn a_package_for_gpus_where_the_node_has_none() {
    let env = env();
    let text = dependencies(&["python 3.12.*", "libxgboost * cuda*"]);
    assert_output!(conflict(&env, &text));
}

#[test]
fn a_package_that_some_platforms_lack() {
    let env = env();
    let text = dependencies(&["python", "libudev1 256.*"])
        + "platforms: [linux-64, linux-aarch64, osx-arm64]\n";
    let text = text.replace("libudev1 256.*", "libudev1");
    env.spec("lab", &(text + "target: {glibc: \"2.36\"}\n"));
    assert_output!(env.run(&["lock"]).fails_with(4));
}

#[test]
fn a_package_for_another_platform_alone() {
    let env = env();
    assert_output!(conflict(&env, &dependencies(&["python", "mlx"])));
}

#[test]
fn a_slip_of_the_fingers() {
    let env = env();
    assert_output!(conflict(&env, &dependencies(&["python", "pandsa"])));
}

#[test]
fn a_version_that_there_is_not() {
    let env = env();
    assert_output!(conflict(&env, &dependencies(&["python", "numpy >=9"])));
}

#[test]
fn a_build_that_there_is_not() {
    let env = env();
    assert_output!(conflict(
        &env,
        &dependencies(&["python", "numpy 2.5.1 py39*"])
    ));
}

#[test]
fn what_would_solve_for_one_platform_alone_is_not_suggested() {
    let env = env();
    // Solvable for linux-64 with an older numpy; the other platform lacks a package.
    let text = dependencies(&["python 3.13.*", "numpy 1.24.*", "libudev1"])
        + "platforms: [linux-64, osx-arm64]\ntarget: {glibc: \"2.36\"}\n";
    env.spec("lab", &text);
    let output = env.run(&["lock"]).fails_with(4);
    assert!(!output.stderr.contains("solves"), "{output}");
    assert!(
        output.stderr.contains("No solution either: osx-arm64"),
        "{output}"
    );
}

/// A channel with the numpy of the first version alone.
fn with_a_lab_channel() -> TestEnv {
    let env = env();
    let records = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records/science");
    let both = env.path("both");
    fs_err::create_dir(&both).unwrap();
    let real = records.join("conda-forge");
    fs_err::os::unix::fs::symlink(&real, both.join("conda-forge")).unwrap();
    for subdir in ["linux-64", "noarch"] {
        let text = fs_err::read_to_string(real.join(subdir).join("repodata.json")).unwrap();
        let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
        for section in ["packages", "packages.conda"] {
            let records = document[section].as_object_mut().unwrap();
            records.retain(|file, _| file.starts_with("numpy-1."));
        }
        fs_err::create_dir_all(both.join("lab").join(subdir)).unwrap();
        let path = both.join("lab").join(subdir).join("repodata.json");
        fs_err::write(path, document.to_string()).unwrap();
    }
    let mut env = env;
    env.set_alias(format!("file://{}", both.display()));
    env
}

fn of_lab(lines: &[&str]) -> String {
    dependencies(lines).replace("[conda-forge]", "[lab, conda-forge]")
}

#[test]
fn a_channel_that_stands_before_another_one_and_hides_a_version() {
    let env = with_a_lab_channel();
    assert_output!(conflict(&env, &of_lab(&["python", "numpy >=2"])));
}

#[test]
fn a_channel_that_hides_what_another_package_needs() {
    let env = with_a_lab_channel();
    let output = conflict(&env, &of_lab(&["python 3.13.*", "scipy"]));
    assert_output!(output);
}

#[test]
fn a_package_that_another_channel_has() {
    let env = with_a_lab_channel();
    let text = dependencies(&["python", "numpy"]).replace("[conda-forge]", "[lab]");
    let output = conflict(&env, &text);
    assert_output!(output);
}

#[test]
fn a_channel_that_the_site_forbids_is_neither_asked_nor_named() {
    let env = with_a_lab_channel();
    let sites = env.path("home/.config/envspec/sites");
    fs_err::create_dir_all(&sites).unwrap();
    // The host of a file has no name; so the name of the channel is forbidden.
    let site = "name: strict\ntitle: strict\nscheduler: none\nforbidden: {channels: \
                {names: [conda-forge], reason: because, instead: [lab]}}\n";
    fs_err::write(sites.join("strict.yaml"), site).unwrap();
    let text = dependencies(&["python"]).replace("[conda-forge]", "[lab]") + "site: strict\n";
    env.spec("lab", &text);
    let output = env.run(&["lock"]).fails_with(4);
    assert!(!output.stderr.contains("conda-forge has"), "{output}");
    env.spec("lab", &text.replace("site: strict\n", ""));
    env.run(&["lock"])
        .fails_with(4)
        .says("conda-forge has it: add it to `channels`");
}

#[test]
fn a_suggestion_is_for_the_platforms_where_its_line_counts() {
    let env = env();
    let with = |text: &str| {
        let text = text.replace("TARGET", "target: {glibc: \"2.36\"}\n");
        env.spec("lab", &text);
        let said = env.run(&["lock"]).fails_with(4);
        for changed in suggestions(&said.stderr, &text) {
            env.spec("lab", &changed);
            let solved = env.run(&["lock"]);
            assert!(
                solved.succeeded(),
                "this has no solution:\n{changed}\n{said}"
            );
            fs_err::remove_file(env.work().join("envs/lab.lock")).unwrap();
        }
        said
    };
    // The other platform lacks libudev1, and its line is not for it.
    let text = "channels: [conda-forge]\nplatforms: [linux-64, osx-arm64]\nTARGETdependencies:\n  \
                - python 3.13.*\n  - numpy 1.24.*  # [linux]\n  - sel(linux): libudev1\n";
    let said = with(text).says("solves with `- python 3.11.*`");
    assert!(said.stderr.contains("or with `- numpy 2.5.*`"), "{said}");
    // A line that is for the other platform alone needs that very Python there.
    let said = with(&format!("{text}  - numpy 2.5.*  # [osx]\n"));
    assert!(
        said.stderr.contains("solves with `- numpy 2.5.*`"),
        "{said}"
    );
    assert!(!said.stderr.contains("with `- python"), "{said}");
}

#[test]
fn what_two_platforms_lack_in_two_lines_is_not_told_as_one() {
    let env = env();
    let text = "channels: [conda-forge]\nplatforms: [linux-64, osx-arm64]\ndependencies:\n  \
                - no-such-one  # [linux]\n  - no-such-two  # [osx]\n";
    env.spec("lab", text);
    let said = env.run(&["lock"]).fails_with(4);
    let said = said.says("for linux-64: no channel has a package `no-such-one`");
    assert!(
        said.stderr.contains("No solution either: osx-arm64"),
        "{said}"
    );
}

/// A channel `made` of records alone: file names, and what each needs.
fn made(records: &[(&str, &[&str])]) -> TestEnv {
    let mut env = TestEnv::new();
    let channel = env.path("made-up/conda-forge");
    let mut packages = serde_json::Map::new();
    for (package, depends) in records {
        let (name, version) = package.split_once(' ').unwrap();
        let record = serde_json::json!({
            "name": name, "version": version, "build": "0", "build_number": 0, "size": 1,
            "depends": depends, "subdir": "linux-64", "sha256": "0".repeat(64),
        });
        packages.insert(format!("{name}-{version}-0.conda"), record);
    }
    for (subdir, packages) in [("linux-64", packages), ("noarch", serde_json::Map::new())] {
        fs_err::create_dir_all(channel.join(subdir)).unwrap();
        let document = serde_json::json!({"info": {"subdir": subdir}, "packages.conda": packages});
        fs_err::write(
            channel.join(subdir).join("repodata.json"),
            document.to_string(),
        )
        .unwrap();
    }
    env.set_alias(format!("file://{}", env.path("made-up").display()));
    env
}

#[test]
fn packages_that_need_each_other_in_a_circle() {
    let env = made(&[
        ("a 1", &["b <2"]),
        ("a 2", &["b >=2"]),
        ("b 1", &[]),
        ("b 2", &["c"]),
        ("c 1", &["a 2.*"]),
        ("c 2", &["a 3.*"]),
    ]);
    assert_output!(
        "circle_of_two",
        conflict(&env, &dependencies(&["a 1.*", "b 2.*"]))
    );
    assert_output!(
        "circle_of_three",
        conflict(&env, &dependencies(&["a 1.*", "c"]))
    );
}

#[test]
fn three_lines_of_which_any_two_go_together() {
    let env = made(&[
        ("m 1", &[]),
        ("m 2", &[]),
        ("m 3", &[]),
        ("p 1", &["m <3"]),
        ("q 1", &["m >=2"]),
        ("r 1", &["m !=2"]),
        ("r 2", &["m"]),
        ("other 1", &[]),
    ]);
    let text = dependencies(&["other", "p 1.*", "q", "r 1.*"]);
    assert_output!(conflict(&env, &text));
}

#[test]
fn four_lines_of_which_any_three_go_together() {
    let env = made(&[
        ("m 1", &[]),
        ("m 2", &[]),
        ("m 3", &[]),
        ("m 4", &[]),
        ("p 1", &["m !=1"]),
        ("q 1", &["m !=2"]),
        ("r 1", &["m !=3"]),
        ("s 1", &["m !=4"]),
        ("s 2", &["m"]),
    ]);
    assert_output!(conflict(&env, &dependencies(&["p", "q", "r", "s 1.*"])));
}

#[test]
fn a_machine_and_a_line_that_go_with_no_package_together() {
    let env = made(&[
        ("gpu 1", &["driver 1.*"]),
        ("gpu 2", &["driver 2.*", "__cuda >=12"]),
        ("driver 1", &[]),
        ("driver 2", &[]),
        ("old 1", &["driver 1.*"]),
        ("old 2", &["driver 2.*", "__cuda <12"]),
    ]);
    // Another machine alone would not do: what needs it clashes with the other line.
    let said = conflict(&env, &dependencies(&["gpu 2.*", "old 2.*"]));
    assert!(!said.stderr.contains("for a node that has it"), "{said}");
    assert_output!(said);
}

#[test]
fn what_a_kernel_needs_and_a_line_of_the_users() {
    let env = made(&[
        ("python 2.7.18", &[]),
        ("python 3.12.1", &[]),
        ("ipykernel 6.1", &["python >=3.8"]),
    ]);
    let text = dependencies(&["python 2.7.*"]) + "kernels:\n  - python: {}\n";
    assert_output!(conflict(&env, &text));
}
