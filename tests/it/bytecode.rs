//! Bytecode: compiled once for a package and a Python, linked into
//! every generation, and what Python runs.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{PackageFile, TestEnv, add_package, can_trace, channels, lab, soon};

/// A world with the channels `conda-forge`, which is the world's, and `own`.
fn world(packages: impl Fn(&Path)) -> TestEnv {
    let mut env = TestEnv::new();
    let folder = env.path("mixed");
    fs_err::create_dir(&folder).unwrap();
    for name in ["conda-forge", "tiny"] {
        fs_err::os::unix::fs::symlink(channels().join(name), folder.join(name)).unwrap();
    }
    add_package(&folder.join("own"), "nothing", "1", &[]);
    packages(&folder.join("own"));
    env.set_alias(format!("file://{}", folder.display()));
    env
}

fn spec(env: &TestEnv, dependencies: &str) {
    env.spec(
        "lab",
        &format!("channels: [own, conda-forge, tiny]\ndependencies: [{dependencies}]\n"),
    );
}

/// Where Python keeps its library: `lib/python3.N`.
fn library(prefix: &Path) -> PathBuf {
    let mut found = fs_err::read_dir(prefix.join("lib"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("python3.")
        })
        .filter(|path| path.join("os.py").exists());
    found.next().unwrap()
}

/// Where Python looks for the bytecode of a source.
fn cached(source: &Path) -> PathBuf {
    let name = source.file_stem().unwrap().to_str().unwrap();
    let version = source
        .iter()
        .find_map(|part| part.to_str().unwrap().strip_prefix("python3."))
        .unwrap();
    source
        .with_file_name("__pycache__")
        .join(format!("{name}.cpython-3{version}.pyc"))
}

/// The sources of a prefix's packages that Python can import and that no package
/// brings bytecode for, and whether each holds the prefix.
fn sources(prefix: &Path) -> BTreeMap<PathBuf, bool> {
    let mut all = BTreeMap::new();
    let mut brought = BTreeSet::new();
    for entry in fs_err::read_dir(prefix.join("conda-meta")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let record: Value = serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap();
        for file in record["paths_data"]["paths"].as_array().unwrap() {
            let path = file["_path"].as_str().unwrap();
            let ending = path.rsplit_once('.').map(|(_, ending)| ending);
            if ending == Some("pyc") {
                brought.insert(prefix.join(path));
            } else if path.starts_with("lib/python3") && ending == Some("py") {
                all.insert(prefix.join(path), file["prefix_placeholder"].is_string());
            }
        }
    }
    all.retain(|source, _| !brought.contains(&cached(source)));
    all
}

/// Those of some sources that Python itself can't compile.
fn not_python(prefix: &Path, sources: &[&PathBuf]) -> BTreeSet<PathBuf> {
    let script = "import sys, tokenize\nfor path in sys.argv[1:]:\n  try: \
                  compile(open(path, 'rb').read(), path, 'exec', dont_inherit=True)\n  \
                  except (SyntaxError, ValueError): print(path)";
    let output = std::process::Command::new(prefix.join("bin/python"))
        .args(["-I", "-B", "-W", "ignore", "-c", script])
        .args(sources)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(PathBuf::from)
        .collect()
}

#[test]
fn every_source_of_a_real_environment_has_bytecode_that_is_shared_and_never_compared() {
    let prefix = lab().prefix();
    let sources = sources(&prefix);
    assert!(sources.len() > 1000, "{} sources", sources.len());
    let mut shared = BTreeSet::new();
    for entry in walk(&lab().root().join("pkgs/.bytecode")) {
        shared.insert(entry.metadata().unwrap().ino());
    }
    let (with, without): (Vec<_>, Vec<_>) = sources
        .iter()
        .filter(|(_, holds_prefix)| !**holds_prefix)
        .map(|(path, _)| path)
        .partition(|source| cached(source).exists());
    assert!(
        without.len() * 50 < with.len(),
        "{} have none",
        without.len()
    );
    let not_python = not_python(&prefix, &without);
    for source in without {
        assert!(not_python.contains(source), "{} has none", source.display());
    }
    for source in with {
        let path = cached(source);
        let header = fs_err::read(&path).unwrap();
        assert_eq!(header[4..8], [1, 0, 0, 0], "{}", path.display());
        let inode = path.metadata().unwrap().ino();
        assert!(shared.contains(&inode), "{} is a copy", path.display());
    }
}

/// All files below a folder.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(walk(&path));
        } else {
            all.push(path);
        }
    }
    all
}

#[test]
fn python_runs_from_bytecode_and_a_second_generation_shares_it_without_a_compiler() {
    let env = world(|_| {});
    spec(&env, "python, pip");
    env.run(&["apply"]).success();
    let first = env.prefix("lab");
    spec(&env, "python, pip, shared-lib");
    if can_trace() {
        let log = env.path("tmp/log");
        let apply = env.command(&["apply"]);
        let mut traced = env.program("strace");
        traced
            .args(["-f", "-qq", "-e", "trace=execve", "-o"])
            .arg(&log)
            .arg(apply.get_program())
            .args(apply.get_args());
        for (name, value) in apply.get_envs() {
            traced.env(name, value.unwrap());
        }
        env.output(&mut traced).success();
        let log = fs_err::read_to_string(log).unwrap();
        assert!(log.contains("envspec"), "{log}");
        assert!(!log.contains("bin/python"), "it was compiled again:\n{log}");
    } else {
        env.run(&["apply"]).success();
    }
    let second = env.prefix("lab");
    assert_ne!(first, second);
    // Not of Python's own library: that package brings its bytecode.
    let module = |prefix: &Path| library(prefix).join("site-packages/pip/_internal/utils/_log.py");
    let (source, other) = (module(&second), module(&first));
    let inode = |source: &Path| cached(source).metadata().unwrap().ino();
    assert_eq!(inode(&source), inode(&other));

    // A source that ends the program shows that it is not what runs. (The link
    // is replaced, so that the first generation keeps its own.)
    fs_err::remove_file(&source).unwrap();
    fs_err::write(&source, "raise SystemExit('the source was run')\n").unwrap();
    let run = |prefix: &Path| {
        let mut python = env.program(prefix.join("bin/python"));
        let code = "from pip._internal.utils import _log as it; \
                    print(it.getLogger.__code__.co_filename)";
        env.output(python.args(["-c", code])).success().stdout
    };
    assert_eq!(run(&second), format!("{}\n", source.display()));
    assert_eq!(run(&first), format!("{}\n", other.display()));
    fs_err::remove_file(cached(&source)).unwrap();
    let mut python = env.program(second.join("bin/python"));
    let said = env.output(python.args(["-B", "-c", "import pip._internal.utils._log"]));
    said.fails_with(1).says("the source was run");
}

#[test]
fn a_source_with_the_prefix_in_it_or_of_two_packages_has_none_and_a_package_keeps_its_own() {
    let version = "3.11";
    let site = format!("lib/python{version}/site-packages");
    let at = |name: &str| format!("{site}/{name}");
    let own_pyc = at("__pycache__/own.cpython-311.pyc");
    let env = world(|channel| {
        let (own, held, both, bad, good) = (
            at("own.py"),
            at("held.py"),
            at("both.py"),
            at("bad.py"),
            at("good.py"),
        );
        let held = PackageFile {
            placeholder: Some("/opt/placeholder"),
            ..PackageFile::new(&held, "place = '/opt/placeholder'\n")
        };
        let files = [
            PackageFile::new(&own, "x = 1\n"),
            PackageFile::new(&own_pyc, "the package's own"),
            held,
            PackageFile::new(&both, "x = 'one'\n"),
            PackageFile::new(&bad, "this is no python\n"),
            PackageFile::new(&good, "x = 2\n"),
        ];
        add_package(channel, "one", "1", &files);
        add_package(channel, "two", "1", &[PackageFile::new(&both, "x = 2\n")]);
    });
    spec(&env, &format!("python {version}.*, one, two"));
    env.run(&["apply"])
        .success()
        .says("more than one package brings");
    let prefix = env.prefix("lab");
    let has = |name: &str| cached(&prefix.join(at(name))).exists();
    assert!(has("good.py"));
    for name in ["held.py", "both.py", "bad.py"] {
        assert!(prefix.join(at(name)).exists(), "{name} is not there");
        assert!(!has(name), "{name} has bytecode");
    }
    let own = fs_err::read_to_string(prefix.join(&own_pyc)).unwrap();
    assert_eq!(own, "the package's own");
    // What its path is for is the next environment's: no other has it twice.
    spec(&env, &format!("python {version}.*, two"));
    env.run(&["apply"]).success();
    let prefix = env.prefix("lab");
    let mut python = env.program(prefix.join("bin/python"));
    let said = env.output(python.args(["-c", "import both; print(both.x)"]));
    assert_eq!(said.success().stdout, "2\n");
}

#[test]
fn a_killed_compile_leaves_no_half_entry_and_the_next_apply_makes_them() {
    let env = world(|_| {});
    spec(&env, "python, pip");
    let apply = env.start(&["apply"]);
    let folder = env.root().join("pkgs/.bytecode");
    soon("some bytecode on its way", || {
        let of_python = fs_err::read_dir(&folder).ok()?.next()?.ok()?.path();
        let scratch = fs_err::read_dir(of_python).ok()?.next()?.ok()?.path();
        (fs_err::read_dir(scratch).ok()?.count() > 50).then_some(())
    });
    assert!(apply.kill(), "it was done before it was killed");
    let entries = |folder: &Path| -> Vec<PathBuf> {
        let of_python = fs_err::read_dir(folder).unwrap().next().unwrap().unwrap();
        fs_err::read_dir(of_python.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                !path
                    .file_name()
                    .unwrap()
                    .to_string_lossy()
                    .starts_with(".new-")
            })
            .collect()
    };
    for entry in entries(&folder) {
        assert!(
            entry.join("manifest").exists(),
            "{} is half",
            entry.display()
        );
    }
    assert!(!env.root().join("envs/lab").exists());
    env.run(&["apply"]).success();
    assert!(entries(&folder).len() > 5);
    assert!(cached(&library(&env.prefix("lab")).join("site-packages/pip/__init__.py")).exists());
    // No interpreter of the killed one goes on writing.
    let unfinished = env.root().join("gen");
    assert_eq!(fs_err::read_dir(unfinished).unwrap().count(), 1);
}

#[test]
fn with_a_broken_interpreter_it_is_a_warning_and_the_environment_is_there() {
    let env = world(|channel| {
        let files = [
            PackageFile::new("bin/python", "#!/bin/sh\necho no wheels >&2\nexit 3\n"),
            PackageFile::new("lib/python3.11/os.py", "x = 1\n"),
        ];
        add_package(channel, "python", "3.11.99", &files);
    });
    spec(&env, "python 3.11.99");
    env.run(&["apply"])
        .success()
        .says("could not all be compiled")
        .says("no wheels");
    assert!(env.prefix("lab").join("lib/python3.11/os.py").exists());
    env.run(&["apply"]).success().says("Nothing to do");
}

/// How long a Python kernel takes to its first reply, with bytecode and without.
#[test]
#[ignore = "measures"]
fn a_kernel_starts_sooner_with_bytecode() {
    const START: &str = r#"
import sys, time
from jupyter_client.manager import start_new_kernel
began = time.monotonic()
manager, client = start_new_kernel(kernel_name="python3")
client.execute_interactive("1")
print(time.monotonic() - began)
client.stop_channels(); manager.shutdown_kernel(now=True)
"#;
    let env = TestEnv::new();
    env.spec(
        "lab",
        "channels: [conda-forge]\ndependencies: [python]\nkernels: [python]\n",
    );
    env.run(&["apply"]).success();
    let median = |with: bool| {
        let mut seconds: Vec<f64> = (0..5)
            .map(|_| {
                let mut python = env.program(env.prefix("lab").join("bin/python"));
                python
                    .env("PYTHONDONTWRITEBYTECODE", "1")
                    .args(["-c", START]);
                if !with {
                    // An empty place: nothing is found there, and nothing is put there.
                    python.env("PYTHONPYCACHEPREFIX", env.path("tmp/none"));
                }
                env.output(&mut python)
                    .success()
                    .stdout
                    .trim()
                    .parse()
                    .unwrap()
            })
            .collect();
        seconds.sort_by(f64::total_cmp);
        seconds[2]
    };
    let (with, without) = (median(true), median(false));
    eprintln!("kernel start: {with:.2} s with bytecode, {without:.2} s without");
    assert!(with * 1.5 < without, "{with} {without}");
}
