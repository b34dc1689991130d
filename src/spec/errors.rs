//! Diagnostics that point into a spec: all faults of a file at once.
//!
//! [`SpecErrors`] is what this room and later ones complain with ([`fault`]); a
//! [`Note`] becomes a [`Warning`]. How they are printed is miette's and the
//! command line's business.

use std::fmt;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, Severity, SourceCode};

use super::model::{Note, Span};
use super::secret::secret_in;
use super::source::{SourceText, shown};

/// One thing that is wrong, or worth a word, at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    message: String,
    labels: Vec<(Span, String)>,
    help: Option<String>,
    severity: Severity,
}

impl Fault {
    pub(super) fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            labels: vec![(span, String::new())],
            help: None,
            severity: Severity::Error,
        }
    }

    /// What to write under the place.
    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        if let Some((_, text)) = self.labels.first_mut() {
            *text = label.into();
        }
        self
    }

    /// A second place that belongs to it.
    pub(super) fn also(mut self, span: Span, label: impl Into<String>) -> Self {
        self.labels.push((span, label.into()));
        self
    }

    /// What to do next.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Where it is, for sorting; a fault of the whole file comes first.
    fn offset(&self) -> usize {
        self.labels.first().map_or(0, |(span, _)| span.offset)
    }
}

impl From<&Note> for Fault {
    fn from(note: &Note) -> Self {
        Self {
            message: note.message.clone(),
            labels: vec![(note.span, String::new())],
            help: note.help.clone(),
            severity: Severity::Warning,
        }
    }
}

/// One fault together with its text: what miette renders.
#[derive(Debug, Clone)]
struct Located {
    /// `None` if the place cannot be shown; the message then tells it in words.
    source: Option<NamedSource<Arc<str>>>,
    fault: Fault,
}

impl Located {
    /// A snippet whose lines are longer than this together is not shown: it would fill the
    /// screen, and miette 7.6 panics on a label behind column 65,535. Nor is any of a file
    /// that has a password in it.
    const LONGEST_SNIPPET: usize = 4000;

    fn new(source: &SourceText, mut fault: Fault) -> Self {
        let fits = |(span, _): &(Span, String)| {
            let (before, behind) = source
                .text()
                .split_at(source.text().floor_char_boundary(span.offset));
            // The snippet has a line of context on both sides.
            let above = before.rsplit('\n').take(2).map(str::len).sum::<usize>();
            let below = behind.split('\n').take(3).map(str::len).sum::<usize>();
            above + below < Self::LONGEST_SNIPPET && secret_in(source.text()).is_none()
        };
        if fault.labels.iter().all(fits) {
            return Self {
                source: Some(source.named()),
                fault,
            };
        }
        let (line, column) = source.line_and_column(fault.offset());
        let Fault {
            message, labels, ..
        } = &mut fault;
        let label = labels.first().filter(|(_, label)| !label.is_empty());
        let label = label
            .map(|(_, label)| format!(": {label}"))
            .unwrap_or_default();
        *message = format!("{message} ({}:{line}:{column}{label})", source.name());
        labels.clear();
        Self {
            source: None,
            fault,
        }
    }
}

impl Located {
    fn is_same(&self, other: &Self) -> bool {
        let file = |located: &Self| located.source.as_ref().map(|it| it.name().to_owned());
        self.fault == other.fault && file(self) == file(other)
    }
}

/// Everything that is wrong with one spec, found in one pass, in the file's order.
///
/// A single fault renders as itself; several as a count with each below it.
#[derive(Debug, Clone)]
pub struct SpecErrors {
    name: String,
    faults: Vec<Located>,
    /// Errors beyond the ones that are worth showing.
    more: usize,
}

/// How many faults are shown: nobody reads the fiftieth, and a hostile file has
/// thousands.
const MOST_FAULTS: usize = 50;

/// A span-labelled complaint of a later room about a spec: an unknown kernel, an
/// unknown site, a forbidden channel.
///
/// `message` is a lower-case fragment that names the thing, `label` stands under
/// the place, `help` says what to do next.
pub fn fault(
    source: &SourceText,
    span: Span,
    message: impl Into<String>,
    label: impl Into<String>,
    help: impl Into<String>,
) -> SpecErrors {
    SpecErrors::new(
        source,
        vec![Fault::new(span, message).label(label).help(help)],
    )
}

impl SpecErrors {
    pub(super) fn new(source: &SourceText, mut faults: Vec<Fault>) -> Self {
        faults.sort_by_key(Fault::offset);
        let rest = faults.split_off(faults.len().min(MOST_FAULTS));
        let more = rest
            .iter()
            .filter(|fault| fault.severity == Severity::Error)
            .count();
        let located = |fault| Located::new(source, fault);
        Self {
            name: source.name().to_owned(),
            faults: faults.into_iter().map(located).collect(),
            more,
        }
    }

    /// A fault of a file whose text cannot be shown.
    pub(super) fn of_file(name: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        let fault = Fault {
            message: message.into(),
            labels: Vec::new(),
            help: Some(help.into()),
            severity: Severity::Error,
        };
        Self {
            name: name.to_owned(),
            faults: vec![Located {
                source: None,
                fault,
            }],
            more: 0,
        }
    }

    /// This and what another check found, to be shown together; a fault that both found is
    /// one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for located in other.faults {
            if !self.faults.iter().any(|known| known.is_same(&located)) {
                self.faults.push(located);
            }
        }
        self.more += other.more;
        self.faults.sort_by_key(|located| located.fault.offset());
        self
    }

    /// How many faults there are; at least one.
    pub fn count(&self) -> usize {
        self.errors().count() + self.more
    }

    /// The messages alone, in the file's order.
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        self.errors().map(|located| located.fault.message.as_str())
    }

    fn errors(&self) -> impl Iterator<Item = &Located> {
        self.faults
            .iter()
            .filter(|located| located.fault.severity == Severity::Error)
    }

    fn only(&self) -> Option<&Located> {
        match self.faults.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }
}

impl fmt::Display for SpecErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.only() {
            Some(only) => f.write_str(&only.fault.message),
            None if self.count() == 1 => write!(f, "{} has a mistake", shown(&self.name)),
            None if self.more == 0 => {
                write!(f, "{} has {} mistakes", shown(&self.name), self.count())
            }
            None => {
                let (name, all, first) = (shown(&self.name), self.count(), self.faults.len());
                write!(
                    f,
                    "{name} has {all} mistakes, of which these are the first {first}"
                )
            }
        }
    }
}

impl std::error::Error for SpecErrors {}

impl Diagnostic for SpecErrors {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.only().and_then(Diagnostic::help)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.only().and_then(Diagnostic::source_code)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.only().and_then(Diagnostic::labels)
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        match self.only() {
            Some(_) => None,
            None => Some(Box::new(
                self.faults.iter().map(|located| located as &dyn Diagnostic),
            )),
        }
    }
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fault.message)
    }
}

impl std::error::Error for Located {}

impl Diagnostic for Located {
    fn severity(&self) -> Option<Severity> {
        Some(self.fault.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.fault
            .help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let labels = self.fault.labels.iter().map(|(span, text)| {
            let text = (!text.is_empty()).then(|| text.clone());
            LabeledSpan::new_with_span(text, *span)
        });
        Some(Box::new(labels))
    }
}

/// A [`Note`] with its text: a diagnostic of severity warning.
#[derive(Debug, Clone)]
pub struct Warning(Located);

impl Note {
    /// The note as a diagnostic that shows its place.
    pub fn in_source(&self, source: &SourceText) -> Warning {
        Warning(Located::new(source, self.into()))
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for Warning {}

impl Diagnostic for Warning {
    fn severity(&self) -> Option<Severity> {
        self.0.severity()
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.0.help()
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.0.source_code()
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.0.labels()
    }
}
