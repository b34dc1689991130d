//! `init`: a first spec, by flags or by answers.

use std::io::Write as _;
use std::process::Stdio;

use crate::support::TestEnv;

fn spec(env: &TestEnv, name: &str) -> String {
    fs_err::read_to_string(env.work().join(format!("envs/{name}.yaml"))).unwrap()
}

#[test]
fn a_first_spec_by_flags_can_be_applied_as_it_is() {
    let env = TestEnv::new();
    let flags = ["--kernel", "python", "--kernel", "bash", "--package", "six"];
    env.run(&[&["init", "first"][..], &flags].concat())
        .success()
        .says("envspec apply envs/first.yaml");
    let text = spec(&env, "first");
    assert!(
        text.contains("  - six\n") && text.contains("  - bash\n"),
        "{text}"
    );
    env.run(&["check"]).success();
    env.run(&["apply"]).success();
    assert!(env.user_kernels().join("first-bash").is_dir());
    let python = env.prefix("first").join("bin/python");
    let code = "import six, jupyterlab";
    env.output(env.program(python).args(["-c", code])).success();
}

#[test]
fn what_is_there_stays_and_what_can_not_be_is_not_written() {
    let env = TestEnv::new();
    env.spec("lab", "name: mine\n");
    env.run(&["init"]).fails_with(2).says("envs/lab.yaml");
    assert_eq!(spec(&env, "lab"), "name: mine\n");
    for (arguments, told) in [
        (["other", "--kernel", "pyhton"], "did you mean `python`"),
        (
            ["other", "--package", "a >>1"],
            "not a requirement that conda understands",
        ),
        (["other", "--site", "nowhere"], "there is no site `nowhere`"),
        (["other", "--channel", "a b"], "a channel cannot be"),
    ] {
        env.run(&[&["init"][..], &arguments].concat())
            .fails_with(2)
            .says(told);
        assert!(
            !env.work().join("envs/other.yaml").exists(),
            "{arguments:?}"
        );
    }
    for name in ["../x", "a b", "-x.yaml/..", ""] {
        env.run(&["init", "--", name]).fails_with(2);
    }
    env.run(&["init", "elsewhere/own.yml"]).success();
    assert!(env.work().join("elsewhere/own.yml").exists());
}

/// `script` of util-linux gives a terminal.
#[test]
fn who_can_answer_is_asked_three_questions() {
    let env = TestEnv::new();
    let shell = format!("{} init", env!("CARGO_BIN_EXE_envspec"));
    let mut command = env.program("script");
    command
        .args(["--quiet", "--return", "--command", &shell, "/dev/null"])
        .env("ENVSPEC_ROOT", env.root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(b"mine\npyhton\npython, bash\nsix, numpy >=1\n")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("Name of the environment [lab]: "), "{said}");
    assert!(said.contains("did you mean `python`"), "{said}");
    assert_eq!(said.matches("Kernels (").count(), 2, "{said}");
    let text = spec(&env, "mine");
    for line in [
        "name: mine\n",
        "  - six\n",
        "  - numpy >=1\n",
        "  - python\n",
        "  - bash\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
}
