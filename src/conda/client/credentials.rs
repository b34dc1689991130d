//! Passwords and tokens: where they are kept, and how a request gets its own.
//!
//! Nothing of them is printed or written; a file of them that can't be used is named,
//! and its content is not.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fs_err as fs;
use http::header::{AUTHORIZATION, HeaderValue};
use percent_encoding::percent_decode_str;
use rattler_networking::authentication_storage::StorageBackend;
use rattler_networking::authentication_storage::backends::file::FileStorage;
use rattler_networking::authentication_storage::backends::memory::MemoryStorage;
use rattler_networking::authentication_storage::backends::netrc::NetRcStorage;
use rattler_networking::{Authentication, AuthenticationMiddleware, AuthenticationStorage};
use reqwest_middleware::{Middleware, Next};
use url::Url;

use super::keyring::Keyring;
use crate::conda::settings::{Credentials, Keeper};

/// Gives a request its password or token: the one that its URL has from the
/// configuration, else what is kept for its host.
pub(super) struct Authenticate {
    kept: AuthenticationMiddleware,
    /// Files of passwords that are there and not used, and why.
    unused: Vec<String>,
}

impl Authenticate {
    pub(super) fn new(credentials: &Credentials) -> Self {
        let mut unused = Vec::new();
        let storage = storage(credentials, &mut unused);
        Self {
            kept: AuthenticationMiddleware::from_auth_storage(storage),
            unused,
        }
    }

    /// What is told when a server wants to know who asks, without a word of any secret.
    fn refused(&self, host: &str) -> String {
        let unused = self.unused.iter().map(|why| format!("; {why}"));
        format!(
            "{host} asks for a password or a token, or does not take the one it was given (401){}",
            unused.collect::<String>()
        )
    }
}

#[async_trait::async_trait]
impl Middleware for Authenticate {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        if request.url().scheme() == "file" {
            return next.run(request, extensions).await;
        }
        let host = request.url().host_str().unwrap_or_default().to_owned();
        let outcome = self.asked(request, extensions, next).await?;
        if outcome.status() == http::StatusCode::UNAUTHORIZED {
            return Err(reqwest_middleware::Error::Middleware(anyhow::anyhow!(
                self.refused(&host)
            )));
        }
        Ok(outcome)
    }
}

impl Authenticate {
    async fn asked(
        &self,
        mut request: reqwest::Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        if let Some(header) = of_url(request.url_mut()) {
            request.headers_mut().insert(AUTHORIZATION, header);
            return next.run(request, extensions).await;
        }
        if has_token(request.url()) {
            return next.run(request, extensions).await;
        }
        self.kept.handle(request, extensions, next).await
    }
}

/// Whether a token of conda's is in the path.
fn has_token(url: &Url) -> bool {
    url.path_segments()
        .is_some_and(|mut segments| segments.any(|segment| segment == "t"))
}

/// Takes user and password out of a URL, as the header that tells them.
fn of_url(url: &mut Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair = percent_decode_str(url.username()).collect::<Vec<u8>>();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    url.set_username("").ok();
    url.set_password(None).ok();
    let text = format!("Basic {}", BASE64_STANDARD.encode(pair));
    let mut header = HeaderValue::try_from(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// What is kept, in rattler's order: the file that is named, the keyring, the file at
/// its usual place, `.netrc`; then the tokens of `anaconda login`.
fn storage(credentials: &Credentials, unused: &mut Vec<String>) -> AuthenticationStorage {
    let mut storage = AuthenticationStorage::empty();
    let (named, usual): (Vec<&Keeper>, Vec<&Keeper>) =
        credentials.files.iter().partition(|keeper| keeper.is_named);
    add_files(&mut storage, &named, unused);
    if credentials.has_keyring {
        storage.add_backend(Arc::new(Keyring::default()));
    }
    add_files(&mut storage, &usual, unused);
    if let Some(netrc) = credentials
        .netrc
        .as_ref()
        .filter(|netrc| is_usable(netrc, unused))
    {
        match NetRcStorage::from_path(&netrc.path) {
            Ok(read) => storage.add_backend(Arc::new(read)),
            Err(_) => unused.push(why_unused(&netrc.path, "it can't be read")),
        }
    }
    if let Some(folder) = &credentials.anaconda {
        storage.add_backend(Arc::new(anaconda_tokens(folder, unused)));
    }
    for why in unused {
        tracing::warn!("{why}");
    }
    storage
}

/// Adds files in rattler's form.
fn add_files(storage: &mut AuthenticationStorage, files: &[&Keeper], unused: &mut Vec<String>) {
    for file in files {
        if !is_usable(file, unused) {
            continue;
        }
        match FileStorage::from_path(file.path.clone()) {
            Ok(read) => storage.add_backend(Arc::new(read)),
            // The reader's words may have a piece of the file.
            Err(_) => unused.push(why_unused(&file.path, "it can't be read")),
        }
    }
}

fn why_unused(path: &Path, why: &str) -> String {
    format!("the passwords in {} are not used: {why}", path.display())
}

/// Whether a file is there, is one, and is its owner's alone. Others may read one that
/// the user named.
fn is_usable(keeper: &Keeper, unused: &mut Vec<String>) -> bool {
    const LARGEST: u64 = 1024 * 1024;
    let Ok(found) = fs::metadata(&keeper.path) else {
        if keeper.is_named {
            unused.push(why_unused(&keeper.path, "there is no such file"));
        }
        return false;
    };
    let me = rustix::process::geteuid().as_raw();
    let is_open = found.mode() & 0o077 != 0 || (found.uid() != me && found.uid() != 0);
    let why = if !found.is_file() || found.len() > LARGEST {
        "it is no such file"
    } else if is_open && !keeper.is_named {
        "others may read it (chmod 600)"
    } else {
        return true;
    };
    unused.push(why_unused(&keeper.path, why));
    false
}

/// The tokens of `anaconda login`: a file for each server, named after its URL
/// (`read_binstar_tokens` in conda's `conda/gateways/anaconda_client.py`). The server of
/// channels is called as the one of the API, with `conda` for `api`.
fn anaconda_tokens(folder: &Path, unused: &mut Vec<String>) -> MemoryStorage {
    let tokens = MemoryStorage::with_name("anaconda login");
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().and_then(|name| name.strip_suffix(".token")) else {
            continue;
        };
        let name = percent_decode_str(name).decode_utf8_lossy();
        let keeper = Keeper {
            path: entry.path(),
            is_named: false,
        };
        let host = Url::parse(&name)
            .ok()
            .and_then(|url| url.host_str().map(str::to_owned));
        let (Some(host), true) = (host, is_usable(&keeper, unused)) else {
            continue;
        };
        let Ok(token) = fs::read_to_string(&keeper.path) else {
            continue;
        };
        let token = Authentication::CondaToken(token.trim().to_owned());
        let channels = host
            .strip_prefix("api.")
            .map(|rest| format!("conda.{rest}"));
        for host in channels.into_iter().chain([host]) {
            drop(tokens.store(&host, &token));
        }
    }
    tokens
}
