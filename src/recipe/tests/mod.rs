//! The claims of the room.
//!
//! What a form looks like is in the snapshots; what it does is asked of the
//! programs that read it (bash, shellcheck, ssh, a Jupyter). Where one of them is
//! missing its test says so loudly and passes, unless
//! `ENVSPEC_TEST_TOOLS=require` is set.

mod forms;
pub(crate) mod hostile;
mod needs;
mod policy;
mod server;
mod tunnel;
mod variables;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZeroU16;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Login, OuterHops, Recipe, Request, SshVersion};
use crate::lock::Need;
use crate::site::{HostName, ResolvedLaunch, Site, Sites, Transport, UserName};
use crate::spec::{EnvName, Launch};

/// What a test changes of an ordinary request.
struct Case {
    env: EnvName,
    generation: String,
    root: String,
    site: Site,
    launch: Launch,
    kernels: Vec<String>,
    transport: Transport,
    variables: BTreeMap<String, String>,
    users: BTreeMap<HostName, UserName>,
    ssh: SshVersion,
    outer_hops: OuterHops,
    login: Login,
    needs: Vec<Need>,
    server: u16,
}

impl Case {
    fn at(site: &str) -> Self {
        Self {
            env: EnvName::new("lab").unwrap(),
            generation: "/data/work/.envspec/gen/lab-0123456789abcdef".to_owned(),
            root: "/data/work/.envspec".to_owned(),
            site: Sites::builtin().find(Some(site)).unwrap(),
            launch: Launch::default(),
            kernels: ["python", "r", "bash"].map(str::to_owned).to_vec(),
            transport: Transport::Socket,
            variables: BTreeMap::new(),
            users: BTreeMap::new(),
            ssh: SshVersion::Since7_3,
            outer_hops: OuterHops::Taken,
            login: Login::Token,
            needs: Vec::new(),
            server: 1,
        }
    }

    fn user(mut self, host: &str, user: &str) -> Self {
        self.users
            .insert(HostName::new(host).unwrap(), UserName::new(user).unwrap());
        self
    }

    fn launch(&self) -> ResolvedLaunch {
        self.site.judge(&self.launch).unwrap()
    }

    fn try_recipe(&self) -> Result<Recipe, super::RecipeError> {
        Recipe::new(&Request {
            env: &self.env,
            generation: &self.generation,
            sessions: &format!("{}/sessions", self.root.trim_end_matches('/')),
            site: &self.site,
            launch: &self.launch(),
            kernels: &self.kernels,
            transport: self.transport,
            variables: &self.variables,
            personal: Some((
                "~/.local/share/envspec/personal/lab",
                &["%pip install", "install.packages()"],
            )),
            users: &self.users,
            ssh: self.ssh,
            outer_hops: self.outer_hops,
            login: self.login,
            needs: &self.needs,
            server: NonZeroU16::new(self.server).unwrap(),
        })
    }

    fn recipe(&self) -> Recipe {
        self.try_recipe().unwrap()
    }
}

/// Whether a program is there; without it the test is skipped loudly.
fn has(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", "command -v -- \"$1\"", "sh", program])
        .stdout(Stdio::null())
        .status()
        .unwrap()
        .success();
    let required = std::env::var("ENVSPEC_TEST_TOOLS").is_ok_and(|value| value == "require");
    assert!(
        found || !required,
        "{program} is missing and ENVSPEC_TEST_TOOLS=require is set"
    );
    if !found {
        eprintln!("SKIPPED: {program} is not installed; this claim was not tested");
    }
    found
}

/// Writes a text into a temporary file.
fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// Runs a program on a file and gives its output; panics with it on failure.
fn pass(program: &str, args: &[&str], text: &str) -> String {
    let file = file(text);
    let output = Command::new(program)
        .args(args)
        .arg(file.path())
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {out}{err}\n{text}");
    out
}

/// Waits until something is there.
fn soon<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            start.elapsed() < Duration::from_mins(1),
            "no {what} after a minute"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The status of a GET, over a socket or a port.
fn status(at: &str, path: &str, host: &str, token: Option<&str>) -> u16 {
    let token = token
        .map(|t| format!("Authorization: token {t}\r\n"))
        .unwrap_or_default();
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n{token}\r\n");
    let mut answer = String::new();
    if at.starts_with('/') {
        let mut stream = UnixStream::connect(at).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_to_string(&mut answer).unwrap();
    } else {
        let mut stream = TcpStream::connect(at).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_to_string(&mut answer).unwrap();
    }
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}
