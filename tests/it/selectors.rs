//! A spec whose lines are for some platforms: each platform is locked with its own, the
//! lock says for which a line is, and what a run does with it is the same everywhere.

use std::path::Path;
use std::str::FromStr as _;

use rattler_lock::LockFile;
use serde_json::Value;

use crate::support::{Channels, Server, TestEnv, assert_output, channels, tiny_spec};

/// A world with a channel `tiny` that has everything of linux-64 for osx-arm64 too.
fn two_platforms() -> TestEnv {
    let mut env = TestEnv::new();
    let made = Channels::new(env.path("made"));
    let tiny = made.add(
        "tiny",
        &[
            "shared-lib-",
            "symlink-",
            "executable-",
            "many-versions-",
            "conflict-",
        ],
    );
    copy_for(&tiny, "osx-arm64");
    env.set_alias(made.alias());
    env
}

/// The index of linux-64 once more, for another platform: only solving needs it.
fn copy_for(channel: &Path, platform: &str) {
    let text = fs_err::read_to_string(channel.join("linux-64/repodata.json")).unwrap();
    fs_err::create_dir(channel.join(platform)).unwrap();
    let text = text.replace("linux-64", platform);
    fs_err::write(channel.join(platform).join("repodata.json"), text).unwrap();
}

const SPEC: &str = "\
channels: [tiny]
platforms: [linux-64, osx-arm64]
dependencies:
  - shared-lib 1.*      # [linux]
  - shared-lib 2.*      # [osx]
  - symlink             # [not win]
  - sel(linux): many-versions 1.2
  - sel(osx): executable
  - no-such-package     # [win]
";

/// The packages that a lock has for a platform.
fn locked(env: &TestEnv, platform: &str) -> Vec<String> {
    let lock = LockFile::from_str_with_base_directory(&env.lock("lab"), None).unwrap();
    let environment = lock.default_environment().unwrap();
    let mut of_platform = environment.packages_by_platform();
    let (_, packages) = of_platform
        .find(|(known, _)| known.name().as_str() == platform)
        .unwrap();
    let mut names: Vec<String> = packages
        .map(|package| {
            let record = &package.as_binary_conda().unwrap().package_record;
            format!("{}-{}", record.name.as_normalized(), record.version)
        })
        .collect();
    names.sort();
    names
}

/// What the lock says it was made from.
fn requests(env: &TestEnv) -> Vec<String> {
    let lock = env.lock("lab");
    let lines = lock.lines().filter_map(|line| line.strip_prefix("#   "));
    let requests = lines.filter(|line| line.starts_with("request "));
    requests.map(str::to_owned).collect()
}

#[test]
fn a_processor_of_the_target_is_of_its_platform_alone() {
    let env = two_platforms();
    env.spec("lab", &format!("{SPEC}target: {{arch: zen3}}\n"));
    env.run(&["lock"]).success();
    let lock = env.lock("lab");
    let count = |line: &str| lock.lines().filter(|other| other.trim() == line).count();
    assert_eq!(count("- __archspec=1=zen3"), 1, "{lock}");
    assert_eq!(count("- __archspec=1=m1"), 1, "{lock}");
}

#[test]
fn each_platform_is_locked_with_the_lines_that_are_for_it() {
    let env = two_platforms();
    env.spec("lab", SPEC);
    env.run(&["lock"])
        .success()
        .says("the comment is a selector")
        .says("`sel(…)` is mamba's");
    assert_eq!(
        locked(&env, "linux-64"),
        ["many-versions-1.2", "shared-lib-1.1", "symlink-1.0"]
    );
    assert_eq!(
        locked(&env, "osx-arm64"),
        ["executable-1.0", "shared-lib-2.0", "symlink-1.0"]
    );
    assert_eq!(
        requests(&env),
        [
            "request [linux-64] many-versions ==1.2",
            "request [linux-64] shared-lib 1.*",
            "request [osx-arm64] executable",
            "request [osx-arm64] shared-lib 2.*",
            "request symlink",
        ]
    );
    env.run(&["lock", "--check"]).success();
    let before = env.lock("lab");
    env.run(&["lock", "--renew"]).success();
    assert_eq!(env.lock("lab"), before);
}

#[test]
fn the_same_in_words_without_a_selector_is_the_same_lock() {
    let env = two_platforms();
    let text = |line: &str| {
        format!(
            "{}platforms: [linux-64]\n",
            tiny_spec(&["shared-lib", line])
        )
    };
    env.spec("lab", &text("symlink"));
    env.run(&["lock"]).success();
    let plain = env.lock("lab");
    assert!(plain.contains("#   request symlink\n"), "{plain}");
    // On a platform that it is for a selector changes nothing, and one that is for no
    // platform of the spec asks for nothing.
    env.spec(
        "lab",
        &(text("symlink  # [linux]").replace("platforms", "  - gone  # [win]\nplatforms")),
    );
    env.run(&["lock", "--check"]).success();
    env.run(&["lock", "--renew"]).success();
    assert_eq!(env.lock("lab"), plain);
    env.spec("lab", &text("symlink  # [osx]"));
    env.run(&["lock", "--check"])
        .fails_with(3)
        .says("- request symlink");
}

#[test]
fn what_is_installed_and_asked_for_is_this_platforms() {
    let env = two_platforms();
    env.spec("lab", SPEC);
    env.run(&["apply"]).success();
    let prefix = env.prefix("lab");
    let text = fs_err::read_to_string(prefix.join("share/shared-lib.txt")).unwrap();
    assert_eq!(text, "shared-lib 1.1\n");
    assert!(!prefix.join("bin/executable").exists());
    let history = fs_err::read_to_string(prefix.join("conda-meta/history")).unwrap();
    assert!(history.contains("many-versions"), "{history}");
    assert!(!history.contains("shared-lib 2"), "{history}");
    assert!(!history.contains("executable"), "{history}");
}

#[test]
fn show_says_for_which_platforms_a_line_is() {
    let env = two_platforms();
    env.spec("lab", SPEC);
    let shown = env.run(&["show", "--json"]).success();
    let shown = Value::from_str(&shown.stdout).unwrap();
    let dependencies: Vec<_> = shown["dependencies"].as_array().unwrap().iter().collect();
    assert_eq!(
        dependencies,
        [
            "shared-lib 1.* [linux]",
            "shared-lib 2.* [osx]",
            "symlink [not win]",
            "many-versions 1.2 [linux]",
            "executable [osx]",
            "no-such-package [win]",
        ]
    );
}

#[test]
fn a_conflict_on_one_platform_names_the_lines_that_are_for_it() {
    let env = two_platforms();
    env.spec(
        "lab",
        "channels: [tiny]\nplatforms: [linux-64, osx-arm64]\ndependencies:\n  - symlink\n  \
         - conflict-a  # [osx]\n  - executable  # [linux]\n  - conflict-b  # [osx]\n",
    );
    let output = env.run(&["lock"]).fails_with(4);
    let underlined = |name: &str| {
        let lines: Vec<&str> = output.stderr.lines().collect();
        lines
            .windows(2)
            .any(|pair| pair[0].contains(name) && pair[1].contains("·   "))
    };
    assert!(
        underlined("- conflict-a") && underlined("- conflict-b"),
        "{output}"
    );
    assert!(!underlined("- executable"), "{output}");
}

#[test]
fn check_tells_all_mistakes_of_the_dialect_at_once() {
    let env = TestEnv::new();
    env.spec(
        "lab",
        "channels: [tiny]\nplatforms: [linux-64, osx-amr64]\ndependencies:\n  - symlink  # [lunix]\n  \
         - sel(oss): executable\n  - numpy >>2\n  - pip\n  - pip:\n    - tool=1.4\n    - psutil  # [py3k]\n",
    );
    assert_output!(env.run(&["check"]).fails_with(2));
}

#[test]
fn add_does_not_guess_for_which_platforms_a_package_is() {
    let env = two_platforms();
    let path = env.spec("lab", SPEC);
    env.run(&["add", "shared-lib >=1"])
        .fails_with(2)
        .says("the spec has `shared-lib 1.* [linux]` already, for these platforms alone");
    assert_eq!(fs_err::read_to_string(&path).unwrap(), SPEC);
    env.run(&["remove", "shared-lib", "executable"]).success();
    let left = fs_err::read_to_string(&path).unwrap();
    assert!(
        !left.contains("shared-lib") && !left.contains("executable"),
        "{left}"
    );
    assert!(
        left.contains("  - sel(linux): many-versions 1.2\n"),
        "{left}"
    );
}

#[test]
fn without_a_priority_the_newest_of_all_channels_is_taken() {
    let mut env = TestEnv::new();
    let made = Channels::new(env.path("made"));
    made.add("old", &["many-versions-1."]);
    made.add("new", &["many-versions-2."]);
    env.set_alias(made.alias());
    let text = "channels: [old, new]\ndependencies: [many-versions]\nplatforms: [linux-64]\n";
    env.spec("lab", text);
    env.run(&["lock"]).success();
    assert_eq!(locked(&env, "linux-64"), ["many-versions-1.4"]);
    env.spec("lab", &format!("{text}channel_priority: disabled\n"));
    env.run(&["lock", "--check"])
        .fails_with(3)
        .says("+ channel-priority disabled");
    env.run(&["lock", "--renew"]).success();
    assert_eq!(locked(&env, "linux-64"), ["many-versions-2.4"]);
    env.spec("lab", &format!("{text}channel_priority: strict\n"));
    env.run(&["lock", "--renew"]).success();
    assert_eq!(locked(&env, "linux-64"), ["many-versions-1.4"]);
}

#[test]
fn a_requirement_can_be_a_url_a_checksum_or_of_a_subdir() {
    let env = TestEnv::new();
    let tiny = channels().join("tiny");
    let repodata = fs_err::read(tiny.join("noarch/repodata.json")).unwrap();
    let repodata: Value = serde_json::from_slice(&repodata).unwrap();
    let of = |version: &str, key: &str| {
        let file = format!("many-versions-{version}-0.conda");
        repodata["packages.conda"][file][key]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let server = Server::start(channels());
    for (requirement, wanted) in [
        (
            format!("{}/tiny/noarch/many-versions-1.4-0.conda", server.url()),
            "many-versions-1.4",
        ),
        (
            format!("file://{}/noarch/many-versions-1.3-0.conda", tiny.display()),
            "many-versions-1.3",
        ),
        (
            format!("many-versions[sha256={}]", of("1.1", "sha256")),
            "many-versions-1.1",
        ),
        (
            format!("many-versions[md5={}]", of("2.1", "md5")),
            "many-versions-2.1",
        ),
        (
            "tiny/noarch::many-versions ~=1.1,!=1.4".to_owned(),
            "many-versions-1.3",
        ),
        ("many-versions=1.2=0".to_owned(), "many-versions-1.2"),
        (
            "many-versions[version='<1.3|>=9', build=0, subdir=noarch]".to_owned(),
            "many-versions-1.2",
        ),
    ] {
        env.spec(
            "lab",
            &(tiny_spec(&[&format!("\"{requirement}\"")]) + "platforms: [linux-64]\n"),
        );
        env.run(&["lock", "--renew"]).success();
        assert_eq!(locked(&env, "linux-64"), [wanted], "{requirement}");
        // What the index says of the bytes and what they are is the same.
        let version = wanted.rsplit('-').next().unwrap();
        assert!(
            env.lock("lab").contains(&of(version, "sha256")),
            "{requirement}"
        );
    }
}
