//! What a file means, asked of those who read it too: the real conda, conda-lock and pip
//! (`tests/world/readers.sh`).

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr as _;

use envspec::spec::{EnvName, EnvSpec, PipKind, SourceText, parse};
use rattler_conda_types::{MatchSpec, ParseStrictness, Subdir};
use serde_json::Value;

use crate::support::skipped;

fn in_tests(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(path)
}

/// What the readers answer; `None`, told, where they cannot be had.
fn ask(arguments: &[&str], lines: &[String]) -> Option<Value> {
    let made = Command::new(in_tests("world/readers.sh"))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    if !made.status.success() {
        skipped("the readers of environment.yml could not be installed");
        return None;
    }
    let python = String::from_utf8(made.stdout).unwrap();
    let mut child = Command::new(python.trim_end())
        .arg("-I")
        .arg(in_tests("world/readers/read.py"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all((lines.join("\n") + "\n").as_bytes())
        .unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn spec(path: &str) -> EnvSpec {
    let text = fs_err::read_to_string(path).unwrap();
    let source = SourceText::from_text(path, text).unwrap();
    parse(&source, EnvName::new("a")).unwrap().0
}

fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().unwrap_or_else(|| panic!("{value}"));
    list.iter()
        .map(|it| it.as_str().unwrap().to_owned())
        .collect()
}

/// The real file that no tool takes: pip refuses one of its lines.
const REFUSED: &str = "jdha+conda_env__envs__cmc-beta.yml";

/// The others.
fn real_files() -> Vec<String> {
    let entries = fs_err::read_dir(in_tests("specs/real")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path().to_str().unwrap().to_owned());
    let mut paths: Vec<_> = paths
        .filter(|path| !path.ends_with("index.tsv") && !path.ends_with(REFUSED))
        .collect();
    paths.sort();
    paths
}

#[test]
fn real_files_ask_of_envspec_what_they_ask_of_conda() {
    let files = real_files();
    let arguments: Vec<&str> = std::iter::once("files")
        .chain(files.iter().map(String::as_str))
        .collect();
    let Some(answer) = ask(&arguments, &[]) else {
        return;
    };
    let mut requirements = 0;
    for file in &files {
        let theirs = &answer[file]["conda"];
        let ours = spec(file);
        let mut channels = texts(&theirs["channels"]);
        channels.retain(|channel| channel != "nodefaults");
        if !channels.is_empty() {
            let ours: Vec<_> = ours.channels.iter().map(|at| at.value.clone()).collect();
            assert_eq!(ours, channels, "{file}");
        }
        // conda adds the package `pip`, which a note says.
        let mut wanted: Vec<String> = texts(&theirs["conda"])
            .iter()
            .map(|text| {
                MatchSpec::from_str(text, ParseStrictness::Lenient)
                    .unwrap()
                    .to_string()
            })
            .collect();
        let mut asked: Vec<String> = ours
            .dependencies
            .iter()
            .map(|it| it.spec.to_string())
            .collect();
        if ours.pip.is_some() && !asked.contains(&"pip".to_owned()) {
            wanted.retain(|spec| spec != "pip");
            asked.retain(|spec| spec != "pip");
        }
        wanted.sort();
        asked.sort();
        requirements += asked.len();
        assert_eq!(asked, wanted, "{file}");
        let pip = ours.pip.iter().flat_map(|pip| &pip.requirements);
        let pip: Vec<_> = pip.map(|it| it.text.clone()).collect();
        assert_eq!(pip, texts(&theirs["pip"]), "{file}");
        assert_eq!(theirs["variables"], ours.variables.len(), "{file}");
    }
    assert!(requirements > 1500, "{requirements}");
}

/// The names that a spec asks of conda and pip for a platform.
fn names(spec: &EnvSpec, platform: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let platform = Subdir::from_str(platform).unwrap();
    let of_conda = spec.dependencies.iter();
    let of_conda = of_conda
        .filter(|it| it.applies_to(platform))
        .map(|it| it.spec.name.to_string());
    let of_pip = spec.pip.iter().flat_map(|pip| &pip.requirements);
    let of_pip = of_pip
        .filter(|it| {
            it.selector
                .as_ref()
                .is_none_or(|selector| selector.applies_to(platform))
        })
        .filter_map(|it| match &it.kind {
            PipKind::Named(named) => Some(named.name.to_string()),
            // conda-lock names a repository after its last part.
            PipKind::Url(url) => url.rsplit('/').next().map(str::to_owned),
            _ => None,
        });
    (of_conda.collect(), of_pip.collect())
}

#[test]
fn each_platform_gets_what_conda_lock_gives_it() {
    // Its own words: real files have few selectors.
    let folder = tempfile::tempdir().unwrap();
    let words = folder.path().join("environment.yml");
    let selectors = [
        "unix", "linux", "osx", "win", "linux64", "aarch64", "ppc64le", "osx64", "arm64", "win64",
    ];
    let mut text = "channels: [conda-forge]\ndependencies:\n  - python\n  - pip\n".to_owned();
    for word in selectors {
        writeln!(text, "  - of-{word}  # [{word}]").unwrap();
        writeln!(text, "  - remark-{word} >=1  # for [{word}] it is").unwrap();
    }
    text += "  - hash # [linux] (not read)\n  - sel(linux): not-read-by-conda-lock\n";
    text += "  - pip:\n    - everywhere\n";
    for word in selectors {
        writeln!(text, "    - pip-{word}  # [{word}]").unwrap();
    }
    fs_err::write(&words, text).unwrap();
    let mut files = real_files();
    files.push(words.to_str().unwrap().to_owned());
    let arguments: Vec<&str> = std::iter::once("files")
        .chain(files.iter().map(String::as_str))
        .collect();
    let Some(answer) = ask(&arguments, &[]) else {
        return;
    };
    let mut refused = Vec::new();
    for file in &files {
        let theirs = &answer[file]["conda_lock"];
        if !theirs["refused"].is_null() {
            refused.push(file.rsplit('/').next().unwrap());
            continue;
        }
        let ours = spec(file);
        for platform in ["linux-64", "osx-arm64", "win-64"] {
            let (mut conda, pip) = names(&ours, platform);
            conda.remove("not-read-by-conda-lock");
            let mut wanted = BTreeSet::from_iter(texts(&theirs[platform]["conda"]));
            // It adds pip where a pip section is left, as conda does.
            if !conda.contains("pip") {
                wanted.remove("pip");
            }
            assert_eq!(conda, wanted, "{file} on {platform}");
            let wanted = BTreeSet::from_iter(texts(&theirs[platform]["pip"]));
            // Of a repository without a name that is the last word of its URL.
            let name = |text: String| text.trim_end_matches(".git").replace('_', "-");
            let pip: BTreeSet<String> = pip.into_iter().map(name).collect();
            assert_eq!(pip, wanted, "{file} on {platform}");
        }
    }
    // It takes no `-r` and no file of this machine in a pip section.
    assert_eq!(
        refused,
        [
            "ChantalMB+odate-lab-wip__environment-python.yml",
            "ncar-xdev+jupyter-forward__ci__environment-docs.yml",
            "sopa-de-venuts+esmval_JASMIN__miniconda3__pkgs__conda-4.8.2-py37_0__info__test__tests__conda_env__support__advanced-pip__environment.yml",
        ]
    );
}

/// Entries of pip sections: those of the real files and of the specs made for it.
fn entries() -> Vec<String> {
    let mut entries = Vec::new();
    let mut files = real_files();
    files.push(
        in_tests("specs/valid/pip.yaml")
            .to_str()
            .unwrap()
            .to_owned(),
    );
    for file in files {
        let pip = spec(&file).pip.into_iter().flat_map(|pip| pip.requirements);
        entries.extend(pip.map(|it| it.text));
    }
    let refused = [
        "tool=1.4",
        // That of the file which is refused.
        "copernicus-marine-client>=0.10.0<0.11.0",
        "tool >=1 extra",
        "tool ==1.x.y",
        "tool; os == 'linux'",
        "tool[fast",
        "--upgrade",
        "-r",
        "--pre=yes",
        "-e https://example.org/tool",
        "two words",
        "tool @",
        "tool >",
        "tool[fast]]",
        "tool;",
        "==1.4",
        "@ https://example.org/tool.whl",
        "--index-url 'x",
        "--no-such-option",
        "tool ===1.4",
        "tool (>=1)",
        "TOOL.NAME",
        "tool ; python_version == '3.12' # why",
        "tool>=1,",
        "tool,other",
    ];
    entries.extend(refused.map(str::to_owned));
    entries
}

/// The kind of an entry in envspec's reader, in the words of `read.py`.
fn kind(entry: &str) -> String {
    let quoted = entry.replace('\'', "''");
    let text = format!("channels: [c]\ndependencies: [pip, {{pip: ['{quoted}']}}]\n");
    let source = SourceText::from_text("a.yaml", text).unwrap();
    let Ok((spec, _)) = parse(&source, EnvName::new("a")) else {
        return "refused".to_owned();
    };
    match &spec.pip.unwrap().requirements[0].kind {
        PipKind::Named(named) => format!("named {}", named.name),
        PipKind::Url(_) => "url".to_owned(),
        PipKind::Path(_) => "path".to_owned(),
        PipKind::Editable(_) => "editable".to_owned(),
        _ => "none".to_owned(),
    }
}

#[test]
fn an_entry_of_pip_is_to_envspec_what_it_is_to_pip() {
    let entries = entries();
    let Some(answer) = ask(&["pip"], &entries) else {
        return;
    };
    // What pip makes of files and folders that are not there, and takes for granted:
    // that is for whoever installs.
    let not_there = [
        "-r ../requirements.txt",
        "-e ..",
        "-e ../",
        "-e ./module_to_install_in_editable_mode",
        "-r file:another-project-requirements.txt",
        "wheels/there-1.0-py3-none-any.whl",
    ];
    let mut wrong = Vec::new();
    for (entry, theirs) in entries.iter().zip(answer.as_array().unwrap()) {
        if not_there.contains(&entry.as_str()) {
            continue;
        }
        let theirs = match (&theirs["kind"], &theirs["name"]) {
            (Value::String(kind), Value::String(name)) => format!("{kind} {name}"),
            (Value::String(kind), _) => kind.clone(),
            _ => "refused".to_owned(),
        };
        let ours = kind(entry);
        if ours != theirs {
            wrong.push(format!("{entry}: {ours}, and to pip {theirs}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn conda_confirms_the_table_of_what_requirements_match() {
    let table = fs_err::read_to_string(in_tests("specs/facts/matching.tsv")).unwrap();
    let rows: Vec<String> = table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    let Some(answer) = ask(&["matching"], &rows) else {
        return;
    };
    for (row, theirs) in rows.iter().zip(answer.as_array().unwrap()) {
        let says = row.split('\t').nth(2).unwrap();
        assert_eq!(theirs.as_str().unwrap_or("refused"), says, "{row}");
    }
    assert_eq!(answer.as_array().unwrap().len(), rows.len());
}
