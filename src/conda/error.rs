//! What can go wrong with channels and packages.

use std::path::{Path, PathBuf};

use miette::Diagnostic;
use rattler::install::InstallerError;
use rattler_cache::package_cache::PackageCacheError;
use rattler_conda_types::ParseChannelError;
use rattler_repodata_gateway::GatewayError;
use rattler_shell::activation::ActivationError;
use rattler_solve::SolveError;
use thiserror::Error;

use super::conflict::Conflict;

/// A failure of channels, solver or installer.
#[derive(Debug, Error, Diagnostic)]
pub enum CondaError {
    /// The text is no channel.
    #[error("`{channel}` is not a channel")]
    #[diagnostic(help("write a name such as conda-forge, a URL, or a path"))]
    BadChannel {
        /// The text.
        channel: String,
        /// The parser's words.
        source: ParseChannelError,
    },

    /// A name in front of a package means several channels.
    #[error("`{name}` is more than one channel, and `{name}::` in front of a package asks for one")]
    #[diagnostic(help("name one of its channels, or list {name} under `channels:`"))]
    SeveralChannels {
        /// The name.
        name: String,
    },

    /// The text holds a password or a token, which a spec in git must not.
    #[error("the URL {channel} carries a password or a token")]
    #[diagnostic(help("a spec and its lock are read by others; take the secret out of the URL"))]
    ChannelSecret {
        /// The channel's URL without the secret.
        channel: String,
    },

    /// An index could not be had.
    #[error("the index of a channel could not be read")]
    #[diagnostic(help(
        "check the channel's name and the network; with --offline only channels that were read before can be used"
    ))]
    Index {
        /// The gateway's words.
        source: Box<GatewayError>,
    },

    /// There is no solution. The caller, who knows the spec, words it.
    #[error("the requirements cannot be met together")]
    Unsolvable(Box<Conflict>),

    /// The solver failed for another reason.
    #[error("the solver failed")]
    Solver {
        /// The solver's words.
        source: SolveError,
    },

    /// The machine's virtual packages could not be found out.
    #[error("this machine's virtual packages could not be found out")]
    #[diagnostic(help("set them in the spec: target: {{glibc: \"2.28\"}}"))]
    VirtualPackages {
        /// The detection's words.
        #[from]
        source: rattler_virtual_packages::DetectVirtualPackageError,
    },

    /// A package could not be fetched, or was not what the lock says.
    #[error("package {package} could not be fetched")]
    #[diagnostic(help(
        "nothing was changed; run the command again. If the channel has the package no longer, or another one of its name, renew the lock with: envspec lock --renew"
    ))]
    Fetch {
        /// Where it is; a URL with a secret was refused before.
        package: String,
        /// What went wrong below.
        source: Box<PackageCacheError>,
    },

    /// A package would write outside the prefix, or over what is not its own.
    #[error("the package {package} is refused: its path {path} {why}")]
    #[diagnostic(help(
        "nothing was installed. Such a package is broken or means harm: tell its channel, and ask for another version or build of it"
    ))]
    Unsafe {
        /// The package.
        package: String,
        /// The path, as it can be shown.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },

    /// The source of a package of Python's could not be fetched, or was not what the lock
    /// says.
    #[error("the source {package} could not be fetched: {why}")]
    #[diagnostic(help(
        "nothing was changed; run the command again. If it is no longer there, or another one of its name, renew the lock with: envspec lock --renew"
    ))]
    Source {
        /// Where it is; a URL with a secret was refused before.
        package: String,
        /// Why.
        why: String,
    },

    /// What a package brings could not be found out.
    #[error("the list of files of {package} could not be read")]
    #[diagnostic(help(
        "run the command again; with --offline only packages that were looked into before can be used"
    ))]
    Listing {
        /// The package's archive.
        package: String,
        /// What went wrong below.
        source: Box<rattler_package_streaming::ExtractError>,
    },

    /// A package could not be linked into the prefix.
    #[error("the packages could not be installed into {}", prefix.display())]
    #[diagnostic(help(
        "nothing was changed: the current generation is as before. Look for space (df -h, df -i, quota; envspec gc makes some) and permissions, then run the command again"
    ))]
    Install {
        /// The prefix.
        prefix: PathBuf,
        /// What went wrong below.
        source: Box<InstallerError>,
    },

    /// The disk refused: no space, no permission.
    #[error("the disk refused while packages were installed into {}", prefix.display())]
    #[diagnostic(help(
        "nothing was switched: the environment is as it was. Look for space (df -h, df -i, quota; envspec gc makes some) and permissions, or choose another root: --root DIR or ENVSPEC_ROOT"
    ))]
    Disk {
        /// The prefix.
        prefix: PathBuf,
        /// What went wrong below.
        source: Box<InstallerError>,
    },

    /// The installer can't read what it has just written: where a disk is full, it
    /// does not notice that the end of a record is missing until it reads it.
    #[error("the record of a package was cut short in {}; most likely no space left", prefix.display())]
    #[diagnostic(help(
        "nothing was switched: the environment is as it was. Look for space (df -h, df -i, quota; envspec gc makes some), or choose another root: --root DIR or ENVSPEC_ROOT"
    ))]
    CutShort {
        /// The prefix.
        prefix: PathBuf,
        /// What went wrong below.
        source: Box<InstallerError>,
    },

    /// The activation scripts of a prefix failed.
    #[error("activating {} failed", prefix.display())]
    #[diagnostic(help(
        "an activation script of a package (etc/conda/activate.d) ended with an error; it can't be left out, but another version of the package may do better"
    ))]
    Activation {
        /// The prefix.
        prefix: PathBuf,
        /// The shell's words.
        source: Box<ActivationError>,
    },
}

impl CondaError {
    /// Sorts a failure of the installer: the disk, the network, the rest.
    pub(super) fn install(prefix: &Path, source: InstallerError) -> Self {
        let prefix = prefix.to_owned();
        if is_of_the_disk(&source) {
            let source = Box::new(source);
            return Self::Disk { prefix, source };
        }
        match source {
            InstallerError::FailedToDetectInstalledPackages(ref error)
                if error.kind() == std::io::ErrorKind::UnexpectedEof =>
            {
                let source = Box::new(source);
                Self::CutShort { prefix, source }
            }
            InstallerError::FailedToFetch(package, source) => Self::Fetch {
                package,
                source: Box::new(source),
            },
            source => Self::Install {
                prefix,
                source: Box::new(source),
            },
        }
    }
}

/// How the system's words for a full disk (ENOSPC) and quota (EDQUOT) end.
const FULL: [&str; 2] = ["(os error 28)", "(os error 122)"];

/// Whether somewhere in its causes an error says that the disk is full, or
/// that it may not be written.
fn is_of_the_disk(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    std::iter::successors(Some(error), |error| error.source()).any(|cause| {
        let of_kind = cause.downcast_ref::<std::io::Error>().is_some_and(|error| {
            matches!(
                error.kind(),
                StorageFull | QuotaExceeded | ReadOnlyFilesystem | PermissionDenied
            )
        });
        // rattler's cache keeps only the words of some.
        let words = cause.to_string();
        of_kind || FULL.iter().any(|full| words.contains(full))
    })
}

/// An error and what it came from, in one line.
pub(super) fn words(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
