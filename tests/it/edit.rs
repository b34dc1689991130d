//! Specs in git (item 8): the only one is taken, several are named; `add` and
//! `remove` keep comments, order, and, without a solution, every byte.

use crate::support::{
    Fault, PythonIndex, Server, TestEnv, Wheel, assert_output, channels, tiny_spec, world_python,
};

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
    let output = output
        .says("Added the kernel r in envs/lab.yaml")
        .says("Added the package many-versions >=1.3 in envs/lab.yaml");
    assert!(output.stdout.is_empty(), "{output}");
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

#[test]
fn add_and_remove_know_the_section_of_pip() {
    let mut env = TestEnv::new();
    let index = PythonIndex::new(&env.path("python"));
    index.add(&Wheel::new("greet", "1.0"));
    index.add(&Wheel::new("greet-words", "1.0"));
    index.add(&Wheel::new("greet-words", "1.1"));
    index.add(&Wheel::new("traitlets", "99.0"));
    let server = Server::start(&env.path("python"));
    env.set("UV_DEFAULT_INDEX", format!("{}/simple/", server.url()));
    let uv = world_python().parent().unwrap().to_owned();
    env.set("PATH", format!("{}:/usr/bin:/bin", uv.display()));
    let begin = "channels: [conda-forge]\ndependencies:\n  - python  # any\n";
    let path = env.spec("lab", &format!("{begin}  - traitlets\n"));
    let says = |end: &str| {
        let text = fs_err::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{begin}{end}"));
    };

    env.run(&["add", "--pip", "greet >=1", "greet-words", "--apply"])
        .success()
        .says("Added the pip package greet >=1 in envs/lab.yaml");
    says("  - traitlets\n  - pip\n  - pip:\n      - greet >=1\n      - greet-words\n");
    let module = "lib/python3.11/site-packages/greet/__init__.py";
    assert!(env.prefix("lab").join(module).exists());

    env.run(&["add", "--pip", "Greet_Words ==1.0", "traitlets"])
        .success();
    let end = "  - traitlets\n  - pip\n  - pip:\n      - greet >=1\n      - Greet_Words ==1.0\n      - traitlets\n";
    says(end);
    let lock = env.lock("lab");
    assert!(lock.contains("greet_words-1.0-"), "{lock}");
    env.run(&["add", "--pip", "nowhere"]).fails_with(4);
    env.run(&["add", "--pip", "greet=1"])
        .fails_with(2)
        .says("a single `=` is conda's");
    env.run(&["remove", "gret"])
        .fails_with(2)
        .says("did you mean `greet`?");
    env.run(&["remove", "--pip", "--package", "greet"])
        .fails_with(2);
    says(end);
    assert_eq!(env.lock("lab"), lock);

    env.run(&["remove", "traitlets", "greet"])
        .success()
        .says("Removed the package traitlets in envs/lab.yaml")
        .says("pip is asked for traitlets too, which stays: envspec remove --pip traitlets")
        .says("Removed the pip package greet in envs/lab.yaml");
    says("  - pip\n  - pip:\n      - Greet_Words ==1.0\n      - traitlets\n");
    env.run(&["remove", "--pip", "traitlets", "greet-words", "--apply"])
        .success();
    says("  - pip\n");
    assert!(!env.prefix("lab").join(module).exists());
}

#[test]
fn what_is_removed_is_told_whether_kernel_or_package() {
    let env = TestEnv::new();
    env.spec(
        "lab",
        "channels: [conda-forge, tiny]\ndependencies: [executable, deno]\nkernels: [deno]\n",
    );
    let remove = || env.run(&["remove", "deno", "--no-lock"]);
    remove().success().says("Removed the kernel deno");
    remove().success().says("Removed the package deno");
    remove().fails_with(2);
}

#[test]
fn a_spec_among_the_items_is_pointed_to_its_flag() {
    let env = TestEnv::new();
    env.spec("lab", SPEC);
    env.run(&["add", "r", "envs/lab.yaml"])
        .fails_with(2)
        .says("--spec envs/lab.yaml");
}

#[test]
fn a_kernel_that_needs_the_network_says_so_when_it_is_added() {
    let env = TestEnv::new();
    env.spec("lab", SPEC);
    for kernel in ["julia", "tslab", "java"] {
        let told =
            format!("the kernel {kernel} has an installer of its own, which needs the network");
        let added = env.run(&["add", kernel, "--no-lock"]).success();
        added.says(&told);
    }
    let added = env.run(&["add", "deno", "--no-lock"]).success();
    assert!(!added.stderr.contains("network"), "{added}");
}

#[test]
fn an_edit_meanwhile_is_not_overwritten() {
    let server = Server::start(channels());
    let env = TestEnv::with_alias(server.url());
    let path = env.tiny(&["executable"]);
    server.fault("/tiny/linux-64", Fault::Held);
    let add = env.start(&["add", "shared-lib"]);
    server.wait_for("/tiny/linux-64");
    let theirs = tiny_spec(&["executable", "many-versions"]);
    fs_err::write(&path, &theirs).unwrap();
    server.release();
    add.wait()
        .fails_with(7)
        .says("envs/lab.yaml was changed by somebody else meanwhile");
    assert_eq!(fs_err::read_to_string(&path).unwrap(), theirs);
    assert!(!path.with_extension("lock").exists());
}

#[test]
fn an_apply_during_an_edit_neither_writes_its_older_lock_nor_switches() {
    let server = Server::start(channels());
    let env = TestEnv::with_alias(server.url());
    let path = env.tiny(&["shared-lib"]);
    server.fault("shared-lib-2.0", Fault::Held);
    let apply = env.start(&["apply"]);
    server.wait_for("shared-lib-2.0");
    env.run(&["add", "many-versions"]).success();
    let lock = env.lock("lab");
    server.release();
    apply
        .wait()
        .fails_with(7)
        .says("was changed by somebody else");
    assert_eq!(env.lock("lab"), lock);
    assert!(lock.contains("many-versions"));
    assert!(!env.root().join("envs/lab").exists(), "it was switched to");
    env.run(&["apply", path.to_str().unwrap()]).success();
}

#[test]
fn two_specs_of_one_name_are_told_when_they_take_turns() {
    let env = TestEnv::new();
    env.tiny(&["executable"]);
    env.run(&["apply"]).success();
    let name = "name: lab\n".to_owned();
    env.spec("other", &(name + &tiny_spec(&["shared-lib"])));
    let told = "the environment lab was made from";
    env.run(&["plan", "envs/other.yaml"]).success().says(told);
    env.run(&["apply", "envs/other.yaml"]).success().says(told);
    let again = env.run(&["apply", "envs/other.yaml"]).success();
    assert!(!again.stderr.contains("take turns"), "{again}");
}
