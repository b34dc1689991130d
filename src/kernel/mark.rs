//! The name under which a kernel is registered for the user, and the mark that
//! tells envspec's kernelspecs from everybody else's.
//!
//! The name alone proves nothing: `Lab` and `lab` give the same one, so do the
//! environments `a-b` with the kernel `c` and `a` with `b-c`. Who owns a folder
//! is decided by its mark, never by its name.

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::spec::EnvName;

/// The version of the mark's own form.
pub const KERNELSPEC_MARK_VERSION: u32 = 1;

/// What a registered kernelspec carries under `metadata.envspec`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The version of this form: [`KERNELSPEC_MARK_VERSION`].
    pub version: u32,
    /// The environment's name as its spec writes it.
    pub environment: String,
    /// The kernel's name in that spec.
    pub kernel: String,
    /// The id of the generation that the kernel runs from.
    pub generation: String,
    /// The root that holds the generation, as an absolute path.
    pub root: String,
}

impl Mark {
    /// Whether two marks speak of the same kernel of the same environment,
    /// whatever the generation.
    pub fn same_kernel(&self, other: &Self) -> bool {
        (&self.root, &self.environment, &self.kernel)
            == (&other.root, &other.environment, &other.kernel)
    }
}

/// The name of a kernelspec's folder: `<env>-<kernel>` in lower case, made of
/// `[a-z0-9._-]`.
///
/// `jupyter_client` lowercases the folder's name and rejects what does not match
/// `^[a-z0-9._\-]+$`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RegisteredName(String);

/// A kernel's name that Jupyter would not accept.
#[derive(Debug, Clone, PartialEq, Eq, Error, Diagnostic)]
#[error("the kernel name `{kernel}` has a character that Jupyter does not allow in a kernelspec")]
#[diagnostic(help("use letters, digits, `-`, `.` and `_`"))]
pub struct RegisteredNameError {
    /// The name as written.
    pub kernel: String,
}

impl RegisteredName {
    /// The name for a kernel of an environment.
    pub fn new(environment: &EnvName, kernel: &str) -> Result<Self, RegisteredNameError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if kernel.is_empty() || !kernel.chars().all(allowed) {
            return Err(RegisteredNameError {
                kernel: kernel.to_owned(),
            });
        }
        Ok(Self(format!("{environment}-{kernel}").to_ascii_lowercase()))
    }

    /// The name of a folder that is there; `None` if Jupyter would not accept it
    /// or would see it under another name.
    pub fn of_folder(name: &str) -> Option<Self> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        (!name.is_empty() && name.chars().all(allowed)).then(|| Self(name.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for RegisteredName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_lower_case_and_joined_by_a_hyphen() {
        let env = EnvName::new("Lab.2").unwrap();
        assert_eq!(
            RegisteredName::new(&env, "R_x").unwrap().as_str(),
            "lab.2-r_x"
        );
    }

    #[test]
    fn a_kernel_name_that_could_leave_the_folder_is_refused() {
        let env = EnvName::new("lab").unwrap();
        for kernel in ["../ir", "a b", "", "é", "a/b", "x\n"] {
            assert!(RegisteredName::new(&env, kernel).is_err(), "{kernel:?}");
        }
    }
}
