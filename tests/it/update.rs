//! Newer packages in a lock: what was named, what that forces, and nothing else.

use crate::support::{Channels, Server, TestEnv, assert_output, channels, tiny_spec};

/// A lock of old versions, and a spec that lets newer ones in.
fn old(env: &TestEnv) {
    env.tiny(&["many-versions 1.2", "shared-lib 1.0", "symlink"]);
    env.run(&["lock"]).success();
    env.tiny(&["many-versions", "shared-lib", "symlink"]);
    env.run(&["lock"]).success();
}

/// `many-versions 1.2 → 2.4`, for each change.
fn told(answer: &serde_json::Value) -> Vec<String> {
    let changes = answer["changes"].as_array().unwrap();
    let version = |side: &serde_json::Value| side["version"].as_str().map(str::to_owned);
    changes
        .iter()
        .map(|change| {
            let (from, to) = (&change["from"], &change["to"]);
            let name = [to, from].into_iter().find_map(|of| of["name"].as_str());
            format!(
                "{} {} → {} {}",
                name.unwrap(),
                version(from).unwrap_or_default(),
                version(to).unwrap_or_default(),
                change["cause"].as_str().unwrap()
            )
        })
        .collect()
}

#[test]
fn a_named_package_becomes_the_newest_and_the_others_stay() {
    let env = TestEnv::new();
    old(&env);
    let output = env.run(&["update", "many-versions"]).success();
    assert_output!(output);
    let lock = env.lock("lab");
    assert!(lock.contains("many-versions-2.4") && lock.contains("shared-lib-1.0"));
    env.run(&["lock", "--check"]).success();
    assert!(!env.root().join("gen").exists(), "it was applied");
    env.run(&["update", "many-versions"])
        .success()
        .says("has nothing newer to take");
    assert_eq!(env.lock("lab"), lock);
}

#[test]
fn without_a_name_all_are_renewed_as_if_there_were_no_lock() {
    let env = TestEnv::new();
    old(&env);
    let before = env.lock("lab");
    let answer = env.run(&["update", "--json", "--dry-run"]).success().json();
    assert_eq!(
        told(&answer),
        [
            "many-versions 1.2 → 2.4 renewed",
            "shared-lib 1.0 → 2.0 renewed"
        ]
    );
    assert_eq!(answer["written"], false);
    assert_eq!(env.lock("lab"), before);
    env.run(&["update"]).success();
    let updated = env.lock("lab");
    env.run(&["lock", "--renew"]).success();
    assert_eq!(updated, env.lock("lab"));
}

#[test]
fn a_dry_run_writes_nothing_and_a_check_says_by_its_code_whether_there_is_something() {
    let env = TestEnv::new();
    old(&env);
    let before = crate::support::tree(&env.work());
    let told = "1 change to come; envs/lab.lock is as it was";
    env.run(&["update", "--dry-run", "shared-lib"])
        .success()
        .says(told);
    env.run(&["update", "--check", "shared-lib"])
        .fails_with(3)
        .says(told);
    env.run(&["update", "--check", "symlink"])
        .success()
        .says("has nothing newer to take");
    assert_eq!(crate::support::tree(&env.work()), before);
}

#[test]
fn what_can_not_stay_with_the_named_package_is_forced_and_says_by_what() {
    let mut env = TestEnv::new();
    let made = Channels::new(env.path("made"));
    made.add(
        "tiny",
        &["shared-lib-", "conflict-a", "symlink", "many-versions-"],
    );
    env.set_alias(made.alias());
    env.tiny(&["conflict-a", "shared-lib 1.0", "many-versions 1.2"]);
    env.run(&["lock"]).success();
    env.tiny(&["conflict-a", "shared-lib", "many-versions"]);
    env.run(&["lock"]).success();
    // A newer one of the package that is in the way.
    let repodata = made.add(
        "tiny",
        &["shared-lib-", "conflict-a", "symlink", "many-versions-"],
    );
    let subdir = ["noarch", "linux-64"].into_iter().find_map(|subdir| {
        let path = repodata.join(subdir).join("repodata.json");
        let text = fs_err::read_to_string(&path).unwrap();
        text.contains("conflict-a").then_some((path, text))
    });
    let (path, text) = subdir.unwrap();
    let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
    for section in ["packages", "packages.conda"] {
        let records = document[section].as_object_mut().unwrap();
        let old = records
            .iter()
            .find(|(_, record)| record["name"] == "conflict-a");
        if let Some((file, record)) = old.map(|(file, record)| (file.clone(), record.clone())) {
            let mut newer = record;
            newer["version"] = "2.0".into();
            newer["depends"] = serde_json::json!(["shared-lib 2.*"]);
            records.insert(file.replace("1.0", "2.0"), newer);
        }
    }
    fs_err::write(&path, document.to_string()).unwrap();

    let output = env.run(&["update", "shared-lib"]).success();
    assert_output!(output);
    let lock = env.lock("lab");
    assert!(lock.contains("many-versions-1.2"), "{lock}");
}

#[test]
fn what_the_spec_holds_back_is_told_with_its_line_and_is_no_error() {
    let env = TestEnv::new();
    env.tiny(&["many-versions 1.2", "shared-lib 1.0", "conflict-a"]);
    env.run(&["lock"]).success();
    env.tiny(&["many-versions 1.*", "shared-lib", "conflict-a"]);
    env.run(&["lock"]).success();
    let output = env
        .run(&["update", "many-versions", "shared-lib", "--dry-run"])
        .success();
    assert_output!(output);
    let answer = env
        .run(&["update", "many-versions", "shared-lib", "--json"])
        .success()
        .json();
    assert_eq!(
        told(&answer),
        [
            "many-versions 1.2 → 1.4 named",
            "shared-lib 1.0 → 1.1 named"
        ]
    );
    let held = answer["held_back"].as_array().unwrap();
    assert_eq!(held[0]["newest"], "2.4");
    assert_eq!(held[0]["by"][0], "many-versions 1.*");
    assert_eq!(held[1]["package"], "shared-lib");
    assert_eq!(held[1]["by"][0], "conflict-a");
}

#[test]
fn a_package_that_the_lock_lacks_is_answered_with_the_nearest() {
    let env = TestEnv::new();
    old(&env);
    env.run(&["update", "many-version"])
        .fails_with(2)
        .says("envs/lab.lock has no package `many-version`")
        .says("did you mean many-versions?");
    env.run(&["update", "many-versions >=2"])
        .fails_with(2)
        .says("did you mean many-versions?");
    env.run(&["update", "\u{1b}[31m"]).fails_with(2);
    env.run(&["update", "envs/lab.yaml"])
        .fails_with(2)
        .says("--spec envs/lab.yaml");
}

#[test]
fn without_a_lock_or_with_that_of_another_tool_there_is_nothing_to_update() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib"]);
    env.run(&["update"]).fails_with(3).says("there is no lock");
    let foreign = "version: 6\nenvironments: {}\npackages: []\n";
    fs_err::write(env.work().join("envs/lab.lock"), foreign).unwrap();
    env.run(&["update", "shared-lib"])
        .fails_with(2)
        .says("was not written by envspec");
}

#[test]
fn a_lock_that_is_stale_is_brought_up_to_date_with_it() {
    let env = TestEnv::new();
    old(&env);
    env.tiny(&["many-versions", "shared-lib", "executable"]);
    let answer = env
        .run(&["update", "many-versions", "--json"])
        .success()
        .json();
    assert_eq!(
        told(&answer),
        [
            "executable  → 1.0 forced",
            "many-versions 1.2 → 2.4 named",
            "symlink 1.0 →  unneeded"
        ]
    );
    env.run(&["lock", "--check"]).success();
}

#[test]
fn offline_what_is_cached_is_the_newest() {
    let mut server = Server::start(channels());
    let env = TestEnv::with_alias(server.url());
    old(&env);
    server.stop();
    env.run(&["update", "many-versions", "--offline"]).success();
    assert!(env.lock("lab").contains("many-versions-2.4"));
}

#[test]
fn an_edit_of_the_spec_meanwhile_is_not_overruled() {
    let server = Server::start(channels());
    let env = TestEnv::with_alias(server.url());
    old(&env);
    let before = env.lock("lab");
    // Another root: it has no index yet.
    let root = env.path("other").to_str().unwrap().to_owned();
    server.fault("/tiny/linux-64", crate::support::Fault::Held);
    drop(server.requests());
    let update = env.start(&["update", "--root", &root]);
    server.wait_for("/tiny/linux-64");
    fs_err::write(env.work().join("envs/lab.yaml"), tiny_spec(&["symlink"])).unwrap();
    server.release();
    update.wait().fails_with(7).says("was changed by somebody");
    assert_eq!(env.lock("lab"), before);
}

#[test]
fn a_prefix_that_has_not_what_is_named_is_left_as_it_is() {
    let env = TestEnv::new();
    let spec = |one: &str, two: &str| {
        let text = format!(
            "channels: [conda-forge, tiny]\ndependencies: [python, many-versions {one}]\nkernels:\n\
             \x20 - two: {{use: bash, isolated: true, dependencies: [shared-lib {two}, \
             many-versions {one}]}}\n"
        );
        env.spec("lab", &text);
        env.run(&["lock"]).success();
    };
    spec("1.2", "1.0");
    spec("", "");
    let answer = env
        .run(&["update", "shared-lib", "--json"])
        .success()
        .json();
    assert_eq!(told(&answer), ["shared-lib 1.0 → 2.0 named"]);
    assert_eq!(answer["changes"][0]["to"]["isolated"], "two");
    let answer = env
        .run(&["update", "many-versions", "--json"])
        .success()
        .json();
    assert_eq!(told(&answer), ["many-versions 1.2 → 2.4 named"; 2]);
}
