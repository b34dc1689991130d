//! A spec without what is envspec's own: what conda and mamba read, for those who have
//! no envspec.

use rattler_conda_types::{MatchSpec, PackageName};

use super::list::{find, tree, written};
use super::{DEPENDENCIES, EditError};
use crate::spec::model::{EnvName, EnvSpec};
use crate::spec::parse::parse;
use crate::spec::source::SourceText;
use crate::spec::yaml::{Entry, Node, Value};

/// The keys that only envspec reads.
const OWN: [&str; 6] = [
    "platforms",
    "post_link",
    "kernels",
    "target",
    "site",
    "launch",
];

/// The text of a spec without envspec's keys, with `requirements` more in its
/// `dependencies`; comments stay, but for those right above a key that goes. Channels and
/// the name are said where the spec leaves them to envspec.
///
/// # Errors
/// [`EditError::Form`] for a file in one pair of braces, or whose anchors are used
/// across its keys: such a one can't be cut.
pub fn plain(
    source: &SourceText,
    spec: &EnvSpec,
    requirements: &[(MatchSpec, String)],
) -> Result<String, EditError> {
    const FORM: EditError = EditError::Form { key: "kernels" };
    let root = tree(source).ok_or(FORM)?;
    let Value::Map(entries) = &root.value else {
        return Err(FORM);
    };
    if source.slice(root.span).starts_with('{') {
        return Err(FORM);
    }
    let mut text = without_own_keys(source.text(), entries);
    if find(&root, "name").is_none_or(|entry| matches!(entry.value.value, Value::Null)) {
        text = without_key(&text, "name", source)?;
        text = format!("name: {}\n{text}", spec.name);
    }
    let has_channels = find(&root, "channels").is_some_and(
        |entry| matches!(&entry.value.value, Value::List(channels) if !channels.is_empty()),
    );
    if !has_channels {
        text = without_key(&text, "channels", source)?;
        let channels: Vec<&str> = spec.channels.iter().map(|at| at.value.as_str()).collect();
        text = format!("{}\nchannels: [{}]\n", text.trim_end(), channels.join(", "));
    }
    if text
        .trim_start_matches(|c: char| c == '\u{feff}' || c.is_whitespace())
        .is_empty()
    {
        return Err(FORM);
    }
    let mut edited = SourceText::from_text(source.name(), text).map_err(|_| FORM)?;
    for requirement in missing(spec, requirements) {
        let file = super::list::File::open(&edited, DEPENDENCIES)?;
        let text = file.append(requirement)?;
        edited = SourceText::from_text(source.name(), text).map_err(|_| FORM)?;
    }
    says_the_same(&edited, spec, requirements)
        .then_some(())
        .ok_or(FORM)?;
    Ok(edited.text().to_owned())
}

/// The prefix of one isolated kernel alone, as an `environment.yml`.
pub fn plain_of(spec: &EnvSpec, kernel: &str, requirements: &[(MatchSpec, String)]) -> String {
    let mut text = format!(
        "name: {}\n",
        written(&format!("{}-{kernel}", spec.name), false)
    );
    text.push_str("channels:\n");
    let channels = spec.channels.iter().map(|at| at.value.as_str());
    let asked = requirements.iter().map(|(_, text)| text.as_str());
    let item = |item: &str| format!("  - {}\n", written(item, false));
    text.extend(channels.map(item));
    text.push_str("dependencies:\n");
    text.extend(asked.map(item));
    if !spec.variables.is_empty() {
        text.push_str("variables:\n");
    }
    for (name, value) in &spec.variables {
        let value = serde_json::Value::from(value.as_str()).to_string();
        text.extend(["  ", name.as_str(), ": ", &value, "\n"]);
    }
    text
}

/// The text of a spec under another name; the same if it has that one.
///
/// # Errors
/// [`EditError::Form`] for a file in one pair of braces.
pub fn named(source: &SourceText, name: &EnvName) -> Result<String, EditError> {
    const FORM: EditError = EditError::Form { key: "name" };
    let root = tree(source).ok_or(FORM)?;
    let text = source.text();
    let named = match find(&root, "name") {
        Some(Entry {
            value: Node {
                value: Value::Text(now),
                ..
            },
            ..
        }) if now == name.as_str() => {
            return Ok(text.to_owned());
        }
        Some(Entry {
            value: Node {
                value: Value::Text(_),
                span,
            },
            ..
        }) => super::list::splice(text, *span, name.as_str()),
        _ if source.slice(root.span).starts_with('{') => return Err(FORM),
        _ => format!("name: {name}\n{}", without_key(text, "name", source)?),
    };
    let now = SourceText::from_text(source.name(), named.clone()).map_err(|_| FORM)?;
    let now = parse(&now, None).map_err(|_| FORM)?.0;
    (now.name == *name).then_some(named).ok_or(FORM)
}

/// Those that the spec does not ask for in its own words: a bare name adds nothing to
/// any requirement of that package.
fn missing<'r>(
    spec: &EnvSpec,
    requirements: &'r [(MatchSpec, String)],
) -> impl Iterator<Item = &'r str> {
    let mut known: Vec<(Option<PackageName>, String)> = spec
        .dependencies
        .iter()
        .map(|own| (own.spec.name.as_exact().cloned(), own.spec.to_string()))
        .collect();
    let mut missing = Vec::new();
    for (wanted, text) in requirements {
        let name = wanted.name.as_exact().cloned();
        let bare =
            Some(wanted.to_string()) == name.as_ref().map(|name| name.as_source().to_owned());
        let said = known.iter().any(|(other, whole)| {
            *whole == wanted.to_string() || (bare && name.is_some() && *other == name)
        });
        if !said {
            known.push((name, wanted.to_string()));
            missing.push(text.as_str());
        }
    }
    missing.into_iter()
}

/// Cuts the lines of envspec's keys out, with the comments right above them.
fn without_own_keys(text: &str, entries: &[Entry]) -> String {
    let mut kept = text.to_owned();
    let starts: Vec<usize> = entries
        .iter()
        .map(|entry| line_start(text, entry.key_span.offset))
        .collect();
    for (place, entry) in entries.iter().enumerate().rev() {
        if !OWN.contains(&entry.key.as_str()) {
            continue;
        }
        let begin = above(text, starts[place], |line| line.starts_with('#'));
        let next = starts.get(place + 1).copied().unwrap_or(text.len());
        // What stands above the next key belongs to that one; at the end of the file all
        // that is indented goes.
        let end = above(text, next, |line| {
            line.starts_with('#') || line.trim().is_empty()
        });
        let end = end.max(line_end(
            text,
            entry.value.span.offset + entry.value.span.len,
        ));
        kept.replace_range(begin..end.max(begin), "");
    }
    kept
}

/// The text without a key whose value says nothing.
fn without_key(text: &str, key: &str, source: &SourceText) -> Result<String, EditError> {
    let form = || EditError::Form { key: "channels" };
    if text.trim().is_empty() {
        return Ok(String::new());
    }
    let now = SourceText::from_text(source.name(), text.to_owned()).map_err(|_| form())?;
    let Some(Node {
        value: Value::Map(entries),
        ..
    }) = tree(&now)
    else {
        return Ok(text.to_owned());
    };
    let Some(entry) = entries.iter().find(|entry| entry.key == key) else {
        return Ok(text.to_owned());
    };
    let begin = line_start(text, entry.key_span.offset);
    let value = entry.value.span;
    let end = line_end(text, (value.offset + value.len).max(entry.key_span.offset));
    Ok(format!("{}{}", &text[..begin], &text[end..]))
}

/// The beginning of the lines of a kind that end right before a place.
fn above(text: &str, place: usize, belongs: impl Fn(&str) -> bool) -> usize {
    let mut begin = place;
    for line in text[..place].split_inclusive('\n').rev() {
        if !belongs(line) {
            break;
        }
        begin -= line.len();
    }
    begin
}

fn line_start(text: &str, place: usize) -> usize {
    text[..place].rfind('\n').map_or(0, |newline| newline + 1)
}

/// The place behind the line that a place is in.
fn line_end(text: &str, place: usize) -> usize {
    if text[..place].ends_with('\n') {
        return place;
    }
    text[place..]
        .find('\n')
        .map_or(text.len(), |newline| place + newline + 1)
}

/// Whether a text asks conda for what the spec and its kernels ask, and envspec for
/// nothing more.
fn says_the_same(
    source: &SourceText,
    spec: &EnvSpec,
    requirements: &[(MatchSpec, String)],
) -> bool {
    let Ok((plain, _)) = parse(source, EnvName::new("unnamed")) else {
        return false;
    };
    let asked: Vec<String> = plain
        .dependencies
        .iter()
        .map(|own| own.spec.to_string())
        .collect();
    let own = spec.dependencies.iter().map(|own| own.spec.to_string());
    let more = missing(spec, requirements).count();
    let values = |spec: &EnvSpec| -> Vec<String> {
        spec.channels.iter().map(|at| at.value.clone()).collect()
    };
    let pip = |spec: &EnvSpec| -> Vec<String> {
        let pip = spec.pip.iter().flat_map(|pip| &pip.requirements);
        pip.map(ToString::to_string).collect()
    };
    own.enumerate()
        .all(|(place, text)| asked.get(place) == Some(&text))
        && asked.len() == spec.dependencies.len() + more
        && plain.name == spec.name
        && values(&plain) == values(spec)
        && pip(&plain) == pip(spec)
        && plain.variables == spec.variables
        && plain.kernels.is_empty()
        && plain.platforms.is_empty()
        && plain.site.is_none()
}

#[cfg(test)]
mod tests {
    use rattler_conda_types::{MatchSpec, ParseStrictness};

    use super::plain;
    use crate::spec::{EnvName, SourceText, parse};

    fn shown(text: &str, requirements: &[&str]) -> Option<String> {
        let source = SourceText::from_text("envs/lab.yaml", text).unwrap();
        let (spec, _) = parse(&source, EnvName::new("lab")).unwrap();
        let requirements: Vec<(MatchSpec, String)> = requirements
            .iter()
            .map(|text| {
                let spec = MatchSpec::from_str(text, ParseStrictness::Lenient).unwrap();
                (spec, (*text).to_owned())
            })
            .collect();
        plain(&source, &spec, &requirements).ok()
    }

    #[test]
    fn envspecs_keys_go_and_all_else_stays_with_its_comments() {
        let text = "# The lab's.\nname: lab\nchannels: [conda-forge]  # ours\ndependencies:\n  \
            - python 3.11.*  # as the cluster's\n  # for plots\n  - matplotlib\n\
            # ---- what envspec adds\nplatforms: [linux-64]\nkernels:\n  - python\n  - r:\n      \
            dependencies: [r-tidyverse]\n\n# threads\nvariables: {OMP_NUM_THREADS: 4}\nsite: bih\n";
        let wanted = "# The lab's.\nname: lab\nchannels: [conda-forge]  # ours\ndependencies:\n  \
            - python 3.11.*  # as the cluster's\n  # for plots\n  - matplotlib\n  - ipykernel\n  \
            - r-tidyverse\n\n# threads\nvariables: {OMP_NUM_THREADS: 4}\n";
        let asked = [
            "python",
            "ipykernel",
            "matplotlib",
            "r-tidyverse",
            "ipykernel",
        ];
        assert_eq!(shown(text, &asked).as_deref(), Some(wanted));
    }

    #[test]
    fn what_envspec_supplies_is_said() {
        let shown = shown("dependencies: [a]\nkernels: [python]\n", &["ipykernel"]).unwrap();
        assert_eq!(
            shown,
            "name: lab\ndependencies: [a, ipykernel]\nchannels: [conda-forge]\n"
        );
    }

    #[test]
    fn a_spec_of_kernels_alone_becomes_a_list_of_packages() {
        let shown = shown("kernels: [python]\n", &["ipykernel >=6"]).unwrap();
        assert_eq!(
            shown,
            "name: lab\nchannels: [conda-forge]\ndependencies:\n- ipykernel >=6\n"
        );
    }

    #[test]
    fn a_file_that_cannot_be_cut_is_refused_and_not_broken() {
        assert_eq!(shown("{dependencies: [a], kernels: [python]}\n", &[]), None);
        let anchored =
            "kernels: [python: {dependencies: &d [b]}]\nchannels: [c]\ndependencies: *d\n";
        assert_eq!(shown(anchored, &[]), None);
    }
}
