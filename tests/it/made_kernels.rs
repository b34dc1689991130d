//! What becomes of a kernelspec once it is made: each kernel of it has its own, in a folder
//! of its own, and names only what stays.

use serde_json::Value;

use crate::support::{TestEnv, installer_kernel};

/// A world with a kernel `one` that costs nothing; `steps` are its installer's first.
fn world(steps: &str) -> TestEnv {
    let env = TestEnv::new();
    let folder = env.path("home/.config/envspec/kernels");
    fs_err::create_dir_all(&folder).unwrap();
    fs_err::write(folder.join("one.yaml"), installer_kernel("one", steps)).unwrap();
    env
}

fn spec(env: &TestEnv, kernels: &str) {
    let text = format!(
        "channels: [tiny]\ndependencies: [shared-lib, activation-vars]\nkernels: {kernels}\n"
    );
    env.spec("lab", &text);
}

fn registered(env: &TestEnv, name: &str) -> Value {
    let path = env.user_kernels().join(name).join("kernel.json");
    serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap()
}

#[test]
fn kernels_of_one_definition_know_nothing_of_each_other_in_any_order() {
    let env = world("");
    let kernels = [
        "one: {env: {SECRET: x, WHO: one}, limits: {memory: 2G, threads: 1}}",
        "big: {use: one, limits: {memory: 8G, threads: 8}}",
    ];
    for order in [[0, 1], [1, 0]] {
        let [first, second] = order.map(|at| kernels[at]);
        let of_all = "variables: {OMP_NUM_THREADS: 16, WHO: all}";
        spec(&env, &format!("[{first}, {second}]\n{of_all}"));
        env.run(&["apply"]).success();
        let (one, big) = (registered(&env, "lab-one"), registered(&env, "lab-big"));
        let limit = |kernel: &Value| kernel["argv"][1].as_str().unwrap().to_owned();
        let programs = |kernel: &Value| kernel["argv"].to_string().matches("prlimit").count();
        assert_eq!(
            (limit(&one), limit(&big)),
            (
                "--data=2147483648".to_owned(),
                "--data=8589934592".to_owned()
            )
        );
        assert_eq!((programs(&one), programs(&big)), (1, 1));
        assert_eq!(one["env"]["SECRET"], "x");
        assert_eq!(big["env"]["SECRET"], Value::Null);
        // What is said of one kernel counts more than what is said of all.
        assert_eq!(one["env"]["WHO"], "one");
        assert_eq!(big["env"]["WHO"], "all");
        assert_eq!(one["env"]["OMP_NUM_THREADS"], "1");
        assert_eq!(big["env"]["OMP_NUM_THREADS"], "8");
    }
}

#[test]
fn no_two_kernels_share_a_folder() {
    let env = world("");
    let folder = env.path("home/.config/envspec/kernels");
    let aliased =
        installer_kernel("two", "").replace("language: sh", "language: sh\naliases: [too]");
    fs_err::write(folder.join("two.yaml"), aliased).unwrap();
    // The second of one definition, by another of its names, has one of its own.
    spec(&env, "[two, too: {env: {WHICH: too}}]");
    env.run(&["apply"]).success();
    assert_eq!(registered(&env, "lab-two")["env"]["WHICH"], Value::Null);
    assert_eq!(registered(&env, "lab-too")["env"]["WHICH"], "too");
    let folders = |env: &TestEnv| {
        let kernels = env.prefix("lab").join("share/jupyter/kernels");
        let entries = fs_err::read_dir(kernels).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(folders(&env), ["too", "two"]);
    let before = env.prefix("lab");

    // One that takes the name of the folder of another's kernelspec is told.
    for (kernels, told) in [
        (
            "[one, two: {use: one}, also: {use: two}]",
            "a package or an installer brings a kernelspec named two",
        ),
        (
            "[two: {use: one}, TWO-2: {use: two}, one]",
            "a package or an installer brings a kernelspec named two",
        ),
        (
            "[one, ONE-1: {use: one}, two: {use: one, isolated: true}, too]",
            "the kernel too brings a kernelspec named two",
        ),
    ] {
        spec(&env, kernels);
        env.run(&["apply"])
            .fails_with(2)
            .says(told)
            .says("another name");
        assert_eq!(env.prefix("lab"), before, "{kernels}");
    }
    // Its own folder is nobody else's.
    spec(&env, "[one: {use: one}, two]");
    env.run(&["apply"]).success();
    assert_eq!(folders(&env), ["one", "two"]);
}

#[test]
fn folders_of_a_kernelspec_go_along_and_what_it_names_is_in_the_generation() {
    let env = world(
        "mkdir -p $folder/lib/deep; printf '#!/bin/sh\\necho deep\\n' > $folder/lib/deep/run.sh; \
         chmod 755 $folder/lib/deep/run.sh; echo '<svg/>' > $folder/logo-svg.svg;",
    );
    let path = env.path("home/.config/envspec/kernels/one.yaml");
    let text = fs_err::read_to_string(&path).unwrap();
    let argv = r#""executable", "{connection_file}""#;
    let text = text.replace(
        argv,
        r#""executable", "{resource_dir}/lib/deep/run.sh", "{connection_file}""#,
    );
    fs_err::write(&path, text).unwrap();
    spec(&env, "[one, other: {use: one}]");
    env.run(&["apply"]).success();
    for kernel in ["one", "other"] {
        let made = env.prefix("lab").join("share/jupyter/kernels").join(kernel);
        let registered = registered(&env, &format!("lab-{kernel}"));
        let script = registered["argv"][1].as_str().unwrap();
        assert_eq!(script, made.join("lib/deep/run.sh").to_str().unwrap());
        assert_eq!(registered["argv"][2], "{connection_file}");
        let ran = env.output(&mut env.program(script)).success();
        assert_eq!(ran.stdout, "deep\n");
        let logo = env
            .user_kernels()
            .join(format!("lab-{kernel}/logo-svg.svg"));
        assert_eq!(fs_err::read_to_string(logo).unwrap(), "<svg/>\n");
    }
    env.run(&["verify"]).success();
}

#[test]
fn a_kernelspec_that_names_what_is_not_there_or_will_not_stay_is_refused() {
    for (from, to, told) in [
        (
            "\"executable\"",
            "\"/no/such/program\"",
            "the kernel's program /no/such/program is no executable file",
        ),
        (
            "\"display_name\"",
            "\"env\": {\"JAR\": \"'$HOME'/lib.jar\"}, \"display_name\"",
            "which is deleted when the installer has ended",
        ),
        (
            "\"{connection_file}\"",
            "\"-jar\", \"'$HOME'/lib.jar\", \"{connection_file}\"",
            "which is deleted when the installer has ended",
        ),
    ] {
        let env = world("");
        let path = env.path("home/.config/envspec/kernels/one.yaml");
        let text = fs_err::read_to_string(&path).unwrap();
        let lying = text.replace(from, to);
        assert_ne!(lying, text);
        fs_err::write(&path, lying).unwrap();
        spec(&env, "[one]");
        env.run(&["apply"]).fails_with(6).says(told);
        assert!(!env.user_kernels().join("lab-one").exists());
    }
}

#[test]
fn what_depends_on_the_host_stays_the_hosts_and_what_the_spec_says_is_said() {
    let env = world("");
    spec(
        &env,
        "[one]\nvariables: {LANG: C.UTF-8, LC_ALL: C.UTF-8, PS1: \"$ \", USER: them}",
    );
    env.run(&["apply"]).success();
    let variables = &registered(&env, "lab-one")["env"];
    assert_eq!(variables["ACTIVATION_SCRATCH"], "/scratch/${USER}/work");
    assert_eq!(variables["ACTIVATION_FLAGS"], "-I${HOME}/include -L${HOME}");
    assert_eq!(variables["LANG"], "C.UTF-8");
    assert_eq!(variables["LC_ALL"], "C.UTF-8");
    assert_eq!(variables["PS1"], "$$ ");
    assert_eq!(variables["USER"], "them");
}

/// conda-forge's Ruby installs programs into a folder of its own, which its activation
/// puts on PATH.
#[test]
fn a_program_is_found_where_the_activated_prefix_has_it() {
    let env = world("");
    let path = env.path("home/.config/envspec/kernels/one.yaml");
    let text = fs_err::read_to_string(&path).unwrap();
    let text = text
        .replace(
            "- - /bin/sh\n",
            "- [activation-program, mkdir]\n    - - /bin/sh\n",
        )
        .replace(
            "\"argv\": [\"executable\"",
            "\"argv\": [\"activation-program\"",
        );
    fs_err::write(&path, text).unwrap();
    spec(&env, "[one]");
    env.run(&["apply"]).success();
    let program = env
        .prefix("lab")
        .join("share/activation-vars/bin/activation-program");
    assert_eq!(
        registered(&env, "lab-one")["argv"][0],
        program.to_str().unwrap()
    );
}
