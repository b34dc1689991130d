//! A root on a file system that has no hard links and no locks: a real FUSE mount
//! (`tests/world/linkless.c`) over a folder of the test's world.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Fault, Server, TestEnv, channels, have, skipped, soon};

/// What `flock` fails with on NFS without its daemon.
const NO_LOCKS: i32 = rustix::io::Errno::NOLCK.raw_os_error();

/// And on Lustre without the option, and on others that do not know it.
const NO_SUCH_CALL: i32 = rustix::io::Errno::NOSYS.raw_os_error();
const NOT_SUPPORTED: i32 = rustix::io::Errno::OPNOTSUPP.raw_os_error();

/// No step here takes longer on two busy cores; what hangs does.
const BOUND: Duration = Duration::from_mins(2);

/// The file system, mounted at a folder until it is dropped.
struct Linkless {
    at: PathBuf,
    child: Child,
}

impl Linkless {
    /// Mounts it at the root of a world; `None`, told loudly, where that can't be.
    fn at_root_of(env: &TestEnv, refusal: i32) -> Option<Self> {
        let (below, at) = (env.path("below"), env.root());
        let program = program(env)?;
        for folder in [&below, &at] {
            fs_err::create_dir_all(folder).unwrap();
        }
        let said = env.path("mount.txt");
        let mut child = Command::new(program)
            .arg(&below)
            .arg(refusal.to_string())
            .arg(&at)
            .args(["-f", "-o", "default_permissions"])
            .stdout(Stdio::null())
            .stderr(fs_err::File::create(&said).unwrap().into_parts().0)
            .spawn()
            .unwrap();
        let mounted = || at.metadata().ok().map(|seen| device(&seen));
        let before = device(&below.metadata().unwrap());
        let is_up = soon("a mount or its refusal", || {
            if mounted().is_some_and(|now| now != before) {
                return Some(true);
            }
            child.try_wait().unwrap().map(|_ended| false)
        });
        if is_up {
            return Some(Self { at, child });
        }
        let why = fs_err::read_to_string(said).unwrap();
        skipped(&format!("no FUSE mount: {}", why.trim()));
        None
    }
}

impl Drop for Linkless {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.at).status());
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn device(seen: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::dev(seen)
}

/// The file system's program, compiled.
fn program(env: &TestEnv) -> Option<PathBuf> {
    if !(have("gcc") && have("pkg-config") && have("umount")) {
        return None;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/world/linkless.c");
    let program = env.path("linkless");
    let compile =
        "gcc -O1 -Wall -Wextra -Werror -o \"$1\" \"$2\" $(pkg-config --cflags --libs fuse3)";
    let output = Command::new("sh")
        .args(["-c", compile, "sh"])
        .args([&program, &source])
        .output()
        .unwrap();
    if output.status.success() {
        return Some(program);
    }
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    skipped(&format!("FUSE's headers are missing: {why}"));
    None
}

/// Runs envspec, which must end in time; gives what it said.
#[track_caller]
fn run(env: &TestEnv, arguments: &[&str]) -> String {
    env.start(arguments).wait_within(BOUND).success().stderr
}

fn spec(env: &TestEnv, more: &str) {
    let text =
        format!("channels: [conda-forge, tiny]\ndependencies: [python 3.11.*, six, {more}]\n");
    env.spec("lab", &text);
}

fn shared_lib(env: &TestEnv) -> String {
    fs_err::read_to_string(env.prefix("lab").join("share/shared-lib.txt")).unwrap()
}

/// A generation, another, back, the other one collected, damage found and mended;
/// gives what each step said, and how long it took.
fn walk(env: &TestEnv) -> Vec<(String, String, Duration)> {
    let mut steps = Vec::new();
    let mut step = |arguments: &[&'static str]| {
        let started = Instant::now();
        let said = run(env, arguments);
        steps.push((arguments.join(" "), said, started.elapsed()));
    };
    spec(env, "shared-lib 1.0");
    step(&["apply"]);
    let first = env.prefix("lab");
    spec(env, "shared-lib 2.0");
    step(&["apply"]);
    let second = env.prefix("lab");
    assert_eq!(shared_lib(env), "shared-lib 2.0\n");
    let mut python = env.program(second.join("bin/python"));
    env.output(python.args(["-c", "import six, sqlite3"]))
        .success();
    step(&["rollback"]);
    assert_eq!(env.prefix("lab"), first);
    assert_eq!(shared_lib(env), "shared-lib 1.0\n");
    step(&["gc", "--keep", "0"]);
    assert!(!second.exists() && first.exists());
    assert!(!env.root().join("pkgs/shared-lib-2.0-0").exists());
    step(&["verify"]);
    for place in [first, env.root().join("pkgs/shared-lib-1.0-0")] {
        fs_err::write(place.join("share/shared-lib.txt"), "damaged").unwrap();
    }
    env.start(&["verify"])
        .wait_within(BOUND)
        .fails_with(7)
        .says("is damaged");
    step(&["verify", "--repair"]);
    assert_eq!(shared_lib(env), "shared-lib 1.0\n");
    steps
}

#[test]
fn without_hard_links_and_locks_everything_works_and_copying_is_told_once() {
    let server = Server::start(channels());
    let env = TestEnv::with_alias(server.url());
    let Some(_mount) = Linkless::at_root_of(&env, NO_LOCKS) else {
        return;
    };
    let odd = walk(&env);
    // Once by each of those that build a generation.
    for (step, said, _) in odd.iter().filter(|(step, ..)| step == "apply") {
        let times = said.matches("were copied, not linked").count();
        assert_eq!(times, 1, "{step}: {said}");
    }
    let plain = walk(&TestEnv::with_alias(server.url()));
    for ((step, _, odd), (_, said, plain)) in odd.iter().zip(&plain) {
        assert!(!said.contains("copied"), "{said}");
        println!("{step}: {odd:.1?}, with links and locks {plain:.1?}");
    }
}

#[test]
fn two_applies_at_once_without_hard_links_and_locks_make_one_generation() {
    let server = Server::start(channels());
    for refusal in [NO_LOCKS, NO_SUCH_CALL, NOT_SUPPORTED] {
        let env = TestEnv::with_alias(server.url());
        let Some(_mount) = Linkless::at_root_of(&env, refusal) else {
            return;
        };
        env.tiny(&["shared-lib"]);
        run(&env, &["lock"]);
        server.fault("shared-lib-2.0", Fault::Held);
        let first = env.start(&["apply", "envs/lab.yaml"]);
        server.wait_for("shared-lib-2.0");
        let second = env.start(&["apply", "envs/lab.yaml"]);
        std::thread::sleep(Duration::from_millis(300));
        server.heal();
        server.release();
        first.wait_within(BOUND).success().says("Installed");
        second
            .wait_within(BOUND)
            .success()
            .says("Waiting: environment lab is being changed by researcher@")
            .says("Nothing to do");
        assert_eq!(fs_err::read_dir(env.root().join("gen")).unwrap().count(), 1);
        let leases = fs_err::read_dir(env.root().join("leases")).unwrap();
        assert_eq!(leases.count(), 0);
        drop(server.requests());
    }
}
