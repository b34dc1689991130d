//! The checksum of a package that a requirement names by its URL: no index tells it, and a
//! lock says of every package which bytes it means.

use std::path::Path;

use rattler_cache::package_cache::PackageCacheError;
use rattler_conda_types::RepoDataRecord;
use rattler_networking::LazyClient;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use url::Url;

use super::error::CondaError;

/// Of the disk or the network, in their words.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Gives the records that have none a checksum, of the bytes that are at their URLs now.
pub(super) async fn complete(
    records: &mut [RepoDataRecord],
    client: &LazyClient,
) -> Result<(), CondaError> {
    let without = records.iter_mut().filter(|record| {
        let package = &record.package_record;
        package.sha256.is_none() && package.md5.is_none()
    });
    for record in without {
        let sum = match record.url.to_file_path() {
            Ok(path) => of_file(&path).await,
            Err(()) => of_answer(&record.url, client).await,
        };
        let sum = sum.map_err(|source| CondaError::Fetch {
            package: record.url.to_string(),
            source: Box::new(PackageCacheError::LayerError(source)),
        })?;
        record.package_record.sha256 = Some(sum.finalize());
    }
    Ok(())
}

async fn of_file(path: &Path) -> Result<Sha256, Failure> {
    let mut file = fs_err::tokio::File::open(path).await?;
    let (mut sum, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer).await? {
            0 => return Ok(sum),
            count => sum.update(&buffer[..count]),
        }
    }
}

async fn of_answer(url: &Url, client: &LazyClient) -> Result<Sha256, Failure> {
    let answer = client.client().get(url.clone()).send().await?;
    let mut answer = answer.error_for_status()?;
    let mut sum = Sha256::new();
    while let Some(bytes) = answer.chunk().await? {
        sum.update(&bytes);
    }
    Ok(sum)
}
