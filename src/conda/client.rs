//! The one HTTP client, shared with rattler's engines, made when first needed.
//!
//! Building a TLS client reads the system's certificates (tens of
//! milliseconds): a command that touches no network must not pay for it.

use std::time::Duration;

use rattler_networking::LazyClient;
use reqwest_middleware::{ClientBuilder, Middleware, Next};

/// Whether the network may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Channels are asked, packages are fetched.
    Online,
    /// Nothing leaves the machine (`--offline`): what is cached or on disk
    /// (`file://`) must do.
    Offline,
}

/// Refuses every request: the promise of `--offline` is kept here, below every
/// engine, and not by trusting each of them to look at a flag.
struct Refuse;

#[async_trait::async_trait]
impl Middleware for Refuse {
    async fn handle(
        &self,
        request: reqwest::Request,
        _extensions: &mut http::Extensions,
        _next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        Err(reqwest_middleware::Error::Middleware(anyhow::anyhow!(
            "--offline: {} is not in the cache",
            request.url().path()
        )))
    }
}

/// Asks again where that may help: a server that is overloaded or starts anew, a
/// connection that was lost before the answer. The engines repeat what breaks off
/// within an answer, and what took too long.
struct Again;

/// Before each further request.
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
    ) -> reqwest_middleware::Result<reqwest::Response> {
        for pause in PAUSES {
            let Some(copy) = request.try_clone() else {
                break;
            };
            match next.clone().run(copy, extensions).await {
                Ok(response) if !is_for_now(response.status()) => return Ok(response),
                Err(error) if error.is_timeout() => return Err(error),
                _ => tokio::time::sleep(pause).await,
            }
        }
        next.run(request, extensions).await
    }
}

/// Whether a server refuses now what it may give in a moment.
fn is_for_now(status: http::StatusCode) -> bool {
    status.is_server_error() || status == http::StatusCode::TOO_MANY_REQUESTS
}

/// How long a server may be silent: one that says nothing for this long is not going
/// to. A slow one that goes on sending may take as long as it needs.
const SILENCE: Duration = Duration::from_mins(1);

/// The client; building it is put off until something is really requested.
pub fn http_client(network: Network) -> LazyClient {
    patient_client(network, SILENCE)
}

fn patient_client(network: Network, silence: Duration) -> LazyClient {
    LazyClient::new(move || {
        let client = reqwest::Client::builder()
            .user_agent(concat!("envspec/", env!("CARGO_PKG_VERSION")))
            .read_timeout(silence)
            .connect_timeout(Duration::from_secs(20))
            .no_gzip()
            .build()
            .expect("the client's options are constant and valid");
        let builder = ClientBuilder::new(client);
        match network {
            Network::Online => builder.with(Again).build(),
            Network::Offline => builder.with(Refuse).build(),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    use super::{Network, patient_client};

    const SILENCE: Duration = Duration::from_millis(500);

    /// A server that gives one byte of sixteen at a time, and after `sent` nothing
    /// more; its URL.
    fn slow_server(sent: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            assert!(client.read(&mut request).unwrap() > 0);
            client
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n")
                .unwrap();
            for _ in 0..sent {
                std::thread::sleep(Duration::from_millis(100));
                client.write_all(b"x").unwrap();
            }
            std::thread::sleep(Duration::from_secs(20));
        });
        url
    }

    async fn body(url: &str) -> Result<usize, reqwest::Error> {
        let client = patient_client(Network::Online, SILENCE);
        let answer = client.client().get(url).send().await.unwrap();
        answer.bytes().await.map(|bytes| bytes.len())
    }

    #[tokio::test]
    async fn a_server_that_is_slow_may_take_longer_than_one_may_be_silent() {
        let started = Instant::now();
        assert_eq!(body(&slow_server(16)).await.unwrap(), 16);
        assert!(started.elapsed() > SILENCE * 2);
    }

    #[tokio::test]
    async fn a_server_that_falls_silent_is_not_waited_for() {
        let started = Instant::now();
        let error = body(&slow_server(3)).await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}
