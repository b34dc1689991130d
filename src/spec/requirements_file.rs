//! A file of requirements, which `-r` or `-c` names: its text → the entries of a `pip:`
//! section that its lines are.
//!
//! Lines are joined and comments cut off as pip does (`preprocess` in `req/req_file.py`).
//! Each is read by the reader of the section, and keeps its place in this file. Which
//! file is meant, and what those ask for that it names, is not known here.

use super::errors::{Fault, SpecErrors};
use super::model::Span;
use super::pip::{PipRequirement, read_pip};
use super::secret::secret_in;
use super::source::{SourceText, shown};

/// Reads the lines of a file of requirements, or of constraints.
///
/// # Errors
/// Each line that pip would not understand, or that has a password in it.
pub fn read_requirements(
    source: &SourceText,
    is_constraint: bool,
) -> Result<Vec<PipRequirement>, SpecErrors> {
    let mut requirements = Vec::new();
    let mut faults = Vec::new();
    for (text, span) in logical_lines(source.text()) {
        if let Some(carrier) = secret_in(&text) {
            faults.push(
                Fault::new(
                    span,
                    format!("the URL {carrier} carries a password or a token"),
                )
                .label("here")
                .help(
                    "such a file and the lock are read by others; take the secret out of the URL",
                ),
            );
            continue;
        }
        match read_pip(&text) {
            Ok(line) => requirements.push(PipRequirement {
                kind: line.kind,
                options: line.options,
                text,
                span,
                selector: None,
                file: Some(source.clone()),
                is_constraint,
                folder: None,
            }),
            Err(objection) => faults.push(
                Fault::new(
                    span,
                    format!("{} is not a requirement that pip understands", shown(&text)),
                )
                .label(objection.why)
                .help(objection.help),
            ),
        }
    }
    if faults.is_empty() {
        return Ok(requirements);
    }
    Err(SpecErrors::new(source, faults))
}

/// The lines as pip joins them, with blanks of any kind as one, and where each begins:
/// the place is on one line of the file.
fn logical_lines(text: &str) -> Vec<(String, Span)> {
    let mut lines = Vec::new();
    let mut open: Option<(String, Span)> = None;
    let marked = text.len();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut offset = marked - text.len();
    for line in text.split_inclusive('\n') {
        let begin = offset;
        offset += line.len();
        let line = line.trim_end_matches(['\n', '\r']);
        let is_comment = line.trim_start().starts_with('#');
        let goes_on = line.strip_suffix('\\').filter(|_| !is_comment);
        let part = without_comment(goes_on.unwrap_or(line));
        let words = part.split_whitespace().collect::<Vec<_>>().join(" ");
        if !words.is_empty() {
            let blank = part.len() - part.trim_start().len();
            let span = Span {
                offset: begin + blank,
                len: part.trim_end().len().saturating_sub(blank),
            };
            let (joined, _) = open.get_or_insert_with(|| (String::new(), span));
            if !joined.is_empty() {
                joined.push(' ');
            }
            joined.push_str(&words);
        }
        if goes_on.is_none() {
            lines.extend(open.take());
        }
    }
    lines.extend(open);
    lines
}

/// pip cuts off what begins with `#` behind a blank or at the begin.
fn without_comment(text: &str) -> &str {
    let mut signs = text.match_indices('#').map(|(at, _)| at);
    let comment = signs.find(|at| *at == 0 || text[..*at].ends_with(char::is_whitespace));
    comment.map_or(text, |at| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::read_requirements;
    use crate::spec::{PipKind, SourceText};

    fn source(text: &str) -> SourceText {
        SourceText::from_text("more.txt", text).unwrap()
    }

    #[test]
    fn lines_are_joined_and_comments_cut_off_as_pip_does() {
        let text = "\u{feff}# of the lab\n\n  greet >=1 # why\r\ntool==1.0 \\\n    \
                    --hash=sha256:ab \\\n    --hash=sha256:cd\n-r ../more.txt\nx @ https://h/x#egg=x\n";
        let source = source(text);
        let read = read_requirements(&source, false).unwrap();
        let texts: Vec<_> = read.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "greet >=1",
                "tool==1.0 --hash=sha256:ab --hash=sha256:cd",
                "-r ../more.txt",
                "x @ https://h/x#egg=x"
            ]
        );
        let places: Vec<_> = read.iter().map(|line| source.slice(line.span)).collect();
        assert_eq!(places[0], "greet >=1");
        assert_eq!(places[1], "tool==1.0");
        let hashes: Vec<_> = read[1].hashes().collect();
        assert_eq!(hashes, ["sha256:ab", "sha256:cd"]);
        assert_eq!(
            read[2].kind,
            PipKind::RequirementFile("../more.txt".to_owned())
        );
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_no_password_is() {
        let text = "greet\ntool=1.0\n--extra-index-url https://me:sesame@h/simple\n";
        let errors = read_requirements(&source(text), false).unwrap_err();
        let told: Vec<_> = errors.messages().collect();
        // No line of a file with a password in it is shown.
        assert_eq!(
            told,
            [
                "`tool=1.0` is not a requirement that pip understands (more.txt:2:1: a single `=` is conda's)",
                "the URL https://h/… carries a password or a token (more.txt:3:1: here)"
            ]
        );
    }

    #[test]
    fn odd_texts_break_nothing() {
        for text in ["\\", "\\\n\\\n", "#\\\ngreet", "é\u{a0}#\n", "-r", "a\\"] {
            drop(read_requirements(&source(text), true));
        }
    }
}
