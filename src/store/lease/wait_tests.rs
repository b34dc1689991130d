//! Waiting for a lease, and losing one. The rhythm is quick here, the rest is the
//! product's.

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use fs_err as fs;

use super::heartbeat::Rhythm;
use super::{Asker, Granted, Holder, Lease};
use crate::spec::EnvName;
use crate::store::{Root, StoreError};

const QUICK: Rhythm = Rhythm {
    every: Duration::from_millis(20),
    expires: Duration::from_millis(300),
};

fn asker(host: &str) -> Asker<'_> {
    Asker {
        by: format!("me@{host}"),
        host,
        job: Some("77"),
        now: || "2026-01-01T00:00:00Z".to_owned(),
    }
}

/// A world with a root, and who was told of.
struct World {
    folder: tempfile::TempDir,
    root: Root,
    name: EnvName,
    told: Mutex<Vec<String>>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            root: Root::new(folder.path().to_owned()),
            folder,
            name: EnvName::new("lab").unwrap(),
            told: Mutex::new(Vec::new()),
        }
    }

    async fn wait(&self, host: &str) -> Result<Granted, StoreError> {
        let tell = |holder: &str| self.told.lock().unwrap().push(holder.to_owned());
        Lease::wait_in(QUICK, &self.root, &self.name, &asker(host), &tell).await
    }

    fn lease(&self) -> std::path::PathBuf {
        self.folder.path().join("leases/lab")
    }

    /// A lease of a process of another machine, which nobody here can ask about.
    fn held_there(&self, since: &str, expires_ms: Option<u64>) -> String {
        let holder = Holder {
            expires_ms,
            ..Holder::this_process("other@there", "there", since)
        };
        let text = holder.new_lease().unwrap();
        fs::create_dir_all(self.root.leases()).unwrap();
        fs::write(self.lease(), &text).unwrap();
        text
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.root.leases())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn who_waits_is_told_once_for_whom_and_gets_it_when_it_is_free() {
    let world = World::new();
    let first = world.wait("there").await.unwrap();
    assert!(!first.waited);
    let free = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(first);
    };
    let (second, ()) = tokio::join!(world.wait("here"), free);
    assert!(second.unwrap().waited);
    let told = world.told.lock().unwrap();
    let [told] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert!(told.contains("me@there (process "), "{told}");
    assert!(told.contains(", job 77) since 2026-01-01"), "{told}");
    assert_eq!(world.files(), [""; 0]);
}

#[tokio::test]
async fn a_holder_of_another_machine_that_beats_is_believed_for_as_long_as_it_does() {
    let world = World::new();
    let first = world.wait("there").await.unwrap();
    let waiting = tokio::time::timeout(QUICK.expires * 3, world.wait("here")).await;
    assert!(waiting.is_err(), "it was taken over from a living holder");
    first.lease.confirm().unwrap();
    drop(first);
    assert_eq!(world.files(), [""; 0], "beat and lease go together");
}

#[tokio::test]
async fn a_silent_holder_of_another_machine_is_taken_over_whatever_its_clock_says() {
    for since in ["2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "no time"] {
        let world = World::new();
        let text = world.held_there(since, Some(300));
        // It beat once, long ago.
        fs::write(super::heartbeat::beat_path(&world.lease(), &text), "41").unwrap();
        let started = Instant::now();
        let granted = world.wait("here").await.unwrap();
        assert!(started.elapsed() >= Duration::from_millis(300), "too early");
        assert!(granted.waited);
        granted.lease.confirm().unwrap();
        assert!(world.told.lock().unwrap()[0].contains(since));
        drop(granted);
        assert_eq!(world.files(), [""; 0], "its beat is gone too");
    }
}

#[tokio::test]
async fn one_that_was_killed_while_it_took_over_is_taken_over_too() {
    let world = World::new();
    let dead = world.held_there("2026-01-01T00:00:00Z", Some(100));
    let right = super::right_to_replace(&world.lease(), &dead);
    let other = Holder {
        expires_ms: Some(100),
        ..Holder::this_process("quicker@third", "third", "2026-01-01T00:00:00Z")
    };
    fs::write(&right, other.new_lease().unwrap()).unwrap();
    let granted = world.wait("here").await.unwrap();
    assert!(world.told.lock().unwrap()[1].contains("quicker@third"));
    drop(granted);
    assert_eq!(world.files(), [""; 0]);
}

#[tokio::test]
async fn one_that_does_not_say_when_it_expires_is_believed_for_ever() {
    let world = World::new();
    world.held_there("2020-01-01T00:00:00Z", None);
    let waiting = tokio::time::timeout(Duration::from_millis(900), world.wait("here")).await;
    assert!(waiting.is_err());
}

#[tokio::test]
async fn a_lease_without_a_name_in_it_is_taken_over_once_it_was_silent() {
    let world = World::new();
    fs::create_dir_all(world.root.leases()).unwrap();
    fs::write(world.lease(), "").unwrap();
    let started = Instant::now();
    let granted = world.wait("here").await.unwrap();
    assert!(started.elapsed() >= QUICK.expires, "too early");
    granted.lease.confirm().unwrap();
    assert_eq!(world.told.lock().unwrap()[0], "another process");
    drop(granted);
    assert_eq!(world.files(), [""; 0]);
}

#[tokio::test]
async fn who_was_taken_over_notices_at_its_next_beat_and_when_it_asks() {
    let world = World::new();
    let lease = world.wait("here").await.unwrap().lease;
    lease.confirm().unwrap();
    let text = fs::read_to_string(world.lease()).unwrap();
    world.held_there("2026-02-02T00:00:00Z", Some(300));
    let refused = lease.confirm().unwrap_err();
    assert!(matches!(refused, StoreError::Overtaken { .. }), "{refused}");
    assert!(refused.to_string().contains("other@there"), "{refused}");
    let noticed = tokio::time::timeout(Duration::from_secs(5), lease.lost()).await;
    assert!(matches!(noticed, Ok(StoreError::Overtaken { .. })));
    let theirs = fs::read_to_string(world.lease()).unwrap();
    assert_ne!(theirs, text);
    drop(lease);
    assert_eq!(fs::read_to_string(world.lease()).unwrap(), theirs);
}

#[tokio::test]
async fn a_lease_that_somebody_removed_is_no_longer_held() {
    let world = World::new();
    let lease = world.wait("here").await.unwrap().lease;
    fs::remove_file(world.lease()).unwrap();
    let refused = lease.confirm().unwrap_err().to_string();
    assert!(refused.contains("removed"), "{refused}");
}

#[tokio::test]
async fn two_environments_of_one_root_do_not_wait_for_each_other() {
    let world = World::new();
    let other = EnvName::new("other").unwrap();
    let _other = Lease::take(&world.root, &other, &asker("here")).unwrap();
    let granted = world.wait("here").await.unwrap();
    assert!(!granted.waited);
    assert!(Path::new(&world.lease()).exists());
}
