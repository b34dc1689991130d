//! `delete`: an environment's kernels go with it, and nobody else's.

use serde_json::{Value, json};

use crate::crash::{keep, put_back};
use crate::support::{
    MARKED_KERNELSPEC, TestEnv, can_trace, kill_at, put_command, put_kernelspec, record, tree,
};

const SPEC: &str = "channels: [conda-forge, tiny]\ndependencies: [shared-lib]\nkernels: [deno]\n";

fn applied(names: &[&str]) -> TestEnv {
    let env = TestEnv::new();
    for name in names {
        env.spec(name, SPEC);
        env.run(&["apply", name]).success();
    }
    env
}

fn events(env: &TestEnv) -> Vec<(Value, Value)> {
    let told = env.run(&["history", "lab", "--json"]).success().json();
    let all = told["switches"].as_array().unwrap().iter();
    all.map(|entry| (entry["event"].clone(), entry["current"].clone()))
        .collect()
}

#[test]
fn an_environments_own_kernels_and_its_link_go_and_an_apply_brings_them_back() {
    let env = applied(&["lab", "bio"]);
    let user = env.user_kernels();
    // By name alone they are this environment's.
    put_command(&user, "lab-mine", &["/bin/sh"]);
    put_kernelspec(&user, "lab-elsewhere", MARKED_KERNELSPEC);
    let own = user.join("lab-deno");
    let link = env.root().join("envs/lab");
    let generation = env.prefix("lab");
    let id = generation.file_name().unwrap().to_str().unwrap().to_owned();
    let (work, before) = (tree(&env.work()), tree(&user));

    let would = env.run(&["delete", "lab", "--dry-run", "--json"]).success();
    assert_eq!(
        would.json(),
        json!({"version": 1, "dry_run": true, "environment": "lab", "root": env.root(),
            "generation": id, "unregistered": ["lab-deno"], "in_use": []})
    );
    assert_eq!(before, tree(&user));
    assert!(link.exists());
    // Whoever changes the environment is waited for.
    env.dead_lease("leases/lab");
    let said = env.run(&["delete", "lab"]).success();
    for word in ["anna@gone", "Unregistered lab-deno", "Deleted lab", "apply"] {
        assert!(said.stderr.contains(word), "{word}: {said}");
    }
    let mut others = before.clone();
    others.retain(|path, _| !path.starts_with(&own) && *path != user);
    let mut left = tree(&user);
    left.remove(&user);
    assert_eq!(others, left);
    assert_eq!(work, tree(&env.work()));
    assert!(link.symlink_metadata().is_err() && generation.is_dir());
    assert!(!env.root().join("leases/lab").exists());

    // Whatever is asked then has an answer.
    assert_eq!(
        events(&env),
        [
            (json!("delete"), json!(false)),
            (json!("apply"), json!(false))
        ]
    );
    drop(env.run(&["history", "lab"]).success());
    let list = env.run(&["list", "--json"]).success().json();
    let of_lab = |row: &&Value| row["environment"] == "lab";
    let rows: Vec<&Value> = list["generations"]
        .as_array()
        .unwrap()
        .iter()
        .filter(of_lab)
        .collect();
    assert_eq!((rows.len(), &rows[0]["current"]), (1, &json!(false)));
    drop(env.run(&["sessions", "lab"]).success());
    for arguments in [&["delete", "lab"][..], &["rollback", "lab"]] {
        drop(env.run(arguments).fails_with(2).says("not applied yet"));
    }
    // A kernel may run on a machine that can't be seen from here.
    drop(env.run(&["gc"]).success());
    assert!(generation.is_dir());

    env.run(&["apply", "lab"]).success();
    assert_eq!(env.prefix("lab"), generation);
    assert!(own.join("kernel.json").is_file());
    assert_eq!(events(&env)[0], (json!("apply"), json!(true)));

    // A link that a hand took away; nothing of it is kept to go back to.
    fs_err::remove_file(&link).unwrap();
    env.run(&["delete", "lab"])
        .success()
        .says("Unregistered lab-deno");
    assert!(!own.exists());
    env.run(&["apply", "lab"]).success();
    env.run(&["delete", "lab"]).success();
    drop(env.run(&["gc", "--keep", "3"]).success());
    assert!(!generation.exists() && env.prefix("bio").is_dir());
    assert_eq!(events(&env)[0].0, "delete");
}

#[test]
fn what_runs_or_may_is_named_and_deleting_needs_force_and_leaves_it_its_generation() {
    let env = applied(&["lab", "bio"]);
    let generation = env.prefix("lab");
    let script = env.root().join("sessions/start/envspec-lab.sh");
    fs_err::create_dir_all(script.parent().unwrap()).unwrap();
    // For a scheduler that this machine does not know: it may wait.
    let text = format!("generation={}\nscheduler=slurm\n", generation.display());
    fs_err::write(&script, text).unwrap();
    let (root, user) = (tree(&env.root().join("envs")), tree(&env.user_kernels()));
    drop(
        env.run(&["delete", "lab"])
            .fails_with(2)
            .says("in use: session envspec-lab"),
    );
    assert_eq!(root, tree(&env.root().join("envs")));
    assert_eq!(user, tree(&env.user_kernels()));
    // Of a group's root, the kernel of another member.
    let member = env.root().join("members/61019");
    fs_err::create_dir_all(&member).unwrap();
    let of_bio = env.prefix("bio").file_name().unwrap().to_owned();
    fs_err::write(member.join("kernels"), of_bio.to_str().unwrap()).unwrap();
    env.run(&["delete", "bio"])
        .fails_with(2)
        .says("in use: member 61019");
    fs_err::remove_dir_all(&member).unwrap();
    env.run(&["delete", "bio"]).success();

    env.run(&["delete", "lab", "--force"])
        .success()
        .says("in use: session envspec-lab");
    assert!(!env.user_kernels().join("lab-deno").exists());
    drop(env.run(&["gc", "--older-than", "0d"]).success());
    assert!(generation.is_dir());
    fs_err::remove_file(&script).unwrap();
    drop(env.run(&["gc", "--older-than", "0d"]).success());
    assert!(!generation.exists());
}

#[test]
fn killed_at_any_call_it_has_left_no_half_kernel_and_the_next_one_finishes() {
    if !can_trace() {
        return;
    }
    let env = applied(&["lab"]);
    let arguments = ["delete", "lab"];
    let own = env.user_kernels().join("lab-deno");
    let link = env.root().join("envs/lab");
    keep(&env, "kept");
    let calls = record(&env, &arguments, false);
    assert!(own.symlink_metadata().is_err() && link.symlink_metadata().is_err());
    let at = |target: &str, name: &str| {
        let is_it = |call: &crate::support::Call| {
            call.name.starts_with(name) && call.target().contains(target)
        };
        calls.iter().position(is_it).unwrap()
    };
    // Kernels first: one that stays without its link would be nobody's.
    assert!(at("lab-deno", "rename") < at("envs/lab", "unlink"));
    for call in &calls {
        put_back(&env, "kept");
        kill_at(&env, &arguments, call, || put_back(&env, "kept"));
        let is_linked = link.symlink_metadata().is_ok();
        let is_seen = own.join("kernel.json").exists();
        assert!(is_linked || !is_seen, "{call}: a kernel without its link");
        if is_seen {
            assert!(env.root().join("envs/lab").is_dir(), "{call}");
        }
        if is_linked {
            drop(env.run(&["history", "lab"]).success());
            env.run(&arguments).success();
        }
        assert!(own.symlink_metadata().is_err(), "{call}: {}", own.display());
        assert!(link.symlink_metadata().is_err(), "{call}");
        let deletions = events(&env)
            .into_iter()
            .filter(|(event, _)| event == "delete");
        // One that was killed after it noted it did not do it: the next one notes when.
        let deletions = deletions.count();
        let is_noted = call.target().contains("envs/lab") || call.target().contains("history");
        assert!(deletions == 1 || (deletions == 2 && is_noted), "{call}");
    }
    env.run(&["apply"]).success();
    assert!(own.join("kernel.json").is_file() && link.is_dir());
}
