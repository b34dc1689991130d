//! The text of a `.condarc` → parameters, as conda's `conda/common/configuration.py`
//! reads them: each with its place and its mark (`#!final`, `#!top`, `#!bottom`).
//!
//! Only keys that envspec follows are read. Those that change what conda would install,
//! and that envspec does not follow, are remembered so that they can be told.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::SettingsError;
use super::places::Surroundings;
use crate::spec::{self, Entry, Node, SourceText, Span, SpecErrors};

/// How a parameter is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    One,
    List,
    Map,
    MapOfLists,
}

/// The keys that are followed: the name, conda's other names for it, its kind
/// (the parameters of conda's `conda/base/context.py`).
const KEYS: [(&str, &[&str], Kind); 17] = [
    ("add_anaconda_token", &["add_binstar_token"], Kind::One),
    ("allowlist_channels", &["whitelist_channels"], Kind::List),
    ("channel_alias", &[], Kind::One),
    ("channels", &["channel"], Kind::List),
    ("client_ssl_cert", &["client_cert"], Kind::One),
    ("client_ssl_cert_key", &["client_cert_key"], Kind::One),
    ("custom_channels", &[], Kind::Map),
    ("custom_multichannels", &[], Kind::MapOfLists),
    ("default_channels", &[], Kind::List),
    ("denylist_channels", &[], Kind::List),
    ("migrated_channel_aliases", &[], Kind::List),
    ("offline", &[], Kind::One),
    ("proxy_servers", &[], Kind::Map),
    ("remote_connect_timeout_secs", &[], Kind::One),
    ("remote_max_retries", &[], Kind::One),
    ("remote_read_timeout_secs", &[], Kind::One),
    ("ssl_verify", &["verify_ssl"], Kind::One),
];

/// Keys that change what conda installs or where from, why they change nothing here.
const NOT_FOLLOWED: [(&str, &str); 9] = [
    ("channel_priority", SAME_LOCK),
    ("channel_settings", "no plugins of conda are run"),
    ("create_default_packages", SAME_LOCK),
    ("disallowed_packages", SAME_LOCK),
    ("disallow", SAME_LOCK),
    ("migrated_custom_channels", "write the new URL in the spec"),
    ("pinned_packages", SAME_LOCK),
    ("track_features", SAME_LOCK),
    ("use_local", SAME_LOCK),
];

const SAME_LOCK: &str =
    "a spec is solved alike on every machine, with strict priority of its channels";

/// How much a parameter or an entry counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flag {
    Final,
    Top,
    Bottom,
}

impl Flag {
    /// `ParameterFlag.from_string`.
    fn read(comment: &str) -> Option<Self> {
        match comment.trim().trim_matches(['!', '#']) {
            "final" => Some(Self::Final),
            "top" => Some(Self::Top),
            "bottom" => Some(Self::Bottom),
            _ => None,
        }
    }
}

/// Where something is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    /// Which file, in conda's order; the environment is the last.
    pub(super) source: usize,
    pub(super) span: Span,
}

/// A text with its place and mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) text: String,
    pub(super) at: At,
    pub(super) flag: Option<Flag>,
}

/// What a parameter says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    One(Item),
    List(Vec<Item>),
    Map(BTreeMap<String, Parameter>),
}

/// One key of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) said: Said,
    pub(super) at: At,
    pub(super) flag: Option<Flag>,
}

/// A file of the configuration, or the environment.
#[derive(Debug)]
pub(super) struct Source {
    /// As it is called.
    pub(super) name: String,
    /// The text without secrets; none is the environment's.
    pub(super) shown: Option<SourceText>,
    pub(super) parameters: BTreeMap<&'static str, Parameter>,
    /// Keys that matter and are not followed, and why.
    pub(super) not_followed: Vec<(String, &'static str)>,
}

impl Source {
    /// A fault at a place of it; the message and the help hold no secret.
    pub(super) fn fault(&self, at: At, message: &str, help: &str) -> SettingsError {
        match &self.shown {
            Some(shown) => spec::fault(shown, at.span, message, "said here", help).into(),
            None => SettingsError::Variable {
                name: self.name.clone(),
                message: message.to_owned(),
            },
        }
    }

    /// Reads a file.
    pub(super) fn of_file(
        source: usize,
        path: &Path,
        text: &str,
        surroundings: &Surroundings,
    ) -> Result<Self, SettingsError> {
        let name = path.display().to_string();
        let mut of_file = Self {
            name: name.clone(),
            shown: None,
            parameters: BTreeMap::new(),
            not_followed: Vec::new(),
        };
        let is_empty = text.trim_matches(['\u{feff}', ' ', '\t', '\n', '\r']);
        if is_empty.is_empty() {
            return Ok(of_file);
        }
        // What is shown must not hold a secret, and a secret may be what makes the text
        // no YAML: its mistakes are looked for in the other text then.
        let shown = SourceText::from_text(&name, spec::masked(text))?;
        let real = SourceText::from_text(&name, text)?;
        let unreadable = |_: SpecErrors| match spec::read_yaml(&shown) {
            Err(faults) => faults.into(),
            Ok(_) => SettingsError::Unreadable {
                path: path.to_owned(),
                why: "it is not YAML where a password or a token stands".to_owned(),
            },
        };
        let root = spec::read_yaml(&real).map_err(unreadable)?;
        let Some(root) = root else {
            return Ok(of_file);
        };
        let reader = Reader {
            source,
            real: &real,
            shown: &shown,
            surroundings,
        };
        let spec::Value::Map(entries) = &root.value else {
            return Err(reader.wrong(&root, "a .condarc", "a mapping of keys"));
        };
        for entry in entries {
            reader.entry(entry, &mut of_file)?;
        }
        of_file.shown = Some(shown);
        Ok(of_file)
    }

    /// Reads the variables that conda reads: `CONDA_` and the name of a key.
    pub(super) fn of_variables(source: usize, surroundings: &Surroundings) -> Self {
        let at = At {
            source,
            span: Span { offset: 0, len: 0 },
        };
        let mut names = Vec::new();
        let mut parameters = BTreeMap::new();
        let all = KEYS.iter().flat_map(|(name, aliases, kind)| {
            let written = aliases.iter().chain(std::iter::once(name));
            written.map(move |written| (*name, *written, *kind))
        });
        for (name, written, kind) in all {
            let variable = format!("CONDA_{}", written.to_ascii_uppercase());
            let Some(text) = surroundings.text(&variable) else {
                continue;
            };
            let item = |text: &str| Item {
                text: text.trim().to_owned(),
                at,
                flag: None,
            };
            let said = match kind {
                Kind::One => Said::One(item(text.split("!important").next().unwrap_or(text))),
                Kind::List => {
                    let items = text.split(',').map(item);
                    Said::List(items.filter(|item| !item.text.is_empty()).collect())
                }
                // conda can't read a mapping from a variable either.
                Kind::Map | Kind::MapOfLists => continue,
            };
            names.push(variable);
            let flag = None;
            parameters.insert(name, Parameter { said, at, flag });
        }
        Self {
            name: names.join(", "),
            shown: None,
            parameters,
            not_followed: Vec::new(),
        }
    }
}

struct Reader<'a> {
    source: usize,
    real: &'a SourceText,
    shown: &'a SourceText,
    surroundings: &'a Surroundings,
}

impl Reader<'_> {
    fn entry(&self, entry: &Entry, into: &mut Source) -> Result<(), SettingsError> {
        let key = entry.key.as_str();
        if let Some((_, why)) = NOT_FOLLOWED.iter().find(|(name, _)| *name == key) {
            into.not_followed.push((key.to_owned(), why));
            return Ok(());
        }
        let known = KEYS
            .iter()
            .find(|(name, aliases, _)| *name == key || aliases.contains(&key));
        let Some((name, _, kind)) = known else {
            return Ok(());
        };
        let Some(said) = self.said(key, &entry.value, *kind)? else {
            return Ok(());
        };
        let at = self.at(entry.key_span);
        let flag = self.flag_of(entry);
        if into
            .parameters
            .insert(name, Parameter { said, at, flag })
            .is_some()
        {
            let message = format!("`{key}` is another name of a key that is above it");
            let help = format!("keep one of them: `{name}`");
            return Err(
                spec::fault(self.shown, entry.key_span, message, "said again", help).into(),
            );
        }
        Ok(())
    }

    fn at(&self, span: Span) -> At {
        At {
            source: self.source,
            span,
        }
    }

    /// The value; nothing counts as not said.
    fn said(&self, key: &str, node: &Node, kind: Kind) -> Result<Option<Said>, SettingsError> {
        let what = format!("`{key}`");
        Ok(Some(match (&node.value, kind) {
            (spec::Value::Null, _) => return Ok(None),
            (spec::Value::Text(_), Kind::One) => Said::One(self.item(&what, node)?),
            (spec::Value::List(items), Kind::List) => {
                let items = items.iter().map(|item| self.item(&what, item));
                Said::List(items.collect::<Result<_, _>>()?)
            }
            (spec::Value::Map(entries), Kind::Map | Kind::MapOfLists) => {
                let kind = if kind == Kind::Map {
                    Kind::One
                } else {
                    Kind::List
                };
                let mut map = BTreeMap::new();
                for entry in entries {
                    let Some(said) = self.said(&entry.key, &entry.value, kind)? else {
                        continue;
                    };
                    let at = self.at(entry.key_span);
                    let flag = self.flag_of(entry);
                    map.insert(entry.key.clone(), Parameter { said, at, flag });
                }
                Said::Map(map)
            }
            (_, kind) => {
                let wanted = match kind {
                    Kind::One => "one value",
                    Kind::List => "a list",
                    Kind::Map | Kind::MapOfLists => "a mapping",
                };
                return Err(self.wrong(node, &what, wanted));
            }
        }))
    }

    /// A text, with the variables in it put in, as `os.path.expandvars` does.
    fn item(&self, what: &str, node: &Node) -> Result<Item, SettingsError> {
        let spec::Value::Text(text) = &node.value else {
            return Err(self.wrong(node, what, "of texts"));
        };
        Ok(Item {
            text: expanded(text, self.surroundings),
            at: self.at(node.span),
            flag: self.flag_behind(node.span.offset + node.span.len),
        })
    }

    fn wrong(&self, node: &Node, what: &str, wanted: &str) -> SettingsError {
        let span = node.label_span(self.shown);
        let message = format!("{what} must be {wanted}");
        let label = format!("this is {}", node.kind());
        let help = "see `conda config --describe`; envspec follows conda's configuration";
        spec::fault(self.shown, span, message, label, help).into()
    }

    /// The mark of a key: behind the key of a block, else behind the value.
    fn flag_of(&self, entry: &Entry) -> Option<Flag> {
        let end = |span: Span| span.offset + span.len;
        let rest = self.rest_of_line(end(entry.key_span));
        let behind_key = rest.trim_start_matches([':', ' ', '\t', '"', '\'']);
        if behind_key.starts_with('#') {
            return Flag::read(behind_key);
        }
        let is_block_list = matches!(
            entry.value.value,
            spec::Value::List(_) | spec::Value::Map(_)
        ) && behind_key.trim().is_empty();
        if is_block_list {
            return None;
        }
        self.flag_behind(end(entry.value.span))
    }

    fn flag_behind(&self, offset: usize) -> Option<Flag> {
        let rest = self.rest_of_line(offset).trim_start();
        rest.starts_with('#').then(|| Flag::read(rest))?
    }

    fn rest_of_line(&self, offset: usize) -> &str {
        let rest = self.real.text().get(offset..).unwrap_or_default();
        rest.lines().next().unwrap_or_default()
    }
}

/// `$NAME` and `${NAME}`, where there is such a variable; what has none stays.
fn expanded(text: &str, surroundings: &Surroundings) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let braced = rest[1..].strip_prefix('{');
        let (name, length) = if let Some(inner) = braced {
            let end = inner.find('}');
            end.map_or(("", 1), |end| (&inner[..end], end + 3))
        } else {
            let end = rest[1..].find(|c| !in_word(c)).unwrap_or(rest.len() - 1);
            (&rest[1..=end], end + 1)
        };
        match surroundings.text(name) {
            Some(value) => out.push_str(value),
            None => out.push_str(&rest[..length]),
        }
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}
