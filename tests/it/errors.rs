//! Bad input and a bad world (item 9): each has its exit code and its words,
//! and lock, current generation and kernelspecs are as before.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::servers::has_only_good_packages;
use crate::support::{
    CommandOutput, Fault, Server, TestEnv, Tree, assert_output, channels, skipped, tiny_spec, tree,
};

/// Everything that a failed command must leave alone.
struct AsBefore {
    places: Vec<(PathBuf, Tree)>,
}

impl AsBefore {
    fn of(env: &TestEnv) -> Self {
        let root = env.root();
        let places = [
            env.work().join("envs/lab.lock"),
            root.join("gen"),
            root.join("envs"),
            root.join("history"),
            root.join("leases"),
            env.path("home"),
        ];
        Self {
            places: places
                .into_iter()
                .map(|place| {
                    let seen = tree(&place);
                    (place, seen)
                })
                .collect(),
        }
    }

    #[track_caller]
    fn holds(&self) {
        for (place, before) in &self.places {
            let now = tree(place);
            // The folder itself may have seen a file come and go.
            let changed: Vec<_> = now
                .iter()
                .filter(|(path, entry)| *path != place && before.get(*path) != Some(entry))
                .map(|(path, _)| path)
                .chain(before.keys().filter(|path| !now.contains_key(*path)))
                .collect();
            assert!(changed.is_empty(), "changed: {changed:#?}");
        }
    }
}

/// An environment that works: a lock, a generation, a registered kernel.
fn working(env: &TestEnv) {
    env.spec(
        "lab",
        "channels: [conda-forge, tiny]\ndependencies: [shared-lib]\nkernels: [deno]\n",
    );
    env.run(&["apply"]).success();
    assert!(env.user_kernels().join("lab-deno/kernel.json").is_file());
}

/// Applies a bad spec over a working environment.
#[track_caller]
fn bad_spec(bytes: &[u8]) -> CommandOutput {
    let env = TestEnv::new();
    working(&env);
    env.bytes("lab", bytes);
    let before = AsBefore::of(&env);
    let root = tree(&env.root());
    let output = env.run(&["apply"]).fails_with(2);
    before.holds();
    assert!(tree(&env.root()) == root, "the root was touched");
    assert!(
        output.stderr.contains("envs/lab.yaml"),
        "no file is named:\n{output}"
    );
    assert!(
        output.stderr.contains("help:"),
        "no way out is shown:\n{output}"
    );
    assert!(output.stdout.is_empty(), "{output}");
    output
}

#[test]
fn an_unknown_kernel_is_answered_with_the_nearest_one() {
    assert_output!(bad_spec(
        b"channels: [tiny]\ndependencies: []\nkernels: [pyton]\n"
    ));
}

#[test]
fn a_bad_version_is_underlined() {
    assert_output!(bad_spec(
        b"channels: [tiny]\ndependencies:\n  - shared-lib\n  - symlink >=1.*.x,<\n"
    ));
}

#[test]
fn a_duplicate_key_is_shown_at_both_places() {
    assert_output!(bad_spec(
        b"channels: [tiny]\ndependencies: [symlink]\nchannels: [conda-forge]\n"
    ));
}

#[test]
fn a_tab_as_indentation_is_told_as_such() {
    assert_output!(bad_spec(b"channels: [tiny]\ndependencies:\n\t- symlink\n"));
}

#[test]
fn an_empty_file_is_no_spec() {
    assert_output!(bad_spec(b""));
}

#[test]
fn a_binary_file_is_no_spec() {
    assert_output!(bad_spec(b"\x7fELF\x02\x01\x01\0\0\0\xff\xfe\x80"));
}

#[test]
fn ten_megabytes_of_yaml_are_refused_unread() {
    let mut text = "channels: [tiny]\ndependencies:\n".to_owned();
    while text.len() < 10 << 20 {
        writeln!(text, "  - package-{}", text.len()).unwrap();
    }
    assert_output!(bad_spec(text.as_bytes()));
}

#[test]
fn deep_nesting_is_refused() {
    let text = format!(
        "dependencies: {}{}\n",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert_output!(bad_spec(text.as_bytes()));
}

#[test]
fn an_unknown_key_of_envspecs_own_sections_is_an_error() {
    assert_output!(bad_spec(
        b"channels: [tiny]\ndependencies: []\nlaunch: {memry: 2G}\n"
    ));
}

#[test]
fn a_channel_that_the_site_forbids_is_refused_at_its_place() {
    assert_output!(bad_spec(
        b"channels: [defaults]\ndependencies: [symlink]\nsite: bih\n"
    ));
}

#[test]
fn a_spec_that_is_not_there_is_told() {
    let env = TestEnv::new();
    assert_output!(env.run(&["apply", "envs/absent.yaml"]).fails_with(2));
    env.run(&["apply", "absent"])
        .fails_with(2)
        .says("no spec and no environment");
    env.run(&["apply", "envs"]).fails_with(2);
}

#[test]
fn a_broken_lock_is_told_and_renewed_only_when_asked() {
    let env = TestEnv::new();
    working(&env);
    let lock = env.work().join("envs/lab.lock");
    let head = env
        .lock("lab")
        .lines()
        .take(8)
        .collect::<Vec<_>>()
        .join("\n");
    fs_err::write(&lock, format!("{head}\n<<<<<<< HEAD\n")).unwrap();
    let before = AsBefore::of(&env);
    assert_output!(env.run(&["apply", "--frozen"]).fails_with(2));
    before.holds();
}

/// Applies a spec of more packages over a working environment, with the server
/// doing something wrong; then again with the server healed.
#[track_caller]
fn bad_server(part: &str, fault: Fault, code: i32) -> CommandOutput {
    let server = Server::start(channels());
    let env = TestEnv::with_alias(server.url());
    working(&env);
    let text =
        "channels: [conda-forge, tiny]\ndependencies: [shared-lib, executable]\nkernels: [deno]\n";
    env.spec("lab", text);
    server.fault(part, fault);
    if part.contains("repodata") {
        // What is cached would answer in the server's place.
        drop(fs_err::remove_dir_all(env.root().join("index")));
    }
    let lock = env.lock("lab");
    let before = AsBefore::of(&env);
    let output = env.run(&["apply"]).fails_with(code);
    assert!(
        output.stderr.contains("help:"),
        "no way out is shown:\n{output}"
    );
    if lock == env.lock("lab") {
        before.holds();
    } else {
        panic!("the lock was changed by a failed apply:\n{output}");
    }
    has_only_good_packages(&env.root());
    server.heal();
    env.run(&["apply"]).success();
    assert!(env.prefix("lab").join("bin/executable").is_file());
    output
}

#[test]
fn a_channel_that_is_not_there_is_told() {
    assert_output!(bad_server("/tiny/noarch/repodata", Fault::NotFound, 5));
}

#[test]
fn a_channel_whose_index_is_a_page_for_people_is_told() {
    assert_output!(bad_server("/tiny/noarch/repodata", Fault::Html, 5));
}

#[test]
fn a_channel_whose_server_is_down_for_now_is_told() {
    assert_output!(bad_server("/tiny/noarch/repodata", Fault::Unavailable, 5));
}

#[test]
fn an_index_that_breaks_off_is_told() {
    assert_output!(bad_server("/tiny/noarch/repodata", Fault::Truncated, 5));
}

#[test]
fn a_package_that_is_not_there_is_told() {
    assert_output!(bad_server("executable-1.0", Fault::NotFound, 5));
}

#[test]
fn a_package_that_breaks_off_is_told() {
    assert_output!(bad_server("executable-1.0", Fault::Truncated, 5));
}

#[test]
fn a_package_with_another_hash_is_not_installed() {
    let output = bad_server("executable-1.0", Fault::WrongBytes, 5);
    assert!(output.stderr.contains("executable"), "{output}");
}

#[test]
fn a_page_for_people_in_place_of_a_package_is_not_installed() {
    let output = bad_server("executable-1.0", Fault::Html, 5);
    assert!(output.stderr.contains("executable"), "{output}");
}

#[test]
fn a_package_file_with_another_hash_is_not_installed_either() {
    let mut env = TestEnv::new();
    let made = crate::support::Channels::new(env.path("made"));
    let tiny = made.add("tiny", &["shared-lib-2.0", "executable-"]);
    env.set_alias(made.alias());
    env.tiny(&["shared-lib"]);
    env.run(&["apply"]).success();
    let package = tiny.join("linux-64/executable-1.0-0.conda");
    let mut bytes = fs_err::read(&package).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(&package, bytes).unwrap();
    env.tiny(&["shared-lib", "executable"]);
    let before = AsBefore::of(&env);
    env.run(&["apply"]).fails_with(5).says("executable");
    before.holds();
}

#[test]
fn a_channel_that_nobody_answers_for_is_told() {
    let mut env = TestEnv::new();
    working(&env);
    // A port that was just free: nobody listens there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    env.set_alias(format!("http://{address}"));
    env.tiny(&["shared-lib"]);
    let before = AsBefore::of(&env);
    env.run(&["apply"])
        .fails_with(5)
        .says("the index of a channel could not be read")
        .says("Connection refused");
    before.holds();
}

#[test]
fn a_channel_that_no_folder_has_is_told() {
    let env = TestEnv::new();
    working(&env);
    env.spec(
        "lab",
        "channels: [tiny, no-such-channel]\ndependencies: [shared-lib]\n",
    );
    let before = AsBefore::of(&env);
    assert_output!(env.run(&["apply"]).fails_with(5));
    before.holds();
}

#[test]
fn a_root_so_deep_that_the_placeholder_does_not_fit_is_refused_before_anything_is_written() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib"]);
    let deep = env.path(&["0123456789"; 23].join("/"));
    let output = env
        .run(&["apply", "--root", deep.to_str().unwrap()])
        .fails_with(7);
    let output = output.says("bytes long; packages have room for 254");
    assert!(output.stderr.contains("choose a"), "{output}");
    assert!(!deep.exists());
    assert!(!env.work().join("envs/lab.lock").exists());
}

#[test]
fn a_file_in_place_of_the_root_is_told_and_stays() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib"]);
    fs_err::write(env.root(), "precious").unwrap();
    assert_output!(env.run(&["apply"]).fails_with(7));
    assert_eq!(fs_err::read_to_string(env.root()).unwrap(), "precious");
    assert!(!env.work().join("envs/lab.lock").exists());
}

#[test]
fn a_folder_in_place_of_the_link_is_told_and_stays() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib"]);
    let foreign = env.root().join("envs/lab/precious.txt");
    fs_err::create_dir_all(foreign.parent().unwrap()).unwrap();
    fs_err::write(&foreign, "precious").unwrap();
    assert_output!(env.run(&["apply"]).fails_with(7));
    assert_eq!(fs_err::read_to_string(&foreign).unwrap(), "precious");
}

/// A mount that goes away with its guard.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// Mounts with these arguments; `None`, told loudly, where that is not
    /// allowed.
    pub(crate) fn new(at: &Path, arguments: &[&str]) -> Option<Self> {
        fs_err::create_dir_all(at).unwrap();
        let output = Command::new("mount")
            .args(arguments)
            .arg(at)
            .output()
            .unwrap();
        if output.status.success() {
            return Some(Self(at.to_owned()));
        }
        skipped(&format!(
            "no mount: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ));
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let ended = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(
            ended.is_ok_and(|status| status.success()),
            "{} stays mounted",
            self.0.display()
        );
    }
}

#[test]
fn with_no_space_left_the_environment_is_as_it_was_and_the_half_is_gone() {
    let env = TestEnv::new();
    let Some(_mount) = Mount::new(&env.root(), &["-t", "tmpfs", "-o", "size=45m", "tmpfs"]) else {
        return;
    };
    env.tiny(&["shared-lib"]);
    env.run(&["apply"]).success();
    // Its archives would fit, and what they hold does not.
    env.spec(
        "lab",
        "channels: [tiny, conda-forge]\ndependencies: [shared-lib, python]\n",
    );
    let before = AsBefore::of(&env);
    let output = env.run(&["apply"]).fails_with(7).says("No space left");
    assert!(output.stderr.contains("df -h"), "{output}");
    before.holds();
    // The disk is usable again: what was half-made gives its space back.
    env.tiny(&["shared-lib", "executable"]);
    env.run(&["apply"]).success();
}

#[test]
fn a_root_that_may_not_be_written_is_told() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib"]);
    env.run(&["apply"]).success();
    let root = env.root();
    let text = root.to_str().unwrap();
    let Some(_mount) = Mount::new(&root, &["--bind", text]) else {
        return;
    };
    let output = Command::new("mount")
        .args(["-o", "remount,ro,bind", text])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    env.spec("lab", &tiny_spec(&["shared-lib", "executable"]));
    let before = AsBefore::of(&env);
    let output = env.run(&["apply"]).fails_with(7);
    assert!(output.stderr.contains("Read-only file system"), "{output}");
    assert!(output.stderr.contains("ENVSPEC_ROOT"), "{output}");
    before.holds();
    // Looking is still allowed.
    env.run(&["list"]).success();
}

#[test]
fn a_full_pipe_that_is_closed_is_no_error() {
    let env = TestEnv::new();
    let script = format!(
        "{} kernels list | true; echo ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_envspec")
    );
    let output = env
        .output(env.program("bash").args(["-c", &script]))
        .success();
    assert_eq!(output.stdout.trim(), "0", "{output}");
    assert!(output.stderr.is_empty(), "{output}");
}

#[test]
fn kernelspecs_that_cannot_be_written_leave_lock_and_current_generation_as_they_were() {
    let env = TestEnv::new();
    env.tiny(&["executable"]);
    env.run(&["apply"]).success();
    let (lock, prefix) = (env.lock("lab"), env.prefix("lab"));
    let kernels = env.user_kernels();
    // A home with room for one folder and one file.
    let Some(full) = Mount::new(&kernels, &["-t", "tmpfs", "-o", "nr_inodes=3", "tmpfs"]) else {
        return;
    };
    env.spec(
        "lab",
        "channels: [conda-forge, tiny]\ndependencies: [executable]\nkernels: [deno]\n",
    );
    env.run(&["apply"]).fails_with(7).says("No space left");
    assert_eq!(env.lock("lab"), lock);
    assert_eq!(env.prefix("lab"), prefix);
    assert_eq!(fs_err::read_dir(&kernels).unwrap().count(), 0);
    drop(full);
    env.run(&["apply"]).success();
    assert!(kernels.join("lab-deno/kernel.json").is_file());
}

#[test]
fn a_lock_that_lacks_a_kernels_package_is_refused_before_anything_is_built() {
    let env = TestEnv::new();
    let text = "channels: [conda-forge, tiny]\ndependencies: [executable]\n";
    env.spec("lab", text);
    env.run(&["lock"]).success();
    env.spec("lab", &format!("{text}kernels: [deno]\n"));
    env.run(&["apply", "--frozen"])
        .fails_with(3)
        .says("envs/lab.lock has no package deno, which the kernel deno needs");
    assert!(!env.root().join("gen").exists());
}

#[test]
fn a_receipt_that_cannot_be_read_is_in_no_other_environments_way() {
    let env = TestEnv::new();
    let lab = env.tiny(&["executable"]);
    env.run(&["apply", lab.to_str().unwrap()]).success();
    env.spec("other", &tiny_spec(&["shared-lib"]));
    env.run(&["apply", "envs/other.yaml"]).success();
    let bad = env.prefix("other").join(".envspec/receipt.json");
    fs_err::write(&bad, "{").unwrap();
    let list = env.run(&["list"]).success();
    assert!(list.stdout.contains("lab-"), "{list}");
    list.says("receipt.json can't be read");
    env.run(&["rollback", "lab"])
        .fails_with(2)
        .says("no earlier");
    env.run(&["rollback", "other"])
        .fails_with(2)
        .says("no earlier");
}
