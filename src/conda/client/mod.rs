//! The one HTTP client, shared with rattler's engines, made when first needed.
//!
//! Building a TLS client reads the system's certificates (tens of
//! milliseconds): a command that touches no network must not pay for it.
//!
//! A request passes through, in this order: [`Again`], which repeats it; [`Discreet`],
//! above which nobody learns where a file really comes from; the routes of the
//! configuration; [`Authenticate`], which adds a password or a token; [`OfDisk`].

mod credentials;
mod disk;
mod keyring;
mod steps;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use rattler_networking::LazyClient;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};

use self::credentials::Authenticate;
use self::disk::OfDisk;
use self::steps::{Again, Discreet, Refuse, Unusable};
use super::settings::{Settings, Transport};

/// Whether the network may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Channels are asked, packages are fetched.
    Online,
    /// Nothing leaves the machine (`--offline`): what is cached or on disk
    /// (`file://`) must do.
    Offline,
}

/// How long a server may be silent: one that says nothing for this long is not going
/// to. A slow one that goes on sending may take as long as it needs.
const SILENCE: Duration = Duration::from_mins(1);

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(20);

/// The client; building it is put off until something is really requested.
pub fn http_client(network: Network, settings: &Arc<Settings>) -> LazyClient {
    let settings = Arc::clone(settings);
    LazyClient::new(move || match network {
        Network::Offline => ClientBuilder::new(nobody()).with(Refuse).build(),
        Network::Online => online(&settings),
    })
}

fn online(settings: &Settings) -> ClientWithMiddleware {
    let transport = &settings.transport;
    let [of_conda, mirrors] = settings.routes.middlewares();
    let client = client(transport);
    let unusable = client.as_ref().err().cloned().map(Unusable);
    let steps = ClientBuilder::new(client.unwrap_or_else(|_| nobody()))
        .with(Again {
            // To ask again would not mend the configuration.
            times: unusable.as_ref().map_or(transport.retries, |_| Some(0)),
        })
        .with(Discreet)
        .with(of_conda)
        .with(mirrors)
        .with(Authenticate::new(&transport.credentials))
        .with(OfDisk);
    match unusable {
        Some(unusable) => steps.with(unusable).build(),
        None => steps.build(),
    }
}

/// A client that is never asked; it reads no certificates.
fn nobody() -> reqwest::Client {
    reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .build()
        .expect("the client's options are constant and valid")
}

fn client(transport: &Transport) -> Result<reqwest::Client, String> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("envspec/", env!("CARGO_PKG_VERSION")))
        .read_timeout(transport.read_timeout.unwrap_or(SILENCE))
        .connect_timeout(transport.connect_timeout.unwrap_or(CONNECT))
        // A token in a path must not go on to whoever the server sends us to.
        .referer(false)
        .no_gzip();
    let builder = tls::apply(builder, transport)?;
    let builder = tls::proxied(builder, &transport.proxies);
    // The words of reqwest name no URL and no file's content here.
    builder.build().map_err(|error| super::error::words(&error))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    use super::{Transport, client};

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
        let transport = Transport {
            read_timeout: Some(SILENCE),
            ..Transport::default()
        };
        let client = client(&transport).unwrap();
        let answer = client.get(url).send().await.unwrap();
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
