//! How the kernelspec of a kernel comes into the prefix, by the way that its definition
//! declares.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;

use super::link_scripts::Message;
use super::staging::{Failed, Run};
use super::strays::Watched;
use super::{KERNELS, Setting, copy_tree, find, is_executable};
use crate::apply::error::ApplyError;
use crate::apply::subject::SubjectKernel;
use crate::kernel::{Argv, Installer, KernelDefinition, KernelSpec, KernelspecSource};
use crate::store::StoreError;

/// The kernelspec's folder in the prefix, made if no package brings it. Whatever the
/// definition says, one that a package brings is the one.
pub(super) async fn make(
    setting: &Setting<'_>,
    kernel: &SubjectKernel,
    definition: &KernelDefinition,
) -> Result<PathBuf, ApplyError> {
    let source = &definition.kernelspec;
    let folder = setting.prefix.join(KERNELS);
    let mut found = find(&folder, source.dir());
    let is_installed = found.is_none() && matches!(source, KernelspecSource::Installer(_));
    let adds = definition.add_packages.is_some() && !kernel.request.packages.is_empty();
    let watched = (is_installed || adds).then(|| Watched::new(setting, source.dir()));
    let made = match source {
        KernelspecSource::Installer(installer) if found.is_none() => {
            install(setting, kernel, installer).await
        }
        KernelspecSource::Written { dir, argv } if found.is_none() => {
            write(definition, argv, &folder.join(dir.as_str())).map(Some)
        }
        _ => Ok(found.take()),
    };
    let made = match made {
        Ok(made) => add_packages(setting, kernel, definition)
            .await
            .map(|()| made),
        failed => failed,
    };
    // Also what one that failed has left there.
    let strays = watched.map(Watched::strays).unwrap_or_default();
    if !strays.is_empty() {
        return Err(ApplyError::InstallerStrays {
            kernel: kernel.request.name.value.clone(),
            strays: strays.join("\n"),
            failure: made
                .err()
                .map(|error| format!("\n{error}"))
                .unwrap_or_default(),
        });
    }
    made?.ok_or_else(|| ApplyError::NoKernelspec {
        kernel: kernel.request.name.value.clone(),
        definition: definition.id.to_string(),
        directory: source.dir().as_str().to_owned(),
        messages: in_lines(setting.messages),
    })
}

/// What post-link scripts said, below what else is said.
fn in_lines(messages: &[Message]) -> String {
    messages.iter().fold(String::new(), |text, message| {
        text + "\n" + &message.to_string()
    })
}

/// Adds the packages of the language's own that the spec lists.
async fn add_packages(
    setting: &Setting<'_>,
    kernel: &SubjectKernel,
    definition: &KernelDefinition,
) -> Result<(), ApplyError> {
    let (Some(command), packages @ [_, ..]) =
        (&definition.add_packages, kernel.request.packages.as_slice())
    else {
        return Ok(());
    };
    let names = packages.iter().map(|package| package.value.clone());
    let installer = match &definition.kernelspec {
        KernelspecSource::Installer(installer) => Some(installer),
        _ => None,
    };
    run(setting, kernel, command, names.collect(), installer).await
}

/// Runs a language's own installer, and takes over the kernelspec that it made.
async fn install(
    setting: &Setting<'_>,
    kernel: &SubjectKernel,
    installer: &Installer,
) -> Result<Option<PathBuf>, ApplyError> {
    for command in &installer.commands {
        run(setting, kernel, command, Vec::new(), Some(installer)).await?;
    }
    let folder = setting.prefix.join(KERNELS);
    let Some(made) = find(&setting.staging.kernels(), &installer.dir) else {
        // `--prefix` and `--sys-prefix` write here.
        return Ok(find(&folder, &installer.dir));
    };
    let into = folder.join(made.file_name().unwrap_or_default());
    copy_tree(&made, &into)?;
    // Some name their own folder, and what they put there (a jar), in the command.
    let file = into.join("kernel.json");
    let text = fs::read_to_string(&file).map_err(ApplyError::unreadable(&file))?;
    if let Ok(kernelspec) = KernelSpec::parse(&text) {
        let moved = kernelspec.moved(&made.to_string_lossy(), &into.to_string_lossy());
        crate::store::write_whole(&file, moved.to_json().as_bytes())?;
    }
    Ok(Some(into))
}

/// Runs one command of a definition, with arguments behind its own.
async fn run(
    setting: &Setting<'_>,
    kernel: &SubjectKernel,
    command: &Argv,
    more: Vec<String>,
    installer: Option<&Installer>,
) -> Result<(), ApplyError> {
    let prefix = setting.prefix.to_string_lossy();
    let mut words = command.within(&prefix);
    let program = words.next().unwrap_or_default();
    let folders = setting.activated.delta.program_folders(&prefix);
    let places = folders
        .iter()
        .map(|folder| Path::new(folder).join(&program));
    let program = places
        .into_iter()
        .find(|path| is_executable(path))
        .unwrap_or_else(|| setting.prefix.join("bin").join(&program));
    let env = installer.into_iter().flat_map(|installer| &installer.env);
    let env = env.map(|(name, value)| (name.clone(), value.replace("{prefix}", &prefix)));
    let seconds = installer.map_or(Installer::SECONDS, |installer| installer.seconds);
    let wanted = Run {
        program,
        shown: command.to_string(),
        arguments: words.chain(more).collect(),
        environment: &setting.activated.environment,
        env: env.collect(),
        inherit: installer.map_or(&[], |installer| &installer.inherit),
        input: String::new(),
        limit: Duration::from_secs(seconds.into()),
    };
    let ran = setting.staging.run(wanted).await;
    ran.map_err(
        |Failed {
             command, output, ..
         }| ApplyError::Installer {
            kernel: kernel.request.name.value.clone(),
            command,
            output,
        },
    )
}

/// Writes the kernelspec that nobody else writes.
fn write(definition: &KernelDefinition, argv: &Argv, into: &Path) -> Result<PathBuf, ApplyError> {
    fs::create_dir_all(into).map_err(StoreError::io("could not make", into))?;
    let kernelspec = KernelSpec::of(argv.words(), &definition.display_name, &definition.language);
    crate::store::write_whole(&into.join("kernel.json"), kernelspec.to_json().as_bytes())?;
    Ok(into.to_owned())
}
