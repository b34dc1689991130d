//! What is wrong with a lock.

use miette::Diagnostic;
use rattler_conda_types::Subdir;
use rattler_lock::ParseCondaLockError;
use thiserror::Error;

/// A failure with a lock's text.
#[derive(Debug, Error, Diagnostic)]
pub enum LockError {
    /// The text is no lock.
    #[error("{name} is not a lock")]
    #[diagnostic(help(
        "the file is written by envspec; take the version that git has, or make it anew with: envspec lock --renew"
    ))]
    Unreadable {
        /// The file.
        name: String,
        /// The reader's words.
        source: Box<ParseCondaLockError>,
    },

    /// The platform isn't in the lock.
    #[error("{name} has no packages for {platform}")]
    #[diagnostic(help("add the platform to `platforms:` in the spec, then run: envspec lock"))]
    NoPlatform {
        /// The file.
        name: String,
        /// The platform.
        platform: Subdir,
    },

    /// An isolated kernel isn't in the lock.
    #[error("{name} has no packages for the isolated kernel {kernel}")]
    #[diagnostic(help("bring it up to date with: envspec lock"))]
    NoPrefix {
        /// The file.
        name: String,
        /// The kernel.
        kernel: String,
    },

    /// An entry has no checksum, so nothing would say that the right package
    /// was fetched.
    #[error("{name}: package {package} has neither sha256 nor md5")]
    #[diagnostic(help("make the lock anew with: envspec lock --renew"))]
    NoHash {
        /// The file.
        name: String,
        /// The package.
        package: String,
    },

    /// A package of Python's that has no SHA-256, or no Python to be for.
    #[error("{name}: {package} comes from pip and has no SHA-256, or no Python beside it")]
    #[diagnostic(help("make the lock anew with: envspec lock --renew"))]
    NoWheel {
        /// The file.
        name: String,
        /// The package.
        package: String,
    },

    /// The name, the build or the file of a package is none that there can be: folders
    /// and files are called by them.
    #[error("{name}: the package {package} has a name, a build or a file that no package has")]
    #[diagnostic(help("make the lock anew with: envspec lock --renew"))]
    OddName {
        /// The file.
        name: String,
        /// The package, as it can be shown.
        package: String,
    },

    /// The URL of a package has a password or a token.
    #[error("{name}: the URL {url} carries a password or a token")]
    #[diagnostic(help("a lock is read by others; make it anew with: envspec lock --renew"))]
    Secret {
        /// The file.
        name: String,
        /// The URL without it.
        url: String,
    },

    /// The lock could not be put together; the caller broke its rules.
    #[error("the lock could not be written")]
    Unwritable {
        /// The writer's words.
        #[from]
        source: std::io::Error,
    },
}
