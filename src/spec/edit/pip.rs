//! Edits of the section `pip:` of `dependencies`.

use std::str::FromStr;

use pep508_rs::{MarkerTree, PackageName};

use super::list::File;
use super::{DEPENDENCIES, EditError, absent, asks_conda_for, one_line, refused};
use crate::spec::model::EnvSpec;
use crate::spec::pip::{PipKind, PipLine, PipRequirement, read_pip};
use crate::spec::reader::nearest;
use crate::spec::requirement::Objection;
use crate::spec::source::SourceText;

const PIP: &str = "pip";

/// The text of the spec with a requirement of pip's added. A distribution that is asked
/// for already gets the new requirement in its place. Where the section has to be made,
/// `- pip` comes before it if the spec lacks it: conda adds it otherwise, and warns.
///
/// # Errors
/// See [`EditError`].
pub fn add_pip(source: &SourceText, requirement: &str) -> Result<String, EditError> {
    let requirement = one_line(requirement, PIP)?;
    let wanted = read_pip(requirement).map_err(|objection| refused(requirement, PIP, objection))?;
    if wanted.kind == PipKind::Options && wanted.options.is_empty() {
        let nothing = Objection {
            why: "it asks for nothing".to_owned(),
            help: "write `name`, or `name ==1.4`",
            part: String::new(),
        };
        return Err(refused(requirement, PIP, nothing));
    }
    let Some(file) = File::open_pip(source)? else {
        return with_section(source, requirement);
    };
    let known = lines(&file.spec).filter(|known| is_same(known, &wanted));
    let known: Vec<&PipRequirement> = known.collect();
    if let Some(selected) = known.iter().find(|known| is_limited(known, &wanted)) {
        return Err(EditError::Selected {
            text: selected.to_string(),
        });
    }
    let places = file.places_of(known.iter().map(|known| known.span))?;
    file.put(&Vec::from_iter(places), requirement)
}

fn with_section(source: &SourceText, requirement: &str) -> Result<String, EditError> {
    const FORM: EditError = EditError::Form { key: DEPENDENCIES };
    if asks_conda_for(source, PIP) {
        return File::open(source, DEPENDENCIES)?.append_section(PIP, requirement);
    }
    let with_pip = File::open(source, DEPENDENCIES)?.append(PIP)?;
    let with_pip = SourceText::from_text(source.name(), with_pip).map_err(|_| FORM)?;
    File::open(&with_pip, DEPENDENCIES)?.append_section(PIP, requirement)
}

/// The text of the spec without what asks pip for a distribution, or without an entry
/// that has no name (`./tool`) and is written like that. The last one goes with its
/// `pip:`; the package `pip` stays, notebooks may use it.
///
/// # Errors
/// See [`EditError`].
pub fn remove_pip(source: &SourceText, name: &str) -> Result<String, EditError> {
    let name = name.trim();
    let file = File::open_pip(source)?;
    if let Some(file) = &file {
        let wanted = lines(&file.spec).filter(|known| is_called(known, name));
        let places = Vec::from_iter(file.places_of(wanted.map(|known| known.span))?);
        if !places.is_empty() {
            return file.remove(&places);
        }
    }
    let known = file.map_or_else(Vec::new, |file| distributions(&file.spec));
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let help = if asks_conda_for(source, name) {
        "it is asked of conda: remove it without --pip".to_owned()
    } else if let Some(near) = nearest(name, &known) {
        format!("did you mean `{near}`?")
    } else if known.is_empty() {
        "the spec asks pip for nothing that has a name".to_owned()
    } else {
        format!("pip is asked for {}", known.join(", "))
    };
    Err(absent(name, PIP, help))
}

/// Whether pip is asked for a distribution (or an entry is written like that); not if
/// the text is no spec.
pub fn asks_pip_for(source: &SourceText, name: &str) -> bool {
    match File::open_pip(source) {
        Ok(Some(file)) => lines(&file.spec).any(|known| is_called(known, name.trim())),
        _ => false,
    }
}

/// The names of what pip is asked for.
pub(super) fn distributions(spec: &EnvSpec) -> Vec<String> {
    let names = lines(spec).filter_map(|known| distribution(&known.kind));
    names.map(|name| name.to_string()).collect()
}

fn lines(spec: &EnvSpec) -> impl Iterator<Item = &PipRequirement> {
    spec.pip.iter().flat_map(|pip| &pip.requirements)
}

fn is_called(known: &PipRequirement, name: &str) -> bool {
    let wanted = PackageName::from_str(name).ok();
    known.text == name || (wanted.is_some() && distribution(&known.kind) == wanted)
}

fn is_same(known: &PipRequirement, wanted: &PipLine) -> bool {
    match (distribution(&known.kind), distribution(&wanted.kind)) {
        (Some(known), Some(wanted)) => known == wanted,
        _ if wanted.kind == PipKind::Options => {
            known.kind == wanted.kind && known.options == wanted.options
        }
        _ => known.kind == wanted.kind,
    }
}

/// Whether an entry is for some platforms or Pythons alone, and not for those that the
/// new one names.
fn is_limited(known: &PipRequirement, wanted: &PipLine) -> bool {
    let marker = marker(&known.kind);
    known.selector.is_some() || !(marker.is_true() || marker == self::marker(&wanted.kind))
}

fn marker(kind: &PipKind) -> MarkerTree {
    match kind {
        PipKind::Named(requirement) => requirement.marker.clone(),
        _ => MarkerTree::TRUE,
    }
}

/// The name of what an entry asks for, normalised, if one can tell: a URL says it behind
/// `#egg=`, a wheel in its file name.
fn distribution(kind: &PipKind) -> Option<PackageName> {
    let place = match kind {
        PipKind::Named(requirement) => return Some(requirement.name.clone()),
        PipKind::Url(place) | PipKind::Path(place) | PipKind::Editable(place) => place,
        PipKind::RequirementFile(_) | PipKind::ConstraintFile(_) | PipKind::Options => return None,
    };
    let (place, fragment) = place.split_once('#').unwrap_or((place, ""));
    let egg = fragment
        .split('&')
        .find_map(|part| part.strip_prefix("egg="));
    let egg = egg.map(|egg| egg.split('[').next().unwrap_or_default());
    let wheel = || {
        let file = place.rsplit('/').next()?;
        Some(file.strip_suffix(".whl")?.split_once('-')?.0)
    };
    PackageName::from_str(egg.or_else(wheel)?).ok()
}

#[cfg(test)]
mod tests {
    use miette::Diagnostic as _;
    use proptest::prelude::*;

    use super::super::{EditError, add_pip, remove_dependency, remove_pip};
    use crate::spec::{EnvName, EnvSpec, SourceText, parse};

    fn source(text: &str) -> SourceText {
        SourceText::from_text("lab.yaml", text).unwrap()
    }

    fn added(text: &str, requirement: &str) -> String {
        add_pip(&source(text), requirement).unwrap()
    }

    fn removed(text: &str, name: &str) -> String {
        remove_pip(&source(text), name).unwrap()
    }

    /// Adds and removes, and both ways the text is what is expected.
    fn there_and_back(before: &str, requirement: &str, after: &str) {
        let name = requirement.split_whitespace().next().unwrap();
        assert_eq!(added(before, requirement), after);
        assert_eq!(removed(after, name), before);
    }

    fn help(error: &EditError) -> String {
        error.help().unwrap().to_string()
    }

    #[test]
    fn a_requirement_joins_the_section_as_it_is_written() {
        there_and_back(
            "dependencies:\n  - python\n  - pip:\n      - a ==1  # why\n      # last\n      - b\n  - numpy # n\n# end\n",
            "rich >=13,<14",
            "dependencies:\n  - python\n  - pip:\n      - a ==1  # why\n      # last\n      - b\n      - rich >=13,<14\n  - numpy # n\n# end\n",
        );
        there_and_back(
            "dependencies:\n- pip:\n  - a\n- numpy",
            "rich",
            "dependencies:\n- pip:\n  - a\n  - rich\n- numpy",
        );
        there_and_back(
            "dependencies:\n- pip:\n  - a",
            "rich",
            "dependencies:\n- pip:\n  - a\n  - rich",
        );
        there_and_back(
            "dependencies:\n  - uv: [a] # mamba's\n",
            "rich",
            "dependencies:\n  - uv: [a, rich] # mamba's\n",
        );
        assert_eq!(
            added("dependencies: [python, pip: [a]]\n", "rich >=13,<14"),
            "dependencies: [python, pip: [a, 'rich >=13,<14']]\n",
        );
        there_and_back(
            "dependencies:\r\n  - pip: [ # p\r\n      a,\r\n    ]\r\nsite: bih\r\n",
            "rich",
            "dependencies:\r\n  - pip: [ # p\r\n      a,\r\n      rich,\r\n    ]\r\nsite: bih\r\n",
        );
    }

    #[test]
    fn a_section_that_is_not_there_is_made_with_pip_before_it() {
        assert_eq!(
            added("dependencies:\n  - python # p\n\nsite: bih\n", "rich >=13"),
            "dependencies:\n  - python # p\n  - pip\n  - pip:\n      - rich >=13\n\nsite: bih\n",
        );
        there_and_back(
            "dependencies:\n  - Pip >=24\n  - python",
            "rich",
            "dependencies:\n  - Pip >=24\n  - python\n  - pip:\n      - rich",
        );
        there_and_back(
            "dependencies:\r\n- pip\r\nsite: bih\r\n",
            "rich",
            "dependencies:\r\n- pip\r\n- pip:\r\n    - rich\r\nsite: bih\r\n",
        );
        there_and_back(
            "dependencies: [pip] # few\n",
            "rich",
            "dependencies: [pip, {pip: [rich]}] # few\n",
        );
        assert_eq!(
            added("name: x\n", "-e ./tool"),
            "name: x\ndependencies:\n- pip\n- pip:\n    - '-e ./tool'\n",
        );
    }

    #[test]
    fn an_empty_section_is_filled() {
        for (before, after) in [
            (
                "dependencies:\n  - pip:\n  - a\n",
                "dependencies:\n  - pip:\n      - rich\n  - a\n",
            ),
            (
                "dependencies:\n  - pip: []\n",
                "dependencies:\n  - pip: [rich]\n",
            ),
        ] {
            assert_eq!(added(before, "rich"), after);
        }
        assert_eq!(
            added("dependencies:\n  - pip: []\n  - pip: [a]\n", "rich"),
            "dependencies:\n  - pip: []\n  - pip: [a, rich]\n",
            "the one that is read",
        );
    }

    #[test]
    fn a_distribution_that_is_there_gets_the_new_requirement_in_its_place() {
        let before = "dependencies:\n  - rich\n  - pip:\n    - 'Typing_Extensions ==4' # old\n    - -e git+https://example.org/c#egg=clip[all]\n    - https://example.org/some_tool-1.0-py3-none-any.whl\n    - ./tool\n    - --pre\n    - typing.extensions <9\n";
        assert_eq!(
            added(before, "typing-extensions>=5"),
            before
                .replace("'Typing_Extensions ==4'", "typing-extensions>=5")
                .replace("    - typing.extensions <9\n", ""),
        );
        assert_eq!(
            added(before, "CLIP"),
            before.replace("-e git+https://example.org/c#egg=clip[all]", "CLIP"),
        );
        let wheel = "https://example.org/some_tool-1.0-py3-none-any.whl";
        assert_eq!(
            added(before, "some-tool ==1"),
            before.replace(wheel, "some-tool ==1"),
        );
        assert_eq!(
            added(before, "./tool"),
            before.replace("- ./tool", "- './tool'")
        );
        assert_eq!(
            added(before, "--pre"),
            before.replace("- --pre", "- '--pre'")
        );
        let with_rich = before.to_owned() + "    - rich >=13\n";
        assert_eq!(added(before, "rich >=13"), with_rich, "conda's stays");
    }

    #[test]
    fn what_is_for_some_platforms_alone_is_not_written_over() {
        let text = "dependencies:\n  - pip:\n    - rich # [linux]\n    - a >=1; sys_platform == 'linux'\n    - a <1; sys_platform == 'darwin'\n";
        for (requirement, there) in [
            ("rich >=13", "rich [linux]"),
            ("a", "a >=1; sys_platform == 'linux'"),
            (
                "a >=2; sys_platform == 'linux'",
                "a <1; sys_platform == 'darwin'",
            ),
        ] {
            match add_pip(&source(text), requirement) {
                Err(EditError::Selected { text }) => assert_eq!(text, there),
                other => panic!("{requirement}: {other:?}"),
            }
        }
        let one = "dependencies:\n  - pip: [a >=1; os_name == 'posix']\n";
        assert_eq!(
            added(one, "a >=2; os_name == 'posix'"),
            one.replace(">=1", ">=2"),
            "it is for the same ones"
        );
        assert_eq!(
            removed(text, "rich"),
            text.replace("    - rich # [linux]\n", "")
        );
        assert_eq!(
            removed(text, "a"),
            "dependencies:\n  - pip:\n    - rich # [linux]\n"
        );
    }

    #[test]
    fn the_last_one_goes_with_its_section_and_no_comment_goes_unasked() {
        for (before, after) in [
            (
                "dependencies:\n  - python\n  # of PyPI\n  - pip:\n      - Humanize >=4 # h\n  - numpy\n",
                "dependencies:\n  - python\n  # of PyPI\n  - numpy\n",
            ),
            (
                "dependencies: [a, {pip: [humanize]}]\n",
                "dependencies: [a]\n",
            ),
            (
                "name: x\ndependencies:\n  - pip:\n    - humanize\n",
                "name: x\n",
            ),
            (
                "dependencies:\n  - sel(linux): a\n    pip: [humanize]\n",
                "dependencies:\n  - sel(linux): a\n",
            ),
            (
                "dependencies:\n  - pip: # of PyPI\n      - humanize\n  - a\n",
                "dependencies:\n  - pip: [] # of PyPI\n  - a\n",
            ),
        ] {
            assert_eq!(removed(before, "humanize"), after);
        }
    }

    #[test]
    fn an_entry_without_a_name_goes_by_its_text() {
        let text = "dependencies:\n  - pip: [./tool, -r more.txt, --pre, a]\n";
        assert_eq!(
            removed(&removed(text, "-r more.txt"), "./tool"),
            "dependencies:\n  - pip: [--pre, a]\n"
        );
        assert_eq!(
            removed(
                "name: x\ndependencies:\n  - pip:\n    - -e git+https://example.org/c#egg=clip\n",
                "clip"
            ),
            "name: x\n",
            "no comment"
        );
    }

    #[test]
    fn what_pip_does_not_understand_is_not_added() {
        for (text, why) in [
            (
                "rich=13",
                "`rich=13` is not a requirement that pip understands: a single `=` is conda's",
            ),
            (
                "--upgrade",
                "`--upgrade` is not a requirement that pip understands: not an option that pip has in a list",
            ),
            (
                "",
                "`` is not a requirement that pip understands: it asks for nothing",
            ),
            (
                "# rich",
                "`# rich` is not a requirement that pip understands: it asks for nothing",
            ),
            (
                "a\n- b",
                "`a - b` is not a requirement that pip understands: it has a control character",
            ),
            (
                "a=1 @ https://me:hunter2@example.org/a.whl",
                "the URL https://example.org/… carries a password or a token",
            ),
        ] {
            let error = add_pip(&source("name: x\n"), text).unwrap_err();
            assert_eq!(error.to_string(), why);
        }
    }

    #[test]
    fn what_is_not_there_is_not_removed_and_the_help_says_where_it_is() {
        let text = "dependencies: [numpy, {pip: [Rich_Text >=1, ./tool]}]\n";
        let absent = |name| remove_pip(&source(text), name).unwrap_err();
        assert_eq!(absent("rich-tex").to_string(), "`rich-tex` is not in `pip`");
        assert_eq!(help(&absent("rich-tex")), "did you mean `rich-text`?");
        assert_eq!(
            help(&absent("numpy")),
            "it is asked of conda: remove it without --pip"
        );
        assert_eq!(help(&absent("pandas")), "pip is asked for rich-text");
        let bare = remove_pip(&source("name: x\n"), "a").unwrap_err();
        assert_eq!(help(&bare), "the spec asks pip for nothing that has a name");
        let of_conda = remove_dependency(&source(text), "rich_txt").unwrap_err();
        assert_eq!(help(&of_conda), "did you mean `rich-text`?");
    }

    #[test]
    fn forms_that_cannot_be_edited_safely_are_refused() {
        let shared = "dependencies: [{pip: &l [rich]}]\nkernels: [python: {dependencies: *l}]\n";
        for (text, requirement) in [
            (shared, "rich >=13"),
            (shared, "a"),
            (
                "dependencies:\n  - pip:\n    - >-\n      rich\n      >=1\n",
                "rich",
            ),
            (
                "variables: {A: &a rich}\ndependencies: [{pip: [*a]}]\n",
                "rich >=1",
            ),
        ] {
            match add_pip(&source(text), requirement) {
                Err(EditError::Form { key }) => assert_eq!(key, "pip"),
                other => panic!("{requirement}: {other:?}"),
            }
        }
    }

    /// What is asked of conda and of pip, for which platforms, but for `pip` itself and
    /// what is tried.
    fn meaning(text: &str) -> (Vec<String>, Vec<String>) {
        let (spec, _) = parse(&source(text), EnvName::new("x")).unwrap();
        let EnvSpec {
            dependencies, pip, ..
        } = spec;
        let conda = dependencies.iter().map(ToString::to_string);
        let pip = pip.into_iter().flat_map(|pip| pip.requirements);
        (
            conda.filter(|text| text != "pip").collect(),
            pip.map(|line| line.to_string())
                .filter(|line| !line.starts_with("zz-new"))
                .collect(),
        )
    }

    /// A spec with a section in one of the ways in which people write them.
    fn some_spec() -> impl Strategy<Value = String> {
        let conda = prop::sample::select(vec!["python", "'numpy >=2'", "zlib  # [linux]"]);
        let pip = prop::sample::select(vec![
            "rich >=13",
            "\"a ==1\"",
            "-e ./tool",
            "b; os_name == 'nt'",
            "c  # [linux]",
            "d >=1,<2  # why",
        ]);
        let tail = prop::sample::select(vec!["", "\n# between", "\n\n"]);
        let lines = prop::collection::vec((pip, tail.clone()), 0..4);
        let above = prop::collection::vec((conda.clone(), tail.clone()), 0..3);
        let below = prop::collection::vec((conda, tail), 0..3);
        let end = prop::sample::select(vec!["", "\n", "\nsite: bih\n", "\n\n# end\nsite: bih"]);
        let shape = (0..4_usize, 0..4_usize, any::<bool>());
        (above, lines, below, end, shape).prop_map(
            |(above, lines, below, end, (outer, inner, windows))| {
                let mut text = "name: x # name\ndependencies:".to_owned();
                let mut item = |indent: usize, item: &str, tail: &str| {
                    text.extend(["\n", &" ".repeat(indent), "- ", item, tail]);
                };
                for (entry, tail) in &above {
                    item(outer, entry, tail);
                }
                if !lines.is_empty() {
                    item(outer, "pip:", "");
                }
                for (entry, tail) in &lines {
                    item(outer + 2 + inner, entry, tail);
                }
                for (entry, tail) in &below {
                    item(outer, entry, tail);
                }
                text += end;
                if windows {
                    text.replace('\n', "\r\n")
                } else {
                    text
                }
            },
        )
    }

    proptest! {
        #[test]
        fn adding_and_removing_gives_the_same_meaning(text in some_spec()) {
            let with = added(&text, "zz-new >=1,<2");
            prop_assert_eq!(meaning(&with), meaning(&text));
            let is_new = |line: &&str| {
                !["zz-new >=1,<2", "- pip", "- pip:"].iter().any(|new| line.trim().ends_with(new))
            };
            let untouched: Vec<&str> = with.lines().filter(is_new).collect();
            let before: Vec<&str> = text.lines().filter(is_new).collect();
            prop_assert_eq!(untouched, before);
            let ends = |ending| with.matches(ending).count();
            prop_assert!([0, ends("\n")].contains(&ends("\r\n")));
            let without = removed(&with, "Zz_New");
            prop_assert_eq!(meaning(&without), meaning(&text));
            if text.contains("pip:") {
                prop_assert_eq!(without, text);
            }
        }
    }

    #[test]
    fn every_real_file_can_be_edited_and_restored() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/specs/real");
        let (mut files, mut sections) = (0, 0);
        for file in fs_err::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let name = path.display();
            let Ok(source) = SourceText::from_bytes("x", fs_err::read(&path).unwrap()) else {
                continue;
            };
            let Ok((spec, _)) = parse(&source, EnvName::new("x")) else {
                continue;
            };
            files += 1;
            let with = add_pip(&source, "zz-new >=1,<2").unwrap_or_else(|e| panic!("{name}: {e}"));
            let without = removed(&with, "zz-new");
            assert_eq!(meaning(&without), meaning(source.text()), "{name}");
            if spec.pip.is_some() {
                sections += 1;
                assert_eq!(without, source.text(), "{name}");
            }
        }
        assert!(
            files > 50 && sections > 15,
            "{files} files, {sections} sections"
        );
    }
}
