//! What happens to a request on its way, but for what the configuration says.

use std::time::Duration;

use reqwest::ResponseBuilderExt as _;
use reqwest_middleware::{Middleware, Next};
use url::Url;

type Outcome = reqwest_middleware::Result<reqwest::Response>;

/// Refuses every request: the promise of `--offline` is kept here, below every
/// engine, and not by trusting each of them to look at a flag.
pub(super) struct Refuse;

#[async_trait::async_trait]
impl Middleware for Refuse {
    async fn handle(
        &self,
        request: reqwest::Request,
        _extensions: &mut http::Extensions,
        _next: Next<'_>,
    ) -> Outcome {
        Err(reqwest_middleware::Error::Middleware(anyhow::anyhow!(
            "--offline: {} is not in the cache",
            request.url().path()
        )))
    }
}

/// Refuses every request because the configuration can't be carried out. To leave a
/// part of it out would ask others than those who are meant.
pub(super) struct Unusable(pub(super) String);

#[async_trait::async_trait]
impl Middleware for Unusable {
    async fn handle(
        &self,
        _request: reqwest::Request,
        _extensions: &mut http::Extensions,
        _next: Next<'_>,
    ) -> Outcome {
        let why = self.0.clone();
        Err(reqwest_middleware::Error::Middleware(anyhow::anyhow!(why)))
    }
}

/// Asks again where that may help: a server that is overloaded or starts anew, a
/// connection that was lost before the answer. The engines repeat what breaks off
/// within an answer, and what took too long.
pub(super) struct Again {
    /// How often, if the configuration says it.
    pub(super) times: Option<usize>,
}

/// Before each further request; the last one before all that follow.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
];

#[async_trait::async_trait]
impl Middleware for Again {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> Outcome {
        let times = self.times.unwrap_or(PAUSES.len());
        for time in 0..times {
            let Some(copy) = request.try_clone() else {
                break;
            };
            match next.clone().run(copy, extensions).await {
                Ok(response) if !is_for_now(response.status()) => return Ok(response),
                Err(error) if error.is_timeout() => return Err(error),
                _ => tokio::time::sleep(PAUSES[time.min(PAUSES.len() - 1)]).await,
            }
        }
        next.run(request, extensions).await
    }
}

/// Whether a server refuses now what it may give in a moment.
fn is_for_now(status: http::StatusCode) -> bool {
    status.is_server_error() || status == http::StatusCode::TOO_MANY_REQUESTS
}

/// Keeps to itself where a file comes from: whoever asked for a URL gets the answer, or
/// the error, as one of that URL. What is below adds passwords and tokens to it, and
/// what is above writes URLs into caches, logs and messages.
pub(super) struct Discreet;

#[async_trait::async_trait]
impl Middleware for Discreet {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> Outcome {
        let asked = request.url().clone();
        match next.run(request, extensions).await {
            Ok(response) if *response.url() == asked => Ok(response),
            Ok(response) => Ok(as_of(asked, response)),
            Err(reqwest_middleware::Error::Reqwest(error)) => {
                Err(reqwest_middleware::Error::Reqwest(error.with_url(asked)))
            }
            Err(other) => Err(other),
        }
    }
}

fn as_of(asked: Url, response: reqwest::Response) -> reqwest::Response {
    let (mut parts, body) = http::Response::<reqwest::Body>::from(response).into_parts();
    // Where it sends others to is of no interest any more, and may tell a secret.
    parts.headers.remove(http::header::LOCATION);
    let mut built = http::Response::builder()
        .status(parts.status)
        .version(parts.version)
        .url(asked);
    if let Some(headers) = built.headers_mut() {
        *headers = parts.headers;
    }
    built
        .body(body)
        .expect("the parts are those of an answer")
        .into()
}
