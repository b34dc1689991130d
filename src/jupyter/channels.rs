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
        // Without a call where the system tells: a kernel on zeromq's Rust port (evcxr)
        // gives a channel up when its first caller hangs up.
        Transport::TCP => match is_listened_on(channel) {
            Some(is) => is,
            None => TcpStream::connect((info.ip.as_str(), channel))
                .await
                .is_ok(),
        },
    }
}

/// Whether a TCP socket listens on a port, by Linux' tables; `None` where there are none.
fn is_listened_on(port: u16) -> Option<bool> {
    const LISTENS: &str = "0A";
    let local = format!(":{port:04X}");
    // Java listens on a socket of IPv6 for both.
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(std::fs::read_to_string);
    let lines: Vec<&str> = match &tables {
        [Err(_), Err(_)] => return None,
        tables => tables
            .iter()
            .flatten()
            .flat_map(|table| table.lines())
            .collect(),
    };
    Some(lines.into_iter().any(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        words
            .next()
            .is_some_and(|address| address.ends_with(&local))
            && words.nth(1) == Some(LISTENS)
    }))
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

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::is_listened_on;

    #[test]
    fn a_port_is_listened_on_while_somebody_does_and_not_by_who_only_calls() {
        if is_listened_on(0).is_none() {
            return;
        }
        let now = |port| is_listened_on(port).unwrap();
        // As Java does, if this machine has IPv6, and as all others do.
        for place in ["[::]:0", "127.0.0.1:0"] {
            let Ok(listener) = TcpListener::bind(place) else {
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            assert!(now(port), "{place}");
            let caller = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let _answered = listener.accept().unwrap();
            drop(listener);
            assert!(!now(port) && !now(caller.local_addr().unwrap().port()));
        }
    }
}
