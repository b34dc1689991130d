//! The port of this machine that a browser knows: it stays while the way behind
//! it breaks and is mended.
//!
//! Who calls while there is no way is kept waiting and not turned away: a page
//! that is refused waits up to half a minute before it tries again, one that is
//! kept waiting goes on at once. One that hangs up meanwhile is let go: a page
//! calls again and again, and each call would hold a file of this process until
//! there are none left to mend the way with.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::error::SessionError;

/// Where a server is reached on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The near end of a tunnel: a socket in a folder of this process's own.
    Socket(PathBuf),
    /// The port of a server of this machine.
    Port(u16),
}

/// What a connection to a target can do.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Target {
    /// Connects to it.
    pub(super) async fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Socket(path) => Box::new(UnixStream::connect(path).await?),
            Self::Port(port) => Box::new(TcpStream::connect(("127.0.0.1", *port)).await?),
        })
    }
}

/// How long to wait before a target that did not answer is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// How many callers are kept waiting at once: more than the pages of one person
/// have, and half of the 256 files that a process may open on macOS.
const PLACES: usize = 128;

/// How much of what a waiting caller says is kept. Its end can only be seen
/// behind what it has said.
const KEPT: usize = 64 * 1024;

/// The port; closed when dropped.
#[derive(Debug)]
pub(super) struct Front {
    target: watch::Sender<Option<Target>>,
    accepting: JoinHandle<()>,
}

impl Front {
    /// Takes a port of the loopback.
    pub(super) async fn bind(port: u16) -> Result<Self, SessionError> {
        Self::bind_at(([127, 0, 0, 1], port).into()).await
    }

    async fn bind_at(address: SocketAddr) -> Result<Self, SessionError> {
        let port = address.port();
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| match source.kind() {
                ErrorKind::AddrInUse => SessionError::PortTaken { port },
                _ => SessionError::NoPort { port, source },
            })?;
        let (target, watched) = watch::channel(None);
        let places = Arc::new(Semaphore::new(PLACES));
        let accepting = tokio::spawn(async move {
            loop {
                // An error is of one caller, or of a limit that passes.
                match listener.accept().await {
                    Ok((caller, _)) => {
                        let served = serve(caller, watched.clone(), Arc::clone(&places));
                        drop(tokio::spawn(served));
                    }
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        });
        Ok(Self { target, accepting })
    }

    /// Leads to a target from now on, or keeps callers waiting.
    pub(super) fn lead_to(&self, target: Option<Target>) {
        self.target.send_replace(target);
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Serves one caller, as soon as there is a way.
async fn serve(
    mut caller: TcpStream,
    mut watched: watch::Receiver<Option<Target>>,
    places: Arc<Semaphore>,
) {
    let Ok(place) = places.try_acquire() else {
        return;
    };
    let mut said = Vec::new();
    let mut server = loop {
        let target = tokio::select! {
            // One that has said all and waits for the answer looks like one that
            // hung up: where there is a way it is served.
            biased;
            target = watched.wait_for(Option::is_some) => match target {
                Ok(target) => target.clone(),
                Err(_) => return,
            },
            () = hung_up(&mut caller, &mut said) => return,
        };
        let Some(target) = target else { return };
        if let Ok(server) = target.connect().await {
            break server;
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = hung_up(&mut caller, &mut said) => return,
        }
    };
    drop(place);
    if server.write_all(&said).await.is_ok() {
        // Either side may hang up whenever it likes.
        drop(copy_bidirectional(&mut caller, &mut server).await);
    }
}

/// Waits until a caller hangs up, and keeps what it says before.
async fn hung_up(caller: &mut TcpStream, said: &mut Vec<u8>) {
    while said.len() < KEPT {
        match caller.read_buf(said).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    std::future::pending::<()>().await;
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn a_caller_is_kept_waiting_until_there_is_a_way() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = free.local_addr().unwrap().port();
        let taken = Front::bind(port).await.unwrap_err();
        assert!(matches!(taken, SessionError::PortTaken { .. }), "{taken}");
        drop(free);

        let front = Front::bind(port).await.unwrap();
        let mut caller = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        caller.write_all(b"ping").await.unwrap();
        let mut answer = [0; 4];
        let early = caller.read_exact(&mut answer);
        let early = tokio::time::timeout(Duration::from_millis(100), early).await;
        assert!(early.is_err(), "it was answered or turned away");

        // A target that does not listen yet is tried again.
        front.lead_to(Some(Target::Socket(socket.clone())));
        tokio::time::sleep(Duration::from_millis(50)).await;
        let listener = UnixListener::bind(&socket).unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        server.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"ping");
        server.write_all(b"pong").await.unwrap();
        caller.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"pong");
    }

    async fn free_port() -> u16 {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        free.local_addr().unwrap().port()
    }

    /// Waits, two seconds at most, until something is so.
    async fn soon(is_so: impl Fn() -> bool) -> bool {
        for _ in 0..200 {
            if is_so() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn callers_that_hang_up_are_let_go_and_of_those_that_stay_a_few_are_kept() {
        let open_files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let port = free_port().await;
        let front = Front::bind(port).await.unwrap();
        let before = open_files();
        let call = async |ask: &[u8]| {
            let mut caller = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            caller.write_all(ask).await.unwrap();
            caller
        };
        for n in 0..400 {
            // Some hang up with a question asked, some without.
            drop(call(if n % 2 == 0 { b"GET" } else { b"" }).await);
        }
        assert!(
            soon(|| open_files() < before + 20).await,
            "{before} files were open, now {}",
            open_files()
        );

        // The way does not stand yet though it was said: they are let go then too.
        front.lead_to(Some(Target::Socket(socket.clone())));
        for _ in 0..100 {
            drop(call(b"GET").await);
        }
        assert!(soon(|| open_files() < before + 20).await);
        front.lead_to(None);

        let mut staying = Vec::new();
        for _ in 0..300 {
            staying.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
        }
        let kept = || open_files() - before - staying.len();
        assert!(soon(|| kept() == PLACES).await, "{} are kept", kept());
        drop(staying);
        assert!(soon(|| open_files() < before + 20).await);

        let mut caller = call(b"ping").await;
        // Some of it is read while it waits, some is said when the way stands.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let listener = UnixListener::bind(&socket).unwrap();
        front.lead_to(Some(Target::Socket(socket.clone())));
        let (mut server, _) = listener.accept().await.unwrap();
        caller.write_all(b" pong").await.unwrap();
        caller.shutdown().await.unwrap();
        let mut heard = String::new();
        server.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "ping pong");
        // One that has said all and waits is served.
        server.write_all(b"answer").await.unwrap();
        drop(server);
        heard.clear();
        caller.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "answer");
    }

    #[tokio::test]
    async fn a_port_that_cannot_be_had_is_not_called_taken() {
        // No address of this machine: the same road as a port that is root's.
        let error = Front::bind_at(([192, 0, 2, 1], 1).into())
            .await
            .unwrap_err();
        assert!(matches!(error, SessionError::NoPort { .. }), "{error}");
        let why = std::error::Error::source(&error).unwrap().to_string();
        assert!(why.contains("assign"), "{why}");
    }
}
