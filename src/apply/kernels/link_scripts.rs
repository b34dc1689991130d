//! Post-link scripts: those that the lock vouches for are run, as conda would run them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use rattler_conda_types::PackageRecord;

use super::Activated;
use super::staging::{Failed, Run, Staging};
use crate::apply::error::ApplyError;
use crate::apply::observe::Prepared;
use crate::apply::prefixes::LockedPrefix;

/// How long a script may take: some fetch their data.
const LIMIT: Duration = Duration::from_mins(30);

/// The packages that brought a post-link script for which nobody vouches.
pub(in crate::apply) fn not_run(prepared: &Prepared, generation: &Path) -> Vec<String> {
    let trusted: BTreeSet<&str> = prepared.locked.post_link().collect();
    let mut all = BTreeSet::new();
    for locked in &prepared.prefixes {
        let prefix = locked.within(generation);
        let records = locked.records.iter();
        let names = records.map(|record| record.package_record.name.as_normalized());
        let names = names.filter(|name| !trusted.contains(name) && script(&prefix, name).exists());
        all.extend(names.map(str::to_owned));
    }
    all.into_iter().collect()
}

fn script(prefix: &Path, package: &str) -> PathBuf {
    prefix.join(format!("bin/.{package}-post-link.sh"))
}

/// Runs the scripts of the packages that the lock names, what a package needs before
/// the package. Tells whether there were any.
pub(super) async fn run_link_scripts(
    prepared: &Prepared,
    locked: &LockedPrefix,
    staging: &Staging<'_>,
    activated: &Activated,
    prefix: &Path,
) -> Result<bool, ApplyError> {
    let trusted: BTreeSet<&str> = prepared.locked.post_link().collect();
    let mut records: Vec<PackageRecord> = locked
        .records
        .iter()
        .map(|record| record.package_record.clone())
        .filter(|record| trusted.contains(record.name.as_normalized()))
        .filter(|record| script(prefix, record.name.as_normalized()).exists())
        .collect();
    if records.len() > 1 {
        let all = locked.records.iter();
        let all = all.map(|record| record.package_record.clone()).collect();
        let order = PackageRecord::sort_topologically(all);
        let place = |record: &PackageRecord| order.iter().position(|one| one.name == record.name);
        records.sort_by_key(place);
    }
    for record in &records {
        run_one(record, staging, activated, prefix).await?;
    }
    Ok(!records.is_empty())
}

async fn run_one(
    record: &PackageRecord,
    staging: &Staging<'_>,
    activated: &Activated,
    prefix: &Path,
) -> Result<(), ApplyError> {
    let name = record.name.as_normalized();
    let own = prefix.join("bin/bash");
    let bash = if own.exists() {
        own
    } else {
        PathBuf::from("/bin/bash")
    };
    let of_package = [
        ("ROOT_PREFIX", prefix.to_string_lossy().into_owned()),
        ("PKG_NAME", name.to_owned()),
        ("PKG_VERSION", record.version.to_string()),
        ("PKG_BUILDNUM", record.build_number.to_string()),
    ];
    let run = Run {
        program: bash,
        arguments: vec![script(prefix, name).to_string_lossy().into_owned()],
        shown: format!("bin/.{name}-post-link.sh"),
        environment: &activated.environment,
        env: of_package
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        inherit: &[],
        limit: LIMIT,
    };
    let ran = staging.run(run).await;
    // What it has to say to people, by conda's rule.
    let messages = prefix.join(".messages.txt");
    if let Ok(text) = fs::read_to_string(&messages) {
        tracing::info!("{name}: {}", text.trim());
        drop(fs::remove_file(&messages));
    }
    ran.map_err(|Failed { output, .. }| ApplyError::LinkScript {
        package: name.to_owned(),
        output,
    })
}
