//! Kernels that run (item 6, "Done when"): each executes code, from its own
//! kernelspec, as Jupyter starts it and as envspec tests it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::support::{Lab, TestEnv, cell, lab, world_python};

#[test]
fn every_kernel_of_the_lab_passes_its_test() {
    let lab = lab();
    let output = lab.run(&["kernels", "test", "--json"]).success();
    let answer = output.json();
    let passed: Vec<&str> = answer["kernels"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|kernel| kernel["passed"] == true)
        .map(|kernel| kernel["kernel"].as_str().unwrap())
        .collect();
    let wanted: Vec<&str> = Lab::kernels().into_iter().map(|(name, _)| name).collect();
    assert_eq!(passed, wanted);
    for kernel in answer["kernels"].as_array().unwrap() {
        let seconds = &kernel["seconds"];
        for step in ["start", "execute", "interrupt", "again", "shutdown"] {
            assert!(seconds[step].is_number(), "{step} was not done: {kernel:#}");
        }
    }
}

#[test]
fn one_kernel_can_be_tested_alone_and_is_shown_with_its_times() {
    let lab = lab();
    let output = lab
        .run(&["kernels", "test", "lab", "--kernel", "deno"])
        .success();
    assert!(
        output.stdout.contains("deno") && output.stdout.contains("works"),
        "{output}"
    );
    assert!(!output.stdout.contains("python"), "{output}");
    lab.run(&["kernels", "test", "--kernel", "cobol"])
        .fails_with(2)
        .says("has no kernel cobol");
}

/// A definition of Deno's kernel with one thing changed.
fn definition(expect: &str) -> String {
    format!(
        "id: deno\nlanguage: typescript\ndisplay_name: Deno\nsummary: changed\n\
         homepage: https://docs.deno.com\npackages: [deno]\n\
         kernelspec:\n  installer:\n    commands: [[deno, jupyter, --install]]\n    dir: deno\n\
         interrupt_mode: message\nsmoke: {{code: \"console.log(6*7)\", expect: \"{expect}\"}}\n\
         interrupt:\n  cell: |\n    console.log(\"started\");\n    while (true) {{}}\nstate: tested\n"
    )
}

#[test]
fn a_kernel_with_another_output_fails_and_the_exit_code_is_6() {
    let mut env = TestEnv::new();
    let definitions = env.path("kernels");
    fs_err::create_dir(&definitions).unwrap();
    fs_err::write(definitions.join("deno.yaml"), definition("43")).unwrap();
    env.set("ENVSPEC_KERNELS", definitions.to_str().unwrap());
    env.spec(
        "lab",
        "channels: [conda-forge]\ndependencies: []\nkernels: [deno]\n",
    );
    env.run(&["apply"]).success();
    let output = env
        .run(&["kernels", "test"])
        .fails_with(6)
        .says("43")
        .says("42");
    assert!(output.stdout.contains("fails"), "{output}");
    let answer = env.run(&["kernels", "test", "--json"]).fails_with(6).json();
    assert_eq!(answer["kernels"][0]["passed"], false);
    assert_eq!(answer["kernels"][0]["failed"], "execute");
}

#[test]
fn a_kernel_that_crashes_fails_with_its_words() {
    let env = TestEnv::new();
    env.spec(
        "lab",
        "channels: [conda-forge]\ndependencies: []\nkernels: [deno]\n",
    );
    env.run(&["apply"]).success();
    let path = env
        .prefix("lab")
        .join("share/jupyter/kernels/deno/kernel.json");
    let mut kernel: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    kernel["argv"] =
        serde_json::json!(["/bin/sh", "-c", "echo the kernel has no wheels >&2; exit 3"]);
    fs_err::remove_file(&path).unwrap();
    fs_err::write(&path, kernel.to_string()).unwrap();
    env.run(&["kernels", "test"])
        .fails_with(6)
        .says("the kernel has no wheels");
}

/// `jupyter kernelspec list --json` of the environment: name to folder.
fn kernelspecs(jupyter: &Path, command: &mut std::process::Command) -> BTreeMap<String, String> {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", jupyter.display());
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    answer["kernelspecs"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, spec)| {
            (
                name.clone(),
                spec["resource_dir"].as_str().unwrap().to_owned(),
            )
        })
        .collect()
}

#[test]
fn jupyter_of_the_environment_shows_its_own_kernels_and_the_registered_ones() {
    let lab = lab();
    let jupyter = lab.prefix().join("bin/jupyter");
    let mut command = lab.program(&jupyter);
    let seen = kernelspecs(&jupyter, command.args(["kernelspec", "list", "--json"]));
    let own = lab.prefix().join("share/jupyter/kernels");
    let users = lab.home().join(".local/share/jupyter/kernels");
    for (name, folder) in Lab::kernels() {
        assert_eq!(seen[folder], own.join(folder).to_str().unwrap());
        let registered = format!("lab-{name}");
        assert_eq!(seen[&registered], users.join(&registered).to_str().unwrap());
    }
}

#[test]
fn a_stale_kernelspec_of_the_user_does_not_win_in_the_activated_environment() {
    let lab = lab();
    // A home of its own, with what an old `ipykernel install --user` leaves.
    let home = tempfile::tempdir().unwrap();
    let stale = home.path().join(".local/share/jupyter/kernels/python3");
    fs_err::create_dir_all(&stale).unwrap();
    let text = r#"{"argv": ["/gone/bin/python"], "display_name": "old", "language": "python"}"#;
    fs_err::write(stale.join("kernel.json"), text).unwrap();
    let script = r"
import pathlib, subprocess, sys, rattler
from rattler.shell import activate, ActivationVariables, Shell
prefix = pathlib.Path(sys.argv[1])
script = activate(prefix, ActivationVariables(None, []), Shell.bash, rattler.Platform.current()).script
run = subprocess.run(['bash', '-c', script + '\njupyter kernelspec list --json'], stdout=subprocess.PIPE, check=True)
sys.stdout.buffer.write(run.stdout)
";
    let python = world_python();
    let mut command = lab.program(&python);
    command
        .env("HOME", home.path())
        .args(["-c", script])
        .arg(lab.root().join("envs/lab"));
    let seen = kernelspecs(&python, &mut command);
    let won = Path::new(&seen["python3"]);
    assert_eq!(
        fs_err::canonicalize(won).unwrap(),
        lab.prefix().join("share/jupyter/kernels/python3")
    );
}

/// What a cell prints that the environment's own nbclient executes, nothing activated.
#[track_caller]
fn printed(kernel: &str, code: &str) -> String {
    let python = lab().prefix().join("bin/python");
    cell(lab().program(python), kernel, code)
}

/// What the spec's variable holds.
const VARIABLE: &str = "it's \"set\" $HOME";

#[test]
fn nbclient_executes_a_notebook_in_python() {
    let own = lab().prefix();
    let code =
        "import os, sys, shutil\nprint(sys.prefix, shutil.which('R'), os.environ['LAB_VARIABLE'])";
    let said = format!("{0} {0}/bin/R {VARIABLE}\n", own.display());
    for kernel in ["python3", "lab-python"] {
        assert_eq!(printed(kernel, code), said);
    }
}

#[test]
fn nbclient_executes_a_notebook_in_r() {
    let own = lab().prefix();
    let code = "cat(R.home(), Sys.which('python'), Sys.getenv('LAB_VARIABLE'), sum(1:4))";
    let said = format!("{0}/lib/R {0}/bin/python {VARIABLE} 10", own.display());
    for kernel in ["ir", "lab-r"] {
        assert_eq!(printed(kernel, code), said);
    }
}

#[test]
fn nbclient_executes_a_notebook_in_bash() {
    let own = lab().prefix();
    let code = "printf '%s %s %s\\n' \"$(command -v python)\" \"$LAB_VARIABLE\" $((6 * 7))";
    let said = format!("{}/bin/python {VARIABLE} 42\n", own.display());
    for kernel in ["bash", "lab-bash"] {
        assert_eq!(printed(kernel, code), said);
    }
}

#[test]
fn a_display_name_of_the_spec_is_what_a_launcher_shows() {
    let path = lab()
        .home()
        .join(".local/share/jupyter/kernels/lab-r/kernel.json");
    let kernel: Value = serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap();
    assert_eq!(kernel["display_name"], "R of the lab");
}

#[test]
fn the_catalogue_is_listed_and_shown() {
    let env = TestEnv::new();
    let list = env.run(&["kernels", "list", "--json"]).success().json();
    let ids: Vec<&str> = list["kernels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kernel| kernel["id"].as_str().unwrap())
        .collect();
    for wanted in ["python", "r", "bash", "julia", "deno", "xeus-python"] {
        assert!(ids.contains(&wanted), "{wanted} is not in {ids:?}");
        env.run(&["kernels", "show", wanted]).success();
    }
    env.run(&["kernels", "show", "pyton"])
        .fails_with(2)
        .says("python");
    let shown = |id: &str| {
        let shown = env.run(&["kernels", "show", id, "--json"]).success().json();
        assert_eq!(shown["version"], 1);
        shown["kernel"].clone()
    };
    // All that a definition says.
    let julia = shown("julia");
    assert_eq!(julia["source"]["way"], "installer");
    assert!(julia["source"]["seconds"].is_number());
    let inherit = julia["source"]["inherit"].as_array().unwrap();
    assert!(inherit.contains(&"JULIA_PKG_SERVER".into()), "{inherit:?}");
    assert_eq!(julia["add_packages"][0], "julia");
    assert!(julia["smoke"]["code"].is_string() && julia["smoke"]["expect"].is_string());
    assert_eq!(julia["not_interruptible"], Value::Null);
    assert!(julia["interrupt_cell"].is_string());
    assert_eq!(shown("deno")["interrupt_mode"], "message");
    let not = shown("c");
    assert_eq!(not["interrupts"], false);
    assert!(not["not_interruptible"].is_string());
}
