//! A kernel with a prefix of its own in the generation of its environment.

use std::path::Path;

use crate::support::{TestEnv, has_package, in_activated_server, skipped};

const HEAD: &str = "channels: [conda-forge, tiny]\n";

/// Two packages of the channel `tiny` that cannot be in one prefix, each with a kernel.
const CLASHING: &str = "dependencies: [python]\nkernels:\n\
     \x20 - one: {use: bash, dependencies: [conflict-a]}\n\
     \x20 - two: {use: bash, dependencies: [conflict-b]ISOLATED}\n";

fn spec(env: &TestEnv, isolated: &str) {
    let text = format!("{HEAD}{}", CLASHING.replace("ISOLATED", isolated));
    env.spec("lab", &text);
}

/// What `shared-lib` says in a prefix.
fn shared_lib(prefix: &Path) -> String {
    fs_err::read_to_string(prefix.join("share/shared-lib.txt")).unwrap()
}

#[test]
fn kernels_that_clash_are_told_which_to_isolate_and_then_run_side_by_side() {
    let env = TestEnv::new();
    spec(&env, "");
    env.run(&["lock"])
        .fails_with(4)
        .says("`- two: {isolated: true}`");
    spec(&env, ", isolated: true");
    env.run(&["apply"]).success();
    let generation = env.prefix("lab");
    let own = generation.join("envs/two");
    assert_eq!(shared_lib(&generation), "shared-lib 1.1\n");
    assert_eq!(shared_lib(&own), "shared-lib 2.0\n");

    // Jupyter of the environment sees both, each starts its own python.
    let kernels = generation.join("share/jupyter/kernels");
    for (kernel, prefix) in [("one", &generation), ("two", &own)] {
        let text = fs_err::read_to_string(kernels.join(kernel).join("kernel.json")).unwrap();
        let kernelspec: serde_json::Value = serde_json::from_str(&text).unwrap();
        let python = prefix.join("bin/python").to_string_lossy().into_owned();
        let argv = kernelspec["argv"].as_array().unwrap();
        // What stands in front of it unsets what is of the other prefix.
        let mut words = argv.iter().map(|word| word.as_str().unwrap());
        let program = words.find(|word| word.ends_with("/bin/python")).unwrap();
        assert!(program.starts_with(&python), "{kernel}: {argv:?}");
        let of = kernelspec["env"]["CONDA_PREFIX"].as_str().unwrap();
        assert_eq!(Path::new(of), prefix);
    }
    let tested = env.run(&["kernels", "test", "--json"]).success().json();
    assert_eq!(tested["kernels"].as_array().unwrap().len(), 2);
    for name in ["lab-one", "lab-two"] {
        assert!(env.user_kernels().join(name).join("kernel.json").exists());
    }
    env.run(&["apply"]).success().says("Nothing to do");
}

#[test]
fn in_an_activated_server_an_isolated_kernel_has_nothing_of_the_environments_activation() {
    if !has_package("libgdal-core") {
        skipped("the channel has no GDAL");
        return;
    }
    let env = TestEnv::new();
    env.spec(
        "lab",
        "channels: [conda-forge]\ndependencies: [python, nbclient, libgdal-core]\n\
         variables: {LAB_VARIABLE: of the spec}\n\
         kernels:\n  - deno\n  - alone: {use: deno, isolated: true}\n",
    );
    env.run(&["apply"]).success();
    let generation = env.prefix("lab").to_str().unwrap().to_owned();
    let data = format!("{generation}/share/");
    let of_environment = in_activated_server(&env, "lab-deno");
    for variable in ["GDAL_DATA", "PROJ_DATA"] {
        assert!(of_environment[variable].starts_with(&data), "{variable}");
    }
    let own = format!("{generation}/envs/alone");
    // Of the environment's own folder, and of the user's, Jupyter finds the same.
    for kernel in ["alone", "lab-alone"] {
        let alone = in_activated_server(&env, kernel);
        assert_eq!(alone["CONDA_PREFIX"], own);
        assert_eq!(alone["LAB_VARIABLE"], "of the spec");
        assert!(alone["PATH"].starts_with(&format!("{own}/bin:{generation}/bin:")));
        for (name, value) in &alone {
            // `_` is the shell's: what it started the server with.
            let is_ones = value.replace(&own, "").contains(&generation);
            assert!(!is_ones || name == "PATH" || name == "_", "{name}={value}");
            assert!(!name.starts_with("_CONDA_SET"), "{name}={value}");
        }
    }
}

#[test]
fn the_lock_has_an_environment_for_each_prefix_and_other_tools_read_it() {
    let env = TestEnv::new();
    spec(&env, ", isolated: true");
    env.run(&["lock"]).success();
    let text = env.lock("lab");
    let lock = rattler_lock::LockFile::from_str_with_base_directory(&text, None).unwrap();
    let names: std::collections::BTreeSet<&str> =
        lock.environments().map(|(name, _)| name).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["default", "two"]);
    for (environment, has, lacks) in [
        ("default", "conflict-a", "conflict-b"),
        ("two", "conflict-b", "conflict-a"),
    ] {
        let environment = lock.environment(environment).unwrap();
        let (_, packages) = environment.packages_by_platform().next().unwrap();
        let names: Vec<String> = packages.map(|package| package.name().to_owned()).collect();
        assert!(names.iter().any(|name| name == has), "{names:?}");
        assert!(!names.iter().any(|name| name == lacks), "{names:?}");
    }
    env.run(&["lock", "--check"]).success();
    spec(&env, "");
    env.run(&["lock", "--check"])
        .fails_with(3)
        .says("- request of two conflict-b");
    let diff = env
        .run(&["diff", "envs/lab.lock", "envs/lab.lock"])
        .success();
    assert!(!diff.stdout.contains('+'), "{diff}");
}

#[test]
fn an_isolated_prefix_is_verified_repaired_counted_and_collected_with_its_generation() {
    let env = TestEnv::new();
    spec(&env, ", isolated: true");
    env.run(&["apply"]).success();
    let own = env.prefix("lab").join("envs/two");
    env.run(&["verify"]).success();
    let text = own.join("share/shared-lib.txt");
    let folder = text.parent().unwrap();
    let mut command = env.program("chmod");
    assert!(command.arg("u+w").arg(folder).status().unwrap().success());
    fs_err::remove_file(&text).unwrap();
    fs_err::write(&text, "shared-lib 3.0\n").unwrap();
    let damage = env.run(&["verify"]).fails_with(7);
    let line = "envs/two/share/shared-lib.txt  shared-lib 2.0";
    assert!(damage.stdout.contains(line), "{damage}");
    env.run(&["verify", "--repair"]).success();
    assert_eq!(shared_lib(&own), "shared-lib 2.0\n");
    env.run(&["kernels", "test"]).success();

    // A change in its packages alone is a generation of its own, and is told.
    let text = format!(
        "{HEAD}{}",
        CLASHING
            .replace("ISOLATED", ", isolated: true")
            .replace("[conflict-b]", "[shared-lib 1.0]")
    );
    env.spec("lab", &text);
    let plan = env.run(&["plan"]).success();
    assert!(plan.stdout.contains("two: shared-lib 2.0 → 1.0"), "{plan}");
    assert!(plan.stdout.contains("two: conflict-b"), "{plan}");
    env.run(&["apply"]).success();
    assert_eq!(
        shared_lib(&env.prefix("lab").join("envs/two")),
        "shared-lib 1.0\n"
    );
    let first = own.parent().unwrap().parent().unwrap();
    env.run(&["rollback"]).success();
    assert_eq!(env.prefix("lab"), first);
    env.run(&["apply"]).success();
    // What the second's own prefix is made of is in use, what only the first's was is not.
    env.run(&["gc", "--keep", "0"]).success();
    assert!(!first.exists());
    let packages: Vec<String> = fs_err::read_dir(env.root().join("pkgs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let has = |start: &str| packages.iter().any(|name| name.starts_with(start));
    assert!(
        has("shared-lib-1.0-") && has("shared-lib-1.1-"),
        "{packages:?}"
    );
    assert!(
        !has("shared-lib-2.0-") && !has("conflict-b"),
        "{packages:?}"
    );
}

#[test]
fn an_isolated_kernel_that_the_lock_does_not_know_is_told() {
    let env = TestEnv::new();
    spec(&env, ", isolated: true");
    env.run(&["lock"]).success();
    let text = env.lock("lab").replace("\n  two:\n", "\n  three:\n");
    fs_err::write(env.work().join("envs/lab.lock"), text).unwrap();
    env.run(&["apply", "--frozen"])
        .fails_with(2)
        .says("no packages for the isolated kernel two");
}

#[test]
fn a_root_in_which_only_the_isolated_prefix_is_too_deep_is_refused_before_anything_is_written() {
    let env = TestEnv::new();
    spec(&env, ", isolated: true");
    // The generation's own prefix has the longest path that fits.
    let below = "/gen/lab-0123456789ab".len();
    let room = 254 - below - env.path("").to_str().unwrap().len();
    let deep = env.path(&"d".repeat(room));
    let deep = deep.to_str().unwrap().trim_end_matches('/').to_owned();
    assert_eq!(deep.len() + below, 254);
    env.run(&["apply", "--root", &deep])
        .fails_with(7)
        .says("envs/two is 263 bytes long; packages have room for 254");
    assert!(!Path::new(&deep).join("gen").exists());
}
