//! `verify` and `verify --repair`: damage is found, told apart, and
//! undone, also that of the package cache.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::Path;

use serde_json::Value;

use crate::support::{
    PackageFile, TestEnv, add_package, assert_output, can_trace, channels, installer_kernel,
    kill_at, record, soon, tree, world_python,
};

#[test]
fn a_repair_that_had_to_wait_repairs_what_was_asked_for_whatever_is_current_by_then() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib 1.0"]);
    env.run(&["apply"]).success();
    let first = env.prefix("lab");
    env.tiny(&["shared-lib 2.0"]);
    env.run(&["apply"]).success();
    let second = env.prefix("lab");
    let text = second.join("share/shared-lib.txt");
    for again in [true, false] {
        fs_err::remove_file(&text).unwrap();
        env.dead_lease("leases/lab");
        let repair = env.start(&["verify", "--repair"]);
        // It has looked, and waits until the holder was silent for half a second.
        std::thread::sleep(std::time::Duration::from_millis(250));
        let link = env.root().join("envs/lab");
        fs_err::remove_file(&link).unwrap();
        fs_err::os::unix::fs::symlink(format!("../gen/{}", name(&first)), &link).unwrap();
        let said = if again {
            "again, and it is good"
        } else {
            fs_err::write(&text, "shared-lib 2.0\n").unwrap();
            "was repaired meanwhile"
        };
        repair.wait().success().says("Waiting").says(said);
        assert!(text.exists());
        fs_err::remove_file(&link).unwrap();
        fs_err::os::unix::fs::symlink(format!("../gen/{}", name(&second)), &link).unwrap();
    }
}

fn name(prefix: &Path) -> &str {
    prefix.file_name().unwrap().to_str().unwrap()
}

/// `lab`, applied, with a kernel, a link and a file that several packages bring.
fn applied() -> TestEnv {
    let env = TestEnv::new();
    let folder = env.path("home/.config/envspec/kernels");
    fs_err::create_dir_all(&folder).unwrap();
    fs_err::write(folder.join("one.yaml"), installer_kernel("one", "")).unwrap();
    env.spec(
        "lab",
        "channels: [tiny]\ndependencies: [shared-lib 2.0, symlink]\nkernels: [one]\nvariables: {A: b}\n",
    );
    env.run(&["apply"]).success();
    env.run(&["verify"]).success().says("is as it was made");
    env
}

/// What `verify` finds: damage and path.
#[track_caller]
fn findings(env: &TestEnv) -> Vec<(String, String)> {
    let answer = env.run(&["verify", "--json"]).fails_with(7).json();
    assert_eq!(answer["good"], false);
    assert_eq!(answer["repaired"], false);
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    answer["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| (word(&finding["damage"]), word(&finding["path"])))
        .collect()
}

fn found(damage: &str, path: impl AsRef<Path>) -> (String, String) {
    (damage.to_owned(), path.as_ref().display().to_string())
}

/// Writes into a file where it is, whoever shares it.
fn overwrite(path: &Path, text: &str) {
    fs_err::set_permissions(path, PermissionsExt::from_mode(0o644)).unwrap();
    fs_err::write(path, text).unwrap();
}

#[test]
fn missing_changed_and_extra_files_are_told_apart_and_repaired_at_the_same_path() {
    let env = applied();
    let prefix = env.prefix("lab");
    let before = tree(&prefix);
    let id = env.receipt("lab")["generation"].clone();
    let shared = prefix.join("share/shared-lib.txt");
    overwrite(&shared, "shared-lib 2,0\n");
    fs_err::remove_file(prefix.join("bin/executable")).unwrap();
    fs_err::write(prefix.join("share/mine"), "").unwrap();
    let kernel = prefix.join("share/jupyter/kernels/one/kernel.json");
    overwrite(&kernel, "{}");
    let link = before
        .keys()
        .find(|path| path.is_symlink())
        .expect("the package symlink has one");
    fs_err::remove_file(link).unwrap();
    fs_err::os::unix::fs::symlink("elsewhere", link).unwrap();
    let below = |path: &Path| path.strip_prefix(&prefix).unwrap().to_owned();
    assert_eq!(findings(&env), {
        let mut all = vec![
            found("missing", "bin/executable"),
            found("changed", below(link)),
            found("changed", below(&kernel)),
            found("changed", below(&shared)),
            found("extra", "share/mine"),
        ];
        all.sort_by_key(|(damage, path)| {
            (
                ["missing", "changed", "extra"]
                    .iter()
                    .position(|word| word == damage),
                path.clone(),
            )
        });
        all
    });
    assert_output!(env.run(&["verify"]).fails_with(7));

    env.run(&["verify", "--repair"])
        .success()
        .says("it is good");
    env.run(&["verify"]).success();
    assert_eq!(env.prefix("lab"), prefix);
    assert_eq!(env.receipt("lab")["generation"], id);
    let spec = &env.receipt("lab")["spec"]["path"];
    assert_eq!(spec, env.work().join("envs/lab.yaml").to_str().unwrap());
    assert_eq!(fs_err::read_to_string(&shared).unwrap(), "shared-lib 2.0\n");
    let paths = |tree: &crate::support::Tree| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(paths(&tree(&prefix)), paths(&before));
    assert_eq!(fs_err::read_dir(env.root().join("gen")).unwrap().count(), 1);
    env.run(&["apply"]).success().says("Nothing to do");
}

#[test]
fn the_users_kernelspecs_are_looked_at_and_registered_again() {
    let env = applied();
    let folder = env.user_kernels().join("lab-one");
    let registered = folder.join("kernel.json");
    let good = fs_err::read_to_string(&registered).unwrap();
    fs_err::write(&registered, good.replace("executable\"", "false\"")).unwrap();
    assert_eq!(findings(&env), [found("changed", &registered)]);
    env.run(&["verify", "--repair"]).success();
    assert_eq!(fs_err::read_to_string(&registered).unwrap(), good);
    fs_err::remove_dir_all(&folder).unwrap();
    assert_eq!(findings(&env), [found("missing", &registered)]);
    env.run(&["verify", "--repair"]).success();
    assert_eq!(fs_err::read_to_string(&registered).unwrap(), good);
}

#[test]
fn damage_through_a_hard_link_is_repaired_in_the_cache_and_seen_in_the_other_generation() {
    let env = applied();
    let first = env.prefix("lab");
    env.spec("lab", "channels: [tiny]\ndependencies: [shared-lib 2.0]\n");
    env.run(&["apply"]).success();
    let second = env.prefix("lab");
    let file = "share/shared-lib.txt";
    let inode = |prefix: &Path| prefix.join(file).metadata().unwrap().ino();
    assert_eq!(inode(&first), inode(&second));
    overwrite(&second.join(file), "shared-lib 2,0\n");
    assert_eq!(findings(&env), [found("changed", file)]);
    env.run(&["verify", "--repair"]).success();
    env.run(&["verify"]).success();
    // The other one is another's inode still.
    let id = first.file_name().unwrap().to_str().unwrap();
    let seen = env.run(&["verify", "lab", id]).fails_with(7);
    assert!(seen.stdout.contains(file), "{seen}");
    seen.says(&format!("verify lab {id} --repair"));
    env.run(&["verify", "lab", id, "--repair"]).success();
    env.run(&["verify", "lab", id]).success();
    assert_eq!(inode(&first), inode(&second));
    assert_eq!(env.prefix("lab"), second);
    // It was not switched to, and its kernel not registered.
    assert!(!env.user_kernels().join("lab-one").exists());
}

#[test]
fn papers_and_records_are_looked_at_and_the_spec_beside_serves_if_the_copy_is_gone() {
    let env = applied();
    let prefix = env.prefix("lab");
    for paper in ["spec.yaml", "spec.lock", "manifest.json", "receipt.json"] {
        let path = prefix.join(".envspec").join(paper);
        let text = fs_err::read_to_string(&path).unwrap();
        overwrite(&path, &format!("{text} x"));
        let seen = findings(&env);
        let wanted = found("changed", format!(".envspec/{paper}"));
        assert!(seen.contains(&wanted), "{paper}: {seen:?}");
        env.run(&["verify", "--repair"]).success();
        env.run(&["verify"]).success();
    }
    // Neither the copy nor the file is that spec any more: nothing is touched.
    overwrite(&prefix.join(".envspec/spec.yaml"), "x: y");
    env.spec("lab", "channels: [tiny]\ndependencies: [shared-lib 1.0]\n");
    let before = tree(&env.root().join("gen"));
    env.run(&["verify", "lab", "--repair"])
        .fails_with(7)
        .says("was made from");
    assert!(tree(&env.root().join("gen")) == before, "it was touched");
}

#[test]
fn without_the_archive_the_damaged_generation_stays_as_it_is() {
    let mut env = TestEnv::new();
    let folder = env.path("mixed");
    let file = [PackageFile::new("share/a", "a\n")];
    add_package(&folder.join("own"), "one", "1", &file);
    env.set_alias(format!("file://{}", folder.display()));
    env.spec("lab", "channels: [own]\ndependencies: [one]\n");
    env.run(&["apply"]).success();
    let path = env.prefix("lab").join("share/a");
    overwrite(&path, "b\n");
    fs_err::remove_dir_all(folder.join("own")).unwrap();
    let before = tree(&env.root().join("gen"));
    env.run(&["verify", "--repair"]).fails_with(5);
    assert!(tree(&env.root().join("gen")) == before, "it was touched");
    assert_eq!(fs_err::read_to_string(path).unwrap(), "b\n");
}

#[test]
fn what_another_tool_installs_into_a_generation_is_noticed_bytecode_too() {
    let env = TestEnv::new();
    env.spec(
        "lab",
        "channels: [conda-forge, tiny]\ndependencies: [python, pip]\n",
    );
    env.run(&["apply"]).success();
    let prefix = env.prefix("lab");
    // What root's Python writes for itself is no damage.
    let mut python = env.program(prefix.join("bin/python"));
    let code =
        "import sysconfig; print(sysconfig.get_config_vars() and sysconfig.get_path('purelib'))";
    let site = env.output(python.args(["-c", code])).success().stdout;
    env.run(&["verify"]).success();

    // As `conda install` does: the same engine, driven from Python.
    let install = r"
import asyncio, os, pathlib, sys, rattler
async def main(prefix, channel, cache):
    records = await rattler.solve([channel], ['executable'], platforms=['linux-64', 'noarch'])
    there = [rattler.PrefixRecord.from_path(path) for path in pathlib.Path(prefix).glob('conda-meta/*.json')]
    await rattler.install([*there, *records], prefix, cache_dir=cache, installed_packages=there, show_progress=False)
asyncio.run(main(*sys.argv[1:]))
os._exit(0)  # Its threads may crash the interpreter at its end.
";
    let mut conda = env.program(world_python());
    conda.args(["-c", install]).arg(&prefix);
    conda.arg(format!("file://{}", channels().join("tiny").display()));
    env.output(conda.arg(env.path("tmp/pkgs"))).success();
    let seen = findings(&env);
    assert!(seen.contains(&found("extra", "bin/executable")), "{seen:?}");
    let record = |(damage, path): &(String, String)| {
        damage == "extra" && path.starts_with("conda-meta/executable")
    };
    assert!(seen.iter().any(record), "{seen:?}");
    env.run(&["verify", "--repair"]).success();

    // pip, and bytecode of another content.
    let pip = Path::new(site.trim()).join("pip/__pycache__/__init__.cpython-311.pyc");
    overwrite(&pip, "not what was compiled");
    fs_err::write(Path::new(site.trim()).join("mine.py"), "").unwrap();
    let seen = findings(&env);
    let below = |path: &Path| path.strip_prefix(&prefix).unwrap().to_owned();
    let mine = below(&Path::new(site.trim()).join("mine.py"));
    assert_eq!(seen, [found("changed", below(&pip)), found("extra", mine)]);
    env.run(&["verify", "--repair"]).success();
    let mut python = env.program(prefix.join("bin/python"));
    env.output(python.args(["-c", "import pip"])).success();
}

#[test]
fn a_repair_that_is_killed_at_any_call_is_finished_by_the_next_or_by_apply() {
    if !can_trace() {
        return;
    }
    let env = applied();
    let prefix = env.prefix("lab");
    overwrite(&prefix.join("share/shared-lib.txt"), "shared-lib 2,0\n");
    let keep = |from: &str, into: &str| {
        for place in ["root", "home"] {
            let into = env.path(into).join(place);
            drop(fs_err::remove_dir_all(&into));
            fs_err::create_dir_all(into.parent().unwrap()).unwrap();
            let mut copy = env.program("cp");
            let from = env.path(from).join(place);
            assert!(
                copy.arg("-a")
                    .arg(from)
                    .arg(into)
                    .status()
                    .unwrap()
                    .success()
            );
        }
    };
    let (save, again) = (|| keep("", "kept"), || keep("kept", ""));
    save();
    let repair = ["verify", "--repair"];
    let mut calls = record(&env, &repair, false);
    // Where a package is unpacked is random; it enters the cache whole.
    calls.retain(|call| !call.target().starts_with("root/pkgs/."));
    let aside = calls
        .iter()
        .position(|call| call.name.starts_with("rename") && call.target().contains(".damaged-"))
        .expect("it is moved aside");
    assert!(aside > 1, "the lease comes first");
    assert!(calls.len() > aside + 10, "{calls:#?}");
    for (at, call) in calls.iter().enumerate() {
        again();
        kill_at(&env, &repair, call, again);
        let at = format!("call {at}: {call}");
        // Of the damaged one or of the new one, but what packages bring is always there.
        assert!(prefix.join("share/symlink/link.txt").exists(), "{at}");
        // Before anything is moved, it is as it was; else one more finishes it.
        let by = if at.len() % 2 == 0 {
            &repair[..]
        } else {
            &["apply"][..]
        };
        let is_there = prefix.join(".envspec/receipt.json").exists();
        if is_there || by == repair {
            env.run(&repair).success();
        } else {
            env.run(by).success();
        }
        env.run(&["verify"]).success();
        let left: Vec<_> = fs_err::read_dir(env.root().join("gen"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        // A good generation needs no repair, so nothing clears up after a late kill
        // until the next apply that builds.
        assert!(
            left.iter().all(|name| {
                let name = name.to_string_lossy();
                name.starts_with('.') || prefix.ends_with(&*name)
            }),
            "{at}: {left:?}"
        );
        let listed = env.run(&["list", "--json"]).success().json();
        assert_eq!(listed["generations"].as_array().unwrap().len(), 1, "{at}");
    }
}

#[test]
fn a_repair_leaves_open_files_to_who_has_them_open() {
    use std::io::Read as _;
    let env = applied();
    let prefix = env.prefix("lab");
    let mut open = fs_err::File::open(prefix.join("bin/executable")).unwrap();
    overwrite(&prefix.join("share/shared-lib.txt"), "");
    env.run(&["verify", "--repair"]).success();
    let mut text = String::new();
    open.read_to_string(&mut text).unwrap();
    assert_eq!(
        text,
        fs_err::read_to_string(prefix.join("bin/executable")).unwrap()
    );
    soon("the damaged one is gone", || {
        (fs_err::read_dir(env.root().join("gen")).unwrap().count() == 1).then_some(())
    });
}
