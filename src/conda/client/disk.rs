//! Files of this machine as if a server had them: an alias or a mirror may be a folder
//! (`file:///shared/conda`), which clusters without the Internet have.

use std::io::ErrorKind;
use std::path::Path;
use std::time::UNIX_EPOCH;

use http::{Method, StatusCode, header};
use reqwest_middleware::{Middleware, Next};

/// Answers what is asked of a folder.
pub(super) struct OfDisk;

#[async_trait::async_trait]
impl Middleware for OfDisk {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        if request.url().scheme() != "file" {
            return next.run(request, extensions).await;
        }
        let answer = match request.url().to_file_path() {
            Ok(path) => answer(&path, &request).await,
            Err(()) => Err(ErrorKind::NotFound.into()),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                empty(StatusCode::FORBIDDEN)
            }
            Err(_) => empty(StatusCode::NOT_FOUND),
        };
        Ok(answer.into())
    }
}

fn empty(status: StatusCode) -> http::Response<reqwest::Body> {
    let mut answer = http::Response::new(reqwest::Body::default());
    *answer.status_mut() = status;
    answer
}

async fn answer(
    path: &Path,
    request: &reqwest::Request,
) -> std::io::Result<http::Response<reqwest::Body>> {
    let found = tokio::fs::metadata(path).await?;
    if !found.is_file() {
        return Err(ErrorKind::NotFound.into());
    }
    let modified = found.modified()?.duration_since(UNIX_EPOCH);
    let stamp = modified.map_or(0, |since| since.as_nanos());
    let tag = format!("\"{stamp:x}-{:x}\"", found.len());
    let known = request.headers().get(header::IF_NONE_MATCH);
    let mut answer = if known.is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        empty(StatusCode::NOT_MODIFIED)
    } else if request.method() == Method::HEAD {
        empty(StatusCode::OK)
    } else {
        let file = tokio::fs::File::open(path).await?;
        http::Response::new(reqwest::Body::from(file))
    };
    let headers = answer.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-cache"),
    );
    headers.insert(header::CONTENT_LENGTH, found.len().into());
    if let Ok(tag) = header::HeaderValue::try_from(tag) {
        headers.insert(header::ETAG, tag);
    }
    Ok(answer)
}
