//! A power cut: what a file system holds at the instant when it stops.
//!
//! A generation is built on an ext4 file system of its own, in a file. As the link is
//! about to be switched, `strace` stops the run (SIGSTOP, not SIGKILL: nothing is
//! closed). The receipt, which was renamed into its place a moment before, is flushed
//! then, so that its name is on the disk if it would ever be; and the file is copied.
//! The copy is mounted elsewhere, the journal is replayed, and who finds the receipt
//! there must find every file that it speaks of, with its content.
//!
//! What this proves: with the receipt on the disk, all that it speaks of is. What not:
//! other instants, a disk that reorders or loses what it has acknowledged, and other
//! file systems than ext4.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{TestEnv, can_trace, have, skipped, soon};

/// A mounted image; unmounted when dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(image: &Path, at: PathBuf) -> Option<Self> {
        fs_err::create_dir_all(&at).unwrap();
        let mount = Command::new("mount")
            // Nothing reaches the image by itself within a minute.
            .args(["-o", "loop,commit=300"])
            .arg(image)
            .arg(&at)
            .output()
            .unwrap();
        if !mount.status.success() {
            let why = String::from_utf8_lossy(&mount.stderr).into_owned();
            skipped(&format!("no image can be mounted here: {why}"));
            return None;
        }
        Some(Self(at))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

/// How many generations have a receipt below a root; each of their files is what the
/// manifest or its package says.
fn whole(env: &TestEnv, root: &Path) -> usize {
    let Ok(entries) = fs_err::read_dir(root.join("gen")) else {
        return 0;
    };
    let generations: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|prefix| prefix.join(".envspec/receipt.json").exists())
        .collect();
    for prefix in &generations {
        let manifest = fs_err::read_to_string(prefix.join(".envspec/manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        for (path, wanted) in manifest.as_object().unwrap() {
            let wanted = wanted.as_str().unwrap();
            if let Some(digest) = wanted.strip_prefix("sha256:") {
                let mut sum = env.program("sha256sum");
                let said = env.output(sum.arg(prefix.join(path))).success().stdout;
                assert!(said.starts_with(digest), "{path} is not whole: {said}");
            }
        }
        let mut compared = 0;
        for record in fs_err::read_dir(prefix.join("conda-meta")).unwrap() {
            let record = record.unwrap().path();
            if record.extension().is_none_or(|ending| ending != "json") {
                continue;
            }
            let record = fs_err::read_to_string(record).unwrap();
            let record: serde_json::Value = serde_json::from_str(&record).unwrap();
            for file in record["paths_data"]["paths"].as_array().unwrap() {
                let of_prefix = &file["sha256_in_prefix"];
                let wanted = of_prefix.as_str().or(file["sha256"].as_str());
                if file["path_type"] != "hardlink" {
                    continue;
                }
                let path = prefix.join(file["_path"].as_str().unwrap());
                let mut sum = env.program("sha256sum");
                let said = env.output(sum.arg(&path)).success().stdout;
                assert!(said.starts_with(wanted.unwrap()), "{}", path.display());
                compared += 1;
            }
        }
        assert!(compared > 2, "{compared}");
    }
    generations.len()
}

#[test]
fn after_a_power_cut_a_generation_with_a_receipt_is_whole() {
    if !(can_trace() && have("mkfs.ext4") && have("mount")) {
        return;
    }
    let mut env = TestEnv::new();
    let image = env.path("image");
    let file = fs_err::File::create(&image).unwrap();
    file.set_len(64 << 20).unwrap();
    let mut format = env.program("mkfs.ext4");
    env.output(format.arg("-q").arg(&image)).success();
    let at = env.path("disk");
    let Some(disk) = Mounted::new(&image, at.clone()) else {
        return;
    };
    env.set("ENVSPEC_ROOT", at.join("root").to_str().unwrap());
    env.tiny(&["shared-lib 2.0", "symlink", "executable"]);

    // The run stops as the link is to be switched: the receipt is there.
    let apply = env.command(&["apply"]);
    let mut traced = env.program("strace");
    traced
        .args(["-f", "-qq", "-o", "/dev/null", "-P"])
        .arg(at.join("root/envs/.lab.new"))
        .args(["-e", "inject=symlinkat,symlink:signal=STOP:when=1"])
        .arg(apply.get_program())
        .args(apply.get_args());
    for (name, value) in apply.get_envs() {
        traced.env(name, value.unwrap());
    }
    let mut child = traced.spawn().unwrap();
    soon("the receipt", || {
        let entry = fs_err::read_dir(at.join("root/gen")).ok()?.next()?.ok()?;
        entry
            .path()
            .join(".envspec/receipt.json")
            .exists()
            .then_some(())
    });
    // The journal is written out with the receipt's name in it, and of the contents
    // only what the run flushed: ext4 allocates late, so all else is empty there.
    let receipt = fs_err::read_dir(at.join("root/gen"))
        .unwrap()
        .next()
        .unwrap();
    let mut sync = env.program("sync");
    sync.arg(receipt.unwrap().path().join(".envspec/receipt.json"));
    env.output(&mut sync).success();
    let copy = env.path("copy");
    fs_err::copy(&image, &copy).unwrap();
    let after = Mounted::new(&copy, env.path("after")).expect("the first could be mounted");
    assert_eq!(
        whole(&env, &after.0.join("root")),
        1,
        "the receipt was not flushed"
    );
    drop(child.kill());
    drop(child.wait());
    drop(after);
    drop(disk);
}
