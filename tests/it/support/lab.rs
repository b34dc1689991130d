//! The large environment that several tests look at: applied once, read-only.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::SystemTime;

use super::channels::{channels, has_package};
use super::output::{CommandOutput, Ran};

/// About 200 packages with every kernel that the channel has. Its root stays
/// from one run of the tests to the next, as long as the program and the
/// channels are the same.
pub(crate) struct Lab {
    folder: PathBuf,
    /// What the `apply` that made it printed.
    pub(crate) applied: CommandOutput,
}

impl Lab {
    /// The spec's text.
    pub(crate) fn spec() -> String {
        let julia = if Self::has_julia() {
            "  - julia: {dependencies: [julia-mini-kernel]}\n"
        } else {
            ""
        };
        format!(
            "name: lab\nchannels: [conda-forge]\ndependencies:\n  - python\n  - jupyterlab\n  \
             - nbclient\nvariables:\n  LAB_VARIABLE: it's \"set\" $HOME\nkernels:\n  - python\n  \
             - r: {{display_name: \"R of the lab\"}}\n  - bash\n  - deno\n{julia}\
             launch: {{time: \"1:00:00\", memory: 2G, cpus: 1}}\n"
        )
    }

    /// Whether the channel has Julia, which is optional.
    pub(crate) fn has_julia() -> bool {
        has_package("julia-mini-kernel")
    }

    /// The kernels, as the spec names them, with the folder of their kernelspec.
    pub(crate) fn kernels() -> Vec<(&'static str, &'static str)> {
        let mut kernels = vec![
            ("python", "python3"),
            ("r", "ir"),
            ("bash", "bash"),
            ("deno", "deno"),
        ];
        if Self::has_julia() {
            kernels.push(("julia", "julia-mini"));
        }
        kernels
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// The home of the user who applied it.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// The current generation's prefix.
    pub(crate) fn prefix(&self) -> PathBuf {
        fs_err::canonicalize(self.root().join("envs/lab")).unwrap()
    }

    pub(crate) fn receipt(&self) -> serde_json::Value {
        let path = self.prefix().join(".envspec/receipt.json");
        serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap()
    }

    /// Any program as the user of the lab.
    pub(crate) fn program(&self, program: impl AsRef<Path>) -> Command {
        program_in(&self.folder, program.as_ref())
    }

    /// Runs envspec as the user of the lab.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        run_in(&self.folder, arguments)
    }
}

fn program_in(folder: &Path, program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .current_dir(folder.join("work"))
        .env("HOME", folder.join("home"))
        .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        .env("USER", "researcher")
        .env("LANG", "C.UTF-8")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

fn run_in(folder: &Path, arguments: &[&str]) -> Ran {
    let output = program_in(folder, Path::new(env!("CARGO_BIN_EXE_envspec")))
        .env("ENVSPEC_ROOT", folder.join("root"))
        .env(
            "ENVSPEC_CHANNEL_ALIAS",
            format!("file://{}", channels().display()),
        )
        .args(arguments)
        .output()
        .unwrap();
    Ran::new(output, folder)
}

/// The lab; made by the first test that asks, of whatever process.
pub(crate) fn lab() -> &'static Lab {
    static LAB: OnceLock<Lab> = OnceLock::new();
    LAB.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lab");
        fs_err::create_dir_all(folder.parent().unwrap()).unwrap();
        let guard = std::fs::File::create(folder.with_extension("guard")).unwrap();
        guard.lock().unwrap();
        let key = key();
        let done = folder.join("done");
        if fs_err::read_to_string(&done).is_ok_and(|made_of| made_of == key) {
            let output = |name: &str| fs_err::read_to_string(folder.join(name)).unwrap();
            let applied = CommandOutput::of(output("stdout"), output("stderr"), &folder);
            return Lab { folder, applied };
        }
        drop(fs_err::remove_dir_all(&folder));
        for name in ["home", "work/envs"] {
            fs_err::create_dir_all(folder.join(name)).unwrap();
        }
        fs_err::write(folder.join("work/envs/lab.yaml"), Lab::spec()).unwrap();
        let applied = run_in(&folder, &["apply"]).success();
        fs_err::write(folder.join("stdout"), &applied.stdout).unwrap();
        fs_err::write(folder.join("stderr"), &applied.stderr).unwrap();
        fs_err::write(done, key).unwrap();
        Lab { folder, applied }
    })
}

/// What the lab is made of: the program, the channels, the spec.
pub(super) fn key() -> String {
    let age = |path: &Path| {
        let modified = path.metadata().and_then(|metadata| metadata.modified());
        modified
            .unwrap_or(SystemTime::UNIX_EPOCH)
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_nanos()
    };
    format!(
        "{} {} {} {}",
        age(Path::new(env!("CARGO_BIN_EXE_envspec"))),
        channels().display(),
        age(&channels().join("conda-forge/noarch/repodata.json")),
        Lab::spec()
    )
}
