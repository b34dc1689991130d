//! Which spec, which environment: from what the user typed.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::app::App;
use super::failure::Failure;
use super::say::path_word;
use crate::apply::SpecFile;
use crate::spec::{EnvName, EnvSpec, Note};
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
    let (path, shown) = spec_path(app, said)?;
    open(app, &path, &shown)
}

/// The same as it was at a revision of git; the file itself may be gone.
pub(super) fn spec_at(
    app: &App<'_>,
    said: Option<&str>,
    revision: &str,
) -> Result<SpecFile, Failure> {
    let (path, shown) = spec_path(app, said)?;
    let file = SpecFile::open_at(&path, &shown, revision)?;
    remark(app, &file);
    Ok(file)
}

/// Where the spec is that is meant, and what it is called.
pub(super) fn spec_path(app: &App<'_>, said: Option<&str>) -> Result<(PathBuf, String), Failure> {
    let shown = |path: &Path| path.to_string_lossy().into_owned();
    let Some(said) = said else {
        let only = only_spec()?;
        return Ok((only.clone(), shown(&only)));
    };
    if is_path(said) {
        return Ok((PathBuf::from(said), said.to_owned()));
    }
    if let Some(name) = EnvName::new(said) {
        if let Some(path) = spec_of(&name) {
            return Ok((path.clone(), shown(&path)));
        }
        if !find_current(app, &name)?.is_empty() {
            let applied = applied(app, Some(said))?;
            let origin = applied.receipt.spec.path;
            if !origin.exists() {
                return Err(Failure::usage(
                    format!("the spec of {said}, {}, is gone", origin.display()),
                    format!(
                        "its text is kept with the generation: cp {} {}",
                        path_word(Receipt::spec_path(&applied.prefix)),
                        path_word(&origin)
                    ),
                ));
            }
            return Ok((origin.clone(), shown(&origin)));
        }
    }
    Err(Failure::usage(
        format!("there is no spec and no environment {said:?}"),
        "name a YAML file, or an environment that `envspec list` shows",
    ))
}

fn open(app: &App<'_>, path: &Path, shown: &str) -> Result<SpecFile, Failure> {
    let file = SpecFile::open(path, shown)?;
    remark(app, &file);
    Ok(file)
}

/// Tells what is worth a word of a spec, and how much that is.
pub(super) fn remark(app: &App<'_>, file: &SpecFile) -> usize {
    let configured = configured_channels(app, file);
    for note in &file.notes {
        // Where the configuration has channels for such a spec, it is those that it gets.
        let note = configured
            .as_ref()
            .filter(|_| file.spec.is_default_note(note))
            .unwrap_or(note);
        app.ui.note(&note.in_source(&file.source));
    }
    file.notes.len()
}

/// What is to be told of a spec without channels where conda's configuration has some. A
/// configuration that can't be read is told where it is needed.
fn configured_channels(app: &App<'_>, file: &SpecFile) -> Option<Note> {
    if file.spec.names_channels {
        return None;
    }
    let configuration = app.configuration().ok()?;
    let said = configuration.settings().ok()?.channels.clone()?;
    let channels: Vec<&str> = said.value.iter().map(String::as_str).collect();
    let span = file.spec.channels.first()?.span;
    Some(EnvSpec::channels_note(span, &channels, Some(&said.by)))
}

/// The environment that is meant: its name, its spec, or the one of the only
/// spec in `envs/`.
pub(super) fn applied(app: &App<'_>, said: Option<&str>) -> Result<Applied, Failure> {
    read(current(app, said)?)
}

/// The environment of a name in a root.
pub(super) fn applied_in(root: Root, name: &EnvName) -> Result<Applied, Failure> {
    match store::current(&root, name)? {
        Some(generation) => read(Current {
            root,
            name: name.clone(),
            generation,
        }),
        None => Err(Failure::usage(
            format!(
                "the environment {name} was not applied yet in {}",
                root.path().display()
            ),
            format!("apply it with: envspec apply {name}"),
        )),
    }
}

fn read(current: Current) -> Result<Applied, Failure> {
    let prefix = current.root.generation(&current.generation)?;
    let receipt = Receipt::read(&prefix)?.filter(|_| Receipt::exists(&prefix));
    let receipt = receipt.ok_or_else(|| {
        Failure::usage(
            format!(
                "the current generation {} is gone, or was moved here",
                current.generation
            ),
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
///
/// A spec says by its site in which root its environment is, so that is where it
/// is looked for; a name alone may be in several.
pub(super) fn current(app: &App<'_>, said: Option<&str>) -> Result<Current, Failure> {
    let name = said.and_then(EnvName::new);
    if let Some(name) = name.filter(|_| !said.is_some_and(is_path)) {
        let mut found = find_current(app, &name)?;
        if found.len() == 1 {
            return Ok(found.remove(0));
        }
        let spec = spec_of(&name);
        if found.len() > 1 && spec.is_none() {
            let roots: Vec<_> = found
                .iter()
                .map(|current| format!("--root {}", path_word(current.root.path())))
                .collect();
            return Err(Failure::usage(
                format!("there is an environment {name} in several roots"),
                format!("say which one:\n{}", roots.join("\n")),
            ));
        }
    }
    let file = spec(app, said)?;
    let root = app.root_of(&file)?;
    let name = &file.spec.name;
    if let Some(generation) = store::current(&root, name)? {
        return Ok(Current {
            root,
            name: name.clone(),
            generation,
        });
    }
    let apply = format!(
        "apply it with: envspec apply {}",
        path_word(file.source.name())
    );
    let help = match find_current(app, name)?.first() {
        None => apply,
        Some(other) => format!(
            "{apply}\nThe one in another root: --root {}",
            path_word(other.root.path())
        ),
    };
    Err(Failure::usage(
        format!(
            "the environment {name} was not applied yet in {}",
            root.path().display()
        ),
        help,
    ))
}

/// An environment that there is, or was.
pub(super) struct Past {
    pub(super) root: Root,
    pub(super) name: EnvName,
    /// The name of its current generation; `None` if it was deleted.
    pub(super) generation: Option<String>,
}

/// The environment that is meant, also if it was deleted.
pub(super) fn past(app: &App<'_>, said: Option<&str>) -> Result<Past, Failure> {
    let failure = match current(app, said) {
        Ok(current) => {
            return Ok(Past {
                root: current.root,
                name: current.name,
                generation: Some(current.generation),
            });
        }
        Err(failure) => failure,
    };
    if let Some(name) = name_of(app, said) {
        for root in app.roots(&app.sites()?)? {
            if store::is_deleted(&root, &name)? {
                return Ok(Past {
                    root,
                    name,
                    generation: None,
                });
            }
        }
    }
    Err(failure)
}

/// The name of the environment that is meant, whether there is one or not.
pub(super) fn name_of(app: &App<'_>, said: Option<&str>) -> Option<EnvName> {
    let name = said.filter(|said| !is_path(said)).and_then(EnvName::new);
    name.or_else(|| Some(spec(app, said).ok()?.spec.name))
}

/// Looks for an environment below every root that there may be.
fn find_current(app: &App<'_>, name: &EnvName) -> Result<Vec<Current>, Failure> {
    let mut found = Vec::new();
    for root in app.roots(&app.sites()?)? {
        if let Some(generation) = store::current(&root, name)? {
            found.push(Current {
                root,
                name: name.clone(),
                generation,
            });
        }
    }
    Ok(found)
}

/// The spec in `envs/` that is named as an environment.
fn spec_of(name: &EnvName) -> Option<PathBuf> {
    ["yaml", "yml"]
        .map(|extension| Path::new("envs").join(format!("{name}.{extension}")))
        .into_iter()
        .find(|path| path.is_file())
}

/// Whether a text names a file, and no environment.
pub(super) fn is_path(said: &str) -> bool {
    said.contains('/') || is_yaml(Path::new(said)) || Path::new(said).is_file()
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
            "name the spec's file, put it into envs/, or write a first one: envspec init",
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
