//! The dialect of environment.yml, against facts of the tests and sources of conda,
//! mamba and conda-lock. A row is a spec, what is asked of it, and who says so; where
//! envspec differs the row says why. `it readers` asks the real conda, conda-lock and
//! pip the same of the real files.

use std::str::FromStr as _;

use envspec::spec::{EnvName, EnvSpec, PipKind, parse};
use rattler_conda_types::Subdir;

/// The spec and its notes, or its faults.
fn read(text: &str) -> Result<(EnvSpec, Vec<String>), Vec<String>> {
    match parse(&super::text(text), EnvName::new("a")) {
        Ok((spec, notes)) => Ok((spec, notes.into_iter().map(|note| note.message).collect())),
        Err(errors) => Err(errors.messages().map(str::to_owned).collect()),
    }
}

/// What a spec asks of conda and of pip for a platform.
fn asked(text: &str, platform: &str) -> (Vec<String>, Vec<String>) {
    let (spec, _) = read(text).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
    let platform = Subdir::from_str(platform).unwrap();
    let of_conda = spec.dependencies.iter();
    let of_conda = of_conda.filter(|it| it.applies_to(platform));
    let of_pip = spec.pip.iter().flat_map(|pip| &pip.requirements);
    let of_pip = of_pip.filter(|it| {
        let selector = it.selector.as_ref();
        selector.is_none_or(|selector| selector.applies_to(platform))
    });
    (
        of_conda.map(|it| it.spec.to_string()).collect(),
        of_pip.map(|it| it.text.clone()).collect(),
    )
}

/// A spec of the lines that mamba's test finds in its `env_2.yaml`.
const ENV_2: &str = "\
channels: [conda-forge, bioconda]
dependencies:
  - sel(unix): test1-unix
  - sel(linux): test1-linux
  - sel(osx): test1-osx
  - sel(win): test1-win
  - sel(linux): test2-linux
  - test4
";

/// conda-lock's tests/test-env-filter-platform/environment.yml.
const FILTERED: &str = "\
channels: [conda-forge]
dependencies:
  - python <3.11
  - clang_osx-arm64  # [arm64]
  - clang_osx-64  # [osx64]
  - gcc_linux-64>=6  # [linux64]
platforms: [osx-arm64, osx-64, linux-64]
";

/// conda-lock's tests/test-pip-with-platform-selector/environment.yml.
const FILTERED_PIP: &str = "\
channels: [conda-forge]
dependencies:
  - tomli
  - pip:
    - psutil  # [linux64]
platforms: [linux-64, osx-arm64]
";

#[test]
fn each_platform_gets_what_mamba_and_conda_lock_give_it() {
    for (source, text, platform, of_conda, of_pip) in [
        (
            "mamba libmamba/tests/src/core/test_env_file_reading.cpp, specs_selection",
            ENV_2,
            "linux-64",
            &["test1-unix", "test1-linux", "test2-linux", "test4"][..],
            &[][..],
        ),
        (
            "the same",
            ENV_2,
            "osx-arm64",
            &["test1-unix", "test1-osx", "test4"],
            &[],
        ),
        ("the same", ENV_2, "win-64", &["test1-win", "test4"], &[]),
        (
            "conda-lock tests/test_conda_lock.py, test_parse_env_file_with_filters_no_args",
            FILTERED,
            "osx-arm64",
            &["python <3.11", "clang_osx-arm64"],
            &[],
        ),
        (
            "the same",
            FILTERED,
            "osx-64",
            &["python <3.11", "clang_osx-64"],
            &[],
        ),
        (
            "the same",
            FILTERED,
            "linux-64",
            &["python <3.11", "gcc_linux-64 >=6"],
            &[],
        ),
        (
            "conda-lock tests/test_conda_lock.py, test_parse_environment_file_with_pip_and_platform_selector",
            FILTERED_PIP,
            "linux-64",
            &["tomli"],
            &["psutil"],
        ),
        ("the same", FILTERED_PIP, "osx-arm64", &["tomli"], &[]),
    ] {
        let (conda, pip) = asked(text, platform);
        assert_eq!(conda, of_conda, "{source}: {platform}");
        assert_eq!(pip, of_pip, "{source}: {platform}");
    }
}

#[test]
fn one_line_means_what_its_reader_says() {
    // A list of dependencies, what is asked on linux-64, who says so.
    for (lines, wanted, source) in [
        (
            "nltk=3.0.0=np18py27_0",
            "nltk ==3.0.0 np18py27_0",
            "conda tests/env/test_env.py, test_builds_spec_from_line_raw_dependency",
        ),
        (
            "python=2.7",
            "python 2.7.*",
            "conda tests/env/test_env.py, test_args_are_wildcarded",
        ),
        (
            "conda-forge::numpy",
            "conda-forge::numpy",
            "conda tests/models/test_match_spec.py, test_canonical_string_forms",
        ),
        (
            "conda-forge/linux-64::numpy",
            "conda-forge/linux-64::numpy",
            "the same",
        ),
        (
            "a  # [linux]",
            "a",
            "conda-lock conda_lock/src_parser/selectors.py, platform_sel",
        ),
        ("a  # [aarch64]", "", "the same"),
        (
            "a  # because [linux]",
            "a",
            "the same: words may stand before the brackets",
        ),
        (
            "a  # [osx] (why)",
            "a",
            "the same: no parenthesis may stand behind them",
        ),
        (
            "sel(win): a",
            "",
            "mamba libmamba/src/api/install.cpp, eval_selector",
        ),
        // conda-lock leaves these out everywhere; conda-build, whose selectors they are,
        // reads the first as here.
        (
            "a  # [not win]",
            "a",
            "conda-build, docs: preprocessing selectors",
        ),
        (
            "a  # see [docs]",
            "a",
            "nobody: a remark, and a note says so",
        ),
        // mamba takes one package there.
        ("sel(linux): [a, b]", "a, b", "nobody: a note says so"),
    ] {
        let text = format!("channels: [c]\ndependencies:\n  - {lines}\n");
        let (conda, _) = asked(&text, "linux-64");
        assert_eq!(conda.join(", "), wanted, "{lines} ({source})");
    }
}

#[test]
fn what_others_read_otherwise_is_told() {
    for (text, note, source) in [
        (
            "dependencies:\n  - a  # [linux]\n",
            "conda does not read it and installs the package everywhere",
            "conda reads YAML, which has no comments",
        ),
        (
            "dependencies: [{sel(linux): a}]\n",
            "conda refuses a spec that has it",
            "conda conda/env/env.py, Dependencies.parse: an installer of that name",
        ),
        (
            "dependencies: [{sel(linux): [a]}]\n",
            "mamba takes one package there",
            "mamba environment_yaml.cpp: Complicated selection merge not implemented yet",
        ),
        (
            "dependencies:\n  - a  # [not win]\n",
            "conda-lock leaves such a line out",
            "conda-lock selectors.py: filtered out line",
        ),
        (
            "dependencies:\n  - a  # see [docs]\n",
            "is no selector",
            "conda-lock selectors.py: filtered out line",
        ),
        (
            "channels:\n  - a  # [linux]\ndependencies: [b]\n",
            "the selector has no effect here",
            "conda-lock environment_yaml.py: channels are read from the file unfiltered",
        ),
        (
            "dependencies: [{pip: [a]}]\n",
            "conda warns of that and adds it",
            "conda tests/env/test_env.py, test_add_pip",
        ),
        (
            "dependencies: [pip, {uv: [a]}]\n",
            "read as `pip:` here, and conda refuses it",
            "mamba environment_yaml.cpp: key == \"pip\" || key == \"uv\"",
        ),
        (
            "dependencies: [pip, {pip: [a --pre]}]\n",
            "pip drops `--pre`",
            "pip req_file.py, handle_requirement_line: SUPPORTED_OPTIONS_REQ_DEST",
        ),
        (
            "category: dev\ndependencies: [a]\n",
            "all requirements of a spec are installed together",
            "conda-lock environment_yaml.py: category",
        ),
        (
            "pip-repositories: [x]\ndependencies: [a]\n",
            "is conda-lock's: envspec does not use it",
            "conda-lock environment_yaml.py: pip-repositories",
        ),
        (
            "channel_priority: disabled\ndependencies: [a]\n",
            "in .condarc, and not in this file",
            "conda conda/env/env.py, VALID_KEYS; mamba environment_yaml.cpp",
        ),
        (
            "channel_priority: flexible\ndependencies: [a]\n",
            "it is strict",
            "rattler_solve::ChannelPriority has strict and disabled",
        ),
        (
            "prefix: /x\ndependencies: [a]\n",
            "`prefix` is ignored",
            "conda conda/env/env.py, VALID_KEYS",
        ),
        (
            "nmae: x\ndependencies: [a]\n",
            "conda ignores it",
            "conda tests/env/test_env.py, test_invalid_keys",
        ),
    ] {
        let (_, notes) = read(text).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
        assert!(
            notes.iter().any(|told| told.contains(note)),
            "{text} ({source}): {notes:?}"
        );
    }
    // And nothing is told where all read the same.
    let (_, notes) = read("channels: [c]\ndependencies: [a, pip, {pip: [b]}] # all\n").unwrap();
    assert_eq!(notes, [""; 0]);
}

#[test]
fn what_no_reader_could_follow_is_refused() {
    for (text, fault, source) in [
        (
            "dependencies: [{sel(linux64): a}]\n",
            "mamba has no selector `sel(linux64)`",
            "mamba install.cpp: Value not in [unix, linux, osx, win]",
        ),
        (
            "dependencies: [{'sel( linux )': a}]\n",
            "mamba has no selector",
            "the same: or additional whitespaces found",
        ),
        (
            "dependencies:\n  - a  # [py3k]\n",
            "`[py3k]` is not a selector of platforms",
            "conda-lock selectors.py: only platforms",
        ),
        (
            "channels: ['https://localhost/t/${CONDA_TOKEN}/stable']\ndependencies: [a]\n",
            "holds a variable, which conda would fill in",
            "conda tests/env/test_env.py, test_envvars",
        ),
        (
            "channels: ['https://localhost/t/s3cret/stable']\ndependencies: [a]\n",
            "https://localhost/… carries a password or a token",
            "a spec is read by others",
        ),
        (
            "dependencies: ['https://ada:s3cret@localhost/linux-64/a-1-0.conda']\n",
            "carries a password or a token",
            "a spec is read by others",
        ),
        (
            "dependencies: [pip, {pip: ['a @ git+https://s3cret@localhost/a']}]\n",
            "carries a password or a token",
            "a spec is read by others",
        ),
        (
            "dependencies: [{pip: [a]}, {pip: [b]}]\n",
            "two `pip:` sections",
            "conda conda/env/env.py, Dependencies.parse: update",
        ),
        (
            "dependencies: [pip, {pip: [a=1]}]\n",
            "`a=1` is not a requirement that pip understands",
            "pip constructors.py: = is not a valid operator",
        ),
        (
            "platforms: [linux-65]\ndependencies: [a]\n",
            "a platform cannot be `linux-65`",
            "conda-lock selectors.py, platform_sel",
        ),
        (
            "channels: [{url: x}]\ndependencies: [a]\n",
            "a channel must be a text",
            "conda conda/env/env.py, _expand_channels; mamba: vector of strings",
        ),
        (
            "channel_priority: high\ndependencies: [a]\n",
            "`channel_priority` cannot be `high`",
            "conda conda/base/constants.py, ChannelPriority",
        ),
    ] {
        let faults = read(text).map(|(spec, _)| spec).expect_err(text);
        assert!(
            faults.iter().any(|told| told.contains(fault)),
            "{text} ({source}): {faults:?}"
        );
        assert!(
            faults.iter().all(|told| !told.contains("s3cret")),
            "{faults:?}"
        );
    }
}

#[test]
fn a_pip_section_has_all_that_a_line_of_pip_may_be() {
    let text = "dependencies:\n  - pip\n  - pip:\n      - tool[fast] >=1; sys_platform == 'linux'  # [linux]\n      \
                - git+https://example.org/tool\n      - -r requirements.txt\n      - -e .\n      \
                - --extra-index-url https://example.org/simple\n";
    let (spec, _) = read(text).unwrap();
    let pip = spec.pip.unwrap().requirements;
    assert!(matches!(&pip[0].kind, PipKind::Named(named) if named.name.to_string() == "tool"));
    assert_eq!(pip[0].selector.as_ref().unwrap().to_string(), "linux");
    assert_eq!(&text[pip[0].span.offset..][..10], "tool[fast]");
    assert_eq!(
        pip[1].kind,
        PipKind::Url("git+https://example.org/tool".to_owned())
    );
    assert_eq!(
        pip[2].kind,
        PipKind::RequirementFile("requirements.txt".to_owned())
    );
    assert_eq!(pip[3].kind, PipKind::Editable(".".to_owned()));
    assert_eq!(pip[4].kind, PipKind::Options);
    assert_eq!(pip[4].options[0].name, "--extra-index-url");
}

/// conda shows the line; here nobody does who might paste it into a chat.
#[test]
fn a_secret_is_in_no_message_and_no_snippet() {
    let text = "channels:\n  - c\ndependencies:\n  - a >>2\n  - pip:\n    - --index-url https://ada:s3cret@example.org/simple\n    - b=1\n";
    let errors = parse(&super::text(text), EnvName::new("a")).unwrap_err();
    assert_eq!(errors.count(), 3);
    let shown = super::render(&errors);
    assert!(!shown.contains("s3cret"), "{shown}");
    assert!(shown.contains("spec.yaml:6:7"), "{shown}");
}
