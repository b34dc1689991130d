//! The ways in which a kernelspec comes about, and definitions that lie.

use serde_json::Value;

use crate::support::{TestEnv, cell};

/// Puts a definition beside the spec `lab`, which asks for it, with what is said of its
/// kernelspec.
fn beside(env: &TestEnv, kernelspec: &str, dependencies: &str) {
    let definition = format!(
        "id: mine\nlanguage: python\ndisplay_name: Mine\nsummary: one of the user's own\n\
         homepage: https://example.org/\npackages: [ipykernel]\nkernelspec:\n{kernelspec}\n\
         smoke: {{code: \"print(6*7)\", expect: \"42\"}}\n\
         interrupt: {{cell: \"print('started', flush=True); import time; time.sleep(120)\"}}\n\
         state: recipe-only\n"
    );
    let folder = env.work().join("envs/kernels");
    fs_err::create_dir_all(&folder).unwrap();
    fs_err::write(folder.join("mine.yaml"), definition).unwrap();
    env.spec(
        "lab",
        &format!(
            "channels: [conda-forge, tiny]\ndependencies: [{dependencies}]\nkernels: [mine]\n"
        ),
    );
}

fn kernelspec(env: &TestEnv, folder: &str) -> Value {
    let path = env.prefix("lab").join("share/jupyter/kernels");
    let text = fs_err::read_to_string(path.join(folder).join("kernel.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn one_that_nobody_writes_is_written_by_envspec_and_runs() {
    let env = TestEnv::new();
    beside(
        &env,
        "  written: {dir: mine, argv: [python, -m, ipykernel_launcher, -f, \"{connection_file}\"]}",
        "",
    );
    env.run(&["apply"]).success();
    let python = env.prefix("lab").join("bin/python");
    let written = kernelspec(&env, "mine");
    assert_eq!(written["argv"][0], python.to_str().unwrap());
    assert_eq!(written["language"], "python");
    env.run(&["kernels", "test"]).success();
}

#[test]
fn one_whose_installer_writes_into_the_prefix_is_found_there() {
    let env = TestEnv::new();
    beside(
        &env,
        "  installer:\n    commands:\n    - [python, -m, ipykernel, install, --prefix, \"{prefix}\", --name, mine]\n    dir: mine",
        "",
    );
    env.run(&["apply"]).success();
    env.run(&["kernels", "test"]).success();
    env.run(&["verify"]).success();
}

#[test]
fn a_post_link_script_is_run_if_the_lock_vouches_for_it_and_named_if_not() {
    let env = TestEnv::new();
    let spec = "channels: [tiny]\ndependencies: [post-link, shared-lib]\n";
    env.spec("lab", spec);
    let not_run = env.run(&["apply"]).success().says("post-link");
    assert!(
        not_run.stderr.contains("post_link: [post-link]"),
        "{not_run}"
    );
    assert_eq!(env.receipt("lab")["scripts_not_run"][0], "post-link");
    assert!(!env.prefix("lab").join("share/post-link.txt").exists());
    assert!(!env.lock("lab").contains("post-link post-link"));

    env.spec("lab", &format!("{spec}post_link: [post-link]\n"));
    env.run(&["apply", "--locked"])
        .fails_with(3)
        .says("+ post-link post-link");
    let ran = env.run(&["apply"]).success().says("post-link ran");
    assert!(!ran.stderr.contains("post_link:"), "{ran}");
    assert!(env.lock("lab").contains("#   post-link post-link\n"));
    let written = env.prefix("lab").join("share/post-link.txt");
    assert_eq!(
        fs_err::read_to_string(&written).unwrap(),
        "post-link 1.0 linked\n"
    );
    assert!(!env.prefix("lab").join(".messages.txt").exists());
    // What it wrote is the generation's own.
    env.run(&["verify"]).success();
    fs_err::remove_file(&written).unwrap();
    env.run(&["verify", "--repair"]).success();
    assert!(written.exists());
}

#[test]
fn a_definition_vouches_for_the_script_of_its_package() {
    let env = TestEnv::new();
    beside(
        &env,
        "  post-link: {package: post-link, dir: python3}",
        "post-link, shared-lib",
    );
    env.run(&["apply"]).success();
    assert!(env.lock("lab").contains("#   post-link post-link\n"));
    assert!(env.prefix("lab").join("share/post-link.txt").exists());
    env.run(&["kernels", "test"]).success();
}

#[test]
fn a_kernel_gets_no_more_memory_and_threads_than_its_limits() {
    let env = TestEnv::new();
    let spec = |limits: &str| {
        env.spec(
            "lab",
            &format!(
                "channels: [conda-forge]\ndependencies: [python, nbclient]\nkernels:\n  - python:\n      \
                 limits: {limits}\n"
            ),
        )
    };
    spec("{memory: 1, cores: 2}");
    env.run(&["apply"])
        .fails_with(2)
        .says("too little")
        .says("`cores`");
    spec("{memory: 1G, threads: 3}");
    env.run(&["apply"]).success();
    let code = "import os\ntry:\n    bytearray(3 << 30)\nexcept MemoryError:\n    \
                print(len(bytearray(1 << 28)), os.environ['OMP_NUM_THREADS'])";
    let python = env.program(env.prefix("lab").join("bin/python"));
    assert_eq!(cell(python, "lab-python", code), "268435456 3\n");
    // It is interrupted and ended as one without.
    env.run(&["kernels", "test"]).success();
}

/// All that is in the user's home.
fn paths(env: &TestEnv) -> String {
    let mut find = env.program("find");
    env.output(find.arg(env.path("home"))).success().stdout
}

/// Each lie, what it is told with, and that nothing of it is left.
#[test]
fn a_definition_that_lies_is_caught_and_leaves_nothing_behind() {
    let env = TestEnv::new();
    env.spec("lab", "channels: [tiny]\ndependencies: [shared-lib 1.0]\n");
    env.run(&["apply"]).success();
    let before = env.prefix("lab");
    fs_err::create_dir_all(env.user_kernels()).unwrap();
    let home = paths(&env);
    let installer = |script: &str| {
        let script = serde_json::json!(script);
        format!("  installer: {{seconds: 3, dir: mine, commands: [[/bin/sh, -c, {script}]]}}")
    };
    // HOME is a lie too, so it asks the system where the user is at home.
    let strays = format!(
        "d={}/mine; mkdir -p $d; echo $HOME >$d/kernel.json",
        env.user_kernels().display()
    );
    for (kernelspec, dependencies, told) in [
        (
            "  shipped: {dir: another}".to_owned(),
            "",
            "brought no kernelspec another",
        ),
        (
            "  written: {dir: mine, argv: [no-such-program]}".to_owned(),
            "",
            "`no-such-program` is not in",
        ),
        (
            "  installer: {dir: mine, commands: [[no-such-program, --install]]}".to_owned(),
            "",
            "/bin/no-such-program",
        ),
        (
            installer("sleep 60 & wait"),
            "",
            "did not end within 3 seconds",
        ),
        (installer("echo the reason >&2; exit 3"), "", "the reason"),
        (installer("exit 3"), "", "printed nothing"),
        (installer("true"), "", "brought no kernelspec mine"),
        (installer(&strays), "", "past its staging folder"),
        (
            "  post-link: {package: shared-lib, dir: mine}".to_owned(),
            "shared-lib",
            "brought no kernelspec mine",
        ),
    ] {
        beside(&env, &kernelspec, dependencies);
        env.run(&["apply"]).fails_with(6).says(told);
        assert_eq!(env.prefix("lab"), before, "{kernelspec}");
        assert_eq!(paths(&env), home, "{kernelspec}");
        let left = fs_err::read_dir(env.root().join("gen")).unwrap().count();
        assert_eq!(left, 1, "{kernelspec}");
    }
    let staging = fs_err::read_dir(env.path("tmp")).unwrap();
    let staging = staging.map(|entry| entry.unwrap().file_name());
    let staging: Vec<_> = staging
        .filter(|name| name.to_string_lossy().starts_with("envspec-home"))
        .collect();
    assert!(staging.is_empty(), "{staging:?}");
}
