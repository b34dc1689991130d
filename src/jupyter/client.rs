//! The messages between us and a kernel under test: requests out, replies and
//! output in.
//!
//! Sending, signing and verifying are jupyter-zmq-client's. Its typed reading
//! isn't used: a kernel whose reply departs from the protocol would be unread,
//! and two of the first six do (`bash_kernel` and `IRkernel` answer an
//! interrupted cell with the status `abort`). Of each message only what a test
//! needs is looked at.

use std::time::{Duration, Instant};

use jupyter_protocol::messaging::{
    ExecuteRequest, InterruptRequest, JupyterMessage, KernelInfoRequest, ShutdownRequest,
};
use jupyter_protocol::{ConnectionInfo, JupyterMessageContent};
use jupyter_zmq_client::{
    ClientControlConnection, ClientIoPubConnection, ClientShellConnection, Connection, RawMessage,
    RuntimeError, create_client_control_connection, create_client_iopub_connection,
    create_client_shell_connection_with_identity, peer_identity_for_session,
};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::channels::listens;

/// How often a channel is tried until the kernel listens on it.
const KNOCK: Duration = Duration::from_millis(10);

/// How long a sign of life on the output channel is waited for before the
/// kernel is asked again. The subscription to that channel takes effect some
/// time after the connection, and messages before it are lost.
const SUBSCRIBED: Duration = Duration::from_millis(200);

/// How often it is asked: some kernels give no sign at all.
const ASKED: usize = 5;

/// How long output may come after the reply that ends a cell. The two travel on
/// different channels; Deno's output is regularly the later one.
const TRAILING_OUTPUT: Duration = Duration::from_secs(1);

/// How long a working cell may print nothing before it is taken to run.
const SILENT: Duration = Duration::from_secs(2);

/// A connection to a kernel.
pub(super) struct Client {
    shell: ClientShellConnection,
    iopub: ClientIoPubConnection,
    control: ClientControlConnection,
}

/// What executing a cell gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Executed {
    /// The reply's status: `ok`, `error`, `aborted`, or a kernel's own word.
    pub(super) status: String,
    /// What the cell printed to stdout and what it evaluated to, in order,
    /// without terminal colours.
    pub(super) output: String,
    /// The error that the kernel reported, in one line.
    pub(super) error: Option<String>,
}

/// A channel that a message came on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Channel {
    Shell,
    Iopub,
    Control,
}

/// A message, as far as it is looked at.
struct Received {
    channel: Channel,
    kind: String,
    parent: String,
    content: Value,
}

impl Client {
    /// Connects as soon as the kernel listens. Does not end by itself.
    pub(super) async fn connect(info: &ConnectionInfo) -> Result<Self, RuntimeError> {
        // The socket library waits twice as long after each refusal, up to 30 s:
        // a kernel that needs 2 s would be reached after 3.
        for port in [info.shell_port, info.iopub_port, info.control_port] {
            while !listens(info, port).await {
                sleep(KNOCK).await;
            }
        }
        let session = JupyterMessage::new(KernelInfoRequest {}, None)
            .header
            .session;
        let identity = peer_identity_for_session(&session)?;
        Ok(Self {
            iopub: create_client_iopub_connection(info, "", &session).await?,
            control: create_client_control_connection(info, &session).await?,
            shell: create_client_shell_connection_with_identity(info, &session, identity).await?,
        })
    }

    /// Asks who the kernel is until it has answered and its output is heard.
    /// Does not end by itself. Gives the implementation's name and version.
    pub(super) async fn greet(&mut self) -> Result<String, RuntimeError> {
        let mut who = None;
        for _ in 0..ASKED {
            let asked = self.request(KernelInfoRequest {}).await?;
            let mut heard = false;
            while who.is_none() || !heard {
                let next = self.next();
                let message = match who {
                    None => next.await?,
                    Some(_) => match timeout(SUBSCRIBED, next).await {
                        Ok(message) => message?,
                        Err(_) => break,
                    },
                };
                heard |= message.channel == Channel::Iopub;
                if message.kind == "kernel_info_reply" && (message.parent == asked || who.is_none())
                {
                    let text = |key: &str| message.content[key].as_str().unwrap_or("?").to_owned();
                    who = Some(format!(
                        "{} {}",
                        text("implementation"),
                        text("implementation_version")
                    ));
                }
            }
            if heard {
                break;
            }
        }
        Ok(who.unwrap_or_default())
    }

    /// Runs a cell to its end. Output that is still on its way when the reply
    /// comes is waited for until it is `expected`, or for a moment.
    pub(super) async fn execute(
        &mut self,
        code: &str,
        expected: &str,
    ) -> Result<Executed, RuntimeError> {
        let cell = self.request(cell(code)).await?;
        let mut done = Executed::default();
        let mut replied = None;
        let mut idle = false;
        loop {
            let waited = replied.map_or(Duration::ZERO, |at: Instant| at.elapsed());
            let message = match replied {
                Some(_) if idle && done.output.trim() == expected.trim() => break,
                None => self.next().await?,
                Some(_) => match timeout(TRAILING_OUTPUT.saturating_sub(waited), self.next()).await
                {
                    Ok(message) => message?,
                    Err(_) => break,
                },
            };
            if message.parent != cell {
                continue;
            }
            if message.kind == "execute_reply" {
                replied = Some(Instant::now());
            }
            idle |= message.kind == "status" && message.content["execution_state"] == "idle";
            done.take(&message);
        }
        Ok(done)
    }

    /// Starts a cell and waits for the first thing that it prints, or, with a
    /// kernel that shows a cell's output only at its end, for a moment after the
    /// kernel has said that it works on it.
    pub(super) async fn begin(&mut self, code: &str) -> Result<Begun, RuntimeError> {
        let cell = self.request(cell(code)).await?;
        let mut busy = None;
        loop {
            let waited = busy.map_or(Duration::ZERO, |since: Instant| since.elapsed());
            let message = match busy {
                None => self.next().await?,
                Some(_) => match timeout(SILENT.saturating_sub(waited), self.next()).await {
                    Ok(message) => message?,
                    Err(_) => return Ok(Begun::Running(cell)),
                },
            };
            if message.parent != cell {
                continue;
            }
            let mut done = Executed::default();
            done.take(&message);
            if message.kind == "execute_reply" {
                return Ok(Begun::Ended(done));
            }
            if !done.output.is_empty() {
                return Ok(Begun::Running(cell));
            }
            busy.get_or_insert_with(Instant::now);
        }
    }

    /// Waits for the reply to a cell that was begun.
    pub(super) async fn reply_to(&mut self, cell: &str) -> Result<Executed, RuntimeError> {
        loop {
            let message = self.next().await?;
            if message.parent == cell && message.kind == "execute_reply" {
                let mut done = Executed::default();
                done.take(&message);
                return Ok(done);
            }
        }
    }

    /// Asks the kernel by message to interrupt the running cell.
    pub(super) async fn interrupt(&mut self) -> Result<(), RuntimeError> {
        self.control
            .send(JupyterMessage::new(InterruptRequest {}, None))
            .await
    }

    /// Asks the kernel to end itself.
    pub(super) async fn shut_down(&mut self) -> Result<(), RuntimeError> {
        self.control
            .send(JupyterMessage::new(
                ShutdownRequest { restart: false },
                None,
            ))
            .await
    }

    async fn request(
        &mut self,
        content: impl Into<JupyterMessageContent>,
    ) -> Result<String, RuntimeError> {
        let message = JupyterMessage::new(content, None);
        let id = message.header.msg_id.clone();
        self.shell.send(message).await?;
        Ok(id)
    }

    /// The next message of any channel. One that isn't a message of Jupyter's
    /// is passed over; one with a wrong signature is an error.
    async fn next(&mut self) -> Result<Received, RuntimeError> {
        loop {
            let (channel, raw) = tokio::select! {
                raw = receive(&mut self.iopub) => (Channel::Iopub, raw?),
                raw = receive(&mut self.shell) => (Channel::Shell, raw?),
                raw = receive(&mut self.control) => (Channel::Control, raw?),
            };
            let part = |index: usize| raw.jparts.get(index).map_or(&[][..], |part| &part[..]);
            let json = |index| serde_json::from_slice::<Value>(part(index)).unwrap_or_default();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let kind = text(&json(0)["msg_type"]);
            if kind.is_empty() {
                tracing::debug!(?channel, "passed over a message without a type");
                continue;
            }
            let parent = text(&json(1)["msg_id"]);
            return Ok(Received {
                channel,
                kind,
                parent,
                content: json(3),
            });
        }
    }
}

/// A cell that was started.
pub(super) enum Begun {
    /// It runs; this is its number.
    Running(String),
    /// It has ended already.
    Ended(Executed),
}

impl Executed {
    /// Notes what a message about the cell says.
    fn take(&mut self, message: &Received) {
        let content = &message.content;
        let shown = match message.kind.as_str() {
            "stream" if content["name"] == "stdout" => content["text"].as_str(),
            // IRkernel sends the value of a cell as a display.
            "execute_result" | "display_data" => content["data"]["text/plain"].as_str(),
            _ => None,
        };
        if let Some(text) = shown {
            self.output
                .push_str(&anstream::adapter::strip_str(text).to_string());
        }
        if message.kind == "execute_reply" {
            content["status"]
                .as_str()
                .unwrap_or_default()
                .clone_into(&mut self.status);
        }
        if message.kind == "error" || content["status"] == "error" {
            let text = |key: &str| content[key].as_str().unwrap_or_default();
            self.error = Some(format!("{}: {}", text("ename"), text("evalue")));
        }
    }
}

fn cell(code: &str) -> ExecuteRequest {
    // What follows an interrupted cell has to run: no aborting of the queue.
    ExecuteRequest {
        stop_on_error: false,
        ..ExecuteRequest::new(code.to_owned())
    }
}

async fn receive<S: zeromq::SocketRecv>(
    connection: &mut Connection<S>,
) -> Result<RawMessage, RuntimeError> {
    RawMessage::from_multipart(connection.socket.recv().await?, &connection.mac)
}
