//! One entry of a `pip:` section: text → what pip makes of it, or an objection.
//!
//! conda writes the entries into a requirements file and runs `pip install -r` on it in
//! the spec's folder, so an entry is whatever may be a line there: a requirement of
//! PEP 508, a URL, a path, or options. Nothing is resolved here.

use std::str::FromStr;

use pep508_rs::{Pep508Error, Pep508ErrorSource, Requirement};
use url::Url;

use super::careful::careful;
use super::model::Span;
use super::requirement::{Objection, one_line};
use super::selector::Selector;
use super::source::SourceText;

/// One entry of a `pip:` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipRequirement {
    /// What it asks for.
    pub kind: PipKind,
    /// The options that stand in it: those of a line without a requirement hold for
    /// the whole section, the others (`--hash`) for that requirement.
    pub options: Vec<PipOption>,
    /// The entry as written, without a comment.
    pub text: String,
    /// Where it stands in its file.
    pub span: Span,
    /// The platforms that it is for; `None` for all. What a marker says
    /// (`; sys_platform == 'linux'`) is not in here.
    pub selector: Option<Selector>,
    /// The file of requirements that it stands in; `None` for the spec itself.
    pub file: Option<SourceText>,
    /// Whether it only holds versions down (`-c`), and asks for nothing.
    pub is_constraint: bool,
    /// The folder that it asks for, once somebody looked into it.
    pub folder: Option<PipFolder>,
}

/// A folder that a package is built of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipFolder {
    /// Its path from the spec's folder: `./tool`, `../tool`, `.`.
    pub path: String,
    /// What the entry says behind the path: extras and a marker.
    pub rest: String,
    /// The SHA-256 of its files.
    pub sha256: [u8; 32],
}

/// What an entry of a `pip:` section asks for. Relative paths start at the spec's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PipKind {
    /// `name[extra] >=1; marker`, or `name @ URL`.
    Named(Box<Requirement<Url>>),
    /// A URL without a name: an archive, or a repository (`git+https://…`).
    Url(String),
    /// A folder or an archive: `./tool`, `dist/tool.whl`.
    Path(String),
    /// `-e`: a folder or a repository that stays where it is.
    Editable(String),
    /// `-r`: a file of requirements, or its URL.
    RequirementFile(String),
    /// `-c`: a file of constraints, or its URL.
    ConstraintFile(String),
    /// Nothing: there are only options.
    Options,
}

/// An option of pip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipOption {
    /// Its long name, for example `--extra-index-url`.
    pub name: &'static str,
    /// Its value, if it takes one.
    pub value: Option<String>,
}

/// An entry without its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PipLine {
    pub(super) kind: PipKind,
    pub(super) options: Vec<PipOption>,
}

impl PipLine {
    /// An option behind a requirement that pip reads and then drops.
    pub(super) fn dropped(&self) -> Option<&'static str> {
        let has_requirement = !matches!(self.kind, PipKind::Options);
        let option = self.options.iter().find(|option| {
            let known = OPTIONS.iter().find(|known| known.long == option.name);
            known.is_some_and(|known| !known.of_requirement)
        })?;
        has_requirement.then_some(option.name)
    }
}

struct KnownOption {
    short: Option<char>,
    long: &'static str,
    takes_value: bool,
    /// Whether it belongs to the requirement before it.
    of_requirement: bool,
}

const fn option(short: Option<char>, long: &'static str, takes_value: bool) -> KnownOption {
    KnownOption {
        short,
        long,
        takes_value,
        of_requirement: false,
    }
}

const fn of_requirement(short: Option<char>, long: &'static str) -> KnownOption {
    KnownOption {
        short,
        long,
        takes_value: true,
        of_requirement: true,
    }
}

/// What pip reads in a requirements file: `SUPPORTED_OPTIONS` and
/// `SUPPORTED_OPTIONS_REQ` in `pip/_internal/req/req_file.py`.
const OPTIONS: [KnownOption; 18] = [
    option(Some('r'), REQUIREMENT, true),
    option(Some('c'), CONSTRAINT, true),
    option(Some('e'), EDITABLE, true),
    option(Some('i'), "--index-url", true),
    option(None, "--pypi-url", true),
    option(None, "--extra-index-url", true),
    option(None, "--no-index", false),
    option(Some('f'), "--find-links", true),
    option(None, "--no-binary", true),
    option(None, "--only-binary", true),
    option(None, "--prefer-binary", false),
    option(None, "--require-hashes", false),
    option(None, "--pre", false),
    option(None, "--trusted-host", true),
    option(None, "--use-feature", true),
    of_requirement(None, "--hash"),
    of_requirement(Some('C'), "--config-settings"),
    of_requirement(None, "--global-option"),
];
const REQUIREMENT: &str = "--requirement";
const CONSTRAINT: &str = "--constraint";
const EDITABLE: &str = "--editable";

/// What a repository's URL begins with (`vcs.all_schemes` of pip).
const REPOSITORIES: [&str; 4] = ["git+", "hg+", "svn+", "bzr+"];

/// What pip takes for an archive (`ARCHIVE_EXTENSIONS` in `utils/filetypes.py`).
const ARCHIVES: [&str; 12] = [
    ".whl",
    ".zip",
    ".tar.gz",
    ".tgz",
    ".tar",
    ".tar.bz2",
    ".tbz",
    ".tar.xz",
    ".txz",
    ".tlz",
    ".tar.lz",
    ".tar.lzma",
];

const HELP: &str = "write `name`, `name ==1.4`, `name[extra] >=1,<2` or `name @ https://…`";
const HELP_OPTION: &str = "pip reads -r, -c, -e, --index-url, --extra-index-url, --find-links, --no-binary, --pre and the like here";
const HELP_EDITABLE: &str = "write `-e ./folder` or `-e git+https://host/repository#egg=name`";

/// Reads an entry as pip reads a line of a requirements file.
///
/// # Errors
/// What pip would not understand in it.
pub(super) fn read_pip(text: &str) -> Result<PipLine, Objection> {
    let text = without_comment(text).trim();
    // Options begin at the first word that starts with a dash; what is before may hold
    // markers, whose quotes are no shell's.
    let options_at = if text.starts_with('-') {
        0
    } else {
        text.find(" -").map_or(text.len(), |at| at + 1)
    };
    let (requirement, rest) = text.split_at(options_at);
    let mut options = read_options(rest)?;
    let kind = if requirement.is_empty() {
        kind_of_option(&mut options)?
    } else {
        read_requirement(requirement.trim())?
    };
    Ok(PipLine { kind, options })
}

/// pip cuts off what stands behind ` #`.
fn without_comment(text: &str) -> &str {
    let comment = text
        .char_indices()
        .find(|(at, c)| *c == '#' && (*at == 0 || text[..*at].ends_with(char::is_whitespace)));
    comment.map_or(text, |(at, _)| &text[..at])
}

fn read_options(text: &str) -> Result<Vec<PipOption>, Objection> {
    let words = shlex::split(text)
        .ok_or_else(|| objection("a quote in it is never closed", HELP_OPTION, text))?;
    let mut words = words.into_iter();
    let mut options = Vec::new();
    while let Some(word) = words.next() {
        let (known, mut value) = find_option(&word)?;
        if known.takes_value && value.is_none() {
            value = words.next();
        }
        if known.takes_value && value.as_deref().is_none_or(str::is_empty) {
            return Err(objection(
                "the value of this option is missing",
                HELP_OPTION,
                &word,
            ));
        }
        if !known.takes_value && value.is_some() {
            return Err(objection("this option takes no value", HELP_OPTION, &word));
        }
        options.push(PipOption {
            name: known.long,
            value,
        });
    }
    Ok(options)
}

/// The option of a word and the value that stands in the same word.
fn find_option(word: &str) -> Result<(&'static KnownOption, Option<String>), Objection> {
    let unknown = || objection("not an option that pip has in a list", HELP_OPTION, word);
    if let Some(long) = word.strip_prefix("--") {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        let of_name = |known: &&KnownOption| known.long[2..] == *name;
        // optparse takes the beginning of a name where it fits one option alone.
        let mut begin = OPTIONS
            .iter()
            .filter(|known| !name.is_empty() && known.long[2..].starts_with(name));
        let exact = OPTIONS.iter().find(of_name);
        let found = exact.or_else(|| begin.next().filter(|_| begin.next().is_none()));
        return found.map(|known| (known, value)).ok_or_else(unknown);
    }
    let mut letters = word.strip_prefix('-').unwrap_or_default().chars();
    let letter = letters.next();
    let found = OPTIONS
        .iter()
        .find(|known| known.short.is_some() && known.short == letter);
    let value = letters.as_str();
    let value = (!value.is_empty()).then(|| value.to_owned());
    found.map(|known| (known, value)).ok_or_else(unknown)
}

/// What a line of options asks for, which is taken out of them.
fn kind_of_option(options: &mut Vec<PipOption>) -> Result<PipKind, Objection> {
    let asks = |option: &PipOption| [EDITABLE, REQUIREMENT, CONSTRAINT].contains(&option.name);
    let Some(place) = options.iter().position(asks) else {
        return Ok(PipKind::Options);
    };
    let PipOption { name, value } = options.remove(place);
    let value = value.unwrap_or_default();
    if let Some(second) = options.iter().find(|option| asks(option)) {
        let value = second.value.clone().unwrap_or_default();
        return Err(objection(
            "pip would read only the first of them",
            "put each -r, -c and -e into an entry of its own",
            &value,
        ));
    }
    Ok(match name {
        EDITABLE => PipKind::Editable(editable(value)?),
        REQUIREMENT => PipKind::RequirementFile(value),
        _ => PipKind::ConstraintFile(value),
    })
}

fn editable(value: String) -> Result<String, Objection> {
    let scheme = value.split_once(':').map(|(scheme, _)| scheme);
    let fits = match scheme {
        Some(scheme) => {
            scheme == "file" || REPOSITORIES.iter().any(|begin| scheme.starts_with(begin))
        }
        None => true,
    };
    if !fits {
        return Err(objection(
            "neither a folder nor a repository",
            HELP_EDITABLE,
            &value,
        ));
    }
    Ok(value)
}

/// What a requirement begins with: its name, if it has one.
fn name_in(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)));
    &text[..end.unwrap_or(text.len())]
}

fn read_requirement(text: &str) -> Result<PipKind, Objection> {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    if let Some(scheme) = scheme.filter(|scheme| is_scheme(scheme)) {
        let fits = ["https", "http", "file", "ftp"].contains(&scheme)
            || REPOSITORIES.iter().any(|begin| scheme.starts_with(begin));
        return if fits {
            Ok(PipKind::Url(text.to_owned()))
        } else {
            Err(objection(
                "a kind of URL that pip does not know",
                HELP,
                scheme,
            ))
        };
    }
    let before_at = text.split('@').next().unwrap_or_default();
    let looks_like_path = |text: &str| text.contains('/') || text.starts_with('.');
    let path = text.split([';', '[']).next().unwrap_or_default().trim_end();
    let is_archive = ARCHIVES
        .iter()
        .any(|end| path.to_lowercase().ends_with(end));
    if looks_like_path(before_at.split(';').next().unwrap_or_default())
        || (is_archive && !text.contains('@'))
    {
        return Ok(PipKind::Path(text.to_owned()));
    }
    // pip takes an empty marker for none, and a comma behind the last version.
    let text = text.strip_suffix(';').unwrap_or(text).trim_end();
    let has_version = text.contains(['=', '<', '>']) && !text.contains('@');
    let text = text
        .strip_suffix(',')
        .filter(|_| has_version)
        .unwrap_or(text);
    let requirement = careful(|| Requirement::from_str(text))
        .ok_or_else(|| objection("not the name of a package", HELP, name_in(text)))?
        .map_err(|error| explain(text, &error))?;
    Ok(PipKind::Named(Box::new(requirement)))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

fn explain(text: &str, error: &Pep508Error<Url>) -> Objection {
    let part = text
        .get(error.start..error.start + error.len)
        .unwrap_or_default();
    let operators = ["==", "<=", ">=", "!=", "~=", "<", ">", "@"];
    let has_operator = operators.iter().any(|operator| text.contains(operator));
    if text.contains("${") {
        return objection(
            "a variable, which pip would fill in",
            "write the value itself: a spec means the same on every machine",
            "",
        );
    }
    if text.contains('=') && !has_operator {
        return objection(
            "a single `=` is conda's",
            "pip writes an exact version with `==`",
            "=",
        );
    }
    let why = match &error.message {
        Pep508ErrorSource::String(why) | Pep508ErrorSource::UnsupportedRequirement(why) => {
            why.clone()
        }
        Pep508ErrorSource::UrlError(why) => why.to_string(),
    };
    let mut characters = why.chars();
    let why: String = characters
        .next()
        .map(|first| first.to_lowercase().chain(characters).collect())
        .unwrap_or_default();
    objection(one_line(why.lines().next().unwrap_or_default()), HELP, part)
}

fn objection(why: impl Into<String>, help: &'static str, part: &str) -> Objection {
    Objection {
        why: why.into(),
        help,
        part: part.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> PipKind {
        let line = read_pip(text);
        line.unwrap_or_else(|objection| panic!("{text}: {objection:?}"))
            .kind
    }

    fn options(text: &str) -> Vec<(&'static str, Option<String>)> {
        let line = read_pip(text).unwrap();
        let options = line.options.into_iter();
        options.map(|option| (option.name, option.value)).collect()
    }

    fn why(text: &str) -> (String, String) {
        match read_pip(text) {
            Err(objection) => (objection.why, objection.part),
            Ok(line) => panic!("{text}: {line:?}"),
        }
    }

    #[test]
    fn requirements_of_pep_508_are_read() {
        for (text, wanted) in [
            ("tool", "tool"),
            ("Some_Tool[Fast, all] >=1,<2", "some-tool[fast,all]>=1,<2"),
            ("tool (>=1.4)", "tool>=1.4"),
            ("tool==1.*", "tool==1.*"),
            ("tool >=1,;", "tool>=1"),
            ("tool~=1.4  # why", "tool~=1.4"),
            (
                "tool; sys_platform == 'linux' and python_version < '3.12'",
                "tool ; python_full_version < '3.12' and sys_platform == 'linux'",
            ),
            (
                "tool @ git+https://git@example.org/tool@v1#egg=tool",
                "tool @ git+https://git@example.org/tool@v1#egg=tool",
            ),
            (
                "tool @ file:///srv/tool-1.0.tar.gz",
                "tool @ file:///srv/tool-1.0.tar.gz",
            ),
        ] {
            match kind(text) {
                PipKind::Named(requirement) => assert_eq!(requirement.to_string(), wanted),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn urls_paths_and_files_are_told_apart() {
        let url = "git+https://github.com/betatim/vscode-binder";
        assert_eq!(kind(url), PipKind::Url(url.to_owned()));
        for path in [
            ".",
            "./tool[fast]",
            "../tool",
            "dist/tool.tar.gz",
            "tool-1.0-py3-none-any.whl",
            "/srv/tool",
        ] {
            assert_eq!(kind(path), PipKind::Path(path.to_owned()));
        }
        assert_eq!(
            kind("-r ../requirements.txt"),
            PipKind::RequirementFile("../requirements.txt".to_owned())
        );
        assert_eq!(
            kind("--requirement=r.txt"),
            PipKind::RequirementFile("r.txt".to_owned())
        );
        assert_eq!(
            kind("-c 'my constraints.txt'"),
            PipKind::ConstraintFile("my constraints.txt".to_owned())
        );
        assert_eq!(kind("-e ."), PipKind::Editable(".".to_owned()));
        let repository = "git+https://github.com/openai/CLIP.git@main#egg=clip";
        assert_eq!(
            kind(&format!("-e {repository}")),
            PipKind::Editable(repository.to_owned())
        );
    }

    #[test]
    fn options_are_read_with_their_values() {
        assert_eq!(kind("--pre"), PipKind::Options);
        assert_eq!(
            options(
                "--extra-index-url https://example.org/simple --no-binary=:all: -f wheels --pre"
            ),
            [
                (
                    "--extra-index-url",
                    Some("https://example.org/simple".to_owned())
                ),
                ("--no-binary", Some(":all:".to_owned())),
                ("--find-links", Some("wheels".to_owned())),
                ("--pre", None),
            ]
        );
        assert_eq!(
            options("--trusted h"),
            [("--trusted-host", Some("h".to_owned()))]
        );
        assert_eq!(
            options("-ihttps://x"),
            [("--index-url", Some("https://x".to_owned()))]
        );
        let hashed = read_pip("tool ==1.4 --hash=sha256:00 --hash sha256:11").unwrap();
        assert_eq!(hashed.options.len(), 2);
        assert_eq!(hashed.dropped(), None);
        let dropped = read_pip("torch --index-url https://example.org").unwrap();
        assert_eq!(dropped.dropped(), Some("--index-url"));
    }

    #[test]
    fn what_pip_does_not_understand_is_named() {
        assert_eq!(
            why("tool=1.4"),
            ("a single `=` is conda's".to_owned(), "=".to_owned())
        );
        assert_eq!(why("tool >=1 extra").1, ">=1 extra");
        assert_eq!(why("--upgrade").1, "--upgrade");
        assert_eq!(why("-U").1, "-U");
        assert_eq!(why("-r").0, "the value of this option is missing");
        assert_eq!(why("--pre=1").0, "this option takes no value");
        assert_eq!(why("--index-url 'x").0, "a quote in it is never closed");
        assert_eq!(
            why("-e tool @ https://x").0,
            "not an option that pip has in a list"
        );
        assert_eq!(
            why("-e https://example.org/x").0,
            "neither a folder nor a repository"
        );
        assert_eq!(why("-r a -r b").1, "b");
        assert_eq!(why("s3://bucket/tool").1, "s3");
        assert_eq!(
            why("tool ==${VERSION}").0,
            "a variable, which pip would fill in"
        );
        assert_eq!(why("tool; os == 'x'").1, "os");
    }

    #[test]
    fn nested_markers_of_any_depth_do_not_break_it() {
        let deep = "(".repeat(900);
        drop(read_pip(&format!("tool; {deep}")));
        let wide = "os_name == 'a' or ".repeat(50);
        drop(read_pip(&format!("tool; {wide} os_name == 'b'")));
        drop(read_pip("é[é] ==é; é"));
    }
}
