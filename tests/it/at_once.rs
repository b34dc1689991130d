//! Several at work on one root: on one machine, on two hosts, with one of them
//! killed, frozen or gone; and locks that nobody gives back.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::{
    Fault, Running, Server, TestEnv, There, channels, installer_kernel, program, soon, tiny_spec,
    tree,
};

/// An installer that stops for as long as a file named after its host is there: an
/// apply in the middle of its work.
const STEPS: &str = r#"touch "/home/ada/gate/reached-$(uname -n)";
        while [ -e "/home/ada/gate/stop-$(uname -n)" ]; do sleep 0.05; done;"#;

/// What is in a folder of the root.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs_err::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// One generation, and nothing of those who came too late or were killed.
#[track_caller]
fn no_rubble(root: &Path) {
    let generations = names(&root.join("gen"));
    assert_eq!(generations.len(), 1, "{generations:?}");
    assert_eq!(names(&root.join("envs")), ["lab"]);
    assert_eq!(names(&root.join("leases")), [""; 0]);
    let packages = names(&root.join("pkgs"));
    let rubble: Vec<_> = packages
        .iter()
        .filter(|name| name.starts_with('.') && *name != ".bytecode")
        .collect();
    assert!(rubble.is_empty(), "{rubble:?} is left in pkgs");
}

#[test]
fn a_second_apply_waits_tells_for_whom_and_finds_nothing_to_do() {
    let server = Server::start(channels());
    let env = TestEnv::with_alias(server.url());
    env.tiny(&["shared-lib"]);
    env.run(&["lock"]).success();
    server.fault("shared-lib-2.0", Fault::Held);
    let first = env.start(&["apply", "envs/lab.yaml"]);
    server.wait_for("shared-lib-2.0");
    let second = env.start(&["apply", "envs/lab.yaml"]);
    let third = env.start(&["apply", "envs/lab.yaml"]);
    // Another environment of the root is nobody's business.
    env.spec("other", &tiny_spec(&["executable"]));
    env.run(&["apply", "envs/other.yaml"]).success();
    std::thread::sleep(Duration::from_millis(300));
    let pid = rustix::process::Pid::from_raw(third.pid().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    third.wait().fails_with(130);
    let of_first = format!("(process {}) since ", first.pid());
    server.release();
    first.wait().success().says("Installed");
    second
        .wait()
        .success()
        .says("Waiting: environment lab is being changed by researcher@")
        .says(&of_first)
        .says("Nothing to do");
}

#[test]
fn a_holder_that_was_killed_is_recognised_at_once_by_who_waits() {
    let server = Server::start(channels());
    let env = TestEnv::with_alias(server.url());
    env.tiny(&["shared-lib"]);
    env.run(&["lock"]).success();
    server.fault("shared-lib-2.0", Fault::Held);
    let first = env.start(&["apply", "envs/lab.yaml"]);
    server.wait_for("shared-lib-2.0");
    let second = env.start(&["apply", "envs/lab.yaml"]);
    std::thread::sleep(Duration::from_millis(300));
    let started = Instant::now();
    server.heal();
    assert!(first.kill());
    second.wait().success().says("Waiting").says("Installed");
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "no silence is waited for"
    );
    no_rubble(&env.root());
}

#[test]
fn a_lock_on_the_cache_that_nobody_gives_back_is_not_waited_for() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib"]);
    let packages = env.root().join("pkgs");
    fs_err::create_dir_all(&packages).unwrap();
    let lock = std::fs::File::create(packages.join(".cache.lock")).unwrap();
    lock.lock().unwrap();
    let apply = env.start(&["apply", "envs/lab.yaml"]);
    soon("an end", || {
        env.root().join("envs/lab").exists().then_some(())
    });
    apply.wait().success();
}

#[test]
fn a_lock_on_the_cache_that_nobody_gives_back_is_no_end_of_a_repair() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib"]);
    env.run(&["apply"]).success();
    let text = env.prefix("lab").join("share/shared-lib.txt");
    fs_err::remove_file(&text).unwrap();
    let lock = std::fs::File::create(env.root().join("pkgs/.cache.lock")).unwrap();
    lock.lock().unwrap();
    env.start(&["verify", "--repair"])
        .wait_within(Duration::from_mins(1))
        .success();
    assert!(text.exists());
}

#[test]
fn a_root_that_is_deleted_under_a_running_apply_is_told_and_made_again() {
    let server = Server::start(channels());
    let env = TestEnv::with_alias(server.url());
    env.tiny(&["shared-lib"]);
    env.run(&["lock"]).success();
    server.fault("shared-lib-2.0", Fault::Held);
    let apply = env.start(&["apply", "envs/lab.yaml"]);
    server.wait_for("shared-lib-2.0");
    fs_err::remove_dir_all(env.root()).unwrap();
    server.release();
    let told = apply.wait().fails_with(7);
    assert!(told.stderr.contains("lease"), "{told}");
    server.heal();
    env.run(&["apply"]).success();
    assert!(env.prefix("lab").join("share/shared-lib.txt").exists());
    no_rubble(&env.root());
}

#[test]
fn a_cache_that_vanishes_under_a_running_apply_is_filled_again() {
    let server = Server::start(channels());
    let env = TestEnv::with_alias(server.url());
    env.tiny(&["shared-lib", "executable"]);
    env.run(&["lock"]).success();
    server.fault("shared-lib-2.0", Fault::Held);
    let apply = env.start(&["apply", "envs/lab.yaml"]);
    server.wait_for("shared-lib-2.0");
    env.unpacked("executable-1.0-0");
    fs_err::rename(env.root().join("pkgs"), env.path("gone")).unwrap();
    server.release();
    apply.wait().success();
    let text = |file: &str| fs_err::read_to_string(env.prefix("lab").join(file)).unwrap();
    assert_eq!(text("share/shared-lib.txt"), "shared-lib 2.0\n");
    assert!(text("bin/executable").contains("executable 1.0"));
    no_rubble(&env.root());
}

/// Two hosts that share a home and a root, and a spec whose apply can be stopped
/// on one of them.
struct Hosts {
    there: There,
    gate: PathBuf,
}

impl Hosts {
    fn up(test: &str, spec: &str) -> Option<Self> {
        let there = There::bare(test)?;
        let gate = there.cluster.home("ada").join("gate");
        let ada = there.cluster.login();
        ada.sh("mkdir -p gate .config/envspec/kernels envs")
            .success();
        let kernel = installer_kernel("slow", STEPS);
        ada.write(".config/envspec/kernels/slow.yaml", &kernel);
        ada.write("envs/lab.yaml", spec);
        Some(Self { there, gate })
    }

    fn start(&self, host: &str) -> Running {
        // A shell between: nsenter would stop itself with a child that is stopped.
        let words = format!(
            "ENVSPEC_CHANNEL_ALIAS=file://{}/ ENVSPEC_ROOT={} {} apply envs/lab.yaml; exit $?",
            channels().display(),
            self.there.root().display(),
            program()
        );
        let user = self.there.cluster.host(host).user("ada");
        user.start(["bash", "-c", &words])
    }

    /// Starts an apply that stops in the middle.
    fn stopped(&self, host: &str) -> Running {
        let ada = self.there.cluster.login();
        ada.sh(&format!("touch gate/stop-{host}")).success();
        let apply = self.start(host);
        soon("the middle of an apply", || {
            self.gate
                .join(format!("reached-{host}"))
                .exists()
                .then_some(())
        });
        apply
    }

    /// Lets the lease expire sooner than a minute and a half from now.
    fn hasten(&self) {
        let path = self.there.root().join("leases/lab");
        let text = fs_err::read_to_string(&path).unwrap();
        let mut lease: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(lease["expires_ms"].as_u64().unwrap() > 60_000, "{lease}");
        lease["expires_ms"] = 400.into();
        fs_err::write(&path, lease.to_string()).unwrap();
    }
}

#[test]
fn eight_applies_at_once_on_two_hosts_make_one_generation() {
    let spec = tiny_spec(&["shared-lib", "symlink", "unicode-name"]);
    let Some(hosts) = Hosts::up("eight", &spec) else {
        return;
    };
    let all: Vec<_> = (0..8)
        .map(|number| hosts.start(["login", "med0101"][number % 2]))
        .collect();
    let said: Vec<String> = all
        .into_iter()
        .map(|apply| apply.wait(Duration::from_mins(2)).success().stderr)
        .collect();
    let installed = said.iter().filter(|said| said.contains("Installed"));
    assert_eq!(installed.count(), 1, "{said:#?}");
    let idle = said.iter().filter(|said| said.contains("Nothing to do"));
    assert_eq!(idle.count(), 7, "{said:#?}");
    no_rubble(hosts.there.root());
}

#[test]
fn a_holder_whose_host_is_gone_is_taken_over_once_it_was_silent() {
    let spec = "channels: [tiny]\ndependencies: [executable]\nkernels: [slow]\n";
    let Some(hosts) = Hosts::up("gone", spec) else {
        return;
    };
    let gone = hosts.stopped("med0101");
    hosts.there.cluster.host("med0101").power_off();
    drop(gone);
    hosts.hasten();
    hosts
        .start("login")
        .wait(Duration::from_mins(1))
        .success()
        .says("Waiting: environment lab is being changed by ada@med0101 (process ")
        .says("Installed");
    no_rubble(hosts.there.root());
}

#[test]
fn a_holder_that_was_frozen_touches_nothing_once_it_was_taken_over() {
    let spec = "channels: [tiny]\ndependencies: [executable]\nkernels: [slow]\n";
    let Some(hosts) = Hosts::up("frozen", spec) else {
        return;
    };

    let frozen = hosts.stopped("med0101");
    let node = hosts.there.cluster.host("med0101");
    node.freeze("envspec");
    hosts.hasten();
    let next = hosts.start("login").wait(Duration::from_mins(1));
    next.success().says("Installed");
    let root = hosts.there.root();
    let ada = hosts.there.cluster.home("ada");
    let seen = || {
        let kernels = tree(&ada.join(".local/share/jupyter/kernels"));
        (tree(root), kernels, tree(&ada.join("envs")))
    };
    let before = seen();
    node.thaw("envspec");
    let told = frozen.wait(Duration::from_mins(1)).fails_with(7);
    assert!(
        told.stderr
            .contains("the lease of environment lab is no longer this process's"),
        "{told}"
    );
    // Its installer would go on now, if it were still there.
    fs_err::remove_file(hosts.gate.join("stop-med0101")).unwrap();
    std::thread::sleep(Duration::from_millis(300));

    let after = seen();
    let changed: Vec<_> = after
        .0
        .iter()
        .filter(|(path, entry)| before.0.get(*path) != Some(entry))
        .collect();
    assert!(changed.is_empty(), "{changed:#?}");
    assert_eq!(before, after);
    no_rubble(root);
}
