//! Questions to a server through the near end of the way to it.

use std::time::Duration;

use http::{Method, Request, header};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::error::SessionError;
use super::front::Target;

/// How long one answer may take: Jupyter has one thread for all.
const PATIENCE: Duration = Duration::from_secs(10);

/// The status of a server's answer, or why there is none.
async fn ask(
    method: Method,
    target: &Target,
    path: &str,
    token: Option<&str>,
) -> Result<u16, String> {
    let answer = async {
        let stream = target.connect().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(std::io::Error::other)?;
        let connection = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "127.0.0.1");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("token {token}"));
        }
        let request = request
            .body(Empty::<Bytes>::new())
            .map_err(std::io::Error::other)?;
        let answer = sender
            .send_request(request)
            .await
            .map_err(std::io::Error::other)?;
        connection.abort();
        Ok::<u16, std::io::Error>(answer.status().as_u16())
    };
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(status)) => Ok(status),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// The gate: proves that the server refuses a stranger and answers its owner.
/// Done through the same tunnel that the browser will use.
pub(super) async fn prove(session: &str, target: &Target, token: &str) -> Result<(), SessionError> {
    let no_answer = |why: String| SessionError::NoAnswer {
        session: session.to_owned(),
        why,
    };
    let path = "/api/status";
    let (stranger, owner) = tokio::join!(
        ask(Method::GET, target, path, None),
        ask(Method::GET, target, path, Some(token))
    );
    match stranger.map_err(no_answer)? {
        401 | 403 => {}
        status => {
            return Err(SessionError::Open {
                session: session.to_owned(),
                status,
            });
        }
    }
    match owner.map_err(no_answer)? {
        200 => Ok(()),
        status => Err(no_answer(format!("it refuses its owner with {status}"))),
    }
}

/// Whether anything answers; Jupyter's version needs no token.
pub async fn answers(target: &Target) -> Result<(), String> {
    match ask(Method::GET, target, "/api", None).await? {
        200 => Ok(()),
        status => Err(format!("it answers with {status}")),
    }
}

/// Asks the server to shut down, kernels first.
pub(super) async fn shut_down(target: &Target, token: &str) -> Result<(), String> {
    match ask(Method::POST, target, "/api/shutdown", Some(token)).await? {
        200 | 204 => Ok(()),
        status => Err(format!("it answers with {status}")),
    }
}
