//! Kernels of as many languages as the channel has, each by the way that its packages
//! need (issue 5): shipped and right (xeus-python, R's and bash's rewritten), shipped with
//! a bare `python` (Octave), by an installer (Deno, zsh, xonsh).

use serde_json::{Value, json};

use crate::support::{TestEnv, has_package};

/// For each kernel: a cell that prints to the output, one that prints to standard error
/// and what, one that sets `x`, one that shows whether it is set, and what that shows
/// when it is not. Those that talk with their program through a terminal (bash, zsh,
/// Octave) have one stream for both.
fn cells() -> Value {
    json!({
        "lab-python": ["print(6*7)", "import sys; print('odd', file=sys.stderr)", "x = 5", "print('x' in dir())", "False"],
        "lab-xeus-python": ["print(6*7)", "import sys; print('odd', file=sys.stderr)", "x = 5", "print('x' in dir())", "False"],
        "lab-xonsh": ["print(6*7)", "import sys; print('odd', file=sys.stderr)", "x = 5", "print('x' in dir())", "False"],
        "lab-r": ["cat(6*7)", "message('odd')", "x <- 5", "cat(exists('x'))", "FALSE"],
        "lab-bash": ["echo $((6*7))", "", "x=5", "echo \"x=$x\"", "x="],
        "lab-zsh": ["echo $((6*7))", "", "x=5", "echo \"x=$x\"", "x="],
        "lab-octave": ["disp(6*7)", "", "x = 5;", "disp(exist('x'))", "0"],
        "lab-deno": ["console.log(6*7)", "console.error('odd')", "var x = 5", "console.log(typeof x)", "undefined"],
    })
}

/// Asks Jupyter itself, as a server does: stream and rich output apart, restart, end.
const RUN: &str = r#"
import base64, json, sys
from jupyter_client.manager import start_new_kernel

def outputs(client, cell):
    seen = []
    reply = client.execute_interactive(cell, timeout=120, output_hook=seen.append)
    texts = {"stdout": "", "stderr": ""}
    images = []
    for message in seen:
        if message["msg_type"] == "stream":
            texts[message["content"]["name"]] += message["content"]["text"]
        elif message["msg_type"] in ("display_data", "execute_result"):
            images.append(message["content"]["data"].get("image/png", ""))
    return reply["content"]["status"], texts, images

for name, (printing, erring, setting, asking, unset) in json.loads(sys.argv[1]).items():
    kernel, client = start_new_kernel(kernel_name=name, startup_timeout=120)
    try:
        status, texts, _ = outputs(client, printing)
        assert (status, texts["stdout"].strip(), texts["stderr"]) == ("ok", "42", ""), (name, texts)
        if erring:
            status, texts, _ = outputs(client, erring)
            assert texts["stdout"] == "" and "odd" in texts["stderr"], (name, texts)
        assert outputs(client, setting)[0] == "ok", name
        _, texts, _ = outputs(client, asking)
        assert texts["stdout"].strip() != unset, (name, texts)
        if name == "lab-r":
            _, _, images = outputs(client, "plot(1:3)")
            assert base64.b64decode(images[0]).startswith(b"\x89PNG"), name
        kernel.restart_kernel(now=False)
        client.wait_for_ready(timeout=120)
        _, texts, _ = outputs(client, asking)
        assert texts["stdout"].strip() == unset, (name, texts)
        kernel.shutdown_kernel()
        assert not kernel.is_alive(), name
        print(name)
    finally:
        client.stop_channels()
        if kernel.is_alive():
            kernel.shutdown_kernel(now=True)
"#;

#[test]
fn kernels_of_many_languages_run_side_by_side_and_tell_errors_from_output() {
    let mut env = TestEnv::new();
    let definitions = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/world/kernels");
    env.set("ENVSPEC_KERNELS", definitions);
    let all = [
        "python",
        "r",
        "bash",
        "deno",
        "octave",
        "zsh",
        "xeus-python",
        "xonsh",
    ];
    let missing = |kernel: &&str| {
        ["octave", "zsh", "xeus-python", "xonsh"].contains(kernel) && !has_package(kernel)
    };
    let kernels: Vec<&str> = all.into_iter().filter(|kernel| !missing(kernel)).collect();
    assert!(kernels.len() > 4, "the channel has only {kernels:?}");
    env.spec(
        "lab",
        &format!(
            "channels: [conda-forge]\ndependencies: [python, jupyter_client]\nkernels: [{}]\n",
            kernels.join(", ")
        ),
    );
    env.run(&["apply"]).success();
    let tested = env.run(&["kernels", "test", "--json"]).success().json();
    let passed = tested["kernels"].as_array().unwrap().iter();
    assert!(passed.clone().all(|kernel| kernel["passed"] == true));
    assert_eq!(passed.count(), kernels.len());

    let mut cells = cells();
    let wanted = cells.as_object_mut().unwrap();
    wanted.retain(|name, _| kernels.contains(&name.trim_start_matches("lab-")));
    assert_eq!(wanted.len(), kernels.len());
    let mut python = env.program(env.prefix("lab").join("bin/python"));
    let ran = env
        .output(python.args(["-c", RUN, &cells.to_string()]))
        .success();
    assert_eq!(ran.stdout.lines().count(), kernels.len(), "{ran}");
}
