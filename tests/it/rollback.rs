//! `rollback` (item 5): all is judged before anything is switched.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::support::{TestEnv, assert_output, tree};

fn spec(version: &str, kernels: &str) -> String {
    format!(
        "channels: [conda-forge, tiny]\ndependencies: [shared-lib {version}]\nkernels: [{kernels}]\n"
    )
}

/// An environment with a kernel, then without.
fn without_its_kernel() -> (TestEnv, PathBuf, PathBuf) {
    let env = TestEnv::new();
    env.spec("lab", &spec("1.*", "deno"));
    env.run(&["apply"]).success();
    let old = env.prefix("lab");
    env.spec("lab", &spec("2.*", ""));
    env.run(&["apply"]).success();
    let new = env.prefix("lab");
    assert_ne!(old, new);
    (env, old, new)
}

fn history(env: &TestEnv) -> Vec<serde_json::Value> {
    fs_err::read_to_string(env.root().join("history/lab.jsonl"))
        .unwrap()
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Files and their contents below a folder.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    tree(folder)
        .keys()
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs_err::read(path).unwrap()))
        .collect()
}

#[test]
fn a_strangers_kernelspec_is_refused_before_anything_is_switched_back() {
    let (env, old, new) = without_its_kernel();
    let foreign = env.user_kernels().join("lab-deno/kernel.json");
    fs_err::create_dir_all(foreign.parent().unwrap()).unwrap();
    fs_err::write(
        &foreign,
        r#"{"argv": ["mine"], "display_name": "Mine", "language": "x"}"#,
    )
    .unwrap();
    let link = fs_err::read_link(env.root().join("envs/lab")).unwrap();
    let root = tree(&env.root().join("envs"));
    let (switched, kernelspecs) = (history(&env), contents(&env.path("home")));

    assert_output!(env.run(&["rollback"]).fails_with(7));
    assert_eq!(
        fs_err::read_link(env.root().join("envs/lab")).unwrap(),
        link
    );
    assert!(tree(&env.root().join("envs")) == root, "a link was written");
    assert_eq!(env.prefix("lab"), new);
    assert_eq!(history(&env), switched);
    assert_eq!(contents(&env.path("home")), kernelspecs);
    assert!(!env.root().join("leases/lab").exists());

    // Out of the way, it goes back.
    fs_err::remove_dir_all(foreign.parent().unwrap()).unwrap();
    env.run(&["rollback"]).success();
    assert_eq!(env.prefix("lab"), old);
    let kernelspec = fs_err::read_to_string(&foreign).unwrap();
    assert!(
        kernelspec.contains(old.to_str().unwrap()),
        "the kernelspec is not the old generation's: {kernelspec}"
    );
}

#[test]
fn a_rollback_is_a_rollback_in_the_history_and_one_to_what_is_current_is_none() {
    let (env, old, _) = without_its_kernel();
    env.run(&["rollback"]).success();
    let id = old.file_name().unwrap().to_str().unwrap();
    let switched = history(&env);
    assert_eq!(switched.len(), 3);
    assert_eq!(switched[2]["event"], "rollback");
    assert_eq!(switched[2]["to"], id);

    // Nothing is switched; a kernelspec that somebody deleted comes back.
    let kernelspec = env.user_kernels().join("lab-deno/kernel.json");
    fs_err::remove_dir_all(kernelspec.parent().unwrap()).unwrap();
    let digest = id.strip_prefix("lab-").unwrap();
    env.run(&["rollback", "lab", digest])
        .success()
        .says("already");
    assert_eq!(history(&env), switched);
    assert!(kernelspec.is_file());
}
