//! What is asked of pip and can't be had, with the lines that ask for it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};

use super::super::blame::{name_in, names_in, normalized};
use crate::pip::PipError;
use crate::spec::{PipRequirement, PipSection, SourceText};

/// The lines that uv's reasons speak of.
pub(in crate::apply) fn guilty<'s>(
    section: &'s PipSection,
    error: &PipError,
) -> Vec<&'s PipRequirement> {
    let names: BTreeSet<String> = match error {
        PipError::NoSolution { reasons, .. } => names_in(reasons),
        PipError::NoWheel { packages, .. }
        | PipError::OtherHash { packages }
        | PipError::HashMissing { packages } => packages.iter().map(|it| normalized(it)).collect(),
        PipError::Refused { words }
        | PipError::Network { words }
        | PipError::Source { words }
        | PipError::ForeignSource { words, .. } => names_in(words),
        _ => BTreeSet::new(),
    };
    let is_told =
        |line: &&PipRequirement| !line.is_constraint && names.contains(&name_in(&line.text));
    section.requirements.iter().filter(is_told).collect()
}

/// What is asked of pip can't be had, with the lines that ask for it.
#[derive(Debug)]
pub struct PipFailure {
    error: PipError,
    source: NamedSource<Arc<str>>,
    labels: Vec<LabeledSpan>,
}

impl PipFailure {
    /// `spec` is the text that the section stands in, if there is one still; of lines in
    /// several files those of the first one's are shown.
    pub(in crate::apply) fn new(
        spec: &SourceText,
        section: Option<&PipSection>,
        error: PipError,
    ) -> Self {
        let lines = section.map_or_else(Vec::new, |section| guilty(section, &error));
        let source = lines.first().map_or(spec, |line| line.place(spec));
        let here = lines.iter().filter(|line| line.place(spec) == source);
        let mut labels: Vec<LabeledSpan> = here
            .map(|line| LabeledSpan::new_with_span(None, line.span))
            .collect();
        if let (Some(section), true) = (section, labels.is_empty()) {
            labels.push(LabeledSpan::new_with_span(None, section.span));
        }
        Self {
            labels,
            source: NamedSource::new(source.name(), Arc::from(source.text())).with_language("yaml"),
            error,
        }
    }

    /// What went wrong.
    pub fn error(&self) -> &PipError {
        &self.error
    }
}

impl fmt::Display for PipFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for PipFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

impl Diagnostic for PipFailure {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.error.help()
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}
