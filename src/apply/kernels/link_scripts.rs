//! Post-link scripts: those that the lock vouches for are run, as conda would run them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rattler_conda_types::PackageRecord;

use super::Activated;
use super::staging::{Failed, Run, Staging, both_ends};
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

/// What a post-link script has to say to people.
pub struct Message {
    /// Its package.
    pub package: String,
    /// Its words.
    pub text: String,
}

impl std::fmt::Display for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { package, text } = self;
        write!(f, "the post-link script of {package} said: {text}")
    }
}

/// What running scripts came to.
#[derive(Default)]
pub(super) struct ScriptsRun {
    /// Whether there were any.
    pub(super) any: bool,
    /// What they said.
    pub(super) messages: Vec<Message>,
}

/// Runs the scripts of the packages that the lock names, what a package needs before
/// the package.
pub(super) async fn run_link_scripts(
    prepared: &Prepared,
    locked: &LockedPrefix,
    staging: &Staging<'_>,
    activated: &Activated,
    prefix: &Path,
) -> Result<ScriptsRun, ApplyError> {
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
    let mut run = ScriptsRun::default();
    for record in &records {
        run.any = true;
        let message = run_one(record, staging, activated, prefix).await?;
        run.messages.extend(message);
    }
    Ok(run)
}

async fn run_one(
    record: &PackageRecord,
    staging: &Staging<'_>,
    activated: &Activated,
    prefix: &Path,
) -> Result<Option<Message>, ApplyError> {
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
        input: String::new(),
        limit: LIMIT,
    };
    let ran = staging.run(run).await;
    // What it has to say to people, by conda's rule. Some tell of all their errors so, and
    // end as if there were none.
    let file = prefix.join(".messages.txt");
    let text = std::fs::read(&file).unwrap_or_default();
    drop(std::fs::remove_file(&file));
    let text = both_ends(&String::from_utf8_lossy(&text));
    match ran {
        Ok(()) => Ok((!text.is_empty()).then(|| Message {
            package: name.to_owned(),
            text,
        })),
        Err(Failed { output, .. }) => Err(ApplyError::LinkScript {
            package: name.to_owned(),
            output: format!("{output}\n{text}").trim_end().to_owned(),
        }),
    }
}
