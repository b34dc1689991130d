//! The package cache: entries are whole or absent, read-only ones of others are
//! used and never written.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::support::{Member, Server, TestEnv, channels, skipped, tiny_spec, tree};

const TEXT: &str = "share/shared-lib.txt";

/// Removes the generation and all that leads to it, so that the next apply links
/// anew.
fn forget(env: &TestEnv) {
    fs_err::remove_dir_all(env.root().join("gen")).unwrap();
    fs_err::remove_dir_all(env.root().join("envs")).unwrap();
}

#[test]
fn a_damaged_entry_is_told_and_fetched_anew() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib", "symlink"]);
    env.run(&["apply"]).success();
    let whole = fs_err::read_to_string(env.prefix("lab").join(TEXT)).unwrap();
    let entry = env.root().join("pkgs/shared-lib-2.0-0");
    let link = env.root().join("pkgs/symlink-1.0-0/share/symlink/link.txt");
    let damages: [(&str, &dyn Fn() -> std::io::Result<()>); 5] = [
        ("shared-lib", &|| fs_err::write(entry.join(TEXT), "sha")),
        ("shared-lib", &|| fs_err::remove_file(entry.join(TEXT))),
        ("shared-lib", &|| {
            fs_err::write(entry.join("info/paths.json"), "{")
        }),
        ("shared-lib", &|| {
            fs_err::remove_dir_all(entry.join("share"))
        }),
        ("symlink", &|| fs_err::remove_file(&link)),
    ];
    for (number, (package, damage)) in damages.iter().enumerate() {
        forget(&env);
        damage().unwrap();
        let output = env.run(&["apply"]).success();
        assert!(
            output.stderr.contains("damaged in the package cache")
                && output.stderr.contains(package),
            "damage {number}: {output}"
        );
        let prefix = env.prefix("lab");
        let text = fs_err::read_to_string(prefix.join(TEXT)).unwrap();
        assert_eq!(text, whole, "damage {number}");
        assert!(
            prefix.join("share/symlink/link.txt").exists(),
            "damage {number}"
        );
        let linked = prefix.join(TEXT).metadata().unwrap().ino();
        let cached = entry.join(TEXT).metadata().unwrap().ino();
        assert_eq!(linked, cached, "the new entry is linked");
    }
    forget(&env);
    let output = env.run(&["apply"]).success();
    assert!(!output.stderr.contains("damaged"), "{output}");
}

#[test]
fn what_a_killed_apply_fetched_is_used_if_it_is_whole_and_else_dropped() {
    let server = Server::start(channels());
    let env = TestEnv::with_alias(server.url());
    env.tiny(&["shared-lib", "executable"]);
    env.run(&["apply"]).success();
    forget(&env);
    // As if it was killed while it unpacked the one and had the other.
    let packages = env.root().join("pkgs");
    let own = packages.join(".fetch-0123456789abcdef-lab");
    fs_err::create_dir(&own).unwrap();
    for name in ["shared-lib-2.0-0", "executable-1.0-0"] {
        fs_err::rename(packages.join(name), own.join(name)).unwrap();
        let note = format!("{name}.lock");
        fs_err::rename(packages.join(&note), own.join(&note)).unwrap();
    }
    let note = own.join("executable-1.0-0.lock");
    let file = std::fs::File::options().write(true).open(note).unwrap();
    file.set_len(8).unwrap();
    fs_err::create_dir(own.join(".executable-1.0-0abc")).unwrap();
    // Another environment's is not looked into.
    let others = packages.join(".fetch-0123456789abcdef-lab-2");
    fs_err::create_dir(&others).unwrap();
    drop(server.requests());
    env.run(&["apply"]).success();
    let asked = server.requests();
    let asked_for = |name: &str| asked.iter().any(|path| path.contains(name));
    assert!(!asked_for("shared-lib"), "{asked:?}");
    assert!(asked_for("executable-1.0"), "{asked:?}");
    assert!(!own.exists());
    assert!(others.exists());
}

#[test]
fn packages_and_generations_of_a_shared_root_are_used_and_never_written() {
    let server = Server::start(channels());
    let env = TestEnv::with_alias(server.url());
    let Some(anna) = Member::new(&env, 61_001, &[]) else {
        return;
    };
    let shared = env.root();
    let site = format!(
        "name: here\ntitle: Here\nscheduler: none\nstorage: {{shared: [{}]}}\n",
        shared.display()
    );
    let sites = anna.home().join(".config/envspec/sites");
    fs_err::create_dir_all(&sites).unwrap();
    fs_err::write(sites.join("here.yaml"), site).unwrap();
    let spec = format!("{}site: here\n", tiny_spec(&["shared-lib", "symlink"]));
    // Whoever fills it need not know that it is shared.
    env.spec("lab", &tiny_spec(&["shared-lib", "symlink"]));
    env.run(&["apply"]).success();
    let generation = fs_err::read_link(shared.join("envs/lab")).unwrap();
    let generation = generation.file_name().unwrap().to_str().unwrap().to_owned();
    let before = tree(&shared);
    drop(server.requests());

    anna.spec(&spec);
    fs_err::copy(
        env.work().join("envs/lab.lock"),
        anna.home().join("envs/lab.lock"),
    )
    .unwrap();
    anna.own(&anna.home());
    let mine = anna.home().join("root");
    env.output(&mut anna.command(&mine, "022", "apply --locked"))
        .success()
        .says("Using ")
        .says(&generation);
    let current = fs_err::canonicalize(mine.join("envs/lab")).unwrap();
    assert_eq!(
        current,
        fs_err::canonicalize(shared.join("gen").join(&generation)).unwrap()
    );
    let listed = env.output(&mut anna.command(&mine, "022", "list --json"));
    let listed = listed.success().json();
    assert_eq!(
        listed["generations"][0]["generation"],
        generation.as_str(),
        "{listed}"
    );
    env.output(&mut anna.command(&mine, "022", "apply"))
        .success()
        .says("Nothing to do");

    // Another spec: what is unpacked there is linked or copied from there.
    anna.spec(&format!(
        "{}site: here\n",
        tiny_spec(&["shared-lib", "symlink", "executable"])
    ));
    env.output(&mut anna.command(&mine, "022", "apply"))
        .success()
        .says("Installed 3 packages");
    let asked = server.requests();
    let packages: Vec<_> = asked
        .iter()
        .filter(|path| path.contains(".conda") || path.contains(".tar.bz2"))
        .collect();
    assert_eq!(packages.len(), 1, "{packages:?}");
    let mut own: Vec<_> = fs_err::read_dir(mine.join("pkgs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            Path::new(name)
                .extension()
                .is_none_or(|ending| ending != "lock")
        })
        .collect();
    own.sort();
    assert_eq!(own, ["executable-1.0-0", "leases"]);
    let text = fs_err::read_to_string(mine.join("envs/lab").join(TEXT)).unwrap();
    assert_eq!(text, "shared-lib 2.0\n");
    assert_eq!(tree(&shared), before, "the shared root was written");

    // Damaged there, a package is fetched and the damage left alone.
    let damaged = shared.join("pkgs/shared-lib-2.0-0").join(TEXT);
    fs_err::remove_file(&damaged).unwrap();
    fs_err::remove_dir_all(mine.join("gen")).unwrap();
    env.output(&mut anna.command(&mine, "022", "apply"))
        .success();
    let text = fs_err::read_to_string(mine.join("envs/lab").join(TEXT)).unwrap();
    assert_eq!(text, "shared-lib 2.0\n");
    assert!(!damaged.exists());
}

#[test]
fn a_cache_on_another_file_system_is_copied_from_and_that_is_said_once() {
    let env = TestEnv::new();
    let other = tempfile::tempdir_in("/dev/shm").unwrap();
    let same = other.path().metadata().unwrap().dev() == env.path(".").metadata().unwrap().dev();
    if same {
        skipped("another file system: /dev/shm is on that of /tmp");
        return;
    }
    fs_err::create_dir_all(env.root()).unwrap();
    fs_err::os::unix::fs::symlink(other.path(), env.root().join("pkgs")).unwrap();
    env.tiny(&["shared-lib", "symlink"]);
    let output = env.run(&["apply"]).success();
    let said = output.stderr.matches("were copied, not linked").count();
    assert_eq!(said, 1, "{output}");
    let file = env.prefix("lab").join(TEXT);
    assert_eq!(fs_err::read_to_string(&file).unwrap(), "shared-lib 2.0\n");
    assert_eq!(file.metadata().unwrap().nlink(), 1);
}
