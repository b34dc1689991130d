//! Where a kernel listens: sockets of a private folder if it can, as in a
//! session; else ports of the loopback, as with Jupyter by default.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use jupyter_protocol::ConnectionInfo;
use jupyter_protocol::connection_info::Transport;
use tokio::net::{TcpStream, UnixStream};

use crate::kernel::KernelSpec;

/// Below the ports that Linux (32768) and macOS (49152) give to outgoing
/// connections: a connection to a port among those, before the kernel listens
/// on it, can be answered by itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// The longest path of a socket: `sun_path[108]` with a NUL at its end.
const LONGEST_SOCKET: usize = 107;

/// Ports given to kernels of this process that may not listen on them yet.
static RESERVED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Where a kernel is to listen; its ports are no other kernel's until dropped.
pub(super) struct Channels {
    info: ConnectionInfo,
    ports: Option<Ports>,
}

impl Channels {
    /// Chooses for a kernel, whose sockets may be in a folder that is private.
    pub(super) fn of(kernelspec: &KernelSpec, folder: &Path) -> io::Result<Self> {
        // A channel's socket is `<ip>-<port>`, as `jupyter_client` has it.
        let sockets = folder.join("kernel-ipc");
        let fits = sockets.as_os_str().as_bytes().len() + "-5".len() <= LONGEST_SOCKET;
        let (ip, transport, numbers, ports) = match sockets.to_str() {
            Some(path) if fits && kernelspec.can_ipc() => {
                (path.to_owned(), Transport::IPC, [1, 2, 3, 4, 5], None)
            }
            _ => {
                let ports = Ports::reserve()?;
                let ip = Ipv4Addr::LOCALHOST.to_string();
                (ip, Transport::TCP, ports.numbers, Some(ports))
            }
        };
        let [shell_port, iopub_port, stdin_port, control_port, hb_port] = numbers;
        let info = ConnectionInfo {
            ip,
            transport,
            shell_port,
            iopub_port,
            stdin_port,
            control_port,
            hb_port,
            key: hex::encode(random::<32>()?),
            signature_scheme: "hmac-sha256".to_owned(),
            kernel_name: None,
        };
        Ok(Self { info, ports })
    }

    /// What the connection file says, with a key of its own.
    pub(super) fn info(&self) -> &ConnectionInfo {
        &self.info
    }

    /// Lets the kernel take its ports. From here until it listens, they are free
    /// for others of this machine, as they are with Jupyter.
    pub(super) fn released(mut self) -> Self {
        if let Some(ports) = &mut self.ports {
            ports.listeners.clear();
        }
        self
    }
}

/// Whether a kernel listens on a channel.
pub(super) async fn listens(info: &ConnectionInfo, channel: u16) -> bool {
    match info.transport {
        Transport::IPC => UnixStream::connect(format!("{}-{channel}", info.ip))
            .await
            .is_ok(),
        Transport::TCP => TcpStream::connect((info.ip.as_str(), channel))
            .await
            .is_ok(),
    }
}

/// Five ports that no other kernel of this process gets, until dropped.
struct Ports {
    numbers: [u16; 5],
    /// They hold the ports for the moment.
    listeners: Vec<TcpListener>,
}

impl Ports {
    /// Finds five that are free.
    fn reserve() -> io::Result<Self> {
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
        let numbers = <[u16; 5]>::try_from(held)
            .map_err(|_| io::Error::new(io::ErrorKind::AddrInUse, "no five free ports"))?;
        reserved.extend(numbers);
        Ok(Self { numbers, listeners })
    }
}

impl Drop for Ports {
    fn drop(&mut self) {
        let mut reserved = RESERVED.lock().unwrap_or_else(PoisonError::into_inner);
        reserved.retain(|port| !self.numbers.contains(port));
    }
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}
