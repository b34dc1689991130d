//! Carrying a plan out, in an order in which every instant is a good state.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rattler_conda_types::RepoDataRecord;
use sha2::{Digest, Sha256};

use super::context::{Context, now};
use super::error::ApplyError;
use super::kernels;
use super::observe::{Prepared, prepare};
use super::provenance::provenance;
use super::publish::{Publishing, publish};
use super::registration::{self, Replaced};
use crate::conda::{Compile, Install, compile_bytecode, http_client, install, package_cache};
use crate::lock::PackageId;
use crate::plan::{Action, Plan};
use crate::store::{self, Event, Lease, Receipt, SpecOrigin, StoreError};

/// What was done.
pub struct Outcome<'c> {
    /// What was planned once the lease was held, and carried out.
    pub prepared: Prepared<'c>,
    /// Paths that more than one package brings, if a generation was built.
    pub clobbered: Vec<PathBuf>,
    /// Packages whose post-link script was not run, if a generation was built.
    pub scripts: Vec<String>,
    /// Why not all Python sources have bytecode, if a generation was built.
    pub no_bytecode: Option<String>,
    /// Kernelspecs that were another root's until now.
    pub replaced: Vec<Replaced>,
}

/// Carries out what is left to do, one process at a time for an environment.
///
/// The plan is made anew once the lease is held: what another process did in
/// between counts.
pub async fn carry_out<'c>(
    context: &Context,
    prepared: Prepared<'c>,
) -> Result<Outcome<'c>, ApplyError> {
    let name = prepared.desired.environment.clone();
    let lease = Lease::take(
        &context.root,
        &name,
        &context.who.to_string(),
        &context.who.host,
        &now(),
    )?;
    let prepared = prepare(context, prepared.subject, prepared.locked)?;
    let prefix = context
        .root
        .generation(prepared.desired.generation.as_str())?;
    let replaced = registration::judge_names(context, &prepared.plan)?;
    let mut built = Built::default();
    refuse_if_too_large(context, &prepared.plan)?;
    let has = |wanted: fn(&Action) -> bool| prepared.plan.actions.iter().any(wanted);
    if has(|action| matches!(action, Action::BuildGeneration { .. })) {
        let made = build(context, &prepared, &prefix).await;
        if made.is_err() {
            // What is half-made must not hold the space that may have been the
            // trouble.
            drop(store::stage(&context.root, &prefix));
            store::clear_rubble(&context.root);
        }
        built = made?;
    }
    // Before anything that is seen changes: a home may be full too.
    let staged = registration::stage(context, &prepared.plan, built.receipt.as_ref())?;
    if has(|action| matches!(action, Action::WriteLock)) {
        write_lock(&prepared)?;
    }
    let publishing = Publishing {
        plan: &prepared.plan,
        environment: &name,
        event: Event::Apply,
        staged,
    };
    publish(context, publishing)?;
    store::clear_rubble(&context.root);
    drop(lease);
    Ok(Outcome {
        prepared,
        clobbered: built.clobbered,
        scripts: built.scripts,
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
struct Built {
    receipt: Option<Receipt>,
    clobbered: Vec<PathBuf>,
    scripts: Vec<String>,
    no_bytecode: Option<String>,
}

/// Writes the lock, unless the spec has become another one meanwhile (somebody
/// ran `add`): then the lock that is there is newer.
fn write_lock(prepared: &Prepared<'_>) -> Result<(), ApplyError> {
    prepared.subject.file.refuse_if_changed()?;
    let path = prepared.subject.file.lock_path();
    store::write_whole(&path, prepared.locked.text.as_str().as_bytes())?;
    Ok(())
}

async fn build(
    context: &Context,
    prepared: &Prepared<'_>,
    prefix: &Path,
) -> Result<Built, ApplyError> {
    store::stage(&context.root, prefix)?;
    let client = http_client(context.network);
    let cache = package_cache(&context.root.packages());
    let installing = install(
        Install {
            prefix,
            records: prepared.records.clone(),
            requested: prepared.locked.specs.clone(),
            platform: context.platform,
        },
        &cache,
        &client,
        &context.progress,
    );
    // git answers while files are linked.
    let (installed, origin) = tokio::join!(installing, origin(prepared));
    let clobbered = installed?.clobbered;
    let bytecode = compile_bytecode(
        Compile {
            prefix,
            packages: &context.root.packages(),
            records: &prepared.records,
            clobbered: &clobbered,
        },
        &context.progress,
    )
    .await;
    let clobbered: Vec<PathBuf> = clobbered.into_iter().collect();

    let spec = &prepared.subject.file.spec;
    write_own_variables(prefix)?;
    let set_up = kernels::set_up(context, &prepared.subject, prefix).await?;
    // Not before the activation was captured: the engine would read them there,
    // as a shell does and in capitals.
    write_variables(prefix, &spec.variables)?;

    let receipt = Receipt {
        version: Receipt::VERSION,
        environment: spec.name.to_string(),
        generation: prepared.desired.generation.to_string(),
        platform: context.platform.to_string(),
        created: now(),
        by: context.who.to_string(),
        made_with: concat!("envspec ", env!("CARGO_PKG_VERSION")).to_owned(),
        spec: origin,
        lock_sha256: hex::encode(Sha256::digest(prepared.locked.text.as_str())),
        packages: prepared.records.iter().map(PackageId::from).collect(),
        kernels: set_up.kernels,
        activation: set_up.activation,
        clobbered: clobbered.clone(),
    };
    receipt.write(prefix, prepared.subject.file.source.text())?;
    Ok(Built {
        receipt: Some(receipt),
        clobbered,
        scripts: post_link_scripts(prefix, &prepared.records),
        no_bytecode: bytecode.err().map(|error| error.to_string()),
    })
}

/// Where the spec came from. A lock that is still to be written will differ
/// from the commit's.
async fn origin(prepared: &Prepared<'_>) -> SpecOrigin {
    let file = &prepared.subject.file;
    let mut origin = provenance(&file.path, &file.lock_path()).await;
    origin.dirty |= origin.commit.is_some() && !prepared.locked.written;
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

/// The packages that brought a post-link script, which is not run.
fn post_link_scripts(prefix: &Path, records: &[RepoDataRecord]) -> Vec<String> {
    records
        .iter()
        .map(|record| record.package_record.name.as_normalized())
        .filter(|name| prefix.join(format!("bin/.{name}-post-link.sh")).exists())
        .map(str::to_owned)
        .collect()
}
