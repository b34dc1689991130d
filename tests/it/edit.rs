//! Specs in git (item 8): the only one is taken, several are named; `add` and
//! `remove` keep comments, order, and, without a solution, every byte.

use crate::support::{TestEnv, assert_output};

const SPEC: &str = "\
# The lab's environment; ask Ada before changing it.
name: lab
channels:
  - conda-forge   # and nothing else
  - tiny
dependencies:
  - shared-lib 1.*  # 2 breaks the pipeline
  # plots
  - symlink
";

#[test]
fn the_only_spec_is_taken_without_being_named() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib"]);
    env.run(&["lock"]).success();
    env.run(&["apply"]).success();
    env.run(&["show"]).success();
}

#[test]
fn several_specs_are_named_and_none_is_said() {
    let env = TestEnv::new();
    assert_output!(env.run(&["apply"]).fails_with(2));
    env.spec("one", SPEC);
    env.spec("two", SPEC);
    assert_output!(env.run(&["apply"]).fails_with(2));
}

#[test]
fn an_applied_environment_is_known_by_its_name_from_anywhere() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib"]);
    env.run(&["apply"]).success();
    let output = env
        .output(env.command(&["apply", "lab"]).current_dir(env.path("tmp")))
        .success();
    assert!(output.stderr.contains("Nothing to do"), "{output}");
}

#[test]
fn add_puts_a_kernel_and_a_package_where_they_belong_and_keeps_the_rest() {
    let env = TestEnv::new();
    let path = env.spec("lab", SPEC);
    let output = env.run(&["add", "r", "many-versions >=1.3"]).success();
    assert!(output.says("Edited envs/lab.yaml").stdout.is_empty());
    let text = fs_err::read_to_string(&path).unwrap();
    assert_output!(text);
    let kept: Vec<&str> = text
        .lines()
        .filter(|line| SPEC.lines().any(|old| old == *line))
        .collect();
    assert_eq!(kept, SPEC.lines().collect::<Vec<_>>());
    assert!(env.lock("lab").contains("r-irkernel"));
    assert!(env.lock("lab").contains("many-versions-2.4"));
    assert!(
        !env.root().join("gen").exists(),
        "it was applied without being asked"
    );
}

#[test]
fn remove_takes_back_what_add_did() {
    let env = TestEnv::new();
    let path = env.spec("lab", SPEC);
    env.run(&["add", "executable", "--apply"]).success();
    assert!(env.prefix("lab").join("bin/executable").is_file());
    env.run(&["remove", "executable", "--apply"]).success();
    assert!(!env.prefix("lab").join("bin/executable").exists());
    assert_eq!(fs_err::read_to_string(&path).unwrap(), SPEC);
    env.run(&["remove", "executable"]).fails_with(2);
    assert_eq!(fs_err::read_to_string(&path).unwrap(), SPEC);
}

#[test]
fn add_without_a_solution_leaves_spec_and_lock_byte_for_byte() {
    let env = TestEnv::new();
    let path = env.spec("lab", SPEC);
    env.run(&["lock"]).success();
    let lock = env.lock("lab");
    for item in ["conflict-b", "no-such-package", "shared-lib >=9"] {
        env.run(&["add", item]).fails_with(4);
        assert_eq!(fs_err::read_to_string(&path).unwrap(), SPEC);
        assert_eq!(env.lock("lab"), lock);
    }
    env.run(&["add", "not a requirement ==="]).fails_with(2);
    assert_eq!(fs_err::read_to_string(&path).unwrap(), SPEC);
}

#[test]
fn add_without_a_lock_edits_the_spec_alone() {
    let env = TestEnv::new();
    let path = env.spec("lab", SPEC);
    env.run(&["add", "executable", "--no-lock"]).success();
    assert!(
        fs_err::read_to_string(&path)
            .unwrap()
            .contains("  - executable\n")
    );
    assert!(!path.with_extension("lock").exists());
}
