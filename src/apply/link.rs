//! The packages of a generation, linked into its prefixes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::context::Context;
use super::error::ApplyError;
use super::observe::Prepared;
use super::prefixes::LockedPrefix;
use super::sources;
use crate::conda::{Compile, Install, Packages, compile_bytecode, install};
use crate::store::{self, Receipt, StoreError};

/// What linking left to tell. Paths are below the generation.
#[derive(Debug, Default)]
pub(super) struct Linked {
    /// Paths that more than one package brings; one of them won.
    pub(super) clobbered: BTreeSet<PathBuf>,
    /// Folders of packages whose files could not be hard-linked and were copied.
    pub(super) copied_from: BTreeSet<PathBuf>,
    /// Packages that were damaged in the cache and are new there.
    pub(super) renewed: Vec<String>,
    /// The bytecode, each file with its SHA-256.
    pub(super) bytecode: BTreeMap<PathBuf, String>,
    /// Why there is not all of it.
    pub(super) no_bytecode: Option<String>,
}

/// Links the packages of a generation, with their bytecode, at `place`, for
/// `generation`. What is linked `again` trusts nothing that was compiled before.
pub(super) async fn link(
    context: &Context,
    prepared: &Prepared,
    place: &Path,
    generation: &Path,
    again: bool,
) -> Result<Linked, ApplyError> {
    // By this it is known as envspec's, should it stay unfinished.
    Receipt::folder(place)?;
    let mut linked = Linked::default();
    for locked in &prepared.prefixes {
        let prefix = locked.within(generation);
        link_one(
            context,
            prepared,
            locked,
            place,
            &prefix,
            again,
            &mut linked,
        )
        .await?;
    }
    Ok(linked)
}

async fn link_one(
    context: &Context,
    prepared: &Prepared,
    locked: &LockedPrefix,
    place: &Path,
    prefix: &Path,
    again: bool,
    linked: &mut Linked,
) -> Result<(), ApplyError> {
    Box::pin(sources::build_sources(context, prepared, locked, place)).await?;
    let client = context.client()?;
    let caches = prepared.subject.packages(context);
    let packages = Packages {
        folder: &caches[0],
        beneath: &caches[1..],
        user: prepared.desired.environment.as_str(),
    };
    let here = locked.within(place);
    let wanted = Install {
        place: &here,
        prefix,
        records: locked.records.clone(),
        requested: locked.requested.clone(),
        platform: context.platform,
    };
    let installed = install(wanted, packages, &client, &context.progress).await?;
    let compile = Compile {
        prefix: &here,
        packages: &context.root.packages(),
        records: &locked.records,
        clobbered: &installed.clobbered,
        distrust: again,
    };
    let mut bytecode = compile_bytecode(compile, &context.progress).await;
    if let Some(error) = bytecode.lacking.take_if(|error| store::is_full(error)) {
        // With space it can be had, and nobody could add it later.
        return Err(StoreError::io("could not compile the sources in", prefix)(error).into());
    }
    let below = locked.within(Path::new(""));
    let clobbered = installed.clobbered.iter();
    linked
        .clobbered
        .extend(clobbered.map(|path| below.join(path)));
    linked.copied_from.extend(installed.copied_from);
    linked.renewed.extend(installed.renewed);
    let files = bytecode.files.into_iter();
    linked
        .bytecode
        .extend(files.map(|(path, digest)| (below.join(path), digest)));
    let lacking = bytecode.lacking.map(|error| error.to_string());
    linked.no_bytecode = linked.no_bytecode.take().or(lacking);
    Ok(())
}
