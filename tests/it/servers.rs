//! What servers of channels do wrong, beyond what `errors` shows: what is retried,
//! what is told, and that no bad package is ever in the cache.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::support::{CommandOutput, Cutter, Fault, Server, TestEnv, channels};

/// The index and a package, as parts of their paths.
const FILES: [&str; 2] = ["/tiny/noarch/repodata", "executable-1.0"];

const BOUND: Duration = Duration::from_mins(2);

/// What the channel says of its archives: hash by name without ending.
fn archives() -> BTreeMap<String, String> {
    let mut archives = BTreeMap::new();
    for subdir in [
        "tiny/noarch",
        "tiny/linux-64",
        "conda-forge/noarch",
        "conda-forge/linux-64",
    ] {
        let path = channels().join(subdir).join("repodata.json");
        let repodata: Value = serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap();
        for (ending, section) in [(".tar.bz2", "packages"), (".conda", "packages.conda")] {
            for (file, record) in repodata[section].as_object().unwrap() {
                let name = file.strip_suffix(ending).unwrap().to_owned();
                archives.insert(name, record["sha256"].as_str().unwrap().to_owned());
            }
        }
    }
    archives
}

/// Every entry of the package cache is of an archive of the channel, and each of its
/// files is what that archive says; nothing half is beside them. Gives their number.
#[track_caller]
pub(crate) fn has_only_good_packages(root: &Path) -> usize {
    let archives = archives();
    let packages = root.join("pkgs");
    let mut entries = 0;
    for entry in fs_err::read_dir(&packages).into_iter().flatten() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.starts_with(".fetch-"), "{name} is left");
        let entry = packages.join(&name);
        if name.starts_with('.') || name == "leases" || !entry.is_dir() {
            continue;
        }
        let note = fs_err::read(packages.join(format!("{name}.lock"))).unwrap();
        assert_eq!(hex::encode(&note[8..40]), archives[&name], "{name}");
        let paths = fs_err::read(entry.join("info/paths.json")).unwrap();
        let paths: Value = serde_json::from_slice(&paths).unwrap();
        for file in paths["paths"].as_array().unwrap() {
            if file["path_type"] == "softlink" {
                continue;
            }
            let path = entry.join(file["_path"].as_str().unwrap());
            let digest = hex::encode(Sha256::digest(fs_err::read(&path).unwrap()));
            assert_eq!(file["sha256"], digest, "{}", path.display());
        }
        entries += 1;
    }
    entries
}

fn world(alias: String) -> TestEnv {
    let env = TestEnv::with_alias(alias);
    env.tiny(&["shared-lib", "executable"]);
    env
}

#[track_caller]
fn works(env: &TestEnv) -> CommandOutput {
    let output = env.start(&["apply"]).wait_within(BOUND).success();
    assert_eq!(has_only_good_packages(&env.root()), 2);
    assert!(env.prefix("lab").join("bin/executable").is_file());
    output
}

#[test]
fn a_server_that_refuses_twice_is_asked_again() {
    for file in FILES {
        let server = Server::start(channels());
        let env = world(server.url());
        server.fault_times(file, Fault::Unavailable, 2);
        works(&env);
        let asked = server.requests();
        let refused = asked.iter().filter(|line| line.ends_with("503"));
        assert_eq!(refused.count(), 2, "{asked:#?}");
    }
}

#[test]
fn a_connection_that_is_reset_is_made_again() {
    for file in FILES {
        let server = Server::start(channels());
        let cutter = Cutter::before(&server, file, 2);
        let env = world(cutter.url());
        works(&env);
        assert_eq!(cutter.left(), 0, "{file}");
    }
}

#[test]
fn connections_that_are_always_reset_are_told_with_what_was_asked_for() {
    for file in FILES {
        let server = Server::start(channels());
        let cutter = Cutter::before(&server, file, usize::MAX);
        let env = world(cutter.url());
        let told = env.start(&["apply"]).wait_within(BOUND).fails_with(5);
        assert!(told.stderr.contains("help:"), "{told}");
        let told = told.says("reset by peer");
        assert!(joined(&told.stderr).contains(&cutter.url()), "{told}");
        assert!(joined(&told.stderr).contains(file), "{told}");
        has_only_good_packages(&env.root());
        assert!(!env.root().join("envs/lab").exists());
        cutter.heal();
        works(&env);
    }
}

/// A text without the breaks of its lines, which may be within a URL.
fn joined(text: &str) -> String {
    text.replace('│', "").split_whitespace().collect()
}

#[test]
fn a_byte_a_second_is_slow_and_no_error() {
    for file in FILES {
        let server = Server::start(channels());
        let env = world(server.url());
        server.fault(file, Fault::Slow);
        let started = Instant::now();
        works(&env);
        assert!(started.elapsed() > Duration::from_secs(4), "{file}");
    }
}

#[test]
fn a_package_that_a_lock_names_and_the_channel_has_no_more_is_told_with_the_remedy() {
    let server = Server::start(channels());
    let env = world(server.url());
    env.run(&["lock"]).success();
    server.fault("executable-1.0", Fault::NotFound);
    let told = env.run(&["apply", "--locked"]).fails_with(5);
    let url = format!("{}/tiny/linux-64/executable-1.0-0.conda", server.url());
    assert!(joined(&told.stderr).contains(&url), "{told}");
    told.says("404 Not Found")
        .says("renew the lock with: envspec lock --renew");
    let asked = server.requests();
    let missing = asked.iter().filter(|line| line.ends_with("404"));
    assert_eq!(missing.count(), 1, "what is not there is asked for once");
    has_only_good_packages(&env.root());
    server.heal();
    works(&env);
}

#[test]
fn a_password_or_token_in_a_lock_is_refused_and_not_told() {
    let server = Server::start(channels());
    let env = world(server.url());
    env.run(&["lock"]).success();
    let lock = env.work().join("envs/lab.lock");
    let address = server.url();
    let address = address.trim_start_matches("http://");
    for (place, secret) in [
        (format!("http://ada:hunter2@{address}/tiny"), "hunter2"),
        (format!("{}/t/tk-123-456/tiny", server.url()), "tk-123-456"),
    ] {
        let text = env.lock("lab");
        let known = format!("{}/tiny", server.url());
        let with = text.replace(
            &format!("{known}/linux-64/executable"),
            &format!("{place}/linux-64/executable"),
        );
        assert_ne!(with, text);
        fs_err::write(&lock, &with).unwrap();
        let told = env.run(&["apply", "--frozen"]);
        let told = told.fails_with(2).says("carries a password or a token");
        assert!(!joined(&told.stderr).contains(secret), "{told}");
        fs_err::write(&lock, text).unwrap();
    }
}
