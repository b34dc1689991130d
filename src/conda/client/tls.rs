//! Certificates and proxies, as the configuration has them.

use std::path::Path;

use fs_err as fs;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{Certificate, ClientBuilder, Identity, Proxy};

use crate::conda::settings::{Proxies, Transport, Verify};

/// Sets whose certificates are good and which one is shown. What is wrong is told in
/// words without anything of a key.
pub(super) fn apply(
    builder: ClientBuilder,
    transport: &Transport,
) -> Result<ClientBuilder, String> {
    let builder = match &transport.verify {
        Verify::System => builder,
        Verify::Nobody { .. } => builder.tls_danger_accept_invalid_certs(true),
        Verify::These { path, by } => {
            let good = certificates(path).map_err(|why| {
                format!("the certificates {}, as {by} says: {why}", path.display())
            })?;
            builder.tls_certs_only(good)
        }
    };
    let Some((certificate, key, by)) = &transport.identity else {
        return Ok(builder);
    };
    let identity = identity(certificate, key.as_deref()).map_err(|why| {
        let path = certificate.display();
        format!("the client certificate {path}, as {by} says: {why}")
    })?;
    Ok(builder.identity(identity))
}

/// The certificates of a file, or of all files of a folder that have some.
fn certificates(path: &Path) -> Result<Vec<Certificate>, String> {
    let words = |error: std::io::Error| error.kind().to_string();
    let files = if path.is_dir() {
        let entries = fs::read_dir(path).map_err(words)?.flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.is_file())
            .collect()
    } else {
        vec![path.to_owned()]
    };
    let mut all = Vec::new();
    for file in files {
        let text = plain(&file)?;
        let read = Certificate::from_pem_bundle(&text);
        all.extend(read.map_err(|_| "it is no certificate in PEM form".to_owned())?);
    }
    if all.is_empty() {
        return Err("there is no certificate in PEM form".to_owned());
    }
    Ok(all)
}

/// A certificate with its key, in one file or two.
fn identity(certificate: &Path, key: Option<&Path>) -> Result<Identity, String> {
    let mut pem = plain(certificate)?;
    if let Some(key) = key {
        pem.push(b'\n');
        pem.extend(plain(key)?);
    }
    Identity::from_pem(&pem).map_err(|_| {
        "it has no certificate with an unencrypted key in PEM form (client_ssl_cert_key)".to_owned()
    })
}

/// Reads a file, and no pipe or device.
fn plain(path: &Path) -> Result<Vec<u8>, String> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {
            fs::read(path).map_err(|error| format!("{}: {}", path.display(), error.kind()))
        }
        Ok(_) => Err(format!("{} is not a file", path.display())),
        Err(error) => Err(format!("{}: {}", path.display(), error.kind())),
    }
}

/// Sets the proxies; where nothing is said, the environment's count (`HTTPS_PROXY`),
/// which reqwest reads for itself.
pub(super) fn proxied(builder: ClientBuilder, proxies: &Proxies) -> ClientBuilder {
    if proxies.is_empty() {
        return builder;
    }
    // reqwest 0.13 keeps `Proxy::no_proxy` of such a proxy and never looks at it.
    let any = Matcher::builder().all("http://any.invalid");
    let any = any.no(proxies.none_for.clone().unwrap_or_default()).build();
    let rules = proxies.clone();
    builder.proxy(Proxy::custom(move |url| {
        let uri: http::Uri = url.as_str().parse().ok()?;
        any.intercept(&uri)?;
        rules.of(url).map(|proxy| proxy.exposed().clone())
    }))
}
