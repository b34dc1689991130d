//! Kernelspecs that envspec did not make, judged as Jupyter finds them.

use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::symlink;
use serde_json::json;

use crate::support::{
    CommandOutput, MARKED_KERNELSPEC, Member, TestEnv, agreed, beside_the_lab, faults_of, judged,
    judgement, put_command, put_kernelspec, put_script,
};

/// A kernelspec, its verdict, and words of what was found and of the remedy.
type Row = (PathBuf, &'static str, [&'static str; 2]);

/// Sees that each is found so, by a program and by a person.
#[track_caller]
fn found(env: &TestEnv, table: &[Row]) {
    let answer = judged(env, &[]);
    assert_eq!(answer["version"], 1);
    assert_eq!(answer["good"], false);
    let output = env.run(&["kernels", "doctor"]).fails_with(6);
    for (path, verdict, words) in table {
        let row = judgement(&answer, path);
        assert_eq!(row["verdict"], *verdict, "{row:#}");
        let is_good = row["faults"].as_array().unwrap().is_empty();
        assert_eq!(is_good, *verdict == "good", "{row:#}");
        for word in words {
            assert!(faults_of(&row).contains(word), "{word:?} is not in {row:#}");
            assert!(output.stdout.contains(word), "{word:?}:\n{output}");
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_lowercase();
        let lines = output.stdout.lines();
        let mut rows = lines.filter(|line| line.starts_with(&format!("{name} ")));
        assert!(
            rows.any(|row| row.contains(verdict)),
            "{name} {verdict}:\n{output}"
        );
    }
}

#[test]
fn a_command_that_can_not_run_or_that_the_server_decides_is_found() {
    let env = TestEnv::new();
    let user = env.user_kernels();
    let conda = env.path("conda/bin/conda");
    put_script(&conda, "#!/bin/sh\n");
    let stale = env.path("tools/kernel");
    put_script(&stale, "#!/gone/bin/python -u\n");
    let not_executable = env.path("tools/text");
    fs_err::write(&not_executable, "text").unwrap();
    let put = |name: &str, argv: &[&str]| put_command(&user, name, argv);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let module = ["/usr/bin/python3", "-m", "no_such_kernel.run"];
    let wrapped = [&text(&conda), "run", "-n", "x", "python"];
    found(
        &env,
        &[
            (put("good", &["/bin/sh"]), "good", [""; 2]),
            (
                put("dead", &["/gone/bin/k"]),
                "dead",
                ["/gone/bin/k", "another machine"],
            ),
            (
                put("script", &[&text(&stale)]),
                "dead",
                ["/gone/bin/python", "--repair script"],
            ),
            (
                put("text", &[&text(&not_executable)]),
                "dead",
                ["can't be executed", "remove"],
            ),
            (
                put("module", &module),
                "dead",
                ["no module no_such_kernel", "install"],
            ),
            (
                put_kernelspec(&user, "lab-python", MARKED_KERNELSPEC),
                "dead",
                ["is mounted", "/gone/root"],
            ),
            (
                put("path", &["sh", "-c", "x"]),
                "bare",
                ["server's PATH", "/bin/sh"],
            ),
            (
                put("servers", &["python3", "-m", "x"]),
                "bare",
                ["server's own", "/bin/python3"],
            ),
            (
                put("relative", &["bin/k"]),
                "bare",
                ["notebook's folder", "whole path"],
            ),
            (
                put("wrapped", &wrapped),
                "wrapper",
                ["interrupts", "is not there"],
            ),
        ],
    );
}

#[test]
fn a_kernelspec_that_is_broken_misnamed_hidden_or_of_a_gone_environment_is_found() {
    let mut env = TestEnv::new();
    let user = env.user_kernels();
    let first = env.path("first");
    env.set("JUPYTER_PATH", first.to_str().unwrap());
    let put = |name: &str, text: &str| put_kernelspec(&user, name, text);
    let gone = json!({"argv": ["/bin/sh"], "env": {"CONDA_PREFIX": "/gone/env"}}).to_string();
    let sh = r#"{"argv": ["/bin/sh"]}"#;
    let table = [
        (put("broken", "{"), "broken", ["not valid JSON", "correct"]),
        (
            put("argv", r#"{"argv": "sh"}"#),
            "broken",
            ["argv", "correct"],
        ),
        (user.join("link"), "broken", ["link", "correct"]),
        (put("my kernel", sh), "name", ["letters", "rename"]),
        (put("env", &gone), "env", ["/gone/env", "--adopt env"]),
        (
            put("twice", sh),
            "shadowed",
            ["first/kernels/Twice", "rename"],
        ),
        (
            put_kernelspec(&first.join("kernels"), "Twice", sh),
            "good",
            [""; 2],
        ),
    ];
    symlink("/gone/kernelspec", user.join("link")).unwrap();
    found(&env, &table);
}

#[test]
fn a_folder_of_good_kernelspecs_is_good_and_nothing_else_is_looked_at() {
    let env = TestEnv::new();
    put_command(&env.user_kernels(), "dead", &["/gone/bin/python"]);
    let hub = env.path("hub");
    put_command(&hub, "sh", &["/bin/sh", "{connection_file}"]);
    let output = env
        .run(&["kernels", "doctor", "--dir", hub.to_str().unwrap()])
        .success();
    assert!(
        output.stdout.contains("good") && !output.stdout.contains("dead"),
        "{output}"
    );
    env.run(&["kernels", "doctor", "--dir", "/gone/hub"])
        .fails_with(2)
        .says("is no folder");
    env.run(&["kernels", "doctor", "--dry-run"])
        .fails_with(2)
        .says("--repair");
}

#[test]
fn jupyter_and_the_doctor_agree_on_which_kernelspec_wins() {
    let (env, lab) = beside_the_lab();
    let user = env.user_kernels();
    let own = lab.prefix().join("share/jupyter/kernels");
    let stale = put_command(&user, "Python3", &["/gone/bin/python"]);
    put_kernelspec(&user, "ir", "{");
    put_command(&user, "mine", &["/bin/sh"]);
    let first = env.path("first");
    put_command(&first.join("kernels"), "mine", &["/bin/sh"]);

    let answer = agreed(&env, &[]);
    let shadowed = judgement(&answer, &own.join("python3"));
    assert_eq!(shadowed["verdict"], "shadowed");
    assert!(
        faults_of(&shadowed).contains(stale.to_str().unwrap()),
        "{shadowed:#}"
    );
    assert_eq!(judgement(&answer, &own.join("ir"))["verdict"], "shadowed");

    let answer = agreed(&env, &[("JUPYTER_PREFER_ENV_PATH", "1")]);
    assert_eq!(judgement(&answer, &own.join("python3"))["verdict"], "good");
    // The machine's own Jupyter finds it still.
    assert_eq!(judgement(&answer, &stale)["verdict"], "dead");

    let answer = agreed(&env, &[("JUPYTER_PATH", first.to_str().unwrap())]);
    assert_eq!(
        judgement(&answer, &user.join("mine"))["verdict"],
        "shadowed"
    );
}

#[test]
fn a_python_of_somebody_elses_is_not_run() {
    let env = TestEnv::new();
    let Some(member) = Member::new(&env, 61_018, &[]) else {
        return;
    };
    let hub = env.path("hub");
    let ran = env.path("ran");
    for (name, answers) in [("mine", true), ("theirs", false)] {
        let python = env.path(name).join("bin/python");
        put_script(
            &python,
            &format!("#!/bin/sh\necho {name} >> {}\nexit 3\n", ran.display()),
        );
        if name == "theirs" {
            member.own(&python);
        }
        let path = put_command(&hub, name, &[python.to_str().unwrap(), "-m", "kernel"]);
        let answer = judged(&env, &["--dir", hub.to_str().unwrap()]);
        let dead = judgement(&answer, &path)["verdict"] == "dead";
        assert_eq!(dead, answers, "{name}");
    }
    let ran = fs_err::read_to_string(ran).unwrap();
    assert!(ran.contains("mine") && !ran.contains("theirs"), "{ran}");
}

/// Whether a terminal would obey something of a text.
fn obeyed(output: &CommandOutput) -> bool {
    let all = format!("{}{}", output.stdout, output.stderr);
    all.chars()
        .any(|c| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c))
}

#[test]
fn control_characters_of_a_kernelspec_are_shown_and_not_obeyed() {
    let env = TestEnv::new();
    let hub = env.path("hub");
    let bad = "\u{1b}]0;x\u{7}\r\u{9b}31m\u{202e}";
    put_command(&hub, &format!("a{bad}"), &[&format!("/gone/{bad}")]);
    put_command(&hub, "program", &[&format!("/gone/{bad}")]);
    put_command(&hub, "word", &[bad]);
    put_kernelspec(&hub, "json", &format!("{{\"argv\": {bad}"));
    let wrapped = [
        "/b/bin/conda",
        "run",
        "-p",
        env.root().to_str().unwrap(),
        bad,
    ]
    .map(str::to_owned);
    fs_err::create_dir_all(env.root().join("conda-meta")).unwrap();
    put_kernelspec(
        &hub,
        "wrapped",
        &json!({"argv": wrapped, "env": {"CONDA_PREFIX": format!("/gone/{bad}")}}).to_string(),
    );
    let mark =
        MARKED_KERNELSPEC.replace("\"lab\"", &json!(format!("lab{bad}; reboot")).to_string());
    put_kernelspec(&hub, "marked", &mark);
    let dir = ["kernels", "doctor", "--dir", hub.to_str().unwrap()];
    let output = env.run(&dir).fails_with(6);
    assert!(
        output.stdout.contains("\\u{1b}") && !obeyed(&output),
        "{output}"
    );
    for name in ["word", "json", "wrapped", "program", "marked", bad] {
        let output = env.run(&[&dir[..], &["--adopt", name]].concat()).either();
        assert!(
            output.code != Some(0) && !obeyed(&output),
            "{name}: {output}"
        );
    }
    for more in [&["--repair", "--dry-run"][..], &["--repair"]] {
        let output = env.run(&[&dir[..], more].concat()).fails_with(6);
        assert!(!obeyed(&output), "{output}");
    }
}
