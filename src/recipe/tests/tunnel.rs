//! What the tunnel's commands do with a real ssh and a real sshd.
//!
//! One sshd plays login node and compute node, on a port and with keys of the
//! test's own; a socket that answers plays Jupyter. Neither the home's `.ssh` nor
//! the system's sshd is touched.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{Case, has, soon, status};
use crate::recipe::{CommandLine, Format, StepKind};
use crate::spec::EnvName;

/// An sshd of this test alone, on a port of its own.
struct Sshd {
    folder: TempDir,
    child: Child,
    port: u16,
}

impl Sshd {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        for key in ["host", "key"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f", &at(key)])
                .status()
                .unwrap();
            assert!(made.success());
        }
        std::fs::copy(at("key.pub"), at("authorized")).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        // A login shell's banner, and a queue as Slurm would show it.
        std::fs::create_dir(at("bin")).unwrap();
        for (name, text) in [
            ("squeue", "echo Welcome; echo 127.0.0.1"),
            ("scancel", "echo \"$@\" >&2"),
        ] {
            let path = folder.path().join("bin").join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n\
             PidFile none\nSetEnv PATH={}:/usr/bin:/bin\n",
            at("host"),
            at("authorized"),
            at("bin"),
        );
        std::fs::write(at("sshd_config"), config).unwrap();
        if std::fs::metadata("/run").is_ok() {
            // Only root's sshd wants it, and only root can make it.
            drop(std::fs::create_dir_all("/run/sshd"));
        }
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", &at("sshd_config")])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let sshd = Self {
            folder,
            child,
            port,
        };
        soon("sshd", || TcpStream::connect(("127.0.0.1", port)).ok());
        sshd
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The recipe's config, made to find this sshd and to keep its handles here.
    fn client_config(&self, config: &str) -> PathBuf {
        let folder = self.folder.path().to_str().unwrap();
        let text = format!(
            "{}\nHost *\n  Port {}\n  IdentityFile {folder}/key\n  IdentitiesOnly yes\n\
             \x20 UserKnownHostsFile {folder}/known\n  StrictHostKeyChecking no\n  LogLevel ERROR\n",
            config.replace("~/.ssh", folder),
            self.port,
        );
        let path = self.path("client");
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // A test that failed has left its connections open.
        for entry in std::fs::read_dir(self.folder.path())
            .into_iter()
            .flatten()
            .flatten()
        {
            if entry.file_type().is_ok_and(|kind| kind.is_socket()) {
                let mut close = Command::new("ssh");
                close
                    .args(["-F", "none", "-O", "exit", "-S"])
                    .arg(entry.path())
                    .arg("any");
                drop(close.stderr(Stdio::null()).status());
            }
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Something that answers on a socket, in place of a Jupyter.
fn answering(path: PathBuf) {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 512];
            if stream.read(&mut request).is_ok() {
                drop(stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n"));
            }
        }
    });
}

fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A site whose login node and nodes are the test's sshd.
fn case_at(sshd: &Sshd, server: u16) -> Case {
    let mut case = Case::at("slurm").user("127.0.0.1", &user());
    // The local port follows from the name: another run must not have the same.
    case.env = EnvName::new(&format!("t{}", std::process::id())).unwrap();
    case.server = server;
    case.site.ssh.hops[0].hosts = vec![crate::site::HostName::new("127.0.0.1").unwrap()];
    case.root = sshd.path("root").to_str().unwrap().to_owned();
    let session = sshd.path("root/sessions/4711-0");
    std::fs::create_dir_all(&session).unwrap();
    let pointer = sshd.path("root/sessions").join(case.recipe().session);
    std::os::unix::fs::symlink("4711-0", pointer).unwrap();
    let socket = session.join("server.sock");
    std::fs::write(
        session.join("endpoint"),
        format!("127.0.0.1 {}\n", socket.display()),
    )
    .unwrap();
    std::fs::write(session.join("token"), "0123").unwrap();
    answering(socket);
    case
}

/// A folder with this machine's programs, except Slurm's: a laptop.
fn path_without_slurm(folder: &Path) -> String {
    std::fs::create_dir(folder).unwrap();
    for entry in std::fs::read_dir("/usr/bin").unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if !["sbatch", "squeue", "scancel"].contains(&name.to_str().unwrap()) {
            std::os::unix::fs::symlink(&path, folder.join(name)).unwrap();
        }
    }
    folder.to_str().unwrap().to_owned()
}

fn bash(text: &str) -> String {
    // Inherited pipes would be held open by the ssh that stays.
    let (out, err) = (
        tempfile::NamedTempFile::new().unwrap(),
        tempfile::NamedTempFile::new().unwrap(),
    );
    let status = Command::new("timeout")
        .args(["60", "bash", "-c", text])
        .stdin(Stdio::null())
        .stdout(out.reopen().unwrap())
        .stderr(err.reopen().unwrap())
        .status()
        .unwrap();
    let said = std::fs::read_to_string(err.path()).unwrap();
    assert!(status.success(), "{said}\n{text}");
    std::fs::read_to_string(out.path()).unwrap() + &said
}

#[test]
fn the_steps_open_and_close_a_tunnel_to_a_socket_through_a_hop() {
    if !has("ssh") || !has("/usr/sbin/sshd") {
        return;
    }
    let sshd = Sshd::start();
    let case = case_at(&sshd, 1);
    let recipe = case.recipe();
    let config = sshd.client_config(&recipe.render(Format::SshConfig));
    let typed = |kind: StepKind| {
        let step = recipe.steps.iter().find(|step| step.kind == kind).unwrap();
        let lines: Vec<_> = step.commands.iter().map(CommandLine::quoted).collect();
        let ssh = format!("ssh() {{ command ssh -F '{}' \"$@\"; }}", config.display());
        bash(&format!("{ssh}\nset -e\n{}", lines.join("\n")))
    };
    let local = format!("127.0.0.1:{}", recipe.local_port);
    assert!(TcpStream::connect(&local).is_err());
    typed(StepKind::Connect);
    assert_eq!(status(&local, "/", "x", None), 200);
    assert_eq!(typed(StepKind::Open), "0123");
    // The connection is lost and found again, at the same address.
    typed(StepKind::Reconnect);
    soon("closed port", || {
        TcpStream::connect(&local).is_err().then_some(())
    });
    typed(StepKind::Connect);
    assert_eq!(status(&local, "/", "x", None), 200);
    assert!(typed(StepKind::End).contains(&format!("--me --name={}", recipe.session)));
    soon("closed port", || {
        TcpStream::connect(&local).is_err().then_some(())
    });
}

#[test]
fn the_shell_form_does_the_same_by_its_words() {
    if !has("ssh") || !has("/usr/sbin/sshd") {
        return;
    }
    let sshd = Sshd::start();
    let recipe = case_at(&sshd, 2).recipe();
    // The form writes its ssh config itself: its text is adapted, not its code.
    let form = recipe.render(Format::Shell);
    let folder = sshd.folder.path().to_str().unwrap();
    std::fs::create_dir(sshd.path(".ssh")).unwrap();
    let extra = sshd.client_config("");
    let form = form
        .replace("~/.ssh/config", extra.to_str().unwrap())
        .replace("~/.ssh/envspec", &format!("{folder}/envspec"));
    std::fs::write(sshd.path("form"), form).unwrap();
    let path = path_without_slurm(&sshd.path("laptop"));
    let at_home = format!("HOME='{folder}' PATH='{path}' bash '{folder}/form'");
    let run = |word: &str| bash(&format!("{at_home} {word}"));
    let local = format!("127.0.0.1:{}", recipe.local_port);

    let said = run("connect");
    assert!(said.contains(&recipe.url), "{said}");
    assert_eq!(status(&local, "/", "x", None), 200);
    assert!(run("where").contains("127.0.0.1 "));
    assert_eq!(run("token"), "0123\n");
    assert!(run("disconnect").contains("tunnel closed"));
    soon("closed port", || {
        TcpStream::connect(&local).is_err().then_some(())
    });

    // The job was moved: Slurm names another node than the file.
    let squeue = sshd.path("bin/squeue");
    std::fs::write(&squeue, "#!/bin/sh\necho elsewhere\n").unwrap();
    let refused = bash(&format!("{at_home} connect || true"));
    assert!(
        refused.contains(&format!("Slurm runs no {} on 127.0.0.1", recipe.session)),
        "{refused}"
    );
    run("stop");
}
