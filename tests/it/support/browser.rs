//! The browser of `tests/world/browser.sh` in Rust: a headless Chromium before
//! `JupyterLab`, which sees and does there what a person would.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cluster::User;
use super::tools::skipped;

/// How long one step on a page may take, and how long it may take until that
/// is told.
const STEP: Duration = Duration::from_mins(1);
const ANSWER: Duration = Duration::from_mins(3);

/// How long Chromium may take to end.
const END: Duration = Duration::from_secs(20);

/// The exit code of `browser.sh` where packages are missing.
const NOT_INSTALLED: i32 = 78;

/// Where the token goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Login {
    /// Typed into the login page.
    Typed,
    /// At the end of the address.
    Address,
}

/// A browser; gone when dropped, or when this process dies.
pub(crate) struct Browser {
    driver: Child,
    /// While this is open, it lives.
    requests: Option<ChildStdin>,
    answers: Receiver<String>,
    stderr: File,
    folder: String,
    /// The notebook of each kernel that was used.
    notebooks: HashMap<String, String>,
}

impl Browser {
    /// How to run one on this machine; nothing where its packages are missing,
    /// which is told.
    #[must_use]
    pub(crate) fn here() -> Option<Command> {
        let mut command = Command::new(program()?);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C.UTF-8");
        Some(command)
    }

    /// How to run one where a user of the test's hosts sits.
    #[must_use]
    pub(crate) fn of(user: User<'_>) -> Option<Command> {
        Some(user.command([program()?.to_str().unwrap()]))
    }

    /// Starts a browser with an empty profile.
    #[track_caller]
    pub(crate) fn start(mut command: Command) -> Self {
        let stderr = tempfile::tempfile().unwrap();
        let mut driver = command
            .arg(format!("--patience={}", STEP.as_secs()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr.try_clone().unwrap())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(driver.stdout.take().unwrap());
        let (say, answers) = channel();
        std::thread::spawn(move || {
            let mut lines = stdout.lines().map_while(Result::ok);
            lines.try_for_each(|line| say.send(line))
        });
        let mut browser = Self {
            requests: driver.stdin.take(),
            driver,
            answers,
            stderr,
            folder: String::new(),
            notebooks: HashMap::new(),
        };
        let ready = browser.answer("the start");
        ready["ready"]
            .as_str()
            .unwrap()
            .clone_into(&mut browser.folder);
        browser
    }

    /// Starts one and logs in, with the token typed into the login page.
    #[track_caller]
    pub(crate) fn open(command: Command, url: &str, token: &str) -> Self {
        let mut browser = Self::start(command);
        browser
            .log_in(url, token, Login::Typed)
            .unwrap_or_else(|trouble| panic!("{trouble}"));
        browser
    }

    /// Opens `JupyterLab` (`url` is the server's) and logs in.
    #[track_caller]
    pub(crate) fn log_in(&mut self, url: &str, token: &str, login: Login) -> Result<(), Trouble> {
        let login = match login {
            Login::Typed => "typed",
            Login::Address => "address",
        };
        self.ask(&json!({"do": "open", "url": url, "token": token, "login": login}))
            .map(drop)
    }

    /// What the launcher shows.
    #[track_caller]
    pub(crate) fn launcher(&mut self) -> Launcher {
        let answer = self.must(&json!({"do": "launcher"}));
        let cards = answer["cards"].as_array().unwrap().iter().map(|card| Card {
            kernel: card["name"].as_str().map(str::to_owned),
            label: card["label"].as_str().unwrap().to_owned(),
        });
        Launcher {
            cards: cards.collect(),
            default: answer["default"].as_str().unwrap().to_owned(),
        }
    }

    /// Runs code in a new cell at the end of the kernel's notebook, which is
    /// made when there is none. The kernel is named as its kernelspec's folder.
    #[track_caller]
    pub(crate) fn run_cell(&mut self, kernel: &str, code: &str) -> Shown {
        let path = if let Some(path) = self.notebooks.get(kernel) {
            path.clone()
        } else {
            let made = self.must(&json!({"do": "notebook", "kernel": kernel}));
            let path = made.as_str().unwrap().to_owned();
            self.notebooks.insert(kernel.to_owned(), path.clone());
            path
        };
        Shown::of(&self.must(&json!({"do": "run", "path": path, "code": code})))
    }

    /// Saves, loads the page again and runs code in the same notebook.
    #[track_caller]
    pub(crate) fn rerun(&mut self, kernel: &str, code: &str) -> Shown {
        assert!(self.notebooks.contains_key(kernel), "nothing ran in it yet");
        self.must(&json!({"do": "reload"}));
        self.run_cell(kernel, code)
    }

    /// What went wrong on the page so far, each with its kind: an `error` of
    /// the console, an uncaught `exception`, a failed `request`, a `dialog`
    /// that was clicked away.
    #[track_caller]
    pub(crate) fn console(&mut self) -> Vec<(String, String)> {
        told(&self.must(&json!({"do": "console"})))
    }

    /// Writes what is seen as a picture.
    #[track_caller]
    pub(crate) fn screenshot(&mut self, path: &Path) {
        let picture = self.must(&json!({"do": "screenshot"}));
        fs_err::write(path, hex::decode(picture.as_str().unwrap()).unwrap()).unwrap();
    }

    /// The folder of its profile, home and temporary files, as it sees it. It
    /// is in the arguments of every process of Chromium.
    pub(crate) fn folder(&self) -> &str {
        &self.folder
    }

    /// The process that drives it, or leads to that.
    pub(crate) fn driver(&self) -> u32 {
        self.driver.id()
    }

    #[track_caller]
    fn must(&mut self, request: &Value) -> Value {
        self.ask(request)
            .unwrap_or_else(|trouble| panic!("{trouble}"))
    }

    #[track_caller]
    fn ask(&mut self, request: &Value) -> Result<Value, Trouble> {
        let requests = self.requests.as_mut().unwrap();
        if let Err(error) = writeln!(requests, "{request}") {
            panic!("the browser has ended ({error}):\n{}", self.said());
        }
        let what = request["do"].as_str().unwrap();
        let mut answer = self.answer(what);
        if answer.get("error").is_some() {
            return Err(Trouble::of(&answer, &self.said()));
        }
        Ok(answer["ok"].take())
    }

    #[track_caller]
    fn answer(&self, what: &str) -> Value {
        let Ok(line) = self.answers.recv_timeout(ANSWER) else {
            panic!("the browser does not answer ({what}):\n{}", self.said());
        };
        serde_json::from_str(&line).unwrap()
    }

    /// What its driver said on stderr.
    fn said(&self) -> String {
        let mut file = self.stderr.try_clone().unwrap();
        let mut text = String::new();
        file.rewind().unwrap();
        drop(file.read_to_string(&mut text));
        text
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.requests.take());
        let started = Instant::now();
        while self.driver.try_wait().is_ok_and(|status| status.is_none()) {
            if started.elapsed() > END {
                drop(self.driver.kill());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The launcher's cards for notebooks, in their order.
#[derive(Debug)]
pub(crate) struct Launcher {
    pub(crate) cards: Vec<Card>,
    /// The server's default kernel.
    pub(crate) default: String,
}

#[derive(Debug)]
pub(crate) struct Card {
    /// The kernelspec's folder; not known where two kernels without an icon
    /// have the same display name.
    pub(crate) kernel: Option<String>,
    pub(crate) label: String,
}

/// What is shown beneath a cell that ran.
#[derive(Debug)]
pub(crate) struct Shown {
    /// How many cells its kernel has run, this one included.
    pub(crate) number: u64,
    /// The display name of the notebook's kernel.
    pub(crate) kernel: String,
    /// Type and text of each output.
    pub(crate) outputs: Vec<(String, String)>,
}

impl Shown {
    fn of(answer: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let outputs = answer["outputs"].as_array().unwrap().iter();
        Self {
            number: answer["number"].as_u64().unwrap(),
            kernel: text(&answer["kernel"]),
            outputs: outputs
                .map(|output| (text(&output["mime"]), text(&output["text"])))
                .collect(),
        }
    }

    /// The texts of all outputs.
    pub(crate) fn text(&self) -> String {
        self.outputs.iter().map(|(_, text)| text.as_str()).collect()
    }
}

/// Why a page did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) error: String,
    /// What was seen on the page then, and where there is a picture of it.
    seen: String,
}

impl Trouble {
    fn of(answer: &Value, said: &str) -> Self {
        let text = |name: &str| answer[name].as_str().unwrap_or_default();
        let mut seen = vec![format!("---- {}", text("address")), text("page").to_owned()];
        let console = told(&answer["console"]).into_iter();
        seen.extend(console.map(|(kind, text)| format!("---- {kind}: {text}")));
        if let Some(hex) = answer["screenshot"].as_str() {
            seen.push(format!("---- screenshot {}", picture(hex).display()));
        }
        seen.push(format!("---- stderr\n{said}"));
        Self {
            error: text("error").to_owned(),
            seen: seen.join("\n"),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.error, self.seen)
    }
}

/// A screenshot of a failure as a file, named after the test.
fn picture(hex: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
    fs_err::create_dir_all(&folder).unwrap();
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    let path = folder.join(test.replace("::", "-") + ".png");
    fs_err::write(&path, hex::decode(hex).unwrap()).unwrap();
    path
}

fn told(console: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let lines = console.as_array().into_iter().flatten();
    lines
        .map(|line| (text(&line["kind"]), text(&line["text"])))
        .collect()
}

/// What `browser.sh` makes; asked once.
fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let made = PROGRAM.get_or_init(|| {
        let binary = Path::new(env!("CARGO_BIN_EXE_envspec"));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/world/browser.sh");
        let output = Command::new(script)
            .env("CARGO_TARGET_DIR", binary.ancestors().nth(2).unwrap())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        match output.status.code() {
            Some(0) => {
                let text = String::from_utf8(output.stdout).unwrap();
                Ok(PathBuf::from(text.trim_end()))
            }
            Some(NOT_INSTALLED) => Err(why),
            _ => panic!("browser.sh failed ({}):\n{why}", output.status),
        }
    });
    made.as_deref().map_err(|why| skipped(why)).ok()
}
