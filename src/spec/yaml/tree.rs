//! YAML text → tree of nodes.
//!
//! The events come from granit-parser, the parser inside serde-saphyr: serde
//! would hide where a list ends, whether it is written in brackets, and every
//! mistake but the first.
//!
//! The text is untrusted: depth, number of nodes and growth by aliases are
//! bounded here, and nothing recurses deeper than [`MAX_DEPTH`].

use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScalarStyle, StructureStyle};

use super::syntax::{explain, too_deep};
use super::{Entry, Measure, Node, Value};
use crate::spec::errors::Fault;
use crate::spec::model::Span;
use crate::spec::source::{SourceText, shown};

/// Collections within collections; an honest spec needs five.
pub(super) const MAX_DEPTH: usize = 64;

/// Nodes of the whole tree, copies made by aliases included.
const MAX_NODES: usize = 20_000;

/// Reads the only document of a text; `None` if it has none or an empty one.
///
/// What is wrong with a key or an alias is added to `faults` and reading goes
/// on; what breaks the syntax is added too and ends it. The places of all comments,
/// each from its `#` on, are added to `comments`.
pub(in crate::spec) fn read(
    source: &SourceText,
    faults: &mut Vec<Fault>,
    comments: &mut Vec<Span>,
) -> Option<Node> {
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(true);
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    let mut tree = Tree::new(source, faults);
    for event in Parser::new_from_str_with_options(source.text(), options) {
        let step = match event {
            Ok((Event::Comment(..), span)) => {
                comments.push(place(span));
                Ok(())
            }
            Ok((event, span)) => tree.take(event, place(span)),
            Err(error) => Err(explain(source, &error, tree.open_bracket())),
        };
        if let Err(fault) = step {
            tree.faults.push(fault);
            return None;
        }
    }
    tree.root.filter(|root| !matches!(root.value, Value::Null))
}

/// A parser's span as ours. Every span of a text in memory has byte offsets.
fn place(span: granit_parser::Span) -> Span {
    let range = span.byte_range().unwrap_or_default();
    Span {
        offset: range.start,
        len: range.end.saturating_sub(range.start),
    }
}

/// A collection whose end has not been seen.
struct Open {
    content: Content,
    start: Span,
    style: StructureStyle,
    anchor: usize,
    /// Where the last child ended: a block collection ends there, while the
    /// parser reports the next token.
    end: usize,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        key: Option<Key>,
    },
}

/// A key that waits for its value; `None` if it was refused, so that its value
/// is read and dropped.
type Key = Option<(String, Span)>;

struct Tree<'a> {
    source: &'a SourceText,
    faults: &'a mut Vec<Fault>,
    open: Vec<Open>,
    /// Complete nodes that an alias may repeat.
    anchors: BTreeMap<usize, (Node, Measure)>,
    root: Option<Node>,
    documents: usize,
    nodes: usize,
}

impl<'a> Tree<'a> {
    fn new(source: &'a SourceText, faults: &'a mut Vec<Fault>) -> Self {
        Self {
            source,
            faults,
            open: Vec::new(),
            anchors: BTreeMap::new(),
            root: None,
            documents: 0,
            nodes: 0,
        }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        if let Some(tag) = event.tag()
            && !matches!(
                tag.core_suffix(),
                Some("str" | "null" | "bool" | "int" | "float" | "seq" | "map")
            )
        {
            self.faults.push(
                Fault::new(
                    span,
                    format!(
                        "the tag {} has no meaning in a spec",
                        shown(&tag.original())
                    ),
                )
                .label("this value is tagged")
                .help("take the tag (the word that starts with `!`) away"),
            );
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Fault::new(span, "a second YAML document begins here")
                        .label("only the first one would count")
                        .help("a spec is one document: keep one of them, or make two files"));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let forced_text = tag.is_some_and(|tag| tag.core_suffix() == Some("str"));
                let is_null = style == ScalarStyle::Plain
                    && !forced_text
                    && (span.len == 0 || matches!(&*text, "~" | "null" | "Null" | "NULL"));
                let value = if is_null {
                    Value::Null
                } else {
                    Value::Text(text.into_owned())
                };
                self.complete(Node { value, span }, anchor)
            }
            Event::SequenceStart(style, anchor, _) => {
                self.begin(Content::List(Vec::new()), span, style, anchor)
            }
            Event::MappingStart(style, anchor, _) => self.begin(
                Content::Map {
                    entries: Vec::new(),
                    key: None,
                },
                span,
                style,
                anchor,
            ),
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => self.repeat(anchor, span),
            _ => Ok(()),
        }
    }

    fn begin(
        &mut self,
        content: Content,
        start: Span,
        style: StructureStyle,
        anchor: usize,
    ) -> Result<(), Fault> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(start));
        }
        let end = start.offset + start.len;
        self.open.push(Open {
            content,
            start,
            style,
            anchor,
            end,
        });
        Ok(())
    }

    fn end(&mut self, at: Span) -> Result<(), Fault> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let end = match open.style {
            StructureStyle::Flow => at.offset + at.len,
            StructureStyle::Block => open.end,
        };
        let offset = open.start.offset;
        let value = match open.content {
            Content::List(items) => Value::List(items),
            Content::Map { entries, .. } => Value::Map(self.merge(entries)),
        };
        let span = Span {
            offset,
            len: end.saturating_sub(offset),
        };
        self.complete(Node { value, span }, open.anchor)
    }

    /// Gives a complete node to the collection that it belongs to.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), Fault> {
        self.count(1, node.span)?;
        if anchor != 0 {
            let measure = node.measure();
            self.count(measure.nodes, node.span)?;
            self.anchors.insert(anchor, (node.clone(), measure));
        }
        self.place(node);
        Ok(())
    }

    fn place(&mut self, node: Node) {
        let end = node.span.offset + node.span.len;
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        open.end = open.end.max(end);
        match &mut open.content {
            Content::List(items) => items.push(node),
            Content::Map { entries, key } => match key.take() {
                None => *key = Some(as_key(node, self.source, self.faults)),
                Some(None) => {}
                Some(Some((key, key_span))) => {
                    let earlier = entries.iter().find(|entry| entry.key == key && key != "<<");
                    if let Some(earlier) = earlier {
                        self.faults.push(
                            Fault::new(
                                key_span,
                                format!("the key {} is written twice", shown(&key)),
                            )
                            .label("written again")
                            .also(earlier.key_span, "first written here")
                            .help("keep one of them: a YAML reader would silently drop the other"),
                        );
                    } else {
                        entries.push(Entry {
                            key,
                            key_span,
                            value: node,
                        });
                    }
                }
            },
        }
    }

    /// Puts in the place of an alias what its anchor names.
    fn repeat(&mut self, anchor: usize, span: Span) -> Result<(), Fault> {
        let Some((node, measure)) = self.anchors.get(&anchor) else {
            return Err(
                Fault::new(span, "an alias stands inside of what it repeats")
                    .label("this would never end")
                    .help("write the value out"),
            );
        };
        let (node, measure) = (node.clone(), *measure);
        if self.open.len() + measure.depth > MAX_DEPTH {
            return Err(too_deep(span));
        }
        self.count(measure.nodes, span)?;
        let behind = span.offset + span.len;
        self.place(node);
        // The copy keeps the places of the original; the collection around it
        // must still end behind the alias.
        if let Some(open) = self.open.last_mut() {
            open.end = open.end.max(behind);
        }
        Ok(())
    }

    /// Resolves the merge key `<<: *defaults`: its entries count where the
    /// mapping has none of that name.
    fn merge(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        if entries.iter().all(|entry| entry.key != "<<") {
            return entries;
        }
        let (merges, mut own): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| entry.key == "<<");
        for merge in merges {
            let given = match merge.value.value {
                Value::List(items) => items,
                _ => vec![merge.value],
            };
            for node in given {
                if let Value::Map(entries) = node.value {
                    for entry in entries {
                        if own.iter().all(|known| known.key != entry.key) {
                            own.push(entry);
                        }
                    }
                } else {
                    self.faults.push(
                        Fault::new(merge.key_span, "`<<` needs a mapping to take keys from")
                            .label(format!("this gives {}", node.kind()))
                            .help("write `<<: *name`, where `&name` marks a mapping"),
                    );
                }
            }
        }
        own
    }

    /// Where the innermost bracket that is still open was opened.
    fn open_bracket(&self) -> Option<Span> {
        let bracket = self
            .open
            .iter()
            .rev()
            .find(|open| open.style == StructureStyle::Flow);
        bracket.map(|open| open.start)
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Fault> {
        self.nodes += nodes;
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        Err(
            Fault::new(span, format!("the file has more than {MAX_NODES} values"))
                .label("aliases are counted as often as they repeat something")
                .help("a spec is a short text for people: take out what was generated"),
        )
    }
}

/// A key is a text; YAML would let it be anything.
fn as_key(node: Node, source: &SourceText, faults: &mut Vec<Fault>) -> Key {
    if let Value::Text(text) = node.value {
        return Some((text, node.span));
    }
    faults.push(
        Fault::new(
            node.label_span(source),
            format!("a key must be a text, this is {}", node.kind()),
        )
        .label("used as a key")
        .help("write `key: value`; put braces or brackets that belong to a text in quotes"),
    );
    None
}
