//! A list of a spec, changed in place.
//!
//! Everything that the lists have in common, wherever they are: where an entry goes,
//! how it is quoted, and the proof that nothing else has changed.

use std::collections::BTreeSet;
use std::str::FromStr;

use yaml_edit::{Document, Mapping, Sequence};

use super::place::{Place, entry, unplaced};
use super::{DEPENDENCIES, EditError};
use crate::spec::model::{EnvName, EnvSpec, Span};
use crate::spec::parse::parse;
use crate::spec::source::SourceText;
use crate::spec::yaml::{Entry, Node, Value, read};

pub(super) use super::place::find;

/// A valid spec and the list in it that is edited.
pub(super) struct File<'a> {
    source: &'a SourceText,
    place: Place,
    pub(super) spec: EnvSpec,
    root: Node,
}

impl<'a> File<'a> {
    /// The list below a key at the top, which need not be there.
    pub(super) fn open(source: &'a SourceText, key: &'static str) -> Result<Self, EditError> {
        Self::open_at(source, Place::Top(key))
    }

    /// The list below `pip:`; `None` if there is no such section.
    pub(super) fn open_pip(source: &'a SourceText) -> Result<Option<Self>, EditError> {
        let file = Self::open(source, DEPENDENCIES)?;
        let place = Place::of_pip(&file.root, &file.spec);
        Ok(place.map(|place| Self { place, ..file }))
    }

    fn open_at(source: &'a SourceText, place: Place) -> Result<Self, EditError> {
        let spec = check(source)?;
        let root = tree(source).ok_or(EditError::Form { key: place.key() })?;
        Ok(Self {
            source,
            place,
            spec,
            root,
        })
    }

    /// The list's entry in the file, if the key is there.
    fn entry(&self) -> Option<&Entry> {
        self.place.entry(&self.root)
    }

    fn items(&self) -> &[Node] {
        match self.entry().map(|entry| &entry.value.value) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    /// The places in the list of the requirements that stand there. An entry is a text,
    /// or one text below `sel(…)`; sections such as `pip:` are not looked for. An alias
    /// counts as what it repeats.
    pub(super) fn places_of(
        &self,
        wanted: impl Iterator<Item = Span>,
    ) -> Result<BTreeSet<usize>, EditError> {
        let places = wanted.map(|span| {
            let mut items = self.items().iter();
            let holds = |item: &Node| match &item.value {
                Value::Map(entries) => match entries.as_slice() {
                    [entry] => entry.value.span == span,
                    _ => false,
                },
                _ => item.span == span,
            };
            items.position(holds).ok_or_else(|| self.form())
        });
        places.collect()
    }

    fn form(&self) -> EditError {
        EditError::Form {
            key: self.place.key(),
        }
    }

    /// A text more, at the end.
    pub(super) fn append(&self, text: &str) -> Result<String, EditError> {
        let item = unplaced(Value::Text(text.to_owned()));
        self.append_as(text, item, |in_brackets, _| written(text, in_brackets))
    }

    /// A section more, at the end, with one text in it.
    pub(super) fn append_section(&self, key: &str, text: &str) -> Result<String, EditError> {
        let inner = unplaced(Value::Text(text.to_owned()));
        let item = unplaced(Value::Map(vec![entry(key, vec![inner])]));
        let newline = self.newline();
        self.append_as(text, item, |in_brackets, column| {
            let inner = written(text, in_brackets);
            if in_brackets {
                format!("{{{key}: [{inner}]}}")
            } else {
                format!("{key}:{newline}{}- {inner}", " ".repeat(column + 2))
            }
        })
    }

    /// Adds a text, then writes the item over it: the text of the item depends on
    /// whether it is in brackets, and on its column.
    fn append_as(
        &self,
        text: &str,
        item: Node,
        write: impl Fn(bool, usize) -> String,
    ) -> Result<String, EditError> {
        let mut items = self.items().to_vec();
        items.push(item);
        let edited = match self.beside_the_last(text) {
            Some(edited) => edited,
            None => self.with_yaml_edit(|map, list| {
                if let Some(list) = list {
                    list.push(text);
                } else {
                    let list = Sequence::new();
                    list.push(text);
                    map.set(self.place.key(), list);
                }
            })?,
        };
        // yaml-edit quotes what needs no quotes (`'python 3.12.*'`).
        let edited = SourceText::from_text(self.source.name(), edited).map_err(|_| self.form())?;
        let root = tree(&edited).ok_or_else(|| self.form())?;
        let last = self
            .place
            .entry(&root)
            .and_then(|entry| match &entry.value.value {
                Value::List(items) => items.last().map(|item| (item.span, entry.value.span)),
                _ => None,
            });
        let (span, around) = last.ok_or_else(|| self.form())?;
        let before = &edited.text()[..span.offset];
        let column = before.len() - before.rfind('\n').map_or(0, |newline| newline + 1);
        let item = write(edited.slice(around).starts_with('['), column);
        self.checked(splice(edited.text(), span, &item), Some(items))
    }

    fn newline(&self) -> &'static str {
        if self.source.text().contains("\r\n") {
            "\r\n"
        } else {
            "\n"
        }
    }

    /// A list in brackets over several lines gets a line more.
    fn beside_the_last(&self, text: &str) -> Option<String> {
        let around = self.entry()?.value.span;
        let last = self.items().last()?;
        if !self.source.slice(around).starts_with('[') {
            return None;
        }
        let all = self.source.text();
        let behind = last.span.offset + last.span.len;
        let line_end = behind + all[behind..].find('\n')?;
        if line_end >= around.offset + around.len {
            return None;
        }
        let line_start = all[..last.span.offset]
            .rfind('\n')
            .map_or(0, |newline| newline + 1);
        if line_start < around.offset {
            return None;
        }
        let indent = &all[line_start..last.span.offset];
        let line_end = line_end - usize::from(all[..line_end].ends_with('\r'));
        let newline = if all[line_end..].starts_with('\r') {
            "\r\n"
        } else {
            "\n"
        };
        let has_comma = all[behind..line_end].trim_start().starts_with(',');
        let (comma, last_comma) = if has_comma { ("", ",") } else { (",", "") };
        let item = written(text, true);
        Some(format!(
            "{}{comma}{}{newline}{indent}{item}{last_comma}{}",
            &all[..behind],
            &all[behind..line_end],
            &all[line_end..]
        ))
    }

    /// Puts a text in the place of the first of these entries, and takes the others out;
    /// at the end if there is none.
    pub(super) fn put(&self, places: &[usize], text: &str) -> Result<String, EditError> {
        match places.split_first() {
            None => self.append(text),
            Some((first, others)) => self.replace(*first, text, others),
        }
    }

    fn replace(&self, place: usize, text: &str, others: &[usize]) -> Result<String, EditError> {
        let (Some(list), Some(item)) = (self.entry(), self.items().get(place)) else {
            return Err(self.form());
        };
        if self.source.slice(item.span).contains('\n') {
            return Err(self.form());
        }
        let in_brackets = self.source.slice(list.value.span).starts_with('[');
        let replaced = splice(self.source.text(), item.span, &written(text, in_brackets));
        let mut items = self.items().to_vec();
        items[place] = unplaced(Value::Text(text.to_owned()));
        let replaced = self.checked(replaced, Some(items))?;
        if others.is_empty() {
            return Ok(replaced);
        }
        let replaced =
            SourceText::from_text(self.source.name(), replaced).map_err(|_| self.form())?;
        File::open_at(&replaced, self.place)?.remove(others)
    }

    /// Takes entries out. A list in lines that becomes empty goes with its key, and a
    /// section does however it is written, unless there is a comment to keep.
    pub(super) fn remove(&self, places: &[usize]) -> Result<String, EditError> {
        let mut items = self.items().to_vec();
        for place in places.iter().rev() {
            items.remove(*place);
        }
        let entry = self.entry().ok_or_else(|| self.form())?;
        let end = entry.value.span.offset + entry.value.span.len;
        let whole = Span {
            offset: entry.key_span.offset,
            len: end - entry.key_span.offset,
        };
        let in_brackets = self.source.slice(entry.value.span).starts_with('[');
        let may_go = matches!(self.place, Place::Section { .. }) || !in_brackets;
        let key_goes = items.is_empty() && may_go && !self.has_comment(whole, &entry.value);
        if key_goes && let Some(item) = self.place.fills_its_item(&self.root) {
            return Self::open(self.source, DEPENDENCIES)?.remove(&[item]);
        }
        let edited = self.with_yaml_edit(|map, list| {
            if key_goes {
                map.remove(self.place.key());
            } else if let Some(list) = list {
                for place in places.iter().rev() {
                    list.remove(*place);
                }
            }
        })?;
        self.checked(edited, (!key_goes).then_some(items))
    }

    /// Whether there is a comment in a part of the file that holds a value: a `#` that is
    /// in no text, where a URL may have one.
    fn has_comment(&self, part: Span, value: &Node) -> bool {
        self.signs(part) > self.signs_in_texts(value)
    }

    fn signs(&self, span: Span) -> usize {
        self.source.slice(span).matches('#').count()
    }

    fn signs_in_texts(&self, node: &Node) -> usize {
        match &node.value {
            Value::Null => 0,
            Value::Text(_) => self.signs(node.span),
            Value::List(items) => items.iter().map(|item| self.signs_in_texts(item)).sum(),
            Value::Map(entries) => {
                let values = entries.iter();
                values.map(|it| self.signs_in_texts(&it.value)).sum()
            }
        }
    }

    /// Lets yaml-edit change the mapping that has the key, or the list if it is there.
    fn with_yaml_edit(
        &self,
        change: impl FnOnce(&Mapping, Option<&Sequence>),
    ) -> Result<String, EditError> {
        let document = Document::from_str(self.source.text()).map_err(|_| self.form())?;
        let map = self.place.mapping(&document, &self.root);
        let map = map.ok_or_else(|| self.form())?;
        let list = map.get_sequence(self.place.key());
        let lengths_agree = list.as_ref().map_or(0, Sequence::len) == self.items().len();
        if document.to_string() != self.source.text() || !lengths_agree {
            return Err(self.form());
        }
        change(&map, list.as_ref());
        Ok(document.to_string())
    }

    /// Gives the text if it says what was said before, but for the list, which
    /// has these items; `None` if the key is gone.
    fn checked(&self, text: String, items: Option<Vec<Node>>) -> Result<String, EditError> {
        let edited = SourceText::from_text(self.source.name(), text).map_err(|_| self.form())?;
        let root = tree(&edited).ok_or_else(|| self.form())?;
        let wanted = self.place.with_list(&self.root, items);
        if !root.says_the_same(&wanted) {
            return Err(self.form());
        }
        check(&edited)?;
        Ok(edited.text().to_owned())
    }
}

/// The meaning of a text, or all its faults. The name does not matter here.
fn check(source: &SourceText) -> Result<EnvSpec, EditError> {
    let parsed = parse(source, EnvName::new("unnamed"));
    parsed
        .map(|(spec, _)| spec)
        .map_err(|errors| EditError::Spec(Box::new(errors)))
}

pub(super) fn tree(source: &SourceText) -> Option<Node> {
    let mut faults = Vec::new();
    read(source, &mut faults, &mut Vec::new()).filter(|_| faults.is_empty())
}

pub(super) fn splice(text: &str, span: Span, with: &str) -> String {
    format!(
        "{}{with}{}",
        &text[..span.offset],
        &text[span.offset + span.len..]
    )
}

/// A text as a YAML scalar: without quotes where every reader takes it for the
/// same text.
pub(super) fn written(text: &str, in_brackets: bool) -> String {
    const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let another_type = text.parse::<f64>().is_ok() || WORDS.contains(&text.to_lowercase().as_str());
    let has_signs = text.contains(": ") || text.contains(" #") || text.ends_with([':', ' ']);
    let closes_brackets = in_brackets && text.contains([',', '[', ']', '{', '}']);
    let starts_plainly = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let plain = starts_plainly && !(another_type || has_signs || closes_brackets);
    if plain {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}
