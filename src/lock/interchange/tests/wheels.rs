//! Packages of pip in the locks of other tools.

use std::fmt::Write as _;

use super::formats::lab;
use super::lock_of;
use crate::lock::interchange::{conda_lock_file, lock_file_of_pixi, pixi, unmet_by};
use crate::spec::{EnvName, SourceText, parse};

/// A lock of pixi's, of the version before the last, with what can't be in a lock.
const PIXI_LOCK: &str = "version: 6
environments:
  default:
    channels:
    - url: https://conda.anaconda.org/conda-forge/
    indexes:
    - https://pypi.org/simple
    packages:
      linux-64:
      - conda: https://conda.anaconda.org/conda-forge/linux-64/python-3.11.8-h0_0.conda
WHEELS
packages:
- conda: https://conda.anaconda.org/conda-forge/linux-64/python-3.11.8-h0_0.conda
  sha256: abababababababababababababababababababababababababababababababab
  depends: []
";

/// The lock with packages of pip: a place and a checksum each.
fn pixi_lock(of_pip: &[(&str, &str, &str)]) -> String {
    let wheels: Vec<String> = of_pip
        .iter()
        .map(|(_, place, _)| format!("      - pypi: {place}"))
        .collect();
    let mut text = PIXI_LOCK.replace("WHEELS", &wheels.join("\n"));
    for (name, place, more) in of_pip {
        let version = "version: '1.0'";
        writeln!(text, "- pypi: {place}\n  name: {name}\n  {version}").unwrap();
        text.push_str(more);
    }
    text
}

#[test]
fn a_package_of_pip_that_is_no_wheel_with_a_checksum_is_told_and_there_is_no_lock() {
    let sha = format!("  sha256: {}\n", "cd".repeat(32));
    let md5 = "  md5: d41d8cd98f00b204e9800998ecf8427e\n";
    let files = "https://files.pythonhosted.org/packages";
    let wheel = |name: &str| format!("{files}/{name}-1.0-py3-none-any.whl");
    let (good, old) = (wheel("good"), wheel("old"));
    let source = format!("{files}/sdist-1.0.tar.gz");
    let needs = format!("{sha}  requires_dist:\n  - other>=1\n  - extra ; extra == 'x'\n");
    let (other, extra) = (wheel("other"), wheel("extra"));
    let text = pixi_lock(&[
        ("good", &good, &needs),
        ("other", &other, &sha),
        ("extra", &extra, &sha),
        ("old", &old, md5),
        ("sdist", &source, &sha),
        ("repo", "git+https://github.com/a/repo.git?rev=abc#abc", ""),
        ("here", "./tool", ""),
    ]);
    let imported = lock_file_of_pixi("pixi.lock", &text).unwrap();
    assert_eq!(
        imported.pip,
        [
            "extra==1.0",
            "good==1.0",
            "old==1.0",
            "repo @ git+https://github.com/a/repo.git?rev=abc",
            "sdist==1.0",
        ]
    );
    assert_eq!(
        imported.no_lock,
        [
            "here is a folder of that project",
            "old 1.0 has no SHA-256",
            "repo 1.0 is in a repository",
            "sdist 1.0 is an archive of sources",
        ]
    );
    assert_eq!(
        imported.left_out,
        ["here of pip, which is a folder or a file of that project: ./tool"]
    );
    let whole = pixi_lock(&[("good", &good, &needs), ("other", &other, &sha)]);
    let imported = lock_file_of_pixi("pixi.lock", &whole).unwrap();
    assert_eq!(imported.no_lock, [""; 0]);
    assert_eq!(imported.pip, ["good==1.0"]);
    let locked: Vec<String> = imported.packages[0]
        .pip
        .iter()
        .map(|wheel| format!("{} {}", wheel.name, wheel.index_url.as_ref().unwrap()))
        .collect();
    assert_eq!(
        locked,
        [
            "good https://pypi.org/simple",
            "other https://pypi.org/simple"
        ]
    );
}

#[test]
fn a_package_that_needs_other_things_on_other_platforms_is_one_file_all_the_same() {
    let package = |platform: &str, needs: &str| {
        format!(
            "- name: click\n  version: '8.1'\n  manager: pip\n  platform: {platform}\n  \
             dependencies: {{{needs}}}\n  url: https://files.pythonhosted.org/click-8.1-py3-none-any.whl\n  \
             hash: {{sha256: {}}}\n  category: main\n  optional: false\n",
            "ab".repeat(32)
        )
    };
    let text = format!(
        "version: 1\nmetadata:\n  content_hash: {{linux-64: {hash}, win-64: {hash}}}\n  channels: [{{url: conda-forge, used_env_vars: []}}]\n  \
         platforms: [linux-64, win-64]\n  sources: [environment.yml]\npackage:\n{}{}",
        package("linux-64", ""),
        package("win-64", "colorama: '*'"),
        hash = "0".repeat(64),
    );
    let imported = conda_lock_file("conda-lock.yml", &text).unwrap();
    assert_eq!(imported.pip, ["click==8.1"]);
    assert_eq!(imported.packages[1].pip.len(), 1);
}

#[test]
fn packages_of_pip_that_need_each_other_are_asked_for_by_one_of_them() {
    let sha = format!("  sha256: {}\n", "cd".repeat(32));
    let needing = |other: &str| format!("{sha}  requires_dist:\n  - {other}\n");
    let wheel = |name: &str| format!("https://files.pythonhosted.org/{name}-1.0-py3-none-any.whl");
    let (a, b) = (wheel("a"), wheel("b"));
    let text = pixi_lock(&[("a", &a, &needing("b")), ("b", &b, &needing("a"))]);
    let imported = lock_file_of_pixi("pixi.lock", &text).unwrap();
    assert_eq!(imported.pip, ["a==1.0"]);
}

#[test]
fn what_pip_is_asked_for_is_met_by_wheels_or_by_what_conda_brings() {
    let env = lab(Some([7; 32]), &[]);
    let lock = lock_of(&env);
    let imported = lock_file_of_pixi("x", &pixi(&lock, None).unwrap().text).unwrap();
    let unmet = |pip: &[&str]| {
        let lines: Vec<String> = pip.iter().map(|line| format!("      - {line}\n")).collect();
        let text = format!("dependencies:\n  - pip\n  - pip:\n{}", lines.concat());
        let source = SourceText::from_text("lab.yaml", text).unwrap();
        let (spec, _) = parse(&source, EnvName::new("lab")).unwrap();
        unmet_by(&spec, &imported.packages)
    };
    let met = [
        "cowsay >=6",
        "private @ https://pypi.lab.example.org/private-1.0-py3-none-any.whl",
        "pip ==24.0",
        "not-there; sys_platform == 'win32'",
        "not-there  # [win]",
    ];
    assert_eq!(unmet(&met), [""; 0]);
    for line in [
        "cowsay >=7",
        "private @ https://elsewhere.example.org/private-1.0-py3-none-any.whl",
        "pip ==25.0",
        "not-there",
        "-e ./tool",
        "git+https://h/r.git",
    ] {
        assert_eq!(unmet(&[line]), [format!("{line} for linux-64")]);
    }
}

#[test]
fn a_package_of_conda_that_is_built_from_its_sources_is_told_and_there_is_no_lock() {
    let text = PIXI_LOCK.replace("WHEELS", "      - conda: ./mine")
        + "- conda: ./mine\n  name: mine\n  version: '1'\n  build: h0_0\n  subdir: linux-64\n  depends: []\n";
    let imported = lock_file_of_pixi("pixi.lock", &text).unwrap();
    assert_eq!(imported.no_lock, ["mine is built from its sources"]);
    assert_eq!(imported.left_out, imported.no_lock);
    assert_eq!(imported.asked[0].text, "python 3.11.*");
}
