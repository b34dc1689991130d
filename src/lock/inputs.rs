//! What a lock is made from, and what has changed since.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use rattler_conda_types::{GenericVirtualPackage, MatchSpec, Subdir};

use super::nix::NixInput;
use crate::spec::{ChannelPriority, Dependency, PipSection, Span};

/// One requirement that goes to the solver, and who asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The requirement.
    pub spec: MatchSpec,
    /// Who asked.
    pub origin: Origin,
    /// Those of the locked platforms that it is for; `None` if it is for all.
    pub only: Option<BTreeSet<Subdir>>,
}

impl Request {
    /// What a line of the spec asks for; `None` if it is for none of the platforms.
    pub fn new(dependency: &Dependency, platforms: &[Subdir]) -> Option<Self> {
        let wanted = wanted(platforms, |platform| dependency.applies_to(platform))?;
        Some(Self {
            spec: dependency.spec.clone(),
            origin: Origin::Spec {
                text: dependency.text.clone(),
                kernel: None,
                span: dependency.span,
            },
            only: narrower(platforms, wanted),
        })
    }

    /// Whether it is for a platform.
    pub fn applies_to(&self, platform: Subdir) -> bool {
        let only = self.only.as_ref();
        only.is_none_or(|only| only.contains(&platform))
    }

    /// Its line among the inputs: `request [linux-64 osx-arm64] libx >=2`, without the
    /// brackets where it is for all.
    fn line(&self, isolated: Option<&str>) -> String {
        let platforms = brackets(self.only.as_ref());
        match isolated {
            Some(kernel) => format!("request {platforms}of {kernel} {}", self.spec),
            None => format!("request {platforms}{}", self.spec),
        }
    }
}

/// Those of the platforms that something is for; `None` if it is for none of them.
fn wanted(platforms: &[Subdir], applies_to: impl Fn(Subdir) -> bool) -> Option<BTreeSet<Subdir>> {
    let wanted = platforms.iter().copied();
    let wanted: BTreeSet<Subdir> = wanted.filter(|platform| applies_to(*platform)).collect();
    (platforms.is_empty() || !wanted.is_empty()).then_some(wanted)
}

/// The same where it is not for all of them.
fn narrower(platforms: &[Subdir], wanted: BTreeSet<Subdir>) -> Option<BTreeSet<Subdir>> {
    let is_for_all = platforms.iter().all(|platform| wanted.contains(platform));
    (!is_for_all).then_some(wanted)
}

/// `[linux-64 osx-arm64] `, or nothing.
fn brackets(only: Option<&BTreeSet<Subdir>>) -> String {
    only.map_or_else(String::new, |only| {
        let mut names: Vec<&str> = only.iter().map(|only| only.as_str()).collect();
        names.sort_unstable();
        format!("[{}] ", names.join(" "))
    })
}

/// What a spec asks of pip, as lines: `greet >=1`, `[linux-64] greet >=1` where it is not
/// for all of the platforms, `of two greet >=1` for the prefix of an isolated kernel,
/// `-c greet <2` for a constraint, and behind a folder the hash of its files.
pub fn pip_lines(
    section: Option<&PipSection>,
    isolated: Option<&str>,
    platforms: &[Subdir],
) -> Vec<String> {
    let lines = section
        .into_iter()
        .flat_map(|section| &section.requirements);
    let lines = lines.filter_map(|line| {
        let wanted = wanted(platforms, |platform| line.applies_to(platform))?;
        let platforms = brackets(narrower(platforms, wanted).as_ref());
        let of = isolated.map_or_else(String::new, |kernel| format!("of {kernel} "));
        let constraint = if line.is_constraint { "-c " } else { "" };
        let content = line.folder.as_ref().map_or_else(String::new, |folder| {
            format!(" # sha256:{}", hex::encode(folder.sha256))
        });
        Some(platforms + &of + constraint + &line.text + &content)
    });
    lines.collect()
}

/// Who asked for a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line of the spec.
    Spec {
        /// The requirement as written.
        text: String,
        /// The kernel among whose own packages it stands, if it does.
        kernel: Option<String>,
        /// Where.
        span: Span,
    },
    /// The definition of a kernel that the spec lists.
    Kernel {
        /// The kernel's name in the spec.
        kernel: String,
        /// Where the spec lists it.
        span: Span,
    },
}

impl Origin {
    /// The kernel that is asked for with it, if one is.
    pub fn kernel(&self) -> Option<&str> {
        match self {
            Self::Spec { kernel, .. } => kernel.as_deref(),
            Self::Kernel { kernel, .. } => Some(kernel),
        }
    }

    /// The place in the spec that is to blame.
    pub fn span(&self) -> Span {
        match self {
            Self::Spec { span, .. } | Self::Kernel { span, .. } => *span,
        }
    }
}

/// Everything that decides what the solver answers, but for the channels'
/// content and this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    /// The channels' base URLs in order of priority.
    pub channels: Vec<String>,
    /// What their order means.
    pub channel_priority: ChannelPriority,
    /// The platforms to lock, in order.
    pub platforms: Vec<Subdir>,
    /// Virtual packages that the spec's target and the site declare.
    pub target: Vec<GenericVirtualPackage>,
    /// The requirements of the environment's own prefix: the spec's, then those of its
    /// kernels.
    pub requests: Vec<Request>,
    /// Those of the kernels that have a prefix of their own, by the kernels' names.
    pub isolated: BTreeMap<String, Vec<Request>>,
    /// What the spec and its kernels ask of pip, as [`pip_lines`] has it.
    pub pip: Vec<String>,
    /// The packages whose post-link scripts are run: the spec's, then those that the
    /// definitions of its kernels vouch for.
    pub post_link: BTreeSet<String>,
    /// The kernels that are asked of Nix, in the spec's order.
    pub nix: Vec<NixInput>,
}

/// What the line of a package whose post-link script is run begins with.
pub(super) const POST_LINK: &str = "post-link ";

impl Inputs {
    /// The prefixes and what each is asked to hold: the environment's own, then those of
    /// isolated kernels.
    pub fn prefixes(&self) -> impl Iterator<Item = (Option<&str>, &[Request])> {
        let isolated = self.isolated.iter();
        let isolated = isolated.map(|(kernel, requests)| (Some(kernel.as_str()), &requests[..]));
        std::iter::once((None, &self.requests[..])).chain(isolated)
    }

    /// The inputs as lines, one each, stable for the same meaning: requests
    /// and target in sorted order, channels in theirs (it is their priority).
    pub fn lines(&self) -> Vec<String> {
        let channels = self.channels.iter().map(|url| format!("channel {url}"));
        let mut platforms: Vec<_> = self
            .platforms
            .iter()
            .map(|platform| format!("platform {platform}"))
            .collect();
        platforms.sort();
        let mut target: Vec<_> = self
            .target
            .iter()
            .map(|package| format!("target {package}"))
            .collect();
        target.sort();
        let mut requests = Vec::new();
        for (isolated, asked) in self.prefixes() {
            requests.extend(asked.iter().map(|request| request.line(isolated)));
        }
        requests.sort();
        requests.dedup();
        // In the spec's order: an option of pip's may speak of what follows it.
        let pip = self.pip.iter().map(|line| format!("pip {line}"));
        let post_link = self.post_link.iter();
        let post_link = post_link.map(|package| format!("{POST_LINK}{package}"));
        let priority = match self.channel_priority {
            ChannelPriority::Strict => None,
            ChannelPriority::Disabled => Some("channel-priority disabled".to_owned()),
        };
        channels
            .chain(priority)
            .chain(platforms)
            .chain(target)
            .chain(requests)
            .chain(pip)
            .chain(post_link)
            .chain(self.nix.iter().map(NixInput::line))
            .collect()
    }

    /// Compares with the lines that a lock was made from; `None` if nothing
    /// changed since.
    pub fn staleness(&self, locked: &[&str]) -> Option<Staleness> {
        let now = self.lines();
        if now == locked {
            return None;
        }
        let added: Vec<String> = now
            .iter()
            .filter(|line| !locked.contains(&line.as_str()))
            .cloned()
            .collect();
        let removed = locked
            .iter()
            .filter(|line| !now.iter().any(|new| new == *line))
            .map(|line| (*line).to_owned())
            .collect();
        Some(Staleness { added, removed })
    }
}

/// How the inputs differ from those of a lock. Both lists are empty if only
/// the order of the channels changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staleness {
    /// Lines that the lock does not know.
    pub added: Vec<String>,
    /// Lines of the lock that are no more.
    pub removed: Vec<String>,
}

impl std::fmt::Display for Staleness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 6;
        if self.added.is_empty() && self.removed.is_empty() {
            return f.write_str("the order of the channels changed");
        }
        let lines: Vec<String> = self
            .added
            .iter()
            .map(|line| format!("+ {line}"))
            .chain(self.removed.iter().map(|line| format!("- {line}")))
            .collect();
        let mut text = lines[..lines.len().min(SHOWN)].join("\n");
        if lines.len() > SHOWN {
            write!(text, "\n… and {} more", lines.len() - SHOWN)?;
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::str::FromStr;

    use rattler_conda_types::Subdir;

    use super::{Inputs, Request};
    use crate::spec::{ChannelPriority, EnvName, SourceText, parse};

    fn inputs(requests: &[&str], channels: &[&str]) -> Inputs {
        inputs_for(&["linux-64"], requests, channels)
    }

    fn inputs_for(platforms: &[&str], requests: &[&str], channels: &[&str]) -> Inputs {
        let text = format!("dependencies:\n  - {}\n", requests.join("\n  - "));
        let source = SourceText::from_text("lab.yaml", text).unwrap();
        let (spec, _) = parse(&source, EnvName::new("lab")).unwrap();
        let platforms = platforms.iter().map(|name| Subdir::from_str(name).unwrap());
        let platforms: Vec<Subdir> = platforms.collect();
        let requests = spec.dependencies.iter();
        Inputs {
            channel_priority: ChannelPriority::Strict,
            channels: channels.iter().map(|&url| url.to_owned()).collect(),
            target: Vec::new(),
            isolated: BTreeMap::new(),
            pip: Vec::new(),
            post_link: BTreeSet::new(),
            nix: Vec::new(),
            requests: requests
                .filter_map(|dependency| Request::new(dependency, &platforms))
                .collect(),
            platforms,
        }
    }

    fn staleness(now: &Inputs, then: &Inputs) -> Option<String> {
        let then = then.lines();
        let then: Vec<&str> = then.iter().map(String::as_str).collect();
        now.staleness(&then).map(|staleness| staleness.to_string())
    }

    #[test]
    fn the_order_of_requests_and_their_spelling_do_not_make_a_lock_stale() {
        let then = inputs(&["python 3.12.*", "r-base"], &["https://c/a/"]);
        let now = inputs(&["r-base", "python=3.12"], &["https://c/a/"]);
        assert_eq!(staleness(&now, &then), None);
    }

    #[test]
    fn a_new_and_a_dropped_request_are_named() {
        let then = inputs(&["python", "r-base"], &["https://c/a/"]);
        let now = inputs(&["python", "scipy >=1.12"], &["https://c/a/"]);
        assert_eq!(
            staleness(&now, &then).unwrap(),
            "+ request scipy >=1.12\n- request r-base"
        );
    }

    fn requests(inputs: &Inputs) -> Vec<String> {
        let mut lines = inputs.lines();
        lines.retain(|line| line.starts_with("request "));
        lines
    }

    #[test]
    fn a_line_says_for_which_of_the_platforms_it_is_if_not_for_all() {
        let lines = [
            "a",
            "b # [linux]",
            "sel(osx): c >=2",
            "d # [win]",
            "e # [unix]",
            "f # [not arm64]",
        ];
        let both = inputs_for(&["osx-arm64", "linux-64"], &lines, &[]);
        assert_eq!(
            requests(&both),
            [
                "request [linux-64] b",
                "request [linux-64] f",
                "request [osx-arm64] c >=2",
                "request a",
                "request e",
            ]
        );
        let mut isolated = both.clone();
        let own = std::mem::take(&mut isolated.requests);
        isolated.isolated.insert("k".to_owned(), own);
        assert_eq!(requests(&isolated)[0], "request [linux-64] of k b");
        let three = inputs_for(
            &["osx-64", "linux-64", "osx-arm64"],
            &["f # [not arm64]"],
            &[],
        );
        assert_eq!(requests(&three), ["request [linux-64 osx-64] f"]);
        // On one platform a selector is met or it is not.
        let one = inputs_for(&["linux-64"], &lines, &[]);
        assert_eq!(
            requests(&one),
            ["request a", "request b", "request e", "request f"]
        );
    }

    #[test]
    fn a_selector_that_changes_nothing_for_the_locked_platforms_does_not_make_a_lock_stale() {
        let then = inputs(&["a", "b"], &[]);
        assert_eq!(
            staleness(&inputs(&["a # [unix]", "b", "c # [win]"], &[]), &then),
            None
        );
        assert_eq!(
            staleness(&inputs(&["a # [osx]", "b"], &[]), &then).unwrap(),
            "- request a"
        );
    }

    #[test]
    fn the_order_of_channels_counts() {
        let then = inputs(&["python"], &["https://c/a/", "https://c/b/"]);
        let now = inputs(&["python"], &["https://c/b/", "https://c/a/"]);
        assert_eq!(
            staleness(&now, &then).unwrap(),
            "the order of the channels changed"
        );
    }
}
