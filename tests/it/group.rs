//! A root that a group shares: each member applies, starts sessions and collects,
//! and nobody takes away what another uses.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Member, Server, TestEnv, channels, tiny_spec, tree};

const TEXT: &str = "share/shared-lib.txt";

const GROUP: u32 = 61_000;

/// As `chmod 2775` and `chgrp` make it.
fn groups_root(env: &TestEnv) -> PathBuf {
    let root = env.root();
    fs_err::create_dir(&root).unwrap();
    std::os::unix::fs::chown(&root, None, Some(GROUP)).unwrap();
    fs_err::set_permissions(&root, std::fs::Permissions::from_mode(0o2775)).unwrap();
    root
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o7777
}

#[test]
fn members_of_a_group_share_a_root_whatever_their_umask_and_nobody_else_may() {
    let server = Server::start(channels());
    let env = TestEnv::with_alias(server.url());
    let (Some(anna), Some(ben), Some(mallory)) = (
        Member::new(&env, 61_001, &[GROUP]),
        Member::new(&env, 61_002, &[GROUP]),
        Member::new(&env, 61_003, &[]),
    ) else {
        return;
    };
    let root = groups_root(&env);
    anna.spec(&tiny_spec(&["shared-lib", "symlink"]));
    ben.spec(&tiny_spec(&["shared-lib", "executable"]));
    mallory.spec(&tiny_spec(&["shared-lib"]));

    env.output(&mut anna.command(&root, "077", "apply"))
        .success();
    env.output(&mut ben.command(&root, "077", "apply"))
        .success();
    // Back and forth: each changes what the other made.
    env.output(&mut anna.command(&root, "077", "rollback lab"))
        .success();
    anna.spec(&tiny_spec(&["shared-lib", "executable", "unicode-name"]));
    env.output(&mut anna.command(&root, "027", "apply"))
        .success();
    env.output(&mut ben.command(&root, "077", "apply"))
        .success();
    // Ben made it, and Anna can tell what it is made of.
    env.output(&mut anna.command(&root, "077", "verify lab"))
        .success();
    let text = fs_err::read_to_string(root.join("envs/lab").join(TEXT)).unwrap();
    assert_eq!(text, "shared-lib 2.0\n");
    for (path, _) in tree(&root) {
        let metadata = path.symlink_metadata().unwrap();
        assert_eq!(metadata.gid(), GROUP, "{}", path.display());
        // What is finished is read-only, and what is a member's own is the member's.
        let closed = ["index", "gen", "members"].map(|name| root.join(name));
        if metadata.is_dir() && !closed.iter().any(|folder| path.starts_with(folder)) {
            let mode = metadata.mode();
            assert_eq!(mode & 0o2070, 0o2070, "{} {mode:o}", path.display());
        }
    }
    // In the member's own home the member's umask holds.
    let lock = anna.home().join("envs/lab.lock").metadata().unwrap();
    assert_eq!(lock.mode() & 0o077, 0, "{:o}", lock.mode());
    // A member's lease is a lease; a dead member's is none.
    let lease = root.join("leases/lab");
    let host = rustix::system::uname()
        .nodename()
        .to_str()
        .unwrap()
        .to_owned();
    let text = format!(
        r#"{{"by": "member61001@{host}", "host": "{host}", "pid": 4194303, "since": "2026-01-01T00:00:00Z"}}"#
    );
    fs_err::write(&lease, text).unwrap();
    std::os::unix::fs::chown(&lease, Some(61_001), Some(GROUP)).unwrap();
    ben.spec(&tiny_spec(&["symlink"]));
    env.output(&mut ben.command(&root, "077", "apply"))
        .success();
    assert!(!lease.exists());

    let before = tree(&root);
    let told = env
        .output(&mut mallory.command(&root, "022", "apply"))
        .fails_with(7);
    assert!(told.stderr.contains("group (number 61000)"), "{told}");
    assert!(told.stderr.contains("--root"), "{told}");
    assert_eq!(tree(&root), before);
}

#[test]
fn what_a_members_killed_apply_fetched_is_in_no_other_members_way() {
    let env = TestEnv::new();
    let (Some(anna), Some(ben)) = (
        Member::new(&env, 61_001, &[GROUP]),
        Member::new(&env, 61_002, &[GROUP]),
    ) else {
        return;
    };
    let root = groups_root(&env);
    anna.spec(&tiny_spec(&["shared-lib"]));
    env.output(&mut anna.command(&root, "077", "apply"))
        .success();
    let packages = root.join("pkgs");
    let fetched = packages.join(".fetch-0123456789abcdef-lab");
    fs_err::create_dir(&fetched).unwrap();
    for name in ["shared-lib-2.0-0", "shared-lib-2.0-0.lock"] {
        fs_err::rename(packages.join(name), fetched.join(name)).unwrap();
    }
    let file = fetched.join("shared-lib-2.0-0").join(TEXT);
    fs_err::set_permissions(file, std::fs::Permissions::from_mode(0o644)).unwrap();
    anna.own(&fetched);
    ben.spec(&tiny_spec(&["shared-lib", "executable"]));
    env.output(&mut ben.command(&root, "077", "apply"))
        .success();
    // Whoever left it takes it over.
    anna.spec(&tiny_spec(&["shared-lib", "symlink"]));
    env.output(&mut anna.command(&root, "077", "apply"))
        .success();
    assert!(!fetched.exists());
    // Who looks at another's generation is not told that kernelspecs are missing.
    env.output(&mut ben.command(&root, "077", "verify lab"))
        .success();
}

#[test]
fn a_member_collects_neither_what_another_uses_nor_what_another_made() {
    let env = TestEnv::new();
    let (Some(anna), Some(ben)) = (
        Member::new(&env, 61_001, &[GROUP]),
        Member::new(&env, 61_002, &[GROUP]),
    ) else {
        return;
    };
    let root = groups_root(&env);
    let gc = |member: &Member<'_>| {
        let gc = "gc --keep 0 --older-than 0d --json";
        let told = env.output(&mut member.command(&root, "077", gc)).success();
        let told = told.json();
        let of_it = |row: &Value| {
            (
                row["generation"].as_str().unwrap().to_owned(),
                row["kept"].clone(),
            )
        };
        let rows = told["generations"].as_array().unwrap().iter().map(of_it);
        rows.collect::<std::collections::BTreeMap<_, _>>()
    };
    let current = || {
        let link = fs_err::read_link(root.join("envs/lab")).unwrap();
        link.file_name().unwrap().to_str().unwrap().to_owned()
    };
    let apply = |member: &Member<'_>, packages: &[&str]| {
        member.spec(&tiny_spec(packages));
        env.output(&mut member.command(&root, "077", "apply"))
            .success();
        current()
    };
    let of_anna = apply(&anna, &["shared-lib"]);
    // Its script is what a job would start from.
    env.output(&mut anna.command(&root, "077", "recipe"))
        .success();
    let scripts = root.join("members/61001/sessions/start");
    let script = scripts.join("envspec-lab.sh");
    let own = apply(&ben, &["symlink"]);
    let last = apply(&ben, &["executable"]);
    assert_eq!(mode(&root.join("members")) & 0o1777, 0o1770);
    assert_eq!(mode(&scripts) & 0o777, 0o750);
    assert_eq!(mode(&script) & 0o777, 0o750);

    let judged = gc(&ben);
    assert_eq!(judged[&own], Value::Null, "{judged:?}");
    assert_eq!(judged[&of_anna]["why"], "member", "{judged:?}");
    assert_eq!(judged[&last]["why"], "current");
    assert!(!root.join("gen").join(&own).exists());
    // Once she has nothing that starts from it, it is hers to delete.
    fs_err::remove_file(&script).unwrap();
    let judged = gc(&ben);
    assert_eq!(judged[&of_anna]["why"], "theirs", "{judged:?}");
    let judged = gc(&anna);
    assert_eq!(judged[&of_anna], Value::Null, "{judged:?}");
    assert!(!root.join("gen").join(&of_anna).exists());
    assert_eq!(current(), last);

    // A folder of that number which is somebody else's: nothing is put there, and
    // nothing was switched.
    let planted = root.join("members/61003");
    fs_err::create_dir_all(&planted).unwrap();
    let Some(carl) = Member::new(&env, 61_003, &[GROUP]) else {
        return;
    };
    carl.spec(&tiny_spec(&["unicode-name"]));
    env.output(&mut carl.command(&root, "077", "apply"))
        .fails_with(7)
        .says("is not yours");
    assert_eq!(fs_err::read_dir(&planted).unwrap().count(), 0);
    assert_eq!(current(), last);
    // Nor is a link believed that leads to what is the user's own.
    fs_err::remove_dir(&planted).unwrap();
    let private = carl.home().join("private");
    fs_err::create_dir(&private).unwrap();
    std::os::unix::fs::chown(&private, Some(61_003), Some(61_003)).unwrap();
    fs_err::set_permissions(&private, std::fs::Permissions::from_mode(0o700)).unwrap();
    fs_err::os::unix::fs::symlink(&private, &planted).unwrap();
    env.output(&mut carl.command(&root, "077", "apply"))
        .fails_with(7)
        .says("is not yours");
    assert_eq!(fs_err::read_dir(&private).unwrap().count(), 0);
    assert_eq!(mode(&private), 0o700);
}

#[test]
fn servers_of_members_run_side_by_side_and_only_their_owner_has_the_token() {
    let env = TestEnv::new();
    let (Some(anna), Some(ben)) = (
        Member::new(&env, 61_001, &[GROUP]),
        Member::new(&env, 61_002, &[GROUP]),
    ) else {
        return;
    };
    let root = groups_root(&env);
    let spec = "channels: [conda-forge]\ndependencies: [jupyter_server]\nkernels: [python]\n\
                launch: {interface: server}\nsite: local\n";
    for member in [&anna, &ben] {
        member.spec(spec);
        let run = |words: &str| env.output(&mut member.command(&root, "077", words));
        run("apply").success();
        run("launch").success();
        let told = run("sessions --json").success().json();
        let sessions = told["sessions"].as_array().unwrap();
        assert_eq!(sessions.len(), 1, "{told}");
        assert_eq!(sessions[0]["state"], "ready", "{told}");
    }
    // What Anna unpacked Ben has to copy, and is told so before.
    ben.spec(&spec.replace("[jupyter_server]", "[jupyter_server, pip]"));
    let told = env.output(&mut ben.command(&root, "077", "plan --json"));
    let plan = told.success().json();
    let actions = plan["actions"].as_array().unwrap();
    let build = actions
        .iter()
        .find(|action| action["action"] == "build-generation");
    let bytes = build.unwrap()["bytes"].as_u64().unwrap();
    assert!(bytes > 50_000_000, "{plan:#}");

    // Kernels run what is in the personal library: nobody else may write there.
    let personal = anna.home().join(".local/share/envspec/personal/lab/python");
    assert_eq!(mode(&personal) & 0o077, 0);
    // Whoever repairs, all can use it afterwards.
    let server = root.join("envs/lab/bin/jupyter-server");
    fs_err::remove_file(fs_err::canonicalize(&server).unwrap()).unwrap();
    env.output(&mut anna.command(&root, "077", "verify lab --repair"))
        .success();
    let told = ben.sh(&format!("{} --version", server.display())).output();
    assert!(told.unwrap().status.success());

    let of_anna = root.join("members/61001/sessions/envspec-lab");
    let token = fs_err::read_to_string(of_anna.join("token")).unwrap();
    assert_eq!(token.len(), 64);
    let look = format!("cat {}/token", of_anna.display());
    let mut spied = ben.sh(&look);
    assert!(!spied.status().unwrap().success());
    for member in [&anna, &ben] {
        let run = |words: &str| env.output(&mut member.command(&root, "077", words));
        run("stop lab").success();
        assert_eq!(
            run("sessions --json").success().json()["sessions"],
            serde_json::json!([])
        );
    }
}
