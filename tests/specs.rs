//! A corpus of specs: `tests/specs/valid` must be understood, `tests/specs/invalid`
//! must be refused with the diagnostic in its snapshot, and the real
//! `environment.yml` files in `tests/specs/real` (see its `index.tsv` for where
//! each comes from) must each get the verdict that the table lists.
//!
//! Hostile texts that are too large for a file, and random ones, are made here.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

#[path = "specs/dialect.rs"]
mod dialect;
#[path = "specs/edits.rs"]
mod edits;
#[path = "specs/matching.rs"]
mod matching;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use envspec::spec::{
    At, ChannelPriority, EnvName, EnvSpec, PipKind, Selector, SourceText, Span, SpecErrors, edit,
    fault, parse,
};
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use proptest::prelude::*;
use rattler_conda_types::EnvironmentYaml;

fn render(diagnostic: &dyn Diagnostic) -> String {
    let mut out = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(80)
        .with_links(false)
        .render_report(&mut out, diagnostic)
        .unwrap();
    out.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

fn corpus(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/specs")
        .join(folder);
    let mut files: Vec<_> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| {
        path.extension()
            .is_some_and(|end| end == "yaml" || end == "yml")
    });
    files.sort();
    assert!(!files.is_empty());
    files
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn stem(path: &Path) -> Option<EnvName> {
    // The copies of real files have their repository and folders before the name.
    EnvName::new(path.file_stem()?.to_str()?.rsplit("__").next()?)
}

fn judge(path: &Path) -> Result<(SourceText, EnvSpec, String), SpecErrors> {
    let source = SourceText::from_bytes(file_name(path), fs_err::read(path).unwrap())?;
    let (spec, notes) = parse(&source, stem(path))?;
    let notes = notes
        .iter()
        .map(|note| render(&note.in_source(&source)) + "\n")
        .collect();
    Ok((source, spec, notes))
}

fn text(text: &str) -> SourceText {
    SourceText::from_text("spec.yaml", text).unwrap()
}

fn in_snapshots(check: impl FnOnce()) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("specs/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(check);
}

/// A spec as a reader would retell it, without places.
fn retell(spec: &EnvSpec) -> String {
    fn texts<T>(values: &[At<T>], show: impl Fn(&T) -> String) -> String {
        values
            .iter()
            .map(|at| show(&at.value))
            .collect::<Vec<_>>()
            .join(" | ")
    }
    fn value<T: std::fmt::Debug>(at: Option<&At<T>>) -> String {
        at.map_or_else(|| "-".to_owned(), |at| format!("{:?}", at.value))
    }
    fn for_platforms(selector: Option<&Selector>) -> String {
        selector.map_or_else(String::new, |selector| format!(" for {selector}"))
    }
    let mut out = String::new();
    writeln!(out, "name: {}", spec.name).unwrap();
    writeln!(out, "channels: {}", texts(&spec.channels, String::clone)).unwrap();
    if spec.channel_priority != ChannelPriority::Strict {
        writeln!(out, "channel priority: {:?}", spec.channel_priority).unwrap();
    }
    for dependency in &spec.dependencies {
        writeln!(
            out,
            "dependency: {:28} = {}{}",
            dependency.text,
            dependency.spec,
            for_platforms(dependency.selector.as_ref())
        )
        .unwrap();
    }
    if let Some(pip) = &spec.pip {
        for asked in &pip.requirements {
            let selector = for_platforms(asked.selector.as_ref());
            let kind = match &asked.kind {
                PipKind::Named(named) => format!("named {named}"),
                kind => format!("{kind:?}"),
            };
            let options: Vec<_> = asked
                .options
                .iter()
                .map(|it| (it.name, &it.value))
                .collect();
            writeln!(out, "pip: {}{selector} = {kind} {options:?}", asked.text).unwrap();
        }
    }
    writeln!(out, "variables: {:?}", spec.variables).unwrap();
    writeln!(
        out,
        "platforms: {}",
        texts(&spec.platforms, ToString::to_string)
    )
    .unwrap();
    for kernel in &spec.kernels {
        let asks: Vec<_> = kernel
            .dependencies
            .iter()
            .map(ToString::to_string)
            .collect();
        writeln!(
            out,
            "kernel: {} of {}: isolated {}, asks {asks:?}, packages [{}], shown {}, env {:?}, from {}",
            kernel.name.value,
            kernel.definition_id(),
            kernel.isolated,
            texts(&kernel.packages, String::clone),
            value(kernel.display_name.as_ref()),
            kernel.env,
            value(kernel.installable.as_ref()),
        )
        .unwrap();
    }
    let target = &spec.target;
    for (what, version) in [
        ("glibc", &target.glibc),
        ("cuda", &target.cuda),
        ("linux", &target.linux),
    ] {
        let shown = version
            .as_ref()
            .map_or_else(|| "-".to_owned(), |at| at.value.to_string());
        writeln!(out, "target {what}: {shown}").unwrap();
    }
    writeln!(out, "target arch: {}", value(target.arch.as_ref())).unwrap();
    writeln!(out, "site: {}", value(spec.site.as_ref())).unwrap();
    let launch = &spec.launch;
    writeln!(
        out,
        "launch: time {} memory {} cpus {} gpus {} partition {} account {} qos {} {} root {} idle {}",
        launch.time.as_ref().map_or_else(|| "-".to_owned(), |at| at.value.to_string()),
        launch.memory.as_ref().map_or_else(|| "-".to_owned(), |at| at.value.to_string()),
        value(launch.cpus.as_ref()),
        value(launch.gpus.as_ref()),
        value(launch.partition.as_ref()),
        value(launch.account.as_ref()),
        value(launch.qos.as_ref()),
        value(launch.interface.as_ref()),
        value(launch.root_dir.as_ref()),
        launch.idle.as_ref().map_or_else(|| "-".to_owned(), |at| at.value.to_string()),
    )
    .unwrap();
    out
}

#[test]
fn valid_specs_are_understood() {
    for path in corpus("valid") {
        let (_, spec, notes) = judge(&path).unwrap_or_else(|errors| panic!("{}", render(&errors)));
        in_snapshots(|| {
            insta::assert_snapshot!(
                format!("valid-{}", file_name(&path)),
                retell(&spec) + &notes
            );
        });
    }
}

#[test]
fn invalid_specs_are_refused_with_the_place_and_the_cure() {
    for path in corpus("invalid") {
        let errors = judge(&path).expect_err(&file_name(&path));
        in_snapshots(|| {
            insta::assert_snapshot!(format!("invalid-{}", file_name(&path)), render(&errors));
        });
    }
}

/// A real file: what it says, and what is thought of it.
fn verdict(path: &Path) -> String {
    let mut out = format!("{}\n", file_name(path));
    match judge(path) {
        Ok((source, spec, _)) => {
            let list = |texts: Vec<&str>| texts.join(", ");
            let channels = spec.channels.iter().map(|at| at.value.as_str());
            writeln!(out, "  channels: {}", list(channels.collect())).unwrap();
            writeln!(out, "  conda: {}", spec.dependencies.len()).unwrap();
            let pip = spec.pip.as_ref().map_or(&[][..], |pip| &pip.requirements);
            writeln!(out, "  pip: {}", pip.len()).unwrap();
            let of_conda = spec.dependencies.iter().filter(|it| it.selector.is_some());
            let of_pip = pip.iter().filter(|it| it.selector.is_some());
            let of_pip =
                of_pip.map(|it| format!("{} [{}]", it.text, it.selector.as_ref().unwrap()));
            let selected: Vec<_> = of_conda.map(ToString::to_string).chain(of_pip).collect();
            writeln!(out, "  for some platforms: {}", selected.join(", ")).unwrap();
            let platforms: Vec<_> = spec.platforms.iter().map(|at| at.value.as_str()).collect();
            writeln!(out, "  platforms: {}", list(platforms)).unwrap();
            writeln!(out, "  variables: {}", spec.variables.len()).unwrap();
            let (_, notes) = parse(&source, stem(path)).unwrap();
            for note in notes {
                writeln!(out, "  note: {}", note.message).unwrap();
            }
            writeln!(out, "  verdict: good").unwrap();
        }
        Err(errors) => {
            for message in errors.messages() {
                writeln!(out, "  refused: {message}").unwrap();
            }
        }
    }
    out
}

#[test]
fn real_environment_files_get_a_verdict() {
    let verdicts: Vec<_> = corpus("real").iter().map(|path| verdict(path)).collect();
    in_snapshots(|| insta::assert_snapshot!("real", verdicts.join("\n")));
}

/// rattler's own reader of the files has neither selectors nor platforms, so the files
/// without them must mean the same to both.
#[test]
fn real_files_mean_what_rattlers_reader_of_environment_yml_makes_of_them() {
    let mut packages = 0;
    let mut refused = Vec::new();
    for path in corpus("real") {
        let name = file_name(&path);
        let theirs = EnvironmentYaml::from_path(&path).unwrap();
        // One file has a line that pip refuses, which rattler does not read.
        let Ok((_, ours, _)) = judge(&path) else {
            refused.push(name);
            continue;
        };
        let theirs_of_conda: Vec<_> = theirs.match_specs().map(ToString::to_string).collect();
        let ours_of_conda = ours.dependencies.iter().map(|it| it.spec.to_string());
        assert_eq!(ours_of_conda.collect::<Vec<_>>(), theirs_of_conda, "{name}");
        packages += theirs_of_conda.len();
        let pip = ours.pip.iter().flat_map(|pip| &pip.requirements);
        let pip: Vec<_> = pip.map(|it| it.text.as_str()).collect();
        assert_eq!(pip, theirs.pip_specs().unwrap_or_default(), "{name}");
        let channels = theirs.channels.iter().map(ToString::to_string);
        let channels: Vec<_> = channels.filter(|it| it != "nodefaults").collect();
        let ours = ours.channels.iter().map(|at| &at.value);
        // Without any, envspec says conda-forge.
        if !channels.is_empty() {
            assert_eq!(
                ours.collect::<Vec<_>>(),
                channels.iter().collect::<Vec<_>>(),
                "{name}"
            );
        }
    }
    assert!(packages > 2500, "{packages}");
    assert_eq!(refused, ["jdha+conda_env__envs__cmc-beta.yml"]);
}

#[test]
fn places_are_exact() {
    let source = text(
        "name: a # é\nkernels:\n  - r: {dependencies: [\"r-tidyverse\"]}\nlaunch: {time: 8:00:00}\n",
    );
    let (spec, _) = parse(&source, None).unwrap();
    let slice = |span: Span| &source.text()[span.offset..span.offset + span.len];
    assert_eq!(slice(spec.kernels[0].name.span), "r");
    assert_eq!(
        slice(spec.kernels[0].dependencies[0].span),
        "\"r-tidyverse\""
    );
    let time = spec.launch.time.unwrap().span;
    assert_eq!(slice(time), "8:00:00");
    assert_eq!(source.line_and_column(time.offset), (4, 16));
}

#[test]
fn a_later_room_can_point_into_the_spec() {
    let source = text("name: a\nchannels: [c]\nkernels: [pyhton, rr]\n");
    let (spec, _) = parse(&source, None).unwrap();
    let unknown = |kernel: usize, help: &str| {
        let name = &spec.kernels[kernel].name;
        fault(
            &source,
            name.span,
            format!("there is no kernel `{}`", name.value),
            "not in the catalogue",
            help,
        )
    };
    let both = unknown(1, "did you mean `r`?").and(unknown(0, "did you mean `python`?"));
    in_snapshots(|| insta::assert_snapshot!("later-room", render(&both)));
}

#[test]
fn a_name_is_needed_where_the_file_has_none_to_give() {
    let errors = parse(&text("channels: [c]\ndependencies: [python]\n"), None).unwrap_err();
    assert_eq!(
        errors.messages().collect::<Vec<_>>(),
        ["the spec has no name and its file's name cannot be one"]
    );
}

#[test]
fn ten_megabytes_are_refused_before_they_are_read_as_yaml() {
    let start = Instant::now();
    let errors = SourceText::from_bytes("big.yaml", b"- a\n".repeat(2_621_440)).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "`big.yaml` is too large for a spec: 10485760 bytes"
    );
    assert!(start.elapsed() < Duration::from_secs(1));
}

/// Hostile texts of up to a mebibyte, each with a word of the message that it gets.
fn hostile() -> Vec<(&'static str, String, &'static str)> {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{below}]").unwrap();
    }
    let mut stairs = "a0: &a0 [x]\n".to_owned();
    for level in 1..5000 {
        writeln!(stairs, "a{level}: &a{level} [*a{}]", level - 1).unwrap();
    }
    let staircase = (0..1000).fold(String::new(), |text, level| {
        text + &" ".repeat(level) + "a:\n"
    });
    let mut keys = String::new();
    for key in 0..100_000 {
        writeln!(keys, "k{key}:").unwrap();
    }
    vec![
        ("brackets", "[".repeat(10_000), "nested"),
        ("braces", "{a: ".repeat(10_000), "nested"),
        ("dashes", "- ".repeat(10_000), "nested"),
        ("questions", "? ".repeat(10_000), "nested"),
        ("staircase", staircase, "nested"),
        (
            "lines, then brackets",
            (0..40).fold(String::new(), |text, level| {
                text + &" ".repeat(level) + "a:\n"
            }) + &" ".repeat(40)
                + &"[".repeat(40)
                + &"]".repeat(40),
            "nested",
        ),
        ("bomb", bomb, "values"),
        ("stairs of aliases", stairs, "nested"),
        ("many keys", keys, "values"),
        ("same key", "a: 1\n".repeat(9_000), "mistakes"),
        ("items", "- a\n".repeat(200_000), "values"),
        ("documents", "---\n".repeat(200_000), "document"),
        ("long word", "x".repeat(1_000_000), "mapping"),
        (
            "long quote",
            format!("name: \"{}", "x".repeat(1_000_000)),
            "quote",
        ),
        (
            "long key",
            format!("{}: 1", "x".repeat(1_000_000)),
            "no key can end",
        ),
        ("anchors", "&a ".repeat(300_000), "YAML"),
        ("spaces", format!("a:{}b", " ".repeat(1_000_000)), "name"),
        ("comments", "#\n".repeat(500_000), "says nothing"),
        (
            "long requirement",
            format!("name: a\ndependencies: ['{}']", "a[b=".repeat(200_000)),
            "long",
        ),
    ]
}

#[test]
fn hostile_texts_are_refused_quickly() {
    for (what, hostile, word) in hostile() {
        let start = Instant::now();
        let errors = parse(&text(&hostile), None).expect_err(what);
        let shown = format!("{errors} {}", render(&errors));
        assert!(
            shown.contains(word),
            "{what}: {}",
            &shown[..shown.len().min(2000)]
        );
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{what}: {:?}",
            start.elapsed()
        );
    }
}

/// Texts that look like a spec and are broken at random.
fn nearly_yaml() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "name",
        "kernels",
        "dependencies",
        "launch",
        "target",
        "variables",
        "pip",
        "<<",
        ": ",
        ":",
        "- ",
        "  ",
        "    ",
        "\n",
        "\n",
        "\n",
        "\r\n",
        "\t",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "&a ",
        "*a",
        "'",
        "\"",
        "#",
        " # c",
        "|\n",
        ">-\n",
        "python 3.12.*",
        "r",
        "!!str ",
        "---\n",
        "...\n",
        "? ",
        "~",
        "8:00:00",
        "é",
        "\u{feff}",
        "%YAML 1.2\n",
        "\\x",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn survives(source: &SourceText) {
    match parse(source, EnvName::new("x")) {
        Ok((_, notes)) => notes
            .iter()
            .for_each(|note| drop(render(&note.in_source(source)))),
        Err(errors) => {
            assert!(errors.count() > 0);
            drop(render(&errors));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        match SourceText::from_bytes("x", bytes) {
            Ok(source) => survives(&source),
            Err(errors) => drop(render(&errors)),
        }
    }

    #[test]
    fn any_text_is_judged(words in nearly_yaml()) {
        if let Ok(source) = SourceText::from_text("x", words) {
            survives(&source);
        }
    }

    #[test]
    fn an_edit_of_any_text_gives_a_spec_or_an_error(words in nearly_yaml()) {
        if let Ok(source) = SourceText::from_text("x", words) {
            for edited in [
                edit::add_dependency(&source, "scipy >=1.12"),
                edit::remove_dependency(&source, "python"),
                edit::add_kernel(&source, "julia"),
                edit::remove_kernel(&source, "r"),
            ].into_iter().flatten() {
                parse(&text(&edited), EnvName::new("x")).unwrap();
            }
        }
    }
}

#[test]
fn every_real_file_can_be_edited_and_restored() {
    for path in corpus("real") {
        let Ok((source, _, _)) = judge(&path) else {
            continue;
        };
        let name = file_name(&path);
        let added = edit::add_dependency(&source, "zz-not-there >=1.12,<2")
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let kept = |line: &&str| !line.contains("zz-not-there");
        let before: Vec<_> = source.text().lines().collect();
        assert_eq!(
            added.lines().filter(kept).collect::<Vec<_>>(),
            before,
            "{name}"
        );
        let removed = edit::remove_dependency(&text(&added), "zz-not-there").unwrap();
        assert_eq!(removed, source.text(), "{name}");
        let with_kernel = edit::add_kernel(&source, "julia").unwrap();
        assert_eq!(
            edit::remove_kernel(&text(&with_kernel), "julia").unwrap(),
            source.text(),
            "{name}"
        );
    }
}
