//! A damaged generation, built again from what it was made of.
//!
//! It has to be at the same path, which its files name. So its packages are linked
//! beside, with that path in them, and take the place of the damaged ones by one
//! exchange of names, which most file systems have; elsewhere it is two renames. Python,
//! R and their packages are there at every instant, for who runs and for who starts.
//! What envspec adds to a prefix follows, and a repair that is killed meanwhile is
//! finished by the next one or by `apply`.

use std::path::{Path, PathBuf};

use super::build::{Manner, build};
use super::context::Context;
use super::error::ApplyError;
use super::hold::{WaitingFor, hold};
use super::nix;
use super::observe::{Prepared, prepare};
use super::registration;
use super::resolve::{LockPolicy, resolve};
use super::spec_file::SpecFile;
#[cfg(doc)]
use super::verify::verify;
use super::verify::{Finding, Verified, verify_generation};
use crate::conda::refresh_cache;
use crate::spec::EnvName;
use crate::store::{self, Granted, Receipt};

/// What a repair came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repaired {
    /// The generation was built again.
    Built,
    /// Its kernelspecs were registered again, and nothing else was damaged.
    Registered,
    /// Store paths of its kernels are in the Nix store again, and nothing else of the
    /// prefix was damaged.
    Realised,
    /// Another had repaired it meanwhile.
    ByAnother,
}

/// Repairs what [`verify()`] found of a generation: it is built again and the package
/// cache renewed, or only the kernelspecs written if nothing else is damaged.
///
/// It waits for the right to change the environment, as [`hold`] does, and looks
/// again if it had to: another may have repaired it.
pub async fn repair(
    context: &Context,
    name: &EnvName,
    mut found: Verified,
    tell: &(dyn Fn(WaitingFor<'_>) + Sync),
) -> Result<Repaired, ApplyError> {
    let root = &context.root;
    let Granted { lease, waited } = hold(context, name, tell).await?;
    if waited {
        found = verify_generation(context, name, found.generation)?;
        if found.findings.is_empty() {
            return Ok(Repaired::ByAnother);
        }
    }
    let Verified {
        generation, prefix, ..
    } = found;
    let umask = root.join_group()?;
    let is_current = store::current(root, name)?.as_ref() == Some(&generation);
    store::keep_damaged(root, &prefix)?;
    let damaged = store::damaged(root, &prefix);
    let places = [prefix.as_path(), damaged.as_path()];
    let receipt = places
        .iter()
        .find_map(|place| Receipt::read(place).ok().flatten());
    let of_home = |finding: &Finding| finding.path.starts_with(&context.kernels_dir);
    let gone = receipt.as_ref().map(nix::gone).unwrap_or_default();
    let of_nix = |finding: &Finding| gone.contains(&finding.path);
    if let Some(receipt) = &receipt
        && found
            .findings
            .iter()
            .all(|finding| of_home(finding) || of_nix(finding))
    {
        if !gone.is_empty() {
            nix::realise_again(context, &prefix, receipt).await?;
        }
        drop(umask);
        // Another may be current by now, and Jupyter see its kernels.
        if is_current {
            register(context, &prefix, receipt)?;
        }
        return Ok(match gone.as_slice() {
            [] => Repaired::Registered,
            [_, ..] => Repaired::Realised,
        });
    }
    let prepared = prepared(context, name, &generation, &places, receipt.as_ref()).await?;
    let client = context.client()?;
    for locked in &prepared.prefixes {
        let packages = root.packages();
        refresh_cache(&locked.records, &packages, &client, &context.progress).await?;
    }

    let origin = receipt.map(|receipt| receipt.spec);
    let built = tokio::select! {
        built = build(context, &prepared, &prefix, &lease, Manner::Again(origin)) => built,
        overtaken = lease.lost() => Err(overtaken.into()),
    };
    let built = match built {
        Ok(built) => built,
        Err(error) => {
            // What is at that place may be another's work by now.
            lease.confirm()?;
            store::put_back(root, &prefix)?;
            store::clear_rubble(root);
            return Err(error);
        }
    };
    drop(umask);
    if let Some(receipt) = built.receipt.filter(|_| is_current) {
        register(context, &prefix, &receipt)?;
    }
    store::clear_rubble(root);
    drop(lease);
    Ok(Repaired::Built)
}

/// Registers the kernels of a generation again.
fn register(context: &Context, prefix: &Path, receipt: &Receipt) -> Result<(), ApplyError> {
    for kernel in &receipt.kernels {
        registration::stage_one(context, prefix, Some(receipt), &kernel.registered)?.publish()?;
    }
    Ok(())
}

/// What a generation was made from: the papers in it, or what is beside its spec
/// by now, if that makes the same generation.
async fn prepared(
    context: &Context,
    name: &EnvName,
    generation: &str,
    places: &[&Path],
    receipt: Option<&Receipt>,
) -> Result<Prepared, ApplyError> {
    let mut specs: Vec<PathBuf> = places
        .iter()
        .map(|place| Receipt::spec_path(place))
        .collect();
    let origin = receipt.map(|receipt| receipt.spec.path.as_path());
    specs.extend(origin.map(Path::to_owned));
    let beside = origin.and_then(Path::parent);
    for spec in specs {
        match prepared_from(context, name, &spec, beside).await {
            Ok(prepared) if prepared.desired.generation.as_str() == generation => {
                return Ok(prepared);
            }
            Ok(_) => tracing::debug!("{} makes another generation", spec.display()),
            Err(error) => tracing::debug!("{} can't be used: {error}", spec.display()),
        }
    }
    Err(ApplyError::NotAgain {
        generation: generation.to_owned(),
    })
}

async fn prepared_from(
    context: &Context,
    name: &EnvName,
    spec: &Path,
    beside: Option<&Path>,
) -> Result<Prepared, ApplyError> {
    let mut file = SpecFile::open(spec, &spec.to_string_lossy())?;
    // A spec that names none is named by its file, which a copy is not.
    file.spec.name = name.clone();
    // What is relative in it is so to where it came from.
    if let Some(beside) = beside {
        file.beside = beside.to_owned();
    }
    // What it asks of pip is in the lock, which is used as it is; the files that it names
    // may be gone.
    file.spec.pip = None;
    for kernel in &mut file.spec.kernels {
        kernel.pip = None;
    }
    let subject = file.judge(context)?;
    let locked = resolve(context, &subject, LockPolicy::Frozen).await?;
    locked.prefixes(context)?;
    let mut prepared = prepare(context, subject, locked)?;
    prepared.prefixes = prepared.locked.prefixes(context)?.to_vec();
    Ok(prepared)
}
