//! Kernelspecs in the user's folder (item 6, promise 4): envspec's own come and
//! go with the spec, others are never touched.

use serde_json::Value;

use crate::support::{TestEnv, assert_output, tree};

fn spec(kernels: &str) -> String {
    format!(
        "channels: [conda-forge, tiny]\ndependencies: [activation-vars]\nkernels: [{kernels}]\n"
    )
}

fn kernel_json(env: &TestEnv, name: &str) -> Value {
    let path = env.user_kernels().join(name).join("kernel.json");
    serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap()
}

#[test]
fn a_registered_kernel_has_an_absolute_argv_the_activated_environment_and_the_mark() {
    let env = TestEnv::new();
    env.spec("lab", &spec("deno"));
    env.run(&["apply"]).success();
    let prefix = env.prefix("lab");
    let own = prefix.to_str().unwrap();
    for kernel in [
        kernel_json(&env, "lab-deno"),
        serde_json::from_slice(
            &fs_err::read(prefix.join("share/jupyter/kernels/deno/kernel.json")).unwrap(),
        )
        .unwrap(),
    ] {
        assert_eq!(kernel["argv"][0], format!("{own}/bin/deno"), "{kernel:#}");
        let variables = &kernel["env"];
        assert_eq!(variables["CONDA_PREFIX"], own);
        assert_eq!(variables["ACTIVATION_VAR"], "value of activation-vars");
        assert_eq!(variables["ACTIVATION_SPACE"], "two  spaces");
        assert_eq!(variables["ACTIVATION_QUOTE"], "it's a \"quote\"");
        assert_eq!(variables["ACTIVATION_BACKSLASH"], "C:\\new");
        assert_eq!(
            variables["ACTIVATION_PREFIX"],
            format!("{own}/share/activation-vars")
        );
        assert_eq!(variables["ENV_VARS_D_PLAIN"], "from env_vars.d");
        let path = variables["PATH"].as_str().unwrap();
        let front = format!("{own}/share/activation-vars/bin:{own}/bin:");
        assert!(path.starts_with(&front), "{path}");
    }
    let mark = kernel_json(&env, "lab-deno")["metadata"].to_string();
    assert!(mark.contains("lab") && mark.contains("envspec"), "{mark}");
}

#[test]
fn a_kernel_that_leaves_the_spec_is_unregistered_and_strangers_stay() {
    let env = TestEnv::new();
    let foreign = env.user_kernels().join("mine/kernel.json");
    fs_err::create_dir_all(foreign.parent().unwrap()).unwrap();
    fs_err::write(
        &foreign,
        r#"{"argv": ["mine"], "display_name": "Mine", "language": "x"}"#,
    )
    .unwrap();
    let before = tree(foreign.parent().unwrap());
    env.spec("lab", &spec("deno"));
    env.run(&["apply"]).success();
    env.spec("other", &spec("deno"));
    env.run(&["apply", "envs/other.yaml"]).success();
    env.spec("lab", &spec(""));
    assert_output!(env.run(&["apply", "envs/lab.yaml"]).success());
    assert!(!env.user_kernels().join("lab-deno").exists());
    assert!(env.user_kernels().join("other-deno/kernel.json").is_file());
    assert!(
        tree(foreign.parent().unwrap()) == before,
        "a stranger's kernelspec was touched"
    );
}

#[test]
fn a_strangers_kernelspec_of_the_same_name_is_refused_before_anything_is_switched() {
    let env = TestEnv::new();
    env.spec("lab", &spec(""));
    env.run(&["apply"]).success();
    let old = env.prefix("lab");
    let foreign = env.user_kernels().join("lab-deno/kernel.json");
    fs_err::create_dir_all(foreign.parent().unwrap()).unwrap();
    fs_err::write(
        &foreign,
        r#"{"argv": ["mine"], "display_name": "Mine", "language": "x"}"#,
    )
    .unwrap();
    let before = tree(&env.path("home"));
    env.spec("lab", &spec("deno"));
    assert_output!(env.run(&["apply"]).fails_with(7));
    assert!(
        tree(&env.path("home")) == before,
        "a stranger's kernelspec was touched"
    );
    assert_eq!(env.prefix("lab"), old, "it was switched to");
    // Out of the way, it goes on.
    fs_err::remove_dir_all(foreign.parent().unwrap()).unwrap();
    env.run(&["apply"]).success();
    assert_eq!(kernel_json(&env, "lab-deno")["argv"][1], "jupyter");
}

#[test]
fn a_kernelspec_that_was_deleted_by_hand_comes_back() {
    let env = TestEnv::new();
    env.spec("lab", &spec("deno"));
    env.run(&["apply"]).success();
    let there = fs_err::read(env.user_kernels().join("lab-deno/kernel.json")).unwrap();
    fs_err::remove_dir_all(env.user_kernels().join("lab-deno")).unwrap();
    let plan = env.run(&["plan", "--json"]).success().json();
    assert_eq!(plan["actions"][0]["action"], "register-kernel");
    env.run(&["apply"]).success();
    assert_eq!(
        fs_err::read(env.user_kernels().join("lab-deno/kernel.json")).unwrap(),
        there
    );
}

#[test]
fn the_root_that_was_applied_last_has_the_kernels_and_the_other_gets_them_back() {
    let env = TestEnv::new();
    env.spec("lab", &spec("deno"));
    let second = env.path("second");
    let second = second.to_str().unwrap();
    env.run(&["apply"]).success();
    env.run(&["apply", "--root", second])
        .success()
        .says("warning: the kernel lab-deno ran the environment lab in")
        .says("get that one back with: envspec apply lab --root");
    let program = |env: &TestEnv| kernel_json(env, "lab-deno")["argv"][0].to_string();
    assert!(program(&env).contains(second));
    let back = env.run(&["apply"]).success();
    assert!(!program(&env).contains(second), "{back}");
    env.run(&["apply"]).success().says("Nothing to do");
}

#[test]
fn kernels_of_a_root_that_is_gone_are_in_nobodys_way() {
    let env = TestEnv::new();
    env.spec("lab", &spec("deno"));
    let gone = env.path("gone");
    env.run(&["apply", "--root", gone.to_str().unwrap()])
        .success();
    fs_err::remove_dir_all(gone).unwrap();
    env.run(&["apply"]).success().says("until now");
    env.run(&["kernels", "test"]).success();
}

#[test]
fn a_root_reached_through_a_link_is_the_same_root() {
    let env = TestEnv::new();
    env.spec("lab", &spec("deno"));
    env.run(&["apply"]).success();
    let link = env.path("link");
    fs_err::os::unix::fs::symlink(env.root(), &link).unwrap();
    env.run(&["apply", "--root", link.to_str().unwrap()])
        .success()
        .says("Nothing to do");
}
