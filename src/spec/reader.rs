//! The judgements that every section of a spec needs: is it a list, is it a
//! text, is it a requirement, a variable, a word of a command line.
//!
//! A [`Reader`] walks the tree of nodes once and collects what it finds wrong,
//! so that each function gives what it could read and never stops at the first
//! fault. Which keys there are is said in [`super::parse`] and
//! [`super::sections`].

use std::collections::BTreeMap;

use super::errors::Fault;
use super::model::{At, Note, Span};
use super::secret::secret_in;
use super::source::{SourceText, is_wild, shown};
use super::yaml::{Entry, Node, Value};

/// What has been found so far.
pub(super) struct Reader<'a> {
    pub(super) source: &'a SourceText,
    pub(super) faults: Vec<Fault>,
    pub(super) notes: Vec<Note>,
    /// The comments that nothing has been read from yet, and those that were.
    pub(super) comments: Vec<Comment>,
}

/// A comment of the file, its `#` included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Comment {
    pub(super) span: Span,
    /// Whether an entry has been read with it.
    pub(super) is_read: bool,
}

/// Which texts a value may hold beyond what YAML lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Free text for people, on one line.
    Title,
    /// One word of a command line or of a batch script: no blanks, and never
    /// mistaken for an option.
    Word,
    /// As [`Rule::Word`], with blanks: a path, an installable.
    Argument,
    /// A name of envspec's or Jupyter's own: `[A-Za-z0-9._-]`, a letter or a
    /// digit first, at most 64 characters.
    Identifier,
}

impl Rule {
    /// Why a text breaks the rule.
    fn objection(self, text: &str) -> Option<&'static str> {
        let identifier = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if text.trim().is_empty() {
            Some("it is empty")
        } else if text.chars().any(is_wild) {
            Some("it has a line break or a control character")
        } else if self != Self::Title && text.starts_with('-') {
            Some("it starts with `-` and would be taken for an option")
        } else if self == Self::Word && text.contains(char::is_whitespace) {
            Some("it has a blank")
        } else if self == Self::Identifier
            && !(text.chars().all(identifier)
                && text.starts_with(|c: char| c.is_ascii_alphanumeric()))
        {
            Some("letters, digits, `.`, `_` and `-` are allowed, a letter or a digit first")
        } else if text.len() > if self == Self::Identifier { 64 } else { 1024 } {
            Some("it is too long")
        } else {
            None
        }
    }
}

impl Reader<'_> {
    pub(super) fn fault(
        &mut self,
        span: Span,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.faults
            .push(Fault::new(span, message).label(label).help(help));
    }

    pub(super) fn note(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.notes.push(Note {
            message: message.into(),
            help: Some(help.into()),
            span,
        });
    }

    /// As [`Self::note`], at the first place alone.
    pub(super) fn note_once(&mut self, span: Span, message: &str, help: &str) {
        if self.notes.iter().all(|note| note.message != message) {
            self.note(span, message, help);
        }
    }

    /// Says that a value has the wrong shape; `example` shows the right one.
    pub(super) fn wrong_kind(&mut self, what: &str, node: &Node, wanted: &str, example: &str) {
        let label = format!("this is {}", node.kind());
        let span = node.label_span(self.source);
        self.fault(
            span,
            format!("{what} must be {wanted}"),
            label,
            format!("write it like `{example}`"),
        );
    }

    /// The items of a list; nothing counts as an empty one, as for conda.
    pub(super) fn list<'n>(&mut self, what: &str, node: &'n Node, example: &str) -> &'n [Node] {
        match &node.value {
            Value::List(items) => items,
            Value::Null => &[],
            _ => {
                self.wrong_kind(what, node, "a list", example);
                &[]
            }
        }
    }

    /// The entries of a mapping; nothing counts as an empty one.
    pub(super) fn map<'n>(&mut self, what: &str, node: &'n Node, example: &str) -> &'n [Entry] {
        match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => {
                self.wrong_kind(what, node, "a mapping", example);
                &[]
            }
        }
    }

    /// A text that follows a rule.
    pub(super) fn text(
        &mut self,
        what: &str,
        node: &Node,
        rule: Rule,
        example: &str,
    ) -> Option<At<String>> {
        let Value::Text(text) = &node.value else {
            self.wrong_kind(what, node, "a text", example);
            return None;
        };
        if let Some(objection) = rule.objection(text) {
            self.fault(
                node.label_span(self.source),
                format!("{what} cannot be {}", shown(text)),
                objection,
                format!("write it like `{example}`"),
            );
            return None;
        }
        self.refuse_secret(node, text)?;
        Some(At {
            value: text.clone(),
            span: node.span,
        })
    }

    /// Refuses a text that has a URL with a password or a token; `None` if it does.
    pub(super) fn refuse_secret(&mut self, node: &Node, text: &str) -> Option<()> {
        let Some(url) = secret_in(text) else {
            return Some(());
        };
        self.fault(
            node.label_span(self.source),
            format!("the URL {url} carries a password or a token"),
            "here",
            "a spec and its lock are read by others; take the secret out of the URL",
        );
        None
    }

    /// A value with a reader of its own: a time, an amount, a platform.
    pub(super) fn value<T>(
        &mut self,
        what: &str,
        node: &Node,
        example: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<At<T>> {
        let text = self.text(what, node, Rule::Title, example)?;
        match read(&text.value) {
            Ok(value) => Some(At {
                value,
                span: text.span,
            }),
            Err(why) => {
                let message = format!("{what} cannot be {}", shown(&text.value));
                self.fault(
                    node.label_span(self.source),
                    message,
                    why,
                    format!("write it like `{example}`"),
                );
                None
            }
        }
    }

    /// `true` or `false`, as YAML 1.2 and conda's reader know them.
    pub(super) fn truth(&mut self, what: &str, node: &Node) -> Option<At<bool>> {
        self.value(what, node, "true", |text| match text {
            "true" | "True" | "TRUE" => Ok(true),
            "false" | "False" | "FALSE" => Ok(false),
            _ => Err("neither true nor false".to_owned()),
        })
    }

    /// Refuses a key that a section of envspec's own does not have.
    pub(super) fn unknown_key(&mut self, section: &str, entry: &Entry, known: &[&str]) {
        let help = match nearest(&entry.key, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the keys are {}", known.join(", ")),
        };
        let message = format!("{section} has no key {}", shown(&entry.key));
        self.fault(entry.key_span, message, "unknown key", help);
    }

    /// Environment variables. A value is the text as written, so that `1.10`,
    /// `yes` and `007` reach the program as the author sees them.
    pub(super) fn variables(&mut self, what: &str, node: &Node) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::new();
        for entry in self.map(what, node, "{OMP_NUM_THREADS: 4}") {
            let mut characters = entry.key.chars();
            let starts_well = characters
                .next()
                .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
            if !starts_well || !characters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
                self.fault(
                    entry.key_span,
                    format!(
                        "{} is not the name of an environment variable",
                        shown(&entry.key)
                    ),
                    "letters, digits and `_` only, no digit first",
                    "write it like `OMP_NUM_THREADS: 4`",
                );
                continue;
            }
            let value = match &entry.value.value {
                Value::Null => String::new(),
                Value::Text(text)
                    if text
                        .chars()
                        .any(|c| is_wild(c) && !matches!(c, '\n' | '\t')) =>
                {
                    let span = entry.value.label_span(self.source);
                    let message = format!(
                        "the variable {} has a control character in it",
                        shown(&entry.key)
                    );
                    self.fault(
                        span,
                        message,
                        "in this value",
                        "only line breaks and tabs can be set",
                    );
                    continue;
                }
                Value::Text(text) => {
                    if self.refuse_secret(&entry.value, text).is_none() {
                        continue;
                    }
                    text.clone()
                }
                _ => {
                    let name = format!("the variable {}", shown(&entry.key));
                    self.wrong_kind(&name, &entry.value, "a text", "OMP_NUM_THREADS: 4");
                    continue;
                }
            };
            variables.insert(entry.key.clone(), value);
        }
        variables
    }
}

/// The word that was probably meant.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = word.to_lowercase();
    let distance = |candidate: &&str| strsim::damerau_levenshtein(&word, candidate);
    let near = known.iter().copied().min_by_key(distance)?;
    (word.len() <= 64 && distance(&near) <= (near.len() / 3).max(1)).then_some(near)
}
