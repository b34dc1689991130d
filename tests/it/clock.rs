//! Clocks that are wrong: set back between two runs, or a day apart from the
//! holder's. `faketime` moves the wall clock of a run and leaves its monotonic
//! one alone, as setting a machine's clock does.

use crate::support::{Fault, Server, TestEnv, channels, have, soon};

/// A day before, a day after.
const DAYS: [&str; 2] = ["-1d", "+1d"];

/// Every run from now on has a clock that is so far off.
fn set_clock(env: &mut TestEnv, offset: &str) {
    let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
    env.set("LD_PRELOAD", library);
    env.set("FAKETIME", offset);
    env.set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    // Those of files are the file system's.
    env.set("NO_FAKE_STAT", "1");
}

/// Applies a spec of these packages, and tells the generation.
fn applied(env: &TestEnv, packages: &[&str]) -> String {
    env.tiny(packages);
    env.run(&["apply"]).success();
    let prefix = env.prefix("lab");
    prefix.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn generations_are_in_the_order_of_their_switches_whatever_the_clock_said() {
    if !have("faketime") {
        return;
    }
    let mut env = TestEnv::new();
    let first = applied(&env, &["shared-lib 1.0"]);
    set_clock(&mut env, "-1d");
    let second = applied(&env, &["shared-lib 1.1"]);
    set_clock(&mut env, "-2d");
    let third = applied(&env, &["shared-lib 2.0"]);
    // The clock was really another one.
    let history = fs_err::read_to_string(env.root().join("history/lab.jsonl")).unwrap();
    let times: Vec<String> = history
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .map(|switch| switch["at"].as_str().unwrap().to_owned())
        .collect();
    assert!(times[0] > times[1] && times[1] > times[2], "{times:?}");

    set_clock(&mut env, "+0d");
    env.run(&["rollback"]).success();
    assert!(env.prefix("lab").ends_with(&second));
    env.run(&["rollback"]).success();
    assert!(env.prefix("lab").ends_with(&first));
    env.run(&["apply"]).success();
    assert!(env.prefix("lab").ends_with(&third));
}

#[test]
fn gc_keeps_the_one_that_was_left_last_whatever_the_clock_said() {
    if !have("faketime") {
        return;
    }
    let mut env = TestEnv::new();
    let first = applied(&env, &["shared-lib 1.0"]);
    set_clock(&mut env, "-1d");
    let second = applied(&env, &["shared-lib 1.1"]);
    set_clock(&mut env, "-2d");
    let third = applied(&env, &["shared-lib 2.0"]);
    set_clock(&mut env, "+0d");
    env.run(&["gc", "--keep", "1", "--older-than", "0d"])
        .success();
    let is_there = |generation: &str| env.root().join("gen").join(generation).exists();
    assert!(is_there(&third), "the current one is gone");
    assert!(is_there(&second), "the one before it is gone");
    assert!(!is_there(&first), "the oldest one stayed");
}

#[test]
fn who_lives_is_waited_for_and_who_is_gone_is_not_on_any_clock() {
    if !have("faketime") {
        return;
    }
    for offset in DAYS {
        for killed in [false, true] {
            let server = Server::start(channels());
            let mut env = TestEnv::with_alias(server.url());
            env.tiny(&["shared-lib 2.0"]);
            server.fault("shared-lib-2.0", Fault::Held);
            let lease = env.root().join("leases/lab");
            let first = env.start(&["apply"]);
            soon("a lease", || lease.exists().then_some(()));
            let text = fs_err::read_to_string(&lease).unwrap();
            set_clock(&mut env, offset);
            let mut second = env.start(&["apply"]);
            // Long enough for several looks at the lease and one beat.
            std::thread::sleep(std::time::Duration::from_secs(7));
            assert_eq!(
                fs_err::read_to_string(&lease).unwrap(),
                text,
                "{offset}: a living holder was thrown out"
            );
            assert!(!second.is_done(), "{offset}: it did not wait");
            if killed {
                assert!(first.kill(), "it was done before");
                server.release();
                second.wait().success().says("Waiting").says("Installed");
            } else {
                server.release();
                first.wait().success().says("Installed");
                second
                    .wait()
                    .success()
                    .says("Waiting")
                    .says("Nothing to do");
            }
            assert!(!lease.exists(), "{offset}: the lease is left");
        }
    }
}
