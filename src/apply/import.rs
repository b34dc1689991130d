//! From a file or a prefix of another tool to a spec, and to the lock that belongs to it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rattler_conda_types::{GenericVirtualPackage, MatchSpec};

use super::context::Context;
use super::error::ApplyError;
use super::foreign_prefix;
use super::resolve;
use super::spec_file::{SpecFile, read_guarded};
use crate::conda::{CondaError, virtual_packages};
use crate::kernel::KernelspecSource;
use crate::lock::interchange::{
    self, ForeignKind, ImportError, Imported, Manifest, one_line, secret_in,
};
use crate::lock::{Lock, PlatformPackages};
use crate::spec::{EnvName, SourceText, edit};

/// The largest lock of another tool that is read, in bytes: a thousand packages for six
/// platforms have five million.
const MAX_LOCK: usize = 64 * 1024 * 1024;

/// The largest manifest: those of people have a few kilobytes.
const MAX_MANIFEST: usize = 1024 * 1024;

/// The lock beside a manifest of pixi's.
const PIXI_LOCK: &str = "pixi.lock";

/// What to import, and into what.
#[derive(Debug, Clone, Copy)]
pub struct Import<'a> {
    /// The file or the prefix.
    pub source: &'a Path,
    /// The environment's name, if it is to have another.
    pub name: Option<&'a EnvName>,
    /// The spec to be; `envs/NAME.yaml` if it is not said.
    pub output: Option<&'a Path>,
    /// Whether exact packages become a lock.
    pub lock: bool,
}

/// A spec that is not written yet, and its lock.
#[derive(Debug)]
pub struct Brought {
    /// The spec.
    pub file: SpecFile,
    /// The lock's text, if the source has exact packages.
    pub lock: Option<String>,
    /// What was not taken over.
    pub left_out: Vec<String>,
    /// How many packages have only MD5 to be known by.
    pub md5_alone: usize,
}

/// Reads a file or a prefix; writes nothing.
///
/// # Errors
/// It can't be read or understood, has a secret in it, or the spec that would come of it
/// has mistakes.
pub fn import(context: &Context, wanted: &Import<'_>) -> Result<Brought, ApplyError> {
    let shown = wanted.source.to_string_lossy().into_owned();
    let source = wanted.source;
    let metadata = fs::metadata(source).map_err(ApplyError::unreadable(source))?;
    if metadata.is_dir() {
        let contents = foreign_prefix::read(source)?;
        let imported = interchange::prefix(&shown, &contents, context.platform)?;
        return finish(context, wanted, &shown, imported);
    }
    let text = read_text(source, MAX_LOCK)?;
    let file_name = source.file_name().unwrap_or_default().to_string_lossy();
    let imported = match interchange::kind_of(&file_name, &text) {
        ForeignKind::Environment => return copy(wanted, &shown, text),
        ForeignKind::Explicit => interchange::explicit_list(&shown, &text, context.platform)?,
        ForeignKind::CondaLock => interchange::conda_lock_file(&shown, &text)?,
        ForeignKind::PixiLock => interchange::lock_file_of_pixi(&shown, &text)?,
        ForeignKind::PixiToml => manifest(source, &shown, &text, Manifest::Pixi)?,
        ForeignKind::Pyproject => manifest(source, &shown, &text, Manifest::Pyproject)?,
    };
    finish(context, wanted, &shown, imported)
}

/// A text file of a stranger.
fn read_text(path: &Path, most: usize) -> Result<String, ApplyError> {
    let unreadable =
        |reason: &str| ApplyError::unreadable(path)(std::io::Error::other(reason.to_owned()));
    let bytes = read_guarded(path, most).map_err(ApplyError::unreadable(path))?;
    if bytes.len() > most {
        return Err(unreadable("it is too large to be such a file"));
    }
    let text = String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8 text"))?;
    // Editors of Windows begin a file with it.
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

/// A manifest of pixi's, with the packages of the lock beside it.
fn manifest(
    source: &Path,
    shown: &str,
    text: &str,
    manifest: Manifest,
) -> Result<Imported, ApplyError> {
    if text.len() > MAX_MANIFEST {
        let reason = std::io::Error::other("it is too large to be such a file");
        return Err(ApplyError::unreadable(source)(reason));
    }
    let mut imported = interchange::manifest_of_pixi(shown, text, manifest)?;
    let beside = source.with_file_name(PIXI_LOCK);
    if !beside.is_file() {
        return Ok(imported);
    }
    let lock = read_text(&beside, MAX_LOCK)?;
    let mut lock = match interchange::lock_file_of_pixi(PIXI_LOCK, &lock) {
        Ok(lock) => lock,
        Err(error) => {
            imported
                .left_out
                .push(format!("the lock beside it: {error}"));
            return Ok(imported);
        }
    };
    lock.packages
        .retain(|part| imported.platforms.contains(&part.platform));
    if lock.packages.len() == imported.platforms.len() {
        imported.packages = lock.packages;
        imported.no_lock = lock.no_lock;
    } else {
        imported
            .left_out
            .push("pixi.lock: it is not for the platforms of the manifest".to_owned());
    }
    Ok(imported)
}

/// An `environment.yml` is a spec: its text is taken as it is.
fn copy(wanted: &Import<'_>, shown: &str, text: String) -> Result<Brought, ApplyError> {
    if let Some(url) = secret_in(&text) {
        let (name, url) = (one_line(shown), one_line(&url));
        return Err(ImportError::Secret { name, url }.into());
    }
    let source = SourceText::from_bytes(shown, text.into_bytes())?;
    let path = wanted.source;
    let is_one = ["dependencies", "channels", "kernels"]
        .iter()
        .any(|key| source.text().contains(key));
    if !is_one {
        // Nothing of it is told, for who knows what it is.
        return Err(ImportError::Form {
            name: one_line(shown),
            what: "environment.yml",
            reason: "it has neither channels nor dependencies".to_owned(),
            help: "import takes an environment.yml, a pixi.toml, pixi.lock or pyproject.toml, a \
                   conda-lock.yml, a list with `@EXPLICIT`, or the folder of an environment",
        }
        .into());
    }
    let (spec, _) = crate::spec::parse(&source, name_of_path(path))?;
    let name = wanted.name.unwrap_or(&spec.name);
    let text = edit::named(&source, name).unwrap_or_else(|_| source.text().to_owned());
    let output = output(wanted, name);
    let file = SpecFile::of(&output, SourceText::from_text(shown, text)?)?;
    Ok(Brought {
        file,
        lock: None,
        left_out: Vec::new(),
        md5_alone: 0,
    })
}

/// Makes the spec and its lock of what was understood.
fn finish(
    context: &Context,
    wanted: &Import<'_>,
    shown: &str,
    mut imported: Imported,
) -> Result<Brought, ApplyError> {
    imported.refuse_secrets(shown)?;
    imported.kernels = kernels_in(context, &imported.packages);
    let missing = interchange::missing(&imported.packages);
    let whole = imported.no_lock.is_empty();
    if wanted.lock && whole {
        imported.refuse_without_checksum(shown)?;
        imported.left_out.extend(missing);
    } else if wanted.lock && !imported.packages.is_empty() {
        let why = interchange::few(&imported.no_lock);
        let reason = format!(
            "the lock: {why} (a lock has only what can be fetched and checked: packages, and wheels with a SHA-256)"
        );
        imported.left_out.push(reason);
    }
    if !wanted.lock || !whole {
        imported.packages.clear();
    }
    let names = context.settings()?.names();
    for channel in &mut imported.channels {
        if let Ok(url) = url::Url::parse(channel) {
            *channel = names.short(&url);
        }
    }
    let told = imported.name.as_deref().and_then(as_name);
    let name = wanted.name.cloned().or(told);
    let name = name
        .or_else(|| as_name(&wanted.output?.file_stem()?.to_string_lossy()))
        .or_else(|| name_of_path(wanted.source))
        .or_else(|| EnvName::new("imported"));
    let Some(name) = name else {
        unreachable!("`imported` is a name");
    };
    let output = output(wanted, &name);
    let from = wanted
        .source
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    let mut file = spec_file(&output, &imported, &from, &name)?;
    let unmet = interchange::unmet_by(&file.spec, &imported.packages);
    if !unmet.is_empty() {
        imported.packages.clear();
        let reason = format!("the lock: its packages don't meet {}", unmet.join(", "));
        imported.left_out.push(reason);
        file = spec_file(&output, &imported, &from, &name)?;
    }
    let md5_alone = imported.md5_alone();
    let (file, lock) = if imported.packages.is_empty() {
        (file, None)
    } else {
        lock_of(context, file, imported.packages)?
    };
    Ok(Brought {
        file,
        lock,
        left_out: imported.left_out,
        md5_alone,
    })
}

fn spec_file(
    output: &Path,
    imported: &Imported,
    from: &str,
    name: &EnvName,
) -> Result<SpecFile, ApplyError> {
    let text = imported.spec_text(from, name);
    let source = SourceText::from_text(output.to_string_lossy(), text)?;
    SpecFile::of(output, source)
}

/// The lock that belongs to a spec, of packages that somebody else chose.
fn lock_of(
    context: &Context,
    file: SpecFile,
    mut packages: Vec<PlatformPackages>,
) -> Result<(SpecFile, Option<String>), ApplyError> {
    let subject = file.judge(context)?;
    let (inputs, channels) = resolve::inputs(context, &subject)?;
    for part in &mut packages {
        let mut all: Vec<GenericVirtualPackage> =
            virtual_packages(part.platform, &inputs.target).map_err(CondaError::from)?;
        // What the other tool solved for counts more than what this machine has.
        all.retain(|own| {
            part.virtual_packages
                .iter()
                .all(|told| told.name != own.name)
        });
        part.virtual_packages.extend(all);
        part.virtual_packages.sort_by(|a, b| a.name.cmp(&b.name));
    }
    let name = subject.file.path.file_name().unwrap_or_default();
    let name = name.to_string_lossy().into_owned();
    let text = Lock::render(&name, &inputs, &channels, &packages, &[])?;
    Ok((subject.file, Some(text)))
}

/// The kernels of the catalogue whose packages are all there and bring a kernelspec.
fn kernels_in(context: &Context, packages: &[PlatformPackages]) -> Vec<String> {
    if packages.is_empty() {
        return Vec::new();
    }
    // There are many definitions, and may be very many packages.
    let records = packages.iter().flat_map(|part| &part.records);
    let names: BTreeSet<&str> = records
        .map(|record| record.package_record.name.as_normalized())
        .collect();
    let is_there = |spec: &MatchSpec| {
        let name = spec.name.as_exact();
        name.is_none_or(|name| names.contains(name.as_normalized()))
    };
    let mut kernels: Vec<String> = context
        .catalogue
        .iter()
        .filter(|definition| {
            matches!(definition.kernelspec, KernelspecSource::Shipped { .. })
                && !definition.packages.is_empty()
                && definition.packages.iter().all(|own| is_there(&own.spec))
                && interchange::unmet(definition.packages.iter().map(|own| &own.spec), packages)
                    .is_empty()
        })
        .map(|definition| definition.id.to_string())
        .collect();
    kernels.sort();
    kernels
}

/// Where the spec goes.
fn output(wanted: &Import<'_>, name: &EnvName) -> PathBuf {
    wanted.output.map_or_else(
        || Path::new("envs").join(format!("{name}.yaml")),
        Path::to_owned,
    )
}

/// A name made of a path: the file's stem, or for names that every such file has the
/// folder's.
fn name_of_path(path: &Path) -> Option<EnvName> {
    const COMMON: [&str; 6] = [
        "pixi",
        "pyproject",
        "environment",
        "conda-lock",
        "explicit",
        "conda-linux-64",
    ];
    let whole = std::path::absolute(path).ok()?;
    let stem = if whole.is_dir() {
        whole.file_name()?
    } else {
        whole.file_stem()?
    };
    let stem = stem.to_string_lossy();
    let folder = whole.parent().and_then(Path::file_name);
    let folder = folder.filter(|_| COMMON.contains(&&*stem));
    let said = folder.map_or(stem.clone(), |folder| folder.to_string_lossy());
    as_name(&said).or_else(|| as_name(&stem))
}

/// A text as a name: what no name has becomes `-`.
fn as_name(text: &str) -> Option<EnvName> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let name: String = text
        .chars()
        .map(|c| if fits(c) { c } else { '-' })
        .take(64)
        .collect();
    EnvName::new(name.trim_start_matches(['-', '.', '_']))
}
