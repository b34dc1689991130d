//! Each format by example: what is in it, and what is said not to be.

use std::collections::BTreeMap;

use rattler_conda_types::Subdir;

use super::{Sketch, lock_of, portable, pypi, record};
use crate::lock::interchange::{
    Manifest, Portable, PortablePlatform, apptainer, conda_lock, conda_lock_file, dockerfile,
    environment_pinned, lock_file_of_pixi, manifest_of_pixi, missing, pixi, requirements,
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
pub(super) fn lab(hash: Option<[u8; 32]>, variables: &[(&str, &str)]) -> Portable {
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
        dockerfile(&env, &env.platforms[0]).unwrap(),
        apptainer(&env, &env.platforms[0]).unwrap(),
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
    let exported = dockerfile(&env, &env.platforms[0]).unwrap();
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
    let text = dockerfile(&env, &env.platforms[0]).unwrap().text;
    assert!(
        text.contains("/tmp/envspec-pip/bin/python -m pip --python /opt/conda/bin/python install"),
        "{text}"
    );
    without(&mut env, "python");
    let exported = dockerfile(&env, &env.platforms[0]).unwrap();
    assert!(!exported.text.contains("pip install"));
    assert!(
        exported
            .left_out
            .iter()
            .any(|line| line.contains("cowsay==6.1"))
    );
    env.platforms[0].platform = Subdir::OsxArm64;
    assert!(dockerfile(&env, &env.platforms[0]).is_err());
    assert!(apptainer(&env, &env.platforms[0]).is_err());
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
    let text = dockerfile(&env, &env.platforms[0]).unwrap().text;
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
