//! What is told of a spec.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::apply::{self, ApplyError, Context, LockPolicy, Subject, SubjectKernel};
use crate::conda::Shown;
use crate::site::ResolvedLaunch;
use crate::spec::{At, ChannelPriority, EnvSpec};

/// The answer.
#[derive(Serialize)]
pub(super) struct Answer {
    version: u32,
    pub(super) environment: String,
    pub(super) spec: std::path::PathBuf,
    pub(super) lock: LockState,
    pub(super) channels: Vec<String>,
    pub(super) channel_priority: &'static str,
    pub(super) platforms: Vec<String>,
    /// What the nodes have that it will run on, as the spec says, then the site.
    pub(super) target: BTreeMap<String, String>,
    pub(super) dependencies: Vec<String>,
    pub(super) pip: Vec<String>,
    pub(super) post_link: Vec<String>,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) kernels: Vec<Kernel>,
    /// Conda's and rattler's configuration, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) configuration: Option<Shown>,
    pub(super) site: String,
    /// What a session asks for, with what the site adds.
    pub(super) launch: BTreeMap<&'static str, String>,
    pub(super) root: std::path::PathBuf,
    pub(super) current: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Kernel {
    pub(super) name: String,
    pub(super) registered: String,
    pub(super) adds: Vec<String>,
    pub(super) asks: Vec<String>,
    /// Packages of its own language.
    pub(super) packages: Vec<String>,
    /// The installable of a kernel from Nix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) installable: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) display_name: Option<String>,
    pub(super) isolated: bool,
    pub(super) env: BTreeMap<String, String>,
    pub(super) limits: BTreeMap<&'static str, String>,
}

/// How the lock beside the spec is.
#[derive(Serialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum LockState {
    UpToDate,
    Stale,
    Missing,
    Unreadable,
}

pub(super) fn answer(
    context: &Context,
    subject: &Subject,
    current: Option<String>,
) -> Result<Answer, ApplyError> {
    let spec = &subject.file.spec;
    let platforms = match spec.platforms.as_slice() {
        [] => vec![context.platform.to_string()],
        platforms => platforms.iter().map(|at| at.value.to_string()).collect(),
    };
    Ok(Answer {
        version: 1,
        environment: spec.name.to_string(),
        spec: subject.file.path.clone(),
        lock: lock_state(context, subject)?,
        channels: texts(&spec.channels),
        channel_priority: match spec.channel_priority {
            ChannelPriority::Strict => "strict",
            ChannelPriority::Disabled => "disabled",
        },
        platforms,
        target: target(subject),
        dependencies: spec.dependencies.iter().map(ToString::to_string).collect(),
        pip: pip(spec),
        post_link: texts_of(spec.post_link.iter().map(|at| at.value.as_normalized())),
        variables: spec.variables.clone(),
        kernels: subject.kernels.iter().map(kernel).collect(),
        configuration: None,
        site: subject.site.name.to_string(),
        launch: launch(&subject.launch),
        root: context.root.path().to_owned(),
        current,
    })
}

fn lock_state(context: &Context, subject: &Subject) -> Result<LockState, ApplyError> {
    Ok(match subject.lock_there() {
        None if subject.file.lock_path().exists() => LockState::Unreadable,
        None => LockState::Missing,
        Some(_) if apply::needs_solution(context, subject, LockPolicy::Update)? => LockState::Stale,
        Some(_) => LockState::UpToDate,
    })
}

fn pip(spec: &EnvSpec) -> Vec<String> {
    let lines = spec.pip_sections().flat_map(|pip| &pip.requirements);
    lines.map(ToString::to_string).collect()
}

fn target(subject: &Subject) -> BTreeMap<String, String> {
    let declared = subject.declared_target().into_iter().map(|package| {
        let name = package.name.as_normalized().trim_start_matches('_');
        match name {
            "archspec" => ("arch".to_owned(), package.build_string.to_string()),
            name => (name.to_owned(), package.version.to_string()),
        }
    });
    declared.collect()
}

fn launch(launch: &ResolvedLaunch) -> BTreeMap<&'static str, String> {
    let partitions = texts_of(&launch.partitions).join(",");
    let said = [
        ("time", launch.time.map(|time| time.to_string())),
        ("memory", launch.memory.map(|memory| memory.to_string())),
        ("cpus", Some(launch.cpus.to_string())),
        ("gpus", (launch.gpus > 0).then(|| launch.gpus.to_string())),
        ("partition", (!partitions.is_empty()).then_some(partitions)),
        ("account", launch.account.as_ref().map(ToString::to_string)),
        ("qos", launch.qos.as_ref().map(ToString::to_string)),
        ("interface", Some(launch.interface.as_str().to_owned())),
        ("root_dir", launch.root_dir.clone()),
        ("idle", launch.idle.map(|idle| idle.to_string())),
    ];
    let said = said.into_iter();
    said.filter_map(|(key, value)| Some((key, value?)))
        .collect()
}

fn kernel(kernel: &SubjectKernel) -> Kernel {
    let request = &kernel.request;
    let definition = kernel.definition().into_iter();
    let limits = &request.limits;
    let memory = limits.memory.as_ref().map(|at| at.value.to_string());
    let threads = limits.threads.as_ref().map(|at| at.value.to_string());
    let limits = [("memory", memory), ("threads", threads)].into_iter();
    Kernel {
        name: request.name.value.clone(),
        registered: kernel.registered.to_string(),
        adds: texts_of(
            definition
                .flat_map(|definition| &definition.packages)
                .map(|package| &package.text),
        ),
        asks: texts_of(&request.dependencies),
        packages: texts(&request.packages),
        installable: request.installable.as_ref().map(|at| at.value.clone()),
        display_name: request.display_name.as_ref().map(|at| at.value.clone()),
        isolated: request.isolated,
        env: request.env.clone(),
        limits: limits
            .filter_map(|(key, value)| Some((key, value?)))
            .collect(),
    }
}

fn texts(list: &[At<String>]) -> Vec<String> {
    texts_of(list.iter().map(|at| &at.value))
}

fn texts_of<T: ToString>(list: impl IntoIterator<Item = T>) -> Vec<String> {
    list.into_iter().map(|one| one.to_string()).collect()
}
