//! A notebook of one cell, executed by the nbclient of an environment.

use std::collections::BTreeMap;
use std::process::Command;

use super::output::Ran;
use super::test_env::TestEnv;

const RUN: &str = r#"
import sys, nbformat, nbclient
kernel, cell = sys.argv[1:]
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
nbclient.NotebookClient(notebook, kernel_name=kernel, timeout=300).execute()
print("".join(output.get("text", "") for output in notebook.cells[0].outputs), end="")
"#;

/// Activates as the script of `envspec launch` does, and becomes the command.
const ACTIVATED: &str = r#"
export CONDA_PREFIX="$1" CONDA_DEFAULT_ENV=lab CONDA_SHLVL=1 PATH="$1/bin:$PATH"
shift
for script in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do . "$script"; done
exec "$@"
"#;

/// The variables of a Deno kernel that a server in the activated environment `lab` starts.
#[track_caller]
pub(crate) fn in_activated_server(env: &TestEnv, kernel: &str) -> BTreeMap<String, String> {
    let prefix = env.prefix("lab");
    let mut bash = env.program("bash");
    bash.args(["-c", ACTIVATED, "bash"]).arg(&prefix);
    bash.arg(prefix.join("bin/python"));
    // Not printed: what Deno prints may come after nbclient has heard that it is done.
    let file = env.path("variables.json");
    let quoted = serde_json::json!(file);
    let code = format!("Deno.writeTextFileSync({quoted}, JSON.stringify(Deno.env.toObject()))");
    cell(bash, kernel, &code);
    serde_json::from_slice(&fs_err::read(file).unwrap()).unwrap()
}

/// What the cell printed. The command starts the Python whose nbclient it is, in the
/// environment that a server would have.
#[track_caller]
pub(crate) fn cell(mut python: Command, kernel: &str, code: &str) -> String {
    let output = python.args(["-c", RUN, kernel, code]).output().unwrap();
    let folder = python.get_current_dir().unwrap();
    Ran::new(output, folder).success().stdout
}
