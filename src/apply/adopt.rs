//! A kernelspec that somebody else made, adopted: started by an absolute command,
//! with what activating its prefix gives, as envspec's own are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use rattler_conda_types::Subdir;
use thiserror::Error;

use crate::conda::{CondaError, capture_activation};
use crate::jupyter::{is_executable, is_prefix, program_of};
use crate::kernel::{ActivationDelta, Adoption, KernelSpec, KernelSpecError, Program, Seen};
use crate::store;

/// A kernelspec that was not adopted.
#[derive(Debug, Error, Diagnostic)]
pub enum AdoptError {
    /// envspec made it.
    #[error("the kernelspec {} is envspec's own", path.escape_debug())]
    #[diagnostic(help("`envspec apply` writes it, and `envspec verify --repair` mends it"))]
    Own {
        /// Its folder.
        path: String,
    },
    /// Its kernel.json can't be read.
    #[error("{}: {}", path.escape_debug(), reason.escape_debug())]
    #[diagnostic(help("correct its kernel.json, or remove the folder"))]
    Broken {
        /// Its folder.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Writing would change another folder.
    #[error("{} is a link", path.escape_debug())]
    #[diagnostic(help("what it leads to may be used by others: put a copy of it in its place"))]
    Link {
        /// Its folder.
        path: String,
    },
    /// The user may not write there.
    #[error("you can't change {}", path.escape_debug())]
    #[diagnostic(help(
        "its owner can adopt it; or copy it into your own folder, which is found first, \
         `jupyter kernelspec install --user FOLDER`, and adopt that"
    ))]
    NotYours {
        /// Its folder.
        path: String,
    },
    /// Nothing tells which environment it belongs to.
    #[error("{} belongs to no environment that is there", path.escape_debug())]
    #[diagnostic(help(
        "neither its command nor its place nor its variables lead to an environment of conda, \
         mamba, pixi or venv: make it again from the environment that is meant, \
         `PREFIX/bin/python -m ipykernel install --user --name NAME`"
    ))]
    NoPrefix {
        /// Its folder.
        path: String,
    },
    /// It leads into a generation, which will be deleted one day.
    #[error("{} starts a kernel of {}, a generation of envspec's", path.escape_debug(), prefix.display())]
    #[diagnostic(help(
        "a generation is deleted when nobody needs it any more: name the kernel in the spec and \
         apply, then remove this kernelspec"
    ))]
    OfGeneration {
        /// Its folder.
        path: String,
        /// The generation.
        prefix: PathBuf,
    },
    /// Its command can't be made an absolute one.
    #[error("the command of {} can't be adopted: {}", path.escape_debug(), reason.to_string().escape_debug())]
    #[diagnostic(help("write the command that starts the kernel itself into its kernel.json"))]
    Command {
        /// Its folder.
        path: String,
        /// Why. (No source: its words would be shown as they are.)
        reason: KernelSpecError,
    },
    /// It would not run either.
    #[error("{} would not start: {}", path.escape_debug(), reason.escape_debug())]
    #[diagnostic(help("install into the environment what is missing, and adopt it then"))]
    Dead {
        /// Its folder.
        path: String,
        /// Why.
        reason: String,
    },
    /// The activation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Conda(#[from] CondaError),
    /// There is no room for an empty home.
    #[error("the environment can't be activated: {0}")]
    #[diagnostic(help("look at TMPDIR"))]
    Io(#[from] std::io::Error),
}

/// What a kernelspec is adopted as. Runs the activation scripts of its prefix;
/// writes nothing. `environment` is the server's.
pub async fn adopted(
    seen: &Seen,
    platform: Subdir,
    environment: &BTreeMap<String, String>,
) -> Result<KernelSpec, AdoptError> {
    let path = seen.path.clone();
    if seen.is_envspecs() {
        return Err(AdoptError::Own { path });
    }
    let spec = match &seen.content {
        Ok(spec) => spec,
        Err(reason) => {
            let reason = reason.clone();
            return Err(AdoptError::Broken { path, reason });
        }
    };
    if seen.is_link {
        return Err(AdoptError::Link { path });
    }
    if !seen.can_change {
        return Err(AdoptError::NotYours { path });
    }
    let told = spec.told_prefixes(&path);
    let there = told.iter().find(|prefix| is_prefix(Path::new(prefix)));
    let Some(prefix) = there else {
        return Err(AdoptError::NoPrefix { path });
    };
    if let Some(prefix) = store::generation_around(Path::new(prefix)) {
        return Err(AdoptError::OfGeneration { path, prefix });
    }
    let adopted = spec.adopted(
        &Adoption {
            prefix,
            activation: &activation(prefix, platform)?,
        },
        |program| is_executable(Path::new(program)),
        |folder| Path::new(folder).is_dir(),
    );
    let adopted = adopted.map_err(|reason| AdoptError::Command {
        path: path.clone(),
        reason,
    })?;
    match program_of(&adopted, &path, None, environment).await {
        Some(Program::Runs(_)) => Ok(adopted),
        other => Err(AdoptError::Dead {
            path,
            reason: other
                .and_then(|program| program.dead())
                .unwrap_or_else(|| "its command is not absolute".to_owned()),
        }),
    }
}

/// What activating a prefix changes, found out with a short PATH and an empty home.
fn activation(prefix: &str, platform: Subdir) -> Result<ActivationDelta, AdoptError> {
    let home = tempfile::tempdir()?;
    let before = BTreeMap::from([
        ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
        (
            "HOME".to_owned(),
            home.path().to_string_lossy().into_owned(),
        ),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
    ]);
    let path = Path::new(prefix);
    let mut after = before.clone();
    if path.join("conda-meta").is_dir() {
        after.extend(capture_activation(path, platform, before.clone())?.changed);
        after.insert("CONDA_DEFAULT_ENV".to_owned(), conda_name(path));
    } else {
        // All that the `activate` of a virtual environment sets for programs.
        after.insert("VIRTUAL_ENV".to_owned(), prefix.to_owned());
        after.insert("PATH".to_owned(), format!("{prefix}/bin:/usr/bin:/bin"));
    }
    Ok(ActivationDelta::between(&before, &after))
}

/// What conda calls an environment: by its name if it is among its `envs`, else by
/// its path.
fn conda_name(prefix: &Path) -> String {
    let is_named = prefix
        .parent()
        .is_some_and(|parent| parent.file_name().is_some_and(|name| name == "envs"));
    let name = match prefix.file_name() {
        _ if prefix.join("condabin").is_dir() => return "base".to_owned(),
        Some(name) if is_named => name,
        _ => prefix.as_os_str(),
    };
    name.to_string_lossy().into_owned()
}
