//! What a command wrote past its staging folder, among the user's own kernelspecs.
//!
//! One that asks the system for the user's home, and not HOME, gets there. Meanwhile the
//! user and other programs go on, for half an hour perhaps: what is not certainly the
//! command's is told and left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::Setting;
use crate::kernel::{KernelDir, KernelSpec};

/// The kernelspecs of the user's own as they were before commands ran.
pub(super) struct Watched<'a> {
    dir: &'a KernelDir,
    /// What shows whose a kernelspec is: paths that nobody else knows.
    own: Vec<String>,
    folders: BTreeSet<PathBuf>,
    before: Kernelspecs,
    is_over: bool,
}

/// The text of each folder's `kernel.json`, if it has one.
type Kernelspecs = BTreeMap<PathBuf, Option<Vec<u8>>>;

impl<'a> Watched<'a> {
    /// Looks at what is there.
    pub(super) fn new(setting: &Setting<'a>, dir: &'a KernelDir) -> Self {
        let of_home = |home: &Path| home.join(".local/share/jupyter/kernels");
        let user = ::nix::unistd::User::from_uid(::nix::unistd::getuid());
        let home_by_system = user.ok().flatten().map(|user| of_home(&user.dir));
        let folders = [
            setting.context.kernels_dir.clone(),
            of_home(&setting.context.home),
        ];
        let folders: BTreeSet<PathBuf> = folders
            .into_iter()
            .chain(home_by_system)
            .map(|folder| folder.canonicalize().unwrap_or(folder))
            .collect();
        Self {
            dir,
            own: [setting.staging.home(), setting.generation]
                .into_iter()
                .flat_map(|path| [path.to_owned(), path.canonicalize().unwrap_or_default()])
                .map(|path| path.to_string_lossy().into_owned())
                .filter(|path| !path.is_empty())
                .collect(),
            before: kernelspecs(&folders),
            folders,
            is_over: false,
        }
    }

    /// Compares, and takes back what is certainly the commands'; a line for each.
    pub(super) fn strays(mut self) -> Vec<String> {
        self.take_back()
    }

    fn take_back(&mut self) -> Vec<String> {
        self.is_over = true;
        let after = kernelspecs(&self.folders);
        let paths: BTreeSet<&PathBuf> = self.before.keys().chain(after.keys()).collect();
        let told = paths.into_iter().filter_map(|path| {
            let (before, after) = (self.before.get(path), after.get(path));
            if before == after {
                return None;
            }
            let said = self.judge(path, before, after)?;
            Some(format!("{said}: {}", path.display()))
        });
        told.collect()
    }

    fn judge(
        &self,
        path: &Path,
        before: Option<&Option<Vec<u8>>>,
        after: Option<&Option<Vec<u8>>>,
    ) -> Option<String> {
        let (was, is) = (
            before.and_then(Option::as_ref),
            after.and_then(Option::as_ref),
        );
        // Other applies of this user's go on too.
        if is.or(was).is_some_and(|text| is_marked(text)) {
            return None;
        }
        if is.is_some_and(|text| self.is_own(text)) {
            let (done, said) = match before {
                None => (fs::remove_dir_all(path), "new, and removed"),
                Some(_) => (
                    put_back(path, was),
                    "overwritten; its kernel.json was put back, other files in it may be lost",
                ),
            };
            return Some(match done {
                Ok(()) => said.to_owned(),
                Err(error) => format!("the installer's, and could not be taken back ({error})"),
            });
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !self.dir.matches(&name) {
            return None;
        }
        let said = match (was, is) {
            // A folder that Jupyter does not see.
            (None, None) => return None,
            (None, Some(_)) => "new, and left there",
            (Some(_), None) => "gone",
            (Some(_), Some(_)) => "changed, and left so",
        };
        Some(said.to_owned())
    }

    fn is_own(&self, text: &[u8]) -> bool {
        let text = String::from_utf8_lossy(text);
        self.own.iter().any(|path| text.contains(path))
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        // Nobody waits for the commands any more.
        if !self.is_over {
            for stray in self.take_back() {
                tracing::warn!("an installer wrote past its staging folder: {stray}");
            }
        }
    }
}

/// Whether it is envspec's.
fn is_marked(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    KernelSpec::parse(&text).is_ok_and(|kernelspec| kernelspec.mark().is_some())
}

fn put_back(path: &Path, was: Option<&Vec<u8>>) -> std::io::Result<()> {
    let file = path.join("kernel.json");
    match was {
        None => fs::remove_file(file),
        Some(text) => crate::store::write_whole(&file, text).map_err(std::io::Error::other),
    }
}

fn kernelspecs(folders: &BTreeSet<PathBuf>) -> Kernelspecs {
    let entries = folders.iter().flat_map(fs::read_dir).flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .map(|path| {
            let text = fs::read(path.join("kernel.json")).ok();
            (path, text)
        })
        .collect()
}
