//! A damaged generation, built again from what it was made of.
//!
//! It has to be at the same path, which its files name, so it can't be built
//! beside and switched to. Everything that may fail for another reason than the
//! disk (the papers, the network, the cache) is done first, with the damaged one
//! in its place; then that is renamed aside and the new one is linked, which
//! takes about a second. Files that a running kernel has open stay open. What is
//! started in that second finds nothing; a killed repair is finished by the
//! next one, or by `apply`.

use std::path::{Path, PathBuf};

use super::build::{Manner, build};
use super::context::{Context, now};
use super::error::ApplyError;
use super::observe::{Prepared, prepare};
use super::registration;
use super::resolve::{LockPolicy, resolve};
use super::rollback;
use super::spec_file::SpecFile;
use crate::conda::{http_client, refresh_cache};
use crate::spec::EnvName;
use crate::store::{self, Lease, Receipt, StoreError};

/// Builds a generation (the current one if none is named) again, the package
/// cache and the user's kernelspecs too as far as they are damaged.
pub async fn repair(
    context: &Context,
    name: &EnvName,
    generation: Option<&str>,
) -> Result<(), ApplyError> {
    let root = &context.root;
    let lease = Lease::take(
        root,
        name,
        &context.who.to_string(),
        &context.who.host,
        &now(),
    )?;
    let current = store::current(root, name)?;
    let generation = match generation {
        Some(wanted) => rollback::named(context, name, wanted)?,
        None => current.clone().ok_or_else(|| StoreError::Unknown {
            what: "environment",
            name: name.to_string(),
        })?,
    };
    let prefix = root.generation(&generation)?;
    let damaged = store::damaged(root, &prefix);
    let places = [prefix.as_path(), damaged.as_path()];
    let receipt = places
        .iter()
        .find_map(|place| Receipt::read(place).ok().flatten());
    let prepared = prepared(context, name, &generation, &places, receipt.as_ref()).await?;
    let records = prepared.locked.records(context)?;
    let client = http_client(context.network);
    refresh_cache(records, &root.packages(), &client, &context.progress).await?;

    let origin = receipt.map(|receipt| receipt.spec);
    store::set_aside(root, &prefix)?;
    let built = match build(context, &prepared, &prefix, &lease, Manner::Again(origin)).await {
        Ok(built) => built,
        Err(error) => {
            store::put_back(root, &prefix)?;
            store::clear_rubble(root);
            return Err(error);
        }
    };
    if let Some(receipt) = built
        .receipt
        .filter(|_| current.as_ref() == Some(&generation))
    {
        for kernel in &receipt.kernels {
            let name = &kernel.registered;
            registration::stage_one(context, &prefix, Some(&receipt), name)?.publish()?;
        }
    }
    store::clear_rubble(root);
    drop(lease);
    Ok(())
}

/// What a generation was made from: the papers in it, or what is beside its spec
/// by now, if that makes the same generation.
async fn prepared<'c>(
    context: &'c Context,
    name: &EnvName,
    generation: &str,
    places: &[&Path],
    receipt: Option<&Receipt>,
) -> Result<Prepared<'c>, ApplyError> {
    let mut specs: Vec<PathBuf> = places
        .iter()
        .map(|place| Receipt::spec_path(place))
        .collect();
    specs.extend(receipt.map(|receipt| receipt.spec.path.clone()));
    for spec in specs {
        match prepared_from(context, name, &spec).await {
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

async fn prepared_from<'c>(
    context: &'c Context,
    name: &EnvName,
    spec: &Path,
) -> Result<Prepared<'c>, ApplyError> {
    let mut file = SpecFile::open(spec, &spec.to_string_lossy())?;
    // A spec that names none is named by its file, which a copy is not.
    file.spec.name = name.clone();
    let subject = file.judge(context)?;
    let locked = resolve(context, &subject, LockPolicy::Frozen).await?;
    locked.records(context)?;
    let mut prepared = prepare(context, subject, locked)?;
    prepared.records = prepared.locked.records(context)?.to_vec();
    Ok(prepared)
}
