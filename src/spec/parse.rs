//! The file: tree of nodes → [`EnvSpec`], conda's `environment.yml` and more.
//!
//! Every valid `environment.yml` is a valid spec, so the keys of conda are read
//! as conda reads them, and an unknown key at the top is a note and no error.
//! All faults of a file are found in one pass. Whether packages, kernels and
//! sites exist is not asked here.

use std::str::FromStr;

use rattler_conda_types::{PackageName, Subdir};

use super::Launch;
use super::errors::{Fault, SpecErrors};
use super::model::{At, ChannelPriority, EnvName, EnvSpec, Note, Span, Target};
use super::reader::{Comment, Reader, Rule, nearest};
use super::source::{STARTER, SourceText, shown};
use super::yaml::{Entry, Node, Value, read};

/// The keys of a spec, those of environment.yml first.
const KEYS: [&str; 12] = [
    "name",
    "channels",
    "channel_priority",
    "dependencies",
    "variables",
    "prefix",
    "platforms",
    "post_link",
    "kernels",
    "target",
    "site",
    "launch",
];

/// Keys that other readers of `environment.yml` define, and who they are.
const KEYS_OF_OTHERS: [(&str, &str); 4] = [
    ("pip-repositories", "conda-lock"),
    ("allow-pypi-requests", "conda-lock"),
    ("environment", "conda-devenv"),
    ("includes", "conda-devenv"),
];

/// The channel of a spec that names none. Never `defaults`: its terms do not
/// allow what a research institute does with it.
const DEFAULT_CHANNEL: &str = "conda-forge";

/// A file as far as it can be understood.
#[derive(Debug)]
pub struct Reading {
    /// What could be read of it; with `errors` it is for finding more of them and for
    /// nothing else. `None` only together with an error.
    pub spec: Option<EnvSpec>,
    /// What is worth a word.
    pub notes: Vec<Note>,
    /// Everything that is wrong with it, the notes shown among it.
    pub errors: Option<SpecErrors>,
}

/// Reads a spec. `default_name` is for a file without the key `name`: its stem.
///
/// # Errors
/// Everything that is wrong with the file, each at its place; notes that were
/// found on the way are shown among them.
pub fn parse(
    source: &SourceText,
    default_name: Option<EnvName>,
) -> Result<(EnvSpec, Vec<Note>), SpecErrors> {
    match read_spec(source, default_name) {
        Reading {
            spec: Some(spec),
            notes,
            errors: None,
        } => Ok((spec, notes)),
        Reading { errors, .. } => Err(errors.expect("where there is no spec there is an error")),
    }
}

/// Reads a spec, and goes on where something is wrong.
pub fn read_spec(source: &SourceText, default_name: Option<EnvName>) -> Reading {
    let (mut faults, mut comments) = (Vec::new(), Vec::new());
    let root = read(source, &mut faults, &mut comments);
    let comment = |span| Comment {
        span,
        is_read: false,
    };
    let mut reader = Reader {
        source,
        faults,
        notes: Vec::new(),
        comments: comments.into_iter().map(comment).collect(),
    };
    let spec = root.and_then(|root| reader.spec(&root, default_name));
    if spec.is_none() && reader.faults.is_empty() {
        let message = format!("{} says nothing", shown(source.name()));
        reader.fault(
            Span { offset: 0, len: 0 },
            message,
            "only comments here",
            STARTER,
        );
    }
    let errors = (!reader.faults.is_empty()).then(|| {
        let notes = reader.notes.iter().map(Fault::from);
        SpecErrors::new(source, reader.faults.into_iter().chain(notes).collect())
    });
    Reading {
        spec,
        notes: reader.notes,
        errors,
    }
}

impl Reader<'_> {
    /// The whole file; `None` only together with a fault.
    fn spec(&mut self, root: &Node, default_name: Option<EnvName>) -> Option<EnvSpec> {
        let Value::Map(entries) = &root.value else {
            let label = format!("this is {}", root.kind());
            self.fault(
                root.label_span(self.source),
                "a spec is a mapping of keys",
                label,
                STARTER,
            );
            return None;
        };
        let start = Span {
            offset: root.span.offset,
            len: 0,
        };
        let mut name = default_name;
        let mut named = None;
        let mut channels = Vec::new();
        let mut channels_span = start;
        let mut channel_priority = ChannelPriority::default();
        let mut names_channels = false;
        let (mut dependencies, mut pip) = (Vec::new(), None);
        let mut variables = std::collections::BTreeMap::new();
        let (mut platforms, mut post_link, mut kernels) = (Vec::new(), Vec::new(), Vec::new());
        let (mut target, mut launch) = (Target::default(), Launch::default());
        let mut site = None;
        for entry in entries {
            let node = &entry.value;
            match entry.key.as_str() {
                "name" | "site" if matches!(node.value, Value::Null) => {}
                "name" => named = Some(self.name(node)),
                "channels" => {
                    channels = self.channels(node);
                    channels_span = entry.key_span;
                    // `nodefaults` alone says something too.
                    names_channels = matches!(&node.value, Value::List(items) if !items.is_empty());
                }
                "channel_priority" => channel_priority = self.channel_priority(entry),
                "dependencies" => (dependencies, pip) = self.dependencies(node),
                "variables" => variables = self.variables("`variables`", node),
                "platforms" => platforms = self.platforms(node),
                "post_link" => post_link = self.post_link(node),
                "kernels" => kernels = self.kernels(node),
                "target" => target = self.target(node),
                "site" => site = self.text("`site`", node, Rule::Identifier, "site: bih"),
                "launch" => launch = self.launch(node),
                "prefix" => self.note(
                    entry.key_span,
                    "`prefix` is ignored: envspec keeps environments under its own root",
                    "take the line out; `--root` chooses the place",
                ),
                "category" => self.note(
                    entry.key_span,
                    "`category` is conda-lock's: here all requirements of a spec are installed together",
                    "what is not always wanted goes into a spec of its own",
                ),
                _ => self.foreign_key(entry),
            }
        }
        self.selectors_elsewhere();
        if let Some(given) = named {
            name = given.or_else(|| EnvName::new("unnamed"));
        } else if name.is_none() {
            name = EnvName::new("unnamed");
            self.fault(
                start,
                "the spec has no name and its file's name cannot be one",
                "no key `name`",
                "begin with `name: lab`: letters, digits, `.`, `_` and `-`",
            );
        }
        if channels.is_empty() && self.faults.is_empty() {
            self.notes.push(EnvSpec::channels_note(
                channels_span,
                &[DEFAULT_CHANNEL],
                None,
            ));
            channels.push(At {
                value: DEFAULT_CHANNEL.to_owned(),
                span: channels_span,
            });
        }
        if dependencies.is_empty() && pip.is_none() && kernels.is_empty() && self.faults.is_empty()
        {
            self.asks_for_nothing(start, entries);
        }
        Some(EnvSpec {
            name: name?,
            channels,
            channel_priority,
            names_channels,
            dependencies,
            pip,
            variables,
            platforms,
            post_link,
            kernels,
            target,
            site,
            launch,
        })
    }

    /// A spec without packages and kernels is allowed, unless it was to have some: a key of
    /// it is nearly one that counts.
    fn asks_for_nothing(&mut self, start: Span, entries: &[Entry]) {
        let message = "the spec asks for no package and no kernel";
        let meant = entries.iter().find_map(|entry| {
            let is_foreign = !KEYS.contains(&entry.key.as_str());
            let near = nearest(&entry.key, &KEYS).filter(|_| is_foreign)?;
            ["dependencies", "kernels"]
                .contains(&near)
                .then_some((entry.key_span, near))
        });
        match meant {
            Some((span, near)) => {
                let help = format!("did you mean `{near}`?");
                self.fault(span, message, "conda ignores this key", help);
            }
            None => self.note(start, message, STARTER),
        }
    }

    fn name(&mut self, node: &Node) -> Option<EnvName> {
        let text = self.text("`name`", node, Rule::Identifier, "name: lab")?;
        // The rule of an identifier is that of a name, so this always gives one.
        EnvName::new(&text.value)
    }

    fn channels(&mut self, node: &Node) -> Vec<At<String>> {
        let mut channels: Vec<At<String>> = Vec::new();
        for item in self.list("`channels`", node, "channels: [conda-forge]") {
            let Some(channel) = self.text("a channel", item, Rule::Word, "conda-forge") else {
                continue;
            };
            if channel.value.contains('$') {
                let message = format!(
                    "the channel {} holds a variable, which conda would fill in",
                    shown(&channel.value)
                );
                let help = "write the URL itself: a spec means the same on every machine";
                self.fault(item.span, message, "not filled in", help);
                continue;
            }
            // `nodefaults` keeps conda from adding its defaults; nothing is added here.
            let known = channels.iter().any(|known| known.value == channel.value);
            if channel.value != "nodefaults" && !known {
                channels.push(channel);
            }
        }
        channels
    }

    /// What the order of the channels means: conda's three values, and the two that
    /// they had before (`true` was flexible).
    fn channel_priority(&mut self, entry: &Entry) -> ChannelPriority {
        const EXAMPLE: &str = "channel_priority: strict";
        let what = "`channel_priority`";
        let read = |text: &str| match text {
            "strict" => Ok((ChannelPriority::Strict, false)),
            "flexible" | "true" | "True" => Ok((ChannelPriority::Strict, true)),
            "disabled" | "false" | "False" => Ok((ChannelPriority::Disabled, false)),
            _ => Err("one of strict, flexible, disabled".to_owned()),
        };
        let Some(priority) = self.value(what, &entry.value, EXAMPLE, read) else {
            return ChannelPriority::default();
        };
        let (priority, is_flexible) = priority.value;
        if is_flexible {
            self.note(
                entry.value.span,
                "there is no flexible priority here: it is strict",
                "write `strict`, or `disabled` for the newest package of any channel",
            );
        }
        self.note(
            entry.key_span,
            "conda and mamba read `channel_priority` in .condarc, and not in this file",
            "`conda config --set channel_priority …` tells them the same",
        );
        priority
    }

    /// The packages whose post-link scripts may run.
    fn post_link(&mut self, node: &Node) -> Vec<At<PackageName>> {
        const EXAMPLE: &str = "post_link: [bioconductor-genomeinfodbdata]";
        let mut packages: Vec<At<PackageName>> = Vec::new();
        for item in self.list("`post_link`", node, EXAMPLE) {
            packages.extend(self.value("a package", item, EXAMPLE, |text| {
                let name = PackageName::from_str(text);
                name.map_err(|_| "not the name of a package".to_owned())
            }));
        }
        packages
    }

    fn platforms(&mut self, node: &Node) -> Vec<At<Subdir>> {
        let names: Vec<&str> = Subdir::all()
            .filter(|subdir| *subdir != Subdir::NoArch)
            .map(Subdir::as_str)
            .collect();
        let mut platforms: Vec<At<Subdir>> = Vec::new();
        for item in self.list("`platforms`", node, "platforms: [linux-64]") {
            let platform = self.value(
                "a platform",
                item,
                "linux-64",
                |text| match Subdir::from_str(text) {
                    Ok(Subdir::NoArch) => {
                        Err("every platform has noarch packages: name the machine's".to_owned())
                    }
                    Ok(subdir) => Ok(subdir),
                    Err(_) => Err(match nearest(text, &names) {
                        Some(near) => format!("did you mean {near}?"),
                        None => "conda has no platform of this name".to_owned(),
                    }),
                },
            );
            let Some(platform) = platform else { continue };
            if platforms.iter().all(|known| known.value != platform.value) {
                platforms.push(platform);
            }
        }
        platforms
    }

    /// A key at the top that is not ours: conda ignores it, so it is a note.
    fn foreign_key(&mut self, entry: &Entry) {
        let key = shown(&entry.key);
        if let Some((_, tool)) = KEYS_OF_OTHERS.iter().find(|(other, _)| *other == entry.key) {
            let message = format!("the key {key} is {tool}'s: envspec does not use it");
            self.notes.push(Note {
                message,
                help: None,
                span: entry.key_span,
            });
            return;
        }
        let help = match nearest(&entry.key, &KEYS) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the keys of a spec are {}", KEYS.join(", ")),
        };
        self.note(
            entry.key_span,
            format!("unknown key {key}: conda ignores it, and so does envspec"),
            help,
        );
    }
}
