//! `pip:` sections: resolved by the real uv from a real index, locked by URL and hash,
//! installed, kept with the generation, and gone with the line that asked for them.

use std::path::Path;

use crate::support::{
    Fault, PackageFile, PythonIndex, Server, TestEnv, Wheel, add_package, channels, tree,
    world_python,
};

/// A world with an index of its own, and uv on the PATH.
pub(crate) struct World {
    pub(crate) env: TestEnv,
    pub(crate) index: PythonIndex,
    pub(crate) server: Server,
}

/// The folders of a PATH without uv, where a test says nothing else.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

impl World {
    pub(crate) fn new() -> Self {
        let mut env = TestEnv::new();
        let index = PythonIndex::new(&env.path("python"));
        index.add(&Wheel {
            requires: &["greet-words >=1"],
            commands: &[("greet", "greet:main")],
            files: &[(
                "greet/__init__.py",
                "import greet_words\ndef main():\n    print('hello', greet_words.__version__)\n",
            )],
            ..Wheel::new("greet", "1.0")
        });
        index.add(&Wheel::new("greet-words", "1.1"));
        let server = Server::start(&env.path("python"));
        env.set("UV_DEFAULT_INDEX", format!("{}/simple/", server.url()));
        let bin = env.path("bin");
        fs_err::create_dir(&bin).unwrap();
        let uv = world_python().with_file_name("uv");
        fs_err::os::unix::fs::symlink(uv, bin.join("uv")).unwrap();
        env.set("PATH", format!("{}:{PATH}", bin.display()));
        Self { env, index, server }
    }

    /// A spec of a Python and of this.
    pub(crate) fn spec(&self, pip: &[&str]) {
        self.spec_with(&[], pip);
    }

    pub(crate) fn spec_with(&self, conda: &[&str], pip: &[&str]) {
        let mut text = "channels: [conda-forge]\ndependencies:\n  - python\n".to_owned();
        for line in conda {
            text.extend(["  - ", line, "\n"]);
        }
        if !pip.is_empty() {
            text.push_str("  - pip:\n");
        }
        for line in pip {
            text.extend(["      - ", line, "\n"]);
        }
        self.env.spec("lab", &text);
    }

    /// What Python of the current generation prints.
    pub(crate) fn python(&self, code: &str) -> String {
        let python = self.env.prefix("lab").join("bin/python");
        let ran = self.env.output(self.env.program(python).args(["-c", code]));
        ran.success().stdout
    }
}

/// Prints the version of a distribution, or that there is none.
pub(crate) fn version_of(name: &str) -> String {
    format!(
        "import importlib.metadata as m\ntry: print(m.version({name:?}))\n\
         except m.PackageNotFoundError: print('none')"
    )
}

#[test]
fn what_pip_is_asked_for_is_locked_by_its_hash_runs_and_goes_with_its_line() {
    let world = World::new();
    world.spec(&["greet"]);
    world.env.run(&["apply"]).success();
    let lock = world.env.lock("lab");
    assert!(lock.contains("#   pip greet\n"), "{lock}");
    for file in [
        "greet-1.0-py3-none-any.whl",
        "greet_words-1.1-py3-none-any.whl",
    ] {
        let bytes = fs_err::read(
            world
                .env
                .path("python/simple")
                .join(if file.starts_with("greet-") {
                    "greet"
                } else {
                    "greet-words"
                })
                .join(file),
        )
        .unwrap();
        let digest = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(bytes));
        assert!(
            lock.contains(&format!("sha256: {digest}")),
            "{file}: {lock}"
        );
    }
    let prefix = world.env.prefix("lab");
    let ran = world
        .env
        .output(&mut world.env.program(prefix.join("bin/greet")));
    assert_eq!(ran.success().stdout, "hello 1.1\n");
    world.env.run(&["verify"]).success();
    let receipt = world.env.receipt("lab");
    assert!(receipt["packages"].to_string().contains("greet-words"));
    world.env.run(&["lock", "--check"]).success();

    // Its files are the package cache's, compiled once.
    let module = "lib/python3.11/site-packages/greet/__init__.py";
    let links = |path: &Path| std::os::unix::fs::MetadataExt::nlink(&path.metadata().unwrap());
    assert_eq!(links(&prefix.join(module)), 2);
    let compiled = prefix.join("lib/python3.11/site-packages/greet/__pycache__");
    assert!(compiled.join("__init__.cpython-311.pyc").exists());

    world.spec(&["greet-words"]);
    world.env.run(&["apply"]).success();
    assert_eq!(world.python(&version_of("greet")), "none\n");
    assert_eq!(world.python(&version_of("greet-words")), "1.1\n");
    assert!(!world.env.prefix("lab").join("bin/greet").exists());
    world.env.run(&["rollback"]).success();
    assert_eq!(world.python(&version_of("greet")), "1.0\n");
    world.spec(&[]);
    world.env.run(&["apply"]).success();
    assert_eq!(world.python(&version_of("greet-words")), "none\n");
}

#[test]
fn what_conda_brings_stays_and_pip_is_held_to_it() {
    let world = World::new();
    // One is conda's already, by its own name in an extra, and a wheel needs it.
    world.index.add(&Wheel {
        requires: &["traitlets >=1"],
        ..Wheel::new("needs-traitlets", "2.0")
    });
    world.index.add(&Wheel::new("traitlets", "99.0"));
    world.spec_with(&["traitlets"], &["needs-traitlets", "traitlets"]);
    world.env.run(&["apply"]).success();
    assert_eq!(world.python(&version_of("needs-traitlets")), "2.0\n");
    assert_ne!(world.python(&version_of("traitlets")), "99.0\n");
    let receipt = world.env.receipt("lab");
    let packages = receipt["packages"].as_array().unwrap();
    let of_name = packages
        .iter()
        .filter(|package| package["name"] == "traitlets");
    assert_eq!(of_name.count(), 1);

    world.index.add(&Wheel {
        requires: &["traitlets >=50"],
        ..Wheel::new("needs-new", "1.0")
    });
    world.spec_with(&["traitlets"], &["needs-new"]);
    let before = tree(&world.env.root().join("gen"));
    world
        .env
        .run(&["apply"])
        .fails_with(4)
        .says("what is asked of pip cannot be met for linux-64")
        .says("traitlets>=50")
        .says("- needs-new")
        .says("A version that ends in +conda is what conda installs");
    assert_eq!(tree(&world.env.root().join("gen")), before);
}

#[test]
fn a_change_of_one_line_keeps_the_other_versions() {
    let world = World::new();
    world.spec(&["greet"]);
    world.env.run(&["lock"]).success();
    world.index.add(&Wheel::new("greet-words", "1.2"));
    world.index.add(&Wheel::new("other", "1.0"));
    world.spec(&["greet", "other"]);
    world
        .env
        .run(&["lock", "--check"])
        .fails_with(3)
        .says("+ pip other");
    world.env.run(&["lock"]).success();
    let lock = world.env.lock("lab");
    assert!(
        lock.contains("greet_words-1.1-") && lock.contains("other-1.0-"),
        "{lock}"
    );
    world.env.run(&["lock", "--renew"]).success();
    assert!(world.env.lock("lab").contains("greet_words-1.2-"));
}

#[test]
fn what_is_damaged_or_gone_is_told_and_nothing_is_half_installed() {
    let world = World::new();
    world.spec(&["greet"]);
    world.env.run(&["lock"]).success();
    for fault in [Fault::WrongBytes, Fault::NotFound, Fault::Truncated] {
        world.server.fault("greet_words-1.1", fault);
        world
            .env
            .run(&["apply"])
            .fails_with(5)
            .says("greet_words-1.1-py3-none-any.whl could not be fetched");
        assert!(!world.env.root().join("envs/lab").exists());
        assert!(
            world
                .env
                .root()
                .join("gen")
                .read_dir()
                .unwrap()
                .next()
                .is_none()
        );
        world.server.heal();
    }
    world.env.run(&["apply"]).success();
    world.env.run(&["verify"]).success();
}

#[test]
fn what_no_index_has_is_told_at_its_line() {
    let world = World::new();
    world.spec(&["greet", "nowhere >=2"]);
    world
        .env
        .run(&["lock"])
        .fails_with(4)
        .says("nowhere was not found in the package registry")
        .says("envs/lab.yaml:6:9");
}

#[test]
fn without_the_network_what_was_seen_before_is_enough() {
    let mut world = World::new();
    world.spec(&["greet"]);
    world
        .env
        .run(&["lock", "--offline"])
        .fails_with(5)
        .says("network was disabled");
    world.env.run(&["apply"]).success();
    world.server.stop();
    world.spec(&["greet", "greet-words"]);
    world.env.run(&["apply", "--offline"]).success();
    fs_err::remove_file(world.env.work().join("envs/lab.lock")).unwrap();
    world
        .env
        .run(&["lock", "--renew"])
        .fails_with(5)
        .says("an index of Python's packages could not be read");
}

#[test]
fn where_there_is_no_uv_the_channels_uv_is_asked_and_then_gone() {
    let mut world = World::new();
    world.env.set("PATH", "/nonexistent");
    world.spec(&["greet"]);
    let said = world.env.run(&["lock"]).fails_with(4);
    said.says("is resolved by uv with python, which is neither")
        .says("install uv")
        .says("envs/lab.yaml:4:5");

    let program = fs_err::read(world_python().with_file_name("uv")).unwrap();
    let channel = world.env.path("tools");
    let file = PackageFile {
        path: "bin/uv",
        content: &program,
        placeholder: None,
    };
    add_package(&channel, "uv", "0.13.9", &[file]);
    let spec = world.env.work().join("envs/lab.yaml");
    let text = fs_err::read_to_string(&spec).unwrap();
    let with = format!("channels: [conda-forge, 'file://{}']", channel.display());
    fs_err::write(&spec, text.replace("channels: [conda-forge]", &with)).unwrap();
    world.env.run(&["apply"]).success();
    assert_eq!(world.python(&version_of("greet")), "1.0\n");
    assert!(!world.env.prefix("lab").join("bin/uv").exists());
    let left = fs_err::read_dir(world.env.root().join("pip")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        left.iter()
            .all(|name| !name.to_string_lossy().starts_with(".uv-")),
        "{left:?}"
    );
}

#[test]
fn a_password_of_an_index_is_used_and_is_nowhere() {
    let mut world = World::new();
    let url = world.server.url().replace("http://", "http://me:sesame@");
    world.env.set("UV_DEFAULT_INDEX", format!("{url}/simple/"));
    world.spec(&["greet"]);
    let ran = world.env.run(&["lock", "-v"]).success();
    assert!(!ran.stderr.contains("sesame"), "{ran}");
    assert!(!world.env.lock("lab").contains("sesame"));
}

#[test]
fn a_name_that_conda_has_for_something_else_is_no_obstacle() {
    let world = World::new();
    let channel = world.env.path("other");
    add_package(
        &channel,
        "greet",
        "7.0",
        &[PackageFile::new("bin/greet-c", "#!/bin/sh\n")],
    );
    world.spec_with(
        &[&format!("file://{}::greet", channel.display())],
        &["greet"],
    );
    world.env.run(&["apply"]).success();
    assert_eq!(world.python(&version_of("greet")), "1.0\n");
    let prefix = world.env.prefix("lab");
    assert!(prefix.join("bin/greet-c").exists() && prefix.join("bin/greet").exists());
    world.env.run(&["verify"]).success();
    let receipt = world.env.receipt("lab").to_string();
    assert!(receipt.contains("\"pypi-greet\"") && receipt.contains("\"7.0\""));
}

#[test]
fn the_best_wheel_for_the_node_is_taken() {
    let world = World::new();
    let tagged = |tags, version| {
        world.index.add(&Wheel {
            tags,
            ..Wheel::new("fits", version)
        });
    };
    tagged("py3-none-any", "1.0");
    tagged("cp311-cp311-manylinux_2_17_x86_64", "1.0");
    tagged("cp311-cp311-manylinux_2_39_x86_64", "1.0");
    // Of another Python.
    tagged("cp312-cp312-manylinux_2_17_x86_64", "2.0");
    world.spec(&["fits"]);
    world.env.run(&["lock"]).success();
    assert!(
        world
            .env
            .lock("lab")
            .contains("fits-1.0-cp311-cp311-manylinux_2_17_x86_64.whl")
    );
    let spec = world.env.work().join("envs/lab.yaml");
    let text = fs_err::read_to_string(&spec).unwrap();
    fs_err::write(&spec, text + "target: {glibc: \"2.39\"}\n").unwrap();
    world.env.run(&["lock"]).success();
    assert!(
        world
            .env
            .lock("lab")
            .contains("fits-1.0-cp311-cp311-manylinux_2_39_x86_64.whl")
    );
}

#[test]
fn what_a_lock_can_not_hold_is_refused_line_by_line() {
    let world = World::new();
    let lines = [
        "dist/tool-1.0-py3-none-any.whl",
        "hg+https://example.org/tool",
        "tool @ svn+https://example.org/tool",
        "--extra-index-url https://example.org/${AWS_SECRET_ACCESS_KEY}/simple",
        "greet-words --hash=sha256:00",
        "greet-words --hash=md5:ab",
        "greet-words --global-option=x",
        "--find-links ./wheels",
        "greet",
    ];
    world.spec(&lines);
    let refused = world.env.run(&["check"]).fails_with(2);
    let told = refused.says("`envs/lab.yaml` has 8 mistakes").stderr;
    assert_eq!(told.matches("can't be locked").count(), 8, "{told}");
}

#[test]
fn a_line_for_some_platforms_is_for_these() {
    let world = World::new();
    world.spec(&["greet  # [osx]", "greet-words  # [linux]"]);
    world.env.run(&["lock"]).success();
    let lock = world.env.lock("lab");
    assert!(
        lock.contains("greet_words-1.1") && !lock.contains("greet-1.0"),
        "{lock}"
    );
    assert!(lock.contains("#   pip greet-words\n") && !lock.contains("#   pip greet\n"));
}

#[test]
fn versions_before_a_release_are_taken_where_the_section_says_so() {
    let world = World::new();
    world.index.add(&Wheel::new("early", "1.0"));
    world.index.add(&Wheel::new("early", "2.0rc1"));
    world.spec(&["early"]);
    world.env.run(&["lock"]).success();
    assert!(world.env.lock("lab").contains("early-1.0-"));
    world.spec(&["early", "--pre"]);
    world.env.run(&["lock", "--renew"]).success();
    assert!(world.env.lock("lab").contains("early-2.0rc1-"));
}

#[test]
fn update_knows_what_pip_brings() {
    let world = World::new();
    world.spec(&["greet"]);
    world.env.run(&["lock"]).success();
    world.index.add(&Wheel::new("greet-words", "1.2"));
    world.index.add(&Wheel::new("greet", "1.1"));
    world.env.run(&["update", "Greet_Words"]).success();
    let lock = world.env.lock("lab");
    assert!(
        lock.contains("greet_words-1.2-") && lock.contains("greet-1.0-"),
        "{lock}"
    );
    world.env.run(&["update", "nothing-such"]).fails_with(2);
}

#[test]
fn a_section_without_a_python_is_told() {
    let world = World::new();
    assert!(channels().is_dir());
    let text = "channels: [tiny]\ndependencies:\n  - shared-lib\n  - pip: [greet]\n";
    world.env.spec("lab", text);
    world
        .env
        .run(&["lock"])
        .fails_with(2)
        .says("the `pip:` section needs a Python")
        .says("add `- python` to `dependencies`");
}

#[test]
fn a_file_with_another_hash_than_is_asked_for_is_refused() {
    let world = World::new();
    let file = world
        .env
        .path("python/simple/greet/greet-1.0-py3-none-any.whl");
    let digest = <sha2::Sha256 as sha2::Digest>::digest(fs_err::read(file).unwrap());
    let (good, other) = (hex::encode(digest), "ab".repeat(32));
    let of = |hash: &str| format!("greet ==1.0 --hash=sha256:{hash}");
    world.spec(&[&of(&other)]);
    world
        .env
        .run(&["lock"])
        .fails_with(4)
        .says("no file of greet has a hash that is asked for")
        .says("envs/lab.yaml:5:9");
    world.spec(&[&format!("{} --hash=sha256:{good}", of(&other))]);
    world.env.run(&["lock"]).success();
    assert!(world.env.lock("lab").contains(&format!("sha256: {good}")));
    // All of them or none.
    world.spec(&[&of(&good), "--require-hashes"]);
    world
        .env
        .run(&["lock"])
        .fails_with(2)
        .says("`--require-hashes` asks for a hash of each package, and greet-words has none");
}
