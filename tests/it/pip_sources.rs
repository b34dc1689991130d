//! Packages that have no wheel: locked by the hash of their source, built by the locked
//! Python in a home of their own, told, built once, and never half installed.

use std::path::{Path, PathBuf};

use crate::pip::{World, version_of};
use crate::support::{PackageFile, PythonSource, Wheel, add_package};

/// What backends were asked.
fn asked(trace: &Path) -> Vec<String> {
    let text = fs_err::read_to_string(trace).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// A world whose index has a source alone.
fn with_source(requires: &str) -> (World, PathBuf) {
    let mut world = World::new();
    world.env.set("AWS_SECRET", "sesame");
    let trace = world.env.path("trace");
    let source = PythonSource::new("built", "1.2", requires, Some(&trace));
    world.index.add_source(&source);
    (world, trace)
}

#[test]
fn a_source_is_locked_by_its_hash_built_by_the_locked_python_and_told() {
    let (world, trace) = with_source("greet-words >=1");
    world.spec(&["built"]);
    world.env.run(&["lock"]).success().says(
        "built 1.2 has no wheel: to apply this builds it from source, which runs its author's code",
    );
    let lock = world.env.lock("lab");
    let archive = world.env.path("python/simple/built/built-1.2.tar.gz");
    let digest = <sha2::Sha256 as sha2::Digest>::digest(fs_err::read(archive).unwrap());
    assert!(
        lock.contains(&format!("sha256: {}", hex::encode(digest))),
        "{lock}"
    );
    assert!(
        lock.contains("built-1.2.tar.gz") && lock.contains("greet_words-1.1-"),
        "{lock}"
    );
    assert_eq!(asked(&trace).len(), 1);

    world
        .env
        .run(&["apply"])
        .success()
        .says("builds built 1.2 from source, which runs its author's code: http://");
    assert_eq!(world.python(&version_of("built")), "1.2\n");
    assert_eq!(
        world.python("import built; print(built.__version__)"),
        "1.2\n"
    );
    world.env.run(&["verify"]).success();
    let receipt = world.env.receipt("lab");
    let from = receipt["built"]["built"].as_str().unwrap();
    assert!(from.ends_with("/simple/built/built-1.2.tar.gz"), "{from}");
    // Who built it, where, and with what of the user's.
    let python = world.python("import sys; print('%d.%d.%d' % sys.version_info[:3])");
    let home = world.env.path("home");
    let lines = asked(&trace);
    for line in &lines {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words[2], python.trim(), "{line}");
        assert!(
            !Path::new(words[3]).starts_with(&home) && !Path::new(words[3]).exists(),
            "{line}"
        );
        assert_eq!(words[4], "None", "{line}");
    }
    let built = |lines: &[String]| {
        lines
            .iter()
            .filter(|line| line.starts_with("wheel "))
            .count()
    };
    assert_eq!(built(&lines), 1, "{lines:?}");
    assert_eq!(left_of_builds(&world), Vec::<String>::new());

    // Another generation, and another environment, build nothing.
    world.index.add(&Wheel::new("other", "1.0"));
    world.spec(&["built", "other"]);
    let told = world.env.run(&["apply"]).success();
    assert!(!told.stderr.contains("from source"), "{told}");
    let text = fs_err::read_to_string(world.env.work().join("envs/lab.yaml")).unwrap();
    world.env.spec("second", &text);
    world.env.run(&["apply", "envs/second.yaml"]).success();
    assert_eq!(built(&asked(&trace)), 1);
    let damaged = world
        .env
        .prefix("lab")
        .join("lib/python3.11/site-packages/built/__init__.py");
    fs_err::remove_file(damaged).unwrap();
    world.env.run(&["verify", "lab", "--repair"]).success();
    world.env.run(&["verify", "lab"]).success();
    assert_eq!(built(&asked(&trace)), 1);
}

/// Prefixes that were lent for a build and are there still.
fn left_of_builds(world: &World) -> Vec<String> {
    let folders = [world.env.root().join("pip"), world.env.root().join("gen")];
    let entries = folders
        .iter()
        .flat_map(|folder| fs_err::read_dir(folder).unwrap().flatten());
    let names = entries.flat_map(|entry| {
        let below = fs_err::read_dir(entry.path())
            .into_iter()
            .flatten()
            .flatten();
        let below = below.map(|entry| entry.file_name().to_string_lossy().into_owned());
        std::iter::once(entry.file_name().to_string_lossy().into_owned())
            .chain(below.collect::<Vec<_>>())
    });
    names.filter(|name| name.starts_with(".uv-")).collect()
}

#[test]
fn a_wheel_is_taken_before_a_source_unless_the_section_says_otherwise() {
    let (world, trace) = with_source("");
    world.index.add(&Wheel::new("built", "1.1"));
    world.spec(&["built"]);
    world.env.run(&["lock"]).success();
    assert!(world.env.lock("lab").contains("built-1.1-py3-none-any.whl"));
    assert_eq!(asked(&trace), Vec::<String>::new());
    world.spec(&["built ==1.2", "'--only-binary :all:'"]);
    world.env.run(&["lock"]).fails_with(4).says("wheels");
    assert_eq!(asked(&trace), Vec::<String>::new());
    world.index.add(&Wheel::new("built", "1.2"));
    world.spec(&["built ==1.2", "--no-binary built", "--prefer-binary"]);
    world.env.run(&["lock", "--renew"]).success();
    assert!(world.env.lock("lab").contains("built-1.2.tar.gz"));
}

#[test]
fn a_build_that_fails_is_told_with_its_words_and_nothing_is_installed() {
    let world = World::new();
    let source = PythonSource::new("broken", "1.0", "", None);
    let mut source = source.with_metadata();
    let backend = source.files.get_mut("backend.py").unwrap();
    backend.push_str("\ndef build_wheel(*_): raise SystemExit('the moon is full\\x1b[2J')\n");
    world.index.add_source(&source);
    world.spec(&["greet", "broken"]);
    world.env.run(&["lock"]).success();
    let told = world
        .env
        .run(&["apply"])
        .fails_with(6)
        .says("broken 1.0 could not be built from source")
        .says("the moon is full")
        .says("nothing was switched");
    assert!(!told.stderr.contains('\u{1b}'), "{told}");
    assert!(!world.env.root().join("envs/lab").exists());
    let mut left = fs_err::read_dir(world.env.root().join("gen")).unwrap();
    assert!(left.next().is_none());
    assert_eq!(left_of_builds(&world), Vec::<String>::new());
}

#[test]
fn an_extension_in_c_is_compiled_and_a_missing_compiler_is_named_with_its_line() {
    let mut world = World::new();
    world.index.add_real("setuptools");
    let setup = "from setuptools import Extension, setup\n\
                 setup(name='quick', version='1.0', ext_modules=[Extension('quick', ['quick.c'])])\n";
    let mut source = PythonSource::of_setuptools("quick", "1.0", setup);
    let module = "#include <Python.h>\n\
        static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, \"quick\", 0, -1, 0};\n\
        PyMODINIT_FUNC PyInit_quick(void) {\n\
        PyObject *m = PyModule_Create(&def);\n\
        PyModule_AddIntConstant(m, \"answer\", 42); return m; }\n";
    source.files.insert("quick.c".to_owned(), module.to_owned());
    world.index.add_source(&source);
    world.spec(&["quick"]);
    world.env.run(&["lock"]).success();
    // The compiler that is asked for is not there.
    world.spec_with(&["no-gcc"], &["quick"]);
    let channel = world.env.path("no-gcc");
    let script = PackageFile::new("etc/conda/activate.d/cc.sh", "export CC=nobodys-gcc\n");
    add_package(&channel, "no-gcc", "1.0", &[script]);
    let spec = world.env.work().join("envs/lab.yaml");
    let text = fs_err::read_to_string(&spec).unwrap();
    let with = format!("channels: [conda-forge, 'file://{}']", channel.display());
    fs_err::write(&spec, text.replace("channels: [conda-forge]", &with)).unwrap();
    world
        .env
        .run(&["apply"])
        .fails_with(6)
        .says("quick 1.0 could not be built from source")
        .says("add `- c-compiler` to `dependencies`");
    assert!(!world.env.root().join("envs/lab").exists());

    world.env.set("CC", "nobodys-gcc");
    world.spec(&["quick"]);
    world.env.run(&["apply"]).success();
    assert_eq!(world.python("import quick; print(quick.answer)"), "42\n");
    world.env.run(&["verify"]).success();
}

#[test]
fn without_the_network_a_source_is_built_only_if_what_that_needs_is_here() {
    let mut world = World::new();
    let setup =
        "from setuptools import setup\nsetup(name='plain', version='1.0', py_modules=['plain'])\n";
    let mut source = PythonSource::of_setuptools("plain", "1.0", setup);
    source.files.insert("plain.py".to_owned(), String::new());
    let metadata = "Metadata-Version: 2.2\nName: plain\nVersion: 1.0\n";
    source
        .files
        .insert("PKG-INFO".to_owned(), metadata.to_owned());
    world.index.add_source(&source);
    world.spec(&["plain"]);
    // It says in a file what it needs, so that setuptools was not fetched for that.
    world.env.run(&["lock"]).success();
    world.index.add_real("setuptools");
    world.env.run(&["apply", "--offline"]).fails_with(5);
    assert!(!world.env.root().join("envs/lab").exists());
    // The archive is here now, and what builds it is not.
    let trace = world.env.path("trace");
    world
        .index
        .add_source(&PythonSource::new("built", "1.2", "", Some(&trace)).with_metadata());
    world.spec(&["built"]);
    world.env.run(&["apply"]).success();
    world.spec(&["plain"]);
    keep_source(&world, "plain-1.0.tar.gz");
    world.env.run(&["lock"]).success();
    world
        .env
        .run(&["apply", "--offline"])
        .fails_with(5)
        .says("plain 1.0 needs the network to be built, and --offline forbids it")
        .says("setuptools");
    world.env.run(&["apply"]).success();
    // What was built is kept.
    world.server.stop();
    world.env.run(&["gc"]).success();
    world.spec(&["plain"]);
    world.env.run(&["apply", "--offline"]).success();
    assert_eq!(world.python(&version_of("plain")), "1.0\n");
}

/// Puts an archive of the index where fetched ones are kept.
fn keep_source(world: &World, file: &str) {
    let name = file.split('-').next().unwrap();
    let bytes = fs_err::read(world.env.path("python/simple").join(name).join(file)).unwrap();
    let digest = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&bytes));
    let folder = world.env.root().join("pip/sources").join(digest);
    fs_err::create_dir_all(&folder).unwrap();
    fs_err::write(folder.join(file), bytes).unwrap();
}

#[test]
fn for_another_platform_only_what_a_source_says_in_a_file_is_known() {
    let world = World::new();
    let channel = world.env.path("tools");
    add_package(
        &channel,
        "python",
        "3.12.4",
        &[PackageFile::new("bin/python3.12", "")],
    );
    let trace = world.env.path("trace");
    let said = PythonSource::new("said", "1.0", "", Some(&trace)).with_metadata();
    world.index.add_source(&said);
    let setup = "from setuptools import setup\nsetup(name='unsaid', version='1.0')\n";
    world
        .index
        .add_source(&PythonSource::of_setuptools("unsaid", "1.0", setup));
    world.index.add_real("setuptools");
    let spec = |pip: &str| {
        let text = format!(
            "channels: ['file://{}']\nplatforms: [linux-aarch64]\ndependencies:\n  - python\n  - pip: [{pip}]\n",
            channel.display()
        );
        world.env.spec("lab", &text);
    };
    spec("said");
    world.env.run(&["lock"]).success();
    assert!(world.env.lock("lab").contains("said-1.0.tar.gz"));
    assert_eq!(asked(&trace), Vec::<String>::new());
    spec("unsaid");
    world
        .env
        .run(&["lock"])
        .fails_with(4)
        .says("a source for linux-aarch64 does not say in a file what it needs")
        .says("envs/lab.yaml:5:11");
}

#[test]
fn a_source_that_changes_after_it_was_locked_is_refused() {
    let (world, trace) = with_source("");
    world.spec(&["built"]);
    world.env.run(&["lock"]).success();
    let archive = world.env.path("python/simple/built/built-1.2.tar.gz");
    let mut bytes = fs_err::read(&archive).unwrap();
    bytes.push(0);
    fs_err::write(&archive, bytes).unwrap();
    let asked_before = asked(&trace).len();
    world
        .env
        .run(&["apply"])
        .fails_with(5)
        .says("it has another SHA-256 than the lock says");
    assert_eq!(asked(&trace).len(), asked_before);
    assert!(!world.env.root().join("envs/lab").exists());
}
