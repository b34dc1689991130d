//! A finished generation is read-only on disk, and what users install for
//! themselves goes to their personal library.
//!
//! As a user without privileges: root may write anywhere.

use std::path::Path;
use std::process::Command;

use crate::support::{TestEnv, have, skipped, tree};

/// Neither root nor one who owns anything here.
const USER: &str = "54321";

/// A world that belongs to an ordinary user; `None` if there can't be one here.
fn world() -> Option<TestEnv> {
    if !have("setpriv") {
        return None;
    }
    if !rustix::process::geteuid().is_root() {
        skipped("only root can become somebody else");
        return None;
    }
    let env = TestEnv::new();
    give(&env);
    Some(env)
}

/// Gives all that is in the world to its user.
fn give(env: &TestEnv) {
    let owner = format!("{USER}:{USER}");
    let mut chown = env.program("chown");
    chown.args(["-Rh", &owner]).arg(env.path(""));
    assert!(chown.status().unwrap().success());
}

/// The same command as the world's user.
fn as_user(env: &TestEnv, command: &Command) -> Command {
    let mut user = env.program("setpriv");
    user.args(["--reuid", USER, "--regid", USER, "--clear-groups", "--"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        user.env(name, value.unwrap());
    }
    user
}

/// Executes cells in a kernel one after the other, and gives what they printed;
/// as a session's server does, with personal packages kept out of the server.
fn cells(env: &TestEnv, kernel: &str, cells: &[&str]) -> Vec<String> {
    const RUN: &str = r#"
import json, sys, nbformat, nbclient
kernel, *cells = sys.argv[1:]
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
nbclient.NotebookClient(notebook, kernel_name=kernel, timeout=120, allow_errors=True).execute()
def text(output):
    return output.get("text", "") + "\n".join(output.get("traceback", []))
print("\n" + json.dumps(["".join(map(text, cell.outputs)) for cell in notebook.cells]))
"#;
    let mut python = env.program(env.prefix("lab").join("bin/python"));
    python
        .env("PYTHONNOUSERSITE", "1")
        .args(["-c", RUN, kernel])
        .args(cells);
    let said = env.output(&mut as_user(env, &python)).success().stdout;
    // Before it is what the kernel's own programs printed.
    serde_json::from_str(said.lines().last().unwrap()).unwrap()
}

/// A wheel of one module.
fn wheel(env: &TestEnv) -> std::path::PathBuf {
    const MAKE: &str = r#"
import sys, zipfile
info = "mine-1.0.dist-info/"
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    wheel.writestr("mine.py", "answer = 42\n")
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(info + "RECORD", "mine.py,,\n" + info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "RECORD,,\n")
"#;
    let path = env.path("work/mine-1.0-py3-none-any.whl");
    let mut python = env.program(env.prefix("lab").join("bin/python"));
    env.output(python.args(["-B", "-c", MAKE]).arg(&path))
        .success();
    path
}

/// What may be written below a folder, as its own user sees it.
fn writable(env: &TestEnv, folder: &Path) -> String {
    let mut find = env.program("find");
    find.arg(folder).args(["!", "-type", "l", "-writable"]);
    env.output(&mut as_user(env, &find)).success().stdout
}

const SPEC: &str = "channels: [conda-forge, tiny]\ndependencies: [python, pip, nbclient]\n\
                    kernels: [python, r]\n";

#[test]
fn a_notebook_can_change_neither_generation_nor_cache_and_its_packages_go_to_the_personal_library()
{
    let Some(env) = world() else { return };
    env.spec("lab", SPEC);
    give(&env);
    let apply = || env.output(&mut as_user(&env, &env.command(&["apply"])));
    apply().success();
    let prefix = env.prefix("lab");
    assert_eq!(writable(&env, &prefix), "", "can be written");
    let wheel = wheel(&env);
    let before = (tree(&prefix), tree(&env.root().join("pkgs")));

    // Python: into the generation never, without saying where into the library.
    let install = |options: &str| {
        format!(
            "import subprocess, sys, sysconfig\nprint(subprocess.run([sys.executable, '-m', 'pip', \
             'install', '--no-index', '--no-deps', {options} '{}'], text=True, \
             stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout)",
            wheel.display()
        )
    };
    let said = cells(
        &env,
        "lab-python",
        &[
            &install("'--target', sysconfig.get_path('purelib'),"),
            "open(sys.executable, 'ab')",
            "open(subprocess.__file__, 'ab')",
            &install(""),
            "import mine, site; print(mine.answer, mine.__file__)",
        ],
    );
    assert!(said[0].contains("Permission denied"), "{}", said[0]);
    assert!(said[1].contains("PermissionError"), "{}", said[1]);
    assert!(said[2].contains("PermissionError"), "{}", said[2]);
    assert!(
        said[3].contains("Successfully installed mine"),
        "{}",
        said[3]
    );
    let library = env.path("home/.local/share/envspec/personal/lab");
    assert!(
        said[4].starts_with(&format!("42 {}/python/lib/", library.display())),
        "{}",
        said[4]
    );
    // The next kernel finds it, the server does not.
    let said = cells(&env, "python3", &["import mine; print(mine.answer)"]);
    assert_eq!(said, ["42\n"]);
    let mut python = env.program(prefix.join("bin/python"));
    python
        .env("PYTHONNOUSERSITE", "1")
        .args(["-c", "import mine"]);
    env.output(&mut as_user(&env, &python))
        .fails_with(1)
        .says("No module named 'mine'");

    // R: the same.
    let package = env.path("work/ours");
    fs_err::create_dir_all(package.join("R")).unwrap();
    let description = "Package: ours\nVersion: 1.0\nTitle: T\nDescription: D.\nLicense: MIT\n\
                       Author: A\nMaintainer: A <a@example.org>\n";
    fs_err::write(package.join("DESCRIPTION"), description).unwrap();
    fs_err::write(package.join("NAMESPACE"), "export(answer)\n").unwrap();
    fs_err::write(package.join("R/a.R"), "answer <- function() 42\n").unwrap();
    give(&env);
    let install = |library: &str| {
        format!(
            "out <- tryCatch(utils::install.packages('{}', repos = NULL, type = 'source'{library}), \
             error = conditionMessage, warning = conditionMessage); cat(out)",
            package.display()
        )
    };
    let said = cells(
        &env,
        "lab-r",
        &[
            &install(", lib = .Library"),
            &install(""),
            "cat(ours::answer(), find.package('ours'))",
        ],
    );
    assert!(said[0].contains("is not writable"), "{}", said[0]);
    let own = format!("42 {}/R-", library.display());
    assert!(said[2].starts_with(&own), "{said:?}");

    assert!(
        (tree(&prefix), tree(&env.root().join("pkgs"))) == before,
        "the generation or the cache was changed"
    );
    // A generation later it is there still.
    env.spec("lab", &SPEC.replace("pip,", "pip, shared-lib,"));
    give(&env);
    apply().success();
    assert_ne!(env.prefix("lab"), prefix);
    let said = cells(&env, "lab-r", &["cat(ours::answer())"]);
    assert_eq!(said, ["42"]);
}

#[test]
fn who_is_not_root_can_build_again_over_what_is_read_only_and_nothing_is_left() {
    let Some(env) = world() else { return };
    env.tiny(&["shared-lib 1.0", "symlink", "executable"]);
    give(&env);
    let apply = || env.output(&mut as_user(&env, &env.command(&["apply"])));
    apply().success();
    let prefix = env.prefix("lab");
    assert_eq!(writable(&env, &prefix), "", "can be written");
    // As if it had been killed just before the receipt.
    fs_err::remove_file(prefix.join(".envspec/receipt.json")).unwrap();
    apply().success().says("Installed");
    assert_eq!(writable(&env, &prefix), "", "can be written");
    let left: Vec<_> = fs_err::read_dir(env.root().join("gen")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    apply().success().says("Nothing to do");
}
