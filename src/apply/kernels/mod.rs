//! The kernels of a generation: their kernelspecs made right in the prefix.
//!
//! How the user's Jupyter comes to see them is `registration`'s.

mod from_nix;
mod installer;
mod link_scripts;
mod staging;

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;

use self::installer::make;
pub(super) use self::link_scripts::not_run;
use self::link_scripts::run_link_scripts;
use self::staging::Staging;
pub(super) use self::staging::both_ends;
use super::context::Context;
use super::error::ApplyError;
use super::observe::Prepared;
use super::prefixes::LockedPrefix;
use super::subject::{KernelOrigin, Subject, SubjectKernel};
use crate::conda::{Step, capture_activation};
use crate::kernel::{ActivationDelta, KernelDefinition, KernelDir, KernelSpec, Personal, Rewrite};
use crate::lock::{LockText, PackageId};
use crate::store::{KernelReceipt, StoreError};

/// Where kernelspecs are, below a prefix.
pub(super) const KERNELS: &str = "share/jupyter/kernels";

/// What setting up left.
pub(super) struct SetUp {
    pub(super) kernels: Vec<KernelReceipt>,
    pub(super) activation: BTreeMap<String, String>,
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
    // Those from Nix last: what a definition looks for must not be one of them.
    let mut order: Vec<_> = subject.kernels.iter().enumerate().collect();
    order.sort_by_key(|(_, kernel)| kernel.definition().is_none());
    for locked in &prepared.prefixes {
        let prefix = &locked.within(generation);
        let staging = Staging::new(context, prefix)?;
        let mut activated = activate(context, subject, prefix, staging.home())?;
        if run_link_scripts(prepared, locked, &staging, &activated, prefix).await? {
            // They may have added to it.
            activated = activate(context, subject, prefix, staging.home())?;
        }
        let setting = Setting {
            context,
            subject,
            lock: &prepared.locked.text,
            generation,
            prefix,
            staging: &staging,
            activated: &activated,
            personal: &personal(context, subject, locked),
        };
        for &(place, kernel) in &order {
            if kernel.isolated() != locked.isolated.as_deref() {
                continue;
            }
            let receipt = match &kernel.origin {
                KernelOrigin::Packages(definition) => {
                    setting.set_up_one(kernel, definition).await?
                }
                KernelOrigin::Nix(installable) => {
                    from_nix::set_up(&setting, kernel, installable).await?
                }
            };
            kernels.insert(place, receipt);
            context.progress.advance(Step::Kernels, 1);
        }
        make_personal(context, setting.personal);
        if locked.isolated.is_none() {
            activation.clone_from(activated.delta.set());
        }
    }
    context.progress.end(Step::Kernels);
    Ok(SetUp {
        kernels: kernels.into_values().collect(),
        activation,
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
    personal: &'a Personal,
}

/// A prefix's activation: the environment that it gives, and the difference.
struct Activated {
    environment: BTreeMap<String, String>,
    delta: ActivationDelta,
}

/// Activates the prefix in an environment chosen for it: a short PATH and an
/// empty home, so that what it took from there is told from what it set.
fn activate(
    context: &Context,
    subject: &Subject,
    prefix: &Path,
    home: &Path,
) -> Result<Activated, ApplyError> {
    let before = BTreeMap::from([
        ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
        ("HOME".to_owned(), home.to_string_lossy().into_owned()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
    ]);
    // It is set when scripts run: conda-forge's for Julia make a project of it.
    let name = subject.file.spec.name.to_string();
    let mut named = before.clone();
    named.insert("CONDA_DEFAULT_ENV".to_owned(), name);
    let captured = capture_activation(prefix, context.platform, named)?;
    let mut environment = captured.before;
    environment.extend(captured.changed);
    // The spec is untrusted text: its variables reach kernels, and no shell or
    // installer that runs here (BASH_ENV, PATH and their like are commands).
    let mut for_kernels = environment.clone();
    for_kernels.extend(subject.file.spec.variables.clone());
    let delta = ActivationDelta::between(&before, &for_kernels);
    Ok(Activated { environment, delta })
}

impl Setting<'_> {
    async fn set_up_one(
        &self,
        kernel: &SubjectKernel,
        definition: &KernelDefinition,
    ) -> Result<KernelReceipt, ApplyError> {
        let Self {
            prefix, subject, ..
        } = *self;
        let request = &kernel.request;
        let name = request.name.value.as_str();
        let made = make(self, kernel, definition).await?;
        // A kernel that borrows a definition (`use: python`) gets a folder of its
        // own, so that both stay; else the folder keeps its name, which is the one
        // that notebooks of other installations ask for.
        // One of another prefix gets one too, in the environment's, where its Jupyter looks.
        let directory = if request.definition.is_some() || request.isolated {
            name.to_ascii_lowercase()
        } else {
            made.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };

        let bad = |source| ApplyError::Kernelspec {
            kernel: name.to_owned(),
            source,
        };
        let path = made.join("kernel.json");
        let text = fs::read_to_string(&path).map_err(ApplyError::unreadable(&path))?;
        let rewritten = KernelSpec::parse(&text)
            .map_err(bad)?
            .rewrite(
                &Rewrite {
                    prefix: &prefix.to_string_lossy(),
                    definition,
                    display_name: request.display_name.as_ref().map(|at| at.value.as_str()),
                    limits: &request.limits,
                    env: &request.env,
                    activation: &self.activated.delta,
                    personal: self.personal,
                },
                |path| is_executable(Path::new(path)),
            )
            .map_err(bad)?;
        let into = self.generation.join(KERNELS).join(&directory);
        write_kernelspec(&made, &into, &rewritten)?;

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

/// The folder of a kernelspec that matches; the last one if several do, which
/// for `julia-*` is the newest.
fn find(folder: &Path, pattern: &KernelDir) -> Option<PathBuf> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter(|entry| entry.path().join("kernel.json").is_file())
        .filter(|entry| pattern.matches(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect();
    names.sort();
    names.pop()
}

/// Copies the files of a kernelspec's folder; it has no folders in it.
fn copy_files(from: &Path, into: &Path) -> Result<(), ApplyError> {
    fs::create_dir_all(into).map_err(StoreError::io("could not make", into))?;
    let entries = fs::read_dir(from).map_err(ApplyError::unreadable(from))?;
    for entry in entries.flatten().filter(|entry| entry.path().is_file()) {
        let to = into.join(entry.file_name());
        fs::copy(entry.path(), &to).map_err(StoreError::io("could not write", &to))?;
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
        copy_files(shipped, into)?;
    }
    crate::store::write_whole(&into.join("kernel.json"), kernelspec.to_json().as_bytes())?;
    Ok(())
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
