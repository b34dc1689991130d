//! Edits of a spec that keep every comment, every blank and the order.
//!
//! `envspec add` and `remove` change one entry of `dependencies`, its `pip:` or `kernels`.
//! yaml-edit inserts and takes out entries without touching the rest; an entry
//! that is replaced is written over its own bytes. The result is read again and
//! must say exactly what was intended: a spec in an unusual form (an entry that
//! is an alias, for example) gives an error and never a broken file.
//!
//! Pure, text to text: the caller writes the file. Whether a word names a kernel
//! or a package is the caller's question too.

mod list;
mod pip;
mod place;
mod plain;
mod starter;

use std::str::FromStr;

use miette::Diagnostic;
use rattler_conda_types::PackageName;

use super::errors::SpecErrors;
use super::model::{Dependency, EnvName};
use super::reader::nearest;
use super::requirement::{Objection, read_requirement};
use super::secret::secret_in;
use super::source::{SourceText, is_wild, shown};
use list::File;

pub use self::pip::{add_pip, asks_pip_for, remove_pip};
pub use plain::{named, plain, plain_of};
pub use starter::Starter;

/// Why a spec was not edited.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum EditError {
    /// The spec has mistakes already.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Spec(Box<SpecErrors>),
    /// The text to add is no requirement.
    #[error("{text} is not a requirement that {who} understands: {why}")]
    Requirement {
        /// What was to be added, as it can be shown.
        text: String,
        /// Who was to understand it: `conda` or `pip`.
        who: &'static str,
        /// The objection.
        why: String,
        /// What to write instead.
        #[help]
        help: &'static str,
    },
    /// The text to add would give a secret away.
    #[error("the URL {carrier} carries a password or a token")]
    #[diagnostic(help("a spec and its lock are read by others; take the secret out of the URL"))]
    Secret {
        /// The URL without it.
        carrier: String,
    },
    /// The text to add cannot be a kernel's name.
    #[error("`{name}` cannot be the name of a kernel")]
    #[diagnostic(help("letters, digits, `.`, `_` and `-` are allowed, a letter or a digit first"))]
    KernelName {
        /// What was to be added.
        name: String,
    },
    /// The entry to remove is not there.
    #[error("`{name}` is not in `{key}`")]
    Absent {
        /// What was to be removed.
        name: String,
        /// The list that was searched.
        key: &'static str,
        /// Where it may be instead.
        #[help]
        help: String,
    },
    /// The package is there for some platforms only.
    #[error("the spec has `{text}` already, for these platforms alone")]
    #[diagnostic(help("edit the file by hand: only you know which platforms the new one is for"))]
    Selected {
        /// The requirement and its selector.
        text: String,
    },
    /// The edit would have changed something else.
    #[error("`{key}` is written in a form that cannot be edited without a risk for the rest")]
    #[diagnostic(help(
        "edit the file by hand; aliases, merge keys and block texts are such forms"
    ))]
    Form {
        /// The list that was to be edited.
        key: &'static str,
    },
}

const CONDA: &str = "conda";
const DEPENDENCIES: &str = "dependencies";
const KERNELS: &str = "kernels";

/// The text of the spec with a requirement added. A package that is required
/// already gets the new requirement in its place.
///
/// # Errors
/// See [`EditError`].
pub fn add_dependency(source: &SourceText, requirement: &str) -> Result<String, EditError> {
    let requirement = one_line(requirement, CONDA)?;
    let wanted = read_requirement(requirement)
        .map_err(|objection| refused(requirement, CONDA, objection))?;
    let wanted = wanted.name.as_exact().cloned();
    let file = File::open(source, DEPENDENCIES)?;
    let is_wanted = |known: &Dependency| known.spec.name.as_exact().cloned() == wanted;
    let mut known = file.spec.dependencies.iter();
    if let Some(selected) = known.find(|known| known.selector.is_some() && is_wanted(known)) {
        return Err(EditError::Selected {
            text: selected.to_string(),
        });
    }
    file.put(&places(&file, is_wanted)?, requirement)
}

/// The text of the spec with a kernel added; the same text if it is listed
/// already.
///
/// # Errors
/// See [`EditError`].
pub fn add_kernel(source: &SourceText, name: &str) -> Result<String, EditError> {
    // A kernel's name follows the rule of an environment's.
    if EnvName::new(name).is_none() {
        return Err(EditError::KernelName {
            name: name.escape_debug().to_string(),
        });
    }
    let file = File::open(source, KERNELS)?;
    if file
        .spec
        .kernels
        .iter()
        .any(|kernel| kernel.name.value.eq_ignore_ascii_case(name))
    {
        return Ok(source.text().to_owned());
    }
    file.append(name)
}

/// The text of the spec without the requirements of a package.
///
/// # Errors
/// See [`EditError`].
pub fn remove_dependency(source: &SourceText, name: &str) -> Result<String, EditError> {
    let file = File::open(source, DEPENDENCIES)?;
    let wanted = PackageName::from_str(name.trim()).ok();
    let is_wanted =
        |known: &Dependency| wanted.is_some() && known.spec.name.as_exact() == wanted.as_ref();
    let present = places(&file, is_wanted)?;
    if present.is_empty() {
        let kernel = file
            .spec
            .kernels
            .iter()
            .find(|kernel| kernel.dependencies.iter().any(is_wanted));
        let distributions = pip::distributions(&file.spec);
        let known = file.spec.dependencies.iter().filter_map(package);
        let known: Vec<&str> = known
            .chain(distributions.iter().map(String::as_str))
            .collect();
        let help = match (kernel, nearest(name, &known)) {
            (Some(kernel), _) => {
                format!(
                    "the kernel `{}` asks for it: edit its own `dependencies`",
                    kernel.name.value
                )
            }
            (None, Some(near)) => format!("did you mean `{near}`?"),
            (None, None) => "`envspec show` lists what the spec asks for".to_owned(),
        };
        return Err(absent(name, DEPENDENCIES, help));
    }
    file.remove(&present)
}

/// The text of the spec without a kernel.
///
/// # Errors
/// See [`EditError`].
pub fn remove_kernel(source: &SourceText, name: &str) -> Result<String, EditError> {
    let file = File::open(source, KERNELS)?;
    let kernels = &file.spec.kernels;
    let place = kernels
        .iter()
        .position(|kernel| kernel.name.value.eq_ignore_ascii_case(name));
    let Some(place) = place else {
        let known: Vec<&str> = kernels
            .iter()
            .map(|kernel| kernel.name.value.as_str())
            .collect();
        let help = match nearest(name, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "the spec lists no kernel".to_owned(),
            None => format!("the kernels are {}", known.join(", ")),
        };
        return Err(absent(name, KERNELS, help));
    };
    file.remove(&[place])
}

/// Whether conda is asked for a package; not if the text is no spec.
pub fn asks_conda_for(source: &SourceText, name: &str) -> bool {
    let wanted = PackageName::from_str(name.trim()).ok();
    let Ok(file) = File::open(source, DEPENDENCIES) else {
        return false;
    };
    let mut known = file.spec.dependencies.iter();
    wanted.is_some() && known.any(|known| known.spec.name.as_exact() == wanted.as_ref())
}

/// Where in `dependencies` such requirements of conda stand.
fn places(file: &File<'_>, wanted: impl Fn(&Dependency) -> bool) -> Result<Vec<usize>, EditError> {
    let wanted = file.spec.dependencies.iter().filter(|known| wanted(known));
    Ok(Vec::from_iter(file.places_of(wanted.map(|it| it.span))?))
}

/// The text without the blanks around it, if it can stand in a spec.
fn one_line<'t>(text: &'t str, who: &'static str) -> Result<&'t str, EditError> {
    let text = text.trim();
    if let Some(carrier) = secret_in(text) {
        return Err(EditError::Secret {
            carrier: carrier.escape_debug().to_string(),
        });
    }
    if text.contains(is_wild) {
        let objection = Objection {
            why: "it has a control character".to_owned(),
            help: "write it on one line",
            part: String::new(),
        };
        return Err(refused(&text.replace(is_wild, " "), who, objection));
    }
    Ok(text)
}

fn refused(text: &str, who: &'static str, objection: Objection) -> EditError {
    EditError::Requirement {
        text: shown(text),
        who,
        why: objection.why,
        help: objection.help,
    }
}

fn absent(name: &str, key: &'static str, help: String) -> EditError {
    EditError::Absent {
        name: name.escape_debug().to_string(),
        key,
        help,
    }
}

/// The name of the package that a requirement is about.
fn package(dependency: &Dependency) -> Option<&str> {
    dependency
        .spec
        .name
        .as_exact()
        .map(PackageName::as_normalized)
}
