//! There is no solution: said in the user's own lines.

use std::fmt;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use rattler_conda_types::{Channel, Subdir};

use super::remedy;
use crate::conda::{Conflict, Elsewhere, Hidden, Remedy};
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
        platforms: &[Subdir],
        conflict: &Conflict,
    ) -> Self {
        let platform = names(platforms);
        let channels = channels
            .iter()
            .map(Channel::canonical_name)
            .collect::<Vec<_>>()
            .join(", ");
        let (message, help, at) = match conflict {
            Conflict::NotFound {
                spec,
                near,
                elsewhere,
            } => {
                let name = requests[*spec].spec.name.to_string();
                let mut help: Vec<String> = elsewhere.iter().map(where_else).collect();
                match near.as_slice() {
                    [] if help.is_empty() => help.push(format!(
                        "searched for {platform}: {channels}; a channel may be missing"
                    )),
                    [] => {}
                    near => help.push(format!("did you mean {}?", near.join(", "))),
                }
                let lacks = elsewhere.iter().any(|elsewhere| elsewhere.is_asked);
                let message = if lacks {
                    format!("no channel has the package `{name}` for {platform}")
                } else {
                    format!("no channel has a package `{name}`")
                };
                (message, help.join("\n"), vec![*spec])
            }
            Conflict::NoMatch {
                spec,
                versions,
                builds,
                remedies,
            } => {
                let request = requests[*spec];
                let mut help = vec![match builds.as_slice() {
                    [] => format!("the newest versions there are: {}", versions.join(", ")),
                    builds => format!("builds of this version: {}", builds.join(", ")),
                }];
                help.extend(remedy::texts(requests, remedies));
                let message = format!("no package matches `{}`", request.spec);
                (message, help.join("\n"), vec![*spec])
            }
            Conflict::Hidden {
                spec,
                hidden,
                remedies,
            } => {
                let request = requests[*spec];
                let mut help = vec![hides(hidden)];
                help.extend(remedy::texts(requests, remedies));
                let message = format!(
                    "no package of the channel {} matches `{}`",
                    hidden.by, request.spec
                );
                (message, help.join("\n"), vec![*spec])
            }
            Conflict::Clash {
                specs,
                reasons,
                hidden,
                remedies,
            } => {
                let message = match specs.len() {
                    1 => "this requirement cannot be met".to_owned(),
                    2 => "these two requirements cannot be met together".to_owned(),
                    count => format!("these {count} requirements cannot be met together"),
                };
                let help = clash_help(requests, reasons, hidden, remedies);
                (message, help.join("\n"), specs.clone())
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

    /// Says for which of several platforms this is, and what else has no solution.
    pub(super) fn among(
        mut self,
        all: usize,
        platforms: &[Subdir],
        others: &[(Option<&str>, Subdir)],
    ) -> Self {
        let names = names(platforms);
        if all > 1 && !self.message.ends_with(&format!("for {names}")) {
            self.message = format!("for {names}: {}", self.message);
        }
        if !others.is_empty() {
            let of_one = |(isolated, platform): &(Option<&str>, Subdir)| match isolated {
                Some(kernel) => format!("{platform} (kernel {kernel})"),
                None => platform.to_string(),
            };
            let others: Vec<String> = others.iter().map(of_one).collect();
            self.help.push_str("\nNo solution either: ");
            self.help.push_str(&others.join(", "));
        }
        self
    }
}

/// `linux-64 and osx-arm64`.
fn names(platforms: &[Subdir]) -> String {
    let names: Vec<String> = platforms.iter().map(ToString::to_string).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// Why requirements clash, and what would solve.
fn clash_help(
    requests: &[&Request],
    reasons: &[String],
    hidden: &[Hidden],
    remedies: &[Remedy],
) -> Vec<String> {
    let mut help = reasons.to_vec();
    if help.is_empty() && remedies.is_empty() {
        help.push("loosen or remove one of them".to_owned());
    }
    help.extend(hidden.iter().map(hides));
    // A name with two underscores is the machine's to offer.
    if reasons.iter().any(|line| line.contains(" __")) {
        let mut whose = "What begins with __ is the machine's, not a channel's.".to_owned();
        // Where something else solves, another machine was tried and does not, or is told.
        if remedies.is_empty() {
            whose.push_str(
                " The node it will run on can be named in the spec: \
                 target: {glibc: \"2.34\", cuda: \"12.4\"}",
            );
        }
        help.push(whose);
    }
    help.extend(remedy::texts(requests, remedies));
    help
}

/// A channel that has what is missed.
fn where_else(elsewhere: &Elsewhere) -> String {
    let Elsewhere {
        channel,
        is_asked,
        platforms,
    } = elsewhere;
    if *is_asked {
        format!("{channel} has it for {} alone", names(platforms))
    } else {
        format!("{channel} has it: add it to `channels`")
    }
}

/// What the priority of the channels does.
fn hides(hidden: &Hidden) -> String {
    let Hidden {
        name,
        version,
        channel,
        by,
    } = hidden;
    format!("{channel} has {name} {version}, but {by} stands before it and has the name too")
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
