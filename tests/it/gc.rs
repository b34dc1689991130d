//! `gc`: what is in use stays, all else goes, and whoever runs goes on running.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::crash::{keep, put_back};
use crate::support::{
    Fault, Server, TestEnv, can_trace, channels, have, kill_at, kill_for, record, soon, tree,
};

/// The name of the current generation.
fn current(env: &TestEnv) -> String {
    let prefix = env.prefix("lab");
    prefix.file_name().unwrap().to_str().unwrap().to_owned()
}

/// Applies a spec of these packages, and tells the generation.
fn applied(env: &TestEnv, packages: &[&str]) -> String {
    env.tiny(packages);
    env.run(&["apply"]).success();
    current(env)
}

/// Three generations, the last of them current.
fn three() -> (TestEnv, [String; 3]) {
    let env = TestEnv::new();
    let all = [
        applied(&env, &["shared-lib 1.0", "executable"]),
        applied(&env, &["shared-lib 2.0", "executable"]),
        applied(&env, &["shared-lib 1.1", "executable"]),
    ];
    (env, all)
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs_err::read_dir(folder).into_iter().flatten();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn generations(env: &TestEnv) -> BTreeSet<String> {
    names(&env.root().join("gen"))
}

/// Why a generation is kept; empty for one that goes.
#[track_caller]
fn why(answer: &Value, generation: &str) -> String {
    let rows = answer["generations"].as_array().unwrap();
    let row = rows
        .iter()
        .find(|row| row["generation"] == generation)
        .unwrap_or_else(|| panic!("{generation} is not in {answer:#}"));
    row["kept"]["why"].as_str().unwrap_or_default().to_owned()
}

#[track_caller]
fn gc(env: &TestEnv, arguments: &[&str]) -> Value {
    let mut all = vec!["gc", "--json"];
    all.extend(arguments);
    env.run(&all).success().json()
}

/// Bytes and inodes of a folder, each inode once.
fn space(folder: &Path) -> (u64, u64) {
    let mut inodes = BTreeSet::new();
    for path in tree(folder).into_keys() {
        let metadata = path.symlink_metadata().unwrap();
        inodes.insert((metadata.ino(), metadata.blocks() * 512));
    }
    let bytes = inodes.iter().map(|(_, bytes)| bytes).sum();
    (bytes, inodes.len() as u64)
}

/// No folder of the root has what nobody refers to.
#[track_caller]
pub(crate) fn has_no_orphans(env: &TestEnv, at: &str) {
    let root = env.root();
    let mut used = BTreeSet::new();
    for generation in generations(env) {
        assert!(!generation.starts_with('.'), "{at}: {generation} is left");
        let prefix = root.join("gen").join(&generation);
        assert!(
            prefix.join(".envspec/receipt.json").exists(),
            "{at}: {generation} is half"
        );
        for file in names(&prefix.join("conda-meta")) {
            used.extend(file.strip_suffix(".json").map(str::to_owned));
        }
    }
    let known = [".cache.lock", ".bytecode", "leases"];
    for name in names(&root.join("pkgs")) {
        let package = name.strip_suffix(".lock").unwrap_or(&name);
        assert!(
            known.contains(&name.as_str()) || used.contains(package),
            "{at}: {name} is left in pkgs"
        );
    }
    for python in names(&root.join("pkgs/.bytecode")) {
        let mut half = names(&root.join("pkgs/.bytecode").join(python));
        half.retain(|name| name.starts_with('.'));
        assert!(half.is_empty(), "{at}: half compiled: {half:?}");
    }
    for folder in ["leases", "pkgs/leases"] {
        let mut left = names(&root.join(folder));
        // Who was killed before it wrote a word can't be asked about: it goes after
        // an hour.
        let is_empty = |name: &String| {
            let file = root.join(folder).join(name).metadata();
            file.is_ok_and(|file| file.len() == 0)
        };
        left.retain(|name| !(name.starts_with(".new") && is_empty(name)));
        assert!(left.is_empty(), "{at}: {left:?} are left in {folder}");
    }
}

#[test]
fn the_last_three_and_the_young_stay_if_nothing_is_said() {
    let (env, all) = three();
    let answer = gc(&env, &[]);
    assert_eq!(generations(&env), all.clone().into());
    assert_eq!(why(&answer, &all[2]), "current");
    assert_eq!(why(&answer, &all[0]), "earlier");
    assert_eq!(answer["freed"]["inodes"], 0);
    env.run(&["gc"]).success().says("Nothing to delete");

    // Two more: the first is the fourth, but young.
    applied(&env, &["symlink"]);
    let last = applied(&env, &["executable"]);
    let answer = gc(&env, &[]);
    assert_eq!(why(&answer, &all[0]), "young");
    // Left forty days ago, as is told by the history.
    let history = env.root().join("history/lab.jsonl");
    let text = fs_err::read_to_string(&history).unwrap();
    let year = regex_free_year(&text);
    fs_err::write(&history, text.replace(&year, "\"at\":\"2001")).unwrap();
    let answer = gc(&env, &[]);
    assert_eq!(why(&answer, &all[0]), "");
    assert_eq!(why(&answer, &all[1]), "earlier");
    assert_eq!(why(&answer, &last), "current");
    assert!(!generations(&env).contains(&all[0]));
    has_no_orphans(&env, "after gc");
}

/// How the year begins in a history.
fn regex_free_year(history: &str) -> String {
    let at = history.find("\"at\":\"").unwrap();
    history[at..at + 10].to_owned()
}

#[test]
fn a_dry_run_says_what_would_go_and_changes_nothing_and_gc_frees_what_it_says() {
    let (env, all) = three();
    let before = tree(&env.root());
    let said = env.run(&["gc", "--keep", "1", "--dry-run"]).success();
    assert!(said.stdout.contains("would go"), "{said}");
    said.says("Would delete 1 generation, 1 package: ");
    assert!(tree(&env.root()) == before, "a dry run changed something");
    let planned = gc(&env, &["--keep", "1", "--dry-run"]);
    assert_eq!(why(&planned, &all[0]), "");

    let (bytes, inodes) = space(&env.root().join("gen"));
    let (package_bytes, packages) = space(&env.root().join("pkgs"));
    let all_before = space(&env.root());
    let done = gc(&env, &["--keep", "1"]);
    assert_eq!(done["freed"], planned["freed"], "{done:#} {planned:#}");
    let all_after = space(&env.root());
    let receipts = space(&env.root().join("history/receipts"));
    // The folder of kept receipts is new; the receipt in it was there.
    let freed = done["freed"]["inodes"].as_u64().unwrap();
    assert_eq!(
        all_before.1 - freed + receipts.1 - 1,
        all_after.1,
        "{bytes} {inodes} {package_bytes} {packages}"
    );
    assert!(done["freed"]["bytes"].as_u64().unwrap() >= 1000);
    assert_eq!(done["packages"], 1);
    assert_eq!(generations(&env), all[1..].iter().cloned().collect());
    has_no_orphans(&env, "after gc");
    // `executable` has links still; it frees nothing and stays.
    assert!(env.root().join("pkgs/executable-1.0-0").is_dir());
    let ran = env
        .program(env.root().join("envs/lab/bin/executable"))
        .output();
    assert_eq!(ran.unwrap().stdout, b"executable 1.0\n");
    env.run(&["rollback"]).success();
    assert_eq!(current(&env), all[1]);
}

#[test]
fn what_a_session_a_script_or_a_kernelspec_names_stays() {
    let (env, all) = three();
    let sessions = env.root().join("sessions");
    fs_err::create_dir_all(sessions.join("start")).unwrap();
    let record = sessions.join("elsewhere.17-0");
    fs_err::create_dir_all(&record).unwrap();
    fs_err::write(
        record.join("session.json"),
        format!(
            r#"{{"session": "envspec-lab+2", "generation": "{}", "job": 17}}"#,
            all[0]
        ),
    )
    .unwrap();
    let script = sessions.join("start/envspec-lab.sh");
    let text = |generation: &str, scheduler: &str| {
        let prefix = env.root().join("gen").join(generation);
        format!(
            "#!/bin/bash\ngeneration={}\nscheduler={scheduler}\nkill -STOP $$\n",
            prefix.display()
        )
    };
    // For a scheduler that this machine does not know: it may wait.
    fs_err::write(&script, text(&all[1], "slurm")).unwrap();
    let answer = gc(&env, &["--keep", "0"]);
    assert_eq!(why(&answer, &all[0]), "session");
    assert_eq!(why(&answer, &all[1]), "session");
    // For none: it stays as long as the script runs.
    fs_err::write(&script, text(&all[1], "none")).unwrap();
    let mut running = env.program("bash").arg(&script).spawn().unwrap();
    soon("the script runs", || {
        let seen = fs_err::read(format!("/proc/{}/cmdline", running.id())).ok()?;
        String::from_utf8_lossy(&seen)
            .contains("envspec-lab.sh")
            .then_some(())
    });
    assert_eq!(why(&gc(&env, &["--keep", "0"]), &all[1]), "session");
    running.kill().unwrap();
    running.wait().unwrap();
    let kernel = env.user_kernels().join("lab-x/kernel.json");
    fs_err::create_dir_all(kernel.parent().unwrap()).unwrap();
    let mark = serde_json::json!({"version": 1, "environment": "lab", "kernel": "x",
        "generation": all[1], "root": env.root()});
    let spec = serde_json::json!({"argv": ["x"], "display_name": "x", "language": "x",
        "metadata": {"envspec": mark}});
    fs_err::write(&kernel, spec.to_string()).unwrap();
    assert_eq!(why(&gc(&env, &["--keep", "0"]), &all[1]), "kernelspec");
    fs_err::remove_dir_all(kernel.parent().unwrap()).unwrap();
    fs_err::remove_dir_all(&record).unwrap();
    gc(&env, &["--keep", "0"]);
    assert_eq!(generations(&env), [all[2].clone()].into());
}

#[test]
fn what_a_job_names_that_waits_stays_and_if_slurm_is_silent_what_any_script_names() {
    let (mut env, all) = three();
    let bin = env.path("bin");
    fs_err::create_dir_all(&bin).unwrap();
    fs_err::create_dir_all(env.root().join("sessions/start")).unwrap();
    let squeue = |text: &str| {
        for (name, text) in [("sbatch", "exit 1"), ("squeue", text)] {
            fs_err::write(bin.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
            let mode = std::fs::Permissions::from_mode(0o755);
            fs_err::set_permissions(bin.join(name), mode).unwrap();
        }
    };
    env.set("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    env.set("SLURM_CONF", "/dev/null");
    let script = env.root().join("sessions/start/envspec-lab.sh");
    let job = |comment: &str| {
        let command = script.display();
        format!("echo '17|PENDING|0:00|8:00||Resources|{comment}|{command}|envspec-lab'")
    };
    squeue(&job(&all[0]));
    let prefix = env.root().join("gen").join(&all[1]);
    fs_err::write(
        &script,
        format!("generation={}\nscheduler=slurm\n", prefix.display()),
    )
    .unwrap();
    let answer = gc(&env, &["--keep", "0", "--dry-run"]);
    assert_eq!(why(&answer, &all[0]), "session");
    assert_eq!(why(&answer, &all[1]), "", "its job has ended");
    // An older envspec's job has no comment: its script tells.
    squeue(&job("(null)"));
    let answer = gc(&env, &["--keep", "0", "--dry-run"]);
    assert_eq!(why(&answer, &all[0]), "");
    assert_eq!(why(&answer, &all[1]), "session");
    // And without its script any may be its own.
    fs_err::remove_file(&script).unwrap();
    let answer = gc(&env, &["--keep", "0", "--dry-run"]);
    assert_eq!(why(&answer, &all[0]), "session");
    assert_eq!(why(&answer, &all[1]), "session");
    fs_err::write(
        &script,
        format!("generation={}\nscheduler=slurm\n", prefix.display()),
    )
    .unwrap();
    squeue("echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1");
    let ran = env.run(&["gc", "--keep", "0", "--json"]).success();
    assert_eq!(why(&ran.json(), &all[1]), "session");
    ran.says("Unable to contact");
    assert_eq!(generations(&env), all[1..].iter().cloned().collect());
}

/// A notebook of the old generation, through everything.
#[test]
fn a_kernel_that_runs_imports_from_its_own_generation_after_apply_rollback_and_gc() {
    let env = TestEnv::new();
    let spec = |more: &str| {
        format!("channels: [conda-forge, tiny]\ndependencies: [python 3.11.*, six, {more}]\n")
    };
    env.spec("lab", &spec("executable"));
    env.run(&["apply"]).success();
    let old = env.prefix("lab");
    let mut kernel = env
        .program(old.join("bin/python"))
        .args(["-i", "-q"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = kernel.stdin.take().unwrap();
    let mut output = BufReader::new(kernel.stdout.take().unwrap());
    let mut ask = |code: &str| {
        writeln!(input, "{code}").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    };
    assert_eq!(ask("print(1)"), "1");
    env.spec("lab", &spec("shared-lib 1.0"));
    env.run(&["apply"]).success();
    env.run(&["rollback"]).success();
    env.run(&["apply"]).success();
    assert_ne!(env.prefix("lab"), old);
    let id = old.file_name().unwrap().to_str().unwrap();
    let answer = gc(&env, &["--keep", "0"]);
    assert_eq!(why(&answer, id), "process");
    for module in ["six", "sqlite3", "colorsys", "xml.dom.minidom"] {
        let file = ask(&format!(
            "import {module}; print(__import__('sys').modules['{module}'].__file__)"
        ));
        assert!(Path::new(&file).starts_with(&old), "{module} is {file}");
    }
    let ran = env
        .program(env.root().join("envs/lab/bin/python"))
        .args(["-c", "import six"])
        .status();
    assert!(ran.unwrap().success());
    kernel.kill().unwrap();
    kernel.wait().unwrap();
    let answer = gc(&env, &["--keep", "0"]);
    assert_eq!(why(&answer, id), "");
    assert!(!old.exists());
    has_no_orphans(&env, "after gc");

    // With the last generation of that Python its bytecode goes too.
    let bytecode = env.root().join("pkgs/.bytecode");
    assert_eq!(names(&bytecode).len(), 1);
    let entries = || names(&bytecode.join(names(&bytecode).first().unwrap()));
    let with_six = entries();
    env.spec(
        "lab",
        "channels: [conda-forge]\ndependencies: [python 3.11.*]\n",
    );
    env.run(&["apply"]).success();
    gc(&env, &["--keep", "0"]);
    assert!(
        entries().len() < with_six.len(),
        "the bytecode of six is left"
    );
    assert!(!entries().is_empty());
    env.tiny(&["executable"]);
    env.run(&["apply"]).success();
    gc(&env, &["--keep", "0"]);
    assert_eq!(names(&bytecode), BTreeSet::new());
}

#[test]
fn an_apply_that_runs_loses_nothing_and_is_waited_for_by_the_next_gc() {
    let server = Server::start(channels());
    let env = TestEnv::with_alias(server.url());
    let old = applied(&env, &["shared-lib 1.0"]);
    env.tiny(&["shared-lib 2.0", "executable", "many-versions"]);
    server.fault("many-versions", Fault::Held);
    let apply = env.start(&["apply"]);
    let fetched = env.unpacked("executable-1.0-0");
    let dry = gc(&env, &["--keep", "0", "--dry-run"]);
    assert_eq!(dry["packages"], 0);
    let ran = env.run(&["gc", "--keep", "0", "--json"]).success();
    assert_eq!(why(&ran.json(), &old), "current");
    assert_eq!(ran.json()["packages"], 0);
    assert!(fetched.is_dir());
    assert!(
        ran.json()["packages_kept"][0]
            .as_str()
            .unwrap()
            .contains("lab is being changed")
    );
    server.release();
    apply.wait().success();
    let half = current(&env);
    let text = fs_err::read_to_string(env.root().join("envs/lab/share/shared-lib.txt"));
    assert_eq!(text.unwrap(), "shared-lib 2.0\n");
    gc(&env, &["--keep", "0"]);
    assert_eq!(generations(&env), [half].into());
    has_no_orphans(&env, "after gc");
}

#[test]
fn what_killed_applies_left_goes_and_what_is_not_ours_stays() {
    let (env, all) = three();
    let root = env.root();
    for folder in [
        "gen/lab-0123456789ab/lib",
        "gen/lab-0123456789ab/.envspec",
        "gen/results",
        "gen/thesis-0123456789ab/chapters",
        "gen/.rubble-1-lab-x/lib",
        "gen/.collected-1-lab-y/lib",
        "pkgs/.rubble-1-x",
        // Right now, by one that was killed: nobody has a lease any more.
        "pkgs/.tmpUnpacked",
        "pkgs/.bytecode/3.11/.new-Compiled",
        "pkgs/mine",
        "outside",
    ] {
        fs_err::create_dir_all(root.join(folder)).unwrap();
    }
    // A repair that was killed when all was built again.
    fs_err::create_dir(root.join("gen").join(format!(".damaged-{}", all[2]))).unwrap();
    fs_err::write(root.join("gen/lab-0123456789ab/lib/file"), "").unwrap();
    fs_err::write(root.join("outside/file"), "").unwrap();
    fs_err::write(root.join("pkgs/gone-1.0-0.lock"), "").unwrap();
    let link = root.join("gen/lab-0123456789ab/link");
    fs_err::os::unix::fs::symlink(root.join("outside"), link).unwrap();
    // A lease of a process that is gone.
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let lease = serde_json::json!({"by": "x@x", "host": host, "pid": child.id(), "since": "x"});
    fs_err::write(root.join("leases/bio"), lease.to_string()).unwrap();
    let half = root.join("leases/.new-abc");
    fs_err::write(&half, "").unwrap();
    let touched = env
        .program("touch")
        .args(["-d", "2 hours ago"])
        .arg(&half)
        .status();
    assert!(touched.unwrap().success());

    // What the same process left beside it, and what one that lives is about to rename.
    fs_err::write(root.join("leases/.new-dead"), lease.to_string()).unwrap();
    fs_err::write(
        root.join("leases/.after-0123456789abcdef"),
        lease.to_string(),
    )
    .unwrap();
    fs_err::write(root.join("leases/.beat-0123456789abcdef"), "3").unwrap();
    let mut living = lease;
    living["pid"] = std::process::id().into();
    let living_lease = root.join("leases/.new-living");
    fs_err::write(&living_lease, living.to_string()).unwrap();

    let planned = gc(&env, &["--dry-run"]);
    assert_eq!(
        planned["packages_kept"],
        serde_json::json!([]),
        "the dead hold nothing"
    );
    let done = gc(&env, &[]);
    assert_eq!(done["generations"], planned["generations"]);
    assert!(
        living_lease.exists(),
        "a lease was taken from under its holder"
    );
    fs_err::remove_file(living_lease).unwrap();
    for foreign in ["gen/results", "gen/thesis-0123456789ab/chapters"] {
        let folder = root.join(foreign);
        assert!(folder.exists(), "{foreign} is not envspec's");
        fs_err::remove_dir_all(folder).unwrap();
    }
    fs_err::remove_dir(root.join("gen/thesis-0123456789ab")).unwrap();
    assert_eq!(generations(&env), all.into());
    assert!(
        root.join("pkgs/mine").is_dir(),
        "a stranger's folder is gone"
    );
    assert!(root.join("outside/file").exists(), "a link was followed");
    assert!(!half.exists(), "a half-written lease is left");
    fs_err::remove_dir(root.join("pkgs/mine")).unwrap();
    has_no_orphans(&env, "after gc");
}

#[test]
fn read_only_generations_go_too() {
    if !have("setpriv") {
        return;
    }
    let (env, all) = three();
    for path in tree(&env.root().join("gen")).into_keys() {
        if path.is_dir() && !path.is_symlink() {
            fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o555)).unwrap();
        }
    }
    let gen_folder = env.root().join("gen");
    fs_err::set_permissions(&gen_folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = env.command(&["gc", "--keep", "0", "--json"]);
    // Root may write where nobody may.
    if rustix::process::getuid().is_root() {
        let own = env
            .program("chown")
            .args(["-R", "65534:65534"])
            .arg(env.path(""))
            .status();
        assert!(own.unwrap().success());
        let run = command;
        command = env.program("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .envs(
                run.get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .arg(run.get_program())
            .args(run.get_args());
    }
    let answer = env.output(&mut command).success().json();
    assert_eq!(why(&answer, &all[0]), "");
    assert_eq!(generations(&env), [all[2].clone()].into());
    has_no_orphans(&env, "after gc");
}

#[test]
fn scripts_and_logs_of_sessions_long_gone_go() {
    let (env, all) = three();
    let sessions = env.root().join("sessions");
    fs_err::create_dir_all(sessions.join("start")).unwrap();
    let script = |name: &str, generation: &str| {
        let prefix = env.root().join("gen").join(generation);
        let path = sessions.join("start").join(name);
        fs_err::write(
            &path,
            format!("generation={}\nscheduler=none\n", prefix.display()),
        )
        .unwrap();
        path
    };
    let old = [
        script("envspec-old.sh", &all[0]),
        sessions.join("17.log"),
        sessions.join("18-0.log"),
    ];
    let kept = [
        script("envspec-lab.sh", &all[2]),
        script("envspec-new.sh", &all[0]),
        sessions.join("19.log"),
        sessions.join("password"),
    ];
    for path in old.iter().skip(1).chain(&kept[2..]) {
        fs_err::write(path, "").unwrap();
    }
    for path in old.iter().chain([&kept[0]]) {
        let touched = env
            .program("touch")
            .args(["-d", "40 days ago"])
            .arg(path)
            .status();
        assert!(touched.unwrap().success());
    }
    let answer = gc(&env, &[]);
    assert_eq!(answer["session_files"], 3);
    for path in &old {
        assert!(!path.exists(), "{} is left", path.display());
    }
    for path in &kept {
        assert!(path.exists(), "{} is gone", path.display());
    }
}

#[test]
fn killed_at_any_call_of_a_gc_the_current_environment_works_and_the_next_gc_finishes() {
    if !can_trace() {
        return;
    }
    let (env, all) = three();
    keep(&env, "kept");
    let arguments = ["gc", "--keep", "0"];
    let works = |at: &str| {
        assert_eq!(current(&env), all[2], "{at}");
        let ran = env
            .program(env.root().join("envs/lab/bin/executable"))
            .output();
        assert_eq!(ran.unwrap().stdout, b"executable 1.0\n", "{at}");
        // What is listed is whole.
        let list = env.run(&["list", "--json"]).success().json();
        for row in list["generations"].as_array().unwrap() {
            let prefix = Path::new(row["prefix"].as_str().unwrap());
            assert!(prefix.join("share/shared-lib.txt").exists(), "{at}: {row}");
            assert!(prefix.join("bin/executable").exists(), "{at}: {row}");
        }
        env.run(&["gc", "--keep", "0"]).success();
        assert_eq!(generations(&env), [all[2].clone()].into(), "{at}");
        has_no_orphans(&env, at);
        env.run(&["apply"]).success().says("Nothing to do");
    };
    let calls = record(&env, &arguments, false);
    put_back(&env, "kept");
    let targets: Vec<_> = calls.iter().map(|call| call.target().to_owned()).collect();
    for wanted in ["root/leases/lab", "root/pkgs/leases/packages"] {
        assert!(
            targets.iter().any(|target| target == wanted),
            "{targets:#?}"
        );
    }
    assert!(calls.len() > 10, "{calls:#?}");
    for call in &calls {
        // Files are opened as often as there are processes to look at, so what is
        // opened later can't be counted; its flush and its rename can.
        let is_opening = ["openat", "write"].contains(&call.name.as_str());
        if is_opening && !call.target().contains("leases/") {
            continue;
        }
        put_back(&env, "kept");
        kill_at(&env, &arguments, call, || put_back(&env, "kept"));
        works(&format!("killed at {call}"));
    }
    // What is deleted, by whichever thread.
    put_back(&env, "kept");
    let mut deleted = record(&env, &arguments, true);
    deleted.retain(|call| !call.first_thread && call.is_known_before());
    for call in deleted.iter().step_by(deleted.len().div_ceil(10).max(1)) {
        put_back(&env, "kept");
        if kill_for(&env, &arguments, call) {
            works(&format!("killed at {call}"));
        }
    }
}

#[test]
fn a_gc_whose_host_is_gone_stops_nobody() {
    let (env, all) = three();
    let gate = "pkgs/leases/packages";
    let waits = "Waiting: what nobody needs is being collected by anna@gone";
    env.dead_lease(gate);
    env.tiny(&["symlink"]);
    env.run(&["apply"]).success().says(waits);
    env.dead_lease(gate);
    env.run(&["gc", "--keep", "0"]).success().says(waits);
    assert!(!generations(&env).contains(&all[0]));
    has_no_orphans(&env, "after gc");
    env.dead_lease("leases/lab");
    fs_err::remove_file(env.prefix("lab").join("share/symlink/link.txt")).unwrap();
    env.run(&["verify", "--repair"])
        .success()
        .says("Waiting: environment lab is being changed by anna@gone");
}

#[test]
fn what_is_no_root_is_left_alone() {
    let env = TestEnv::new();
    for there in [false, true] {
        let root = env.path("elsewhere");
        if there {
            fs_err::create_dir_all(root.join("gen/lab-0123456789ab/.envspec")).unwrap();
        }
        env.run(&["--root", root.to_str().unwrap(), "gc", "--keep", "0"])
            .success()
            .says("Nothing to delete");
        assert_eq!(root.exists(), there, "it was made");
        if there {
            assert_eq!(names(&root), ["gen".to_owned()].into());
            assert!(root.join("gen/lab-0123456789ab").exists());
        }
    }
}

#[test]
fn an_apply_clears_what_killed_ones_of_its_environment_began() {
    let (env, all) = three();
    let of_lab = env.root().join("gen/lab-0123456789ab");
    let of_other = env.root().join("gen/other-0123456789ab");
    for begun in [&of_lab, &of_other] {
        fs_err::create_dir_all(begun.join(".envspec")).unwrap();
        fs_err::write(begun.join("half"), "").unwrap();
    }
    env.tiny(&["symlink"]);
    env.run(&["apply"]).success();
    assert!(!of_lab.exists());
    assert!(of_other.exists(), "somebody may be building it");
    assert!(all.iter().all(|known| generations(&env).contains(known)));
}
