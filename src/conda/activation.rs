//! What activating a prefix does to the environment, found out once.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::path::Path;

use rattler_conda_types::Subdir;
use rattler_shell::activation::{ActivationVariables, Activator, PathModificationBehavior};
use rattler_shell::shell;

use super::error::CondaError;

/// The environment before activation and the variables that it set or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// What the activation scripts found.
    pub before: BTreeMap<String, String>,
    /// What they set or changed.
    pub changed: BTreeMap<String, String>,
}

/// Activates `prefix` in a real shell with `before` as its whole environment,
/// and tells what changed. The scripts are those of the installed packages;
/// they see nothing of this process's environment, so that what they set does
/// not depend on who ran `apply`.
///
/// What packages set in `etc/conda/env_vars.d` goes through the environment and
/// not through the script: rattler puts a value with a `$` between double
/// quotes, where a shell runs `$(commands)`.
pub fn capture_activation(
    prefix: &Path,
    platform: Subdir,
    before: BTreeMap<String, String>,
) -> Result<Captured, CondaError> {
    let failed = |source| CondaError::Activation {
        prefix: prefix.to_owned(),
        source: Box::new(source),
    };
    let mut activator =
        Activator::from_path(prefix, shell::Bash::default(), platform).map_err(failed)?;
    let mut literal: BTreeMap<String, String> = std::mem::take(&mut activator.env_vars)
        .into_iter()
        .collect();
    let current_env: HashMap<String, String> = before.clone().into_iter().collect();
    let variables = ActivationVariables {
        conda_prefix: None,
        path: None,
        path_modification_behavior: PathModificationBehavior::Prepend,
        current_env,
    };
    let environment: HashMap<&OsStr, &OsStr> = before
        .iter()
        .chain(&literal)
        .map(|(name, value)| (OsStr::new(name), OsStr::new(value)))
        .collect();
    let changed = activator
        .run_activation(variables, Some(environment))
        .map_err(failed)?;
    // What a script changed of them is what counts.
    literal.extend(changed);
    Ok(Captured {
        before,
        changed: literal,
    })
}
