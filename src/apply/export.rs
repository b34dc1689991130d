//! From a subject and its lock to what the files of other tools are made of.

use rattler_conda_types::{MatchSpec, Subdir};

use super::context::Context;
use super::error::ApplyError;
use super::resolve::Locked;
use super::subject::{KernelOrigin, Subject, SubjectKernel};
use crate::kernel::KernelspecSource;
use crate::lock::Lock;
use crate::lock::interchange::{Exported, Portable, PortableChannel, PortablePlatform};
use crate::spec::EnvSpec;
use crate::spec::edit::{self, EditError};

/// One prefix of a locked environment, for the writers of formats.
#[derive(Debug)]
pub struct Exportable {
    /// What they write.
    pub portable: Portable,
    /// The lock itself.
    pub lock: Lock,
}

/// Reads one prefix of a lock: the environment's own, or an isolated kernel's.
///
/// # Errors
/// The lock can't be read, or lacks the kernel.
pub fn exportable(
    context: &Context,
    subject: &Subject,
    locked: &Locked,
    kernel: Option<&str>,
) -> Result<Exportable, ApplyError> {
    let lock = locked.text.read()?;
    let mut platforms = Vec::new();
    for &platform in &locked.platforms {
        platforms.push(PortablePlatform {
            platform,
            conda: lock.conda_records(kernel, platform)?,
            pypi: lock.pypi(kernel, platform),
        });
    }
    let spec = &subject.file.spec;
    let names = context.settings()?.names();
    let channels = locked.channels.iter().map(|channel| {
        let url: url::Url = channel.base_url.url().clone().into();
        PortableChannel {
            name: names.short(&url),
            url,
        }
    });
    let name = match kernel {
        Some(kernel) => format!("{}-{kernel}", spec.name),
        None => spec.name.to_string(),
    };
    Ok(Exportable {
        portable: Portable {
            name,
            from: file_name(subject),
            channels: channels.collect(),
            variables: spec.variables.clone(),
            platforms,
        },
        lock,
    })
}

/// The spec as conda and mamba read it: the packages of the kernels in it, since nobody
/// adds them there, and envspec's own keys out of it. With `kernel`, the packages of that
/// isolated kernel alone.
///
/// # Errors
/// The file is written in a form that can't be cut.
pub fn plain_spec(subject: &Subject, kernel: Option<&str>) -> Result<Exported, EditError> {
    let file = &subject.file;
    let here = subject
        .kernels
        .iter()
        .filter(|one| one.isolated() == kernel && one.definition().is_some());
    let requirements: Vec<(MatchSpec, String)> = here.flat_map(requirements).collect();
    let text = match kernel {
        None => edit::plain(&file.source, &file.spec, &requirements)?,
        Some(kernel) => edit::plain_of(&file.spec, kernel, &requirements),
    };
    Ok(Exported {
        text,
        left_out: selected(subject, kernel),
    })
}

/// The lines that are for some platforms: conda reads a comment as none and refuses
/// mamba's words, and what stands among a kernel's packages loses them.
fn selected(subject: &Subject, kernel: Option<&str>) -> Vec<String> {
    let spec = &subject.file.spec;
    let of_spec = spec.dependencies.iter().filter(|_| kernel.is_none());
    let of_kernels = subject.kernels.iter();
    let of_kernels = of_kernels.filter(|one| one.isolated() == kernel);
    let of_kernels = of_kernels.flat_map(|one| &one.request.dependencies);
    let all = of_spec.chain(of_kernels);
    all.filter(|own| own.selector.is_some())
        .map(|own| format!("for conda, that `{own}` is for these platforms alone"))
        .chain(of_kernels_by_pip(spec, kernel))
        .collect()
}

/// What kernels ask of pip, which stands in no section that conda reads.
fn of_kernels_by_pip(spec: &EnvSpec, kernel: Option<&str>) -> Option<String> {
    let asked = spec.pip_of(kernel)?.requirements;
    let own = spec.pip.as_ref().filter(|_| kernel.is_none());
    let own = own.map_or(0, |section| section.requirements.len());
    let lines: Vec<&str> = asked[own..].iter().map(|line| line.text.as_str()).collect();
    (!lines.is_empty()).then(|| format!("what kernels ask of pip: {}", lines.join(", ")))
}

/// A kernel's own requirements and those of its definition.
fn requirements(kernel: &SubjectKernel) -> impl Iterator<Item = (MatchSpec, String)> {
    let own = kernel.request.dependencies.iter();
    let own = own.map(|own| (own.spec.clone(), own.text.clone()));
    let brought = kernel.definition().into_iter();
    let brought = brought.flat_map(|definition| &definition.packages);
    own.chain(brought.map(|package| (package.spec.clone(), package.text.clone())))
}

/// What a spec says and no format of other tools has a place for, a line each.
/// `prefixes` is whether the format has isolated kernels' prefixes too.
pub fn not_exported(subject: &Subject, kernel: Option<&str>, prefixes: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let spec = &subject.file.spec;
    if let Some(kernel) = kernel {
        lines.push(format!("all but the prefix of the kernel {kernel}"));
    }
    for one in &subject.kernels {
        let name = &one.request.name.value;
        if one.isolated() == kernel || (prefixes && one.definition().is_some()) {
            lines.extend(of_kernel(one));
        } else if kernel.is_none() && one.isolated().is_some() {
            lines.push(format!(
                "the kernel {name}, which has a prefix of its own: --kernel {name}"
            ));
        }
    }
    let keys = [
        ("target", spec.target != crate::spec::Target::default()),
        ("post_link", !spec.post_link.is_empty()),
        ("site", spec.site.is_some()),
        ("launch", spec.launch != crate::spec::Launch::default()),
    ];
    let said = keys.into_iter().filter(|(_, said)| *said);
    lines.extend(said.map(|(key, _)| format!("`{key}`")));
    lines
}

/// What of a kernel is not in its packages.
fn of_kernel(kernel: &SubjectKernel) -> Vec<String> {
    let request = &kernel.request;
    let name = &request.name.value;
    let definition = match &kernel.origin {
        KernelOrigin::Nix(_) => return vec![format!("the kernel {name}, which is from Nix")],
        KernelOrigin::Packages(definition) => definition,
    };
    let mut lines = Vec::new();
    match &definition.kernelspec {
        KernelspecSource::Shipped { .. } | KernelspecSource::PostLink { .. } => {}
        KernelspecSource::Installer(_) | KernelspecSource::Written { .. } => lines.push(format!(
            "the kernelspec of {name}, which its packages don't bring ({})",
            definition.kernelspec
        )),
    }
    if !request.packages.is_empty() {
        let packages: Vec<&str> = request
            .packages
            .iter()
            .map(|at| at.value.as_str())
            .collect();
        lines.push(format!(
            "the packages of {} for {name}: {}",
            definition.language,
            packages.join(", ")
        ));
    }
    let limits = &request.limits;
    let options = [
        ("display name", request.display_name.is_some()),
        ("variables", !request.env.is_empty()),
        (
            "limits",
            limits.memory.is_some() || limits.threads.is_some(),
        ),
    ];
    let said = options.into_iter().filter(|(_, said)| *said);
    lines.extend(said.map(|(what, _)| format!("the {what} of the kernel {name}")));
    lines
}

/// The names of the kernels that have a prefix of their own.
pub fn isolated_kernels(subject: &Subject) -> Vec<&str> {
    subject
        .kernels
        .iter()
        .filter_map(SubjectKernel::isolated)
        .collect()
}

/// The platform to write where a format has only one: the one asked for, else this
/// machine's, else the only one; `None` if that can't be told.
pub fn one_platform(
    portable: &Portable,
    asked: Option<Subdir>,
    here: Subdir,
) -> Option<&PortablePlatform> {
    let find = |wanted: Subdir| portable.platforms.iter().find(|at| at.platform == wanted);
    match (asked, portable.platforms.as_slice()) {
        (Some(asked), _) => find(asked),
        (None, [only]) => Some(only),
        (None, _) => find(here),
    }
}

fn file_name(subject: &Subject) -> String {
    let name = subject.file.path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
