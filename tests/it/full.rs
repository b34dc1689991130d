//! No space left, at any call: the command says so or needs none, the current
//! generation works, and the next `apply` finishes.
//!
//! Where the disk can't be made full at one call and free at the next, `strace`
//! has the call fail with the error of a full disk (ENOSPC) and of a quota
//! (EDQUOT) in turn. This is a fake of a quota: a real one needs a kernel with
//! `CONFIG_QFMT_V2`. A `write` is not told from those that wake threads; what it
//! stands for fails as the `fsync` after it. The disk of its own size is real.

use std::io::Write as _;

use crate::crash::{Story, is_in_a_generation, of_the_first_thread, sample};
use crate::errors::Mount;
use crate::support::{Ran, TestEnv, can_trace, fail_at, fail_for, record, tiny_spec};

/// What a full disk and a full quota are called.
const ERRORS: [(&str, &str); 2] = [
    ("ENOSPC", "no space left"),
    ("EDQUOT", "disk quota exceeded"),
];

/// The run succeeded, or failed and says what is full and what to do. Tells whether
/// it failed.
#[track_caller]
fn is_told(ran: Ran, words: &str, at: &str) -> bool {
    if ran.succeeded() {
        ran.success();
        return false;
    }
    let output = ran.fails_with(7);
    // Lines are broken anywhere.
    let letters = |text: &str| {
        let text = text.to_lowercase();
        text.replace(|letter: char| !letter.is_alphanumeric(), "")
    };
    let said = letters(&output.stderr);
    let is_clear = said.contains(&letters(words))
        && ["df -h, df -i, quota", "quota of your home"]
            .iter()
            .any(|help| said.contains(&letters(help)))
        || said.contains(&letters("has no room for"));
    assert!(is_clear, "{at}: it is not clear what is full:\n{output}");
    true
}

/// Has each of the calls fail in turn.
fn fail_at_each(story: &Story, calls: &[crate::support::Call]) {
    assert!(calls.len() > 10, "too few to be all: {calls:#?}");
    let mut told = 0;
    for (number, call) in calls.iter().enumerate() {
        let (error, words) = ERRORS[number % ERRORS.len()];
        let at = format!("{error} at {call}");
        story.again();
        let ran = fail_at(&story.env, &["apply"], call, error, || story.again());
        told += usize::from(is_told(ran, words, &at));
        story.works(&at);
        story.finishes(&["apply"], &at);
    }
    assert!(
        told * 4 > calls.len(),
        "{told} of {} were told",
        calls.len()
    );
}

#[test]
fn no_space_at_any_call_of_a_first_apply() {
    if !can_trace() {
        return;
    }
    let story = Story::of_a_first_apply();
    let mut calls = of_the_first_thread(&story, &["apply"]);
    calls.retain(|call| call.name != "write" && !is_in_a_generation(call));
    fail_at_each(&story, &calls);
}

#[test]
fn no_space_at_any_call_that_makes_a_generation() {
    if !can_trace() {
        return;
    }
    let story = Story::of_an_update();
    let mut calls = of_the_first_thread(&story, &["apply"]);
    calls.retain(|call| call.name != "write" && is_in_a_generation(call));
    fail_at_each(&story, &calls);
}

#[test]
fn no_space_at_any_call_that_publishes_a_generation() {
    if !can_trace() {
        return;
    }
    let story = Story::of_an_update();
    let mut calls = of_the_first_thread(&story, &["apply"]);
    calls.retain(|call| call.name != "write" && !is_in_a_generation(call));
    fail_at_each(&story, &calls);
}

#[test]
fn no_space_at_a_sample_of_the_calls_that_fetch_and_link_packages() {
    if !can_trace() {
        return;
    }
    let story = Story::of_an_update();
    let mut calls = record(&story.env, &["apply"], true);
    calls.retain(|call| {
        !call.first_thread
            && call.is_known_before()
            && call.name != "write"
            && call.target().starts_with("root/")
    });
    let calls = sample(calls, 20);
    let mut hit = 0;
    for (number, call) in calls.iter().enumerate() {
        let (error, words) = ERRORS[number % ERRORS.len()];
        let at = format!("{error} at {call}");
        story.again();
        // Two threads make a folder: the one that does it is not always the same.
        let Some(ran) = fail_for(&story.env, &["apply"], call, error) else {
            continue;
        };
        hit += 1;
        if !is_told(ran, words, &at) && call.name.contains("link") {
            // Copied in place of linked: the manifest lists it as the generation's own.
            story.env.run(&["verify"]).success();
            continue;
        }
        story.works(&at);
        story.finishes(&["apply"], &at);
    }
    assert!(
        hit * 4 > calls.len() * 3,
        "{hit} of {} were hit",
        calls.len()
    );
}

#[test]
fn a_disk_that_is_full_sooner_or_later() {
    const STEPS: u64 = 10;
    let env = TestEnv::new();
    let size = |bytes: u64| format!("size={bytes}");
    let large = 64 << 20;
    let Some(_disk) = Mount::new(&env.root(), &["-t", "tmpfs", "-o", &size(large), "tmpfs"]) else {
        return;
    };
    let resize = |bytes: u64| {
        let mut mount = env.program("mount");
        mount.args(["-o", &format!("remount,{}", size(bytes))]);
        env.output(mount.arg(env.root())).success();
    };
    let used = || {
        let told = rustix::fs::statvfs(env.root()).unwrap();
        (told.f_blocks - told.f_bfree) * told.f_frsize
    };
    let says = || fs_err::read_to_string(env.root().join("envs/lab/share/shared-lib.txt")).unwrap();
    let old = || env.tiny(&["shared-lib 1.0", "executable"]);
    let new = || env.tiny(&["shared-lib 2.0", "executable", "symlink", "unicode-name"]);
    let back = || {
        old();
        env.run(&["apply"]).success();
        env.run(&["gc", "--keep", "0", "--older-than", "0d"])
            .success();
        used()
    };
    let before = back();
    new();
    env.run(&["apply"]).success();
    let needed = used() - before;
    let mut failed = 0;
    for step in 0..=STEPS {
        let before = back();
        new();
        resize(before + 2 * needed * step / STEPS);
        let at = format!("{step} of {STEPS} parts of twice {needed} bytes");
        let ran = env.run(&["apply"]);
        if is_told(ran, "no space left", &at) {
            failed += 1;
            assert_eq!(says(), "shared-lib 1.0\n", "{at}");
        }
        let mut run = env.program(env.root().join("envs/lab/bin/executable"));
        assert_eq!(env.output(&mut run).success().stdout, "executable 1.0\n");
        resize(large);
        env.run(&["apply"]).success();
        assert_eq!(says(), "shared-lib 2.0\n", "{at}");
        env.run(&["apply"]).success().says("Nothing to do");
    }
    assert!((3..=STEPS).contains(&failed), "{failed} of {STEPS} failed");
}

/// What is left is used up, to the last byte and the last file.
fn fill(env: &TestEnv) {
    let folder = env.root().join("fill");
    fs_err::create_dir_all(&folder).unwrap();
    let mut size = 1 << 20;
    for number in 0.. {
        let file = folder.join(number.to_string());
        let is_full = match fs_err::File::create(&file) {
            Ok(mut file) => file.write_all(&vec![1; size]).is_err(),
            Err(_) => return,
        };
        match (is_full, size) {
            (true, 4096) => return,
            (true, _) => size = 4096,
            (false, _) => {}
        }
    }
}

#[test]
fn with_nothing_left_at_all_gc_and_rollback_work_and_an_apply_names_gc() {
    // The bytes are used up, or the files.
    for limit in ["size=24m", "size=64m,nr_inodes=700"] {
        for way in [
            &["rollback"][..],
            &["gc", "--keep", "0", "--older-than", "0d"],
        ] {
            let env = TestEnv::new();
            let options = ["-t", "tmpfs", "-o", limit, "tmpfs"];
            let Some(_disk) = Mount::new(&env.root(), &options) else {
                return;
            };
            for packages in [&["shared-lib 1.0"][..], &["shared-lib 2.0"]] {
                env.tiny(packages);
                env.run(&["apply"]).success();
            }
            fill(&env);
            env.tiny(&["shared-lib 2.0", "executable"]);
            let told = env.run(&["apply"]).fails_with(7);
            assert!(told.stderr.contains("envspec gc"), "{told}");
            env.run(way).success();
            env.run(&["verify"]).success();
            env.run(&["gc", "--keep", "0", "--older-than", "0d"])
                .success();
            fs_err::remove_dir_all(env.root().join("fill")).unwrap();
            env.run(&["apply"]).success();
        }
    }
}

#[test]
fn with_nothing_left_gc_works_however_much_there_is_to_collect() {
    for limit in ["size=24m", "size=64m,nr_inodes=1500"] {
        let env = TestEnv::new();
        let options = ["-t", "tmpfs", "-o", limit, "tmpfs"];
        let Some(_disk) = Mount::new(&env.root(), &options) else {
            return;
        };
        let names: Vec<String> = (0..20).map(|number| format!("e{number}")).collect();
        for packages in [&["shared-lib 1.0"][..], &["shared-lib 2.0"]] {
            for name in &names {
                env.spec(name, &tiny_spec(packages));
                let spec = format!("envs/{name}.yaml");
                env.run(&["apply", &spec]).success();
            }
        }
        fill(&env);
        let done = env.run(&["gc", "--keep", "0", "--older-than", "0d", "--json"]);
        let done = done.success().json();
        let gone = done["generations"].as_array().unwrap().iter();
        let gone = gone.filter(|generation| generation["kept"].is_null());
        assert_eq!(gone.count(), 20, "{done:#}");
        env.run(&["history", "e7"]).success();
    }
}

#[test]
fn no_file_left_for_a_package_is_trouble_with_the_disk_and_none_with_the_channel() {
    let mut failed = 0;
    for files in (24..96).step_by(6) {
        let env = TestEnv::new();
        let limit = format!("size=64m,nr_inodes={files}");
        let options = ["-t", "tmpfs", "-o", &limit, "tmpfs"];
        let Some(_disk) = Mount::new(&env.root(), &options) else {
            return;
        };
        env.tiny(&["shared-lib", "executable", "symlink", "unicode-name"]);
        let ran = env.run(&["apply"]);
        failed += u32::from(is_told(ran, "no space left", &limit));
    }
    assert!(failed > 4, "{failed}");
}

#[test]
fn a_disk_that_is_full_while_sources_are_compiled_leaves_no_generation_without_bytecode() {
    let env = TestEnv::new();
    let Some(_disk) = Mount::new(&env.root(), &["-t", "tmpfs", "-o", "size=900m", "tmpfs"]) else {
        return;
    };
    let used = || {
        let told = rustix::fs::statvfs(env.root()).unwrap();
        (told.f_blocks - told.f_bfree) * told.f_frsize
    };
    env.spec(
        "lab",
        "channels: [conda-forge]\ndependencies: [python, jupyterlab]\n",
    );
    env.run(&["apply"]).success();
    let with_all = used();
    let compiled = env.run(&["verify", "--json"]).success().json();
    for folder in ["root/gen", "root/envs", "root/pkgs/.bytecode"] {
        let mut remove = env.program("rm");
        env.output(remove.arg("-rf").arg(env.path(folder)))
            .success();
    }
    let mut mount = env.program("mount");
    let size = format!("remount,size={}", with_all - (8 << 20));
    env.output(mount.args(["-o", &size]).arg(env.root()))
        .success();
    env.run(&["apply"])
        .fails_with(7)
        .says("could not compile the sources")
        .says("envspec gc");
    assert!(!env.root().join("envs/lab").exists());
    let mut mount = env.program("mount");
    env.output(mount.args(["-o", "remount,size=900m"]).arg(env.root()))
        .success();
    env.run(&["apply"]).success();
    let again = env.run(&["verify", "--json"]).success().json();
    assert_eq!(again["files"], compiled["files"]);
}
