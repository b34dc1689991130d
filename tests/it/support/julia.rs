//! A server of Julia's packages, as files: one registry and what is in it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The registry that Julia looks for by itself.
const GENERAL: &str = "23338594-aafe-5451-b93e-139f81909106";

/// One version of a package.
pub(crate) struct JuliaPackage {
    pub(crate) name: &'static str,
    pub(crate) uuid: &'static str,
    pub(crate) version: &'static str,
    /// Names and UUIDs of what it needs.
    pub(crate) needs: &'static [(&'static str, &'static str)],
    /// Paths and texts, but for `Project.toml`.
    pub(crate) files: Vec<(&'static str, String)>,
}

impl JuliaPackage {
    /// A module with a function `answer`.
    pub(crate) fn answering(
        name: &'static str,
        uuid: &'static str,
        version: &'static str,
        answer: u32,
    ) -> Self {
        let path = format!("src/{name}.jl").leak();
        let source = format!("module {name}\nanswer() = {answer}\nend\n");
        Self {
            name,
            uuid,
            version,
            needs: &[],
            files: vec![(path, source)],
        }
    }

    fn project(&self) -> String {
        let Self {
            name,
            uuid,
            version,
            ..
        } = self;
        let needs = self.needs();
        format!("name = \"{name}\"\nuuid = \"{uuid}\"\nversion = \"{version}\"\n\n[deps]\n{needs}")
    }

    fn needs(&self) -> String {
        let mut lines = String::new();
        for (name, uuid) in self.needs {
            writeln!(lines, "{name} = \"{uuid}\"").unwrap();
        }
        lines
    }
}

fn run(folder: &Path, words: &[&str]) -> String {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(folder);
    // What the user has told git plays no part.
    command.env("GIT_CONFIG_GLOBAL", "/dev/null");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Writes files below a folder, and gives the hash that git, and so Julia, has of them.
fn write_tree(folder: &Path, files: &[(String, String)]) -> String {
    for (name, text) in files {
        let path = folder.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    run(folder, &["git", "init", "-q"]);
    run(folder, &["git", "add", "."]);
    run(folder, &["git", "write-tree"])
}

/// Packs a tree where a package server has it.
fn serve(server: &Path, kind: &str, uuid: &str, tree: &Path, hash: &str) {
    let folder = server.join(kind).join(uuid);
    fs_err::create_dir_all(&folder).unwrap();
    let archive = folder.join(hash);
    let archive = archive.to_str().unwrap();
    run(tree, &["tar", "--exclude=.git", "-czf", archive, "."]);
}

/// The files of a server of these packages, below a folder; versions of one package
/// follow one another.
pub(crate) fn julia_packages(folder: &Path, packages: &[JuliaPackage]) -> PathBuf {
    let server = folder.join("julia-server");
    let mut listed = String::new();
    let mut files: Vec<(String, String)> = Vec::new();
    for versions in packages.chunk_by(|one, other| one.uuid == other.uuid) {
        let JuliaPackage { name, uuid, .. } = versions[0];
        let place = format!("{}/{name}", &name[..1]);
        writeln!(
            listed,
            "{uuid} = {{ name = \"{name}\", path = \"{place}\" }}"
        )
        .unwrap();
        let repository = "https://example.invalid/p.git";
        let about = format!("name = \"{name}\"\nuuid = \"{uuid}\"\nrepo = \"{repository}\"\n");
        files.push((format!("{place}/Package.toml"), about));
        let (mut hashes, mut needs) = (String::new(), String::new());
        for package in versions {
            let tree = folder.join(format!("{name}-{}", package.version));
            let owned = package.files.iter();
            let mut owned: Vec<(String, String)> = owned
                .map(|(path, text)| ((*path).to_owned(), text.clone()))
                .collect();
            owned.push(("Project.toml".to_owned(), package.project()));
            let hash = write_tree(&tree, &owned);
            serve(&server, "package", uuid, &tree, &hash);
            let version = package.version;
            writeln!(hashes, "[\"{version}\"]\ngit-tree-sha1 = \"{hash}\"").unwrap();
            write!(needs, "[\"{version}\"]\n{}", package.needs()).unwrap();
        }
        files.push((format!("{place}/Versions.toml"), hashes));
        files.push((format!("{place}/Deps.toml"), needs));
    }
    let repository = "https://example.invalid/g.git";
    let registry = format!(
        "name = \"General\"\nuuid = \"{GENERAL}\"\nrepo = \"{repository}\"\n\n[packages]\n{listed}"
    );
    files.push(("Registry.toml".to_owned(), registry));
    let tree = folder.join("registry");
    let hash = write_tree(&tree, &files);
    serve(&server, "registry", GENERAL, &tree, &hash);
    let list = format!("/registry/{GENERAL}/{hash}\n");
    fs_err::write(server.join("registries"), list).unwrap();
    server
}

/// The world's stand-in for `IJulia`, whose kernel is the small one.
pub(crate) fn ijulia() -> JuliaPackage {
    macro_rules! world {
        ($path:literal) => {
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/world/", $path)).to_owned()
        };
    }
    JuliaPackage {
        name: "IJulia",
        uuid: "7073ff75-c697-5162-941a-fcdaad2a7d2a",
        version: "0.1.0",
        needs: &[
            ("Dates", "ade2ca70-3891-5945-98fb-dc099432e06a"),
            ("SHA", "ea8e919c-243c-51af-8825-aaa63cd721ce"),
            ("UUIDs", "cf7118a7-6976-5b1a-9a39-7adc72f591a4"),
        ],
        files: vec![
            ("src/IJulia.jl", world!("ijulia/src/IJulia.jl")),
            (
                "src/installkernel.jl",
                world!("ijulia/src/installkernel.jl"),
            ),
            ("src/kernel.jl", world!("recipes/julia_mini_kernel.jl")),
            ("deps/build.jl", world!("ijulia/deps/build.jl")),
        ],
    }
}
