//! What a generation takes, said before and held against what is left.

use std::path::Path;

use serde_json::Value;

use crate::errors::Mount;
use crate::support::{TestEnv, tree};

/// A root of its own size and number of files.
fn disk(env: &TestEnv, options: &str) -> Option<Mount> {
    Mount::new(&env.root(), &["-t", "tmpfs", "-o", options, "tmpfs"])
}

/// The plan's action that builds.
fn build(env: &TestEnv) -> Value {
    let plan = env.run(&["plan", "--json"]).success().json();
    let actions = plan["actions"].as_array().unwrap().clone();
    actions
        .into_iter()
        .find(|action| action["action"] == "build-generation")
        .unwrap()
}

/// Bytes and inodes that are used on the disk of a folder.
fn used(folder: &Path) -> (u64, u64) {
    let told = rustix::fs::statvfs(folder).unwrap();
    (
        (told.f_blocks - told.f_bfree) * told.f_frsize,
        told.f_files - told.f_ffree,
    )
}

const LAB: &str =
    "channels: [conda-forge]\ndependencies: [jupyterlab]\nkernels: [python, r, bash]\n";

#[test]
fn what_certainly_does_not_fit_is_refused_before_anything_is_written() {
    for (options, left) in [("size=30m", "MB"), ("nr_inodes=500", "files")] {
        let env = TestEnv::new();
        let Some(_disk) = disk(&env, options) else {
            return;
        };
        env.spec("lab", LAB);
        let plan = env.run(&["plan"]).success();
        assert!(plan.stdout.contains("it does not fit"), "{plan}");
        let refused = env.run(&["apply"]).fails_with(7);
        assert!(refused.stderr.contains("has no room for lab-"), "{refused}");
        assert!(refused.stderr.contains(left), "{refused}");
        let packages = fs_err::read_dir(env.root().join("pkgs")).unwrap();
        let names: Vec<_> = packages.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["leases"], "packages were fetched");
        assert!(!env.work().join("envs/lab.lock").exists());
    }
}

#[test]
fn what_may_not_fit_is_tried_with_a_warning() {
    let env = TestEnv::new();
    let Some(_disk) = disk(&env, "size=200m") else {
        return;
    };
    env.spec("lab", LAB);
    let tight = env.run(&["apply"]).fails_with(7).says("it may not fit: ");
    assert!(tight.stderr.contains("No space left"), "{tight}");
    // What was half-made gives its space back, unpacked packages stay.
    let generations = fs_err::read_dir(env.root().join("gen")).unwrap();
    assert_eq!(generations.count(), 0);
}

#[test]
fn a_generation_of_unpacked_packages_takes_what_the_plan_says() {
    let env = TestEnv::new();
    // Where a hard link is no inode more, which it is on a tmpfs.
    let image = env.path("image");
    let file = std::fs::File::create(&image).unwrap();
    file.set_len(4 << 30).unwrap();
    let made = env.program("mkfs.ext4").arg("-q").arg(&image).status();
    assert!(made.unwrap().success());
    let image = image.to_str().unwrap();
    let Some(_disk) = Mount::new(&env.root(), &["-o", "loop", image]) else {
        return;
    };
    env.spec("lab", LAB);
    let first = build(&env);
    assert_eq!(first["estimated"], true);
    let empty = used(&env.root());
    env.run(&["apply"]).success();
    let full = used(&env.root());
    let within = |said: &Value, really: u64, factor: f64| {
        let said = said.as_f64().unwrap();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let really = really as f64;
        assert!(
            said / really < factor && really / said < factor,
            "said {said}, took {really}"
        );
    };
    // An estimate, of what packages are like.
    within(&first["bytes"], full.0 - empty.0, 1.5);
    within(&first["files"], full.1 - empty.1, 1.5);

    // The same packages in another generation.
    env.spec("lab", &format!("{LAB}variables: {{A: b}}\n"));
    let second = build(&env);
    assert_eq!(second["estimated"], false);
    assert_eq!(second["fetch_bytes"], 0);
    env.run(&["apply"]).success();
    let both = used(&env.root());
    within(&second["bytes"], both.0 - full.0, 1.25);
    within(&second["files"], both.1 - full.1, 1.05);
}

#[test]
fn where_old_files_are_deleted_it_is_told_and_what_is_new_is_young() {
    let env = TestEnv::new();
    let young = |root: &Path| {
        let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(1);
        let all = tree(&root.join("gen"));
        let old = all.iter().filter(|(path, _)| {
            let path = root.join("gen").join(path);
            path.symlink_metadata().unwrap().modified().unwrap() < hour_ago
        });
        (all.len(), old.count())
    };
    env.spec("lab", "channels: [conda-forge]\ndependencies: [python]\n");
    env.run(&["apply"]).success();
    let (all, old) = young(&env.root());
    assert!(
        old > 100,
        "packages bring no old files any more: {old} of {all}"
    );

    let site = "name: here\ntitle: Here\nscheduler: none\nstorage:\n  areas: [{path: \"~/fast\", purged_after_days: 14}]\n";
    let sites = env.path("home/.config/envspec/sites");
    fs_err::create_dir_all(&sites).unwrap();
    fs_err::write(sites.join("here.yaml"), site).unwrap();
    env.spec(
        "lab",
        "channels: [conda-forge]\ndependencies: [python]\nsite: here\n",
    );
    let root = env.path("home/fast/root");
    let arguments = ["apply", "--root", root.to_str().unwrap()];
    let plan = ["plan", "--root", root.to_str().unwrap()];
    for words in [&plan, &arguments] {
        let told = env.run(words).success();
        assert!(
            told.stderr.contains("deletes files 14 days after"),
            "{told}"
        );
    }
    let (all, old) = young(&root);
    assert!(all > 1000);
    assert_eq!(old, 0, "of {all}");
    let told = env.run(&arguments).success();
    assert!(!told.stderr.contains("deletes"), "{told}");
}
