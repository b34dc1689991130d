//! From every room's errors to an exit code and a report.

use std::any::Any;

use miette::{Diagnostic, Report};
use thiserror::Error;

use crate::apply::{AdoptError, ApplyError, BuildError, NixError};
use crate::cluster::ClusterError;
use crate::conda::{CondaError, SettingsError};
use crate::jupyter::RegistrationError;
use crate::kernel::{DefinitionError, UnknownKernel};
use crate::lock::interchange::UnexportableError;
use crate::pip::PipError;
use crate::recipe::RecipeError;
use crate::session::SessionError;
use crate::site::SiteError;
use crate::spec::SpecErrors;
use crate::spec::edit::EditError;
use crate::store::StoreError;

/// The exit codes, as `envspec --help` and the README list them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// A mistake in envspec itself.
    Internal = 1,
    /// A wrong command line or a bad spec.
    Usage = 2,
    /// Changes are pending: a stale lock under `--locked`, `plan --check`.
    Pending = 3,
    /// The requirements have no solution.
    NoSolution = 4,
    /// The network, or what came over it.
    Network = 5,
    /// A kernel, a cluster or an ssh hop failed.
    Cluster = 6,
    /// The store or its disk.
    Store = 7,
    /// Ctrl-C, or the terminal went away: 128 and the signal's number, as
    /// shells have it.
    Interrupted = 130,
}

/// A failure on its way to the user.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) report: Report,
}

impl Failure {
    fn new(exit: Exit, error: impl Diagnostic + Send + Sync + 'static) -> Self {
        Self {
            exit,
            report: Report::new(error),
        }
    }

    /// The command line asks for something that can't be.
    pub(super) fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(
            Exit::Usage,
            Plain {
                message: message.into(),
                help: help.into(),
            },
        )
    }

    /// The cluster or one of its programs failed.
    pub(super) fn cluster(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(
            Exit::Cluster,
            Plain {
                message: message.into(),
                help: help.into(),
            },
        )
    }

    /// A generation is not what it was when it was made.
    pub(super) fn damaged(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(
            Exit::Store,
            Plain {
                message: message.into(),
                help: help.into(),
            },
        )
    }

    /// Standard output could not be written; a closed pipe is no failure.
    pub(super) fn output(error: &std::io::Error) -> Self {
        let exit = if error.kind() == std::io::ErrorKind::BrokenPipe {
            Exit::Done
        } else {
            Exit::Store
        };
        Self::new(
            exit,
            Plain {
                message: format!("the answer could not be written: {error}"),
                help: "check where standard output goes".to_owned(),
            },
        )
    }

    /// The user had enough.
    pub(super) fn interrupted() -> Self {
        Self::new(
            Exit::Interrupted,
            Plain {
                message: "interrupted".to_owned(),
                help: "what was current is current still; the same command goes on".to_owned(),
            },
        )
    }

    /// The user had enough of waiting for the end of a session.
    pub(super) fn not_seen_to_end(environment: &str) -> Self {
        Self::new(
            Exit::Interrupted,
            Plain {
                message: format!("interrupted; whether {environment} has ended is not known"),
                help: "see what is there: envspec sessions".to_owned(),
            },
        )
    }

    /// The user had enough of waiting for a session, which goes on without them.
    pub(super) fn not_waited_for(self, environment: &str, session: &str) -> Self {
        // One of several: `envspec-lab+2`.
        let server = match session.rsplit_once('+') {
            Some((_, number)) => format!(" --server {number}"),
            None => String::new(),
        };
        let why = match self.exit {
            Exit::Interrupted => "interrupted".to_owned(),
            _ => self.report.to_string(),
        };
        Self::new(
            self.exit,
            Plain {
                message: format!("{why}; {session} is not ended by that"),
                help: format!(
                    "see how far it is: envspec sessions. Wait for it: envspec connect \
                     {environment}{server}. End it: envspec stop {environment}{server}"
                ),
            },
        )
    }

    /// The program broke one of its own rules.
    pub(super) fn internal(cause: &(dyn Any + Send)) -> Self {
        let words = cause
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| cause.downcast_ref::<&str>().copied())
            .unwrap_or("no words");
        Self::new(
            Exit::Internal,
            Plain {
                message: format!("envspec made a mistake: {words}"),
                help: "please report it with the command and the spec; nothing was switched"
                    .to_owned(),
            },
        )
    }
}

/// A message with advice, where no room has a type for it.
#[derive(Debug, Error, Diagnostic)]
#[error("{message}")]
#[diagnostic(help("{help}"))]
struct Plain {
    message: String,
    help: String,
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        let exit = match &error {
            ApplyError::Spec(_)
            | ApplyError::Site(_)
            | ApplyError::Settings(_)
            | ApplyError::Unreadable { .. }
            | ApplyError::NoSpec { .. }
            | ApplyError::NotYaml { .. }
            | ApplyError::NoRevision { .. }
            | ApplyError::NotAtRevision { .. }
            | ApplyError::OtherEnvironment { .. }
            | ApplyError::ForeignLock { .. }
            | ApplyError::ForbiddenPackage { .. }
            | ApplyError::StrangePackage { .. }
            | ApplyError::Lock(_)
            | ApplyError::Import(_)
            | ApplyError::FolderTaken { .. }
            | ApplyError::NotInLock { .. }
            | ApplyError::Nix(
                NixError::NoSystem { .. }
                | NixError::TooManySources { .. }
                | NixError::Sources { .. },
            )
            | ApplyError::Store(
                StoreError::Unknown { .. }
                | StoreError::Ambiguous { .. }
                | StoreError::NothingEarlier { .. },
            ) => Exit::Usage,
            ApplyError::NoSolution(_) => Exit::NoSolution,
            ApplyError::Pip(failure) => pip(failure.error()),
            ApplyError::InstallerOffline { .. } => Exit::Network,
            ApplyError::Build(error) => build(error),
            ApplyError::Conda(error) => conda(error),
            ApplyError::NoLock { .. }
            | ApplyError::StaleLock { .. }
            | ApplyError::LockLacks { .. }
            | ApplyError::Nix(
                NixError::NotLocked { .. } | NixError::Differs { .. } | NixError::OtherStore { .. },
            ) => Exit::Pending,
            ApplyError::SpecChanged { .. }
            | ApplyError::NotAgain { .. }
            | ApplyError::Store(_)
            | ApplyError::Registration(_) => Exit::Store,
            ApplyError::NoKernelspec { .. }
            | ApplyError::Kernelspec { .. }
            | ApplyError::Installer { .. }
            | ApplyError::InstallerStrays { .. }
            | ApplyError::LinkScript { .. }
            | ApplyError::Unfit { .. }
            | ApplyError::Nix(_) => Exit::Cluster,
        };
        Self::new(exit, error)
    }
}

fn conda(error: &CondaError) -> Exit {
    match error {
        CondaError::BadChannel { .. }
        | CondaError::SeveralChannels { .. }
        | CondaError::ChannelSecret { .. } => Exit::Usage,
        // What a channel gives is not what it must be.
        CondaError::Index { .. }
        | CondaError::Fetch { .. }
        | CondaError::Source { .. }
        | CondaError::Listing { .. }
        | CondaError::Unsafe { .. } => Exit::Network,
        CondaError::Unsolvable(_) => Exit::NoSolution,
        CondaError::Solver { .. } | CondaError::VirtualPackages { .. } => Exit::Internal,
        CondaError::Disk { .. } | CondaError::CutShort { .. } | CondaError::Install { .. } => {
            Exit::Store
        }
        CondaError::Activation { .. } => Exit::Cluster,
    }
}

fn build(error: &BuildError) -> Exit {
    match error {
        BuildError::Offline { .. } | BuildError::Repository { .. } => Exit::Network,
        BuildError::Failed { .. } | BuildError::NoWheel { .. } => Exit::Cluster,
        BuildError::OtherFolder { .. } => Exit::Pending,
        BuildError::Folder { .. } => Exit::Store,
    }
}

fn pip(error: &PipError) -> Exit {
    match error {
        PipError::NoSolution { .. }
        | PipError::NoWheel { .. }
        | PipError::NoProgram { .. }
        | PipError::Source { .. }
        | PipError::ForeignSource { .. }
        | PipError::OtherHash { .. } => Exit::NoSolution,
        PipError::Network { .. } => Exit::Network,
        PipError::Refused { .. }
        | PipError::NoPython { .. }
        | PipError::HashMissing { .. }
        | PipError::Configuration { .. }
        | PipError::Platform { .. } => Exit::Usage,
        PipError::Answer { .. } => Exit::Internal,
        PipError::Disk { .. } => Exit::Store,
    }
}

impl From<AdoptError> for Failure {
    fn from(error: AdoptError) -> Self {
        let exit = match &error {
            AdoptError::Own { .. } | AdoptError::Link { .. } | AdoptError::OfGeneration { .. } => {
                Exit::Usage
            }
            AdoptError::NotYours { .. } | AdoptError::Io(_) => Exit::Store,
            AdoptError::Conda(error) => conda(error),
            AdoptError::Broken { .. }
            | AdoptError::NoPrefix { .. }
            | AdoptError::Command { .. }
            | AdoptError::Dead { .. } => Exit::Cluster,
        };
        Self::new(exit, error)
    }
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        Self::new(Exit::Cluster, error)
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        let exit = match &error {
            SessionError::NotApplied { .. }
            | SessionError::NoSession { .. }
            | SessionError::NoServer { .. }
            | SessionError::Several { .. }
            | SessionError::Elsewhere { .. }
            | SessionError::OtherCluster { .. }
            | SessionError::PortTaken { .. }
            | SessionError::NoPort { .. } => Exit::Usage,
            _ => Exit::Cluster,
        };
        Self::new(exit, error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        ApplyError::from(error).into()
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::new(Exit::Usage, error)
    }
}

impl From<SpecErrors> for Failure {
    fn from(error: SpecErrors) -> Self {
        Self::new(Exit::Usage, error)
    }
}

impl From<SiteError> for Failure {
    fn from(error: SiteError) -> Self {
        Self::new(Exit::Usage, error)
    }
}

impl From<DefinitionError> for Failure {
    fn from(error: DefinitionError) -> Self {
        Self::new(Exit::Usage, error)
    }
}

impl From<UnknownKernel> for Failure {
    fn from(error: UnknownKernel) -> Self {
        Self::new(Exit::Usage, error)
    }
}

impl From<UnexportableError> for Failure {
    fn from(error: UnexportableError) -> Self {
        Self::new(Exit::Usage, error)
    }
}

impl From<EditError> for Failure {
    fn from(error: EditError) -> Self {
        Self::new(Exit::Usage, error)
    }
}

impl From<RecipeError> for Failure {
    fn from(error: RecipeError) -> Self {
        Self::new(Exit::Usage, error)
    }
}

impl From<RegistrationError> for Failure {
    fn from(error: RegistrationError) -> Self {
        Self::new(Exit::Store, error)
    }
}
