//! Store paths in the store, with a root for each.
//!
//! The root is a link inside the generation that Nix is told of (an *indirect* root).
//! It needs no undoing: once the generation is deleted, or moved aside to be, Nix finds
//! that the link is gone and drops its note of it.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::error::NixError;
use super::locked::Asking;
use super::program::{Nix, store_folder};
use crate::apply::context::Context;
use crate::apply::error::ApplyError;
use crate::apply::spec_file::SpecFile;
use crate::apply::subject::Subject;
use crate::conda::Step;
use crate::kernel::{Installable, StorePath};
use crate::lock::{LockText, LockedNix};
use crate::store::{self, Receipt, StoreError};

/// The folder of the roots in a generation.
const ROOTS: &str = "nix";

/// Where a lock is from.
#[derive(Debug, Clone, Copy)]
pub(in crate::apply) struct Whence<'a> {
    /// The folder that a relative installable begins at.
    pub(in crate::apply) beside: &'a Path,
    /// What messages call the lock.
    pub(in crate::apply) lock: &'a str,
    /// The spec, which may be one of a revision of git.
    pub(in crate::apply) then: Option<&'a SpecFile>,
}

/// Where the root of a kernel is. Its name was checked to be a plain one.
fn root(prefix: &Path, kernel: &str) -> PathBuf {
    roots(prefix).join(kernel)
}

fn roots(prefix: &Path) -> PathBuf {
    let own = Receipt::path(prefix);
    own.with_file_name(ROOTS)
}

/// Refuses kernels from Nix where there is no Nix, before anything is built.
pub(in crate::apply) fn refuse_missing(
    context: &Context,
    subject: &Subject,
) -> Result<(), NixError> {
    match subject.asked_of_nix().next() {
        Some((kernel, _)) if Nix::find(context).is_none() => Err(NixError::Missing {
            kernel: kernel.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Has the store path of a lock in the store, and a root for it in the generation.
pub(in crate::apply) async fn realise(
    context: &Context,
    locked: &LockedNix,
    prefix: &Path,
    whence: Whence<'_>,
) -> Result<StorePath, ApplyError> {
    let root = root(prefix, &locked.kernel);
    let folder = roots(prefix);
    fs::create_dir_all(&folder).map_err(StoreError::io("could not make", &folder))?;
    context.progress.begin(Step::Nix, 0);
    let realised = realise_at(context, locked, &root, whence).await;
    context.progress.end(Step::Nix);
    Ok(realised?)
}

async fn realise_at(
    context: &Context,
    locked: &LockedNix,
    root: &Path,
    whence: Whence<'_>,
) -> Result<StorePath, NixError> {
    let Whence {
        beside, lock: name, ..
    } = whence;
    let kernel = || locked.kernel.clone();
    let nix = Nix::find(context).ok_or_else(|| NixError::Missing { kernel: kernel() })?;
    let store = store_folder(context);
    let wanted =
        StorePath::parse(&locked.store_path, store).ok_or_else(|| NixError::OtherStore {
            kernel: kernel(),
            name: name.to_owned(),
            locked: locked.store_path.clone(),
            store: store.to_owned(),
        })?;
    let Err(output) = nix.root(wanted.base(), root).await else {
        return Ok(wanted);
    };
    let unavailable = |output| NixError::Unavailable {
        kernel: kernel(),
        path: wanted.to_string(),
        output,
    };
    let installable = match Installable::parse(&locked.pinned, store) {
        Ok(Installable::Store(_)) | Err(_) => return Err(unavailable(output)),
        Ok(installable) => installable,
    };
    let then = whence.then.and_then(|file| {
        let revision = file.revision.as_ref()?;
        revision.flake(&file.path, &installable)
    });
    let argument = then.unwrap_or_else(|| installable.argument(beside));
    let asking = Asking {
        nix: &nix,
        kernel: &locked.kernel,
        beside,
        store,
    };
    // Before it is built: that may take hours.
    let now = asking.store_path(&argument, None).await?;
    if now != wanted {
        return Err(NixError::Differs {
            kernel: kernel(),
            name: name.to_owned(),
            locked: wanted.to_string(),
            installable: locked.pinned.clone(),
            now: now.to_string(),
        });
    }
    let words = ["build", "--no-link", "--no-update-lock-file"];
    let built = nix.command(&words, &argument, beside).await;
    built.map_err(|output| NixError::Build {
        kernel: kernel(),
        installable: locked.pinned.clone(),
        output,
    })?;
    nix.root(wanted.base(), root).await.map_err(unavailable)?;
    Ok(wanted)
}

/// The store paths of a generation that are not in the store any more.
pub(in crate::apply) fn gone(receipt: &Receipt) -> Vec<PathBuf> {
    let kernels = receipt.kernels.iter();
    let paths = kernels.filter_map(|kernel| Some(PathBuf::from(&kernel.nix.as_ref()?.store_path)));
    paths.filter(|path| !path.exists()).collect()
}

/// Has the store paths of a finished generation in the store again.
pub(in crate::apply) async fn realise_again(
    context: &Context,
    prefix: &Path,
    receipt: &Receipt,
) -> Result<(), ApplyError> {
    let spec = Receipt::spec_path(prefix);
    let path = spec.with_extension("lock");
    let text = fs::read_to_string(&path).map_err(ApplyError::unreadable(&path))?;
    let name = path.to_string_lossy().into_owned();
    let lock = LockText::new(name.clone(), text);
    let beside = receipt.spec.path.parent().unwrap_or(prefix);
    let is_of = |locked: &LockedNix| {
        let mut kernels = receipt.kernels.iter();
        locked.platform == context.platform
            && kernels.any(|kernel| kernel.nix.is_some() && kernel.name == locked.kernel)
    };
    let whence = Whence {
        beside,
        lock: &name,
        then: None,
    };
    let folder = roots(prefix);
    store::open_folder(&folder)?;
    let mut outcome = Ok(());
    for locked in lock.nix().into_iter().filter(is_of) {
        outcome = realise(context, &locked, prefix, whence).await.map(drop);
        if outcome.is_err() {
            break;
        }
    }
    store::close_folder(&folder)?;
    outcome
}
