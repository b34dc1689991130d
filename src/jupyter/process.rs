//! A kernel's process: started as Jupyter starts one, and gone, with all of its
//! group and its files, when its value is dropped.
//!
//! Jupyter's launcher (`jupyter_client/launcher.py`) starts a kernel in a
//! session of its own; here it is a process group of its own, which is what
//! signals go to. (std cannot make a session yet, and `unsafe` is forbidden.)
//!
//! TCP on the loopback, as Jupyter does by default, and not `ipc`: evcxr makes
//! no valid `ipc` address, so a test over it would judge another path than the
//! one in use. The messages are signed, and a smoke cell holds no secret.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fs_err::os::unix::fs::OpenOptionsExt as _;
use jupyter_protocol::ConnectionInfo;
use jupyter_protocol::connection_info::Transport;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tempfile::TempDir;

use super::place::Home;
use crate::kernel::{KernelSpec, substitute};

/// Below the ports that Linux (32768) and macOS (49152) give to outgoing
/// connections: a connection to a port among those, before the kernel listens
/// on it, can be answered by itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// The end of what a kernel wrote to its standard streams that is kept, in bytes.
const LOG_TAIL: u64 = 4096;

/// How often a look is taken whether the process has ended.
const LOOK: Duration = Duration::from_millis(10);

/// How often the private folder's removal is tried.
const REMOVALS: usize = 20;

/// Ports given to kernels of this process that may not listen on them yet.
static RESERVED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A running kernel and the private folder (0700) that holds its connection
/// file, its log and, if asked for, its home.
pub(super) struct KernelProcess {
    child: Child,
    folder: TempDir,
    connection: ConnectionInfo,
    _ports: Ports,
}

impl KernelProcess {
    /// Starts a kernel. `environment` is the server's, which the templates of
    /// the kernelspec's `env` are filled in from.
    pub(super) fn start(
        kernelspec: &KernelSpec,
        resource_dir: &Path,
        environment: &BTreeMap<String, String>,
        home: &Home,
    ) -> io::Result<Self> {
        let private = std::fs::Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new()
            .prefix("envspec-kernel-")
            .permissions(private)
            .tempdir()?;
        let (ports, listeners) = Ports::reserve()?;
        let connection = ports.connection()?;
        let connection_file = folder.path().join("connection.json");
        create_private(&connection_file)?.write_all(&serde_json::to_vec(&connection)?)?;
        let log = create_private(&folder.path().join("log"))?;

        let mut environment = environment.clone();
        let home = match home {
            Home::Private => folder.path().join("home"),
            Home::At(path) => path.clone(),
        };
        if !home.exists() {
            fs_err::create_dir(&home)?;
        }
        environment.insert("HOME".to_owned(), home.display().to_string());
        // R and Julia leave folders in TMPDIR when they are killed.
        let scratch = folder.path().join("tmp");
        fs_err::create_dir(&scratch)?;
        environment.insert("TMPDIR".to_owned(), scratch.display().to_string());
        let filled: Vec<(String, String)> = kernelspec
            .env()
            .into_iter()
            .map(|(name, template)| {
                let value = substitute(&template, |n| environment.get(n).map(String::as_str));
                (name, value)
            })
            .collect();
        environment.extend(filled);

        let placeholders = [
            ("{connection_file}", connection_file.display().to_string()),
            ("{resource_dir}", resource_dir.display().to_string()),
        ];
        let fill = |word: &str| {
            placeholders
                .iter()
                .fold(word.to_owned(), |word, (name, path)| {
                    word.replace(name, path)
                })
        };
        let argv: Vec<String> = kernelspec.argv().into_iter().map(fill).collect();
        let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(&environment)
            // Kernels that know it end themselves when this process is killed.
            .env("JPY_PARENT_PID", std::process::id().to_string())
            .current_dir(&home)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?.into_parts().0)
            .stderr(log.into_parts().0)
            .process_group(0);
        // From here until the kernel listens, the ports are free for others of
        // this machine, as they are with Jupyter.
        drop(listeners);
        let child = command
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
        Ok(Self {
            child,
            folder,
            connection,
            _ports: ports,
        })
    }

    /// Where the kernel listens.
    pub(super) fn connection(&self) -> &ConnectionInfo {
        &self.connection
    }

    /// Waits until the process has ended; says how it did. It stays a zombie,
    /// so that its number still names its group and nothing else.
    pub(super) async fn ended(&self) -> String {
        loop {
            if let Some(how) = self.has_ended() {
                return how;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn has_ended(&self) -> Option<String> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(self.group()), options) {
            Ok(None) => None,
            Ok(Some(status)) => Some(match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => format!("exit code {code}"),
                (None, Some(signal)) => format!("signal {signal}"),
                (None, None) => "an unknown status".to_owned(),
            }),
            Err(error) => Some(format!("a status that can't be read ({error})")),
        }
    }

    /// Interrupts the kernel by signal, as Jupyter does: SIGINT to its group.
    pub(super) fn interrupt(&self) -> io::Result<()> {
        Ok(kill_process_group(self.group(), Signal::INT)?)
    }

    /// Asks the kernel by signal to end: SIGTERM to its group.
    pub(super) fn terminate(&self) -> io::Result<()> {
        Ok(kill_process_group(self.group(), Signal::TERM)?)
    }

    /// The end of what the kernel wrote to its standard streams.
    pub(super) fn log_tail(&self) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let mut log = fs_err::File::open(self.folder.path().join("log"))?;
            let length = log.metadata()?.len();
            log.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
            let mut bytes = Vec::new();
            log.take(LOG_TAIL).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let text = read().unwrap_or_default();
        anstream::adapter::strip_str(&String::from_utf8_lossy(&text)).to_string()
    }

    fn group(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for KernelProcess {
    fn drop(&mut self) {
        // The leader is not reaped yet, so the group's number is still its own;
        // an error can only mean that nobody is left in it.
        let _gone = kill_process_group(self.group(), Signal::KILL);
        let _reaped = self.child.wait();
        // A shell that the kernel had on a terminal of its own outlives it for
        // a moment, to save its history: it may write while its home goes.
        for _ in 0..REMOVALS {
            if fs_err::remove_dir_all(self.folder.path()).is_ok() {
                break;
            }
            std::thread::sleep(LOOK);
        }
    }
}

fn create_private(path: &Path) -> io::Result<fs_err::File> {
    fs_err::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Five ports that no other kernel of this process gets, until dropped.
struct Ports([u16; 5]);

impl Ports {
    /// Finds five that are free, held by the listeners for the moment.
    fn reserve() -> io::Result<(Self, Vec<TcpListener>)> {
        let mut reserved = RESERVED.lock().unwrap_or_else(PoisonError::into_inner);
        let length = usize::from(PORTS.end - PORTS.start);
        let offset = usize::from(u16::from_le_bytes(random()?)) % length;
        let mut held = Vec::with_capacity(5);
        let mut listeners = Vec::with_capacity(5);
        for port in PORTS.cycle().skip(offset).take(length) {
            if !reserved.contains(&port)
                && let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            {
                held.push(port);
                listeners.push(listener);
            }
            if held.len() == 5 {
                break;
            }
        }
        let ports = <[u16; 5]>::try_from(held)
            .map_err(|_| io::Error::new(io::ErrorKind::AddrInUse, "no five free ports"))?;
        reserved.extend(ports);
        Ok((Self(ports), listeners))
    }

    /// What the connection file says of them, with a fresh key.
    fn connection(&self) -> io::Result<ConnectionInfo> {
        let [shell_port, iopub_port, stdin_port, control_port, hb_port] = self.0;
        Ok(ConnectionInfo {
            ip: Ipv4Addr::LOCALHOST.to_string(),
            transport: Transport::TCP,
            shell_port,
            iopub_port,
            stdin_port,
            control_port,
            hb_port,
            key: hex::encode(random::<32>()?),
            signature_scheme: "hmac-sha256".to_owned(),
            kernel_name: None,
        })
    }
}

impl Drop for Ports {
    fn drop(&mut self) {
        let mut reserved = RESERVED.lock().unwrap_or_else(PoisonError::into_inner);
        reserved.retain(|port| !self.0.contains(port));
    }
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}
