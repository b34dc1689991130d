//! What the first word of a kernel's command is on this machine.
//!
//! Nothing is run, with one exception: a Python outside of a conda prefix is asked
//! whether it finds the kernel's module, which imports nothing of it. Only one
//! that belongs to root or to this user is: a kernelspec in a folder of others may
//! name any program.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{Access, access};
use tokio::process::Command;
use tokio::time::timeout;

use crate::kernel::{KernelSpec, Program, substitute};

/// How long a Python may take to answer; on a network file system that is long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Exits with 3 if the module named by the argument is not found.
const ASK: &str = "import importlib.util as u, sys; sys.exit(0 if u.find_spec(sys.argv[1]) else 3)";

/// Whether there is an environment of conda's or a virtual environment at a path.
pub fn is_prefix(path: &Path) -> bool {
    path.join("conda-meta").is_dir() || path.join("pyvenv.cfg").is_file()
}

/// Whether a path is a file that this user may execute.
pub fn is_executable(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

/// Looks at the program of a kernelspec in `folder`. `server` is the prefix of the
/// server that finds it, if it lies in one; `environment` is the server's.
pub async fn program_of(
    spec: &KernelSpec,
    folder: &str,
    server: Option<&Path>,
    environment: &BTreeMap<String, String>,
) -> Option<Program> {
    let word = *spec.command().first()?;
    let own = server.map(|prefix| prefix.to_string_lossy().into_owned());
    let mut filled = word.replace("{resource_dir}", folder);
    if let Some(own) = &own {
        filled = filled.replace("{prefix}", own);
    }
    let path = search_path(spec, environment);
    if !filled.starts_with('/') || word.contains("{prefix}") {
        let is_servers = is_servers_own(word) || word.contains("{prefix}");
        let now = if filled.starts_with('/') {
            Some(PathBuf::from(filled)).filter(|program| is_executable(program))
        } else if filled.contains('/') {
            None
        } else {
            let in_server = server.map(|prefix| prefix.join("bin").join(&filled));
            let in_server = in_server.filter(|program| is_servers && is_executable(program));
            // The server's own is not looked for on the kernel's PATH.
            let path = if is_servers {
                environment.get("PATH").cloned().unwrap_or_default()
            } else {
                path
            };
            in_server.or_else(|| which(&filled, &path))
        };
        return Some(Program::Bare {
            word: word.to_owned(),
            now: now.map(|program| program.to_string_lossy().into_owned()),
            is_servers,
        });
    }
    if let Some(fault) = unable(Path::new(&filled), &filled) {
        return Some(fault);
    }
    if let Some(module) = spec.module()
        && !has_module(spec, Path::new(&filled), module, environment).await
    {
        return Some(Program::NoModule {
            python: filled.clone(),
            module: module.to_owned(),
        });
    }
    Some(Program::Runs(filled))
}

/// The program of a name in a list of folders, as `execvp` finds it.
pub fn which(name: &str, path: &str) -> Option<PathBuf> {
    let folders = path.split(':').filter(|folder| folder.starts_with('/'));
    let mut programs = folders.map(|folder| Path::new(folder).join(name));
    programs.find(|program| is_executable(program))
}

/// `format_kernel_cmd` of `jupyter_client` takes these for `sys.executable`; one
/// with a version only if it is the server's.
fn is_servers_own(word: &str) -> bool {
    let version = word.strip_prefix("python");
    let minor = version.and_then(|version| version.strip_prefix("3."));
    matches!(version, Some("" | "3"))
        || minor.is_some_and(|minor| !minor.is_empty() && minor.chars().all(|c| c.is_ascii_digit()))
}

/// The PATH that a kernel's program is looked for on: Python's `Popen` takes the
/// one that the kernel is given.
fn search_path(spec: &KernelSpec, environment: &BTreeMap<String, String>) -> String {
    let own = spec
        .env()
        .get("PATH")
        .map(|path| substitute(path, |name| environment.get(name).map(String::as_str)));
    own.or_else(|| environment.get("PATH").cloned())
        .unwrap_or_default()
}

/// Why a file can't be executed, if that can be seen without trying.
fn unable(path: &Path, shown: &str) -> Option<Program> {
    let is_file = match path.metadata() {
        Ok(metadata) => metadata.is_file(),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Some(Program::Missing(shown.to_owned()));
        }
        Err(error) => {
            return Some(Program::Unseen {
                program: shown.to_owned(),
                reason: error.to_string(),
            });
        }
    };
    if !is_file || access(path, Access::EXEC_OK).is_err() {
        return Some(Program::NotExecutable(shown.to_owned()));
    }
    // One that may be executed and not read is no script.
    let interpreter = interpreter(path).ok().flatten()?;
    let is_gone = interpreter.starts_with('/') && !Path::new(&interpreter).exists();
    is_gone.then(|| Program::NoInterpreter {
        script: shown.to_owned(),
        interpreter,
    })
}

/// The program that the first line of a script names.
fn interpreter(path: &Path) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    let file = fs_err::File::open(path)?;
    // What the kernel reads of it.
    file.take(256).read_to_end(&mut head)?;
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text = String::from_utf8_lossy(line).into_owned();
    let named = text.strip_prefix("#!").and_then(|line| {
        let mut words = line.split_whitespace();
        words.next()
    });
    Ok(named.map(str::to_owned))
}

/// Whether a Python finds a module; yes, if it can't be told.
async fn has_module(
    spec: &KernelSpec,
    python: &Path,
    module: &str,
    environment: &BTreeMap<String, String>,
) -> bool {
    if lies_in_conda(python, module) || !is_trusted(python) {
        return true;
    }
    let mut command = Command::new(python);
    command
        .args(["-c", ASK, module])
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // `-c` looks in the working directory, where nobody's modules are.
        .current_dir("/")
        .kill_on_drop(true);
    for (name, template) in spec.env() {
        let value = substitute(&template, |name| environment.get(name).map(String::as_str));
        command.env(name, value);
    }
    match timeout(PATIENCE, command.status()).await {
        Ok(Ok(status)) => status.code() != Some(3),
        _ => true,
    }
}

/// Whether the module is in the packages of the conda prefix that the Python is
/// in. Elsewhere there may be packages of a Python that was replaced.
fn lies_in_conda(python: &Path, module: &str) -> bool {
    let prefix = python.parent().and_then(Path::parent);
    let Some(prefix) = prefix.filter(|prefix| prefix.join("conda-meta").is_dir()) else {
        return false;
    };
    let Ok(entries) = fs_err::read_dir(prefix.join("lib")) else {
        return false;
    };
    let folders = entries
        .flatten()
        .map(|entry| entry.path().join("site-packages"));
    let all: Vec<PathBuf> = folders.filter(|folder| folder.is_dir()).collect();
    let [packages] = all.as_slice() else {
        return false;
    };
    packages.join(module).join("__init__.py").is_file()
        || packages.join(format!("{module}.py")).is_file()
}

/// Whether a program, wherever a link leads, is root's or this user's.
fn is_trusted(program: &Path) -> bool {
    let me = rustix::process::geteuid().as_raw();
    let owner = program.metadata().map(|metadata| metadata.uid());
    owner.is_ok_and(|owner| owner == 0 || owner == me)
}
