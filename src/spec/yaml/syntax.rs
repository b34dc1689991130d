//! What the YAML parser stumbles over, told to somebody who wrote a spec.
//!
//! A parser reports what it expected; an author wants to know which tab, bracket
//! or colon to change. After such a mistake the rest of the file has no meaning,
//! so it is the only one that is reported.

use granit_parser::{ErrorKind, ScanError};

use super::tree::MAX_DEPTH;
use crate::spec::errors::Fault;
use crate::spec::model::Span;
use crate::spec::source::SourceText;

/// Says in the words of a spec's author what the parser found.
///
/// `bracket` is where the innermost bracket that is still open was opened.
pub(super) fn explain(source: &SourceText, error: &ScanError, bracket: Option<Span>) -> Fault {
    let text = source.text();
    let mut offset = error
        .marker()
        .byte_offset()
        .unwrap_or(text.len())
        .min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let len = text[offset..]
        .chars()
        .next()
        .filter(|c| *c != '\n')
        .map_or(0, char::len_utf8);
    let span = Span { offset, len };
    let line = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
    let before = &text[line..offset];
    let rest = text[line..].lines().next().unwrap_or_default();
    let content = rest.trim_start_matches([' ', '\t']);
    let indent = rest.len() - content.len();
    if let ErrorKind::RecursionLimitExceeded = error.kind() {
        return too_deep(span);
    }
    if let Some(tab) = rest[..indent].find('\t') {
        return Fault::new(
            Span {
                offset: line + tab,
                len: 1,
            },
            "a tab is used as indentation",
        )
        .label("this is a tab")
        .help("YAML is indented with spaces: replace the tab by spaces");
    }
    if let Some(open) = bracket
        && is_unclosed(text, open, error.kind(), line, indent)
    {
        let mark = source.slice(open);
        return Fault::new(open, format!("the bracket `{mark}` is never closed"))
            .label("opened here")
            .help("close it, or write the list with one `- ` line for each entry");
    }
    let whole_line = Span {
        offset: line + indent,
        len: content.trim_end().len(),
    };
    match error.kind() {
        ErrorKind::UnclosedQuotedScalar => Fault::new(span, "a quote is never closed")
            .label("from here on")
            .help("close the text with the same quote that opened it"),
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            Fault::new(span, "a `:` stands where no key can end")
                .label(if before.contains(": ") { "a second `:` on the line" } else { "here" })
                .help("put the value in quotes if the `:` belongs to it, or check the indentation")
        }
        ErrorKind::UnknownAnchor => Fault::new(span, "the alias names no anchor above it")
            .label("no `&` of this name")
            .help("mark the value to repeat with `&name`, or put a text that starts with `*` in quotes"),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => {
            Fault::new(whole_line, "a line is neither `key: value` nor `- entry`")
                .label("no `:` behind a key")
                .help("add the `:` or the `- `, or indent the line if it belongs to the one above")
        }
        ErrorKind::BlockSequenceEntryNotAllowed
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::InvalidIndentation => {
            Fault::new(whole_line, "a line does not fit the ones above it")
                .label("indented differently")
                .help("entries of one list, and keys of one mapping, begin in the same column")
        }
        kind => Fault::new(span, format!("this is not YAML: {kind}"))
            .label("here")
            .help("check the line, and quote a text that has one of the signs `: # [ ] { } & * ! % @`"),
    }
}

/// Whether a bracket is open where the text ends, or where a line begins that is
/// indented like a new key: the parser stumbles much later over it.
fn is_unclosed(text: &str, open: Span, kind: &ErrorKind, line: usize, indent: usize) -> bool {
    let opening_line = text[..open.offset]
        .rfind('\n')
        .map_or(0, |newline| newline + 1);
    let opening_text = &text[opening_line..];
    let opening_indent = opening_text.len() - opening_text.trim_start_matches(' ').len();
    let at_the_end = matches!(
        kind,
        ErrorKind::UnclosedFlowCollection { .. }
            | ErrorKind::UnexpectedEofFlowSequence
            | ErrorKind::UnexpectedEofFlowMapping
            | ErrorKind::UnexpectedEofImplicitFlowMapping
    );
    at_the_end || (line > opening_line && indent <= opening_indent)
}

/// The same is said by the parser and by the tree that is built from it.
pub(super) fn too_deep(span: Span) -> Fault {
    Fault::new(
        span,
        format!("more than {MAX_DEPTH} collections are nested in one another"),
    )
    .label("this is one too many")
    .help("a spec needs about five levels: the file is damaged, or it is not a spec")
}
