//! The port of this machine that a browser knows: it stays while the way behind
//! it breaks and is mended.
//!
//! Who calls while there is no way is kept waiting and not turned away: a page
//! that is refused waits up to half a minute before it tries again, one that is
//! kept waiting goes on at once.

use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
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

/// The port; closed when dropped.
#[derive(Debug)]
pub(super) struct Front {
    target: watch::Sender<Option<Target>>,
    accepting: JoinHandle<()>,
}

impl Front {
    /// Takes a port of the loopback.
    pub(super) async fn bind(port: u16) -> Result<Self, SessionError> {
        let listener = TcpListener::bind(("127.0.0.1", port))
            .await
            .map_err(|_| SessionError::PortTaken { port })?;
        let (target, watched) = watch::channel(None);
        let accepting = tokio::spawn(async move {
            loop {
                // An error is of one caller, or of a limit that passes.
                match listener.accept().await {
                    Ok((caller, _)) => drop(tokio::spawn(serve(caller, watched.clone()))),
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
async fn serve(mut caller: TcpStream, mut watched: watch::Receiver<Option<Target>>) {
    loop {
        let Ok(target) = watched.wait_for(Option::is_some).await.map(|t| t.clone()) else {
            return;
        };
        let Some(target) = target else { return };
        match target.connect().await {
            Ok(mut server) => {
                // Either side may hang up whenever it likes.
                drop(copy_bidirectional(&mut caller, &mut server).await);
                return;
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
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
}
