//! A kernel for the tests of the client: this test binary, started once more.
//!
//! It speaks the real protocol over real sockets in a process of its own, and
//! misbehaves as it is told by the variable `FAKE_KERNEL`. It computes nothing:
//! every cell prints 42, but one that says `sleep` never ends by itself.

use jupyter_protocol::messaging::{
    ExecuteReply, JupyterMessage, KernelInfoReply, LanguageInfo, ReplyStatus, ShutdownReply,
    Status, StreamContent, UnknownMessage,
};
use jupyter_protocol::{ConnectionInfo, JupyterMessageContent};
use jupyter_zmq_client::{
    KernelIoPubConnection, create_kernel_control_connection, create_kernel_heartbeat_connection,
    create_kernel_iopub_connection, create_kernel_shell_connection, create_kernel_stdin_connection,
};
use serde_json::json;

use crate::kernel::KernelSpec;

/// The kernelspec that starts this kernel.
pub(super) fn kernelspec(behaviour: &str, interrupt_mode: &str) -> KernelSpec {
    let program = std::env::current_exe().unwrap();
    let document = json!({
        "argv": [program, "--exact", "jupyter::fake_kernel::serve", "--ignored", "--nocapture"],
        "display_name": "Fake",
        "language": "none",
        "interrupt_mode": interrupt_mode,
        "env": {
            "FAKE_KERNEL": behaviour,
            "CONNECTION_FILE": "${HOME}/../connection.json",
            "BACK": "${PATH}",
        },
    });
    KernelSpec::parse(&document.to_string()).unwrap()
}

async fn tell(
    iopub: &mut KernelIoPubConnection,
    content: impl Into<JupyterMessageContent>,
    about: &JupyterMessage,
) {
    iopub
        .send(JupyterMessage::new(content, Some(about)))
        .await
        .unwrap();
}

fn introduction() -> KernelInfoReply {
    KernelInfoReply {
        status: ReplyStatus::Ok,
        protocol_version: "5.3".to_owned(),
        implementation: "fake".to_owned(),
        implementation_version: "1".to_owned(),
        language_info: LanguageInfo {
            name: "none".to_owned(),
            version: String::new(),
            mimetype: None,
            file_extension: None,
            pygments_lexer: None,
            codemirror_mode: None,
            nbconvert_exporter: None,
        },
        banner: String::new(),
        help_links: Vec::new(),
        debugger: false,
        error: None,
    }
}

/// Not a test: the kernel itself.
#[tokio::test]
#[ignore = "the kernel that other tests start"]
async fn serve() {
    let Ok(behaviour) = std::env::var("FAKE_KERNEL") else {
        return;
    };
    eprintln!("fake kernel: {behaviour}");
    assert_ne!(behaviour, "dies at once");
    let file = std::env::var("CONNECTION_FILE").unwrap();
    let info: ConnectionInfo =
        serde_json::from_str(&fs_err::read_to_string(file).unwrap()).unwrap();
    if behaviour == "never listens" {
        std::future::pending::<()>().await;
    }
    let _heartbeat = create_kernel_heartbeat_connection(&info).await.unwrap();
    let _stdin = create_kernel_stdin_connection(&info, "s").await.unwrap();
    let mut iopub = create_kernel_iopub_connection(&info, "s").await.unwrap();
    let mut control = create_kernel_control_connection(&info, "s").await.unwrap();
    let mut shell = create_kernel_shell_connection(&info, "s").await.unwrap();
    let mut signals =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).unwrap();
    let _deaf_to_sigterm = (behaviour == "stays whatever comes").then(|| {
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap()
    });
    let mut running: Option<JupyterMessage> = None;
    let mut aborting = false;
    let abort = || UnknownMessage {
        msg_type: "execute_reply".to_owned(),
        content: json!({"status": "abort"}),
    };
    loop {
        let stopped = tokio::select! {
            message = shell.read() => {
                let message = message.unwrap();
                tell(&mut iopub, Status::busy(), &message).await;
                match &message.content {
                    JupyterMessageContent::KernelInfoRequest(_) => {
                        let reply = introduction();
                        shell.send(JupyterMessage::new(reply, Some(&message))).await.unwrap();
                    }
                    JupyterMessageContent::ExecuteRequest(cell) if cell.code.contains("sleep") => {
                        if behaviour != "is silent" {
                            tell(&mut iopub, StreamContent::stdout("started\n"), &message).await;
                        }
                        if behaviour != "has nothing to interrupt" {
                            running = Some(message);
                            continue;
                        }
                        let reply = ExecuteReply::default();
                        shell.send(JupyterMessage::new(reply, Some(&message))).await.unwrap();
                    }
                    JupyterMessageContent::ExecuteRequest(_) if aborting => {
                        aborting = false;
                        let reply: JupyterMessageContent = if behaviour == "aborts in its own word" {
                            abort().into()
                        } else {
                            ExecuteReply { status: ReplyStatus::Aborted, ..ExecuteReply::default() }.into()
                        };
                        shell.send(JupyterMessage::new(reply, Some(&message))).await.unwrap();
                    }
                    JupyterMessageContent::ExecuteRequest(_) => {
                        // The reply first: output may be the later one.
                        let reply = ExecuteReply::default();
                        shell.send(JupyterMessage::new(reply, Some(&message))).await.unwrap();
                        tell(&mut iopub, Status::idle(), &message).await;
                        let text = if behaviour == "is wrong" { "41\n" } else { "\u{1b}[33m42\u{1b}[0m\n" };
                        tell(&mut iopub, StreamContent::stdout(text), &message).await;
                        continue;
                    }
                    _ => {}
                }
                tell(&mut iopub, Status::idle(), &message).await;
                false
            }
            message = control.read() => {
                let message = message.unwrap();
                match &message.content {
                    JupyterMessageContent::ShutdownRequest(_) => {
                        let reply = JupyterMessage::new(ShutdownReply::default(), Some(&message));
                        control.send(reply).await.unwrap();
                        if !behaviour.starts_with("stays") {
                            return;
                        }
                        false
                    }
                    JupyterMessageContent::InterruptRequest(_) => behaviour != "is deaf",
                    _ => false,
                }
            }
            _ = signals.recv() => behaviour != "is deaf",
        };
        if stopped && let Some(cell) = running.take() {
            assert_ne!(behaviour, "dies of an interrupt");
            aborting = behaviour.starts_with("aborts");
            shell
                .send(JupyterMessage::new(abort(), Some(&cell)))
                .await
                .unwrap();
            tell(&mut iopub, Status::idle(), &cell).await;
        }
    }
}
