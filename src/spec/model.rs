//! What a spec means, once every text in it has been judged.
//!
//! Only valid values exist here: the shape of the YAML is left behind in
//! [`super::parse`], and nobody downstream checks a name or a unit again. Each
//! value that a later room may have to complain about keeps its place in the
//! file ([`At`]), so that the complaint can underline it.

use std::collections::BTreeMap;

use rattler_conda_types::{MatchSpec, PackageName, Subdir, Version};

use super::launch::{Launch, MemorySize};
use super::pip::{PipKind, PipRequirement};
use super::selector::Selector;
use super::source::SourceText;

/// A run of bytes in the text of a spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first byte, counted from 0.
    pub offset: usize,
    /// The length in bytes; 0 for a place between two characters.
    pub len: usize,
}

impl From<Span> for miette::SourceSpan {
    fn from(span: Span) -> Self {
        (span.offset, span.len).into()
    }
}

/// A value and the place in the spec where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands in the file.
    pub span: Span,
}

/// The name of an environment: 1 to 64 characters of `[A-Za-z0-9._-]`, the
/// first one a letter or a digit.
///
/// It becomes a file name, a part of a kernelspec's name and a word of shell
/// scripts, which is why nothing else is let in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct EnvName(String);

impl EnvName {
    /// Checks a text and makes it a name; `None` if it breaks the rule above.
    pub fn new(text: &str) -> Option<Self> {
        let mut characters = text.chars();
        let first = characters.next()?;
        let tail_is_fine = characters.all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        (first.is_ascii_alphanumeric() && tail_is_fine && text.len() <= 64)
            .then(|| Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for EnvName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One conda requirement: an entry of `dependencies`, of a kernel's own
/// `dependencies`, or one that a kernel definition adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The requirement as conda understands it; `channel::name` is in it.
    pub spec: MatchSpec,
    /// The requirement as the user wrote it.
    pub text: String,
    /// Where it stands in the file.
    pub span: Span,
    /// The platforms that it is for; `None` for all.
    pub selector: Option<Selector>,
}

impl Dependency {
    /// Whether it is for a platform.
    pub fn applies_to(&self, platform: Subdir) -> bool {
        let selector = self.selector.as_ref();
        selector.is_none_or(|selector| selector.applies_to(platform))
    }
}

/// The requirement as written, and for which platforms it is: `libx [linux]`.
impl std::fmt::Display for Dependency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)?;
        match &self.selector {
            Some(selector) => write!(f, " [{selector}]"),
            None => Ok(()),
        }
    }
}

/// One entry of `kernels`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelRequest {
    /// The entry's name: also the kernel definition's, unless `use` names one.
    pub name: At<String>,
    /// The kernel definition to use (`use: python`), if it isn't called `name`.
    pub definition: Option<At<String>>,
    /// Packages that go into the kernel's prefix with it.
    pub dependencies: Vec<Dependency>,
    /// What it asks of pip, for the same prefix.
    pub pip: Option<PipSection>,
    /// Packages of the kernel's own language (`julia: {packages: [...]}`).
    pub packages: Vec<At<String>>,
    /// The name that a launcher shows, in place of the definition's.
    pub display_name: Option<At<String>>,
    /// Variables of this kernel alone.
    pub env: BTreeMap<String, String>,
    /// What it may take of the node.
    pub limits: Limits,
    /// Whether the kernel gets a prefix of its own in the generation set.
    pub isolated: bool,
    /// For a kernel from Nix: the installable (`path:./flake#ocaml`).
    pub installable: Option<At<String>>,
}

/// What a kernel may take of the node that it runs on, whatever the job has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// The most memory that one of its processes may allocate (`RLIMIT_DATA`): beyond,
    /// allocating fails, and the kernel says so in its language's words.
    pub memory: Option<At<MemorySize>>,
    /// How many threads its libraries start by themselves.
    pub threads: Option<At<u32>>,
}

impl KernelRequest {
    /// The identifier of the definition that this request wants.
    pub fn definition_id(&self) -> &str {
        self.definition
            .as_ref()
            .unwrap_or(&self.name)
            .value
            .as_str()
    }
}

/// The node that the environment will run on, as far as the spec tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// The C library of the node (`__glibc`).
    pub glibc: Option<At<Version>>,
    /// The CUDA version that the node's driver supports (`__cuda`).
    pub cuda: Option<At<Version>>,
    /// The microarchitecture of the node (`__archspec`), for example `x86_64_v3`.
    pub arch: Option<At<String>>,
    /// The Linux kernel of the node (`__linux`).
    pub linux: Option<At<Version>>,
}

/// The `pip:` section of `dependencies`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipSection {
    /// Its entries, in the file's order; at least one.
    pub requirements: Vec<PipRequirement>,
    /// Where the key `pip` stands.
    pub span: Span,
}

impl PipSection {
    /// Its entries for a platform.
    pub fn on(&self, platform: Subdir) -> impl Iterator<Item = &PipRequirement> {
        let applies = move |line: &&PipRequirement| line.applies_to(platform);
        self.requirements.iter().filter(applies)
    }
}

impl PipRequirement {
    /// Whether it is for a platform.
    pub fn applies_to(&self, platform: Subdir) -> bool {
        let selector = self.selector.as_ref();
        selector.is_none_or(|selector| selector.applies_to(platform))
    }

    /// The text that it stands in: that of a file of requirements, or the spec's.
    pub fn place<'s>(&'s self, spec: &'s SourceText) -> &'s SourceText {
        self.file.as_ref().unwrap_or(spec)
    }

    /// The hashes of which its file has to have one (`--hash`), as `sha256:ab12…`.
    pub fn hashes(&self) -> impl Iterator<Item = &str> {
        let options = self.options.iter();
        let hashes = options.filter(|option| option.name == "--hash");
        hashes.filter_map(|option| option.value.as_deref())
    }

    /// What it asks for as a line of a requirements file, without the options behind a
    /// requirement.
    pub fn line(&self) -> String {
        match &self.kind {
            PipKind::Named(requirement) => requirement.to_string(),
            PipKind::Url(url) => url.clone(),
            // A generation never changes, so nothing in it can be edited.
            PipKind::Editable(place) => place.clone(),
            _ => self.text.clone(),
        }
    }
}

/// The entry as written, and for which platforms it is.
impl std::fmt::Display for PipRequirement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)?;
        match &self.selector {
            Some(selector) => write!(f, " [{selector}]"),
            None => Ok(()),
        }
    }
}

/// What the order of the channels means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ChannelPriority {
    /// A package comes from the first channel that has one of its name.
    #[default]
    Strict,
    /// The newest one that fits, whichever channel has it.
    Disabled,
}

/// A spec: one YAML file, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvSpec {
    /// The environment's name: the key `name`, else the file's stem.
    pub name: EnvName,
    /// The channels in the order of their priority, `nodefaults` taken out.
    pub channels: Vec<At<String>>,
    /// What their order means.
    pub channel_priority: ChannelPriority,
    /// Whether the spec itself says where packages come from; else the one channel is
    /// envspec's own choice.
    pub names_channels: bool,
    /// What the user asks of conda, in the file's order.
    pub dependencies: Vec<Dependency>,
    /// What the user asks of pip.
    pub pip: Option<PipSection>,
    /// Variables that activation sets (`variables:`).
    pub variables: BTreeMap<String, String>,
    /// The platforms to lock; empty means this machine's.
    pub platforms: Vec<At<Subdir>>,
    /// Packages whose post-link scripts are run.
    pub post_link: Vec<At<PackageName>>,
    /// The kernels, in the file's order.
    pub kernels: Vec<KernelRequest>,
    /// The node to solve for.
    pub target: Target,
    /// The site's name.
    pub site: Option<At<String>>,
    /// How a session is launched.
    pub launch: Launch,
}

impl EnvSpec {
    /// What is asked of pip for a prefix: the environment's own, with what the kernels in it
    /// ask for, or that of an isolated kernel.
    pub fn pip_of(&self, isolated: Option<&str>) -> Option<PipSection> {
        let of_spec = self.pip.iter().filter(|_| isolated.is_none());
        let kernels = self.kernels.iter().filter(|kernel| {
            let own = kernel.isolated.then_some(kernel.name.value.as_str());
            own == isolated
        });
        let mut all = of_spec
            .chain(kernels.filter_map(|kernel| kernel.pip.as_ref()))
            .cloned();
        let first = all.next()?;
        Some(all.fold(first, |mut all, more| {
            all.requirements.extend(more.requirements);
            all
        }))
    }

    /// All that is asked of pip, for whatever prefix.
    pub fn pip_sections(&self) -> impl Iterator<Item = &PipSection> {
        let of_kernels = self.kernels.iter().filter_map(|kernel| kernel.pip.as_ref());
        self.pip.iter().chain(of_kernels)
    }

    /// Whether a note is that of a spec that names no channel.
    pub fn is_default_note(&self, note: &Note) -> bool {
        let channels = texts(&self.channels);
        self.channels
            .first()
            .is_some_and(|first| *note == Self::channels_note(first.span, &channels, None))
    }

    /// The note of a spec that names no channel: where its packages come from, and
    /// who says so if it is not envspec itself.
    pub fn channels_note(span: Span, channels: &[&str], said_by: Option<&str>) -> Note {
        let list = channels.join(", ");
        let by = said_by.map_or_else(String::new, |by| format!(", as {by} says"));
        let to_whom = if said_by.is_some() {
            "everywhere"
        } else {
            "to conda"
        };
        Note {
            message: format!("no channel is named, so packages come from {list}{by}"),
            help: Some(format!(
                "write `channels: [{list}]` to say the same {to_whom}"
            )),
            span,
        }
    }
}

pub(super) fn texts(list: &[At<String>]) -> Vec<&str> {
    list.iter().map(|at| at.value.as_str()).collect()
}

/// Something that a spec says and envspec does not follow, or not as the
/// author may think: a typing mistake in a key that conda ignores, a `prefix:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// One sentence.
    pub message: String,
    /// What to do about it, if there is something.
    pub help: Option<String>,
    /// Where it stands.
    pub span: Span,
}
