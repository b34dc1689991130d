//! A Nix store of a test's own, with flakes that need nothing from elsewhere: no
//! nixpkgs, no binary cache, `/bin/sh` as the builder.

use std::path::PathBuf;
use std::process::Command;

use super::output::CommandOutput;
use super::test_env::TestEnv;
use super::tools::have;

/// Where nixpkgs' packages have kernelspecs.
pub(crate) const SHARE: &str = "share/jupyter/kernels";

/// The real Nix with a store inside a test's world.
pub(crate) struct NixWorld {
    pub(crate) env: TestEnv,
}

impl NixWorld {
    /// `None` if there is no Nix.
    pub(crate) fn new() -> Option<Self> {
        if !have("nix-store") || !have("nix") {
            return None;
        }
        let mut env = TestEnv::new();
        for (variable, folder) in [
            ("NIX_STORE_DIR", "nix/store"),
            ("NIX_STATE_DIR", "nix/var"),
            ("NIX_LOG_DIR", "nix/log"),
            ("NIX_CONF_DIR", "nix/etc"),
        ] {
            let path = env.path(folder);
            fs_err::create_dir_all(&path).unwrap();
            env.set(variable, path.to_str().unwrap());
        }
        let settings = "sandbox = false\nbuild-users-group =\nsubstituters =\n";
        fs_err::write(env.path("nix/etc/nix.conf"), settings).unwrap();
        Some(Self { env })
    }

    /// A world with the package `wrapped`, whose kernel starts nothing, and its spec.
    pub(crate) fn with_flake() -> Option<Self> {
        let nix = Self::new()?;
        nix.flake(&[("wrapped", &kernel_script(SHARE, "wrapped", "/bin/true"))]);
        nix.env.spec("lab", &of_flake("wrapped"));
        Some(nix)
    }

    /// The store's folder.
    pub(crate) fn store(&self) -> PathBuf {
        self.env.path("nix/store")
    }

    /// Nix's name of this machine.
    pub(crate) fn system() -> String {
        format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
    }

    /// Writes a flake beside the specs, `envs/flake`, of packages that scripts build.
    pub(crate) fn flake(&self, packages: &[(&str, &str)]) -> PathBuf {
        self.flake_in("work/envs/flake", packages)
    }

    /// The same elsewhere.
    pub(crate) fn flake_in(&self, folder: &str, packages: &[(&str, &str)]) -> PathBuf {
        let folder = self.env.path(folder);
        fs_err::create_dir_all(&folder).unwrap();
        let system = Self::system();
        let package = |(name, script): &(&str, &str)| {
            format!(
                "      {name} = derivation {{\n        name = \"{name}\"; system = \"{system}\"; \
                 builder = \"/bin/sh\";\n        args = [ \"-c\" ''\n          \
                 PATH=/usr/bin:/bin; set -e\n{script}\n        '' ];\n      }};\n"
            )
        };
        let packages: String = packages.iter().map(package).collect();
        let text = format!(
            "{{\n  outputs = {{ self }}: {{\n    packages.{system} = {{\n{packages}    }};\n  }};\n}}\n"
        );
        fs_err::write(folder.join("flake.nix"), text).unwrap();
        folder
    }

    /// A program of Nix in this world.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.env.command(&[]);
        let mut nix = self.env.program(program);
        for (name, value) in command.get_envs() {
            nix.env(name, value.unwrap());
        }
        command = nix;
        command.args(arguments);
        command
    }

    /// Runs `nix-store`.
    #[track_caller]
    pub(crate) fn nix_store(&self, arguments: &[&str]) -> CommandOutput {
        let mut command = self.command("nix-store", arguments);
        self.env.output(&mut command).success()
    }

    /// Nix's own garbage collector; what it said that it deleted.
    #[track_caller]
    pub(crate) fn collect_garbage(&self) -> String {
        self.nix_store(&["--gc"]).stderr
    }

    /// The links that keep something from it, with what they keep.
    #[track_caller]
    pub(crate) fn roots(&self) -> Vec<String> {
        let said = self.nix_store(&["--gc", "--print-roots"]).stdout;
        let lines = said.lines().filter(|line| !line.starts_with("/proc"));
        lines
            .filter(|line| !line.starts_with('{'))
            .map(str::to_owned)
            .collect()
    }

    /// The paths in the store with a name, derivations and sources aside.
    pub(crate) fn paths(&self, name: &str) -> Vec<PathBuf> {
        let entries = fs_err::read_dir(self.store()).unwrap().flatten();
        let end = format!("-{name}");
        let mut found: Vec<_> = entries
            .map(|entry| entry.path())
            .filter(|path| path.to_str().unwrap().ends_with(&end))
            .collect();
        found.sort();
        found
    }

    /// The store path of the kernel in the receipt of the current generation.
    #[track_caller]
    pub(crate) fn store_path(&self) -> String {
        let path = &self.env.receipt("lab")["kernels"][0]["nix"]["store_path"];
        path.as_str().unwrap().to_owned()
    }

    /// No link and no kernelspec is there but these.
    #[track_caller]
    pub(crate) fn assert_nothing_was_done(&self) {
        assert!(!self.env.root().join("envs/lab").exists());
        assert!(!self.env.user_kernels().join("lab-wrapped").exists());
        assert!(self.roots().is_empty(), "{:?}", self.roots());
    }
}

/// A spec of a small package and these kernels.
pub(crate) fn nix_spec(kernels: &str) -> String {
    format!("channels: [conda-forge, tiny]\ndependencies: [executable]\nkernels:\n{kernels}")
}

/// A spec with one kernel of the flake beside it.
pub(crate) fn of_flake(attribute: &str) -> String {
    nix_spec(&format!(
        "  - wrapped: {{installable: \"path:./flake#{attribute}\"}}\n"
    ))
}

/// A script that makes a kernelspec in a folder of the output, and the program that it
/// starts by its bare name.
pub(crate) fn kernel_script(folder: &str, name: &str, program: &str) -> String {
    format!(
        r#"mkdir -p $out/bin $out/{folder}/{name}
printf '#!/bin/sh\nexec {program} "$@"\n' > $out/bin/wrapped
chmod +x $out/bin/wrapped
echo '{{"argv": ["wrapped", "jupyter", "--kernel", "--conn", "{{connection_file}}"], "display_name": "Wrapped", "language": "typescript", "interrupt_mode": "message"}}' > $out/{folder}/{name}/kernel.json
echo logo > $out/bin/logo
ln -s $out/bin/logo $out/{folder}/{name}/logo-64x64.png"#
    )
}
