//! Leases, tried for by threads and by processes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use fs_err as fs;

use super::{Asker, Holder, Lease, right_to_replace};
use crate::spec::EnvName;
use crate::store::{Root, StoreError};

const NOW: &str = "2026-01-01T00:00:00Z";

/// Tells a process of [`one_process_of_many`] its root.
const ROOT_OF_MANY: &str = "ENVSPEC_TEST_LEASES";

fn take(root: &Root, host: &str) -> Result<Lease, StoreError> {
    let name = EnvName::new("lab").unwrap();
    let asker = Asker {
        by: format!("me@{host}"),
        host,
        job: None,
        now: || NOW.to_owned(),
    };
    Lease::take(root, &name, &asker)
}

fn held_by(root: &Root, host: &str, pid: u32) {
    write_lease(
        root,
        &Holder {
            pid,
            boot: None,
            started: None,
            ..Holder::this_process(&format!("other@{host}"), host, NOW)
        },
    );
}

fn write_lease(root: &Root, holder: &Holder) {
    fs::create_dir_all(root.leases()).unwrap();
    let text = holder.new_lease().unwrap();
    fs::write(root.leases().join("lab"), text).unwrap();
}

/// The number of a process that has ended and was waited for.
fn dead_process() -> u32 {
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

fn files(folder: &Path) -> Vec<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn a_lease_is_held_once_and_given_back_when_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::new(folder.path().to_owned());
    let first = take(&root, "here").unwrap();
    let refused = take(&root, "here").unwrap_err().to_string();
    assert!(refused.contains("me@here"), "{refused}");
    assert!(refused.contains(NOW), "{refused}");
    drop(first);
    take(&root, "here").unwrap();
    assert_eq!(files(&root.leases()), [""; 0]);
}

#[test]
fn a_dead_holder_of_this_machine_is_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::new(folder.path().to_owned());
    held_by(&root, "here", dead_process());
    let lease = take(&root, "here").unwrap();
    assert_eq!(files(&root.leases()), ["lab"]);
    take(&root, "here").unwrap_err();
    drop(lease);
    assert_eq!(files(&root.leases()), [""; 0]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_dead_holder_whose_number_a_living_process_has_is_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::new(folder.path().to_owned());
    let mut holder = Holder::this_process("other@here", "here", NOW);
    write_lease(&root, &holder);
    take(&root, "here").unwrap_err();
    holder.started = holder.started.map(|ticks| ticks + 1);
    write_lease(&root, &holder);
    take(&root, "here").unwrap();
}

#[test]
fn a_holder_of_another_machine_is_believed_whatever_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::new(folder.path().to_owned());
    held_by(&root, "there", dead_process());
    assert!(matches!(
        take(&root, "here").unwrap_err(),
        StoreError::Busy { .. }
    ));
}

#[test]
fn who_was_thrown_out_leaves_the_next_ones_lease_alone() {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::new(folder.path().to_owned());
    let thrown_out = take(&root, "here").unwrap();
    fs::remove_file(root.leases().join("lab")).unwrap();
    let next = take(&root, "here").unwrap();
    drop(thrown_out);
    take(&root, "here").unwrap_err();
    drop(next);
    take(&root, "here").unwrap();
}

#[test]
fn who_finds_the_dead_one_replaced_after_all_leaves_the_living_one_there() {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::new(folder.path().to_owned());
    held_by(&root, "here", dead_process());
    let path = root.leases().join("lab");
    let dead = fs::read_to_string(&path).unwrap();
    // Another is at it right now.
    let me = Holder::this_process("quicker@here", "here", NOW);
    let right = right_to_replace(&path, &dead);
    fs::write(&right, me.new_lease().unwrap()).unwrap();
    let refused = take(&root, "here").unwrap_err().to_string();
    assert!(refused.contains("quicker@here"), "{refused}");
    assert_eq!(fs::read_to_string(&path).unwrap(), dead);
    // And was killed at it.
    let killed = Holder {
        pid: dead_process(),
        started: None,
        ..me
    };
    fs::write(&right, killed.new_lease().unwrap()).unwrap();
    let lease = take(&root, "here").unwrap();
    assert_eq!(files(&root.leases()), ["lab"]);
    drop(lease);
}

#[test]
fn of_many_threads_that_find_a_dead_holder_at_once_one_takes_over() {
    const THREADS: usize = 6;
    let folder = tempfile::tempdir().unwrap();
    let root = Root::new(folder.path().to_owned());
    let dead = dead_process();
    for round in 0..100 {
        held_by(&root, "here", dead);
        let (start, end) = (Barrier::new(THREADS), Barrier::new(THREADS));
        let holding = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        let taken = take(&root, "here");
                        end.wait();
                        usize::from(taken.is_ok())
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum::<usize>()
        });
        assert_eq!(holding, 1, "round {round}");
        assert_eq!(files(&root.leases()), [""; 0]);
    }
}

#[test]
fn of_many_processes_never_two_hold_it_though_each_dies_with_it() {
    const PROCESSES: usize = 8;
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..PROCESSES {
            scope.spawn(|| {
                // Waited for at once: the dead must be gone, not undead.
                let output = Command::new(std::env::current_exe().unwrap())
                    .args(["--ignored", "--exact", "--nocapture"])
                    .arg("store::lease::tests::one_process_of_many")
                    .env(ROOT_OF_MANY, folder.path())
                    .stdin(Stdio::null())
                    .output()
                    .unwrap();
                assert!(output.status.success(), "{output:?}");
            });
        }
    });
    let done = fs::read_to_string(folder.path().join("done")).unwrap();
    assert_eq!(done.lines().count(), PROCESSES);
}

#[test]
#[ignore = "is run by another test"]
fn one_process_of_many() {
    let Some(folder) = std::env::var_os(ROOT_OF_MANY) else {
        return;
    };
    let folder = Path::new(&folder);
    let root = Root::new(folder.to_owned());
    let deadline = Instant::now() + Duration::from_mins(1);
    let lease = loop {
        match take(&root, "here") {
            Ok(lease) => break lease,
            Err(StoreError::Busy { .. }) => assert!(Instant::now() < deadline, "never free"),
            Err(error) => panic!("{error}"),
        }
    };
    let inside = folder.join("inside");
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&inside)
        .expect("nobody else is inside");
    std::thread::sleep(Duration::from_millis(5));
    let done = folder.join("done");
    let before = fs::read_to_string(&done).unwrap_or_default();
    fs::write(&done, format!("{before}{}\n", std::process::id())).unwrap();
    fs::remove_file(&inside).unwrap();
    // As if it was killed now.
    std::mem::forget(lease);
}
