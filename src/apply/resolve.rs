//! From a spec to the lock that belongs to it.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use rattler_conda_types::{Channel, MatchSpec, Subdir};

use super::context::Context;
use super::error::ApplyError;
use super::forbidden::{named_channels, refuse_forbidden, refuse_names};
use super::nix;
use super::prefixes::LockedPrefix;
use super::solution::{Keep, solution};
use super::subject::Subject;
use crate::conda::resolve_channels;
use crate::lock::{Inputs, LockText, Origin, Request, pip_lines};

/// What to do with a lock that does not belong to its spec any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockPolicy {
    /// Bring it up to date, changing as little as possible.
    Update,
    /// Refuse (`--locked`).
    Locked,
    /// Use it as it is (`--frozen`).
    Frozen,
    /// Solve anew, whatever is locked.
    Renew,
}

/// The lock to use.
#[derive(Debug)]
pub struct Locked {
    /// Its text.
    pub text: LockText,
    /// What the file held that it is to be written to, if there was one.
    found: Option<LockText>,
    /// The channels, resolved.
    pub channels: Vec<Channel>,
    /// What its user should know of it, if it is new.
    pub warnings: Vec<String>,
    /// The platforms that it is for.
    pub platforms: Vec<Subdir>,
    /// The user's requirements and those of the kernels, by the isolated kernel for
    /// whose prefix they are.
    requested: Requested,
    /// Whether it is to be used as it is, whatever it says.
    is_frozen: bool,
    /// The prefixes, once they were asked for.
    prefixes: OnceLock<Vec<LockedPrefix>>,
}

/// Requirements by the prefix that they are for, the environment's own first.
type Requested = BTreeMap<Option<String>, Vec<MatchSpec>>;

impl Locked {
    /// A lock's text, made for these inputs or still theirs, to be used on the platform
    /// that this is.
    pub(super) fn new(
        here: Subdir,
        text: LockText,
        found: Option<LockText>,
        channels: Vec<Channel>,
        inputs: Inputs,
    ) -> Self {
        let requested = inputs.prefixes().map(|(isolated, requests)| {
            let of_here = requests.iter().filter(|request| request.applies_to(here));
            let specs = of_here.map(|request| request.spec.clone());
            (isolated.map(str::to_owned), specs.collect())
        });
        Self {
            requested: requested.collect(),
            platforms: inputs.platforms,
            warnings: Vec::new(),
            text,
            found,
            channels,
            is_frozen: false,
            prefixes: OnceLock::new(),
        }
    }

    /// The same with what its user should know.
    pub(super) fn warning(self, warnings: Vec<String>) -> Self {
        Self { warnings, ..self }
    }

    /// Whether it is what the file beside the spec holds.
    pub fn is_written(&self) -> bool {
        self.is_found(Some(&self.text))
    }

    /// Whether somebody may have edited it, and did not ask for it as it is: then its
    /// packages must be of the spec's channels.
    pub(super) fn is_doubted(&self) -> bool {
        self.is_written() && !self.is_frozen
    }

    /// Whether this is what the file held.
    pub(super) fn is_found(&self, lock: Option<&LockText>) -> bool {
        self.found.as_ref().map(LockText::as_str) == lock.map(LockText::as_str)
    }

    /// The packages whose post-link scripts are run.
    pub(super) fn post_link(&self) -> impl Iterator<Item = &str> {
        self.text.post_link()
    }

    /// The prefixes for the platform of this run. The text is parsed once,
    /// which takes longer than all else about a lock: a plan is made twice, the
    /// second time when the lease is held.
    pub(super) fn prefixes(&self, context: &Context) -> Result<&[LockedPrefix], ApplyError> {
        if let Some(prefixes) = self.prefixes.get() {
            return Ok(prefixes);
        }
        let lock = self.text.read()?;
        let mut prefixes = Vec::new();
        for (isolated, requested) in &self.requested {
            prefixes.push(LockedPrefix {
                isolated: isolated.clone(),
                records: lock.records(isolated.as_deref(), context.platform)?,
                requested: requested.clone(),
            });
        }
        Ok(self.prefixes.get_or_init(|| prefixes))
    }
}

/// Finds the lock of a spec: the file beside it if it still belongs to it,
/// else a new solution, which is not written yet.
pub async fn resolve(
    context: &Context,
    subject: &Subject,
    policy: LockPolicy,
) -> Result<Locked, ApplyError> {
    let (inputs, channels) = inputs(context, subject)?;
    let found = subject.file.lock_text()?;
    let name = subject.file.lock_name();
    let staleness = match &found {
        None => None,
        Some(lock) => match lock.inputs() {
            Some(lines) => Some(inputs.staleness(&lines)),
            // Rubble is nobody's.
            None if policy == LockPolicy::Renew && lock.read().is_err() => None,
            // Whose ever it is, only --frozen may use it, and nobody write it.
            None if policy == LockPolicy::Frozen => None,
            None => return Err(ApplyError::ForeignLock { name }),
        },
    };
    match (policy, found, staleness) {
        (LockPolicy::Frozen | LockPolicy::Locked, None, _) => Err(ApplyError::NoLock {
            spec: subject.file.source.name().to_owned(),
            name,
        }),
        (LockPolicy::Locked, Some(_), Some(Some(staleness))) => Err(ApplyError::StaleLock {
            name,
            spec: subject.file.source.name().to_owned(),
            staleness,
        }),
        (LockPolicy::Frozen, Some(text), _)
        | (LockPolicy::Locked | LockPolicy::Update, Some(text), Some(None)) => {
            let (found, here) = (Some(text.clone()), context.platform);
            let is_frozen = policy == LockPolicy::Frozen;
            Ok(Locked {
                is_frozen,
                ..Locked::new(here, text, found, channels, inputs)
            })
        }
        (policy, found, _) => {
            // A broken lock is no reason to stop: the solution just starts from
            // nothing then.
            let earlier = found.as_ref().filter(|_| policy != LockPolicy::Renew);
            let keep = earlier.map_or(Keep::Nothing, Keep::All);
            let solved = solution(context, subject, &inputs, &channels, &keep).await?;
            let locked = Locked::new(context.platform, solved.text, found, channels, inputs);
            Ok(locked.warning(solved.warnings))
        }
    }
}

/// Whether a lock has to be solved for: there is none that belongs to the spec,
/// and the policy allows a new one.
pub fn needs_solution(
    context: &Context,
    subject: &Subject,
    policy: LockPolicy,
) -> Result<bool, ApplyError> {
    match policy {
        LockPolicy::Locked | LockPolicy::Frozen => Ok(false),
        LockPolicy::Renew => Ok(true),
        LockPolicy::Update => {
            let (inputs, _) = inputs(context, subject)?;
            let lock = subject.lock_there();
            let lines = lock.as_ref().and_then(LockText::inputs);
            Ok(lines.is_none_or(|lines| inputs.staleness(&lines).is_some()))
        }
    }
}

/// Judges what a spec asks of channels, without asking them.
pub fn judge_channels(context: &Context, subject: &Subject) -> Result<(), ApplyError> {
    inputs(context, subject).map(drop)
}

/// Everything that decides the solution, and the channels with their names.
pub(super) fn inputs(
    context: &Context,
    subject: &Subject,
) -> Result<(Inputs, Vec<Channel>), ApplyError> {
    let spec = &subject.file.spec;
    let platforms: Vec<Subdir> = if spec.platforms.is_empty() {
        vec![context.platform]
    } else {
        spec.platforms
            .iter()
            .map(|platform| platform.value)
            .collect()
    };
    let ask = |dependency| Request::new(dependency, &platforms);
    let mut requests: Vec<Request> = spec.dependencies.iter().filter_map(ask).collect();
    let mut isolated: BTreeMap<String, Vec<Request>> = BTreeMap::new();
    for kernel in &subject.kernels {
        let own = kernel.request.dependencies.iter().filter_map(|dependency| {
            let mut request = ask(dependency)?;
            if let Origin::Spec { kernel: of, .. } = &mut request.origin {
                *of = Some(kernel.request.name.value.clone());
            }
            Some(request)
        });
        let packages = kernel.definition().into_iter();
        let packages = packages.flat_map(|definition| &definition.packages);
        let brought = packages.map(|package| Request {
            spec: package.spec.clone(),
            origin: Origin::Kernel {
                kernel: kernel.request.name.value.clone(),
                span: kernel.request.name.span,
            },
            only: None,
        });
        match kernel.isolated() {
            Some(name) => isolated.entry(name.to_owned()).or_default(),
            None => &mut requests,
        }
        .extend(own.chain(brought));
    }
    let all = || requests.iter().chain(isolated.values().flatten());
    let settings = context.settings()?;
    refuse_names(subject, settings, all())?;
    let (channels, settled) = resolve_channels(
        settings.names(),
        named_channels(spec, settings)
            .into_iter()
            .map(|(name, _)| name),
        all().map(|request| &request.spec),
    )?;
    let all = requests.iter_mut().chain(isolated.values_mut().flatten());
    for (request, spec) in all.zip(settled) {
        request.spec = spec;
    }
    let pip = std::iter::once(None)
        .chain(isolated.keys().map(|kernel| Some(kernel.as_str())))
        .flat_map(|kernel| pip_lines(subject.pip_of(kernel), kernel, &platforms))
        .collect();
    let inputs = Inputs {
        channel_priority: spec.channel_priority,
        channels: channels
            .iter()
            .map(|channel| channel.base_url.url().to_string())
            .collect(),
        platforms,
        target: subject.declared_target(),
        requests,
        isolated,
        pip,
        post_link: subject.post_link(),
        nix: nix::inputs(subject)?,
    };
    refuse_forbidden(context, subject, &inputs)?;
    Ok((inputs, channels))
}
