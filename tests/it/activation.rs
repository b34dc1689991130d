//! What activation gives a kernel that no shell activated: the same as a shell
//! that did, with what depends on the host left to the host.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::{TestEnv, cell, has_package, skipped, world_python};

type Variables = BTreeMap<String, String>;

/// Packages whose scripts set variables, after conda-forge's; Octave's runs a program
/// that writes into the prefix.
fn applied() -> Option<TestEnv> {
    if !has_package("octave") || !has_package("libgdal-core") {
        skipped("the channel has no Octave or no GDAL");
        return None;
    }
    let env = TestEnv::new();
    env.spec(
        "lab",
        "channels: [conda-forge]\n\
         dependencies: [python, nbclient, libgdal-core, octave, r-base]\n\
         variables: {LAB_VARIABLE: of the spec}\nkernels: [python]\n",
    );
    env.run(&["apply"]).success();
    Some(env)
}

/// A server's environment on another host than the one that applied.
fn server(env: &TestEnv, program: impl AsRef<Path>) -> std::process::Command {
    let mut command = env.program(program);
    command
        .env("PATH", "/opt/site/bin:/usr/bin:/bin")
        .env("PROJ_DATA", "/nowhere/proj")
        .env("GDAL_DATA", "/nowhere/gdal")
        .env("SLURM_JOB_ID", "7")
        .env("OF_THE_HOST", "node1 $HOME");
    command
}

/// The environment of the kernel.
fn kernels(env: &TestEnv) -> Variables {
    let python = server(env, env.prefix("lab").join("bin/python"));
    let code = "import json, os; print(json.dumps(dict(os.environ)))";
    serde_json::from_str(&cell(python, "lab-python", code)).unwrap()
}

/// That of a shell which py-rattler's activation script was read into.
fn shells(env: &TestEnv) -> Variables {
    const ACTIVATE: &str = r#"
import json, os, pathlib, subprocess, sys, rattler
from rattler.shell import activate, ActivationVariables, Shell
prefix, show = pathlib.Path(sys.argv[1]), "import json, os; print(json.dumps(dict(os.environ)))"
variables = ActivationVariables(None, [])
script = activate(prefix, variables, Shell.bash, rattler.Platform.current()).script
script += f"\nexec 9>&1 >&2; python -c '{show}' >&9"
print(subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, check=True, text=True).stdout)
"#;
    let mut python = server(env, world_python());
    python.args(["-c", ACTIVATE]).arg(env.prefix("lab"));
    let said = env.output(&mut python).success().stdout;
    // Before it is what the programs of the scripts say.
    serde_json::from_str(said.lines().rfind(|line| line.starts_with('{')).unwrap()).unwrap()
}

/// What only a shell has: its own variables, and what scripts keep for the way back.
const OF_THE_SHELL: [&str; 7] = [
    "CONDA_SHLVL",
    "OCTAVE_HOME_CONDA_BACKUP",
    "PWD",
    "SHLVL",
    "_",
    "_CONDA_SET_GDAL_DATA",
    "_CONDA_SET_PROJ_DATA",
];

/// What only the kernel has: of `jupyter_client` and `ipykernel`, and what envspec gives:
/// the environment's name, the places of personal packages, no modules of the server's.
const OF_THE_KERNEL: [&str; 14] = [
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "CONDA_DEFAULT_ENV",
    "FORCE_COLOR",
    "GIT_PAGER",
    "JPY_PARENT_PID",
    "MPLBACKEND",
    "PAGER",
    "PYDEVD_USE_FRAME_EVAL",
    "PYTHONNOUSERSITE",
    "PYTHONPATH",
    "PYTHONUSERBASE",
    "R_LIBS_USER",
    "TERM",
];

/// Prints a line if gdalsrsinfo finds PROJ's data, a line if Octave finds its functions.
const ASK: &str = r#"
import subprocess
for words in (["gdalsrsinfo", "-o", "epsg", "EPSG:32632"], ["octave", "--eval", "disp(strjoin({'found', 'it'}))"]):
    print(subprocess.run(words, capture_output=True, text=True).stdout.strip())
"#;

#[test]
fn a_kernel_has_the_variables_of_an_activated_shell_and_finds_its_prefixs_data() {
    let Some(env) = applied() else { return };
    // What Octave's script wrote into the prefix is the generation's own.
    env.run(&["verify"]).success();
    let (mut kernel, mut shell) = (kernels(&env), shells(&env));
    assert_eq!(kernel["PROJ_DATA"], shell["PROJ_DATA"]);
    assert_eq!(kernel["CONDA_DEFAULT_ENV"], "lab");
    // py-rattler writes the shell's own folders twice.
    let own = env.prefix("lab").join("bin");
    let path = format!("{}:/opt/site/bin:/usr/bin:/bin", own.display());
    assert_eq!(kernel.remove("PATH").unwrap(), path);
    assert!(shell.remove("PATH").unwrap().starts_with(&path));
    shell.retain(|name, _| !OF_THE_SHELL.contains(&name.as_str()));
    kernel.retain(|name, _| !OF_THE_KERNEL.contains(&name.as_str()));
    assert_eq!(kernel, shell);

    let python = server(&env, own.join("python"));
    assert_eq!(cell(python, "lab-python", ASK), "EPSG:32632\nfound it\n");
    // The prefix's programs alone, found by PATH, have neither.
    let mut bare = server(&env, own.join("python"));
    bare.env("PATH", &own).args(["-c", ASK]);
    assert_eq!(env.output(&mut bare).success().stdout, "\n\n");
}
