//! What a lock is made from, and what has changed since.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use rattler_conda_types::{GenericVirtualPackage, MatchSpec, Subdir};

use super::nix::NixInput;
use crate::spec::{Dependency, Span};

/// One requirement that goes to the solver, and who asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The requirement.
    pub spec: MatchSpec,
    /// Who asked.
    pub origin: Origin,
}

impl From<&Dependency> for Request {
    fn from(dependency: &Dependency) -> Self {
        Self {
            spec: dependency.spec.clone(),
            origin: Origin::Spec {
                text: dependency.text.clone(),
                kernel: None,
                span: dependency.span,
            },
        }
    }
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
    /// The platforms to lock, in order.
    pub platforms: Vec<Subdir>,
    /// Virtual packages that the spec's target and the site declare.
    pub target: Vec<GenericVirtualPackage>,
    /// The requirements of the environment's own prefix: the spec's, then those of its
    /// kernels.
    pub requests: Vec<Request>,
    /// Those of the kernels that have a prefix of their own, by the kernels' names.
    pub isolated: BTreeMap<String, Vec<Request>>,
    /// What the spec asks of pip, as written.
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
        let mut requests: Vec<_> = self
            .requests
            .iter()
            .map(|request| format!("request {}", request.spec))
            .collect();
        for (kernel, own) in &self.isolated {
            let lines = own.iter();
            requests.extend(lines.map(|request| format!("request of {kernel} {}", request.spec)));
        }
        requests.sort();
        requests.dedup();
        // In the spec's order: an option of pip's may speak of what follows it.
        let pip = self.pip.iter().map(|line| format!("pip {line}"));
        let post_link = self.post_link.iter();
        let post_link = post_link.map(|package| format!("{POST_LINK}{package}"));
        channels
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

    use rattler_conda_types::{MatchSpec, ParseStrictness, Subdir};

    use super::{Inputs, Origin, Request};
    use crate::spec::Span;

    fn inputs(requests: &[&str], channels: &[&str]) -> Inputs {
        Inputs {
            channels: channels.iter().map(|&url| url.to_owned()).collect(),
            platforms: vec![Subdir::from_str("linux-64").unwrap()],
            target: Vec::new(),
            isolated: BTreeMap::new(),
            pip: Vec::new(),
            post_link: BTreeSet::new(),
            nix: Vec::new(),
            requests: requests
                .iter()
                .map(|text| Request {
                    spec: MatchSpec::from_str(text, ParseStrictness::Lenient).unwrap(),
                    origin: Origin::Spec {
                        text: (*text).to_owned(),
                        kernel: None,
                        span: Span { offset: 0, len: 0 },
                    },
                })
                .collect(),
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
