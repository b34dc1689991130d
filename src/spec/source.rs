//! The text of a spec and its gate.
//!
//! What is too large, not text, or could move the cursor of a terminal is
//! refused here, so that no snippet of it is ever shown. Nothing here knows YAML
//! or reads a file.

use std::sync::Arc;

use miette::NamedSource;

use super::errors::SpecErrors;
use super::model::Span;
use super::secret::redacted;

/// A spec's text and the name to show for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceText {
    name: String,
    text: Arc<str>,
}

impl SourceText {
    /// The largest file that is taken for a spec, in bytes. Real ones have a few
    /// kilobytes; a reader can look at a file's size before reading it.
    pub const MAX_BYTES: usize = 1024 * 1024;

    /// Judges the bytes of a file: `name` is the path as the user gave it.
    ///
    /// # Errors
    /// The file is larger than [`Self::MAX_BYTES`], empty, binary, not UTF-8, or
    /// holds control characters, which YAML forbids and a terminal obeys.
    pub fn from_bytes(name: impl Into<String>, bytes: Vec<u8>) -> Result<Self, SpecErrors> {
        let name = name.into();
        if bytes.len() > Self::MAX_BYTES {
            return Err(SpecErrors::of_file(
                &name,
                format!(
                    "{} is too large for a spec: {} bytes",
                    shown(&name),
                    bytes.len()
                ),
                format!(
                    "a spec has at most {} bytes; is this the right file?",
                    Self::MAX_BYTES
                ),
            ));
        }
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            return Err(SpecErrors::of_file(
                &name,
                format!("{} is UTF-16 text, and a spec is UTF-8", shown(&name)),
                "save it again as UTF-8",
            ));
        }
        if let Some(place) = bytes.iter().position(|byte| *byte == 0) {
            return Err(SpecErrors::of_file(
                &name,
                format!("{} is a binary file: byte {place} is NUL", shown(&name)),
                "a spec is a YAML text; is this the right file?",
            ));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let before = String::from_utf8_lossy(&error.as_bytes()[..good]);
            let (line, column) = line_and_column(&before, good);
            SpecErrors::of_file(
                &name,
                format!(
                    "{} is not UTF-8 text at line {line}, column {column}",
                    shown(&name)
                ),
                "save it again as UTF-8",
            )
        })?;
        Self::from_text(name, text)
    }

    /// Judges a text that is already in memory, as [`Self::from_bytes`] does.
    ///
    /// # Errors
    /// As [`Self::from_bytes`].
    pub fn from_text(
        name: impl Into<String>,
        text: impl Into<Arc<str>>,
    ) -> Result<Self, SpecErrors> {
        let (name, text) = (name.into(), text.into());
        if text.len() > Self::MAX_BYTES || text.contains('\0') {
            return Self::from_bytes(name, text.as_bytes().to_vec());
        }
        let forbidden = |c: char| is_wild(c) && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
        if let Some((offset, character)) = text.char_indices().find(|(_, c)| forbidden(*c)) {
            let (line, column) = line_and_column(&text, offset);
            let code = u32::from(character);
            return Err(SpecErrors::of_file(
                &name,
                format!(
                    "{} has the control character U+{code:04X} at line {line}, column {column}",
                    shown(&name)
                ),
                "take it out; in a double-quoted text it can be written as an escape",
            ));
        }
        if text
            .trim_matches(['\u{feff}', ' ', '\t', '\n', '\r'])
            .is_empty()
        {
            return Err(SpecErrors::of_file(
                &name,
                format!("{} is empty", shown(&name)),
                STARTER,
            ));
        }
        Ok(Self { name, text })
    }

    /// The path as the user gave it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The line and column of a byte, both counted from 1, columns in characters.
    pub fn line_and_column(&self, offset: usize) -> (usize, usize) {
        line_and_column(&self.text, offset)
    }

    /// The text of a place; empty if the place is not in this text.
    pub(crate) fn slice(&self, span: Span) -> &str {
        self.text
            .get(span.offset..span.offset + span.len)
            .unwrap_or_default()
    }

    /// The text as miette shows it.
    pub(super) fn named(&self) -> NamedSource<Arc<str>> {
        NamedSource::new(&self.name, Arc::clone(&self.text)).with_language("yaml")
    }
}

/// What an empty file is told.
pub(super) const STARTER: &str =
    "the smallest spec: `dependencies: [python, jupyterlab]` and `kernels: [python]` on two lines";

fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before: String = text
        .char_indices()
        .take_while(|(at, _)| *at < offset)
        .map(|(_, c)| c)
        .collect();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

/// Whether a terminal obeys a character instead of showing it, or shows what follows in
/// another order than it is read (the embeddings, overrides and isolates of Unicode's
/// bidirectional algorithm).
pub(crate) fn is_wild(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text of the spec inside a message: in backquotes, control characters
/// escaped, passwords taken out, long ones cut.
pub fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut out = String::from("`");
    for (count, character) in redacted(text).chars().enumerate() {
        if count == LONGEST {
            out.push('…');
            break;
        }
        if is_wild(character) {
            out.extend(character.escape_debug());
        } else {
            out.push(character);
        }
    }
    out.push('`');
    out
}
