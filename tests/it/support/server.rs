//! A web server of channels: validators as real ones have them, a log of what
//! was asked, and faults on demand.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http_body::Frame;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// What goes wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 404.
    NotFound,
    /// 503, however often it is asked for.
    Unavailable,
    /// The whole length is announced, half of it comes.
    Truncated,
    /// The right length, one byte is another.
    WrongBytes,
    /// A page for people in place of the file, with 200 (a captive portal).
    Html,
    /// A byte a second for some seconds, then the rest.
    Slow,
    /// No answer until [`Server::release`], or for half a minute.
    Held,
}

/// Who may have a file.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    /// Whoever sends this `Authorization`.
    Header(String),
    /// Whoever has this token in the path, as conda does: `/t/<token>/…`.
    Token(String),
}

impl Ask {
    /// User and password.
    pub(crate) fn basic(user: &str, password: &str) -> Self {
        let pair = BASE64_STANDARD.encode(format!("{user}:{password}"));
        Self::Header(format!("Basic {pair}"))
    }

    /// The path without what opens it; `None` for strangers.
    fn opened(&self, path: &str, headers: &HeaderMap) -> Option<String> {
        match self {
            Self::Header(wanted) => {
                let sent = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
                (sent == wanted).then(|| path.to_owned())
            }
            Self::Token(token) => {
                let (before, behind) = path.split_once(&format!("/t/{token}"))?;
                Some(format!("{before}{behind}"))
            }
        }
    }
}

struct Shared {
    folder: PathBuf,
    faults: Mutex<Vec<(String, Fault, usize)>>,
    log: Mutex<Vec<String>>,
    asked: Condvar,
    held: watch::Sender<bool>,
    ask: Mutex<Option<Ask>>,
    /// Every header that was sent, but those that say what is asked of a file.
    headers: Mutex<Vec<String>>,
}

/// The server; it ends when dropped.
pub(crate) struct Server {
    shared: Arc<Shared>,
    address: std::net::SocketAddr,
    runtime: Option<Runtime>,
}

impl Server {
    /// Serves a folder of channels on a free port of the loopback.
    pub(crate) fn start(folder: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            faults: Mutex::default(),
            log: Mutex::default(),
            asked: Condvar::new(),
            held: watch::Sender::new(true),
            ask: Mutex::default(),
            headers: Mutex::default(),
        });
        let app = axum::Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self {
            shared,
            address,
            runtime: Some(runtime),
        }
    }

    /// The channel alias.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The same with something before the host: `user:password@`.
    pub(crate) fn url_of(&self, who: &str) -> String {
        format!("http://{who}{}", self.address)
    }

    /// From now on strangers get a 401.
    pub(crate) fn ask(&self, ask: Ask) {
        *self.shared.ask.lock().unwrap() = Some(ask);
    }

    /// The headers that were sent until now: `name: value`.
    pub(crate) fn headers(&self) -> Vec<String> {
        self.shared.headers.lock().unwrap().clone()
    }

    /// From now on, files whose path holds `part` have this fault.
    pub(crate) fn fault(&self, part: &str, fault: Fault) {
        self.fault_times(part, fault, usize::MAX);
    }

    /// The same, for as many requests.
    pub(crate) fn fault_times(&self, part: &str, fault: Fault, times: usize) {
        let fault = (part.to_owned(), fault, times);
        self.shared.faults.lock().unwrap().push(fault);
    }

    /// No more faults.
    pub(crate) fn heal(&self) {
        self.shared.faults.lock().unwrap().clear();
    }

    /// Answers what was held.
    pub(crate) fn release(&self) {
        self.heal();
        self.shared.held.send_replace(false);
    }

    /// The requests since the last call: `METHOD path status`.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.log.lock().unwrap())
    }

    /// Waits until a file whose path holds `part` was asked for.
    #[track_caller]
    pub(crate) fn wait_for(&self, part: &str) {
        let log = self.shared.log.lock().unwrap();
        let (log, outcome) = self
            .shared
            .asked
            .wait_timeout_while(log, Duration::from_mins(1), |log| {
                !log.iter().any(|line| line.contains(part))
            })
            .unwrap();
        assert!(!outcome.timed_out(), "{part} was not asked for: {log:#?}");
    }

    /// Stops listening; connections are cut.
    pub(crate) fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    let path = uri.path().replace("%21", "!");
    let sent = headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        format!("{name}: {value}")
    });
    shared.headers.lock().unwrap().extend(sent);
    let ask = shared.ask.lock().unwrap().clone();
    let opened = match ask {
        Some(ask) => ask.opened(&path, &headers),
        None => Some(path.clone()),
    };
    let Some(path) = opened else {
        shared
            .log
            .lock()
            .unwrap()
            .push(format!("{method} {path} 401"));
        return Response::builder()
            .status(StatusCode::UNAUTHORIZED)
            .header(header::WWW_AUTHENTICATE, "Basic realm=\"channels\"")
            .body(Body::empty())
            .unwrap();
    };
    let fault = shared
        .faults
        .lock()
        .unwrap()
        .iter_mut()
        .find(|(part, _, times)| *times > 0 && path.contains(part.as_str()))
        .map(|(_, fault, times)| {
            *times -= 1;
            *fault
        });
    let log = |what: &str| {
        let mut log = shared.log.lock().unwrap();
        log.push(format!("{method} {path} {what}"));
        shared.asked.notify_all();
    };
    if fault == Some(Fault::Held) {
        log("held");
        let mut held = shared.held.subscribe();
        // Not for ever: a test that nobody releases must fail, not hang.
        let released = held.wait_for(|held| !held);
        drop(tokio::time::timeout(Duration::from_secs(30), released).await);
    }
    let response = respond(&shared.folder, &path, &headers, fault);
    log(response.status().as_str());
    response
}

fn respond(folder: &Path, path: &str, headers: &HeaderMap, fault: Option<Fault>) -> Response<Body> {
    let status = |status: StatusCode| {
        Response::builder()
            .status(status)
            .body(Body::empty())
            .unwrap()
    };
    let parts: BTreeSet<&str> = path.split('/').collect();
    let mut file = folder.join(path.trim_start_matches('/'));
    // An index of Python's packages is pages for folders.
    let is_page = path.ends_with('/');
    let is_json = is_page && file.join("index.json").exists();
    if is_page {
        file.push(if is_json { "index.json" } else { "index.html" });
    }
    let (Ok(metadata), false) = (file.metadata(), parts.contains("..")) else {
        return status(StatusCode::NOT_FOUND);
    };
    match fault {
        Some(Fault::NotFound) => return status(StatusCode::NOT_FOUND),
        Some(Fault::Unavailable) => return status(StatusCode::SERVICE_UNAVAILABLE),
        Some(Fault::Html) => {
            return Response::builder()
                .header(header::CONTENT_TYPE, "text/html")
                .body(Body::from("<html><body>Please log in</body></html>"))
                .unwrap();
        }
        _ => {}
    }
    if !metadata.is_file() {
        return status(StatusCode::NOT_FOUND);
    }
    let modified = metadata.modified().unwrap();
    let stamp = jiff::Timestamp::try_from(modified).unwrap();
    let etag = format!("\"{:x}-{:x}\"", stamp.as_nanosecond(), metadata.len());
    let kind = if is_json {
        "application/vnd.pypi.simple.v1+json"
    } else if is_page {
        "text/html"
    } else {
        "application/octet-stream"
    };
    let builder = Response::builder()
        .header(header::CONTENT_TYPE, kind)
        .header(header::ETAG, &etag)
        // Without it a client may take what it has for fresh, by its age.
        .header(header::CACHE_CONTROL, "no-cache")
        .header(
            header::LAST_MODIFIED,
            stamp.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
        );
    if headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known == etag.as_str())
    {
        return builder
            .status(StatusCode::NOT_MODIFIED)
            .body(Body::empty())
            .unwrap();
    }
    let mut bytes = fs_err::read(&file).unwrap();
    let length = bytes.len();
    let builder = builder.header(header::CONTENT_LENGTH, length);
    match fault {
        Some(Fault::WrongBytes) => bytes[length / 2] ^= 1,
        Some(Fault::Truncated) => {
            // A body that ends with an error: the connection is cut in its middle.
            bytes.truncate(length / 2);
            return builder.body(Body::new(Halved::Begun(bytes))).unwrap();
        }
        Some(Fault::Slow) => {
            let bytes = Bytes::from(bytes);
            let next = tokio::time::sleep(SECOND);
            let slow = Slow {
                bytes,
                sent: 0,
                next: Box::pin(next),
            };
            return builder.body(Body::new(slow)).unwrap();
        }
        _ => {}
    }
    builder.body(Body::from(bytes)).unwrap()
}

/// A body of which half comes, then the connection is lost.
enum Halved {
    Begun(Vec<u8>),
    /// The half is on its way: only once it was waited for it has left.
    Sent,
    Lost,
}

impl axum::body::HttpBody for Halved {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match std::mem::replace(&mut *self, Self::Lost) {
            Self::Begun(half) => {
                *self = Self::Sent;
                Poll::Ready(Some(Ok(Frame::data(half.into()))))
            }
            Self::Sent => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Lost => Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into()))),
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// How many bytes come alone.
const ALONE: usize = 4;

/// A body of which a byte a second comes, then all that is left.
struct Slow {
    bytes: Bytes,
    sent: usize,
    next: Pin<Box<tokio::time::Sleep>>,
}

impl axum::body::HttpBody for Slow {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        if self.next.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.next = Box::pin(tokio::time::sleep(SECOND));
        self.sent += 1;
        let length = if self.sent > ALONE {
            self.bytes.len()
        } else {
            1
        };
        let frame = self.bytes.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }
}

/// Something before a server that cuts connections: it resets those that ask for a
/// certain file, and sends all others on.
pub(crate) struct Cutter {
    url: String,
    left: Arc<AtomicUsize>,
}

impl Cutter {
    /// Resets as many requests for files whose path holds `part`.
    pub(crate) fn before(server: &Server, part: &'static str, times: usize) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let left = Arc::new(AtomicUsize::new(times));
        let (to, counter) = (server.url(), Arc::clone(&left));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                drop(cut_or_send_on(client, &to, part, &counter));
            }
        });
        Self { url, left }
    }

    /// The channel alias.
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// How many more it would reset.
    pub(crate) fn left(&self) -> usize {
        self.left.load(Ordering::SeqCst)
    }

    /// Resets no more.
    pub(crate) fn heal(&self) {
        self.left.store(0, Ordering::SeqCst);
    }
}

fn cut_or_send_on(
    client: std::io::Result<std::net::TcpStream>,
    to: &str,
    part: &str,
    left: &AtomicUsize,
) -> std::io::Result<()> {
    let mut client = client?;
    client.set_read_timeout(Some(SECOND))?;
    let mut bytes = [0; 8192];
    let length = client.peek(&mut bytes)?;
    let request = String::from_utf8_lossy(&bytes[..length]).into_owned();
    let path = request.split_whitespace().nth(1).unwrap_or_default();
    let take = |count: usize| count.checked_sub(1);
    if path.contains(part)
        && left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
            .is_ok()
    {
        // Closed with something unread, the system resets the connection.
        return Ok(());
    }
    client.read_exact(&mut bytes[..length])?;
    let answer = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: {to}{path}\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    client.write_all(answer.as_bytes())
}
