//! `check` and `show`: what is wrong with a spec all at once, and what it means.

use serde_json::json;

use crate::support::TestEnv;

#[test]
fn mistakes_of_the_form_and_of_what_is_asked_for_are_told_in_one_go() {
    let env = TestEnv::new();
    env.spec(
        "lab",
        "name: lab lab\nchannels: [tiny]\ndependencies: [3.11, numpy >>2]\n\
         kernels: [pyton]\nsite: sulrm\ntarget: {arch: x86_65}\n",
    );
    let told = env.run(&["check"]).fails_with(2);
    for what in [
        "has 6 mistakes",
        "`name` cannot be `lab lab`",
        "`3.11` is a number, and no package",
        "`numpy >>2` is not a requirement",
        "there is no kernel `pyton`",
        "there is no site `sulrm`",
        "`arch` cannot be `x86_65`",
    ] {
        assert!(told.stderr.contains(what), "{what}: {told}");
    }
    // A heading of miette's own.
    assert!(!told.stderr.contains("Error:"), "{told}");
}

#[test]
fn a_mistyped_key_that_leaves_nothing_asked_for_is_a_mistake() {
    let env = TestEnv::new();
    env.spec("lab", "chanels: [tiny]\ndependancies: [symlink]\n");
    env.run(&["check"])
        .fails_with(2)
        .says("the spec asks for no package and no kernel")
        .says("did you mean `dependencies`?");
    env.spec("lab", "chanels: [tiny]\ndependencies: [symlink]\n");
    env.run(&["check"])
        .success()
        .says("can be applied; mind 2 warnings");
    env.spec("lab", "channels: [tiny]\ndependencies: [symlink]\n");
    env.run(&["check"]).success().says("is a good spec");
}

#[test]
fn a_processor_is_one_of_a_platform_of_the_lock() {
    let env = TestEnv::new();
    let spec = |rest: &str| {
        env.spec(
            "lab",
            &format!("channels: [tiny]\ndependencies: [symlink]\n{rest}"),
        );
    };
    spec("platforms: [linux-64]\ntarget: {arch: neoverse_v1}\n");
    env.run(&["check"])
        .fails_with(2)
        .says("no machine of linux-64 is an neoverse_v1");
}

#[test]
fn all_that_a_spec_says_is_explained_and_how_its_lock_is() {
    let env = TestEnv::new();
    let spec = "channels: [conda-forge, tiny]\nchannel_priority: disabled\n\
                dependencies: [symlink]\n\
                variables: {TZ: UTC}\npost_link: [symlink]\n\
                target: {glibc: '2.36', cuda: '12.4', arch: zen3}\n\
                launch: {time: 8:00:00, memory: 16G, cpus: 4}\n\
                kernels:\n  - bash: {display_name: Shell, env: {A: b}, limits: {memory: 2G, threads: 3}}\n";
    env.spec("lab", spec);
    let shown = env.run(&["show", "--json"]).success().json();
    assert_eq!(shown["lock"], "missing");
    assert_eq!(shown["channel_priority"], "disabled");
    assert_eq!(
        shown["target"],
        json!({"glibc": "2.36", "cuda": "12.4", "arch": "zen3"})
    );
    assert_eq!(shown["variables"], json!({"TZ": "UTC"}));
    assert_eq!(shown["post_link"], json!(["symlink"]));
    assert_eq!(shown["launch"]["cpus"], "4");
    let kernel = &shown["kernels"][0];
    assert_eq!(kernel["display_name"], "Shell");
    assert_eq!(kernel["env"], json!({"A": "b"}));
    assert_eq!(kernel["limits"], json!({"memory": "2G", "threads": "3"}));
    assert_eq!(kernel["isolated"], false);
    env.run(&["lock"]).success();
    let shown = env.run(&["show"]).success();
    for line in [
        "lock  beside the spec, up to date",
        "target  arch zen3, cuda 12.4, glibc 2.36",
        "post-link  symlink",
        "variables  TZ=UTC",
        "time 08:00:00",
        "; shown as Shell; A=b; memory at most 2G, threads at most 3",
    ] {
        assert!(shown.stdout.contains(line), "{line}: {shown}");
    }
    env.spec("lab", &spec.replace("[symlink]\nvar", "[executable]\nvar"));
    let shown = env.run(&["show", "--json"]).success().json();
    assert_eq!(shown["lock"], "stale");
    fs_err::write(env.work().join("envs/lab.lock"), b"\xff\xfe").unwrap();
    let shown = env.run(&["show", "--json"]).success().json();
    assert_eq!(shown["lock"], "unreadable");
}
