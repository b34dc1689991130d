//! Kernelspecs that envspec did not make, what the doctor says of them, and what the
//! lab's own Jupyter does.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::lab::{Lab, lab};
use super::notebook::cell;
use super::test_env::TestEnv;

/// Writes a kernelspec.
pub(crate) fn put_kernelspec(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs_err::create_dir_all(&path).unwrap();
    fs_err::write(path.join("kernel.json"), text).unwrap();
    path
}

/// One of which only the command matters.
pub(crate) fn put_command(folder: &Path, name: &str, argv: &[&str]) -> PathBuf {
    let spec = json!({"argv": argv, "display_name": name, "language": "none"});
    put_kernelspec(folder, name, &spec.to_string())
}

pub(crate) fn put_script(path: &Path, text: &str) {
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, text).unwrap();
    let mode = std::fs::Permissions::from_mode(0o755);
    fs_err::set_permissions(path, mode).unwrap();
}

pub(crate) fn read_kernelspec(kernelspec: &Path) -> Value {
    serde_json::from_slice(&fs_err::read(kernelspec.join("kernel.json")).unwrap()).unwrap()
}

/// What the doctor says of everything.
#[track_caller]
pub(crate) fn judged(env: &TestEnv, arguments: &[&str]) -> Value {
    let all = [&["kernels", "doctor", "--json"], arguments].concat();
    let output = env.output(&mut env.command(&all));
    serde_json::from_str(&output.either().stdout).unwrap()
}

/// What it says of one.
#[track_caller]
pub(crate) fn judgement(answer: &Value, path: &Path) -> Value {
    let all = answer["kernelspecs"].as_array().unwrap();
    let found = all.iter().find(|row| row["path"] == path.to_str().unwrap());
    found
        .unwrap_or_else(|| panic!("no {} in {answer:#}", path.display()))
        .clone()
}

/// Everything that is said of its faults.
pub(crate) fn faults_of(row: &Value) -> String {
    let faults = row["faults"].as_array().unwrap().iter();
    let words = faults.map(|fault| [&fault["found"], &fault["remedy"]].map(Value::to_string));
    words.flatten().collect::<Vec<_>>().join(" ")
}

pub(crate) const MARKED_KERNELSPEC: &str = r#"{"argv": ["/gone/root/gen/lab-1/bin/python"], "metadata": {"envspec":
    {"version": 1, "environment": "lab", "kernel": "python", "generation": "lab-1", "root": "/gone/root"}}}"#;

/// A world whose home is its own and whose environment is the lab.
pub(crate) fn beside_the_lab() -> (TestEnv, &'static Lab) {
    let (mut env, lab) = (TestEnv::new(), lab());
    env.set("ENVSPEC_ROOT", lab.root().to_str().unwrap());
    (env, lab)
}

/// What the lab's own Jupyter finds in this world, which must be what the doctor
/// says that it finds.
#[track_caller]
pub(crate) fn agreed(env: &TestEnv, variables: &[(&str, &str)]) -> Value {
    let lab = lab();
    let mut command = env.program(lab.prefix().join("bin/jupyter"));
    command
        .args(["kernelspec", "list", "--json"])
        .envs(variables.iter().copied());
    let jupyter = env.output(&mut command).success().json();
    let mut command = env.command(&["kernels", "doctor", "--json"]);
    command
        .env("ENVSPEC_ROOT", lab.root())
        .envs(variables.iter().copied());
    let answer: Value = serde_json::from_str(&env.output(&mut command).either().stdout).unwrap();
    let servers = answer["servers"].as_array().unwrap();
    let own = lab.prefix();
    let server = servers
        .iter()
        .find(|server| server["prefix"] == own.to_str().unwrap());
    let mut finds = server.unwrap()["finds"].as_object().unwrap().clone();
    // Jupyter finds these too, and leaves them out when it can't read them.
    finds.retain(|_, path| {
        judgement(&answer, Path::new(path.as_str().unwrap()))["verdict"] != "broken"
    });
    let seen = jupyter["kernelspecs"].as_object().unwrap();
    let seen: serde_json::Map<String, Value> = seen
        .iter()
        .map(|(name, spec)| (name.clone(), spec["resource_dir"].clone()))
        .collect();
    assert_eq!(seen, finds);
    answer
}

/// A virtual environment that has the lab's packages: another prefix with a kernel.
pub(crate) fn venv(env: &TestEnv) -> PathBuf {
    let venv = env.path("venv");
    let mut command = env.program(lab().prefix().join("bin/python"));
    command
        .args(["-m", "venv", "--system-site-packages", "--without-pip"])
        .arg(&venv);
    drop(env.output(&mut command).success());
    venv
}

/// What a cell prints that the lab's own nbclient executes, as a server of the lab would.
#[track_caller]
pub(crate) fn cell_beside_the_lab(env: &TestEnv, data: &Path, kernel: &str, code: &str) -> String {
    let mut python = env.program(lab().prefix().join("bin/python"));
    python.env("JUPYTER_PATH", data);
    cell(python, kernel, code)
}

pub(crate) const IPYKERNEL: [&str; 5] = [
    "python",
    "-m",
    "ipykernel_launcher",
    "-f",
    "{connection_file}",
];
