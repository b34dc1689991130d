//! Is a generation what it was when it was made? Every file against the hash
//! that its package records, or the manifest for what no package brought.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rattler_conda_types::PrefixRecord;
use rattler_conda_types::prefix_record::PathType;
use rayon::prelude::*;

use super::context::Context;
use super::error::ApplyError;
use super::nix;
use super::registration;
use crate::conda::Step;
use crate::jupyter::{self, Owner};
use crate::kernel::KernelSpec;
use crate::spec::EnvName;
use crate::store::{self, Manifest, Receipt, StoreError, Thing, digest};

/// How a path differs from what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Damage {
    /// It is not there.
    Missing,
    /// It has another content, leads elsewhere, or is of another kind.
    Changed,
    /// Nobody should have put it there.
    Extra,
}

/// A path that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Finding {
    /// How it differs.
    pub damage: Damage,
    /// Below the prefix; absolute for a kernelspec in the user's folder and for a path in
    /// the Nix store.
    pub path: PathBuf,
    /// The package that brought it, if one did.
    pub package: Option<String>,
}

/// What a look at a generation found.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The generation.
    pub generation: String,
    /// Its prefix.
    pub prefix: PathBuf,
    /// How many files and links were compared.
    pub files: usize,
    /// Their size.
    pub bytes: u64,
    /// What is not as it should be, sorted.
    pub findings: Vec<Finding>,
}

/// What a path should be.
struct Expected {
    thing: Option<Thing>,
    size: Option<u64>,
    package: Option<usize>,
}

/// Compares a generation (the current one if none is named) with what it should
/// be. Changes nothing.
pub fn verify(
    context: &Context,
    name: &EnvName,
    generation: Option<&str>,
) -> Result<Verified, ApplyError> {
    let generation = match generation {
        Some(wanted) => super::rollback::named(context, name, wanted)?,
        None => store::current(&context.root, name)?.ok_or_else(|| StoreError::Unknown {
            what: "environment",
            name: name.to_string(),
        })?,
    };
    verify_generation(context, name, generation)
}

/// The same of this very generation, whatever is current by now.
pub fn verify_generation(
    context: &Context,
    name: &EnvName,
    generation: String,
) -> Result<Verified, ApplyError> {
    let current = store::current(&context.root, name)?;
    let prefix = context.root.generation(&generation)?;
    let (expected, packages) = expected(&prefix);
    let found = found(&prefix)?;
    let total = found.values().map(std::fs::Metadata::len).sum();
    context.progress.begin(Step::Verify, total);
    let mut findings: Vec<Finding> = expected
        .par_iter()
        .filter_map(|(path, expected)| {
            let metadata = found.get(path);
            let damage = match metadata {
                None => Some(Damage::Missing),
                Some(metadata) => {
                    let is_good = is_as_expected(&prefix.join(path), metadata, expected);
                    (!is_good).then_some(Damage::Changed)
                }
            };
            let bytes = metadata.map_or(0, std::fs::Metadata::len);
            context.progress.advance(Step::Verify, bytes);
            damage.map(|damage| Finding {
                damage,
                path: path.clone(),
                package: expected.package.and_then(|at| packages.get(at).cloned()),
            })
        })
        .collect();
    context.progress.end(Step::Verify);
    findings.extend(
        found
            .keys()
            .filter(|path| {
                !expected.contains_key(*path) && !is_pythons_own(&prefix, path, &expected)
            })
            .map(|path| Finding {
                damage: Damage::Extra,
                path: path.clone(),
                package: None,
            }),
    );
    let receipt = Receipt::read(&prefix).ok().flatten();
    findings.extend(receipt.iter().flat_map(nix::gone).map(|path| Finding {
        damage: Damage::Missing,
        path,
        package: None,
    }));
    if current.as_deref() == Some(generation.as_str()) {
        findings.extend(registered(context, &prefix));
    }
    findings.sort();
    Ok(Verified {
        generation,
        prefix,
        files: found.len(),
        bytes: total,
        findings,
    })
}

/// What a prefix should hold, and the packages that bring it. Whatever of that
/// can't be read is damage that is found as such.
fn expected(prefix: &Path) -> (BTreeMap<PathBuf, Expected>, Vec<String>) {
    let mut all = BTreeMap::new();
    let manifest = Manifest::read(prefix);
    // Without, its own file is what is missing or changed, and all is extra that
    // no package brings.
    let paths = [Manifest::path(prefix), Receipt::path(prefix)];
    for path in paths {
        let below = path.strip_prefix(prefix).unwrap_or(&path).to_owned();
        let anything = manifest.is_some().then_some(());
        all.insert(
            below,
            Expected {
                thing: anything.map_or(Some(Thing::File(String::new())), |()| None),
                size: None,
                package: None,
            },
        );
    }
    let manifest = manifest.unwrap_or_default();
    // Records that came later are extra, and so is what they speak of.
    let records: Vec<PathBuf> = manifest
        .iter()
        .map(|(path, _)| path)
        .filter(|path| {
            path.parent()
                .is_some_and(|folder| folder.ends_with("conda-meta"))
                && path.extension().is_some_and(|e| e == "json")
        })
        .cloned()
        .collect();
    let read: Vec<Option<(PathBuf, PrefixRecord)>> = records
        .par_iter()
        .map(|path| {
            let record = PrefixRecord::from_path(prefix.join(path)).ok()?;
            // Of the environment's own prefix, or of one that is in it.
            let within = path.parent()?.parent()?.to_owned();
            Some((within, record))
        })
        .collect();
    let mut packages = Vec::new();
    for (within, record) in read.into_iter().flatten() {
        for entry in record.paths_data.paths {
            if entry.path_type == PathType::Directory {
                continue;
            }
            let digest = entry.sha256_in_prefix.or(entry.sha256).map(hex::encode);
            // Of a link it is the hash of what it leads to; the manifest knows better.
            let is_link = entry.path_type == PathType::SoftLink;
            let is_written = entry.prefix_placeholder.is_some() && entry.sha256_in_prefix.is_none();
            all.insert(
                within.join(entry.relative_path),
                Expected {
                    thing: digest.filter(|_| !is_link && !is_written).map(Thing::File),
                    size: entry.size_in_bytes.filter(|_| !is_link && !is_written),
                    package: Some(packages.len()),
                },
            );
        }
        let package = &record.repodata_record.package_record;
        packages.push(format!(
            "{} {}",
            package.name.as_normalized(),
            package.version
        ));
    }
    for (path, thing) in manifest.iter() {
        let package = all.get(path).and_then(|expected| expected.package);
        all.insert(
            path.clone(),
            Expected {
                thing: Some(thing.clone()),
                size: None,
                package,
            },
        );
    }
    (all, packages)
}

/// All files and links below a prefix, by their paths in it.
fn found(prefix: &Path) -> Result<BTreeMap<PathBuf, std::fs::Metadata>, ApplyError> {
    fn walk(prefix: &Path, folder: &Path) -> std::io::Result<Vec<(PathBuf, std::fs::Metadata)>> {
        let entries = fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
        let parts: std::io::Result<Vec<Vec<_>>> = entries
            .par_iter()
            .map(|entry| {
                let path = entry.path();
                if entry.file_type()?.is_dir() {
                    return walk(prefix, &path);
                }
                let below = path.strip_prefix(prefix).unwrap_or(&path).to_owned();
                Ok(vec![(below, entry.metadata()?)])
            })
            .collect();
        Ok(parts?.into_iter().flatten().collect())
    }
    match walk(prefix, prefix) {
        // It is gone: everything is missing.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        found => Ok(found
            .map_err(ApplyError::unreadable(prefix))?
            .into_iter()
            .collect()),
    }
}

fn is_as_expected(path: &Path, metadata: &std::fs::Metadata, expected: &Expected) -> bool {
    if expected.size.is_some_and(|size| size != metadata.size()) {
        return false;
    }
    match &expected.thing {
        None => true,
        Some(Thing::Link(target)) => fs::read_link(path).is_ok_and(|found| found == *target),
        Some(Thing::File(expected)) => {
            metadata.is_file() && digest(path).is_ok_and(|found| found == *expected)
        }
    }
}

/// Whether a file is bytecode that Python itself wrote for a source of the
/// generation, as it does for root: it is compared with the source at each
/// import, unlike ours.
fn is_pythons_own(prefix: &Path, path: &Path, expected: &BTreeMap<PathBuf, Expected>) -> bool {
    let source = || {
        let folder = path
            .parent()
            .filter(|folder| folder.ends_with("__pycache__"))?;
        let stem = path.file_name()?.to_str()?.strip_suffix(".pyc")?;
        let stem = stem.split_once('.')?.0;
        Some(folder.parent()?.join(format!("{stem}.py")))
    };
    // PEP 552: the second word says how it is compared; 0 is by time and size.
    let is_compared = || -> std::io::Result<bool> {
        let mut header = [0; 8];
        fs::File::open(prefix.join(path))?.read_exact(&mut header)?;
        Ok(header[4..8] == [0; 4])
    };
    source().is_some_and(|source| expected.contains_key(&source)) && is_compared().unwrap_or(false)
}

/// The kernelspecs in the user's folder that are not those of the generation.
fn registered(context: &Context, prefix: &Path) -> Vec<Finding> {
    let Ok(Some(receipt)) = Receipt::read(prefix) else {
        return Vec::new();
    };
    // One of another root is no damage: who applied there took the name over.
    let known = jupyter::observed(&context.kernels_dir).unwrap_or_default();
    let is_elsewhere = |registered: &str| {
        known.iter().any(|kernelspec| {
            let owner = &kernelspec.owner;
            kernelspec.name == registered
                && matches!(owner, Owner::Envspec(mark) if !context.root.is_at(Path::new(&mark.root)))
        })
    };
    let is_others = context.root.group().is_some() || store::other_owner(prefix).is_some();
    let differs = |registered: &str| {
        if is_elsewhere(registered) {
            return None;
        }
        let path = context.kernels_dir.join(registered).join("kernel.json");
        let damage = match fs::read_to_string(&path) {
            // Whose root it is, or each member of a group, registers what they apply.
            Err(_) if is_others => return None,
            Err(_) => Damage::Missing,
            Ok(text) => {
                let wanted = registration::wanted(context, prefix, &receipt, registered).ok()?;
                let found = KernelSpec::parse(&text).ok();
                if found == Some(wanted) {
                    return None;
                }
                Damage::Changed
            }
        };
        Some(Finding {
            damage,
            path,
            package: None,
        })
    };
    receipt
        .kernels
        .iter()
        .filter_map(|kernel| differs(&kernel.registered))
        .collect()
}
