//! Carrying a plan out, in an order in which every instant is a good state.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fs_err as fs;
use sha2::{Digest, Sha256};

use super::context::{Context, now};
use super::error::ApplyError;
use super::kernels;
use super::link::link;
use super::nix;
use super::observe::Prepared;
use super::prefixes::{needs, packages, sources};
use super::provenance::provenance;
use super::publish::{Publishing, publish};
use super::registration::{self, Replaced};
use crate::conda::write_history;
use crate::plan::{Action, Plan};
use crate::store::{self, Event, Lease, Manifest, Papers, Receipt, SpecOrigin, StoreError};

/// What was done.
pub struct Outcome {
    /// What was planned, and carried out.
    pub prepared: Prepared,
    /// The generation of a shared root that is used in the place of one's own.
    pub shared: Option<PathBuf>,
    /// Folders of packages whose files could not be hard-linked and were copied.
    pub copied_from: BTreeSet<PathBuf>,
    /// Packages that were damaged in the cache and are new there.
    pub renewed: Vec<String>,
    /// Paths that more than one package brings, if a generation was built.
    pub clobbered: Vec<PathBuf>,
    /// Packages whose post-link script was not run, if a generation was built.
    pub scripts: Vec<String>,
    /// What the post-link scripts said that were run.
    pub messages: Vec<kernels::Message>,
    /// Why not all Python sources have bytecode, if a generation was built.
    pub no_bytecode: Option<String>,
    /// Kernelspecs that were another root's until now.
    pub replaced: Vec<Replaced>,
}

/// Carries out what is left to do, one process at a time for an environment:
/// `lease` is what [`hold`](super::hold()) gives, and the plan was made with it held.
pub async fn carry_out(
    context: &Context,
    prepared: Prepared,
    lease: Lease,
) -> Result<Outcome, ApplyError> {
    let prefix = context
        .root
        .generation(prepared.desired.generation.as_str())?;
    let replaced = registration::judge_names(context, &prepared.plan)?;
    let mut built = Built::default();
    refuse_if_too_large(context, &prepared.plan)?;
    let has = |wanted: fn(&Action) -> bool| prepared.plan.actions.iter().any(wanted);
    if has(|action| matches!(action, Action::BuildGeneration { .. })) {
        let umask = context.root.join_group()?;
        let made = tokio::select! {
            made = build(context, &prepared, &prefix, &lease, Manner::Fresh) => made,
            overtaken = lease.lost() => Err(overtaken.into()),
        };
        drop(umask);
        if made.is_err() {
            // What is at that place may be another's work by now, and the cause of
            // the trouble.
            if let Err(overtaken @ StoreError::Overtaken { .. }) = lease.confirm() {
                return Err(overtaken.into());
            }
            // What is half-made must not hold the space that may have been the
            // trouble.
            let name = &prepared.desired.environment;
            drop(store::abandon(&context.root, name, &prefix));
            store::clear_rubble(&context.root);
        }
        built = made?;
    }
    // Before anything that is seen changes: a home may be full too.
    let staged = registration::stage(context, &prepared.plan, built.receipt.as_ref())?;
    if has(|action| matches!(action, Action::WriteLock)) {
        lease.confirm()?;
        write_lock(&prepared)?;
    }
    let spec = match &built.receipt {
        Some(receipt) => receipt.spec.clone(),
        None => origin(&prepared).await,
    };
    let publishing = Publishing {
        lease: &lease,
        plan: &prepared.plan,
        environment: &prepared.desired.environment,
        event: Event::Apply,
        spec: Some(spec),
        staged,
    };
    publish(context, publishing)?;
    store::clear_unfinished(&context.root, &prepared.desired.environment);
    store::clear_rubble(&context.root);
    let umask = context.root.join_group()?;
    context.root.fill_reserve();
    drop((umask, lease));
    Ok(Outcome {
        prepared,
        shared: built.shared,
        copied_from: built.copied_from,
        renewed: built.renewed,
        clobbered: built.clobbered,
        scripts: built.scripts,
        messages: built.messages,
        no_bytecode: built.no_bytecode,
        replaced,
    })
}

/// Refuses a generation that certainly does not fit, before anything is written.
fn refuse_if_too_large(context: &Context, plan: &Plan) -> Result<(), StoreError> {
    for action in &plan.actions {
        if let Action::BuildGeneration {
            generation,
            cost,
            left,
            ..
        } = action
            && left.is_too_small_for(cost)
        {
            return Err(StoreError::NoRoom {
                path: context.root.path().to_owned(),
                generation: generation.to_string(),
                cost: cost.in_words(),
                left: left.in_words(),
            });
        }
    }
    Ok(())
}

/// What building a generation left.
#[derive(Default)]
pub(super) struct Built {
    shared: Option<PathBuf>,
    copied_from: BTreeSet<PathBuf>,
    renewed: Vec<String>,
    pub(super) receipt: Option<Receipt>,
    clobbered: Vec<PathBuf>,
    scripts: Vec<String>,
    messages: Vec<kernels::Message>,
    no_bytecode: Option<String>,
}

/// Writes the lock, unless the spec has become another one meanwhile (somebody
/// ran `add`): then the lock that is there is newer.
fn write_lock(prepared: &Prepared) -> Result<(), ApplyError> {
    prepared.subject.file.refuse_if_changed()?;
    let path = prepared.subject.file.lock_path();
    store::write_whole(&path, prepared.locked.text.as_str().as_bytes())?;
    Ok(())
}

/// How a generation comes to be built.
pub(super) enum Manner {
    /// For the first time.
    Fresh,
    /// Again, because it or the cache was damaged; it keeps where it came from,
    /// if that is known.
    Again(Option<SpecOrigin>),
}

/// Ends the changes of a prefix: from here on only its receipt is written.
fn close(
    context: &Context,
    prepared: &Prepared,
    prefix: &Path,
    known: &BTreeMap<PathBuf, String>,
) -> Result<Manifest, StoreError> {
    Receipt::folder(prefix)?;
    if prepared.subject.purge(context).is_some() {
        store::renew(prefix)?;
    }
    let manifest = store::seal(prefix, known)?;
    store::flush(prefix)?;
    Ok(manifest)
}

/// Builds a generation.
pub(super) async fn build(
    context: &Context,
    prepared: &Prepared,
    prefix: &Path,
    lease: &Lease,
    manner: Manner,
) -> Result<Built, ApplyError> {
    // Again: a shared one was damaged, or the cache, or one's own.
    let (again, known_origin) = match manner {
        Manner::Fresh => (false, None),
        Manner::Again(origin) => (true, origin),
    };
    let place = store::stage(&context.root, prefix)?;
    if let Some(shared) = shared_generation(prepared)?.filter(|_| !again) {
        fs_err::os::unix::fs::symlink(&shared, &place)
            .map_err(StoreError::io("could not link", &place))?;
        lease.confirm()?;
        store::put_in_place(&place, prefix)?;
        return Ok(Built {
            shared: Some(shared),
            ..Built::default()
        });
    }
    nix::refuse_missing(context, &prepared.subject)?;
    // git answers while files are linked.
    let linking = link(context, prepared, &place, prefix, again);
    let (linked, origin) = tokio::join!(linking, origin(prepared));
    let linked = linked?;
    kernels::refuse_offline(context, prepared, &place)?;
    if again {
        // What takes the place of others is to be on the disk.
        store::flush(&place)?;
    }
    lease.confirm()?;
    store::put_in_place(&place, prefix)?;
    if again {
        store::keep_damaged(&context.root, prefix)?;
    }
    let clobbered: Vec<PathBuf> = linked.clobbered.into_iter().collect();

    let spec = &prepared.subject.file.spec;
    let made = now();
    let prefixes = prepared.prefixes.iter();
    for (locked, prefix) in prefixes.map(|locked| (locked, locked.within(prefix))) {
        let (records, requested) = (&locked.records, &locked.requested);
        write_history(&prefix, &made, "envspec apply", records, requested).map_err(
            StoreError::io("could not write", &prefix.join("conda-meta")),
        )?;
        write_own_variables(&prefix)?;
    }
    let set_up = kernels::set_up(context, prepared, prefix).await?;
    for locked in &prepared.prefixes {
        // Not before the activation was captured: the engine would read them there,
        // as a shell does and in capitals.
        write_variables(&locked.within(prefix), &spec.variables)?;
    }

    let scripts = kernels::not_run(prepared, prefix);
    let manifest = close(context, prepared, prefix, &linked.bytecode)?;
    let receipt = Receipt {
        version: Receipt::VERSION,
        environment: spec.name.to_string(),
        generation: prepared.desired.generation.to_string(),
        platform: context.platform.to_string(),
        created: made,
        by: context.who.to_string(),
        made_with: concat!("envspec ", env!("CARGO_PKG_VERSION")).to_owned(),
        spec: known_origin.unwrap_or(origin),
        spec_sha256: hex::encode(Sha256::digest(prepared.subject.file.source.text())),
        lock_sha256: hex::encode(Sha256::digest(prepared.locked.text.as_str())),
        packages: packages(&prepared.prefixes),
        built: sources(&prepared.prefixes),
        kernels: set_up.kernels,
        activation: set_up.activation,
        needs: needs(&prepared.prefixes),
        clobbered: clobbered.clone(),
        scripts_not_run: scripts.clone(),
    };
    let mut definitions = prepared.subject.definitions();
    for kernel in &receipt.kernels {
        // One whose cells test a kernel from Nix by its language.
        if let Some(known) = context.catalogue.by_id(&kernel.definition) {
            let kept = definitions.entry(kernel.definition.clone());
            kept.or_insert_with(|| known.text.clone());
        }
    }
    lease.confirm()?;
    receipt.write(
        prefix,
        Papers {
            spec: prepared.subject.file.source.text(),
            lock: prepared.locked.text.as_str(),
            definitions: &definitions,
            manifest: &manifest,
        },
    )?;
    Ok(Built {
        receipt: Some(receipt),
        shared: None,
        copied_from: linked.copied_from,
        renewed: linked.renewed,
        clobbered,
        scripts,
        messages: set_up.messages,
        no_bytecode: linked.no_bytecode,
    })
}

/// The very generation that is asked for, if a shared root has it.
fn shared_generation(prepared: &Prepared) -> Result<Option<PathBuf>, StoreError> {
    for root in prepared.subject.shared_roots() {
        let there = root.generation(prepared.desired.generation.as_str())?;
        if Receipt::exists(&there) {
            return Ok(Some(there));
        }
    }
    Ok(None)
}

/// Where the spec came from. A lock that is still to be written will differ
/// from the commit's.
async fn origin(prepared: &Prepared) -> SpecOrigin {
    let file = &prepared.subject.file;
    if let Some(revision) = &file.revision {
        return SpecOrigin {
            path: file.path.clone(),
            commit: Some(revision.commit.clone()),
            dirty: false,
        };
    }
    let mut origin = provenance(&file.path, &file.lock_path()).await;
    origin.dirty |= origin.commit.is_some() && !prepared.locked.is_written();
    origin
}

/// Writes envspec's own variable where a package would: it makes a Jupyter
/// server of the activated environment prefer the environment's kernels to
/// stale ones of the same name in the user's folder.
fn write_own_variables(prefix: &Path) -> Result<(), StoreError> {
    write_json(
        &prefix.join("etc/conda/env_vars.d/envspec.json"),
        &serde_json::json!({"JUPYTER_PREFER_ENV_PATH": "1"}),
    )
}

/// Writes the spec's variables where conda and everything like it looks for
/// them: into `conda-meta/state`, as `conda env config vars` does.
fn write_variables(prefix: &Path, variables: &BTreeMap<String, String>) -> Result<(), StoreError> {
    if variables.is_empty() {
        return Ok(());
    }
    write_json(
        &prefix.join("conda-meta").join("state"),
        &serde_json::json!({"version": 1, "env_vars": variables}),
    )
}

fn write_json(path: &Path, content: &serde_json::Value) -> Result<(), StoreError> {
    let folder = path.parent().expect("it is a file below the prefix");
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, format!("{content:#}\n")))
        .map_err(StoreError::io("could not write", path))
}
