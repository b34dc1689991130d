//! The kernels of a generation: their kernelspecs made right in the prefix.
//!
//! How the user's Jupyter comes to see them is `registration`'s.

mod daemons;
mod folders;
mod from_nix;
mod installer;
mod link_scripts;
mod network;
mod staging;
mod strays;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rattler_conda_types::Version;

use self::folders::Folders;
use self::installer::make;
pub use self::link_scripts::Message;
pub(super) use self::link_scripts::not_run;
use self::link_scripts::run_link_scripts;
pub(super) use self::network::refuse_offline;
pub(super) use self::staging::{Failed, Run, Staging, both_ends};
use super::context::Context;
use super::error::ApplyError;
use super::observe::Prepared;
use super::prefixes::LockedPrefix;
use super::subject::{KernelOrigin, Subject, SubjectKernel};
use crate::conda::{Step, capture_activation};
use crate::kernel::{
    ActivationDelta, Installable, KernelDefinition, KernelDir, KernelSpec, KernelSpecError,
    Personal, Rewrite,
};
use crate::lock::{LockText, PackageId};
use crate::store::{KernelReceipt, StoreError};

/// Where kernelspecs are, below a prefix.
pub(super) const KERNELS: &str = "share/jupyter/kernels";

/// What setting up left.
pub(super) struct SetUp {
    pub(super) kernels: Vec<KernelReceipt>,
    pub(super) activation: BTreeMap<String, String>,
    /// What post-link scripts said.
    pub(super) messages: Vec<Message>,
}

/// Where the packages go that users install for themselves from the kernels of a
/// prefix.
fn personal(context: &Context, subject: &Subject, locked: &LockedPrefix) -> Personal {
    let environment = subject.file.spec.name.as_str();
    // No environment has a `+` in its name.
    let own = locked.isolated.as_ref();
    let own = own.map(|kernel| format!("{environment}+{kernel}"));
    let packages: Vec<PackageId> = locked.packages().collect();
    Personal::new(
        &context.root.path().to_string_lossy(),
        &context.home.to_string_lossy(),
        own.as_deref().unwrap_or(environment),
        packages
            .iter()
            .map(|package| (package.name.as_str(), package.version.as_str())),
    )
}

/// Makes the folders of the personal library, which languages look for when they
/// start. They are a convenience: without, the language says what is missing.
fn make_personal(context: &Context, personal: &Personal) {
    for folder in personal.folders(&context.home.to_string_lossy()) {
        // Kernels run what is there: nobody else may write it, whatever the umask is,
        // which in a group's root is the group's.
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder);
        if let Err(error) = made {
            tracing::debug!("no personal library: {error}");
        }
    }
}

/// Makes the kernelspecs of a freshly linked generation: each with an absolute argv and
/// the environment that activating its prefix gives, captured once for all of a prefix.
pub(super) async fn set_up(
    context: &Context,
    prepared: &Prepared,
    generation: &Path,
) -> Result<SetUp, ApplyError> {
    let subject = &prepared.subject;
    context
        .progress
        .begin(Step::Kernels, subject.kernels.len() as u64);
    let mut kernels = BTreeMap::new();
    let mut activation = BTreeMap::new();
    let mut folders = None;
    let mut messages = Vec::new();
    let mut foreign = BTreeSet::new();
    // Those from Nix last: what a definition looks for must not be one of them.
    let mut order: Vec<_> = subject.kernels.iter().enumerate().collect();
    order.sort_by_key(|(_, kernel)| kernel.definition().is_none());
    for locked in &prepared.prefixes {
        let prefix = &locked.within(generation);
        let staging = Staging::new(context, prefix)?;
        let mut activated = activate(context, subject, prefix, staging.home())?;
        let run = run_link_scripts(prepared, locked, &staging, &activated, prefix).await?;
        messages.extend(run.messages);
        if run.any {
            // They may have added to it.
            activated = activate(context, subject, prefix, staging.home())?;
        }
        if locked.isolated.is_none() {
            let variables = &subject.file.spec.variables;
            activation = activated.delta.clone().with(variables).set().clone();
            foreign = variables_of(&activated);
        }
        let setting = Setting {
            context,
            subject,
            lock: &prepared.locked.text,
            generation,
            prefix,
            staging: &staging,
            activated: &activated,
            foreign: &foreign,
            personal: &personal(context, subject, locked),
            messages: &messages,
        };
        let of_prefix = order
            .iter()
            .filter(|(_, kernel)| kernel.isolated() == locked.isolated.as_deref());
        // All are made before the first is rewritten: two kernels may be made of one.
        let mut made = Vec::new();
        for &(place, kernel) in of_prefix {
            let origin = match &kernel.origin {
                KernelOrigin::Packages(definition) => {
                    Made::Here(definition, setting.made(kernel, definition).await?)
                }
                KernelOrigin::Nix(installable) => Made::ByNix(installable),
            };
            made.push((place, kernel, origin));
        }
        let folders = folders.get_or_insert_with(|| Folders::of(generation));
        for (place, kernel, origin) in made {
            let receipt = match origin {
                Made::Here(definition, made) => {
                    setting.set_up_one(kernel, definition, &made, folders)?
                }
                Made::ByNix(installable) => {
                    from_nix::set_up(&setting, kernel, installable, folders).await?
                }
            };
            kernels.insert(place, receipt);
            context.progress.advance(Step::Kernels, 1);
        }
        make_personal(context, setting.personal);
    }
    context.progress.end(Step::Kernels);
    Ok(SetUp {
        kernels: kernels.into_values().collect(),
        activation,
        messages,
    })
}

/// What all kernels of a prefix are set up with.
struct Setting<'a> {
    context: &'a Context,
    subject: &'a Subject,
    lock: &'a LockText,
    generation: &'a Path,
    prefix: &'a Path,
    staging: &'a Staging<'a>,
    activated: &'a Activated,
    /// What the environment's own activation sets, which comes first: a server has it,
    /// and a kernel that is not of the environment's prefix must not.
    foreign: &'a BTreeSet<String>,
    personal: &'a Personal,
    messages: &'a [Message],
}

/// A kernelspec as a package, a script or an installer left it.
struct AsMade {
    folder: PathBuf,
    kernelspec: KernelSpec,
}

/// What a kernel is set up from.
enum Made<'a> {
    Here(&'a KernelDefinition, AsMade),
    ByNix(&'a Installable),
}

/// The error of a kernel whose kernelspec can't be used.
fn unusable(kernel: &SubjectKernel) -> impl FnOnce(KernelSpecError) -> ApplyError {
    let kernel = kernel.request.name.value.clone();
    |source| ApplyError::Kernelspec { kernel, source }
}

/// A prefix's activation: the environment that it gives, and the difference.
pub(super) struct Activated {
    pub(super) environment: BTreeMap<String, String>,
    delta: ActivationDelta,
}

/// What stands for the user's name while a prefix is activated.
const USER: &str = "envspec-user";

/// Activates the prefix in an environment chosen for it: a short PATH, an empty home
/// and a name that nobody has, so that what it took from there is told from what it set.
pub(super) fn activate(
    context: &Context,
    subject: &Subject,
    prefix: &Path,
    home: &Path,
) -> Result<Activated, ApplyError> {
    let before = BTreeMap::from(
        [
            ("PATH", "/usr/bin:/bin"),
            ("HOME", &home.to_string_lossy()),
            ("USER", USER),
            ("LOGNAME", USER),
            // Not LANG, which packages may set.
            ("LC_ALL", "C.UTF-8"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    // It is set when scripts run, and some make names of it.
    let name = subject.file.spec.name.to_string();
    let mut named = before.clone();
    named.insert("CONDA_DEFAULT_ENV".to_owned(), name);
    let captured = capture_activation(prefix, context.platform, named)?;
    let mut environment = captured.before;
    environment.extend(captured.changed);
    // The spec is untrusted text: its variables reach kernels, and no shell or
    // installer that runs here (BASH_ENV, PATH and their like are commands).
    let delta = ActivationDelta::between(&before, &environment);
    environment
        .retain(|name, value| !["USER", "LOGNAME"].contains(&name.as_str()) || value != USER);
    Ok(Activated { environment, delta })
}

/// The variables that an activation sets, those among them that only a shell needs for
/// the way back.
fn variables_of(activated: &Activated) -> BTreeSet<String> {
    let of_conda = |name: &&String| name.starts_with("CONDA_") || name.starts_with("_CONDA_");
    let noted = activated.environment.keys().filter(of_conda);
    let all = activated.delta.set().keys().chain(noted).cloned();
    // `conda activate` and `envspec launch` say so how deep they are.
    all.chain(["CONDA_SHLVL".to_owned()]).collect()
}

impl Setting<'_> {
    /// A kernelspec that is not of the environment's prefix, without what is.
    fn apart(&self, kernelspec: &KernelSpec) -> Result<KernelSpec, KernelSpecError> {
        let foreign = self.foreign.iter().map(String::as_str);
        kernelspec.apart_from(foreign, |path| is_executable(Path::new(path)))
    }

    /// The kernelspec of a kernel as its definition makes it.
    async fn made(
        &self,
        kernel: &SubjectKernel,
        definition: &KernelDefinition,
    ) -> Result<AsMade, ApplyError> {
        let folder = make(self, kernel, definition).await?;
        let path = folder.join("kernel.json");
        let text = fs::read_to_string(&path).map_err(ApplyError::unreadable(&path))?;
        let kernelspec = KernelSpec::parse(&text).map_err(unusable(kernel))?;
        Ok(AsMade { folder, kernelspec })
    }

    fn set_up_one(
        &self,
        kernel: &SubjectKernel,
        definition: &KernelDefinition,
        made: &AsMade,
        folders: &mut Folders,
    ) -> Result<KernelReceipt, ApplyError> {
        let Self {
            prefix, subject, ..
        } = *self;
        let request = &kernel.request;
        let name = request.name.value.as_str();
        let all = self.generation.join(KERNELS);
        let here = made.folder.strip_prefix(&all).ok();
        let directory = folders.give(request, here.and_then(Path::to_str))?;
        let into = all.join(&directory);
        let mut rewritten = made
            .kernelspec
            .rewrite(
                &Rewrite {
                    prefix: &prefix.to_string_lossy(),
                    folder: &into.to_string_lossy(),
                    definition,
                    display_name: request.display_name.as_ref().map(|at| at.value.as_str()),
                    limits: &request.limits,
                    variables: &subject.file.spec.variables,
                    env: &request.env,
                    activation: &self.activated.delta,
                    personal: self.personal,
                },
                |path| is_executable(Path::new(path)),
            )
            .map_err(unusable(kernel))?;
        let home = self.staging.home().to_string_lossy();
        if rewritten.names(&home) {
            let path = home.into_owned();
            return Err(unusable(kernel)(KernelSpecError::Gone { path }));
        }
        if request.isolated {
            rewritten = self.apart(&rewritten).map_err(unusable(kernel))?;
        }
        write_kernelspec(&made.folder, &into, &rewritten)?;

        let display_name = match &request.display_name {
            Some(given) => given.value.clone(),
            None => format!("{} ({})", rewritten.display_name(), subject.file.spec.name),
        };
        Ok(KernelReceipt {
            name: name.to_owned(),
            definition: definition.id.to_string(),
            directory,
            registered: kernel.registered.as_str().to_owned(),
            display_name,
            nix: None,
        })
    }
}

/// The folder of a kernelspec that matches; of several the one of the highest version.
fn find(folder: &Path, pattern: &KernelDir) -> Option<PathBuf> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter(|entry| entry.path().join("kernel.json").is_file())
        .filter(|entry| pattern.matches(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect();
    let version = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        pattern
            .part(&name)
            .and_then(|part| part.parse::<Version>().ok())
    };
    names.sort_by_cached_key(|path| (version(path), path.clone()));
    names.pop()
}

/// Copies a kernelspec's folder, with the folders in it, as `jupyter kernelspec install`
/// does.
fn copy_tree(from: &Path, into: &Path) -> Result<(), ApplyError> {
    let unreadable = |error: walkdir::Error| ApplyError::unreadable(from)(error.into());
    for entry in walkdir::WalkDir::new(from).follow_links(true) {
        let entry = entry.map_err(unreadable)?;
        let below = entry.path().strip_prefix(from).unwrap_or(entry.path());
        let to = into.join(below);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&to).map_err(StoreError::io("could not make", &to))?;
        } else if entry.file_type().is_file() {
            // A file that is there is the package cache's, too.
            match fs::remove_file(&to) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StoreError::io("could not remove", &to)(error).into());
                }
                _ => {}
            }
            fs::copy(entry.path(), &to).map_err(StoreError::io("could not write", &to))?;
        }
    }
    Ok(())
}

/// Puts a kernelspec into its folder in the prefix. A package's own file is
/// hard-linked from the cache: it is replaced by rename, never written into.
fn write_kernelspec(
    shipped: &Path,
    into: &Path,
    kernelspec: &KernelSpec,
) -> Result<(), ApplyError> {
    if shipped != into {
        copy_tree(shipped, into)?;
    }
    crate::store::write_whole(&into.join("kernel.json"), kernelspec.to_json().as_bytes())?;
    Ok(())
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
