//! `plan` and `apply --dry-run` (item 5): typed actions, and nothing changes.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{TestEnv, assert_output, tiny_spec, tree};

/// The keys of an object, which must be one.
fn keys(value: &Value) -> BTreeSet<&str> {
    let object = value.as_object().expect("an object");
    object.keys().map(String::as_str).collect()
}

fn action_keys(action: &str) -> &'static [&'static str] {
    match action {
        "write-lock" => &["action"],
        "build-generation" => &[
            "action",
            "generation",
            "packages",
            "fetch_bytes",
            "bytes",
            "files",
            "estimated",
            "of_unknown_size",
            "left",
        ],
        "switch" => &["action", "from", "to"],
        "register-kernel" => &["action", "kernel", "registered"],
        "unregister-kernel" => &["action", "registered"],
        other => panic!("the action {other} is not documented"),
    }
}

#[test]
fn the_json_is_the_documented_one_and_its_actions_are_typed() {
    let env = TestEnv::new();
    let text = "channels: [conda-forge]\ndependencies: []\nkernels: [bash]\n";
    env.spec("lab", text);
    let plan = env.run(&["plan", "--json"]).success().json();
    assert_eq!(
        keys(&plan),
        BTreeSet::from([
            "version",
            "environment",
            "from",
            "to",
            "packages",
            "actions"
        ])
    );
    assert_eq!(plan["version"], 1);
    assert_eq!(plan["environment"], "lab");
    assert_eq!(plan["from"], Value::Null);
    let actions = plan["actions"].as_array().unwrap();
    let kinds: Vec<&str> = actions
        .iter()
        .map(|action| action["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "build-generation",
            "write-lock",
            "switch",
            "register-kernel"
        ]
    );
    for action in actions {
        let wanted = action_keys(action["action"].as_str().unwrap());
        assert_eq!(keys(action), wanted.iter().copied().collect());
    }
    assert_eq!(actions[3]["registered"], "lab-bash");
    let packages = plan["packages"].as_array().unwrap();
    assert_eq!(actions[0]["packages"], packages.len());
    for change in packages {
        assert_eq!(change["change"], "added");
        assert_eq!(
            keys(&change["to"]),
            BTreeSet::from(["name", "version", "build"])
        );
    }
}

#[test]
fn the_plan_for_people_shows_every_kind_of_change() {
    let env = TestEnv::new();
    env.tiny(&["many-versions 1.2", "shared-lib 2.0", "symlink"]);
    env.run(&["apply"]).success();
    env.tiny(&["many-versions 2.0", "shared-lib 1.1", "executable"]);
    assert_output!(env.run(&["plan"]).success());
}

#[test]
fn neither_plan_nor_a_dry_run_changes_anything() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib 1.*"]);
    env.run(&["apply"]).success();
    env.spec("lab", &(tiny_spec(&["shared-lib"]) + "kernels: []\n"));
    let seen = || {
        [
            tree(&env.work()),
            tree(&env.path("home")),
            tree(&env.root().join("gen")),
            tree(&env.root().join("envs")),
            tree(&env.root().join("history")),
            tree(&env.root().join("leases")),
            tree(&env.root().join("pkgs")),
        ]
    };
    let before = seen();
    env.run(&["plan"]).success();
    env.run(&["plan", "--json"]).success();
    env.run(&["apply", "--dry-run"]).success();
    env.run(&["plan", "--check"]).fails_with(3);
    assert!(seen() == before, "something was written");
}

#[test]
fn a_plan_with_nothing_to_do_says_so_and_is_empty() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib"]);
    env.run(&["apply"]).success();
    assert_output!(env.run(&["plan"]).success());
    let plan = env.run(&["plan", "--json", "--check"]).success().json();
    assert_eq!(plan["actions"], serde_json::json!([]));
    assert_eq!(plan["from"], plan["to"]);
}
