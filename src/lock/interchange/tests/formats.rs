//! Each format by example: what is in it, and what is said not to be.

use std::collections::BTreeMap;

use rattler_conda_types::Subdir;

use super::{Sketch, lock_of, portable, pypi, record};
use crate::lock::interchange::{
    DistInfo, Manifest, Portable, PortablePlatform, PrefixContents, apptainer, conda_lock,
    conda_lock_file, dockerfile, environment_pinned, lock_file_of_pixi, manifest_of_pixi, missing,
    pixi, prefix, requirements, unmet_by,
};
use crate::spec::{EnvName, SourceText, parse};

fn sketch(name: &str, version: &str, needs: &[bool]) -> Sketch {
    Sketch {
        name: name.to_owned(),
        version: version.to_owned(),
        build: "h0000_0".to_owned(),
        noarch: false,
        md5: Some([1; 16]),
        sha256: Some([2; 32]),
        needs: needs.to_vec(),
    }
}

/// Python, pip, a package that needs Python, a library, and a package of pip.
fn lab(hash: Option<[u8; 32]>, variables: &[(&str, &str)]) -> Portable {
    let sketches = [
        sketch("python", "3.11.8", &[]),
        sketch("zlib", "1.3", &[]),
        sketch("pip", "24.0", &[true]),
        sketch("python-tzdata", "2024.1", &[true]),
        sketch("my_tool", "2.0", &[true, true]),
    ];
    let conda = sketches
        .iter()
        .enumerate()
        .map(|(place, one)| record(one, Subdir::Linux64, &sketches[..place]))
        .collect();
    let at = PortablePlatform {
        platform: Subdir::Linux64,
        conda,
        pypi: vec![
            pypi("cowsay", "6.1", hash, "files.pythonhosted.org"),
            pypi("private", "1.0", hash, "pypi.lab.example.org"),
        ],
    };
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    portable(vec![at], variables.collect())
}

#[test]
fn a_list_for_pip_tells_sure_names_from_guessed_ones_and_leaves_libraries_out() {
    let env = lab(None, &[]);
    let exported = requirements(&env, &env.platforms[0]);
    assert_eq!(
        exported.text,
        "# The packages of Python that lab.yaml was locked to, for linux-64.\n\
         # They were together with Python 3.11.8.\n\
         cowsay==6.1\n\
         private @ https://pypi.lab.example.org/private-1.0-py3-none-any.whl\n\
         tzdata==2024.1\n\
         # conda's names, taken for those on PyPI:\n\
         my-tool==2.0\n\
         pip==24.0\n"
    );
    assert_eq!(
        exported.left_out,
        [
            "1 packages of conda that are not Python's, among them libraries that these may need",
            "certainty: 2 names are conda's, and may be others on PyPI"
        ]
    );
}

#[test]
fn packages_of_pip_are_carried_by_each_format_that_has_a_place_for_them() {
    let env = lab(Some([7; 32]), &[]);
    let at = &env.platforms[0];
    let pinned = environment_pinned(&env, at).text;
    let pip = "  - pip:\n      - cowsay==6.1\n      - \
               private @ https://pypi.lab.example.org/private-1.0-py3-none-any.whl\n";
    assert!(pinned.ends_with(pip), "{pinned}");
    let file = conda_lock(&env).unwrap().text;
    assert_eq!(file.matches("manager: pip").count(), 2, "{file}");
    assert!(file.contains(&hex::encode([7; 32])));
    let lock = lock_of(&env);
    let text = pixi(&lock, None).unwrap().text;
    assert_eq!(text.matches("- pypi: ").count(), 4, "{text}");
    for text in [conda_lock_file("x", &file), lock_file_of_pixi("x", &text)] {
        let pip = text.unwrap().pip;
        assert_eq!(
            pip,
            [
                "cowsay==6.1",
                "private @ https://pypi.lab.example.org/private-1.0-py3-none-any.whl"
            ]
        );
    }
}

#[test]
fn an_image_gets_packages_of_pip_with_their_checksums_if_all_have_one() {
    let hash = hex::encode([7; 32]);
    let env = lab(Some([7; 32]), &[]);
    for exported in [
        dockerfile(&env, &env.platforms[0]),
        apptainer(&env, &env.platforms[0]),
    ] {
        assert!(
            exported.text.contains("--require-hashes"),
            "{}",
            exported.text
        );
        assert!(
            exported
                .text
                .contains(&format!("'cowsay==6.1 --hash=sha256:{hash}'"))
        );
    }
    let env = lab(None, &[]);
    let exported = dockerfile(&env, &env.platforms[0]);
    assert!(!exported.text.contains("--require-hashes"));
    assert!(
        exported
            .left_out
            .iter()
            .any(|line| line.contains("checksums of the packages of pip"))
    );
    // A lock without pip has none in the image either.
    let mut env = lab(Some([7; 32]), &[]);
    let without = |env: &mut Portable, name: &str| {
        env.platforms[0]
            .conda
            .retain(|record| record.package_record.name.as_normalized() != name);
    };
    without(&mut env, "pip");
    let text = dockerfile(&env, &env.platforms[0]).text;
    assert!(
        text.contains("/tmp/envspec-pip/bin/python -m pip --python /opt/conda/bin/python install"),
        "{text}"
    );
    without(&mut env, "python");
    let exported = dockerfile(&env, &env.platforms[0]);
    assert!(!exported.text.contains("pip install"));
    assert!(
        exported
            .left_out
            .iter()
            .any(|line| line.contains("cowsay==6.1"))
    );
}

#[test]
fn a_long_list_is_written_by_commands_that_a_kernel_takes() {
    let sketches: Vec<Sketch> = (0..1500)
        .map(|number| sketch(&format!("package-{number}"), "1.0", &[]))
        .collect();
    let conda = sketches
        .iter()
        .map(|one| record(one, Subdir::Linux64, &[]))
        .collect();
    let at = PortablePlatform {
        platform: Subdir::Linux64,
        conda,
        pypi: Vec::new(),
    };
    let env = portable(vec![at], BTreeMap::new());
    let text = dockerfile(&env, &env.platforms[0]).text;
    let commands: Vec<&str> = text.split("\nRUN ").skip(1).collect();
    assert!(commands.len() > 3, "{}", commands.len());
    assert!(commands.iter().all(|command| command.len() < 128 * 1024));
    assert_eq!(
        commands
            .iter()
            .filter(|command| command.contains(" > /tmp/envspec.txt"))
            .count(),
        1
    );
    assert_eq!(text.matches(".conda#sha256:").count(), 1500);
}

#[test]
fn what_is_not_there_though_a_package_needs_it_is_listed() {
    let env = lab(None, &[]);
    let lock = lock_of(&env);
    let mut imported = lock_file_of_pixi("x", &pixi(&lock, None).unwrap().text).unwrap();
    assert_eq!(missing(&imported.packages), [""; 0]);
    imported.packages[0]
        .records
        .retain(|record| record.package_record.name.as_normalized() != "zlib");
    assert_eq!(
        missing(&imported.packages),
        ["what its packages need and is not there, for linux-64: zlib"]
    );
}

const PIXI: &str = r#"
[workspace]
name = "lab"
version = "0.1.0"
channels = ["bioconda", {channel = "conda-forge", priority = 1}]
platforms = ["linux-64", "linux-aarch64"]

[dependencies]
python = "3.11.*"
numpy = "*"
scipy = {version = ">=1.12,<2", channel = "conda-forge"}
blas = {version = "*", build = "*openblas"}
mine = {path = "./mine"}

[host-dependencies]
numpy = ">=2"

[pypi-dependencies]
evo = "*"
torch = {version = ">=2", extras = ["opt"], index = "https://download.example.org/cu121"}
here = {path = ".", editable = true}
there = {git = "https://github.com/a/b.git", rev = "abc"}

[activation]
env = {OMP_NUM_THREADS = "4", LIB = "$CONDA_PREFIX/lib"}
scripts = ["setup.sh"]

[system-requirements]
cuda = "12"
libc = {family = "glibc", version = "2.28"}
macos = "13.0"

[target.linux-64.dependencies]
numpy = "==2.1"
mkl = "*"

[target.linux.dependencies]
gcc = "*"
numpy = "==2.0"

[target.linux-aarch64.pypi-dependencies]
evo = "==1.0"

[target.linux-64.activation.env]
MKL = "1"

[target.win.dependencies]
m2-make = "*"

[tasks]
test = "pytest"

[feature.gpu.dependencies]
pytorch-gpu = "*"

[feature.lint]
channels = ["lab"]
dependencies = {ruff = ">=0.5"}
target.linux-64.dependencies = {shellcheck = "*"}
system-requirements = {cuda = "12.4"}

[environments]
gpu = ["gpu"]
default = {features = ["lint"], solve-group = "one"}

[pypi-options]
index-url = "https://pypi.example.org/simple"
no-build = true

[package]
name = "x"
"#;

#[test]
fn a_manifest_of_pixis_maps_what_it_can_and_lists_each_thing_that_it_cannot() {
    let imported = manifest_of_pixi("pixi.toml", PIXI, Manifest::Pixi).unwrap();
    let text = imported.spec_text("pixi.toml", &EnvName::new("lab").unwrap());
    insta::assert_snapshot!(text);
    // What is written is a spec.
    let source = SourceText::from_text("lab.yaml", text).unwrap();
    let (spec, _) = parse(&source, None).unwrap();
    let on = |platform: Subdir| -> Vec<&str> {
        let of_here = spec.dependencies.iter();
        let of_here = of_here.filter(|own| own.applies_to(platform));
        let numpy = of_here.filter(|own| own.text.starts_with("numpy"));
        numpy.map(|own| own.text.as_str()).collect()
    };
    // What is for the platform itself holds in place of what is for Linux.
    assert_eq!(on(Subdir::Linux64), ["numpy ==2.1"]);
    assert_eq!(on(Subdir::LinuxAarch64), ["numpy ==2.0"]);
}

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
        text += &format!("- pypi: {place}\n  name: {name}\n  {version}\n{more}");
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

/// A record as conda writes it.
fn record_json(name: &str, version: &str, depends: &str, more: &str) -> (String, Vec<u8>) {
    let text = format!(
        r#"{{"name": "{name}", "version": "{version}", "build": "h0_0", "build_number": 0,
            "depends": [{depends}], "md5": "d41d8cd98f00b204e9800998ecf8427e", "subdir": "linux-64",
            "url": "https://conda.anaconda.org/conda-forge/linux-64/{name}-{version}-h0_0.tar.bz2"{more}}}"#
    );
    (format!("{name}-{version}-h0_0.json"), text.into_bytes())
}

fn info(path: &str, name: &str, version: &str, direct_url: Option<&str>) -> DistInfo {
    DistInfo {
        path: format!("lib/python3.11/site-packages/{path}"),
        metadata: format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: no\n"),
        direct_url: direct_url.map(str::to_owned),
        installer: Some("pip\n".to_owned()),
    }
}

#[test]
fn a_prefix_gives_what_was_asked_for_what_pip_brought_and_condas_variables() {
    let owned = r#", "files": ["lib/python3.11/site-packages/six-1.16.0.dist-info/METADATA"]"#;
    let contents = PrefixContents {
        records: vec![
            record_json("python", "3.11.8", "", ""),
            record_json("six", "1.16.0", r#""python""#, owned),
            record_json(
                "numpy",
                "1.26.4",
                r#""python""#,
                r#", "requested_spec": "None""#,
            ),
        ],
        history: Some("# update specs: ['python=3.11', 'numpy=2', 'gone']\n".to_owned()),
        state: Some(r#"{"env_vars": {"A": "1", "B": "***unset***"}}"#.to_owned()),
        dist_infos: vec![
            info("six-1.16.0.dist-info", "six", "1.16.0", None),
            info("Cow_Say-6.1.dist-info", "Cow_Say", "6.1", None),
            info(
                "vcs-1.dist-info",
                "vcs",
                "1",
                Some(
                    r#"{"url": "https://h/r.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}"#,
                ),
            ),
            info(
                "mine-1.dist-info",
                "mine",
                "1",
                Some(r#"{"url": "file:///home/x", "dir_info": {}}"#),
            ),
            info("broken.dist-info", "", "", None),
            info(
                "edited-2.dist-info",
                "edited",
                "2",
                Some(r#"{"url": "file:///home/x/edited", "dir_info": {"editable": true}}"#),
            ),
            info(
                "whl-1.dist-info",
                "whl",
                "1",
                Some(&format!(
                    r#"{{"url": "https://h/whl-1-py3-none-any.whl", "archive_info": {{"hash": "sha256={}"}}}}"#,
                    "ab".repeat(32)
                )),
            ),
            DistInfo {
                path: "lib/python3.11/site-packages/old.egg-link".to_owned(),
                ..DistInfo::default()
            },
            DistInfo {
                installer: Some("conda".to_owned()),
                ..info("left-3.dist-info", "left", "3", None)
            },
        ],
        pinned: Some("# held\nnumpy 1.*\n".to_owned()),
        pixi: Some(r#"{"manifest_path": "/p/pixi.toml"}"#.to_owned()),
    };
    let imported = prefix("p", &contents, Subdir::Linux64).unwrap();
    let asked: Vec<(&str, Option<&str>)> = imported
        .asked
        .iter()
        .map(|asked| (asked.text.as_str(), asked.comment.as_deref()))
        .collect();
    assert_eq!(
        asked,
        [
            ("numpy ==1.26.4", Some("asked for as numpy=2")),
            ("python 3.11.*", None)
        ]
    );
    assert_eq!(
        imported.pip,
        [
            "cow-say==6.1",
            "vcs @ git+https://h/r.git@abc",
            "whl @ https://h/whl-1-py3-none-any.whl"
        ]
    );
    assert_eq!(imported.packages[0].pip.len(), 1);
    assert_eq!(
        imported.no_lock[0],
        "of cow-say 6.1 the prefix has no checksum"
    );
    assert_eq!(
        imported.variables,
        BTreeMap::from([("A".to_owned(), "1".to_owned())])
    );
    assert_eq!(
        imported.left_out,
        [
            "mine 1 of pip, which is from file:///home/x",
            "the Python package in lib/python3.11/site-packages/broken.dist-info",
            "edited 2 of pip, an editable install of file:///home/x/edited",
            "the Python package of lib/python3.11/site-packages/old.egg-link, which is a folder elsewhere",
            "left 3, which conda left behind in lib/python3.11/site-packages/left-3.dist-info",
            "the wish for gone: it is not installed",
            "the variable B",
            "what conda was told to hold back (conda-meta/pinned): numpy 1.*",
            "what pixi was asked for, which its manifest says: /p/pixi.toml"
        ]
    );
    assert_eq!(imported.packages[0].records.len(), 3);
}

#[test]
fn a_prefix_without_a_history_gives_what_its_records_were_asked_by_else_what_nobody_needs() {
    let mut contents = PrefixContents {
        records: vec![
            record_json("python", "3.11.8", "", ""),
            record_json(
                "numpy",
                "1.26.4",
                r#""python >=3.11""#,
                r#", "requested_specs": ["numpy >=1.20"]"#,
            ),
            record_json("a", "1", r#""b""#, ""),
            record_json("b", "1", r#""a""#, ""),
        ],
        ..PrefixContents::default()
    };
    let asked = |contents: &PrefixContents| -> Vec<String> {
        let imported = prefix("p", contents, Subdir::Linux64).unwrap();
        imported.asked.into_iter().map(|asked| asked.text).collect()
    };
    assert_eq!(asked(&contents), ["numpy >=1.20"]);
    contents.records[1] = record_json("numpy", "1.26.4", r#""python >=3.11""#, "");
    // A circle that nobody needs is brought by one of it.
    assert_eq!(
        asked(&contents),
        ["python 3.11.*", "a ==1", "numpy ==1.26.4"]
    );
}

#[test]
fn a_prefix_that_is_broken_or_of_two_platforms_is_refused_with_the_file_and_of_another_is_read() {
    let refused = |records: Vec<(String, Vec<u8>)>| {
        let contents = PrefixContents {
            records,
            ..PrefixContents::default()
        };
        prefix("p", &contents, Subdir::Linux64)
            .unwrap_err()
            .to_string()
    };
    let (file, mut bytes) = record_json("a", "1", "", "");
    let of_mac = |name: &str| {
        let (file, bytes) = record_json(name, "1", "", "");
        let text = String::from_utf8(bytes).unwrap();
        (file, text.replace("linux-64", "osx-arm64").into_bytes())
    };
    let two = refused(vec![record_json("a", "1", "", ""), of_mac("b")]);
    assert!(two.contains("for several platforms: "), "{two}");
    bytes.truncate(40);
    let broken = refused(vec![(file, bytes)]);
    assert!(broken.contains("a-1-h0_0.json: EOF"), "{broken}");
    assert!(refused(Vec::new()).contains("neither packages nor a history"));
    let contents = PrefixContents {
        records: vec![of_mac("b")],
        ..PrefixContents::default()
    };
    let imported = prefix("p", &contents, Subdir::Linux64).unwrap();
    assert_eq!(imported.platforms, [Subdir::OsxArm64]);
}
