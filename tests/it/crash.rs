//! Killed at any instant (promise 2): the current generation works, and the
//! next `apply` finishes the job.

use std::path::Path;

use crate::support::{Fault, Server, TestEnv, channels, soon, tree};

const BEFORE: &str = "channels: [tiny]\ndependencies: [shared-lib 1.0]\n";

fn after(kernels: &str) -> String {
    format!(
        "channels: [tiny, conda-forge]\n\
         dependencies: [shared-lib 2.0, symlink, executable, unicode-name, many-versions]\n\
         kernels: [{kernels}]\n"
    )
}

/// The link leads to a whole generation, whose file says which it is.
#[track_caller]
fn current(env: &TestEnv) -> String {
    assert_eq!(env.receipt("lab")["environment"], "lab");
    fs_err::read_to_string(env.root().join("envs/lab/share/shared-lib.txt")).unwrap()
}

#[track_caller]
fn finishes(env: &TestEnv) {
    env.run(&["apply"]).success();
    assert_eq!(current(env), "shared-lib 2.0\n");
    env.run(&["apply"]).success().says("Nothing to do");
    // Nothing is left of the killed one.
    let generations: Vec<_> = fs_err::read_dir(env.root().join("gen"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.join(".envspec/receipt.json").is_file())
        .collect();
    assert_eq!(generations, [""; 0].map(Path::new));
    assert!(!env.root().join("leases/lab").exists(), "the lease is left");
}

#[test]
fn killed_in_the_middle_of_linking_it_leaves_the_current_generation_and_the_next_apply_finishes() {
    let server = Server::start(channels());
    let env = TestEnv::with_alias(server.url());
    env.spec("lab", BEFORE);
    env.run(&["apply"]).success();
    let old = env.prefix("lab");
    let before = tree(&old);

    env.spec("lab", &after(""));
    server.fault("many-versions", Fault::Held);
    let apply = env.start(&["apply"]);
    let started = soon("a package linked into the new prefix", || {
        fs_err::read_dir(env.root().join("gen"))
            .ok()?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| *path != old && path.join("bin/executable").exists())
    });
    assert!(apply.kill(), "it was done before it was killed");
    server.release();

    assert!(
        !started.join(".envspec/receipt.json").exists(),
        "it was done already"
    );
    assert_eq!(env.prefix("lab"), old);
    assert_eq!(current(&env), "shared-lib 1.0\n");
    assert!(tree(&old) == before, "the current generation was changed");
    let list = env.run(&["list", "--json"]).success().json();
    assert_eq!(
        list["generations"].as_array().unwrap().len(),
        1,
        "rubble counts as a generation"
    );
    // The killed one's folder is not built upon: what is in it is anybody's guess.
    fs_err::write(started.join("half-written"), "").unwrap();
    finishes(&env);
    assert_eq!(env.prefix("lab"), started);
    assert!(
        !started.join("half-written").exists(),
        "it was built upon rubble"
    );
}

/// Kills an apply as soon as a path is there, and looks at what is left. A run
/// that is done before it is killed shows nothing, and is done again.
#[track_caller]
fn killed_when(there: impl Fn(&TestEnv) -> bool) {
    for _ in 0..20 {
        let env = TestEnv::new();
        env.spec("lab", BEFORE);
        env.run(&["apply"]).success();
        env.spec("lab", &after("deno"));
        let mut apply = env.start(&["apply"]);
        soon("what the kill waits for", || {
            (there(&env) || apply.ended().is_some()).then_some(())
        });
        if apply.kill() {
            assert!(
                ["shared-lib 1.0\n", "shared-lib 2.0\n"].contains(&current(&env).as_str()),
                "no generation is current"
            );
            finishes(&env);
            assert!(env.user_kernels().join("lab-deno/kernel.json").is_file());
            return;
        }
    }
    panic!("twenty runs were done before they could be killed");
}

fn newest(env: &TestEnv, below: &str) -> bool {
    let old = env.root().join("envs/lab");
    let old = fs_err::canonicalize(old).ok();
    fs_err::read_dir(env.root().join("gen")).is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| Some(entry.path()) != old && entry.path().join(below).exists())
    })
}

#[test]
fn killed_with_the_lease_just_taken() {
    killed_when(|env| env.root().join("leases/lab").exists());
}

#[test]
fn killed_with_the_new_prefix_just_made() {
    killed_when(|env| newest(env, ""));
}

#[test]
fn killed_with_the_packages_linked_and_the_kernels_not_made() {
    killed_when(|env| newest(env, "conda-meta/shared-lib-2.0-0.json"));
}

#[test]
fn killed_with_the_kernelspec_made_and_the_receipt_not_written() {
    killed_when(|env| newest(env, "share/jupyter/kernels"));
}

#[test]
fn killed_with_the_receipt_just_written() {
    killed_when(|env| newest(env, ".envspec/receipt.json"));
}

#[test]
fn killed_with_the_link_just_switched() {
    killed_when(|env| {
        fs_err::read_to_string(env.root().join("history/lab.jsonl"))
            .is_ok_and(|text| text.lines().count() > 1)
    });
}

#[test]
fn killed_with_the_kernel_just_being_registered() {
    killed_when(|env| env.user_kernels().join("lab-deno").exists());
}
