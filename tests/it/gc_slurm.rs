//! `gc` where sessions run and wait in a real Slurm on five hosts.

use serde_json::Value;

use crate::support::{Envspec as _, There, channels, program, soon};

/// The name of the current generation.
fn current(there: &There) -> String {
    let link = fs_err::read_link(there.root().join("envs/lab")).unwrap();
    link.file_name().unwrap().to_str().unwrap().to_owned()
}

/// Moves the environment on, and tells the generation.
fn applied(there: &There, number: u32) -> String {
    let spec = there.cluster.home("ada").join("envs/lab.yaml");
    let text = fs_err::read_to_string(&spec).unwrap();
    let before = text.split("\nvariables:").next().unwrap().trim_end();
    fs_err::write(
        &spec,
        format!("{before}\nvariables: {{NUMBER: '{number}'}}\n"),
    )
    .unwrap();
    let alias = format!("ENVSPEC_CHANNEL_ALIAS=file://{}/", channels().display());
    let login = there.cluster.login();
    drop(
        login
            .run(["env", &alias, &program(), "apply", "envs/lab.yaml"])
            .success(),
    );
    current(there)
}

fn gc(there: &There) -> Value {
    let login = there.cluster.login();
    let answer = login.envspec(["gc", "--keep", "0", "--older-than", "0d", "--json"]);
    answer.success().json()
}

/// Why a generation is kept; `None` for one that goes.
fn why(answer: &Value, generation: &str) -> Option<String> {
    let rows = answer["generations"].as_array().unwrap();
    let row = rows.iter().find(|row| row["generation"] == generation);
    let kept = &row.unwrap_or_else(|| panic!("no {generation} in {answer:#}"))["kept"];
    Some(kept["why"].as_str()?.to_owned())
}

#[test]
fn what_a_session_runs_on_or_waits_for_stays_until_it_is_stopped() {
    let Some(there) = There::up("gc_slurm") else {
        return;
    };
    let login = || there.cluster.login();
    let exists = |generation: &str| there.root().join("gen").join(generation).is_dir();
    let first = current(&there);
    login().envspec(["launch"]).success();

    let second = applied(&there, 2);
    // No node takes another job: the next one waits.
    let root = there.cluster.host("login").user("root");
    let drain = "scontrol update NodeName=med0101,med0102 State=DRAIN Reason=test";
    drop(root.sh(drain).success());
    let launch = login().start_envspec(["launch"]);
    soon("a session that waits", || {
        launch.stderr().contains("pending (").then_some(())
    });
    let queue = login().run(["squeue", "--noheader", "--format=%t"]);
    let queue = queue.success().stdout;
    let mut states: Vec<&str> = queue.split_whitespace().collect();
    states.sort_unstable();
    assert_eq!(states, ["PD", "R"]);

    let (third, fourth) = (applied(&there, 3), applied(&there, 4));
    let answer = gc(&there);
    assert_eq!(why(&answer, &first).as_deref(), Some("session"), "runs");
    assert_eq!(why(&answer, &second).as_deref(), Some("session"), "waits");
    assert_eq!(why(&answer, &third), None);
    assert_eq!(why(&answer, &fourth).as_deref(), Some("current"));
    assert!(exists(&first) && exists(&second) && exists(&fourth) && !exists(&third));
    // The same in words, with the session's name.
    let words = login().envspec(["gc", "--keep", "0"]).success();
    assert!(words.stdout.contains("envspec-lab"), "{words}");

    // The one that waits goes, and what it waited for.
    drop(login().envspec(["stop", "lab", "--server", "2"]).success());
    drop(launch);
    let answer = gc(&there);
    assert_eq!(why(&answer, &second), None);
    assert!(exists(&first) && !exists(&second));
    let listed = login().envspec(["sessions", "--json"]).success().json();
    assert_eq!(listed["sessions"][0]["state"], "ready", "{listed:#}");

    drop(login().envspec(["stop", "lab"]).success());
    assert_eq!(why(&gc(&there), &first), None);
    assert!(!exists(&first) && exists(&fourth));
}
