//! Julia as the catalogue has it: `IJulia` and packages of Julia's own in a generation, from
//! a package server of one's own, and a project of the user's.
//!
//! `IJulia` is a stand-in for the real one, with the real one's installer's ways
//! (`tests/world/ijulia`); Julia, its package manager and the server's files are real.

use std::path::Path;

use serde_json::Value;

use crate::support::{JuliaPackage, Lab, Server, TestEnv, cell, ijulia, julia_packages, skipped};

const HELLO: &str = "7f4b1a3c-9d2e-4c58-8a61-0d5e2f3b4c6d";
const MINE: &str = "0c3f5d2e-6a17-4b0e-9f52-7d1b8e4a6c39";

/// A world with a package server's files; `None` if there is no Julia.
fn world() -> Option<(TestEnv, std::path::PathBuf)> {
    if !Lab::has_julia() {
        skipped("the channel has no Julia");
        return None;
    }
    let mut env = TestEnv::new();
    let packages = [
        JuliaPackage::answering("Hello", HELLO, "0.1.0", 41),
        JuliaPackage::answering("Hello", HELLO, "0.2.0", 42),
        JuliaPackage::answering("Mine", MINE, "1.0.0", 7),
        ijulia(),
    ];
    let files = julia_packages(&env.path("julia"), &packages);
    env.set("SSL_CERT_FILE", "/etc/ssl/certs/site.pem");
    Some((env, files))
}

/// The real `IJulia` brings the library of `ZeroMQ` itself.
fn spec(env: &TestEnv, package: &str) {
    env.spec(
        "lab",
        &format!(
            "channels: [conda-forge]\ndependencies: [python, nbclient]\nkernels:\n  \
             - julia: {{dependencies: [zeromq], packages: [{package}]}}\n"
        ),
    );
}

/// The last line that a cell prints.
fn last_line(env: &TestEnv, code: &str) -> String {
    let python = env.program(env.prefix("lab").join("bin/python"));
    let printed = cell(python, "lab-julia", code);
    printed.lines().last().unwrap_or_default().to_owned()
}

/// A user adds a package in a notebook.
fn add(env: &TestEnv, server: &str, package: &str) {
    let mut python = env.program(env.prefix("lab").join("bin/python"));
    python.env("JULIA_PKG_SERVER", server);
    cell(
        python,
        "lab-julia",
        &format!("using Pkg; Pkg.add(\"{package}\")"),
    );
}

/// What the generation's package says, and the user's, and where the user's project is.
const ASK: &str =
    "using Hello, Mine; print(Hello.answer(), ' ', Mine.answer(), ' ', Base.active_project())";

/// The kernelspec that `IJulia` wrote, as it is in the generation.
fn kernelspec(env: &TestEnv) -> Value {
    let folder = env.prefix("lab").join("share/jupyter/kernels/julia-1.5");
    assert!(folder.join("logo-svg.svg").exists());
    let text = fs_err::read_to_string(folder.join("kernel.json")).unwrap();
    assert!(!text.contains("envspec-home-"), "of the staging: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Names in a folder, in order; none if it is not there.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn ijulia_and_packages_come_from_the_users_server_and_what_users_add_outlives_updates() {
    let Some((mut env, files)) = world() else {
        return;
    };
    let server = Server::start(&files);
    env.set("JULIA_PKG_SERVER", server.url());
    spec(&env, "Hello");
    env.run(&["apply", "--offline"])
        .fails_with(5)
        .says("the kernel julia needs the network");
    assert_eq!(server.requests(), Vec::<String>::new());
    env.run(&["apply"]).success();
    let asked = server.requests();
    for package in [HELLO, ijulia().uuid] {
        let path = format!("/package/{package}/");
        assert!(asked.iter().any(|line| line.contains(&path)), "{asked:?}");
    }

    // What IJulia's own installer wrote is in the generation, and nothing in the home.
    let prefix = env.prefix("lab");
    let project = prefix.join("share/julia/environments/envspec");
    assert!(project.join("Manifest.toml").exists());
    let written = kernelspec(&env);
    let julia = prefix.join("bin/julia");
    assert_eq!(written["argv"][0], julia.to_str().unwrap());
    assert_eq!(written["argv"][4], "import IJulia; IJulia.run_kernel()");
    let load_path = format!("@:{}:@stdlib", project.display());
    assert_eq!(written["env"]["JULIA_LOAD_PATH"], load_path);
    assert!(!env.path("home/.julia").exists());
    let registered = names(&env.path("home/.local/share/jupyter/kernels"));
    assert_eq!(registered, ["lab-julia"]);

    // The kernel is that package, compiled when it came, and has the other one.
    let code = "using Hello; print(Hello.answer(), ' ', pathof(Main.IJulia), ' ', \
                sort(collect(Main.IJulia.BUILT_WITH)))";
    let said = last_line(&env, code);
    let start = format!("42 {}/share/julia/packages/IJulia/", prefix.display());
    assert!(said.starts_with(&start), "{said}");
    // The site's certificates are looked at, not those that activation names.
    let end = r#"["IJULIA_NODEFAULTKERNEL" => "1", "SSL_CERT_FILE" => "/etc/ssl/certs/site.pem"]"#;
    assert!(
        said.replace("Pair{String,String}", "").ends_with(end),
        "{said}"
    );
    let mine = env.path("home/.local/share/envspec/personal/lab/julia-1.5");
    assert_eq!(names(&mine.join("compiled/v1.5")), Vec::<String>::new());

    // What a user adds goes into a project of the user's.
    add(&env, &server.url(), "Mine");
    let project = mine.join("environments/lab/Project.toml");
    let of_user = |answer: u32| format!("{answer} 7 {}", project.display());
    assert_eq!(last_line(&env, ASK), of_user(42));
    env.run(&["verify"]).success();

    // Without a network: the server's files in a folder. Another version is another
    // generation, the first one has its own still, and the user's project stays.
    drop(server);
    env.set("JULIA_PKG_SERVER", format!("file://{}", files.display()));
    spec(&env, "Hello@0.1.0");
    env.run(&["apply"]).success();
    assert_ne!(env.prefix("lab"), prefix);
    assert_eq!(last_line(&env, ASK), of_user(41));
    env.run(&["verify"]).success();
    env.run(&["rollback"]).success();
    assert_eq!(last_line(&env, ASK), of_user(42));
    env.run(&["kernels", "test"]).success();
}
