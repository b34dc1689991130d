//! The package cache: entries are whole or absent, read-only ones of others are
//! used and never written, and a group shares a root.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use crate::support::{Server, TestEnv, channels, skipped, tiny_spec, tree};

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

/// envspec as another user of this machine, with a home of its own.
struct Member<'e> {
    env: &'e TestEnv,
    uid: u32,
    groups: String,
}

impl<'e> Member<'e> {
    /// `None`, told loudly, where this process can't become others.
    fn new(env: &'e TestEnv, uid: u32, groups: &[u32]) -> Option<Self> {
        if !rustix::process::getuid().is_root() {
            skipped("other users: only root can be them");
            return None;
        }
        let groups: Vec<_> = groups.iter().map(u32::to_string).collect();
        let member = Self {
            env,
            uid,
            groups: match groups.as_slice() {
                [] => "--clear-groups".to_owned(),
                groups => format!("--groups={}", groups.join(",")),
            },
        };
        let mode = std::fs::Permissions::from_mode(0o755);
        fs_err::set_permissions(env.path("."), mode).unwrap();
        for folder in ["envs", "tmp"] {
            fs_err::create_dir_all(member.home().join(folder)).unwrap();
        }
        member.own(&member.home());
        Some(member)
    }

    fn home(&self) -> std::path::PathBuf {
        self.env.path(&format!("home-{}", self.uid))
    }

    fn own(&self, path: &Path) {
        let pair = format!("{0}:{0}", self.uid);
        let owned = Command::new("chown").args(["-R", &pair]).arg(path).status();
        assert!(owned.unwrap().success());
    }

    fn spec(&self, text: &str) {
        fs_err::write(self.home().join("envs/lab.yaml"), text).unwrap();
        self.own(&self.home());
    }

    /// Arguments for `sh -c 'umask …; exec envspec …'`.
    fn command(&self, root: &Path, umask: &str, arguments: &str) -> Command {
        let known = self.env.command(&[]);
        let program = known.get_program().to_str().unwrap();
        let words = format!("umask {umask}; exec {program} {arguments}");
        let mut command = Command::new("setpriv");
        let number = self.uid;
        command
            .args([format!("--reuid={number}"), format!("--regid={number}")])
            .args([&self.groups, "sh", "-c", &words])
            .env_clear()
            .envs(
                known
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .env("HOME", self.home())
            .env("TMPDIR", self.home().join("tmp"))
            .env("USER", format!("member{number}"))
            .env("ENVSPEC_ROOT", root)
            .current_dir(self.home());
        command
    }
}

const GROUP: u32 = 61_000;

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
    let root = env.root();
    fs_err::create_dir(&root).unwrap();
    std::os::unix::fs::chown(&root, None, Some(GROUP)).unwrap();
    fs_err::set_permissions(&root, std::fs::Permissions::from_mode(0o2775)).unwrap();
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
    let text = fs_err::read_to_string(root.join("envs/lab").join(TEXT)).unwrap();
    assert_eq!(text, "shared-lib 2.0\n");
    for (path, _) in tree(&root) {
        let metadata = path.symlink_metadata().unwrap();
        assert_eq!(metadata.gid(), GROUP, "{}", path.display());
        if metadata.is_dir() && !path.starts_with(root.join("index")) {
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
    let own: Vec<_> = fs_err::read_dir(mine.join("pkgs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            Path::new(name)
                .extension()
                .is_none_or(|ending| ending != "lock")
        })
        .collect();
    assert_eq!(own, ["executable-1.0-0"]);
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
