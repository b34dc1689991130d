//! Two Pythons that share no package that is compiled: the server's own and the kernel's.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Ran, TestEnv, channels, has_package, skipped};

/// Whether the world has the channel with both Pythons.
fn has_both() -> bool {
    let has = channels().join("pythons").is_dir();
    if !has {
        skipped("there is no second Python: its source could not be had");
    }
    has
}

/// For each kernel: a cell that prints, one that sets `x`, one that shows whether it is
/// set, with what that shows if it is and if it is not, one that shows what the kernel's
/// processes are told of Python, and one that never ends.
fn cells() -> Value {
    const TOLD: &str = r#"printf '<%s>' "$CONDA_PREFIX" "$CONDA_DEFAULT_ENV" "${PATH%%:*}" "$PYTHONPATH" "$(python -c 'import sys; print(*sys.version_info[:2], sys.prefix)')""#;
    let quoted = format!("{TOLD:?}");
    // As Octave has it: a quote within single ones is doubled.
    let doubled = format!("'{}'", TOLD.replace('\'', "''"));
    json!({
        "lab-python": ["print(6*7)", "x = 5", "print('x' in dir())", "True", "False",
            format!("import subprocess; print(subprocess.getoutput({quoted}))"), "while True: pass"],
        "lab-r": ["cat(6*7)", "x <- 5", "cat(exists('x'))", "TRUE", "FALSE",
            format!("cat(system({quoted}, intern = TRUE))"), "repeat { y <- 1 }"],
        "lab-bash": ["echo $((6*7))", "x=5", "echo \"x=$x\"", "x=5", "x=",
            TOLD, "while :; do :; done"],
        "lab-octave": ["disp(6*7)", "x = 5;", "disp(exist('x'))", "1", "0",
            format!("[~, said] = system({doubled}); disp(said)"), "while true; end"],
    })
}

/// A server's Jupyter, in an environment as an activated one has it, with what a site's
/// module may add.
const SERVER: &str = r#"
import json, os, sys, time
from jupyter_client.manager import start_new_kernel

def outputs(client, cell):
    seen = []
    def see(message):
        if message["msg_type"] == "stream":
            seen.append(message["content"]["text"])
    reply = client.execute_interactive(cell, timeout=120, output_hook=see)
    assert reply["content"]["status"] == "ok", reply["content"]
    return "".join(seen).strip()

def interrupt(kernel, client, cell):
    asked = client.execute(cell)
    def until(kind, **content):
        while True:
            message = client.get_iopub_msg(timeout=60)
            mine = message["parent_header"].get("msg_id") == asked
            if mine and message["msg_type"] == kind and content.items() <= message["content"].items():
                return
    until("execute_input")
    time.sleep(1)
    kernel.interrupt_kernel()
    # It would never end by itself, and a kernel that had died would have lost `x`.
    until("status", execution_state="idle")
    # IRkernel gives up what was asked by then.
    time.sleep(0.5)

told = {}
for name, (printing, setting, asking, is_set, unset, telling, endless) in json.loads(sys.argv[1]).items():
    kernel, client = start_new_kernel(kernel_name=name, startup_timeout=120)
    try:
        assert kernel.kernel_spec.resource_dir == os.path.expanduser("~/.local/share/jupyter/kernels/" + name)
        assert outputs(client, printing) == "42", name
        outputs(client, setting)
        interrupt(kernel, client, endless)
        assert outputs(client, asking) == is_set, name
        kernel.restart_kernel(now=False)
        client.wait_for_ready(timeout=120)
        assert outputs(client, asking) == unset, name
        told[name] = outputs(client, telling)
        if name == "lab-python":
            told["path"] = outputs(client, "import sys; print(*sys.path, sep='\\n')")
            told["version"] = outputs(client, "print(*sys.version_info[:2], sys.prefix)")
        kernel.shutdown_kernel()
        assert not kernel.is_alive(), name
    finally:
        client.stop_channels()
        if kernel.is_alive():
            kernel.shutdown_kernel(now=True)
told["server"] = "%d %d" % sys.version_info[:2] + " " + sys.prefix
print(json.dumps(told))
"#;

/// Runs Python in the activated prefix, beside what a site's module sets.
fn served(env: &TestEnv, prefix: &Path, code: &str, argument: &str) -> Ran {
    let own = prefix.display();
    let site = env.path("site");
    fs_err::create_dir_all(&site).unwrap();
    // It would end any Python that looks there and is not the server's.
    let guard = "import sys\nif sys.version_info[:2] != (3, 13):\n    sys.exit('not my Python')\n";
    fs_err::write(site.join("sitecustomize.py"), guard).unwrap();
    let mut python = env.program(prefix.join("bin/python"));
    python
        .env("CONDA_PREFIX", prefix)
        .env("CONDA_DEFAULT_ENV", "server")
        .env("PATH", format!("{own}/bin:/usr/local/bin:/usr/bin:/bin"))
        .env(
            "PYTHONPATH",
            format!("{}:{own}/lib/python3.13/site-packages", site.display()),
        )
        .args(["-c", code, argument]);
    env.output(&mut python)
}

#[test]
fn kernels_run_from_a_server_whose_python_is_another_and_hear_nothing_of_it() {
    if !has_both() {
        return;
    }
    let env = TestEnv::new();
    env.spec(
        "server",
        "channels: [pythons]\ndependencies: [python 3.13.*, jupyter_client, nbconvert, pip]\n",
    );
    let mut cells = cells();
    if !has_package("octave") {
        cells.as_object_mut().unwrap().remove("lab-octave");
    }
    let kernels = cells.as_object().unwrap().keys();
    let kernels: Vec<&str> = kernels
        .map(|name| name.strip_prefix("lab-").unwrap())
        .collect();
    let kernels = kernels.join(", ");
    env.spec(
        "lab",
        &format!("channels: [pythons]\ndependencies: [python 3.11.*]\nkernels: [{kernels}]\n"),
    );
    env.run(&["apply", "envs/server.yaml"]).success();
    env.run(&["apply", "envs/lab.yaml"]).success();
    let (server, lab) = (env.prefix("server"), env.prefix("lab"));
    // The channel's packages are right for the second Python too.
    let check = "import runpy, sys\nsys.argv = ['pip', 'check']\nrunpy.run_module('pip')";
    served(&env, &server, check, "").success();

    let ran = served(&env, &server, SERVER, &cells.to_string()).success();
    let told: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    let (server, lab) = (server.display(), lab.display());
    assert_eq!(told["server"], format!("3 13 {server}"));
    assert_eq!(told["version"], format!("3 11 {lab}"));
    let own = format!("<{lab}><lab><{lab}/bin><><3 11 {lab}>");
    for name in cells.as_object().unwrap().keys() {
        assert_eq!(told[name], own, "{name}");
    }
    let foreign = |line: &&str| line.contains("3.13") || line.contains("/site/");
    let path = told["path"].as_str().unwrap();
    assert_eq!(path.lines().find(foreign), None, "{path}");
}

/// A notebook of one cell, in the Jupyter of the environment.
const CELL: &str = r#"
import json, sys
from jupyter_client.manager import start_new_kernel
said = {}
for name in json.loads(sys.argv[1]):
    kernel, client = start_new_kernel(kernel_name=name, startup_timeout=120)
    lines = []
    def see(message):
        if message["msg_type"] == "stream":
            lines.append(message["content"]["text"])
    try:
        # `zmq` is compiled for the one or the other.
        cell = "import os, sys, zmq; print(*sys.version_info[:2], sys.prefix, os.environ['CONDA_PREFIX'], zmq.__file__)"
        client.execute_interactive(cell, timeout=120, output_hook=see)
        said[name] = "".join(lines).split()
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
print(json.dumps(said))
"#;

#[test]
fn two_kernels_of_pythons_that_exclude_each_other_run_side_by_side_when_one_is_isolated() {
    if !has_both() {
        return;
    }
    let env = TestEnv::new();
    let spec = |isolated: &str| {
        env.spec(
            "lab",
            &format!(
                "channels: [pythons]\ndependencies: [python 3.13.*, jupyter_client]\nkernels:\n  - python\n  \
                 - old: {{use: python, dependencies: [python 3.11.*]{isolated}}}\n"
            ),
        )
    };
    spec("");
    let told = env.run(&["lock"]).fails_with(4);
    told.says("these two requirements cannot be met together")
        .says("`- old: {isolated: true}`");
    assert!(!env.work().join("envs/lab.lock").exists());

    spec(", isolated: true");
    env.run(&["apply"]).success();
    let prefix = env.prefix("lab");
    let names = json!(["lab-python", "lab-old", "python3", "old"]);
    let ran = served(&env, &prefix, CELL, &names.to_string()).success();
    let said: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    for (name, minor, of) in [
        ("lab-python", 13, prefix.clone()),
        ("python3", 13, prefix.clone()),
        ("lab-old", 11, prefix.join("envs/old")),
        ("old", 11, prefix.join("envs/old")),
    ] {
        let zmq = of.join(format!("lib/python3.{minor}/site-packages/zmq/__init__.py"));
        assert_eq!(
            said[name],
            json!(["3", minor.to_string(), of, of, zmq]),
            "{name}"
        );
    }
    let tested = env.run(&["kernels", "test", "--json"]).success().json();
    let passed = tested["kernels"].as_array().unwrap().iter();
    assert!(passed.clone().all(|kernel| kernel["passed"] == true));
    assert_eq!(passed.count(), 2);
}
