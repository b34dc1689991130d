//! The house's rules that no compiler knows: who may import whom, what pure
//! rooms may touch, which room names which engine, how files open and how long
//! they are. Each rule is a function over a file's text, and each is shown to
//! find a breach in a text made for it.
//!
//! Tests inside `src` are not bound by the rules of the room that they test.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The pure rooms; each may import those before it.
const PURE: [&str; 6] = ["spec", "kernel", "site", "lock", "plan", "recipe"];

/// The rooms that touch the world, each with the rooms that it may import
/// beyond the pure ones.
const WORLD: [(&str, &[&str]); 7] = [
    ("conda", &[]),
    ("pip", &[]),
    ("store", &[]),
    ("jupyter", &[]),
    ("apply", &["conda", "pip", "store", "jupyter"]),
    ("cluster", &[]),
    ("session", &["cluster"]),
];

/// The room of people, which may import all.
const PEOPLE: &str = "cli";

/// What no pure room names: disk, environment, processes, network, clock.
const WORLDLY: [&str; 23] = [
    "std::fs",
    "std::env::",
    "std::process",
    "std::net",
    "std::os::",
    "std::thread",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "SystemTime",
    "Instant",
    "fs_err",
    "tempfile",
    "tokio",
    "reqwest",
    "rustix",
    "etcetera",
    "getrandom",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    "tracing",
    "println!",
    "eprintln!",
];

/// Rattler's engines and its HTTP client, which only `conda` names.
const ENGINES: [&str; 11] = [
    "rattler",
    "rattler_config",
    "rattler_solve",
    "rattler_repodata_gateway",
    "rattler_cache",
    "rattler_networking",
    "rattler_package_streaming",
    "rattler_shell",
    "rattler_virtual_packages",
    "reqwest",
    "reqwest_middleware",
];

/// What others than `conda` may name of the engines, and why.
const ENGINE_EXCEPTIONS: [(&str, &str, &str); 2] = [
    (
        "apply/context.rs",
        "rattler_networking",
        "hands the one client from the run to the rooms below",
    ),
    (
        "apply/pip/mod.rs",
        "rattler_networking",
        "hands the one client from the run to the rooms below",
    ),
];

/// The longest a file may be, in lines without its tests.
const LINES: usize = 400;

/// Longer files, and why.
const LONG: [(&str, &str); 0] = [];

/// A source file without its tests and without comments and literals.
struct File {
    /// Below `src`.
    path: String,
    /// The text as it is.
    text: String,
    /// The text without tests, comments, strings.
    code: String,
}

impl File {
    fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code: without_tests(&without_prose(text)),
        }
    }

    /// The room that it is in; `None` for `lib.rs` and `main.rs`.
    fn room(&self) -> Option<&str> {
        self.path.split_once('/').map(|(room, _)| room)
    }

    /// The rooms that it names: by `crate::room`, in a group of `crate::{…}`,
    /// or through `super`.
    fn imports(&self) -> BTreeSet<String> {
        let mut rooms = BTreeSet::new();
        for (at, _) in self.code.match_indices("crate::") {
            if self.code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let rest = &self.code[at + "crate::".len()..];
            if let Some(group) = rest.strip_prefix('{') {
                rooms.extend(heads_of_group(group));
            } else {
                rooms.insert(word(rest).to_owned());
            }
        }
        // `super` of a room's own file is the crate when it is repeated as often
        // as the file is deep.
        let depth = self.path.matches('/').count() + usize::from(!self.path.ends_with("mod.rs"));
        let up = "super::".repeat(depth);
        for (at, _) in self.code.match_indices(&up) {
            let before = &self.code[..at];
            let rest = &self.code[at + up.len()..];
            if !before.ends_with("super::") && !rest.starts_with("super::") {
                rooms.insert(word(rest.trim_start_matches('{')).to_owned());
            }
        }
        rooms
    }

    /// Whether it names something: as a path's beginning, not as a part of a
    /// longer word.
    fn names(&self, what: &str) -> bool {
        self.code.match_indices(what).any(|(at, _)| {
            let joins = |c: char| c.is_alphanumeric() || c == '_';
            let is_macro_or_path = what.ends_with(':') || what.ends_with('!');
            let before = self.code[..at].chars().next_back();
            let after = self.code[at + what.len()..].chars().next();
            !before.is_some_and(joins) && (is_macro_or_path || !after.is_some_and(joins))
        })
    }

    /// Whether it names a crate, which is followed by `::`.
    fn names_crate(&self, name: &str) -> bool {
        let path = format!("{name}::");
        self.code.match_indices(&path).any(|(at, _)| {
            let before = self.code[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
                || self.code[..at].ends_with(" ::")
        })
    }
}

/// The identifier at the beginning of a text.
fn word(text: &str) -> &str {
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    &text[..end]
}

/// The first identifiers of the parts of a `{…}` group, of which the opening
/// brace is gone.
fn heads_of_group(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let mut depth = 0;
    let mut part = String::new();
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(word(std::mem::take(&mut part).trim()).to_owned()),
            _ => {}
        }
        if depth == 0 && c != ',' {
            part.push(c);
        }
    }
    heads.push(word(part.trim()).to_owned());
    heads.retain(|head| !head.is_empty());
    heads
}

/// The code with comments and the insides of literals blanked out, line by
/// line as long as before.
fn without_prose(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(hashes) = raw_string(rest).filter(|_| !ends_in_word(&out)) {
            let end = format!("\"{}", "#".repeat(hashes));
            let begin = hashes + 2;
            rest[begin..]
                .find(&end)
                .map_or(rest.len(), |at| begin + at + end.len())
        } else if c == '"' {
            string_length(rest)
        } else if c == '\'' {
            char_length(rest)
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        out.extend(rest[..length].chars().filter(|c| *c == '\n'));
        out.push(' ');
        rest = &rest[length..];
    }
    out
}

fn ends_in_word(text: &str) -> bool {
    text.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// The number of hashes if a raw string begins here.
fn raw_string(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('r')?;
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    rest[hashes..].starts_with('"').then_some(hashes)
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a character literal; 1 for the mark of a lifetime.
fn char_length(text: &str) -> usize {
    let inner = &text[1..];
    if let Some(escape) = inner.strip_prefix('\\') {
        let skipped = escape.chars().next().map_or(0, char::len_utf8);
        return escape[skipped..]
            .find('\'')
            .map_or(text.len(), |at| 2 + skipped + at + 1);
    }
    let first = inner.chars().next().map_or(0, char::len_utf8);
    if inner[first..].starts_with('\'') {
        first + 2
    } else {
        1
    }
}

/// The code up to its tests, which are last in a file.
fn without_tests(code: &str) -> String {
    let begins = code.match_indices("#[cfg(test)]").find(|(at, _)| {
        // A `mod tests;` is a line among others, `mod tests {` ends the file.
        let item = code[at + "#[cfg(test)]".len()..].trim_start();
        let end = item.find([';', '{']).unwrap_or(item.len());
        item[end..].starts_with('{')
    });
    begins.map_or(code, |(at, _)| &code[..at]).to_owned()
}

/// Files that only tests compile: `#[cfg(test)] mod name;`, and all below.
fn test_modules(path: &str, text: &str) -> Vec<String> {
    let folder = match path.strip_suffix("/mod.rs") {
        Some(folder) => folder,
        None => path.trim_end_matches(".rs"),
    };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.starts_with("#[cfg(test)]"))
        .filter_map(|(at, _)| {
            let item = lines[at + 1..]
                .iter()
                .find(|line| !line.starts_with("#["))?;
            let name = item.split("mod ").nth(1)?.strip_suffix(';')?;
            Some(format!("{folder}/{name}"))
        })
        .collect()
}

fn sources() -> Vec<File> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&src, &mut paths);
    let texts: Vec<(String, String)> = paths
        .into_iter()
        .map(|path| {
            let below = path
                .strip_prefix(&src)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            (below, fs_err::read_to_string(path).unwrap())
        })
        .collect();
    let of_tests: Vec<String> = texts
        .iter()
        .flat_map(|(path, text)| test_modules(path, text))
        .collect();
    let is_test = |path: &str| {
        of_tests
            .iter()
            .any(|test| path == format!("{test}.rs") || path.starts_with(&format!("{test}/")))
    };
    texts
        .into_iter()
        .filter(|(path, _)| !is_test(path))
        .map(|(path, text)| File::new(&path, &text))
        .collect()
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") {
            into.push(path);
        }
    }
    into.sort();
}

/// All rooms.
fn rooms() -> BTreeSet<&'static str> {
    let world = WORLD.iter().map(|(room, _)| *room);
    PURE.into_iter().chain(world).chain([PEOPLE]).collect()
}

/// The rooms that a room may import.
fn allowed(room: &str) -> BTreeSet<&'static str> {
    if let Some(position) = PURE.iter().position(|pure| *pure == room) {
        return PURE[..position].iter().copied().collect();
    }
    if let Some((_, below)) = WORLD.iter().find(|(world, _)| *world == room) {
        return PURE.iter().chain(below.iter()).copied().collect();
    }
    rooms()
}

fn wrong_imports(file: &File) -> Vec<String> {
    let Some(room) = file.room() else {
        return Vec::new();
    };
    let (below, known) = (allowed(room), rooms());
    file.imports()
        .into_iter()
        .filter(|import| import != room)
        .filter(|import| known.contains(import.as_str()) && !below.contains(import.as_str()))
        .map(|import| format!("{} imports {import}", file.path))
        .collect()
}

fn touches_of_the_world(file: &File) -> Vec<String> {
    if !file.room().is_some_and(|room| PURE.contains(&room)) {
        return Vec::new();
    }
    WORLDLY
        .into_iter()
        .filter(|thing| file.names(thing))
        .map(|thing| format!("{} names {thing}", file.path))
        .collect()
}

fn foreign_engines(file: &File) -> Vec<String> {
    if file.room() == Some("conda") {
        return Vec::new();
    }
    ENGINES
        .into_iter()
        .filter(|engine| file.names_crate(engine))
        .filter(|engine| {
            !ENGINE_EXCEPTIONS
                .iter()
                .any(|(path, excepted, _)| file.path == *path && excepted == engine)
        })
        .map(|engine| format!("{} names {engine}", file.path))
        .collect()
}

fn bad_form(file: &File) -> Vec<String> {
    let mut faults = Vec::new();
    if !file.text.starts_with("//! ") {
        faults.push(format!("{} does not say what it is for", file.path));
    }
    let lines = file.code.trim_end().lines().count();
    if lines > LINES && !LONG.iter().any(|(path, _)| *path == file.path) {
        faults.push(format!("{} has {lines} lines", file.path));
    }
    faults
}

#[track_caller]
fn none_in(rule: fn(&File) -> Vec<String>) {
    let faults: Vec<String> = sources().iter().flat_map(rule).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn imports_run_downwards_only() {
    none_in(wrong_imports);
}

#[test]
fn pure_rooms_know_no_disk_network_process_clock_or_environment() {
    none_in(touches_of_the_world);
}

#[test]
fn only_the_room_conda_names_rattlers_engines() {
    none_in(foreign_engines);
}

#[test]
fn every_file_says_what_it_is_for_and_can_be_read_in_one_sitting() {
    none_in(bad_form);
}

#[test]
fn the_rules_know_every_room_and_see_every_one() {
    let files = sources();
    let seen: BTreeSet<&str> = files.iter().filter_map(File::room).collect();
    assert_eq!(seen, rooms());
}

#[test]
fn every_exception_is_still_needed() {
    let files = sources();
    for (path, _) in LONG {
        let file = files.iter().find(|file| file.path == path);
        let lines = file.map_or(0, |file| file.code.trim_end().lines().count());
        assert!(lines > LINES, "{path} needs no exception any more");
    }
    for (path, engine, _) in ENGINE_EXCEPTIONS {
        let file = files.iter().find(|file| file.path == path);
        assert!(
            file.is_some_and(|file| file.names_crate(engine)),
            "{path} needs no exception for {engine} any more"
        );
    }
}

/// What the rule says of a text.
fn faults(rule: fn(&File) -> Vec<String>, path: &str, text: &str) -> usize {
    rule(&File::new(path, text)).len()
}

#[test]
fn an_import_upwards_is_found_in_every_form() {
    for text in [
        "use crate::plan::Plan;",
        "use crate::{plan::Plan};",
        "use crate::{\n    spec::EnvName,\n    plan::{Plan, Action},\n};",
        "fn f() -> crate::plan::Plan { todo!() }",
        "use super::super::plan::Plan;",
        "use crate::cli::main;",
        "#[cfg(test)]\nmod tests;\nuse crate::plan::Plan;",
    ] {
        assert_eq!(faults(wrong_imports, "lock/file.rs", text), 1, "{text}");
    }
    for text in [
        "use crate::spec::{EnvName, Span};",
        "use crate::lock::Lock;",
        "use super::inputs::Inputs;",
        "// use crate::plan::Plan;",
        "const TEXT: &str = \"crate::plan\";",
        "const TEXT: &str = r#\"crate::plan\"#;",
        "#[cfg(test)]\nmod tests {\n    use crate::plan::Plan;\n}",
    ] {
        assert_eq!(faults(wrong_imports, "lock/file.rs", text), 0, "{text}");
    }
    assert_eq!(
        faults(wrong_imports, "spec/model.rs", "use crate::kernel::X;"),
        1
    );
    assert_eq!(
        faults(wrong_imports, "store/lease.rs", "use crate::conda::X;"),
        1
    );
    assert_eq!(
        faults(wrong_imports, "apply/build.rs", "use crate::conda::X;"),
        0
    );
}

#[test]
fn a_touch_of_the_world_is_found_in_a_pure_room() {
    for text in [
        "use std::fs;",
        "fn f() { let now = std::time::Instant::now(); }",
        "use std::time::SystemTime;",
        "fn f() { let c = 'x'; std::env::var(\"HOME\"); }",
        "use tokio::fs;",
        "use std::process::Command;",
        "fn f() { println!(\"{}\", 1); }",
    ] {
        assert!(
            faults(touches_of_the_world, "plan/action.rs", text) > 0,
            "{text}"
        );
    }
    for text in [
        "/// Not std::fs, not an Instant.\nuse std::fmt;",
        "fn instant() { let fs = 1; let s = \"std::fs\"; let q = '\"'; }",
        "fn f<'a>(environment: &'a str) {}",
        "#[cfg(test)]\nmod tests { use std::fs; }",
    ] {
        assert_eq!(
            faults(touches_of_the_world, "plan/action.rs", text),
            0,
            "{text}"
        );
    }
    assert_eq!(
        faults(touches_of_the_world, "store/lease.rs", "use std::fs;"),
        0
    );
}

#[test]
fn an_engine_outside_its_room_is_found() {
    assert_eq!(
        faults(
            foreign_engines,
            "lock/file.rs",
            "use rattler::install::Installer;"
        ),
        1
    );
    assert_eq!(
        faults(foreign_engines, "cli/app.rs", "fn f() { reqwest::get(1); }"),
        1
    );
    assert_eq!(
        faults(
            foreign_engines,
            "lock/file.rs",
            "use rattler_conda_types::MatchSpec;"
        ),
        0
    );
    assert_eq!(
        faults(
            foreign_engines,
            "lock/file.rs",
            "use rattler_lock::LockFile;"
        ),
        0
    );
    assert_eq!(
        faults(
            foreign_engines,
            "conda/solve.rs",
            "use rattler_solve::SolverImpl;"
        ),
        0
    );
}

#[test]
fn a_file_without_a_word_about_itself_or_without_an_end_is_found() {
    assert_eq!(faults(bad_form, "lock/file.rs", "use std::fmt;"), 1);
    let long = format!("//! What for.\n{}", "fn f() {}\n".repeat(LINES));
    assert_eq!(faults(bad_form, "lock/file.rs", &long), 1);
    let tested = format!(
        "//! What for.\n#[cfg(test)]\nmod tests {{\n{}}}",
        "fn f() {}\n".repeat(LINES)
    );
    assert_eq!(faults(bad_form, "lock/file.rs", &tested), 0);
}
