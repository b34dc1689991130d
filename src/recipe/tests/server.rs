//! What the start script does with a real Jupyter.
//!
//! It is the one in the prefix that `ENVSPEC_TEST_PREFIX` names: any prefix with
//! `bin/python` and `bin/jupyter-lab`. Slurm's part is played by its variables;
//! the real one has tests of its own.

use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{Case, soon, status};
use crate::recipe::Login;

/// The prefix with a Jupyter, or `None` after saying that nothing was tested.
pub(super) fn prefix() -> Option<String> {
    let found = std::env::var("ENVSPEC_TEST_PREFIX").ok();
    let required = std::env::var("ENVSPEC_TEST_TOOLS").is_ok_and(|value| value == "require");
    assert!(
        found.is_some() || !required,
        "ENVSPEC_TEST_PREFIX is not set"
    );
    if found.is_none() {
        eprintln!("SKIPPED: ENVSPEC_TEST_PREFIX names no prefix; this claim was not tested");
    }
    found
}

/// A running start script, its home and its root; ended when dropped.
pub(super) struct Session {
    folder: TempDir,
    child: Child,
    pub(super) sessions: PathBuf,
    name: String,
}

impl Session {
    /// Starts a case; `hostile` configurations lie in the home.
    pub(super) fn start(case: Case, job: &str, restart: &str) -> Self {
        let folder = TempDir::new().unwrap();
        Self::start_in(folder, case, job, restart)
    }

    fn start_in(folder: TempDir, mut case: Case, job: &str, restart: &str) -> Self {
        let home = folder.path().join("home");
        for place in [".jupyter", ".local/etc/jupyter"] {
            let place = home.join(place);
            std::fs::create_dir_all(&place).unwrap();
            for name in [
                "jupyter_config.py",
                "jupyter_server_config.py",
                "jupyter_lab_config.py",
            ] {
                let open = "c.ServerApp.token = ''\nc.IdentityProvider.token = ''\n\
                            c.ServerApp.password = ''\nc.ServerApp.ip = '0.0.0.0'\n";
                std::fs::write(place.join(name), open).unwrap();
            }
        }
        let root = folder.path().join("root");
        case.root = root.to_str().unwrap().to_owned();
        let recipe = case.recipe();
        let sessions = root.join("sessions");
        std::fs::create_dir_all(sessions.join("start")).unwrap();
        std::fs::write(&recipe.script.path, &recipe.script.text).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new("bash");
        command
            .arg(&recipe.script.path)
            .env("HOME", &home)
            .env("JUPYTER_TOKEN", "from-the-users-environment")
            .env("JUPYTER_CONFIG_PATH", home.join(".jupyter"))
            .env_remove("SLURM_JOB_ID")
            .env_remove("TMPDIR")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        if !job.is_empty() {
            command
                .env("SLURM_JOB_ID", job)
                .env("SLURM_RESTART_COUNT", restart);
        }
        let child = command.spawn().unwrap();
        Self {
            folder,
            child,
            sessions,
            name: recipe.session,
        }
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Node and address, once the server is ready.
    pub(super) fn endpoint(&mut self) -> (String, String) {
        let file = self.sessions.join(&self.name).join("endpoint");
        let line = soon("endpoint", || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the script ended with {status}: {}", self.log());
            }
            std::fs::read_to_string(&file).ok()
        });
        let (node, at) = line.trim_end().split_once(' ').unwrap();
        (node.to_owned(), at.to_owned())
    }

    pub(super) fn token(&self) -> String {
        std::fs::read_to_string(self.sessions.join(&self.name).join("token")).unwrap()
    }

    /// Sends the signal that Slurm sends before the limit; gives the exit code.
    pub(super) fn end(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        self.wait()
    }

    fn wait(&mut self) -> Option<i32> {
        soon("end of the script", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.end();
        }
        // What a script that is wrong has left running.
        let group = format!("-{}", self.child.id());
        let mut kill = Command::new("kill");
        drop(
            kill.args(["-KILL", "--", &group])
                .stderr(Stdio::null())
                .status(),
        );
    }
}

pub(super) fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Every process in whose argv or environment a text stands.
pub(super) fn processes_with(text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        for name in ["cmdline", "environ"] {
            let path = entry.path().join(name);
            if let Ok(bytes) = std::fs::read(&path)
                && bytes
                    .windows(text.len())
                    .any(|window| window == text.as_bytes())
            {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn a_job_is_private_ready_and_leaves_nothing_behind() {
    let Some(prefix) = prefix() else { return };
    let mut case = Case::at("slurm");
    case.generation = prefix;
    // The spec is untrusted: this would outrank the token's file.
    case.variables
        .insert("JUPYTER_TOKEN".to_owned(), "from-the-spec".to_owned());
    case.variables
        .insert("LAB_VALUE".to_owned(), "it's $HOME".to_owned());
    let mut session = Session::start(case, "4711", "0");
    let (_, at) = session.endpoint();
    let token = session.token();

    assert_eq!(token.len(), 64);
    for wrong in [
        None,
        Some(""),
        Some("from-the-spec"),
        Some("from-the-users-environment"),
    ] {
        assert_eq!(
            status(&at, "/api/contents", "localhost", wrong),
            403,
            "{wrong:?}"
        );
    }
    assert_eq!(status(&at, "/api/contents", "localhost", Some(&token)), 200);
    assert_eq!(
        status(&at, "/api/contents", "evil.example.org", Some(&token)),
        403
    );

    assert_eq!(processes_with(&token), [] as [PathBuf; 0]);
    assert!(!session.log().contains(&token), "{}", session.log());

    let private = session.sessions.join("4711-0");
    let scratch = Path::new(&at).parent().unwrap().to_owned();
    for folder in [
        &session.sessions,
        &private,
        &scratch,
        &scratch.join("runtime"),
        &scratch.join("config"),
    ] {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
    let mut files = vec![
        private.join("token"),
        private.join("endpoint"),
        PathBuf::from(&at),
    ];
    files.extend(
        std::fs::read_dir(scratch.join("runtime"))
            .unwrap()
            .map(|e| e.unwrap().path()),
    );
    for file in &files {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    assert!(std::fs::metadata(&at).unwrap().file_type().is_socket());

    assert_eq!(session.end(), Some(0), "{}", session.log());
    assert!(!scratch.exists());
    // A job that is told to end may be requeued: its token goes on with it, and
    // is cleaned up with what Slurm knows no more.
    let left = std::fs::read_dir(&private).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["token"]);
    assert!(std::fs::symlink_metadata(session.sessions.join("envspec-lab")).is_err());
}

#[test]
fn a_requeued_job_takes_the_place_of_its_earlier_run() {
    let Some(prefix) = prefix() else { return };
    let mut case = Case::at("slurm");
    case.generation = prefix;
    let folder = TempDir::new().unwrap();
    // The earlier run's node died: nobody cleaned up.
    let earlier = folder.path().join("root/sessions/4711-0");
    std::fs::create_dir_all(&earlier).unwrap();
    std::fs::write(earlier.join("endpoint"), "lost-node /tmp/gone\n").unwrap();
    std::os::unix::fs::symlink("4711-0", folder.path().join("root/sessions/envspec-lab")).unwrap();
    let mut session = Session::start_in(folder, case, "4711", "1");
    soon("new pointer", || {
        let target = std::fs::read_link(session.sessions.join("envspec-lab")).ok()?;
        (target == Path::new("4711-1")).then_some(())
    });
    let (node, _) = session.endpoint();
    assert_ne!(node, "lost-node");
    assert!(!earlier.exists());
}

#[test]
fn a_server_that_lets_strangers_in_is_ended_before_it_is_announced() {
    let Some(prefix) = prefix() else { return };
    // A generation whose Jupyter is open, whatever made it so.
    let generation = TempDir::new().unwrap();
    let bin = generation.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let program = |name: &str, arguments: &str| {
        let text = format!("#!/bin/sh\nexec '{prefix}/bin/{name}' {arguments} \"$@\"\n");
        std::fs::write(bin.join(name), text).unwrap();
        std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    program("python", "");
    program("jupyter-lab", "--IdentityProvider.token=");
    let mut case = Case::at("slurm");
    case.generation = generation.path().to_str().unwrap().to_owned();
    let mut session = Session::start(case, "4711", "0");
    assert_eq!(session.wait(), Some(1));
    assert!(
        session.log().contains("this server is open to everybody"),
        "{}",
        session.log()
    );
    assert!(!session.sessions.join("4711-0").exists());
}

#[test]
fn on_this_machine_two_servers_run_side_by_side_on_ports() {
    let Some(prefix) = prefix() else { return };
    let server = |number| {
        let mut case = Case::at("local");
        case.generation.clone_from(&prefix);
        case.server = number;
        Session::start(case, "", "")
    };
    let (mut first, mut second) = (server(1), server(2));
    let (one, two) = (first.endpoint().1, second.endpoint().1);
    assert_ne!(one, two);
    assert_eq!(
        status(&one, "/api/contents", "127.0.0.1", Some(&first.token())),
        200
    );
    assert_eq!(
        status(&one, "/api/contents", "127.0.0.1", Some(&second.token())),
        403
    );
    assert_eq!(
        status(&two, "/api/contents", "127.0.0.1", Some(&second.token())),
        200
    );
    soon("address for the user", || {
        first
            .log()
            .contains(&format!("http://{one}/lab"))
            .then_some(())
    });
    assert_eq!((first.end(), second.end()), (Some(0), Some(0)));
}

#[test]
fn a_socket_that_a_private_tmp_would_hide_is_in_the_sessions_folder() {
    let Some(prefix) = prefix() else { return };
    let mut case = Case::at("bih");
    case.generation = prefix;
    let mut session = Session::start(case, "4711", "0");
    let (_, at) = session.endpoint();
    assert_eq!(
        at,
        session
            .sessions
            .join("4711-0/server.sock")
            .to_str()
            .unwrap()
    );
    assert_eq!(
        status(&at, "/api/contents", "localhost", Some(&session.token())),
        200
    );
}

#[test]
fn a_password_opens_the_page_and_without_one_the_session_says_what_is_missing() {
    let Some(prefix) = prefix() else { return };
    let case = || {
        let mut case = Case::at("slurm");
        case.generation.clone_from(&prefix);
        case.login = Login::Password;
        case
    };
    let mut session = Session::start(case(), "4711", "0");
    assert_eq!(session.wait(), Some(1));
    assert!(
        session.log().contains("no password is set"),
        "{}",
        session.log()
    );

    let folder = TempDir::new().unwrap();
    let password = folder.path().join("root/sessions/password");
    let set = "from jupyter_server.auth.security import set_password; import sys\n\
               set_password('correct horse', config_file=sys.argv[1])";
    std::fs::create_dir_all(&password).unwrap();
    let done = Command::new(format!("{prefix}/bin/python"))
        .args(["-c", set])
        .arg(password.join("jupyter_server_config.json"))
        .status()
        .unwrap();
    assert!(done.success());
    let mut session = Session::start_in(folder, case(), "4711", "0");
    let (_, at) = session.endpoint();
    assert_eq!(status(&at, "/api/contents", "localhost", None), 403);
    assert_eq!(
        status(&at, "/api/contents", "localhost", Some(&session.token())),
        200
    );
    // As a browser does it: the form's cookie, then the form.
    let ask = |request: String| {
        let mut stream = UnixStream::connect(&at).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let page = ask("GET /login HTTP/1.0\r\nHost: localhost\r\n\r\n".to_owned());
    let (_, after) = page.split_once("_xsrf=").unwrap();
    let cookie = after.split(';').next().unwrap();
    let post = |password: &str| {
        let form = format!("_xsrf={}&password={password}", cookie.replace('|', "%7C"));
        let answer = ask(format!(
            "POST /login HTTP/1.0\r\nHost: localhost\r\nCookie: _xsrf={cookie}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        ));
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(post("correct+horse"), "302");
    assert_eq!(post("wrong"), "401");
}
