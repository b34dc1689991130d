//! Which spec, which environment: from what the user typed.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::app::App;
use super::failure::Failure;
use crate::apply::SpecFile;
use crate::spec::EnvName;
use crate::store::{self, Receipt, Root};

/// An environment that was applied, and its current generation.
pub(super) struct Applied {
    pub(super) root: Root,
    pub(super) name: EnvName,
    pub(super) prefix: PathBuf,
    pub(super) receipt: Receipt,
}

/// An environment that was applied, and the name of its current generation.
pub(super) struct Current {
    pub(super) root: Root,
    pub(super) name: EnvName,
    pub(super) generation: String,
}

/// Opens the spec that is meant: a path, the name of an applied environment
/// (whose receipt knows its spec), or, with nothing said, the only one in
/// `envs/`.
pub(super) fn spec(app: &App<'_>, said: Option<&str>) -> Result<SpecFile, Failure> {
    let Some(said) = said else {
        let only = only_spec()?;
        return open(app, &only, &only.to_string_lossy());
    };
    let path = Path::new(said);
    if said.contains('/') || is_yaml(path) || path.is_file() {
        return open(app, path, said);
    }
    if let Some(name) = EnvName::new(said) {
        for extension in ["yaml", "yml"] {
            let beside = Path::new("envs").join(format!("{name}.{extension}"));
            if beside.is_file() {
                return open(app, &beside, &beside.to_string_lossy());
            }
        }
        if find_current(app, name)?.is_some() {
            let origin = applied(app, Some(said))?.receipt.spec.path;
            return open(app, &origin, &origin.to_string_lossy());
        }
    }
    Err(Failure::usage(
        format!("there is no spec and no environment {said:?}"),
        "name a YAML file, or an environment that `envspec list` shows",
    ))
}

fn open(app: &App<'_>, path: &Path, shown: &str) -> Result<SpecFile, Failure> {
    let file = SpecFile::open(path, shown)?;
    for note in &file.notes {
        app.ui.note(&note.in_source(&file.source));
    }
    Ok(file)
}

/// The environment that is meant: its name, its spec, or the one of the only
/// spec in `envs/`.
pub(super) fn applied(app: &App<'_>, said: Option<&str>) -> Result<Applied, Failure> {
    let current = current(app, said)?;
    let prefix = current.root.generation(&current.generation)?;
    let receipt = Receipt::read(&prefix)?.ok_or_else(|| {
        Failure::usage(
            format!("the current generation {} is gone", current.generation),
            format!(
                "build it again with: envspec apply. Or go back: envspec rollback {}",
                current.name
            ),
        )
    })?;
    Ok(Applied {
        root: current.root,
        name: current.name,
        prefix,
        receipt,
    })
}

/// The same, whatever state its current generation is in.
pub(super) fn current(app: &App<'_>, said: Option<&str>) -> Result<Current, Failure> {
    if let Some(name) = said.and_then(EnvName::new)
        && let Some(current) = find_current(app, name)?
    {
        return Ok(current);
    }
    let file = spec(app, said)?;
    let name = file.spec.name;
    match find_current(app, name.clone())? {
        Some(current) => Ok(current),
        None => Err(Failure::usage(
            format!("the environment {name} was not applied yet"),
            format!("apply it with: envspec apply {}", file.source.name()),
        )),
    }
}

/// Looks for an environment below every root that there may be.
fn find_current(app: &App<'_>, name: EnvName) -> Result<Option<Current>, Failure> {
    for root in app.roots(&app.sites()?)? {
        if let Some(generation) = store::current(&root, &name)? {
            return Ok(Some(Current {
                root,
                name,
                generation,
            }));
        }
    }
    Ok(None)
}

fn is_yaml(path: &Path) -> bool {
    matches!(path.extension(), Some(extension) if extension == "yaml" || extension == "yml")
}

/// The only spec in `envs/`, or the choices.
fn only_spec() -> Result<PathBuf, Failure> {
    let mut specs: Vec<PathBuf> = fs::read_dir("envs")
        .map(|entries| {
            entries
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| is_yaml(path) && path.is_file())
                .collect()
        })
        .unwrap_or_default();
    specs.sort();
    match specs.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Failure::usage(
            "no spec was named, and there is none in envs/",
            "name the spec's file, or put it into envs/",
        )),
        several => {
            let names: Vec<_> = several
                .iter()
                .map(|path| path.to_string_lossy().into_owned())
                .collect();
            Err(Failure::usage(
                "no spec was named, and there are several in envs/",
                format!("name one of them:\n{}", names.join("\n")),
            ))
        }
    }
}
