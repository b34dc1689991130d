//! The browser of the tests does what it claims: a real Chromium before a real
//! `JupyterLab`, on this machine and on the workstation of the tests' hosts.

use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Stdio};

use crate::support::{Browser, Card, Cluster, Lab, Login, TestEnv, lab, soon};

/// A server of the lab, started by its recipe's script with files of its own; ended when dropped.
struct Server {
    script: Child,
    address: String,
    token: String,
    home: TestEnv,
    /// Kept open: the script ends, without its server, when nobody listens to it.
    _said: Lines<BufReader<ChildStderr>>,
}

impl Server {
    fn start() -> Self {
        let lab = lab();
        drop(lab.run(&["recipe", "lab"]).success());
        // Where the notebooks go, and what JupyterLab remembers of its tabs. The kernels that the
        // user has registered are the lab's.
        let home = TestEnv::new();
        let jupyter = home.path("home/.local/share");
        fs_err::create_dir_all(&jupyter).unwrap();
        let registered = lab.home().join(".local/share/jupyter");
        fs_err::os::unix::fs::symlink(registered, jupyter.join("jupyter")).unwrap();
        let mut script = lab
            .program("bash")
            .env("HOME", home.path("home"))
            .arg(lab.root().join("sessions/start/envspec-lab.sh"))
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(script.stderr.take().unwrap()).lines();
        let mut heard = String::new();
        let mut after = |word: &str| loop {
            let line = said
                .next()
                .unwrap_or_else(|| panic!("it is not ready:\n{heard}"))
                .unwrap();
            heard += &(line.clone() + "\n");
            if let Some((_, rest)) = line.split_once(word) {
                return rest.to_owned();
            }
        };
        let url = after("envspec: open   http://");
        let token = after("envspec: token  cat ");
        Self {
            script,
            address: url.split('/').next().unwrap().to_owned(),
            token: fs_err::read_to_string(token).unwrap(),
            home,
            _said: said,
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.script);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        drop(self.script.wait());
    }
}

#[test]
fn cells_of_python_r_and_bash_run_in_a_real_browser() {
    let Some(command) = Browser::here() else {
        return;
    };
    let server = Server::start();
    let mut browser = Browser::open(command, &server.url(), &server.token);

    let python = browser.run_cell(
        "python3",
        "for name in ['größer', \"it's\"]:\n    print(name, (1 + 1) * 21)\nname",
    );
    assert_eq!(python.text(), "größer 42\nit's 42\n\"it's\"", "{python:?}");
    assert_eq!((python.kernel.as_str(), python.number), ("Python", 1));

    let r = browser.run_cell("ir", "x <- c(1, 2, 39)\ncat(sum(x), R.version$language)");
    assert_eq!(r.text(), "42 R", "{r:?}");
    assert_eq!(r.kernel, "R of the lab");

    let bash = browser.run_cell("bash", "x=42\nprintf '%s %s\\n' \"$x\" \"${BASH##*/}\"");
    assert_eq!(bash.text(), "42 bash\n", "{bash:?}");

    // The same notebooks go on, also after the page was loaded anew.
    assert_eq!(
        browser.run_cell("python3", "name * 2").text(),
        "\"it'sit's\""
    );
    assert_eq!(browser.rerun("bash", "echo still $x").text(), "still 42\n");
    let python = browser.rerun("python3", "print(name)");
    assert_eq!((python.text().as_str(), python.number), ("it's\n", 3));

    let error = browser.run_cell("python3", "1 / 0");
    let (kind, text) = &error.outputs[0];
    assert_eq!(kind, "application/vnd.jupyter.stderr");
    assert!(text.contains("ZeroDivisionError"), "{error:?}");

    let wrong: Vec<_> = browser.console();
    let serious = |kind: &str| kind == "error" || kind == "exception";
    assert!(!wrong.iter().any(|(kind, _)| serious(kind)), "{wrong:#?}");
}

#[test]
fn the_login_page_refuses_a_wrong_token_and_nobody_gets_in_without() {
    let Some(command) = Browser::here() else {
        return;
    };
    let server = Server::start();
    let mut browser = Browser::start(command);
    let wrong = "0".repeat(64);
    for (login, message) in [
        (Login::Typed, "the login page stays: Invalid credentials"),
        (Login::Address, "the login page stays: without a message"),
    ] {
        let trouble = browser.log_in(&server.url(), &wrong, login).unwrap_err();
        assert!(trouble.error.ends_with(message), "{trouble}");
        assert!(trouble.to_string().contains(".png"), "{trouble}");
    }
    // A browser of its own each: a login outlives the page.
    for login in [Login::Typed, Login::Address] {
        let mut browser = Browser::start(Browser::here().unwrap());
        browser
            .log_in(&server.url(), &server.token, login)
            .unwrap_or_else(|trouble| panic!("{trouble}"));
        assert_eq!(browser.launcher().default, "python3");
    }
}

#[test]
fn the_launcher_is_seen_as_it_is() {
    let Some(command) = Browser::here() else {
        return;
    };
    let server = Server::start();
    let mut browser = Browser::open(command, &server.url(), &server.token);
    let launcher = browser.launcher();
    for card in &launcher.cards {
        println!("{:?} {}", card.kernel, card.label);
    }
    // The default kernel comes first, and every kernel of the environment is there.
    let first = launcher.cards.first().unwrap();
    assert_eq!(first.kernel.as_deref(), Some(launcher.default.as_str()));
    for (_, kernel) in Lab::kernels() {
        let shown = |card: &&Card| card.kernel.as_deref() == Some(kernel);
        let count = launcher.cards.iter().filter(shown).count();
        assert_eq!(count, 1, "{kernel}: {:#?}", launcher.cards);
    }
    let picture = server.home.path("tmp/launcher.png");
    browser.screenshot(&picture);
    assert!(fs_err::read(picture).unwrap().starts_with(b"\x89PNG"));
}

/// The tests' hosts with a `JupyterLab` of the lab on a node, which listens on a socket.
fn with_server(cluster: &Cluster) -> impl Drop {
    let prefix = lab().prefix();
    let server = cluster.host("med0101").user("ada").start([
        "env",
        "JUPYTER_TOKEN=a token",
        &format!("PATH={}/bin:/usr/bin:/bin", prefix.display()),
        "jupyter-lab",
        "--no-browser",
        "--ServerApp.sock=/home/ada/server.sock",
    ]);
    soon("the server's socket", || {
        let socket = cluster.home("ada").join("server.sock");
        socket.exists().then_some(())
    });
    server
}

/// The tunnel from the workstation to that socket.
fn with_tunnel(cluster: &Cluster) -> impl Drop {
    let tunnel = cluster.ws().start([
        "ssh",
        "-N",
        "-oBatchMode=yes",
        "-oExitOnForwardFailure=yes",
        "-L8800:/home/ada/server.sock",
        "med0101",
    ]);
    let answers = "exec 3<>/dev/tcp/127.0.0.1/8800 && printf 'GET /api HTTP/1.0\r\n\r\n' >&3 && grep -q version <&3";
    soon("the tunnel", || {
        let asked = cluster
            .ws()
            .run(["bash", "-c", &format!("{answers}; echo $?")]);
        (asked.success().stdout == "0\n").then_some(())
    });
    tunnel
}

#[test]
fn on_the_workstation_an_open_page_goes_on_after_its_tunnel_was_lost() {
    let Some(cluster) = Cluster::up() else { return };
    let Some(command) = Browser::of(cluster.ws()) else {
        return;
    };
    let _server = with_server(&cluster);
    let tunnel = with_tunnel(&cluster);
    let mut browser = Browser::open(command, "http://127.0.0.1:8800", "a token");
    let shown = browser.run_cell("bash", "x=$(hostname); echo $x as $USER");
    assert_eq!(shown.text(), "med0101 as ada\n");

    // A hop is lost and comes back; nobody touches the page.
    cluster.host("jump").sshd_stop();
    drop(tunnel);
    soon("the page knows", || {
        let console = browser.console();
        let refused = |(kind, text): &(String, String)| {
            kind == "request" && text.contains("ERR_CONNECTION_REFUSED")
        };
        console.iter().any(refused).then_some(())
    });
    cluster.host("jump").sshd_start();
    let _tunnel = with_tunnel(&cluster);
    let shown = browser.run_cell("bash", "echo still on $x");
    assert_eq!(
        (shown.text().as_str(), shown.number),
        ("still on med0101\n", 2)
    );

    // And when it is loaded anew.
    let shown = browser.rerun("bash", "echo $x again");
    assert_eq!(
        (shown.text().as_str(), shown.number),
        ("med0101 again\n", 3)
    );
}

/// The processes that have a browser's folder among their arguments.
fn processes(folder: &str) -> usize {
    let entries = fs_err::read_dir("/proc").unwrap().flatten();
    let arguments = entries.map(|entry| std::fs::read(entry.path().join("cmdline")));
    arguments
        .filter(|text| {
            let text = text.as_deref().unwrap_or_default();
            String::from_utf8_lossy(text).contains(folder)
        })
        .count()
}

#[test]
fn a_browser_leaves_nothing_when_dropped_and_no_process_when_killed() {
    let Some(command) = Browser::here() else {
        return;
    };
    let browser = Browser::start(command);
    let folder = browser.folder().to_owned();
    assert!(processes(&folder) > 2 && Path::new(&folder).is_dir());
    drop(browser);
    assert_eq!(processes(&folder), 0);
    assert!(!Path::new(&folder).exists());

    let browser = Browser::start(Browser::here().unwrap());
    let folder = browser.folder().to_owned();
    let driver = rustix::process::Pid::from_raw(browser.driver().cast_signed()).unwrap();
    rustix::process::kill_process(driver, rustix::process::Signal::KILL).unwrap();
    soon("the end of Chromium", || {
        (processes(&folder) == 0).then_some(())
    });
    // Its files go when the next one starts.
    drop(Browser::start(Browser::here().unwrap()));
    assert!(!Path::new(&folder).exists());
}
