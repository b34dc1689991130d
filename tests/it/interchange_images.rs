//! The images that `export` writes, built: the Dockerfile by buildah, as it is, and the
//! sections of the Apptainer definition by the shell in the same image to begin with. What
//! is in them is what the lock says, and a kernel of it answers.
//!
//! Nothing is fetched: the image to begin with has the machine's own programs, mounted,
//! and in micromamba's place `tests/interchange/images/micromamba`, which installs by
//! rattler from the channels of the test world.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::interchange::readers;
use crate::support::{
    CommandOutput, PythonIndex, Server, TestEnv, Wheel, channels, have, skipped, world_python,
};

/// A lab with a kernel, a variable, and packages of pip, but not pip itself.
const LAB: &str = "channels: [conda-forge]\ndependencies:\n  - python 3.11.*\n  - pip:\n      \
    - greet\nkernels:\n  - python\nvariables: {GREETING: \"it's 5 o'clock\"}\n";

/// buildah with a store of its own.
struct Buildah<'a> {
    env: &'a TestEnv,
    mounts: Vec<String>,
}

impl<'a> Buildah<'a> {
    /// `None`, told, where images can't be built. Makes the image to begin with.
    fn new(env: &'a TestEnv) -> Option<Self> {
        if !have("buildah") {
            return None;
        }
        let id = Command::new("id").arg("-u").output().unwrap();
        if id.stdout != b"0\n" {
            skipped("images are built by root alone");
            return None;
        }
        let world: PathBuf = channels().canonicalize().unwrap().parent().unwrap().into();
        let mount = |path: &Path| format!("{0}:{0}:ro", path.display());
        // Programs need the certificates of authorities, also where they ask none.
        let mut mounts = ["/usr", "/etc/ssl"].map(|at| mount(Path::new(at))).to_vec();
        mounts.push(mount(&world));
        // The channels and the Python that has rattler may be elsewhere each.
        let python = world_python().canonicalize().unwrap();
        let venv = world_python()
            .parent()
            .unwrap()
            .parent()
            .unwrap()
            .to_owned();
        for place in [venv.canonicalize().unwrap(), python] {
            if !place.starts_with(&world) && !place.starts_with("/usr") {
                mounts.push(mount(&place));
            }
        }
        let buildah = Self { env, mounts };
        let packages = fs_err::read_dir(venv.join("lib"))
            .unwrap()
            .map(|entry| entry.unwrap().path().join("site-packages"))
            .find(|path| path.is_dir())
            .unwrap();
        let base = env.path("base");
        fs_err::create_dir_all(base.join("root/mamba")).unwrap();
        for folder in ["tmp", "etc", "usr", "opt/conda", "root/.cache", "var/tmp"] {
            fs_err::create_dir_all(base.join("root").join(folder)).unwrap();
        }
        for folder in ["bin", "lib", "lib64", "sbin"] {
            let link = base.join("root").join(folder);
            fs_err::os::unix::fs::symlink(format!("usr/{folder}"), link).unwrap();
        }
        with_ensurepip(&base.join("root/opt/conda/lib/python3.11/ensurepip"));
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interchange/images/micromamba");
        fs_err::copy(own, base.join("root/mamba/micromamba")).unwrap();
        let text = format!(
            "FROM scratch\nCOPY root/ /\nENV PATH=/mamba:/usr/bin:/bin MAMBA_ROOT_PREFIX=/opt/conda STANDS_ON={}\n",
            packages.canonicalize().unwrap().display()
        );
        fs_err::write(base.join("Base"), text).unwrap();
        let base = base.to_str().unwrap().to_owned();
        let file = format!("{base}/Base");
        buildah.run(&["build", "--tag", "base", "--file", &file, &base]);
        Some(buildah)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let store = self.env.path("store");
        let mut buildah = self.env.program("buildah");
        buildah
            .env("BUILDAH_ISOLATION", "chroot")
            .args(["--storage-driver", "vfs", "--root"])
            .arg(store.join("root"))
            .arg("--runroot")
            .arg(store.join("run"))
            .arg(arguments[0]);
        if matches!(arguments[0], "build" | "run") {
            for mount in &self.mounts {
                buildah.args(["--volume", mount]);
            }
        }
        buildah.args(&arguments[1..]);
        buildah
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> CommandOutput {
        self.env.output(&mut self.command(arguments)).success()
    }

    /// A container of an image.
    fn container(&self, image: &str) -> String {
        let image = format!("localhost/{image}");
        let said = self.run(&["from", "--pull=never", &image]);
        said.stdout.trim().to_owned()
    }

    /// Runs a script of sh.
    #[track_caller]
    fn sh(&self, container: &str, script: &str) -> String {
        let said = self.run(&["run", container, "--", "/bin/sh", "-c", script]);
        said.stdout
    }
}

/// What conda-forge's Python carries, and the one of the test world, which is of Debian's,
/// does not: a pip of its own.
fn with_ensurepip(folder: &Path) {
    let bundled = folder.join("_bundled");
    fs_err::create_dir_all(&bundled).unwrap();
    let from = Path::new("/usr/lib/python3.11/ensurepip");
    let mut text = fs_err::read_to_string(from.join("__init__.py")).unwrap();
    for wheel in fs_err::read_dir("/usr/share/python-wheels").unwrap() {
        let wheel = wheel.unwrap();
        let name = wheel.file_name().into_string().unwrap();
        fs_err::copy(wheel.path(), bundled.join(&name)).unwrap();
        let mut parts = name.split('-');
        let (package, version) = (parts.next().unwrap(), parts.next().unwrap());
        let variable = format!("_{}_VERSION = ", package.to_uppercase());
        let (before, behind) = text.split_once(&variable).unwrap();
        let (_, rest) = behind.split_once('\n').unwrap();
        text = format!("{before}{variable}{version:?}\n{rest}");
    }
    fs_err::write(folder.join("__init__.py"), text).unwrap();
    fs_err::copy(from.join("__main__.py"), folder.join("__main__.py")).unwrap();
}

/// What is in the prefix of an image, and a cell run by its kernel.
#[track_caller]
fn has_the_lab(buildah: &Buildah<'_>, container: &str, begin: &str, wanted: &BTreeSet<String>) {
    let listed = buildah.sh(container, "ls /opt/conda/conda-meta");
    let found: BTreeSet<String> = listed
        .lines()
        .filter(|name| *name != "history")
        .map(str::to_owned)
        .collect();
    assert_eq!(&found, wanted);
    // What the installer kept for itself is gone.
    let left = buildah.sh(container, "ls -A /tmp");
    assert_eq!(left, "");
    let cell = "from jupyter_client.manager import start_new_kernel\n\
        manager, client = start_new_kernel(kernel_name='python3')\n\
        said = []\n\
        client.execute_interactive(\"import os, sys, greet; print(greet.__version__, os.environ['GREETING'], sys.prefix)\", \
        timeout=60, output_hook=lambda m: said.append(m['content'].get('text', '')))\n\
        manager.shutdown_kernel(now=True)\n\
        print(''.join(said))";
    let quoted = cell.replace('\'', "'\\''");
    let said = buildah.sh(container, &format!("{begin} python -c '{quoted}'"));
    assert_eq!(said.trim(), "1.0 it's 5 o'clock /opt/conda");
}

/// The records that the packages of a lock have in a prefix. pip writes none of what it
/// installs.
fn records(env: &TestEnv, spec: &str) -> BTreeSet<String> {
    let spec = format!("envs/{spec}.yaml");
    let list = env
        .run(&["export", &spec, "--format", "explicit"])
        .success();
    let urls = list.stdout.lines().filter(|line| line.contains("://"));
    let names = urls.map(|url| {
        let file = url.split('#').next().unwrap().rsplit('/').next().unwrap();
        let stem = file
            .strip_suffix(".conda")
            .or(file.strip_suffix(".tar.bz2"));
        format!("{}.json", stem.unwrap())
    });
    let names: BTreeSet<String> = names.collect();
    assert!(names.len() > 20, "{list}");
    names
}

#[test]
fn the_images_that_are_exported_are_built_with_the_packages_of_the_lock_and_a_kernel_of_them_answers()
 {
    // Where they are in the image too.
    let place = channels().canonicalize().unwrap();
    let mut env = TestEnv::with_alias(format!("file://{}", place.display()));
    let index = PythonIndex::new(&env.path("python"));
    index.add(&Wheel::new("greet", "1.0"));
    let server = Server::start(&env.path("python"));
    env.set("UV_DEFAULT_INDEX", format!("{}/simple/", server.url()));
    let bin = env.path("bin");
    fs_err::create_dir(&bin).unwrap();
    fs_err::os::unix::fs::symlink(world_python().with_file_name("uv"), bin.join("uv")).unwrap();
    env.set("PATH", format!("{}:/usr/sbin:/usr/bin:/bin", bin.display()));
    env.spec("lab", LAB);
    // Another has pip among its packages.
    env.spec("own-pip", &LAB.replace("  - pip:", "  - pip\n  - pip:"));
    let Some(buildah) = Buildah::new(&env) else {
        return;
    };
    for (spec, format) in [("lab", "dockerfile"), ("own-pip", "apptainer")] {
        let spec = format!("envs/{spec}.yaml");
        env.run(&["lock", &spec]).success();
        env.run(&["export", &spec, "--format", format, "--output", format])
            .success();
    }

    let work = env.work();
    let file = work.join("dockerfile");
    let build = [
        "build",
        "--pull=never",
        "--build-arg",
        "IMAGE=localhost/base",
        "--tag",
        "lab",
        "--file",
        file.to_str().unwrap(),
        work.to_str().unwrap(),
    ];
    buildah.run(&build);
    let container = buildah.container("lab");
    let begin = "micromamba run --name base";
    has_the_lab(&buildah, &container, begin, &records(&env, "lab"));
    let lint = env
        .program(readers().join("hadolint"))
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&lint.stdout), "");

    let definition = fs_err::read_to_string(env.work().join("apptainer")).unwrap();
    let section = |name: &str| -> String {
        let (_, behind) = definition.split_once(&format!("\n%{name}\n")).unwrap();
        behind.split("\n%").next().unwrap().to_owned()
    };
    let container = buildah.container("base");
    buildah.sh(&container, &section("post"));
    // As Apptainer does: the variables, then the script with the words behind it.
    let begin = format!(
        "{}\nset --\nrunscript() {{ (\n{}\n) }}\nrunscript",
        section("environment"),
        section("runscript")
    );
    has_the_lab(&buildah, &container, &begin, &records(&env, "own-pip"));

    // A package that is another one is not installed.
    let text = fs_err::read_to_string(&file).unwrap();
    let (before, sha256) = text.split_once("#sha256:").unwrap();
    let other = format!("{before}#sha256:{}{}", "0".repeat(64), &sha256[64..]);
    fs_err::write(&file, other).unwrap();
    let refused = buildah.command(&build).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("has the checksum"),
        "{said}"
    );
}
