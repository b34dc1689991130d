//! What can go wrong on the way: each room's own failures, and those of the
//! order.

use std::path::{Path, PathBuf};

use miette::Diagnostic;
use thiserror::Error;

use super::nix::NixError;
use super::no_solution::NoSolution;
use super::pip::PipFailure;
use super::sources::BuildError;
use crate::conda::{CondaError, SettingsError};
use crate::jupyter::RegistrationError;
use crate::kernel::KernelSpecError;
use crate::lock::interchange::ImportError;
use crate::lock::{LockError, Staleness};
use crate::recipe::quote;
use crate::site::SiteError;
use crate::spec::SpecErrors;
use crate::store::StoreError;

/// A failure on the way from a spec to a generation.
#[derive(Debug, Error, Diagnostic)]
pub enum ApplyError {
    /// The spec has mistakes.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Spec(#[from] SpecErrors),
    /// A site's file has mistakes.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Site(#[from] SiteError),
    /// Conda's or rattler's configuration has mistakes.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Settings(#[from] SettingsError),
    /// The requirements cannot be met.
    #[error(transparent)]
    #[diagnostic(transparent)]
    NoSolution(#[from] Box<NoSolution>),
    /// What is asked of pip.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Pip(#[from] Box<PipFailure>),
    /// Channels or packages.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Conda(#[from] CondaError),
    /// The lock's text.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Lock(#[from] LockError),
    /// A file of another tool.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Import(#[from] ImportError),
    /// The disk.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Store(#[from] StoreError),
    /// The user's kernelspecs.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Registration(#[from] RegistrationError),

    /// A source that is to become a wheel.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Build(#[from] Box<BuildError>),

    /// A kernel from Nix.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Nix(#[from] NixError),

    /// A file could not be read.
    #[error("could not read {}", path.display())]
    #[diagnostic(help("check the path and its permissions"))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },

    /// There is no such file.
    #[error("there is no file {}", path.display())]
    #[diagnostic(help("name a spec, or an environment that `envspec list` shows"))]
    NoSpec {
        /// The file.
        path: PathBuf,
    },

    /// The file is no YAML file by its name.
    #[error("{} is not named as a spec", path.display())]
    #[diagnostic(help("a spec's name ends in .yaml or .yml; its lock beside it in .lock"))]
    NotYaml {
        /// The file.
        path: PathBuf,
    },

    /// Somebody edited the spec meanwhile.
    #[error("{name} was changed by somebody else meanwhile")]
    #[diagnostic(help("neither spec nor lock was written and nothing was switched: run it again"))]
    SpecChanged {
        /// The spec.
        name: String,
    },

    /// Git has no such revision, or no git is there to ask.
    #[error("there is no revision {revision} of {}: {reason}", path.display())]
    #[diagnostic(help(
        "name a commit, a tag or a branch; see which ones touched it: git log -- {}",
        path.display()
    ))]
    NoRevision {
        /// The revision as it was asked for.
        revision: String,
        /// The spec.
        path: PathBuf,
        /// Git's word.
        reason: String,
    },

    /// The file was not there at a revision.
    #[error("{} was not there at {revision}", path.display())]
    #[diagnostic(help("see where it was: git log --follow --name-only -- {}", path.display()))]
    NotAtRevision {
        /// The file.
        path: PathBuf,
        /// The revision as it was asked for.
        revision: String,
    },

    /// The file is the spec of another environment by now.
    #[error("{} describes the environment {now} by now", path.display())]
    #[diagnostic(help("name the environment, or the spec that describes it"))]
    OtherEnvironment {
        /// The spec.
        path: PathBuf,
        /// Its environment.
        now: String,
    },

    /// A file where the lock goes that envspec did not write.
    #[error("{name} exists and was not written by envspec")]
    #[diagnostic(help("move it away or rename the spec. To use a pixi.lock as it is: --frozen"))]
    ForeignLock {
        /// The lock.
        name: String,
    },

    /// A package of the lock is of a channel that may not be used.
    #[error("{name}: the package {package} is of a channel that is forbidden")]
    #[diagnostic(help("{reason}; then make the lock anew with: envspec lock --renew"))]
    ForbiddenPackage {
        /// The lock.
        name: String,
        /// The package.
        package: String,
        /// Why.
        reason: String,
    },

    /// A package of the lock is from elsewhere than the spec says.
    #[error("{name}: the package {package} is at {url}, which is in no channel of the spec")]
    #[diagnostic(help(
        "somebody edited the lock: make it anew with envspec lock --renew, or use it as it is with --frozen"
    ))]
    StrangePackage {
        /// The lock.
        name: String,
        /// The package.
        package: String,
        /// Where it is, as it can be shown.
        url: String,
    },

    /// There is no lock, and none may be made.
    #[error("there is no lock {name}")]
    #[diagnostic(help("make it with: envspec lock {}", quote(spec)))]
    NoLock {
        /// The spec.
        spec: String,
        /// The lock.
        name: String,
    },

    /// A package is not in the lock.
    #[error("{name} has no package `{package}`")]
    #[diagnostic(help("{}", not_in_lock(near)))]
    NotInLock {
        /// The lock.
        name: String,
        /// The package as it was asked for.
        package: String,
        /// Names that are near, best first.
        near: Vec<String>,
    },

    /// The lock is of an older spec, and may not be changed.
    #[error("{name} is stale: {spec} has changed since\n{staleness}")]
    #[diagnostic(help(
        "bring it up to date with: envspec lock {}. Or use it as it is with --frozen",
        quote(spec)
    ))]
    StaleLock {
        /// The lock.
        name: String,
        /// The spec.
        spec: String,
        /// How they differ.
        staleness: Staleness,
    },

    /// A generation can't be built again.
    #[error(
        "what {generation} was made from is not there any more, or would be another generation by now"
    )]
    #[diagnostic(help(
        "nothing was changed. Build a new one from the spec with: envspec apply. Or go back: envspec rollback"
    ))]
    NotAgain {
        /// The generation.
        generation: String,
    },

    /// This machine is the one that the environment is to run on, and packages of it
    /// can't.
    #[error("this environment can't run on {host}:\n{lacks}")]
    #[diagnostic(help(
        "have it solved for this machine: take `target` and pins of newer versions out of the spec, then envspec lock --renew. If it is for another machine, name that machine's site in the spec: `site: slurm`. If this one is misjudged: {example}=…"
    ))]
    Unfit {
        /// This machine.
        host: String,
        /// What it lacks, a line each.
        lacks: String,
        /// The variable that says otherwise of the first of these.
        example: String,
    },

    /// The lock lacks what a kernel needs.
    #[error("{name} has no package {package}, which the kernel {kernel} needs")]
    #[diagnostic(help("bring it up to date with: envspec lock"))]
    LockLacks {
        /// The lock.
        name: String,
        /// The package.
        package: String,
        /// The kernel.
        kernel: String,
    },

    /// No kernelspec where the definition says that there is one.
    #[error("the kernel {kernel}: its packages brought no kernelspec {directory}{messages}")]
    #[diagnostic(help(
        "see what the definition expects with: envspec kernels show {definition}. The packages may be too old or too new for it"
    ))]
    NoKernelspec {
        /// The kernel.
        kernel: String,
        /// Its definition.
        definition: String,
        /// The folder that is missing.
        directory: String,
        /// What post-link scripts said, each in a line of its own.
        messages: String,
    },

    /// A kernelspec that can't be used.
    #[error("the kernel {kernel}: its kernelspec can't be used")]
    Kernelspec {
        /// The kernel.
        kernel: String,
        /// Why.
        #[source]
        #[diagnostic_source]
        source: KernelSpecError,
    },

    /// Another kernelspec of the generation has the folder.
    #[error(
        "the kernel {kernel}: {} brings a kernelspec named {folder}",
        by.as_ref().map_or_else(|| "a package or an installer".to_owned(), |by| format!("the kernel {by}"))
    )]
    #[diagnostic(help("give the kernel another name in the spec"))]
    FolderTaken {
        /// The kernel.
        kernel: String,
        /// The folder of its kernelspec.
        folder: String,
        /// The kernel that has it, if it is one of the spec's.
        by: Option<String>,
    },

    /// A kernel's own installer failed.
    #[error("the kernel {kernel}: its installer failed: {command}\n{output}")]
    #[diagnostic(help(
        "nothing was switched. The installer may need the network; its words are above. Or take {kernel} out of the spec"
    ))]
    Installer {
        /// The kernel.
        kernel: String,
        /// The command.
        command: String,
        /// The last lines that it printed.
        output: String,
    },

    /// A kernel is made by commands that download, which was forbidden.
    #[error(
        "the kernel {kernel} needs the network to be made, and --offline forbids it: {command}"
    )]
    #[diagnostic(help(
        "nothing was changed and nothing of it ran. Run this without --offline, or take {kernel} out of the spec"
    ))]
    InstallerOffline {
        /// The kernel.
        kernel: String,
        /// The first command that would have been run.
        command: String,
    },

    /// An installer wrote into the user's own folder, or somebody else meanwhile.
    #[error(
        "the kernel {kernel}: its installer wrote past its staging folder, among your own kernelspecs\n{strays}{failure}"
    )]
    #[diagnostic(help(
        "nothing was switched. What is left there names nothing of the installer's: if it is your own, run this again; if not, remove it or mend it, and have the installer write where HOME says, in the definition: envspec kernels show {kernel} --yaml"
    ))]
    InstallerStrays {
        /// The kernel.
        kernel: String,
        /// What it wrote and what has become of that, a line for each.
        strays: String,
        /// How it failed besides.
        failure: String,
    },

    /// A post-link script failed.
    #[error("the post-link script of {package} failed\n{output}")]
    #[diagnostic(help(
        "nothing was switched. The script may need the network; its words are above. Not to run it, take {package} from `post_link` in the spec"
    ))]
    LinkScript {
        /// The package.
        package: String,
        /// The last lines that it printed.
        output: String,
    },
}

impl ApplyError {
    /// Whether it is for want of space below the root.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_full())
    }

    /// Says which file could not be read.
    pub(super) fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Unreadable {
            path: path.clone(),
            source,
        }
    }
}

/// What to do where a lock lacks a package.
fn not_in_lock(near: &[String]) -> String {
    match near {
        [] => "name a package alone, without a version; for one that the spec lacks: envspec add"
            .to_owned(),
        near => format!("did you mean {}?", near.join(", ")),
    }
}
