//! Each format by example: what is in it, and what is said not to be.

use std::collections::BTreeMap;

use rattler_conda_types::Subdir;

use super::{Sketch, lock_of, portable, pypi, record};
use crate::lock::interchange::{
    DistInfo, Manifest, Portable, PortablePlatform, PrefixContents, apptainer, conda_lock,
    conda_lock_file, dockerfile, environment_pinned, lock_file_of_pixi, manifest_of_pixi, missing,
    pixi, prefix, requirements,
};

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
    let mut env = lab(Some([7; 32]), &[]);
    env.platforms[0]
        .conda
        .retain(|record| record.package_record.name.as_normalized() != "pip");
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

[target.linux.dependencies]
gcc = "*"

[target.win.dependencies]
m2-make = "*"

[tasks]
test = "pytest"

[feature.gpu.dependencies]
pytorch-gpu = "*"

[environments]
gpu = ["gpu"]
"#;

#[test]
fn a_manifest_of_pixis_maps_what_it_can_and_lists_each_thing_that_it_cannot() {
    let imported = manifest_of_pixi("pixi.toml", PIXI, Manifest::Pixi).unwrap();
    assert_eq!(imported.name.as_deref(), Some("lab"));
    assert_eq!(imported.channels, ["conda-forge", "bioconda"]);
    assert_eq!(imported.platforms, [Subdir::Linux64, Subdir::LinuxAarch64]);
    let asked: Vec<&str> = imported
        .asked
        .iter()
        .map(|asked| asked.text.as_str())
        .collect();
    assert_eq!(
        asked,
        [
            "python 3.11.*",
            "conda-forge::scipy >=1.12,<2",
            "blas[build='*openblas']",
            "numpy >=2",
            "gcc"
        ]
    );
    assert_eq!(
        imported.pip,
        [
            "evo",
            "torch[opt]>=2",
            "there @ git+https://github.com/a/b.git@abc"
        ]
    );
    assert_eq!(
        imported.variables,
        BTreeMap::from([("OMP_NUM_THREADS".to_owned(), "4".to_owned())])
    );
    assert_eq!(
        imported.target,
        BTreeMap::from([("cuda", "12.0".to_owned()), ("glibc", "2.28".to_owned())])
    );
    assert_eq!(
        imported.left_out,
        [
            "workspace.version",
            "dependencies.mine, which is built from its sources",
            "numpy in favour of numpy >=2",
            "pypi-dependencies.torch.index",
            "pypi-dependencies.here, which is a folder of that project",
            "activation.env.LIB",
            "activation.scripts",
            "system-requirements.macos",
            "what is for win alone",
            "the task test",
            "the feature gpu",
            "the environment gpu"
        ]
    );
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
        ],
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
        ["cow-say==6.1", "vcs @ git+https://h/r.git@abc"]
    );
    assert_eq!(
        imported.variables,
        BTreeMap::from([("A".to_owned(), "1".to_owned())])
    );
    assert_eq!(
        imported.left_out,
        [
            "mine 1 of pip, which is from a folder or a file",
            "the Python package in lib/python3.11/site-packages/broken.dist-info",
            "the wish for gone: it is not installed",
            "the variable B"
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
