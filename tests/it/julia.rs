//! Packages of Julia's own in a generation, from a package server of one's own (issue 5).

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Lab, Server, TestEnv, skipped};

/// The registry that Julia looks for by itself.
const GENERAL: &str = "23338594-aafe-5451-b93e-139f81909106";
const HELLO: &str = "7f4b1a3c-9d2e-4c58-8a61-0d5e2f3b4c6d";

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
fn write_tree(folder: &Path, files: &[(&str, String)]) -> String {
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

/// A package server with one registry, and in it one package in two versions.
fn package_server(folder: &Path) -> PathBuf {
    let server = folder.join("julia-server");
    let mut versions = String::new();
    for (version, answer) in [("0.1.0", 41), ("0.2.0", 42)] {
        let tree = folder.join(format!("Hello-{version}"));
        let project = format!("name = \"Hello\"\nuuid = \"{HELLO}\"\nversion = \"{version}\"\n");
        let source = format!("module Hello\nanswer() = {answer}\nend\n");
        let files = [("Project.toml", project), ("src/Hello.jl", source)];
        let hash = write_tree(&tree, &files);
        serve(&server, "package", HELLO, &tree, &hash);
        versions += "[\"";
        versions += version;
        versions += "\"]\ngit-tree-sha1 = \"";
        versions += &hash;
        versions += "\"\n";
    }
    let registry = folder.join("registry");
    let files = [
        (
            "Registry.toml",
            format!(
                "name = \"General\"\nuuid = \"{GENERAL}\"\nrepo = \"https://example.invalid/g.git\"\n\n\
                 [packages]\n{HELLO} = {{ name = \"Hello\", path = \"H/Hello\" }}\n"
            ),
        ),
        (
            "H/Hello/Package.toml",
            format!(
                "name = \"Hello\"\nuuid = \"{HELLO}\"\nrepo = \"https://example.invalid/h.git\"\n"
            ),
        ),
        ("H/Hello/Versions.toml", versions),
    ];
    let hash = write_tree(&registry, &files);
    serve(&server, "registry", GENERAL, &registry, &hash);
    fs_err::write(
        server.join("registries"),
        format!("/registry/{GENERAL}/{hash}\n"),
    )
    .unwrap();
    server
}

#[test]
fn packages_come_from_the_users_server_into_the_generation_and_the_kernel_has_them() {
    if !Lab::has_julia() {
        skipped("the channel has no Julia");
        return;
    }
    let mut env = TestEnv::new();
    let server = Server::start(&package_server(&env.path("")));
    env.set("JULIA_PKG_SERVER", server.url());
    let spec = |version: &str| {
        env.spec(
            "lab",
            &format!(
                "channels: [conda-forge]\ndependencies: [python, nbclient]\nkernels:\n  - julia:\n      \
                 dependencies: [julia-mini-kernel]\n      packages: [Hello{version}]\n"
            ),
        )
    };
    spec("");
    env.run(&["apply"]).success();
    let prefix = env.prefix("lab");
    let project = prefix.join("share/julia/environments/envspec");
    assert!(project.join("Manifest.toml").exists());
    let asked = server.requests();
    let package = format!("/package/{HELLO}/");
    assert!(
        asked.iter().any(|line| line.contains(&package)),
        "{asked:?}"
    );
    assert_eq!(answer(&env), "42");
    assert!(!env.path("home/.julia").exists());
    env.run(&["verify"]).success();

    // Another version is another generation, and the first one has its own still.
    spec("@0.1.0");
    env.run(&["apply"]).success();
    assert_eq!(answer(&env), "41");
    env.run(&["rollback"]).success();
    assert_eq!(answer(&env), "42");
    env.run(&["kernels", "test"]).success();
}

/// What a notebook prints that uses the package.
fn answer(env: &TestEnv) -> String {
    const RUN: &str = "import nbformat, nbclient\n\
        cell = nbformat.v4.new_code_cell('using Hello; print(Hello.answer())')\n\
        notebook = nbformat.v4.new_notebook(cells=[cell])\n\
        nbclient.NotebookClient(notebook, kernel_name='lab-julia', timeout=300).execute()\n\
        print(''.join(output.text for output in cell.outputs))";
    let mut python = env.program(env.prefix("lab").join("bin/python"));
    let ran = env.output(python.args(["-c", RUN])).success();
    ran.stdout.trim().to_owned()
}
