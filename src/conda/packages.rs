//! Unpacked packages: which are there, whole, and the others fetched.
//!
//! Nothing here waits for a lock. rattler coordinates all who use a cache by one
//! `flock` on a file in it, held for a whole installation: on a shared file system
//! a node that died with it, or a server that has no locks, stops everybody. So a
//! package is unpacked into a folder of this run's own inside the cache, and
//! enters the cache by one rename: an entry is whole or absent. The lock that the
//! installer takes all the same is on a file of a temporary folder, which nobody
//! else knows.
//!
//! What rattler believes of an entry (its description can be read) is not enough
//! here: each file must be there in its full length. A change that keeps the
//! length is not seen, for that all of it would have to be read each time.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rattler::install::InstallerError;
use rattler_cache::package_cache::{PackageCache, PackageCacheLayer};
use rattler_conda_types::package::{PathType, PathsJson};
use rattler_conda_types::{MatchSpec, RepoDataRecord};
use rattler_networking::{LazyClient, retry_policies::default_retry_policy};
use rayon::prelude::*;
use tempfile::TempDir;

use super::fetch_progress::FetchProgress;
use super::progress::Progress;

/// The begin of the name of a folder into which a run unpacks.
const FETCHING: &str = ".fetch-";

/// How many archives are fetched or unpacked at a time.
const FETCHES: usize = 16;

/// The hash in an entry's note follows a number of eight bytes.
const HASH: std::ops::Range<usize> = 8..40;

/// Where unpacked packages are.
#[derive(Debug, Clone, Copy)]
pub struct Packages<'a> {
    /// The folder that new ones go to.
    pub folder: &'a Path,
    /// Folders of others that are read and never written, the first one first.
    pub beneath: &'a [PathBuf],
    /// For whom: one run at a time has this name.
    pub user: &'a str,
}

/// All packages of an installation, ready to be linked.
pub(super) struct Ready {
    /// What holds them.
    pub(super) cache: PackageCache,
    /// Folders that packages come from, and that are on another file system than
    /// the prefix, so that files are copied.
    pub(super) far: BTreeSet<PathBuf>,
    /// Packages whose entry was damaged and is new.
    pub(super) renewed: Vec<String>,
    /// What could not enter the cache is linked from here.
    _own: Own,
    _lock: TempDir,
}

/// What is known of a package before it is fetched.
enum State<'a> {
    /// It is in this folder.
    Whole(&'a Path),
    /// The folder that would be believed has it with files cut or missing.
    Damaged,
    Absent,
}

impl<'a> Packages<'a> {
    /// Fetches what is missing for a prefix.
    pub(super) async fn ready(
        self,
        records: &[RepoDataRecord],
        prefix: &Path,
        client: &LazyClient,
        progress: &Arc<dyn Progress>,
    ) -> Result<Ready, InstallerError> {
        let lock = lock_folder().map_err(failed("no folder for a lock can be had"))?;
        let refused = || failed(format!("could not write into {}", self.folder.display()));
        self.adopt().map_err(refused())?;
        let states: Vec<State<'_>> = records
            .par_iter()
            .map(|record| self.state(record))
            .collect();
        let mut used = BTreeSet::new();
        let mut missing = Vec::new();
        let mut renewed = Vec::new();
        for (record, state) in records.iter().zip(&states) {
            match state {
                State::Whole(folder) => {
                    used.insert(*folder);
                }
                State::Damaged => {
                    renewed.push(entry_name(record));
                    missing.push(record);
                }
                State::Absent => missing.push(record),
            }
        }
        if !missing.is_empty() {
            used.insert(self.folder);
        }
        let here = prefix.parent().and_then(device);
        let is_far = |folder: &&Path| device(folder) != here;
        let far = used
            .into_iter()
            .filter(is_far)
            .map(Path::to_owned)
            .collect();
        let own = self.own().map_err(failed("could not get randomness"))?;
        let fetched = fetch(&own.folder, &missing, client, progress).await;
        // Also if one failed: the others need not be fetched again.
        let entered = enter(&own.folder, self.folder);
        fetched?;
        entered.map_err(refused())?;
        let nothing = MatchSpec {
            subdir: Some("nothing is kept there".to_owned()),
            ..MatchSpec::default()
        };
        let layers = [
            PackageCacheLayer::new(lock.path()).with_filter(nothing),
            PackageCacheLayer::new(self.folder),
            PackageCacheLayer::new(&own.folder),
        ];
        let beneath = self.beneath.iter().map(PackageCacheLayer::new);
        Ok(Ready {
            cache: PackageCache::from_layers(layers.into_iter().chain(beneath), false),
            far,
            renewed,
            _own: own,
            _lock: lock,
        })
    }

    /// What there is of a package: the first folder whose note names its hash is the
    /// one that the installer will believe.
    fn state(self, record: &RepoDataRecord) -> State<'a> {
        let name = entry_name(record);
        let wanted = record.package_record.sha256;
        let folders = std::iter::once(self.folder).chain(self.beneath.iter().map(PathBuf::as_path));
        for folder in folders {
            let entry = folder.join(&name);
            if !entry.is_dir() {
                continue;
            }
            let believed = match (&wanted, hash(&entry)) {
                (None, _) => true,
                (Some(wanted), found) => found.as_deref() == Some(wanted.as_slice()),
            };
            if believed {
                return if is_whole(&entry) {
                    State::Whole(folder)
                } else {
                    State::Damaged
                };
            }
        }
        State::Absent
    }

    /// A folder for this run alone.
    fn own(self) -> std::io::Result<Own> {
        let mut token = [0; 8];
        getrandom::fill(&mut token).map_err(|error| std::io::Error::other(error.to_string()))?;
        let name = format!("{FETCHING}{}-{}", hex::encode(token), self.user);
        Ok(Own {
            folder: self.folder.join(name),
        })
    }

    /// Takes over what a run of the same name fetched before it was killed.
    fn adopt(self) -> std::io::Result<()> {
        for entry in fs::read_dir(self.folder)?.flatten() {
            let name = entry.file_name();
            let user = name
                .to_str()
                .and_then(|name| name.strip_prefix(FETCHING))
                .and_then(|rest| rest.split_once('-'))
                .map(|(_, user)| user);
            if user == Some(self.user) {
                enter(&entry.path(), self.folder)?;
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

/// The folder of one run, gone with it. One that was killed leaves its own to the
/// next run.
struct Own {
    folder: PathBuf,
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::debug!("what was fetched is left: {error}");
        }
    }
}

/// Fetches packages and unpacks them in a folder.
async fn fetch(
    folder: &Path,
    records: &[&RepoDataRecord],
    client: &LazyClient,
    progress: &Arc<dyn Progress>,
) -> Result<(), InstallerError> {
    if records.is_empty() {
        return Ok(());
    }
    let progress = FetchProgress::begin(progress, records);
    let cache = PackageCache::new(folder);
    let fetches = records.iter().enumerate().map(|(number, record)| {
        let (cache, reporter) = (&cache, progress.of(number));
        let done = progress.of(number);
        async move {
            let fetched = match file(record) {
                Some(path) => {
                    cache
                        .get_or_fetch_from_path(&path, Some(&record.package_record), Some(reporter))
                        .await
                }
                None => {
                    cache
                        .get_or_fetch_from_url_with_retry(
                            &record.package_record,
                            record.url.clone(),
                            client.clone(),
                            default_retry_policy(),
                            Some(reporter),
                            None,
                        )
                        .await
                }
            };
            done.on_download_completed(0);
            fetched.map(drop).map_err(|error| {
                InstallerError::FailedToFetch(record.identifier.to_string(), error)
            })
        }
    });
    // Boxed: the compiler can't see that futures of borrowed records may wander
    // between threads.
    let fetches: Vec<futures_util::future::BoxFuture<'_, _>> =
        fetches.map(|fetch| Box::pin(fetch) as _).collect();
    stream::iter(fetches)
        .buffer_unordered(FETCHES)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

/// Lets whole entries of a run's own folder enter the cache, each by one rename.
fn enter(from: &Path, cache: &Path) -> std::io::Result<()> {
    let entries = match fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries.flatten() {
        let made = entry.path();
        let name = entry.file_name();
        let hidden = name.to_string_lossy().starts_with('.');
        // The note gets its hash last.
        let Some(hash_of_made) = hash(&made).filter(|_| !hidden && made.is_dir()) else {
            continue;
        };
        let target = cache.join(&name);
        if target.symlink_metadata().is_ok() {
            if hash(&target) == Some(hash_of_made) && is_whole(&target) {
                continue;
            }
            // Without a note it is not believed: killed here, it is fetched again.
            remove_if_there(&note(&target))?;
            let aside = from.join(format!(".old-{}", name.to_string_lossy()));
            match fs::rename(&target, aside) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        match fs::rename(&made, &target) {
            Ok(()) => fs::rename(note(&made), note(&target))?,
            // Another run was quicker. This one links from its own.
            Err(_) if target.is_dir() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The name of a package's folder, as the installer will look for it.
fn entry_name(record: &RepoDataRecord) -> String {
    let package = &record.package_record;
    format!(
        "{}-{}-{}",
        package.name.as_normalized(),
        package.version,
        package.build
    )
}

/// The note beside an entry: a count and the archive's hash.
fn note(entry: &Path) -> PathBuf {
    let mut path = entry.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

/// The hash of the archive that an entry was unpacked from.
fn hash(entry: &Path) -> Option<Vec<u8>> {
    let bytes = fs::read(note(entry)).ok()?;
    bytes.get(HASH).map(<[u8]>::to_owned)
}

/// Whether all files of an entry are there in their full length.
fn is_whole(entry: &Path) -> bool {
    let Ok(paths) = PathsJson::from_package_directory_with_deprecated_fallback(entry) else {
        return false;
    };
    paths.paths.par_iter().with_min_len(200).all(|file| {
        let path = entry.join(&file.relative_path);
        match file.path_type {
            PathType::HardLink => path.metadata().is_ok_and(|found| {
                found.is_file() && file.size_in_bytes.is_none_or(|size| size == found.len())
            }),
            PathType::SoftLink => path.is_symlink(),
            PathType::Directory => path.is_dir(),
        }
    })
}

/// The archive, if it is a file here.
fn file(record: &RepoDataRecord) -> Option<PathBuf> {
    (record.url.scheme() == "file").then(|| record.url.to_file_path().ok())?
}

fn device(path: &Path) -> Option<u64> {
    path.metadata().ok().map(|metadata| metadata.dev())
}

/// A folder whose file system has locks. That of the cache may have none, or one
/// that a dead node holds.
fn lock_folder() -> std::io::Result<TempDir> {
    let mut last = None;
    for place in [std::env::temp_dir(), "/tmp".into(), "/dev/shm".into()] {
        let tried = tempfile::Builder::new()
            .prefix("envspec-lock-")
            .tempdir_in(place)
            .and_then(|folder| {
                std::fs::File::create(folder.path().join("try"))?.try_lock()?;
                Ok(folder)
            });
        match tried {
            Ok(folder) => return Ok(folder),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::ErrorKind::Unsupported.into()))
}

fn failed(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> InstallerError {
    let what = what.into();
    move |error| InstallerError::IoError(what, error)
}
