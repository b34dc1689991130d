//! YAML as a spec needs it: one tree of nodes that know their place.
//!
//! The tree is what the readers of sections read and [`super::edit`] writes
//! around. A plain scalar stays the text that was written (`3.10`, `yes`, `08`,
//! `1e3`), because nearly everything in a spec is a version or a name and never
//! a number. What the keys mean is not this folder's business.

mod syntax;
mod tree;

use super::model::Span;
use super::source::SourceText;

pub(in crate::spec) use tree::read;

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) value: Value,
    /// From the first to the last byte of the value; the brackets or quotes are
    /// part of it, an anchor or a tag is not.
    pub(crate) span: Span,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// A scalar as written, its quotes resolved.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the file's order.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

impl Node {
    /// The kind of the value, for "expected a list, found …".
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// The part to underline: a collection of several lines would fill the
    /// screen, so only its first line counts.
    pub(crate) fn label_span(&self, source: &SourceText) -> Span {
        let text = source.slice(self.span);
        let first_line = text.lines().next().unwrap_or_default().trim_end();
        Span {
            offset: self.span.offset,
            len: first_line.len(),
        }
    }

    /// Whether two nodes say the same, wherever and however it is written.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Null, Value::Null) => true,
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::List(a), Value::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.says_the_same(b))
            }
            (Value::Map(a), Value::Map(b)) => {
                a.len() == b.len()
                    && a.iter()
                        .zip(b)
                        .all(|(a, b)| a.key == b.key && a.value.says_the_same(&b.value))
            }
            _ => false,
        }
    }

    /// How many nodes there are and how deeply they are nested.
    fn measure(&self) -> Measure {
        let inner = |children: &mut dyn Iterator<Item = &Self>| {
            children
                .map(Self::measure)
                .fold(Measure { nodes: 1, depth: 1 }, |sum, child| Measure {
                    nodes: sum.nodes + child.nodes,
                    depth: sum.depth.max(child.depth + 1),
                })
        };
        match &self.value {
            Value::Null | Value::Text(_) => Measure { nodes: 1, depth: 0 },
            Value::List(items) => inner(&mut items.iter()),
            Value::Map(entries) => inner(&mut entries.iter().map(|entry| &entry.value)),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Measure {
    nodes: usize,
    depth: usize,
}
