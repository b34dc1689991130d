//! What was when: `history`, `diff`, `apply --at`, `list --space`, and the history
//! that conda reads.

use serde_json::Value;

use crate::support::{TestEnv, assert_output, tiny_spec, tree};

fn git(env: &TestEnv, arguments: &[&str]) -> String {
    let identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"];
    let output = env
        .program("git")
        .args(identity)
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// `lab` in git with these packages, applied and committed one after the other;
/// the commits and the generations.
fn committed(env: &TestEnv, versions: &[&[&str]]) -> Vec<(String, String)> {
    git(env, &["init", "--quiet"]);
    let mut all = Vec::new();
    for packages in versions {
        env.tiny(packages);
        env.run(&["lock"]).success();
        git(env, &["add", "envs"]);
        git(env, &["commit", "--quiet", "-m", "x"]);
        env.run(&["apply"]).success();
        let prefix = env.prefix("lab");
        let generation = prefix.file_name().unwrap().to_str().unwrap().to_owned();
        all.push((git(env, &["rev-parse", "HEAD"]), generation));
    }
    all
}

const VERSIONS: [&[&str]; 3] = [
    &["shared-lib 1.0", "executable"],
    &["shared-lib 2.0", "symlink"],
    &["shared-lib 1.1", "symlink"],
];

#[test]
fn the_history_says_who_when_which_commit_and_what_changed_also_of_what_is_gone() {
    let env = TestEnv::new();
    let all = committed(&env, &VERSIONS);
    env.run(&["rollback"]).success();
    let told = env.run(&["history", "--json"]).success().json();
    let switches = told["switches"].as_array().unwrap();
    assert_eq!(switches.len(), 4);
    let kinds = |entry: &Value| -> Vec<String> {
        let changes = entry["changes"].as_array().unwrap().iter();
        changes
            .map(|change| change["change"].as_str().unwrap().to_owned())
            .collect()
    };
    // The newest first.
    assert_eq!(switches[0]["event"], "rollback");
    assert_eq!(switches[0]["current"], true);
    assert_eq!(switches[0]["generation"], all[1].1.as_str());
    assert_eq!(switches[0]["commit"], all[1].0.as_str());
    assert_eq!(switches[0]["dirty"], false);
    assert_eq!(kinds(&switches[1]), ["downgraded"]);
    assert_eq!(switches[1]["current"], false);
    assert_eq!(kinds(&switches[2]), ["removed", "upgraded", "added"]);
    assert_eq!(kinds(&switches[3]), ["added", "added"]);
    assert!(
        switches[3]["by"]
            .as_str()
            .unwrap()
            .starts_with("researcher@")
    );

    env.run(&["gc", "--keep", "0"]).success();
    let after = env.run(&["history", "--json"]).success().json();
    assert_eq!(after["switches"][3]["exists"], false);
    let mut expected = told.clone();
    for number in [1, 3] {
        expected["switches"][number]["exists"] = false.into();
    }
    assert_eq!(
        after, expected,
        "something was forgotten with the generation"
    );
    // Commits differ from run to run.
    for (number, (commit, _)) in all.iter().enumerate() {
        assert!(
            env.run(&["history"])
                .success()
                .stdout
                .contains(&commit[..9]),
            "commit {number}"
        );
    }
    let text = env.run(&["history", "-p"]).success().stdout;
    assert!(text.contains("     ↓ shared-lib 2.0 → 1.1\n"), "{text}");
    assert!(text.contains("(deleted)"), "{text}");
}

#[test]
fn a_spec_that_was_committed_after_it_was_applied_is_told_with_that_commit() {
    let env = TestEnv::new();
    let before = committed(&env, &VERSIONS[..1])[0].0.clone();
    env.tiny(VERSIONS[1]);
    env.run(&["apply"]).success();
    let newest = || {
        let told = env.run(&["history", "--json"]).success().json();
        let newest = &told["switches"][0];
        let listed = env.run(&["list", "--json"]).success().json();
        let current = listed["generations"].as_array().unwrap().iter();
        let mut current = current.filter(|generation| generation["current"] == true);
        let current = current.next().unwrap();
        for of in ["commit", "dirty"] {
            assert_eq!(newest[of], current[of]);
        }
        let commit = newest["commit"].as_str().unwrap().to_owned();
        (commit, newest["dirty"].as_bool().unwrap())
    };
    assert_eq!(newest(), (before, true));
    git(&env, &["add", "envs"]);
    git(&env, &["commit", "--quiet", "-m", "x"]);
    let after = git(&env, &["rev-parse", "HEAD"]);
    git(&env, &["commit", "--quiet", "--allow-empty", "-m", "y"]);
    assert_eq!(newest(), (after, false));
}

#[test]
fn a_switch_keeps_its_commit_when_its_generation_is_built_again_from_another() {
    let env = TestEnv::new();
    let all = committed(&env, &VERSIONS[..2]);
    let (first, second) = (&all[0], &all[1]);
    let rows = || {
        let told = env.run(&["history", "--json"]).success().json();
        let switches = told["switches"].as_array().unwrap().clone();
        let rows = switches.iter().rev().map(|switch| {
            let text = |key: &str| switch[key].as_str().unwrap_or("-").to_owned();
            (text("commit"), text("generation"))
        });
        rows.collect::<Vec<_>>()
    };
    git(&env, &["commit", "--quiet", "--allow-empty", "-m", "later"]);
    let later = git(&env, &["rev-parse", "HEAD"]);
    env.run(&["apply", "--at", &first.0]).success();
    env.run(&["gc", "--keep", "0", "--older-than", "0d"])
        .success();
    env.run(&["apply"]).success();
    let expected = [
        first.clone(),
        second.clone(),
        first.clone(),
        (later, second.1.clone()),
    ];
    assert_eq!(rows(), expected);
}

#[test]
fn two_generations_two_locks_and_a_lock_at_two_revisions_are_compared() {
    let env = TestEnv::new();
    let all = committed(&env, &VERSIONS);
    let text = env.run(&["diff"]).success().stdout;
    let head = format!("{} → {}\n  ↓ shared-lib 2.0 → 1.1\n", all[1].1, all[2].1);
    assert!(text.starts_with(&head), "{text}");
    assert!(text.contains("2 → 2 packages (↓1), "), "{text}");
    assert!(text.trim_end().ends_with(" files"), "{text}");
    let json = |arguments: &[&str]| {
        let mut with = vec!["diff", "--json"];
        with.extend(arguments);
        env.run(&with).success().json()
    };
    let changed = |answer: &Value| -> Vec<String> {
        let changes = answer["changes"].as_array().unwrap().iter();
        changes
            .map(|change| {
                let side = if change["to"].is_null() { "from" } else { "to" };
                let name = change[side]["name"].as_str().unwrap();
                format!("{} {name}", change["change"].as_str().unwrap())
            })
            .collect()
    };
    let whole = ["removed executable", "upgraded shared-lib", "added symlink"];
    let answer = json(&[&all[0].1]);
    assert_eq!(changed(&answer), whole);
    assert_eq!(answer["from"]["name"], all[0].1.as_str());
    assert_eq!(answer["to"]["name"], all[2].1.as_str());
    let digest = all[0].1.strip_prefix("lab-").unwrap();
    assert_eq!(json(&["lab", digest]), answer);
    let other_way = json(&[&all[2].1, &all[0].1]);
    assert_eq!(
        changed(&other_way),
        [
            "added executable",
            "downgraded shared-lib",
            "removed symlink"
        ]
    );
    // Files and bytes as they are on the disk.
    let prefix = env.root().join("gen").join(&all[0].1);
    assert_eq!(answer["from"]["space"]["inodes"], tree(&prefix).len());

    fs_err::copy(
        env.work().join("envs/lab.lock"),
        env.work().join("new.lock"),
    )
    .unwrap();
    let old = git(&env, &["show", "HEAD~2:envs/lab.lock"]);
    fs_err::write(env.work().join("old.lock"), old).unwrap();
    for arguments in [
        &["old.lock", "new.lock"] as &[&str],
        &["--at", "HEAD~2"],
        &["lab", "--at", "HEAD~2", "--at", "HEAD"],
        &["envs/lab.lock", "--at", "HEAD~2"],
    ] {
        let answer = json(arguments);
        assert_eq!(changed(&answer), whole, "{arguments:?}");
        assert!(answer["to"]["archive_bytes"].as_u64().unwrap() > 0);
    }
    assert_output!(env.run(&["diff", "lab", "nothing"]).fails_with(2));
    // What was deleted is known still.
    env.run(&["gc", "--keep", "0"]).success();
    assert_eq!(changed(&json(&[&all[0].1])), whole);
}

#[test]
fn what_was_applied_last_year_comes_back_with_its_own_lock() {
    let env = TestEnv::new();
    // What is resolved by itself would be the newest.
    let all = committed(&env, &[&["many-versions 1.*"], &["many-versions"]]);
    let lock = env.work().join("envs/lab.lock");
    let (spec, now) = (
        env.work().join("envs/lab.yaml"),
        fs_err::read(&lock).unwrap(),
    );
    git(&env, &["tag", "paper"]);
    fs_err::write(&spec, tiny_spec(&["symlink"])).unwrap();
    let edited = fs_err::read(&spec).unwrap();

    env.run(&["gc", "--keep", "0"]).success();
    let first = all[0].0.clone();
    env.run(&["apply", "--at", &first[..12]])
        .success()
        .says("lab as it was at");
    assert!(
        env.prefix("lab").ends_with(&all[0].1),
        "it is another generation"
    );
    let receipt = env.receipt("lab");
    assert_eq!(receipt["spec"]["commit"], first.as_str());
    assert_eq!(receipt["spec"]["dirty"], false);
    assert_eq!(receipt["packages"][0]["version"], "1.4");
    assert_eq!(fs_err::read(&lock).unwrap(), now, "the lock was written");
    assert_eq!(fs_err::read(&spec).unwrap(), edited, "the spec was written");
    env.run(&["apply", "--at", &first])
        .success()
        .says("Nothing to do");
    // Also when the spec has gone from the tree.
    fs_err::remove_file(&spec).unwrap();
    // And when somebody else was at work first.
    env.dead_lease("leases/lab");
    env.run(&["apply", "envs/lab.yaml", "--at", "paper"])
        .success()
        .says("Waiting: environment lab is being changed by anna@gone");
    assert!(env.prefix("lab").ends_with(&all[1].1));

    let ran = env.path("work/ran");
    for (revision, word) in [
        ("nothing", "there is no revision nothing"),
        ("--output=ran", "there is no revision"),
    ] {
        let at = format!("--at={revision}");
        env.run(&["apply", "envs/lab.yaml", &at])
            .fails_with(2)
            .says(word);
    }
    assert!(!ran.exists());
    git(&env, &["rm", "-q", "--cached", "envs/lab.lock"]);
    git(&env, &["commit", "--quiet", "-m", "no lock"]);
    env.run(&["apply", "envs/lab.yaml", "--at", "HEAD"])
        .fails_with(2)
        .says("envs/lab.lock was not there at HEAD");
    env.run(&["apply", "envs/lab.yaml", "--at", "HEAD", "--locked"])
        .fails_with(2);
}

#[test]
fn the_list_tells_own_space_from_what_hard_links_share() {
    let env = TestEnv::new();
    for packages in VERSIONS {
        env.tiny(packages);
        env.run(&["apply"]).success();
    }
    let list = env.run(&["list", "--space", "--json"]).success().json();
    for row in list["generations"].as_array().unwrap() {
        let prefix = row["prefix"].as_str().unwrap();
        let du = |arguments: &[&str]| -> u64 {
            let output = env
                .program("du")
                .args(arguments)
                .arg(prefix)
                .output()
                .unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            text.split_whitespace().next().unwrap().parse().unwrap()
        };
        let sum = |what: &str| -> u64 {
            let part = |part: &str| row["space"][part][what].as_u64().unwrap();
            part("own") + part("shared")
        };
        assert_eq!(sum("bytes"), du(&["-s", "-B1"]), "{row}");
        assert_eq!(sum("inodes"), du(&["-s", "--inodes"]), "{row}");
        // Each has a file of the shared library and of one package more.
        assert!(
            row["space"]["shared"]["inodes"].as_u64().unwrap() >= 1,
            "{row}"
        );
    }
    let pkgs_and_all = list["roots"][0]["total"]["inodes"].as_u64().unwrap();
    let output = env
        .program("du")
        .args(["-s", "--inodes", "-c"])
        .args([env.root().join("gen"), env.root().join("pkgs")])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let total: u64 = text
        .lines()
        .last()
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    // The folder of generations itself is none of theirs.
    assert_eq!(pkgs_and_all + 1, total);
    assert!(!env.run(&["list"]).success().stdout.contains("shared"));
}

/// The text that conda's own `History` reads, in the form that it has had since
/// 4.4 and in that of before.
#[test]
fn conda_can_list_the_revisions_of_a_generation() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib 1.*", "executable"]);
    env.run(&["apply"]).success();
    let history = env.prefix("lab").join("conda-meta/history");
    let text = fs_err::read_to_string(history).unwrap();
    let channels = format!("file://{}/tiny", env.path("channels").display());
    let lines: Vec<&str> = text.lines().collect();
    let created = env.receipt("lab")["created"]
        .as_str()
        .unwrap()
        .replace('T', " ");
    assert_eq!(
        lines,
        [
            &format!("==> {} <==", created.trim_end_matches('Z')),
            "# cmd: envspec apply",
            &format!("+{channels}/linux-64::executable-1.0-0"),
            &format!("+{channels}/noarch::shared-lib-1.1-0"),
            r#"# update specs: ["shared-lib 1.*","executable"]"#,
        ]
    );
}
