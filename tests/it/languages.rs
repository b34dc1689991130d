//! Kernels of as many languages as the channel has, each by the way that its packages
//! need: shipped and right (xeus-python, R's and bash's rewritten), shipped with
//! a bare `python` (Octave), by an installer that has all it needs (Deno, zsh), that asks
//! pip (xonsh, gnuplot) or npm (tslab, jslab), by a post-link script (Rust).

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{TestEnv, channels, has_package, skipped};

/// The kernels, and the package without which the channel has none of it: some come from
/// programs that not every release of the machine's system has.
const KERNELS: [(&str, &str); 13] = [
    ("python", "ipykernel"),
    ("r", "r-irkernel"),
    ("bash", "bash_kernel"),
    ("deno", "deno"),
    ("xeus-python", "xeus-python"),
    ("xeus-python-raw", "xeus-python"),
    ("xonsh", "xonsh"),
    ("octave", "octave"),
    ("zsh", "zsh"),
    ("gnuplot", "gnuplot"),
    ("rust", "evcxr"),
    ("tslab", "nodejs"),
    ("jslab", "nodejs"),
];

/// For each kernel: a cell that prints 42, one that prints `odd` to standard error, one
/// that prints `CONDA_PREFIX` of its environment, one that sets a variable, one that shows
/// it, and what that shows when it is set; a loop without an end, where an interrupt ends
/// it and harms nothing else. Those that talk with
/// their program through a terminal (bash, zsh, Octave, gnuplot) have one stream for both.
fn cells(kernel: &str) -> Value {
    let python = json!({
        "prints": "print(6*7)",
        "errs": "import sys; print('odd', file=sys.stderr)",
        "prefix": "import os; print(os.environ['CONDA_PREFIX'])",
        "sets": "x = 5",
        "shows": "print('x' in dir())",
        "set": "True",
    });
    let script = json!({
        "prints": "console.log(6*7)",
        "errs": "console.error('odd')",
        "prefix": "console.log(process.env.CONDA_PREFIX)",
        "sets": "var x = 5",
        "shows": "console.log(typeof x)",
        "set": "number",
        "loops": "console.log('started'); while (true) {}",
    });
    let shell = json!({
        "prints": "echo $((6*7))",
        "prefix": "echo $CONDA_PREFIX",
        "sets": "x=5",
        "shows": "echo \"x=$x\"",
        "set": "x=5",
        "loops": "echo started; while :; do :; done",
    });
    match kernel {
        // Nothing interrupts it but what ends it.
        "xeus-python" | "xeus-python-raw" => python,
        "python" | "xonsh" => {
            let mut cells = python;
            cells["loops"] = json!("print('started', flush=True)\nwhile True:\n    pass");
            cells
        }
        "tslab" | "jslab" => script,
        "deno" => {
            let mut cells = script;
            cells["prefix"] = json!("console.log(Deno.env.get('CONDA_PREFIX'))");
            cells
        }
        "bash" | "zsh" => shell,
        "r" => json!({
            "prints": "cat(6*7)",
            "errs": "message('odd')",
            "prefix": "cat(Sys.getenv('CONDA_PREFIX'))",
            "sets": "x <- 5",
            "shows": "cat(exists('x'))",
            "set": "TRUE",
            "loops": "cat('started\n'); flush(stdout()); while (TRUE) {}",
            "plots": "plot(1:3)",
        }),
        "octave" => json!({
            "prints": "disp(6*7)",
            "prefix": "disp(getenv('CONDA_PREFIX'))",
            "sets": "x = 5;",
            "shows": "disp(exist('x'))",
            "set": "1",
            "loops": "disp('started')\nfflush(stdout);\nwhile true\nend",
        }),
        "gnuplot" => json!({
            "prints": "answer = 6*7; print answer",
            "prefix": "folder = system('echo $CONDA_PREFIX'); print folder",
            "sets": "x = 5",
            "shows": "is = exists('x'); print is",
            "set": "1",
            "plots": "plot sin(x)",
        }),
        "rust" => json!({
            "prints": "println!(\"{}\", 6*7);",
            "errs": "eprintln!(\"odd\");",
            "prefix": "println!(\"{}\", std::env::var(\"CONDA_PREFIX\").unwrap());",
            "sets": "let x = 5;",
            "shows": "println!(\"{x}\");",
            "set": "5",
            "loops": "println!(\"started\"); loop {}",
        }),
        _ => unreachable!("no cells for {kernel}"),
    }
}

/// Where pip finds the wheels that the channel is made of: a folder in the form of an index.
fn index(folder: &Path) -> String {
    let cache = channels().parent().unwrap().join("cache");
    let wheels = fs_err::read_dir(cache).unwrap().flatten();
    let wheels = wheels.filter(|entry| entry.file_name().to_string_lossy().starts_with("wheels-"));
    for wheel in wheels.flat_map(|folder| fs_err::read_dir(folder.path()).unwrap().flatten()) {
        let (path, file) = (wheel.path(), wheel.file_name());
        let file = file.to_str().unwrap();
        let project = file.split('-').next().unwrap();
        let project = folder.join(project.replace(['_', '.'], "-").to_lowercase());
        fs_err::create_dir_all(&project).unwrap();
        let page = project.join("index.html");
        let others = fs_err::read_to_string(&page).unwrap_or_default();
        let link = format!("<a href=\"file://{}\">{file}</a>\n", path.display());
        fs_err::write(&page, others + &link).unwrap();
    }
    format!("file://{}", folder.display())
}

/// What the user's own npm would be told by its variables: the registry, and the authority
/// that vouches for it. The package has an npm, wherever the machine has none.
fn npm_settings(env: &TestEnv) -> Vec<(String, String)> {
    env.spec(
        "node",
        "channels: [conda-forge]\ndependencies: [nodejs]\nkernels: []\n",
    );
    env.run(&["apply", "envs/node.yaml"]).success();
    let prefix = env.prefix("node");
    let npm = |words: &[&str]| {
        let mut npm = std::process::Command::new(prefix.join("bin/npm"));
        npm.args(words).current_dir(env.work());
        let path = std::env::var("PATH").unwrap_or_default();
        npm.env("PATH", format!("{}/bin:{path}", prefix.display()));
        npm.output().unwrap()
    };
    let asked = ["registry", "cafile"].map(|setting| {
        let output = npm(&["config", "get", setting]);
        let value = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        (format!("npm_config_{setting}"), value)
    });
    let network = [
        "NODE_EXTRA_CA_CERTS",
        "HTTPS_PROXY",
        "https_proxy",
        "NO_PROXY",
        "no_proxy",
    ];
    let network = network.map(|name| (name.to_owned(), std::env::var(name).unwrap_or_default()));
    // Node comes with authorities of its own; the machine's count as for its other programs.
    let machines = Path::new("/etc/ssl/certs/ca-certificates.crt");
    let machines = machines.exists().then(|| machines.display().to_string());
    let machines = machines.map(|path| ("NODE_EXTRA_CA_CERTS".to_owned(), path));
    // A later one counts.
    let all = machines.into_iter().chain(asked).chain(network);
    all.filter(|(_, value)| !["", "null", "undefined"].contains(&value.as_str()))
        .collect()
}

#[test]
fn kernels_of_many_languages_run_side_by_side_and_tell_errors_from_output() {
    let mut env = TestEnv::new();
    let (there, missing): (Vec<_>, Vec<_>) = KERNELS
        .into_iter()
        .partition(|(_, package)| has_package(package));
    let kernels: Vec<&str> = there.into_iter().map(|(kernel, _)| kernel).collect();
    if !missing.is_empty() {
        skipped(&format!("the channel has nothing for {missing:?}"));
    }
    for (name, value) in npm_settings(&env) {
        env.set(&name, value);
    }
    env.set("PIP_INDEX_URL", index(&env.path("index")));
    env.spec(
        "lab",
        &format!(
            "channels: [conda-forge]\ndependencies: [python, jupyter_client]\nkernels: [{}]\n",
            kernels.join(", ")
        ),
    );
    env.run(&["apply", "envs/lab.yaml"]).success();
    let tested = env.run(&["kernels", "test", "lab", "--json"]);
    let tested = tested.success().json();
    for (kernel, tested) in kernels.iter().zip(tested["kernels"].as_array().unwrap()) {
        assert_eq!(
            (&tested["kernel"], &tested["passed"]),
            (&json!(kernel), &json!(true))
        );
        let interrupted = tested["seconds"]["interrupt"].is_number();
        assert_eq!(interrupted, cells(kernel)["loops"].is_string(), "{tested}");
    }

    let asked = kernels
        .iter()
        .map(|kernel| (format!("lab-{kernel}"), cells(kernel)));
    let asked = Value::Object(asked.collect());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/languages.py");
    let mut python = env.program(env.prefix("lab").join("bin/python"));
    let ran = env
        .output(python.arg(script).arg(asked.to_string()))
        .success();
    let names: Vec<_> = kernels
        .iter()
        .map(|kernel| format!("lab-{kernel}"))
        .collect();
    // Some kernels write to the output of who started them.
    let done = ran.stdout.lines().filter(|line| line.starts_with("lab-"));
    assert_eq!(done.collect::<Vec<_>>(), names, "{ran}");
}
