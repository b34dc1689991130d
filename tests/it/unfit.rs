//! An environment is neither made nor started where its packages can't run.

use crate::support::{Envspec as _, TestEnv, There, channels, program, tiny_spec};

#[test]
fn a_machine_that_lacks_what_packages_need_is_refused_before_anything_is_made() {
    let mut env = TestEnv::new();
    env.tiny(&["needs-new-glibc"]);
    env.set("CONDA_OVERRIDE_GLIBC", "3.0");
    env.run(&["lock"]).success();
    // The lock is in git; this is another machine.
    env.set("CONDA_OVERRIDE_GLIBC", "2.28");
    for command in ["plan", "apply"] {
        env.run(&[command])
            .fails_with(6)
            .says("this environment can't run on")
            .says("needs-new-glibc 1.0 needs glibc 2.99, this machine has 2.28")
            .says("CONDA_OVERRIDE_GLIBC=…");
    }
    assert!(!env.root().join("gen").exists());
    env.set("CONDA_OVERRIDE_GLIBC", "2.99");
    env.run(&["apply"]).success();
}

#[test]
fn what_the_target_declares_is_for_another_machine_and_only_warned_about() {
    let env = TestEnv::new();
    let text = tiny_spec(&["needs-cuda"]) + "target: {cuda: \"12.4\"}\n";
    env.spec("lab", &text);
    // No GPU here, and nobody says that there is one.
    env.run(&["lock"]).success();
    env.run(&["apply"])
        .success()
        .says("needs-cuda 1.0 needs cuda 12, this machine has none");
    env.run(&["apply"]).success().says("Nothing to do");
    let needs = env.receipt("lab")["needs"].clone();
    assert_eq!(needs[0]["requirement"], "__cuda >=12");
}

#[test]
fn a_server_is_not_started_where_its_packages_can_not_run() {
    let mut env = TestEnv::new();
    // What only looks like a server: nothing of it may be started.
    env.spec(
        "lab",
        "channels: [conda-forge, tiny]\ndependencies: [jupyterlab, needs-cuda]\n\
         target: {cuda: \"12.4\"}\n",
    );
    env.run(&["apply"]).success();
    env.run(&["launch"])
        .fails_with(6)
        .says("needs-cuda 1.0 needs cuda 12, this machine has none");
    assert!(!env.root().join("sessions/envspec-lab").exists());
    let looked = env.run(&["doctor"]).fails_with(6);
    assert!(
        looked
            .stdout
            .contains("needs-cuda 1.0 needs cuda 12, this machine has none"),
        "{looked}"
    );
    env.set("CONDA_OVERRIDE_CUDA", "11.8");
    env.run(&["launch"])
        .fails_with(6)
        .says("needs-cuda 1.0 needs cuda 12, this machine has 11.8");
    env.set("CONDA_OVERRIDE_CUDA", "12.4");
    let looked = env.run(&["doctor"]).success();
    assert!(looked.stdout.contains("packages' needs"), "{looked}");
    env.run(&["launch"]).success();
    env.run(&["stop"]).success();
}

#[test]
fn a_login_node_without_a_gpu_makes_the_environment_and_the_node_of_the_job_refuses_it() {
    let Some(there) = There::up("unfit") else {
        return;
    };
    let login = there.cluster.login();
    let spec = there.cluster.home("ada").join("envs/lab.yaml");
    let text = fs_err::read_to_string(&spec).unwrap();
    let text = text
        .replace("[conda-forge]", "[conda-forge, tiny]")
        .replace("jupyterlab]", "jupyterlab, needs-cuda]");
    fs_err::write(&spec, format!("{text}target: {{cuda: \"12.4\"}}\n")).unwrap();
    let alias = format!("ENVSPEC_CHANNEL_ALIAS=file://{}/", channels().display());
    login
        .run(["env", &alias, &program(), "apply", "envs/lab.yaml"])
        .success();
    let refused = login.envspec(["launch"]).fails_with(6);
    let refused = refused
        .says("envspec-lab ended before it was ready: its server failed")
        .says("envspec: this environment needs cuda 12, node med010");
    let said = refused.says("has none (needed by needs-cuda 1.0)");
    assert!(!said.stderr.contains("Traceback"), "{said}");
    assert_eq!(there.sessions(), Vec::<String>::new());
    // What is there after all is there.
    let known = login.run(["env", "CONDA_OVERRIDE_CUDA=12.4", &program(), "launch"]);
    known.success();
    login.envspec(["stop", "lab"]).success();
}
