//! Kernelspecs that envspec did not make, mended when asked, and never lost.

use std::process::Command;

use fs_err::os::unix::fs::symlink;
use serde_json::{Value, json};

use crate::support::{
    IPYKERNEL, MARKED_KERNELSPEC, Member, TestEnv, agreed, beside_the_lab, cell_beside_the_lab,
    faults_of, judged, judgement, lab, put_command, put_kernelspec, put_script, read_kernelspec,
    tree, venv,
};

#[test]
fn a_repair_takes_a_stale_kernelspec_out_of_the_way_and_a_second_one_has_nothing_to_do() {
    let (env, lab) = beside_the_lab();
    let user = env.user_kernels();
    let stale = put_command(&user, "python3", &["/gone/bin/python"]);
    fs_err::write(stale.join("logo-32x32.png"), "logo").unwrap();
    // No longer readable, and in the way too.
    put_kernelspec(&user, "bash", "{");
    // Neither is anybody's to decide but its owner's.
    let kept = [
        put_kernelspec(&user, "notes", "{"),
        put_command(&user, "bare", &["sh"]),
    ];
    let marked = put_kernelspec(&user, "lab-x", MARKED_KERNELSPEC);
    let before = tree(&user);

    env.run(&["kernels", "doctor", "--repair", "--dry-run"])
        .fails_with(6)
        .says("Would do");
    assert_eq!(before, tree(&user));
    let output = env.run(&["kernels", "doctor", "--repair"]).fails_with(6);
    for path in kept.iter().chain([&marked]) {
        assert!(path.join("kernel.json").is_file(), "{output}");
    }
    assert!(!stale.exists() && !user.join("bash").exists(), "{output}");
    let removed = env.path("home/.local/share/jupyter/kernels.removed-by-envspec");
    let names: Vec<String> = fs_err::read_dir(&removed)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let python3 = names
        .iter()
        .find(|name| name.starts_with("python3-20"))
        .unwrap();
    assert!(removed.join(python3).join("logo-32x32.png").is_file());
    assert!(output.stderr.contains(python3), "{output}");

    let answer = agreed(&env, &[]);
    let own = lab.prefix().join("share/jupyter/kernels");
    for name in ["python3", "bash"] {
        assert_eq!(judgement(&answer, &own.join(name))["verdict"], "good");
    }
    let before = tree(&env.path("home"));
    env.run(&["kernels", "doctor", "--repair"])
        .fails_with(6)
        .says("nothing that can be mended");
    assert_eq!(before, tree(&env.path("home")));
}

#[test]
fn what_another_machine_may_have_stays_until_it_is_named() {
    let mut env = TestEnv::new();
    let (user, first) = (env.user_kernels(), env.path("first"));
    env.set("JUPYTER_PATH", first.to_str().unwrap());
    let python = |prefix: &str| {
        let python = env.path(prefix).join("bin/python");
        python.to_str().unwrap().to_owned()
    };
    // A disk of another machine; a venv in this home, of whose Python that is so.
    let node = put_command(&user, "node", &["/gone/bin/python"]);
    let venv = put_command(&user, "venv", &[&python("venv")]);
    fs_err::create_dir_all(env.path("venv/bin")).unwrap();
    fs_err::write(env.path("venv/pyvenv.cfg"), "home = /gone/bin\n").unwrap();
    symlink("/gone/bin/python3", python("venv")).unwrap();
    // Hidden by one that is not there either: nobody gains by its going.
    let twice = [first.join("kernels"), user.clone()]
        .map(|folder| put_command(&folder, "twice", &["/gone/bin/k"]));
    // Its environment is there and has no Python any more.
    let deleted = put_command(&user, "deleted", &[&python("conda")]);
    fs_err::create_dir_all(env.path("conda/conda-meta")).unwrap();

    drop(env.run(&["kernels", "doctor", "--repair"]).fails_with(6));
    assert!(!deleted.exists());
    let answer = judged(&env, &[]);
    for path in [&node, &venv, &twice[0], &twice[1]] {
        let said = faults_of(&judgement(&answer, path));
        assert!(said.contains("another machine"), "{said}");
    }

    let before = tree(&user);
    let repair = |names: &[&str]| env.run(&[&["kernels", "doctor", "--repair"], names].concat());
    drop(
        repair(&["node", "--dry-run"])
            .fails_with(6)
            .says("Would do"),
    );
    drop(
        repair(&["node", "nose"])
            .fails_with(2)
            .says("there is no kernelspec nose"),
    );
    assert_eq!(before, tree(&user));
    drop(repair(&["node", "Venv"]).fails_with(6).says("node-20"));
    assert!(!node.exists() && !venv.exists());
    assert!(twice.iter().all(|path| path.exists()));
}

#[test]
fn what_a_root_left_that_is_not_seen_goes_by_name_alone() {
    let env = TestEnv::new();
    let user = env.user_kernels();
    let marked = |name: &str, root: &str| {
        let root = env.path(root);
        let text = MARKED_KERNELSPEC.replace("/gone/root", root.to_str().unwrap());
        put_kernelspec(&user, name, &text)
    };
    fs_err::create_dir_all(env.path("mount")).unwrap();
    fs_err::create_dir_all(env.path("there/gen")).unwrap();
    let kept = [
        // Deleted, or of another cluster with this home; where a disk would be mounted; one
        // whose generation alone is gone.
        (marked("lab-gone", "deleted"), "--repair lab-gone"),
        (marked("lab-mount", "mount/root"), "is mounted"),
        (marked("lab-on", "mount"), "is mounted"),
        (marked("lab-below", "no/such/root"), "is mounted"),
        (marked("lab-there", "there"), "envspec delete lab"),
    ];
    let answer = judged(&env, &["--repair"]);
    assert_eq!(answer["changes"], json!([]));
    for (path, word) in &kept {
        let said = faults_of(&judgement(&answer, path));
        assert!(said.contains(word), "{said}");
    }
    // Who knows that it will not come back names it.
    for name in ["lab-gone", "lab-mount", "lab-on", "lab-below"] {
        let output = env.run(&["kernels", "doctor", "--repair", name]).either();
        assert!(output.stderr.contains(&format!("{name}-20")), "{output}");
    }
    let left: Vec<bool> = kept.iter().map(|(path, _)| path.exists()).collect();
    assert_eq!(left, [false, false, false, false, true]);
}

#[test]
fn a_bare_kernel_of_a_prefix_runs_in_the_servers_until_it_is_repaired() {
    let mut env = TestEnv::new();
    let venv = venv(&env);
    env.set("VIRTUAL_ENV", venv.to_str().unwrap());
    let data = venv.join("share/jupyter");
    let text = format!(
        r#"{{"x-own": {{"b": 1, "a": 2}}, "argv": {}, "display_name": "mine", "language": "python"}}"#,
        json!(IPYKERNEL)
    );
    let mine = put_kernelspec(&data.join("kernels"), "mine", &text);
    fs_err::write(mine.join("logo-svg.svg"), "logo").unwrap();
    let code = "import sys; print(sys.prefix)";
    let wrong = cell_beside_the_lab(&env, &data, "mine", code);
    assert_eq!(wrong.trim(), lab().prefix().to_str().unwrap());

    let found = judgement(&judged(&env, &[]), &mine);
    assert_eq!(found["verdict"], "bare");
    drop(env.run(&["kernels", "doctor", "--repair"]).either());
    assert_eq!(
        cell_beside_the_lab(&env, &data, "mine", code).trim(),
        venv.to_str().unwrap()
    );
    let python = venv.join("bin/python");
    let written = text.replacen("\"python\"", &json!(python).to_string(), 1);
    let wanted: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(read_kernelspec(&mine), wanted);
    let first = |spec: &Value| spec.as_object().unwrap().keys().next().cloned();
    assert_eq!(first(&read_kernelspec(&mine)).as_deref(), Some("x-own"));
    let kept = fs_err::read_to_string(mine.join("kernel.json.before-envspec")).unwrap();
    assert_eq!(kept, text);
    assert!(mine.join("logo-svg.svg").is_file());

    let before = tree(&data);
    assert_eq!(
        judgement(&judged(&env, &["--repair"]), &mine)["verdict"],
        "good"
    );
    assert_eq!(before, tree(&data));
}

#[test]
fn nothing_in_a_generation_is_changed_also_by_root() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib"]);
    env.run(&["apply"]).success();
    let prefix = env.prefix("lab");
    let writable = Command::new("chmod")
        .args(["-R", "u+w"])
        .arg(&prefix)
        .status();
    assert!(writable.unwrap().success());
    let kernels = prefix.join("share/jupyter/kernels");
    put_script(&prefix.join("bin/k"), "#!/bin/sh\n");
    let bare = put_command(&kernels, "bare", &["k"]);
    let dead = put_command(&kernels, "dead", &["/gone/k"]);
    let before = tree(&prefix);
    let given = ["--repair", "--dir", kernels.to_str().unwrap()];
    for arguments in [&["--repair"][..], &given] {
        let answer = judged(&env, arguments);
        for path in [&bare, &dead] {
            let row = judgement(&answer, path);
            assert_eq!(row["made_by_envspec"], true);
            assert!(faults_of(&row).contains("lab"), "{row:#}");
        }
    }
    drop(
        env.run(&["kernels", "doctor", "--adopt", "bare"])
            .fails_with(2)
            .says("envspec's own"),
    );
    assert_eq!(before, tree(&prefix));
}

#[test]
fn the_prefix_of_an_isolated_kernel_is_its_generations_and_nothing_leads_into_it() {
    let env = TestEnv::new();
    let kernel = "{use: deno, isolated: true, dependencies: [shared-lib]}";
    env.spec(
        "lab",
        &format!("channels: [conda-forge, tiny]\nkernels:\n  - two: {kernel}\n"),
    );
    env.run(&["apply"]).success();
    let own = env.prefix("lab").join("envs/two");
    let writable = Command::new("chmod").args(["-R", "u+w"]).arg(&own).status();
    assert!(writable.unwrap().success());
    let kernels = own.join("share/jupyter/kernels");
    let dead = put_command(&kernels, "dead", &["/gone/k"]);
    put_script(&own.join("bin/k"), "#!/bin/sh\n");
    let bare = put_command(&kernels, "bare", &["k"]);
    // By the generation's name, and by the environment's.
    let user = env.user_kernels();
    let by_link = env.root().join("envs/lab/envs/two");
    for (name, prefix) in [("straight", &own), ("by-link", &by_link)] {
        let program = prefix.join("bin/k");
        put_command(&user, name, &[program.to_str().unwrap()]);
    }
    let before = (tree(&own), tree(&user));
    let answer = judged(&env, &["--repair", "--dir", kernels.to_str().unwrap()]);
    assert_eq!(answer["changes"], json!([]), "{answer:#}");
    for path in [&bare, &dead] {
        let row = judgement(&answer, path);
        assert_eq!(row["place"], "env lab", "{row:#}");
    }
    for name in ["straight", "by-link"] {
        drop(
            env.run(&["kernels", "doctor", "--adopt", name])
                .fails_with(2)
                .says("a generation of envspec's"),
        );
    }
    assert_eq!(before, (tree(&own), tree(&user)));
}

#[test]
fn a_folder_of_somebody_elses_is_judged_and_left() {
    let env = TestEnv::new();
    let Some(member) = Member::new(&env, 61_017, &[]) else {
        return;
    };
    let hub = env.path("hub");
    let dead = put_command(&hub, "dead", &["/gone/bin/python"]);
    let before = tree(&hub);
    let root = env.root();
    let line = |arguments: &str| format!("kernels doctor --dir {} {arguments}", hub.display());
    let mut command = member.command(&root, "022", &line("--json --repair"));
    let answer = env.output(&mut command).fails_with(6).json();
    let found = judgement(&answer, &dead);
    assert!(faults_of(&found).contains("you can't change"), "{found:#}");
    assert_eq!(answer["changes"], json!([]));
    let mut command = member.command(&root, "022", &line("--adopt dead"));
    drop(
        env.output(&mut command)
            .fails_with(7)
            .says("you can't change"),
    );
    assert_eq!(before, tree(&hub));
}
