//! Names of kernels: many, odd ones, the same in two environments.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{TestEnv, installer_kernel};

/// A world whose only kernel costs nothing.
fn world() -> TestEnv {
    let env = TestEnv::new();
    let folder = env.path("home/.config/envspec/kernels");
    fs_err::create_dir_all(&folder).unwrap();
    fs_err::write(folder.join("one.yaml"), installer_kernel("one", "")).unwrap();
    env
}

fn spec(env: &TestEnv, environment: &str, kernels: &str) {
    let text = format!("channels: [tiny]\ndependencies: [shared-lib]\nkernels: {kernels}\n");
    env.spec(environment, &text);
}

/// The names that Jupyter has in the user's folder.
fn registered(env: &TestEnv) -> BTreeSet<String> {
    let entries = fs_err::read_dir(env.user_kernels()).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn thirty_kernels_in_one_spec_are_thirty_in_jupyter_and_go_with_their_lines() {
    let env = world();
    let all: Vec<String> = (0..30).map(|n| format!("k{n}: {{use: one}}")).collect();
    spec(&env, "lab", &format!("[{}]", all.join(", ")));
    env.run(&["apply"]).success();
    let wanted: BTreeSet<String> = (0..30).map(|n| format!("lab-k{n}")).collect();
    assert_eq!(registered(&env), wanted);
    env.run(&["apply"]).success().says("Nothing to do");
    spec(&env, "lab", &format!("[{}]", all[..2].join(", ")));
    env.run(&["apply"]).success();
    assert_eq!(registered(&env).len(), 2);
    env.run(&["rollback"]).success();
    assert_eq!(registered(&env), wanted);
}

#[test]
fn odd_names_are_kept_or_refused_at_their_place_and_two_of_one_name_too() {
    let env = world();
    spec(&env, "lab", "[R_4.2-x: {use: one}, \"0\": {use: one}]");
    env.run(&["apply"]).success();
    let names = registered(&env);
    assert_eq!(names.len(), 2);
    // As Jupyter does, which knows no capitals.
    assert!(
        names.iter().all(|name| name.to_lowercase() == *name),
        "{names:?}"
    );
    for odd in [
        "\"a b\"",
        "\"../up\"",
        "\"-rf\"",
        "\"naïve\"",
        "\"a/b\"",
        "\"$(x)\"",
        "\"\"",
        "\".hidden\"",
    ] {
        spec(&env, "lab", &format!("[{odd}: {{use: one}}]"));
        env.run(&["apply"]).fails_with(2).says("lab.yaml:3:");
        assert_eq!(registered(&env), names, "{odd}");
    }
    spec(&env, "lab", "[same: {use: one}, SAME: {use: one}]");
    env.run(&["apply"]).fails_with(2).says("listed twice");
}

#[test]
fn two_environments_have_the_same_kernel_and_neither_takes_the_others() {
    let env = world();
    for environment in ["lab", "other"] {
        spec(&env, environment, "[one]");
        let path = format!("envs/{environment}.yaml");
        env.run(&["apply", &path]).success();
    }
    let program = |name: &str| {
        let path = env.user_kernels().join(name).join("kernel.json");
        let text = fs_err::read_to_string(path).unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        document["argv"][0].as_str().unwrap().to_owned()
    };
    for environment in ["lab", "other"] {
        let prefix = env.prefix(environment);
        let wanted = prefix.join("bin/executable");
        assert_eq!(
            program(&format!("{environment}-one")),
            wanted.to_str().unwrap()
        );
    }
    spec(&env, "lab", "[]");
    env.run(&["apply", "envs/lab.yaml"]).success();
    assert_eq!(
        registered(&env).into_iter().collect::<Vec<_>>(),
        ["other-one"]
    );
}

/// A server lists the user's folder whenever somebody opens its launcher.
#[test]
fn a_server_that_looks_meanwhile_finds_every_kernel_whole_and_of_one_generation_or_the_other() {
    let env = world();
    let kernels: Vec<String> = (0..8).map(|n| format!("k{n}: {{use: one}}")).collect();
    let all: BTreeSet<String> = (0..8).map(|n| format!("lab-k{n}")).collect();
    for variable in ["old", "new"] {
        let with = format!("[{}]\nvariables: {{WHICH: {variable}}}", kernels.join(", "));
        spec(&env, "lab", &with);
        env.run(&["apply"]).success();
    }
    let done = AtomicBool::new(false);
    let (seen, mixed) = std::thread::scope(|scope| {
        let server = scope.spawn(|| {
            let (mut seen, mut mixed) = (BTreeSet::new(), 0);
            while !done.load(Ordering::Relaxed) {
                assert_eq!(registered(&env), all);
                let generations: BTreeSet<String> =
                    all.iter().map(|name| which(&env, name)).collect();
                mixed += usize::from(generations.len() > 1);
                seen.extend(generations);
            }
            (seen, mixed)
        });
        let runs = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for command in ["rollback", "apply"].iter().cycle().take(20) {
                env.run(&[command]).success();
            }
        }));
        done.store(true, Ordering::Relaxed);
        runs.unwrap();
        server.join().unwrap()
    });
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["new", "old"]);
    // Atomic is each kernel, not their set: the server did look in between.
    assert!(mixed > 0, "it never looked while kernels were switched");
}

/// Which generation a kernelspec is of, by all that it says.
#[track_caller]
fn which(env: &TestEnv, name: &str) -> String {
    let path = env.user_kernels().join(name).join("kernel.json");
    let text = fs_err::read_to_string(path).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let program = document["argv"][0].as_str().unwrap();
    let prefix = document["env"]["CONDA_PREFIX"].as_str().unwrap();
    assert!(Path::new(program).is_file() && program.starts_with(prefix));
    let generation = document["metadata"]["envspec"]["generation"]
        .as_str()
        .unwrap();
    assert!(prefix.ends_with(generation), "{text}");
    document["env"]["WHICH"].as_str().unwrap().to_owned()
}
