//! The kernels of a generation: their kernelspecs made right in the prefix.
//!
//! How the user's Jupyter comes to see them is `registration`'s.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use fs_err as fs;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use super::context::Context;
use super::error::ApplyError;
use super::subject::{Subject, SubjectKernel};
use crate::conda::{Step, capture_activation};
use crate::kernel::{ActivationDelta, KernelDir, KernelSpec, KernelspecSource, Personal, Rewrite};
use crate::lock::PackageId;
use crate::store::{KernelReceipt, StoreError};

/// Where kernelspecs are, below a prefix.
pub(super) const KERNELS: &str = "share/jupyter/kernels";

/// How many lines of a failed installer's output are shown of each end: some
/// languages put the cause first, some last.
const OUTPUT_LINES: usize = 5;

/// What setting up left.
pub(super) struct SetUp {
    pub(super) kernels: Vec<KernelReceipt>,
    pub(super) activation: BTreeMap<String, String>,
}

/// Where the packages that users of an environment install for themselves go.
pub(super) fn personal(
    context: &Context,
    subject: &Subject<'_>,
    packages: &[PackageId],
) -> Personal {
    Personal::new(
        &context.root.path().to_string_lossy(),
        &context.home.to_string_lossy(),
        subject.file.spec.name.as_str(),
        packages
            .iter()
            .map(|package| (package.name.as_str(), package.version.as_str())),
    )
}

/// Makes the kernelspecs of a freshly linked prefix: each with an absolute
/// argv and the environment that activation gives, captured once for all.
pub(super) async fn set_up(
    context: &Context,
    subject: &Subject<'_>,
    prefix: &Path,
    personal: &Personal,
) -> Result<SetUp, ApplyError> {
    context
        .progress
        .begin(Step::Kernels, subject.kernels.len() as u64);
    let home = tempfile::Builder::new()
        .prefix("envspec-home-")
        .tempdir()
        .map_err(StoreError::io(
            "could not make a folder in",
            &std::env::temp_dir(),
        ))?;
    let activated = activate(context, subject, prefix, home.path())?;
    let mut kernels = Vec::new();
    for kernel in &subject.kernels {
        kernels.push(set_up_one(kernel, subject, prefix, home.path(), &activated, personal).await?);
        context.progress.advance(Step::Kernels, 1);
    }
    context.progress.end(Step::Kernels);
    Ok(SetUp {
        kernels,
        activation: activated.delta.set().clone(),
    })
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
    subject: &Subject<'_>,
    prefix: &Path,
    home: &Path,
) -> Result<Activated, ApplyError> {
    let before = BTreeMap::from([
        ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
        ("HOME".to_owned(), home.to_string_lossy().into_owned()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
    ]);
    let captured = capture_activation(prefix, context.platform, before)?;
    let mut environment = captured.before.clone();
    environment.extend(captured.changed);
    environment.insert(
        "CONDA_DEFAULT_ENV".to_owned(),
        subject.file.spec.name.to_string(),
    );
    // The spec is untrusted text: its variables reach kernels, and no shell or
    // installer that runs here (BASH_ENV, PATH and their like are commands).
    let mut for_kernels = environment.clone();
    for_kernels.extend(subject.file.spec.variables.clone());
    let delta = ActivationDelta::between(&captured.before, &for_kernels);
    Ok(Activated { environment, delta })
}

async fn set_up_one(
    kernel: &SubjectKernel<'_>,
    subject: &Subject<'_>,
    prefix: &Path,
    home: &Path,
    activated: &Activated,
    personal: &Personal,
) -> Result<KernelReceipt, ApplyError> {
    let request = &kernel.request;
    let name = request.name.value.as_str();
    let folder = prefix.join(KERNELS);
    let (pattern, shipped) = match &kernel.definition.kernelspec {
        KernelspecSource::Shipped { dir } => (dir, find(&folder, dir)),
        KernelspecSource::Installer { argv, dir, env } => {
            let shipped = match find(&folder, dir) {
                Some(shipped) => Some(shipped),
                None => run_installer(name, argv, dir, env, prefix, home, activated).await?,
            };
            (dir, shipped)
        }
    };
    let shipped = shipped.ok_or_else(|| ApplyError::NoKernelspec {
        kernel: name.to_owned(),
        definition: kernel.definition.id.to_string(),
        directory: pattern.as_str().to_owned(),
    })?;
    // A kernel that borrows a definition (`use: python`) gets a folder of its
    // own, so that both stay; else the folder keeps its name, which is the one
    // that notebooks of other installations ask for.
    let directory = if request.definition.is_some() {
        name.to_ascii_lowercase()
    } else {
        shipped
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };

    let bad = |source| ApplyError::Kernelspec {
        kernel: name.to_owned(),
        source,
    };
    let path = shipped.join("kernel.json");
    let text = fs::read_to_string(&path).map_err(ApplyError::unreadable(&path))?;
    let rewritten = KernelSpec::parse(&text)
        .map_err(bad)?
        .rewrite(
            &Rewrite {
                prefix: &prefix.to_string_lossy(),
                definition: kernel.definition,
                display_name: request.display_name.as_ref().map(|at| at.value.as_str()),
                env: &request.env,
                activation: &activated.delta,
                personal,
            },
            |path| is_executable(Path::new(path)),
        )
        .map_err(bad)?;
    write_kernelspec(&shipped, &folder.join(&directory), &rewritten)?;

    let display_name = match &request.display_name {
        Some(given) => given.value.clone(),
        None => format!("{} ({})", rewritten.display_name(), subject.file.spec.name),
    };
    Ok(KernelReceipt {
        name: name.to_owned(),
        definition: kernel.definition.id.to_string(),
        directory,
        registered: kernel.registered.as_str().to_owned(),
        display_name,
    })
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

/// Runs a language's own installer inside the activated prefix, with all that
/// a home has pointing to a folder that goes with us, and takes over the
/// kernelspec that it made.
async fn run_installer(
    kernel: &str,
    argv: &[String],
    dir: &KernelDir,
    env: &BTreeMap<String, String>,
    prefix: &Path,
    home: &Path,
    activated: &Activated,
) -> Result<Option<PathBuf>, ApplyError> {
    let staging = home.join("share");
    let data = staging.join("jupyter");
    let mut words = argv.iter();
    let program = words.next().map_or("", String::as_str);
    let command_text = argv.join(" ");
    let failed = |output: String| ApplyError::Installer {
        kernel: kernel.to_owned(),
        command: command_text.clone(),
        output,
    };
    let child = Command::new(prefix.join("bin").join(program))
        .args(words)
        .env_clear()
        .envs(&activated.environment)
        .envs(env)
        .env("HOME", home)
        .env("XDG_DATA_HOME", &staging)
        .env("JUPYTER_DATA_DIR", &data)
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let group = Group::of(&child);
    let output = child.wait_with_output().await;
    drop(group);
    let output = output.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        return Err(failed(both_ends(&text)));
    }
    let Some(made) = find(&data.join("kernels"), dir) else {
        return Ok(None);
    };
    let into = prefix
        .join(KERNELS)
        .join(made.file_name().unwrap_or_default());
    copy_files(&made, &into)?;
    Ok(Some(into))
}

/// The processes of an installer, killed when dropped: what it left in the
/// background, or all of them when the user has enough. None may write into a
/// generation once that is whole.
struct Group(Option<Pid>);

impl Group {
    /// The group that a child leads.
    fn of(child: &Child) -> Self {
        let leader = child.id().and_then(|id| i32::try_from(id).ok());
        Self(leader.and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // An error means that nobody is left in it.
            let _gone = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// The beginning and the end of a text.
fn both_ends(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    if lines.len() <= 2 * OUTPUT_LINES {
        return lines.join("\n");
    }
    let (head, tail) = (&lines[..OUTPUT_LINES], &lines[lines.len() - OUTPUT_LINES..]);
    [head, &["…"], tail].concat().join("\n")
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
