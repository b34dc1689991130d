//! Newer packages in a lock: all of them, or some and what these force.

use std::str::FromStr as _;

use rattler_conda_types::{PackageName, RepoDataRecord, Subdir};

use super::context::Context;
use super::error::ApplyError;
use super::held_back::HeldBack;
use super::resolve::{Locked, inputs};
use super::solution::{Keep, Solved, solution};
use super::subject::Subject;
use crate::lock::{Change, Lock, LockText, PackageId, changes, why};

/// A lock with newer packages, which is not written yet.
pub struct Updated {
    /// The lock.
    pub locked: Locked,
    /// What has changed, platform by platform.
    pub moves: Vec<Move>,
    /// The named packages that could not become the newest; where none is named, wheels, and
    /// what pip's lines hold of conda's.
    pub held: Vec<HeldBack>,
}

/// A change of one package.
pub struct Move {
    /// The platform.
    pub platform: Subdir,
    /// What changed.
    pub change: Change,
    /// Why.
    pub cause: Cause,
}

/// Why a package changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// All packages are renewed.
    Renewed,
    /// It was named.
    Named,
    /// It could not stay with what was named: the requirement in its way, if one stands
    /// between these two alone.
    Forced(Option<String>),
    /// Nothing needs it any more.
    Unneeded,
}

/// Resolves a spec anew for the named packages, or for all if none is named, and keeps
/// of the others what can be kept.
pub async fn update(
    context: &Context,
    subject: &Subject,
    names: &[String],
) -> Result<Updated, ApplyError> {
    let (inputs, channels) = inputs(context, subject)?;
    let name = subject.file.lock_name();
    let Some(found) = subject.file.lock_text()? else {
        let spec = subject.file.source.name().to_owned();
        return Err(ApplyError::NoLock { spec, name });
    };
    if found.inputs().is_none() {
        return Err(ApplyError::ForeignLock { name });
    }
    let chosen = named(&found, &inputs.platforms, names, &name)?;
    let keep = match chosen.as_slice() {
        [] => Keep::Renewed(&found),
        chosen => Keep::AllBut(&found, chosen),
    };
    let solved = solution(context, subject, &inputs, &channels, &keep).await?;
    let Solved {
        text,
        held,
        warnings,
    } = solved;
    let (before, after) = (found.read().ok(), text.read()?);
    let mut moves = Vec::new();
    let prefixes: Vec<Option<&str>> = inputs.prefixes().map(|(isolated, _)| isolated).collect();
    for &platform in &inputs.platforms {
        for &isolated in &prefixes {
            let before = before
                .as_ref()
                .map(|lock| records(lock, isolated, platform));
            let before = before.unwrap_or_default();
            let after = records(&after, isolated, platform);
            moves.extend(moved(platform, isolated, &chosen, &before, &after));
        }
    }
    Ok(Updated {
        locked: Locked::new(context.platform, text, Some(found), channels, inputs)
            .warning(warnings),
        moves,
        held,
    })
}

/// The packages of a lock that are named.
fn named(
    lock: &LockText,
    platforms: &[Subdir],
    names: &[String],
    lock_name: &str,
) -> Result<Vec<PackageName>, ApplyError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let lock = lock.read()?;
    // A platform that is new in the spec has none yet.
    let known = platforms.iter().filter_map(|&of| lock.packages(of).ok());
    let known: Vec<String> = known.flatten().map(|(package, _)| package.name).collect();
    let unknown = |name: &str| ApplyError::NotInLock {
        name: lock_name.to_owned(),
        package: name.escape_debug().to_string(),
        near: crate::conda::near(name, known.iter().map(String::as_str)),
    };
    let of_one = |name: &String| {
        // What pip brings is called as Python's index writes it.
        let of_pip = name.to_lowercase().replace(['_', '.'], "-");
        let is_of_pip = known.contains(&of_pip) && !known.contains(&name.to_lowercase());
        let name = if is_of_pip { &of_pip } else { name };
        let name = PackageName::from_str(name).map_err(|_| unknown(name))?;
        if known.iter().any(|known| known == name.as_normalized()) {
            Ok(name)
        } else {
            Err(unknown(name.as_normalized()))
        }
    };
    names.iter().map(of_one).collect()
}

/// What a lock has for a prefix; nothing if it does not know it yet.
fn records(lock: &Lock, isolated: Option<&str>, platform: Subdir) -> Vec<RepoDataRecord> {
    lock.records(isolated, platform).unwrap_or_default()
}

/// The changes of one prefix on one platform, each with its cause.
fn moved(
    platform: Subdir,
    isolated: Option<&str>,
    named: &[PackageName],
    before: &[RepoDataRecord],
    after: &[RepoDataRecord],
) -> Vec<Move> {
    let packages = |records: &[RepoDataRecord]| {
        let mut packages: Vec<PackageId> = records.iter().map(PackageId::from).collect();
        for package in &mut packages {
            package.isolated = isolated.map(str::to_owned);
        }
        packages
    };
    let of_change = |change: Change| {
        let name = change.package().name.as_str();
        let cause = if named.is_empty() {
            Cause::Renewed
        } else if named.iter().any(|named| named.as_normalized() == name) {
            Cause::Named
        } else if matches!(change, Change::Removed { .. }) {
            Cause::Unneeded
        } else {
            Cause::Forced(why(name, before, after))
        };
        Move {
            platform,
            change,
            cause,
        }
    };
    let changes = changes(packages(before), packages(after));
    changes.into_iter().map(of_change).collect()
}
