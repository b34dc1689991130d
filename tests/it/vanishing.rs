//! Files that are deleted, and a root that turns read-only, under envspec's feet.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::errors::Mount;
use crate::support::{Ran, TestEnv, installer_kernel, soon};

const TEXT: &str = "share/shared-lib.txt";

const BOUND: Duration = Duration::from_mins(2);

/// A working environment, and a spec of another generation whose build stops in the
/// middle; its gate.
fn half_way() -> (TestEnv, PathBuf) {
    let env = TestEnv::new();
    let gate = env.path("gate");
    let kernels = env.path("home/.config/envspec/kernels");
    fs_err::create_dir_all(&gate).unwrap();
    fs_err::create_dir_all(&kernels).unwrap();
    // It waits in the middle of a build, after all packages were linked.
    let gate_shown = gate.display();
    let steps =
        format!("touch {gate_shown}/reached; while [ -e {gate_shown}/stop ]; do sleep 0.05; done;");
    let kernel = installer_kernel("slow", &steps);
    fs_err::write(kernels.join("slow.yaml"), kernel).unwrap();
    env.tiny(&["shared-lib 1.0"]);
    env.run(&["apply"]).success();
    env.spec(
        "lab",
        "channels: [tiny]\ndependencies: [shared-lib 2.0]\nkernels: [slow]\n",
    );
    fs_err::write(gate.join("stop"), "").unwrap();
    (env, gate)
}

/// Applies, calls `delete` with the half-built prefix in the middle, and lets it go on
/// to its end.
fn disturbed(env: &TestEnv, gate: &Path, delete: impl FnOnce(PathBuf)) -> Ran {
    let old = env.prefix("lab");
    let apply = env.start(&["apply"]);
    soon("the middle of an apply", || {
        gate.join("reached").exists().then_some(())
    });
    let half = fs_err::read_dir(env.root().join("gen"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| *path != old && path.join(TEXT).exists())
        .unwrap();
    delete(half);
    fs_err::remove_file(gate.join("stop")).unwrap();
    apply.wait_within(BOUND)
}

fn text(env: &TestEnv) -> String {
    fs_err::read_to_string(env.prefix("lab").join(TEXT)).unwrap()
}

#[test]
fn a_half_built_generation_that_is_deleted_is_told_and_the_next_apply_builds_it() {
    let (env, gate) = half_way();
    let (old, lock) = (env.prefix("lab"), env.lock("lab"));
    let told = disturbed(&env, &gate, |half| fs_err::remove_dir_all(half).unwrap());
    // The kernel is looked at first, and misses its program.
    told.fails_with(6).says("`executable` is not in");
    assert_eq!(env.prefix("lab"), old);
    assert_eq!(env.lock("lab"), lock);
    assert_eq!(text(&env), "shared-lib 1.0\n");
    env.run(&["apply"]).success();
    assert_eq!(text(&env), "shared-lib 2.0\n");
    env.run(&["verify"]).success();
}

#[test]
fn a_file_that_is_deleted_from_a_half_built_generation_is_found_and_mended() {
    let (env, gate) = half_way();
    let delete = |half: PathBuf| fs_err::remove_file(half.join(TEXT)).unwrap();
    disturbed(&env, &gate, delete).success();
    let told = env.run(&["verify"]).fails_with(7).says("is damaged");
    assert!(told.stdout.contains(TEXT), "{told}");
    env.run(&["verify", "--repair"]).success();
    assert_eq!(text(&env), "shared-lib 2.0\n");
    env.run(&["verify"]).success();
}

#[test]
fn in_a_root_that_is_read_only_one_may_look_at_everything() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib 1.0"]);
    env.run(&["apply"]).success();
    env.tiny(&["shared-lib 2.0"]);
    env.run(&["apply"]).success();
    let root = env.root();
    let text = root.to_str().unwrap();
    let looks: [&[&str]; 9] = [
        &["list"],
        &["list", "--space"],
        &["recipe"],
        &["sessions"],
        &["verify"],
        &["history"],
        &["diff"],
        &["plan"],
        &["kernels", "list"],
    ];
    // What they take is not what they say.
    let shown = |arguments: &[&str]| {
        let output = env.start(arguments).wait_within(BOUND);
        let succeeded = output.succeeded();
        let output = if succeeded {
            output.success()
        } else {
            output.fails_with(2)
        };
        let without_time = output.stderr.split(" in ").next().unwrap().to_owned();
        (succeeded, output.stdout, without_time)
    };
    let before: Vec<_> = looks.iter().map(|look| shown(look)).collect();
    let succeeded = before.iter().filter(|(succeeded, ..)| *succeeded);
    assert!(succeeded.count() >= 8, "{before:#?}");
    let Some(_mount) = Mount::new(&root, &["--bind", text]) else {
        return;
    };
    let mut remount = Command::new("mount");
    let remount = remount.args(["-o", "remount,ro,bind", text]).status();
    assert!(remount.unwrap().success());
    for (look, before) in looks.iter().zip(before) {
        assert_eq!(shown(look), before, "{look:?}");
    }
    for change in [&["gc", "--keep", "0"][..], &["rollback"]] {
        let told = env.start(change).wait_within(BOUND).fails_with(7);
        told.says("Read-only file system").says("ENVSPEC_ROOT");
    }
}
