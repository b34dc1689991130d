//! There is no solution: said in the user's own lines.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use rattler_conda_types::{Channel, Subdir};

use crate::conda::Conflict;
use crate::lock::{Origin, Request};
use crate::spec::SourceText;

/// Requirements that cannot be met, with the lines that clash.
#[derive(Debug)]
pub struct NoSolution {
    message: String,
    help: String,
    source: NamedSource<Arc<str>>,
    labels: Vec<LabeledSpan>,
}

impl NoSolution {
    /// Words a conflict; its indexes count `requests`.
    pub(super) fn new(
        source: &SourceText,
        requests: &[&Request],
        channels: &[Channel],
        platform: Subdir,
        conflict: &Conflict,
    ) -> Self {
        let channels = channels
            .iter()
            .map(Channel::canonical_name)
            .collect::<Vec<_>>()
            .join(", ");
        let (message, help, at) = match conflict {
            Conflict::NotFound { spec, near } => {
                let name = requests[*spec].spec.name.to_string();
                let help = match near.as_slice() {
                    [] => format!("searched for {platform}: {channels}; a channel may be missing"),
                    near => format!("did you mean {}?", near.join(", ")),
                };
                (
                    format!("no channel has a package `{name}`"),
                    help,
                    vec![*spec],
                )
            }
            Conflict::NoMatch { spec, versions } => {
                let request = requests[*spec];
                (
                    format!("no package matches `{}`", request.spec),
                    format!("the newest versions there are: {}", versions.join(", ")),
                    vec![*spec],
                )
            }
            Conflict::Clash { specs, reasons } => {
                let message = match specs.len() {
                    1 => "this requirement cannot be met".to_owned(),
                    2 => "these two requirements cannot be met together".to_owned(),
                    count => format!("these {count} requirements cannot be met together"),
                };
                let mut help = if reasons.is_empty() {
                    "loosen or remove one of them".to_owned()
                } else {
                    reasons.join("\n")
                };
                // A name with two underscores is the machine's to offer.
                if reasons.iter().any(|line| line.contains(" __")) {
                    help.push_str(
                        "\nWhat begins with __ is the machine's, not a channel's. The node it will run on \
                         can be named in the spec: target: {glibc: \"2.34\", cuda: \"12.4\"}",
                    );
                }
                if let Some(kernel) = to_isolate(requests, specs) {
                    write!(
                        help,
                        "\nOr give the kernel a prefix of its own: `- {kernel}: {{isolated: true}}`"
                    )
                    .expect("a text takes it");
                }
                (message, help, specs.clone())
            }
        };
        let labels = at
            .iter()
            .map(|&index| {
                let request = requests[index];
                let text = match &request.origin {
                    Origin::Spec { .. } => None,
                    Origin::Kernel { kernel, .. } => {
                        Some(format!("the kernel {kernel} needs {}", request.spec))
                    }
                };
                LabeledSpan::new_with_span(text, request.origin.span())
            })
            .collect();
        Self {
            message,
            help,
            source: NamedSource::new(source.name(), Arc::from(source.text())).with_language("yaml"),
            labels,
        }
    }
}

/// The kernel that would get out of the way of the others in a prefix of its own: the
/// last one of those that clash, if something else does too.
fn to_isolate<'r>(requests: &[&'r Request], clashing: &[usize]) -> Option<&'r str> {
    let origins = clashing.iter().map(|&index| &requests[index].origin);
    let kernels = origins.clone().filter_map(|origin| {
        let kernel = origin.kernel()?;
        Some((origin.span(), kernel))
    });
    let (_, last) = kernels.max()?;
    let is_other = |origin: &Origin| origin.kernel() != Some(last);
    origins.into_iter().any(is_other).then_some(last)
}

impl fmt::Display for NoSolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for NoSolution {}

impl Diagnostic for NoSolution {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}
