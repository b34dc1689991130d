//! Variables of a spec whose names mean something to the start script, to bash or
//! to the loader: they reach the server and its kernels, and nothing else.
//!
//! Once with a real Jupyter, and with a stand-in for every name there is: it notes
//! its environment and ends. That bash itself refuses or computes a few names
//! (`UID`, `RANDOM`) is no claim here, only that they do no harm.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proptest::prelude::*;
use tempfile::TempDir;

use super::hostile::hostile;
use super::server::{Session, mode, prefix, processes_with};
use super::{Case, soon, status};

/// Names that change what bash, the loader, Python or Jupyter do.
const POWERFUL: [&str; 16] = [
    "BASH_ENV",
    "CDPATH",
    "ENV",
    "GLOBIGNORE",
    "HOME",
    "IFS",
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_TOKEN",
    "LD_PRELOAD",
    "PATH",
    "POSIXLY_CORRECT",
    "PS4",
    "PYTHONHOME",
    "PYTHONPATH",
    "SLURM_JOB_ID",
    "TMPDIR",
];

/// Names whose value bash keeps to itself.
const OF_BASH: [&str; 8] = [
    "BASHOPTS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "PPID",
    "RANDOM",
    "SHELLOPTS",
    "UID",
];

/// Every word of the script that could be a variable's name, among them all that
/// it assigns.
fn names() -> Vec<String> {
    let text = Case::at("slurm").recipe().script.text;
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let mut names: BTreeSet<_> = words
        .filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()))
        .map(str::to_owned)
        .collect();
    for known in [
        "private",
        "token_file",
        "scratch",
        "sessions",
        "key",
        "earlier",
    ] {
        assert!(names.contains(known), "{known}");
    }
    names.extend(POWERFUL.iter().chain(&OF_BASH).map(|&name| name.to_owned()));
    names.into_iter().collect()
}

fn program(path: &Path, text: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{text}")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// The environment that a process noted when it began.
fn noted(path: &Path) -> BTreeMap<String, String> {
    let text = String::from_utf8(std::fs::read(path).unwrap()).unwrap();
    text.split_terminator('\0')
        .map(|entry| entry.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Runs the start script of a spec with these variables to its end.
fn run(variables: &BTreeMap<String, String>) {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let generation = at("generation");
    for place in [
        "generation/bin",
        "generation/etc/conda/activate.d",
        "home",
        "tmp",
        "start",
    ] {
        std::fs::create_dir_all(at(place)).unwrap();
    }
    let note = |name: &str| format!("/bin/cat \"/proc/$$/environ\" >'{}'\n", at(name).display());
    program(&generation.join("bin/jupyter-lab"), &note("server"));
    // In place of the probe: as soon as the server is there it is ready.
    let ready =
        "while [ ! -s \"$SERVER\" ]; do /bin/sleep 0.01; done; echo here there >\"$7/endpoint\"";
    let ready = ready.replace("$SERVER", at("server").to_str().unwrap());
    let probe = format!("{}{ready}\n", note("probe"));
    program(&generation.join("bin/python"), &probe);
    // As careless as packages are.
    let activation =
        "export OF_A_PACKAGE=yes; private=/nowhere; line=x; set -- x; shift; set -eu\n";
    std::fs::write(generation.join("etc/conda/activate.d/a.sh"), activation).unwrap();

    let mut case = Case::at("slurm");
    case.root = folder.path().to_str().unwrap().to_owned();
    case.generation = generation.to_str().unwrap().to_owned();
    case.variables.clone_from(variables);
    let script = at("start/script");
    std::fs::write(&script, case.recipe().script.text).unwrap();
    let output = Command::new("timeout")
        .args(["60", "bash"])
        .arg(&script)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", at("home"))
        .env("TMPDIR", at("tmp"))
        .env("SLURM_JOB_ID", "4711")
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");

    let server = noted(&at("server"));
    let probe = noted(&at("probe"));
    for (name, value) in variables {
        let protected = name.starts_with("JUPYTER_") || name == "PYTHONNOUSERSITE";
        // A package's word outranks the spec's, as when conda activates.
        let taken =
            OF_BASH.contains(&name.as_str()) || ["private", "line"].contains(&name.as_str());
        if !protected && !taken {
            assert_eq!(server.get(name), Some(value), "{name}\n{said}");
        }
        if protected {
            assert_ne!(server.get(name), Some(value), "{name}");
        }
        assert_ne!(probe.get(name), Some(value), "{name} reached the probe");
    }
    assert_eq!(server["OF_A_PACKAGE"], "yes");
    assert!(!probe.contains_key("OF_A_PACKAGE"));
    let token = format!("{}/sessions/4711-0/token", folder.path().display());
    assert_eq!(server["JUPYTER_TOKEN_FILE"], token);
    assert!(server["JUPYTER_CONFIG_DIR"].starts_with("/tmp/envspec."));
    assert!(!Path::new(&server["JUPYTER_CONFIG_DIR"]).exists());
    let left: Vec<_> = std::fs::read_dir(at("sessions")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A folder that must survive, and whether it did.
struct Precious(TempDir);

impl Precious {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("thesis"), "ten years").unwrap();
        Self(folder)
    }

    fn path(&self) -> String {
        self.0.path().to_str().unwrap().to_owned()
    }

    fn check(&self) {
        let text = std::fs::read_to_string(self.0.path().join("thesis"));
        assert_eq!(text.unwrap(), "ten years");
    }
}

#[test]
fn a_spec_may_name_its_variables_as_the_script_does_all_at_once() {
    let precious = Precious::new();
    run(&names()
        .into_iter()
        .map(|name| (name, precious.path()))
        .collect());
    precious.check();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_hostile_variable_reaches_the_server_and_nothing_else(
        variables in proptest::collection::btree_map(
            prop_oneof![
                proptest::sample::select(names()),
                proptest::sample::select(POWERFUL.map(str::to_owned).to_vec()),
                "[A-Za-z_][A-Za-z0-9_]{2,8}",
            ],
            // A mark, so that no value is by chance the one that is right.
            hostile().prop_map(|value| format!("!{value}")),
            1..6,
        ),
    ) {
        run(&variables);
    }
}

#[test]
fn a_real_jupyter_of_a_spec_with_the_scripts_own_names_is_private_and_cleans_only_its_own() {
    let Some(prefix) = prefix() else { return };
    let precious = Precious::new();
    let mark = precious.path();
    let mut case = Case::at("slurm");
    case.generation = prefix;
    for (name, value) in [
        ("private", mark.as_str()),
        ("scratch", &mark),
        ("token_file", "/etc/hostname"),
        ("generation", "/nowhere"),
        ("sessions", "/nowhere"),
        ("endpoint", "port"),
        ("port", "x"),
        ("login", "password"),
        ("interface", "nothing"),
        ("line", "of the spec"),
    ] {
        case.variables.insert(name.to_owned(), value.to_owned());
    }
    let variables = case.variables.clone();
    let mut session = Session::start(case, "4711", "0");
    let (_, at) = session.endpoint();
    let token = session.token();
    let hostname = std::fs::read_to_string("/etc/hostname").unwrap();
    assert_eq!(token.len(), 64);
    assert_eq!(mode(&session.sessions.join("4711-0/token")), 0o600);
    for wrong in [None, Some(hostname.trim())] {
        assert_eq!(status(&at, "/api/contents", "localhost", wrong), 403);
    }
    assert_eq!(status(&at, "/api/contents", "localhost", Some(&token)), 200);

    let mut stream = UnixStream::connect(&at).unwrap();
    let ask = format!(
        "POST /api/kernels HTTP/1.0\r\nHost: localhost\r\nAuthorization: token {token}\r\n\
         Content-Length: 18\r\n\r\n{{\"name\":\"python3\"}}"
    );
    stream.write_all(ask.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 201 "), "{answer}");
    let (_, id) = answer.split_once("\"id\"").unwrap();
    let kernel = format!("kernel-{}.json", id.split('"').nth(1).unwrap());
    let cmdline = soon("kernel", || {
        let is = |path: &PathBuf| path.ends_with("cmdline");
        processes_with(&kernel).into_iter().find(is)
    });
    let environment = noted(&cmdline.with_file_name("environ"));
    for (name, value) in &variables {
        assert_eq!(environment.get(name), Some(value), "{name}");
    }

    assert_eq!(session.end(), Some(0), "{}", session.log());
    assert!(!session.sessions.join("4711-0/session.json").exists());
    assert!(!Path::new(&at).parent().unwrap().exists());
    precious.check();
}
