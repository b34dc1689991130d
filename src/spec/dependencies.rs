//! The section `dependencies`, and those of kernels: requirements of conda, of pip, and
//! for which platforms each of them is.
//!
//! The dialects differ where platforms are concerned. mamba's `sel(linux)` makes conda
//! stop, so its meaning is beyond doubt. conda-lock's comment means nothing to conda; it
//! holds here all the same, for whoever wrote it meant it, and to lock a package for
//! platforms that it was kept from would give another environment than conda-lock's. A
//! note says so once.

use super::errors::Fault;
use super::model::{Dependency, PipSection, Span};
use super::pip::{PipKind, PipRequirement, read_pip};
use super::reader::{Comment, Reader, Rule};
use super::requirement::{Objection, read_requirement};
use super::selector::{InComment, Selector, help_for_comment, in_comment, of_mamba};
use super::source::shown;
use super::yaml::{Entry, Node, Value};

const EXAMPLE: &str = "dependencies: [python 3.12.*, numpy]";

impl Reader<'_> {
    /// The section `dependencies`.
    pub(super) fn dependencies(&mut self, node: &Node) -> (Vec<Dependency>, Option<PipSection>) {
        let (dependencies, pip) = self.requirements(node, EXAMPLE);
        if let Some(pip) = &pip {
            self.pip_itself(pip, &dependencies);
        }
        (dependencies, pip)
    }

    /// The same of a kernel, which conda does not read.
    pub(super) fn requirements(
        &mut self,
        node: &Node,
        example: &str,
    ) -> (Vec<Dependency>, Option<PipSection>) {
        let mut dependencies = Vec::new();
        let mut pip: Option<PipSection> = None;
        for item in self.list("`dependencies`", node, example) {
            let Value::Map(entries) = &item.value else {
                dependencies.extend(self.requirement(item));
                continue;
            };
            for entry in entries {
                match (entry.key.as_str(), &pip) {
                    (key, _) if key.trim().starts_with("sel(") => {
                        dependencies.extend(self.selected(entry));
                    }
                    ("pip" | "uv", None) => pip = self.pip(entry),
                    ("pip" | "uv", Some(earlier)) => self.faults.push(
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

    /// mamba's `sel(linux): pkg`.
    fn selected(&mut self, entry: &Entry) -> Vec<Dependency> {
        let key = entry.key.trim();
        let selector = match of_mamba(key) {
            Ok(selector) => Some(selector),
            Err(help) => {
                let message = format!("mamba has no selector {}", shown(key));
                self.fault(entry.key_span, message, "unknown selector", help);
                None
            }
        };
        let items = match &entry.value.value {
            Value::List(items) => {
                self.note_once(
                    entry.key_span,
                    "a list below `sel(…)` is for envspec alone: mamba takes one package there",
                    "write `- sel(…): package` for each of them",
                );
                items.as_slice()
            }
            _ => std::slice::from_ref(&entry.value),
        };
        self.note_once(
            entry.key_span,
            "`sel(…)` is mamba's: conda refuses a spec that has it",
            "keep a spec for each platform if conda reads this file too",
        );
        let requirements = items.iter().filter_map(|item| {
            let mut dependency = self.requirement(item)?;
            dependency.selector = Some(selector.clone()?.and(dependency.selector.take()));
            Some(dependency)
        });
        requirements.collect()
    }

    /// One requirement, read as leniently as conda does.
    fn requirement(&mut self, node: &Node) -> Option<Dependency> {
        let text = self.text("a requirement", node, Rule::Title, "numpy >=2")?;
        let selector = self.selector_behind(node);
        if text.value.bytes().all(|c| c.is_ascii_digit() || c == b'.') {
            let message = format!("{} is a number, and no package", shown(&text.value));
            let help = "write the package before it: `python 3.11.*`";
            self.fault(text.span, message, "which package?", help);
            return None;
        }
        match read_requirement(&text.value) {
            Ok(spec) => Some(Dependency {
                spec,
                text: text.value,
                span: text.span,
                selector,
            }),
            Err(objection) => {
                self.not_understood(node, &text.value, "conda", objection);
                None
            }
        }
    }

    fn not_understood(&mut self, node: &Node, text: &str, who: &str, objection: Objection) {
        let Objection { why, help, part } = objection;
        let span = match self.source.slice(node.span).rfind(&part) {
            Some(start) if !part.is_empty() => Span {
                offset: node.span.offset + start,
                len: part.len(),
            },
            _ => node.label_span(self.source),
        };
        let message = format!(
            "{} is not a requirement that {who} understands",
            shown(text)
        );
        self.fault(span, message, why, help);
    }

    /// The section `pip`; an empty one asks for nothing.
    fn pip(&mut self, entry: &Entry) -> Option<PipSection> {
        if entry.key == "uv" {
            self.note_once(
                entry.key_span,
                "`uv:` is mamba's: it is read as `pip:` here, and conda refuses it",
                "write `pip:`, which all of them read",
            );
        }
        let mut requirements = Vec::new();
        for item in self.list("`pip`", &entry.value, "- pip: [some-tool ==1.4]") {
            requirements.extend(self.pip_requirement(item));
        }
        (!requirements.is_empty()).then_some(PipSection {
            requirements,
            span: entry.key_span,
        })
    }

    fn pip_requirement(&mut self, node: &Node) -> Option<PipRequirement> {
        let text = self.text("a requirement of pip", node, Rule::Title, "some-tool ==1.4")?;
        let selector = self.selector_behind(node);
        match read_pip(&text.value) {
            Ok(line) => {
                if let Some(option) = line.dropped() {
                    self.note(
                        node.label_span(self.source),
                        format!("pip drops `{option}` where it stands behind a requirement"),
                        format!("write `- {option} …` as an entry of its own"),
                    );
                }
                if matches!(&line.kind, PipKind::Editable(place) if !place.contains("://")) {
                    self.note(
                        node.label_span(self.source),
                        "`-e` installs what is there now: a generation never changes",
                        "apply again after you edit it",
                    );
                }
                Some(PipRequirement {
                    kind: line.kind,
                    options: line.options,
                    text: text.value,
                    span: text.span,
                    selector,
                    file: None,
                    is_constraint: false,
                    folder: None,
                })
            }
            Err(objection) => {
                self.not_understood(node, &text.value, "pip", objection);
                None
            }
        }
    }

    /// conda adds the package `pip` where a spec with a section `pip:` does not list it.
    fn pip_itself(&mut self, pip: &PipSection, dependencies: &[Dependency]) {
        let is_pip = |dependency: &Dependency| {
            let name = dependency.spec.name.as_exact();
            name.is_some_and(|name| name.as_normalized() == "pip")
        };
        if !dependencies.iter().any(is_pip) {
            self.note(
                pip.span,
                "the package `pip` is not listed: conda warns of that and adds it",
                "write `- pip` above the section",
            );
        }
    }

    /// A mapping in `dependencies` that is neither `pip` nor a selector.
    fn foreign_dependency(&mut self, entry: &Entry) {
        let key = entry.key.trim();
        let (message, help) = if let Value::Text(value) = &entry.value.value {
            (
                format!(
                    "{} is a key with a value, not a requirement",
                    shown(&format!("{key}: {value}"))
                ),
                format!(
                    "write {}, without a colon",
                    shown(&format!("- {key} {value}"))
                ),
            )
        } else {
            (
                format!("`dependencies` has no section {}", shown(key)),
                "only `pip` has a section; list conda packages with `- name`".to_owned(),
            )
        };
        self.fault(entry.key_span, message, "here", help);
    }

    /// The selector in the comment behind an entry.
    fn selector_behind(&mut self, node: &Node) -> Option<Selector> {
        let place = self.comment_behind(node)?;
        let comment = &mut self.comments[place];
        comment.is_read = true;
        let span = comment.span;
        match in_comment(self.source.slice(span)) {
            InComment::Nothing => None,
            InComment::Selector(selector) => {
                self.note_once(
                    span,
                    "the comment is a selector, as for conda-lock: conda does not read it and \
                     installs the package everywhere",
                    "keep a spec for each platform if conda reads this file too",
                );
                if selector.is_negated() {
                    self.note_once(
                        span,
                        "`not` in a selector is conda-build's: conda-lock leaves such a line out",
                        "name the platforms instead if conda-lock reads this file too",
                    );
                }
                Some(selector)
            }
            InComment::Unknown { content, alone } => {
                let what = shown(&format!("[{content}]"));
                if alone {
                    let help = help_for_comment(content);
                    let message = format!("{what} is not a selector of platforms");
                    self.fault(span, message, "unknown selector", help);
                } else {
                    self.note(
                        span,
                        format!("{what} is no selector: the package is for all platforms"),
                        "conda-lock would leave the line out: write the remark without brackets",
                    );
                }
                None
            }
        }
    }

    /// The comment on the line on which an entry ends, if it belongs to it alone.
    fn comment_behind(&self, node: &Node) -> Option<usize> {
        let end = node.span.offset + node.span.len;
        let place = self
            .comments
            .partition_point(|comment| comment.span.offset < end);
        let comment = self.comments.get(place)?;
        let between = &self.source.text()[end..comment.span.offset];
        let between = between.trim_start_matches([' ', '\t']);
        let between = between.strip_prefix(',').unwrap_or(between);
        let follows = between.trim_matches([' ', '\t']).is_empty();
        (follows && !self.has_its_line(comment)).then_some(place)
    }

    fn has_its_line(&self, comment: &Comment) -> bool {
        let before = &self.source.text()[..comment.span.offset];
        let line = before.rfind('\n').map_or(0, |newline| newline + 1);
        before[line..].trim().is_empty()
    }

    /// Says that a selector stands where it selects nothing.
    pub(super) fn selectors_elsewhere(&mut self) {
        let elsewhere = self.comments.iter().find(|comment| {
            let text = self.source.slice(comment.span);
            !comment.is_read
                && matches!(in_comment(text), InComment::Selector(_))
                && !self.has_its_line(comment)
        });
        if let Some(span) = elsewhere.map(|comment| comment.span) {
            self.note(
                span,
                "the selector has no effect here",
                "entries of `dependencies` and `pip` can be for some platforms, on lines of their own",
            );
        }
    }
}
