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

/// The client; building it is put off until something is really requested.
pub fn http_client(network: Network) -> LazyClient {
    LazyClient::new(move || {
        let client = reqwest::Client::builder()
            .user_agent(concat!("envspec/", env!("CARGO_PKG_VERSION")))
            // A server that says nothing for this long is not going to.
            .read_timeout(Duration::from_mins(1))
            .connect_timeout(Duration::from_secs(20))
            .no_gzip()
            .build()
            .expect("the client's options are constant and valid");
        let builder = ClientBuilder::new(client);
        match network {
            Network::Online => builder.build(),
            Network::Offline => builder.with(Refuse).build(),
        }
    })
}
