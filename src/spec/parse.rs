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
use super::model::{At, Dependency, EnvName, EnvSpec, Note, PipSection, Span, Target};
use super::reader::{Reader, Rule, nearest};
use super::source::{STARTER, SourceText, shown};
use super::yaml::{Entry, Node, Value, read};

/// The keys of a spec, those of conda first.
const KEYS: [&str; 11] = [
    "name",
    "channels",
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
const KEYS_OF_OTHERS: [(&str, &str); 5] = [
    ("category", "conda-lock"),
    ("pip-repositories", "conda-lock"),
    ("channel_priority", "mamba"),
    ("environment", "conda-devenv"),
    ("includes", "conda-devenv"),
];

/// The channel of a spec that names none. Never `defaults`: its terms do not
/// allow what a research institute does with it.
const DEFAULT_CHANNEL: &str = "conda-forge";

/// Reads a spec. `default_name` is for a file without the key `name`: its stem.
///
/// # Errors
/// Everything that is wrong with the file, each at its place; notes that were
/// found on the way are shown among them.
pub fn parse(
    source: &SourceText,
    default_name: Option<EnvName>,
) -> Result<(EnvSpec, Vec<Note>), SpecErrors> {
    let mut faults = Vec::new();
    let root = read(source, &mut faults);
    let mut reader = Reader {
        source,
        faults,
        notes: Vec::new(),
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
    match spec {
        Some(spec) if reader.faults.is_empty() => Ok((spec, reader.notes)),
        _ => {
            let notes = reader.notes.iter().map(Fault::from);
            Err(SpecErrors::new(
                source,
                reader.faults.into_iter().chain(notes).collect(),
            ))
        }
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
                _ => self.foreign_key(entry),
            }
        }
        if let Some(given) = named {
            name = given;
        } else if name.is_none() {
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
            self.note(start, "the spec asks for no package and no kernel", STARTER);
        }
        Some(EnvSpec {
            name: name?,
            channels,
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
            // `nodefaults` keeps conda from adding its defaults; nothing is added here.
            let known = channels.iter().any(|known| known.value == channel.value);
            if channel.value != "nodefaults" && !known {
                channels.push(channel);
            }
        }
        channels
    }

    fn dependencies(&mut self, node: &Node) -> (Vec<Dependency>, Option<PipSection>) {
        let mut dependencies = Vec::new();
        let mut pip: Option<PipSection> = None;
        for item in self.list(
            "`dependencies`",
            node,
            "dependencies: [python 3.12.*, numpy]",
        ) {
            let Value::Map(entries) = &item.value else {
                dependencies.extend(self.requirement(item));
                continue;
            };
            for entry in entries {
                match (entry.key.as_str(), &pip) {
                    ("pip", None) => pip = self.pip(entry),
                    ("pip", Some(earlier)) => self.faults.push(
                        Fault::new(entry.key_span, "there are two `pip:` sections")
                            .label("the second")
                            .also(earlier.span, "the first")
                            .help("put all requirements below one of them: conda would drop the first"),
                    ),
                    _ => self.foreign_dependency(entry),
                }
            }
        }
        (dependencies, pip)
    }

    /// The `pip:` section; an empty one asks for nothing.
    fn pip(&mut self, entry: &Entry) -> Option<PipSection> {
        let mut requirements = Vec::new();
        for item in self.list("`pip`", &entry.value, "- pip: [some-tool ==1.4]") {
            // Not a word of ours: pip's own options (`-e .`, `-r file`) stand here too.
            requirements.extend(self.text(
                "a requirement of pip",
                item,
                Rule::Title,
                "some-tool ==1.4",
            ));
        }
        (!requirements.is_empty()).then_some(PipSection {
            requirements,
            span: entry.key_span,
        })
    }

    /// A mapping in `dependencies` that is not `pip`.
    fn foreign_dependency(&mut self, entry: &Entry) {
        let key = entry.key.trim();
        let (message, help) = if key.starts_with("sel(") {
            (
                format!(
                    "{} is a selector of mamba, which conda and envspec do not know",
                    shown(key)
                ),
                "list the package for all platforms, or keep one spec for each platform".to_owned(),
            )
        } else if let Value::Text(value) = &entry.value.value {
            (
                format!(
                    "{} is a key with a value, not a requirement",
                    shown(&format!("{key}: {value}"))
                ),
                format!("write `- {key} {value}`, without a colon"),
            )
        } else {
            (
                format!("`dependencies` has no section {}", shown(key)),
                "only `pip` has a section; list conda packages with `- name`".to_owned(),
            )
        };
        self.fault(entry.key_span, message, "here", help);
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
