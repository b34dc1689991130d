//! What pip brings, in other tools' files: a lock with wheels that went there and back is
//! the lock that it was, and what can't be in a lock is told.

use std::path::Path;
use std::process::Command;

use crate::support::{PythonIndex, Server, TestEnv, Wheel, world_python};

/// A world with an index of its own, and uv on the PATH.
struct World {
    env: TestEnv,
    server: Server,
}

impl World {
    fn new() -> Self {
        let mut env = TestEnv::new();
        let index = PythonIndex::new(&env.path("python"));
        index.add(&Wheel {
            requires: &["greet-words >=1"],
            ..Wheel::new("greet", "1.0")
        });
        index.add(&Wheel::new("greet-words", "1.1"));
        index.add(&Wheel {
            tags: "py3-none-manylinux_2_17_x86_64",
            ..Wheel::new("fast", "2.0+local")
        });
        let server = Server::start(&env.path("python"));
        env.set("UV_DEFAULT_INDEX", format!("{}/simple/", server.url()));
        let bin = env.path("bin");
        fs_err::create_dir(&bin).unwrap();
        let uv = world_python().with_file_name("uv");
        fs_err::os::unix::fs::symlink(uv, bin.join("uv")).unwrap();
        env.set("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        env.spec(
            "lab",
            "channels: [conda-forge]\ndependencies:\n  - python\n  - pip:\n      - greet\n      - fast\n",
        );
        env.run(&["lock"]).success();
        Self { env, server }
    }

    /// The lines of a lock behind its head, which tells the spec's name and lines.
    fn body(&self, name: &str) -> String {
        let lock = self.env.lock(name);
        let lines = lock.lines().filter(|line| !line.starts_with('#'));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// The entries of wheels in a lock.
fn wheels(lock: &str) -> Vec<String> {
    let (_, packages) = lock.split_once("\npackages:\n").unwrap();
    let entries = packages.split("\n- ").map(str::to_owned);
    entries.filter(|entry| entry.contains("pypi: ")).collect()
}

#[test]
fn a_lock_with_wheels_that_went_to_another_tools_file_and_back_is_the_lock_that_it_was() {
    let world = World::new();
    let env = &world.env;
    for (format, file) in [("pixi", "pixi.lock"), ("conda-lock", "conda-lock.yml")] {
        env.run(&["export", "lab", "--format", format, "--output", file])
            .success();
        let spec = format!("envs/{format}.yaml");
        let said = env.run(&["import", file, "--output", &spec]).success();
        assert!(!said.stderr.contains("the lock:"), "{said}");
        env.run(&["lock", "--check", &spec])
            .success()
            .says("is up to date");
        if format == "pixi" {
            assert_eq!(world.body(format), world.body("lab"));
        } else {
            // conda-lock does not name the index.
            let unnamed = |lock: &str| -> Vec<String> {
                let without = |entry: &String| -> String {
                    let lines = entry.lines();
                    let lines = lines.filter(|line| !line.contains("index: "));
                    lines.collect::<Vec<_>>().join("\n")
                };
                wheels(lock).iter().map(without).collect()
            };
            let (own, back) = (env.lock("lab"), env.lock(format));
            assert_eq!(unnamed(&back), unnamed(&own), "{back}");
            assert_eq!(wheels(&own).len(), 3);
        }
        env.run(&["apply", "--locked", &spec]).success();
        let python = env.prefix(format).join("bin/python");
        let code = "import greet_words, fast; print(greet_words.__version__, fast.__version__)";
        let ran = env.output(env.program(python).args(["-c", code]));
        assert_eq!(ran.success().stdout.trim(), "1.1 2.0+local");
    }
}

#[test]
fn a_prefix_of_envspecs_is_read_with_its_wheels_and_one_that_pip_changed_without_a_lock() {
    let world = World::new();
    let env = &world.env;
    env.run(&["apply"]).success();
    let prefix = env.prefix("lab");
    let source = prefix.to_str().unwrap();
    env.run(&["import", source, "--output", "envs/again.yaml"])
        .success();
    let text = fs_err::read_to_string(env.work().join("envs/again.yaml")).unwrap();
    let url = format!("greet @ {}/simple/greet/greet-1.0-", world.server.url());
    assert!(text.contains(&url), "{text}");
    env.run(&["lock", "--check", "envs/again.yaml"]).success();
    env.run(&["apply", "--locked", "envs/again.yaml"]).success();
    let names = |name: &str| -> Vec<String> {
        let entries = fs_err::read_dir(env.prefix(name).join("conda-meta")).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("again"), names("lab"));
    // What pip itself puts beside them has no checksum.
    let changed = env.path("changed");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(&prefix)
        .arg(&changed)
        .status();
    assert!(copied.unwrap().success());
    let open = Command::new("chmod")
        .args(["-R", "u+w"])
        .arg(&changed)
        .status();
    assert!(open.unwrap().success());
    let wheel = env.path("python/simple/greet-words");
    let wheel = std::fs::read_dir(wheel)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "whl"))
        .unwrap();
    pip_of_uv(env, &changed, &["--editable", &a_project(env)]);
    pip_of_uv(env, &changed, &["--reinstall", wheel.to_str().unwrap()]);
    let said = env
        .run(&[
            "import",
            changed.to_str().unwrap(),
            "--output",
            "envs/c.yaml",
        ])
        .success();
    let text = fs_err::read_to_string(env.work().join("envs/c.yaml")).unwrap();
    assert!(
        text.contains("mine 0.1 of pip, an editable install of file:///"),
        "{text}"
    );
    assert!(text.contains("# - the lock: mine 0.1 of pip"), "{text}");
    assert!(said.stderr.contains("the lock: "), "{said}");
    assert!(!env.work().join("envs/c.lock").exists());
}

/// Installs into a prefix, as pixi and users of uv do.
#[track_caller]
fn pip_of_uv(env: &TestEnv, prefix: &Path, arguments: &[&str]) {
    let uv = world_python().with_file_name("uv");
    let mut run = env.program(uv);
    run.args([
        "pip",
        "install",
        "--offline",
        "--no-deps",
        "--no-build-isolation",
    ]);
    run.arg("--python").arg(prefix.join("bin/python"));
    run.args(["--break-system-packages"]).args(arguments);
    env.output(&mut run).success();
}

/// A project with a build of its own, which needs nothing.
fn a_project(env: &TestEnv) -> String {
    let folder = env.path("mine");
    fs_err::create_dir_all(&folder).unwrap();
    fs_err::write(
        folder.join("pyproject.toml"),
        "[project]\nname = \"mine\"\nversion = \"0.1\"\n[build-system]\nrequires = []\n\
         build-backend = \"own\"\nbackend-path = [\".\"]\n",
    )
    .unwrap();
    fs_err::write(
        folder.join("own.py"),
        "import zipfile, os\n\
         def build_editable(folder, settings=None, metadata=None):\n\
         \x20   name = 'mine-0.1-py3-none-any.whl'\n\
         \x20   with zipfile.ZipFile(os.path.join(folder, name), 'w') as out:\n\
         \x20       info = 'mine-0.1.dist-info/'\n\
         \x20       out.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: mine\\nVersion: 0.1\\n')\n\
         \x20       out.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n\
         \x20       out.writestr(info + 'RECORD', info + 'METADATA,,\\n' + info + 'WHEEL,,\\n' + info + 'RECORD,,\\n')\n\
         \x20   return name\n",
    )
    .unwrap();
    folder.to_str().unwrap().to_owned()
}
