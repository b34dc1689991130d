//! Where in a spec a list is that is edited: below a key at the top, or in the section
//! `pip:` of `dependencies`.

use yaml_edit::{Document, Mapping, Sequence};

use super::DEPENDENCIES;
use crate::spec::model::{EnvSpec, Span};
use crate::spec::yaml::{Entry, Node, Value};

/// The place of a list in the tree of a spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Below a key at the top.
    Top(&'static str),
    /// Below a key (`pip`, or mamba's `uv`) of a mapping in `dependencies`.
    Section {
        /// Which item of `dependencies` the mapping is.
        item: usize,
        /// The key.
        key: &'static str,
    },
}

impl Place {
    /// The section for pip. One that asks for nothing is good enough, if there is no other.
    pub(super) fn of_pip(root: &Node, spec: &EnvSpec) -> Option<Self> {
        let sections = dependencies(root).iter().enumerate();
        let mut sections = sections.flat_map(|(item, node)| {
            entries(node).iter().filter_map(move |entry| {
                let key = ["pip", "uv"].into_iter().find(|key| entry.key == *key)?;
                Some((entry.key_span, Self::Section { item, key }))
            })
        });
        let read = spec.pip.as_ref().map(|pip| pip.span);
        let is_read = |span: &Span| read.is_none_or(|read| read == *span);
        sections
            .find(|(span, _)| is_read(span))
            .map(|(_, place)| place)
    }

    /// What the list is called.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Top(key) | Self::Section { key, .. } => key,
        }
    }

    /// The list's entry, if the key is there.
    pub(super) fn entry(self, root: &Node) -> Option<&Entry> {
        let mapping = match self {
            Self::Top(_) => root,
            Self::Section { item, .. } => dependencies(root).get(item)?,
        };
        find(mapping, self.key())
    }

    /// Whether the section's key is the only one of its mapping, which goes with it.
    pub(super) fn fills_its_item(self, root: &Node) -> Option<usize> {
        match self {
            Self::Top(_) => None,
            Self::Section { item, .. } => {
                let node = dependencies(root).get(item)?;
                (entries(node).len() == 1).then_some(item)
            }
        }
    }

    /// The mapping that has the key, for yaml-edit, if that sees as many items around it.
    pub(super) fn mapping(self, document: &Document, root: &Node) -> Option<Mapping> {
        let top = document.as_mapping()?;
        match self {
            Self::Top(_) => Some(top),
            Self::Section { item, .. } => {
                let list = top.get_sequence(DEPENDENCIES)?;
                let agrees = Sequence::len(&list) == dependencies(root).len();
                let node = agrees.then(|| list.get(item))??;
                node.as_mapping().cloned()
            }
        }
    }

    /// The tree with another list below the key, at the end if it is new; `None` takes
    /// the key away, and a mapping that had no other.
    pub(super) fn with_list(self, root: &Node, items: Option<Vec<Node>>) -> Node {
        let mut root = root.clone();
        match self {
            Self::Top(key) => set(&mut root, key, items),
            Self::Section { item, key } => {
                if let Some(list) = dependencies_mut(&mut root)
                    && let Some(node) = list.get_mut(item)
                {
                    set(node, key, items);
                    if entries(node).is_empty() {
                        list.remove(item);
                    }
                }
            }
        }
        root
    }
}

/// The entry of a key in a mapping.
pub(super) fn find<'n>(mapping: &'n Node, key: &str) -> Option<&'n Entry> {
    entries(mapping).iter().find(|entry| entry.key == key)
}

fn entries(node: &Node) -> &[Entry] {
    match &node.value {
        Value::Map(entries) => entries,
        _ => &[],
    }
}

fn dependencies(root: &Node) -> &[Node] {
    match find(root, DEPENDENCIES).map(|entry| &entry.value.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

fn dependencies_mut(root: &mut Node) -> Option<&mut Vec<Node>> {
    let Value::Map(entries) = &mut root.value else {
        return None;
    };
    let entry = entries.iter_mut().find(|entry| entry.key == DEPENDENCIES)?;
    match &mut entry.value.value {
        Value::List(items) => Some(items),
        _ => None,
    }
}

fn set(mapping: &mut Node, key: &str, items: Option<Vec<Node>>) {
    let Value::Map(entries) = &mut mapping.value else {
        return;
    };
    let place = entries.iter().position(|entry| entry.key == key);
    match (place, items) {
        (Some(place), Some(items)) => entries[place].value.value = Value::List(items),
        (Some(place), None) => {
            entries.remove(place);
        }
        (None, Some(items)) => entries.push(entry(key, items)),
        (None, None) => {}
    }
}

/// A new entry, which has no place yet.
pub(super) fn entry(key: &str, items: Vec<Node>) -> Entry {
    Entry {
        key: key.to_owned(),
        key_span: NOWHERE,
        value: unplaced(Value::List(items)),
    }
}

/// A new node, which has no place yet.
pub(super) fn unplaced(value: Value) -> Node {
    Node {
        value,
        span: NOWHERE,
    }
}

const NOWHERE: Span = Span { offset: 0, len: 0 };
