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

mod entries;
mod fetch;
mod inside;
mod progress;
mod wheel;

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fs_err as fs;
use rattler::install::InstallerError;
use rattler_cache::package_cache::{PackageCache, PackageCacheLayer};
use rattler_conda_types::package::PathsJson;
use rattler_conda_types::{MatchSpec, RepoDataRecord};
use rattler_networking::LazyClient;
use rayon::prelude::*;
use tempfile::TempDir;

use self::entries::{enter, whole};
pub(super) use self::entries::{entry_name, is_entry_of};
use self::fetch::fetch;
use self::inside::{Unpacked, judge};
pub(super) use self::wheel::fetch_wheel;
use self::wheel::unpack_built;
use super::error::CondaError;
use super::progress::Progress;

/// The begin of the name of a folder into which a run unpacks.
const FETCHING: &str = ".fetch-";

/// How often a folder is looked at that should go, and how long is waited in between.
const LOOKS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

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

/// Whether a package is in one of the caches, whole: in the one that would be believed.
pub(super) fn is_there(record: &RepoDataRecord, caches: &[PathBuf]) -> bool {
    let name = entry_name(record);
    let entries = caches.iter().map(|folder| folder.join(&name));
    let mut own = entries.filter(|entry| is_entry_of(entry, record));
    own.next().is_some_and(|entry| whole(&entry).is_some())
}

/// All packages of an installation, ready to be linked.
pub(super) struct Ready {
    /// What holds them.
    pub(super) cache: PackageCache,
    /// Folders that packages come from, and whose files can't be hard-linked to the
    /// prefix, so that they are copied.
    pub(super) far: BTreeSet<PathBuf>,
    /// Packages whose entry was damaged and is new.
    pub(super) renewed: Vec<String>,
    /// What could not enter the cache is linked from here.
    _own: Own,
    _lock: TempDir,
}

/// What is known of a package before it is fetched.
enum State<'a> {
    /// It is in this folder, with these paths.
    Whole(&'a Path, PathsJson),
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
    ) -> Result<Ready, CondaError> {
        let failed_here = |source| CondaError::install(prefix, source);
        let lock = lock_folder()
            .map_err(failed("no folder for a lock can be had"))
            .map_err(failed_here)?;
        let refused = || failed(format!("could not write into {}", self.folder.display()));
        self.adopt().map_err(refused()).map_err(failed_here)?;
        let states: Vec<State<'_>> = records
            .par_iter()
            .map(|record| self.state(record))
            .collect();
        let mut used = BTreeSet::new();
        let mut missing = Vec::new();
        let mut renewed = Vec::new();
        for (record, state) in records.iter().zip(&states) {
            match state {
                State::Whole(folder, _) => {
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
        let mut own = self
            .own()
            .map_err(failed("could not get randomness"))
            .map_err(failed_here)?;
        let here = prefix.parent().and_then(device);
        let links = device(self.folder) != here
            || has_links(&own.folder)
                .map_err(refused())
                .map_err(failed_here)?;
        let foreign = without_links(records, &states, &own.folder);
        let is_far = |folder: &&Path| !links || device(folder) != here || foreign.contains(*folder);
        let far = used
            .into_iter()
            .filter(is_far)
            .map(Path::to_owned)
            .collect();
        let fetched = fetch(&own.folder, &missing, client, progress).await;
        // Also if one failed: the others need not be fetched again.
        let entered = enter(&own.folder, self.folder);
        fetched.map_err(failed_here)?;
        own.is_quiet = true;
        entered.map_err(refused()).map_err(failed_here)?;
        let unpacked = records.iter().zip(&states);
        let unpacked = unpacked.map(|(record, state)| self.unpacked(record, state, &own.folder));
        judge(&unpacked.collect::<Vec<_>>())?;
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

    /// Lets a wheel that was built of a source enter the cache.
    pub(super) async fn enter_wheel(
        self,
        record: &RepoDataRecord,
        wheel: &Path,
    ) -> Result<(), InstallerError> {
        let refused = || failed(format!("could not write into {}", self.folder.display()));
        let mut own = self.own().map_err(failed("could not get randomness"))?;
        fs::create_dir_all(&own.folder).map_err(refused())?;
        let unpacked = unpack_built(&PackageCache::new(&own.folder), record, wheel).await;
        let name = record.package_record.name.as_normalized();
        unpacked.map_err(|error| InstallerError::FailedToFetch(name.to_owned(), error))?;
        own.is_quiet = true;
        enter(&own.folder, self.folder).map_err(refused())
    }

    /// What there is of a package: the first folder whose note names its hash is the
    /// one that the installer will believe.
    fn state(self, record: &RepoDataRecord) -> State<'a> {
        let name = entry_name(record);
        let folders = std::iter::once(self.folder).chain(self.beneath.iter().map(PathBuf::as_path));
        for folder in folders {
            let entry = folder.join(&name);
            if is_entry_of(&entry, record) {
                return match whole(&entry) {
                    Some(paths) => State::Whole(folder, paths),
                    None => State::Damaged,
                };
            }
        }
        State::Absent
    }

    /// Where a package is that was there before or was fetched by now: what could not
    /// enter the cache is in the run's own folder.
    fn unpacked<'r>(
        self,
        record: &'r RepoDataRecord,
        state: &'r State<'_>,
        own: &Path,
    ) -> Unpacked<'r> {
        let name = entry_name(record);
        let (folder, paths) = match state {
            State::Whole(folder, paths) => (folder.join(name), Some(paths)),
            State::Damaged | State::Absent => {
                let entered = self.folder.join(&name);
                let is_there = is_entry_of(&entered, record);
                let folder = if is_there { entered } else { own.join(name) };
                (folder, None)
            }
        };
        Unpacked {
            record,
            folder,
            paths,
        }
    }

    /// A folder for this run alone.
    fn own(self) -> std::io::Result<Own> {
        let mut token = [0; 8];
        getrandom::fill(&mut token).map_err(|error| std::io::Error::other(error.to_string()))?;
        let name = format!("{FETCHING}{}-{}", hex::encode(token), self.user);
        Ok(Own {
            folder: self.folder.join(name),
            is_quiet: false,
        })
    }

    /// Takes over what a run of the same name fetched before it was killed. What
    /// another member of a group left is for them, or for their `gc`.
    fn adopt(self) -> std::io::Result<()> {
        for entry in fs::read_dir(self.folder)?.flatten() {
            let name = entry.file_name();
            let user = name
                .to_str()
                .and_then(|name| name.strip_prefix(FETCHING))
                .and_then(|rest| rest.split_once('-'))
                .map(|(_, user)| user);
            let me = rustix::process::geteuid();
            let is_mine = || {
                let owner = entry.metadata().map(|found| found.uid());
                me.is_root() || owner.is_ok_and(|owner| owner == me.as_raw())
            };
            if user == Some(self.user) && is_mine() {
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
    /// Nobody can be writing into it any more.
    is_quiet: bool,
}

impl Drop for Own {
    fn drop(&mut self) {
        // A thread that unpacks for a fetch that was given up stops at its next read,
        // and may write until then.
        for _ in 0..LOOKS {
            match fs::remove_dir_all(&self.folder) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
                Err(error) => tracing::debug!("what was fetched is there still: {error}"),
                Ok(()) if self.is_quiet => return,
                Ok(()) => {}
            }
            std::thread::sleep(PAUSE);
        }
    }
}

fn device(path: &Path) -> Option<u64> {
    path.metadata().ok().map(|metadata| metadata.dev())
}

/// Whether a file system has hard links, as tried in a folder of this run's own.
fn has_links(own: &Path) -> std::io::Result<bool> {
    fs::create_dir_all(own)?;
    let (file, link) = (own.join(".file"), own.join(".link"));
    fs::write(&file, "")?;
    Ok(fs::hard_link(file, link).is_ok())
}

/// The folders from which another user's files can't be linked: many systems allow
/// that only of files which one may write (`fs.protected_hardlinks`).
fn without_links(
    records: &[RepoDataRecord],
    states: &[State<'_>],
    own: &Path,
) -> BTreeSet<PathBuf> {
    let me = rustix::process::geteuid().as_raw();
    let mut tried = BTreeSet::new();
    let mut without = BTreeSet::new();
    for (record, state) in records.iter().zip(states) {
        let State::Whole(folder, _) = state else {
            continue;
        };
        let file = folder.join(entry_name(record)).join("info/index.json");
        let is_foreign = file.metadata().is_ok_and(|found| found.uid() != me);
        if is_foreign && tried.insert(*folder) {
            let link = own.join(".foreign");
            if fs::hard_link(&file, &link).is_err() {
                without.insert(folder.to_path_buf());
            }
            drop(fs::remove_file(&link));
        }
    }
    without
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
