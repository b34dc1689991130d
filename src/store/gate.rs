//! Between those who link packages and the one who collects unused ones.
//!
//! Who changes an environment has its lease before asking here; who collects
//! shuts the gate before looking at the leases. So of two that come at the same
//! time at least one sees the other: an apply waits until the gate is open, and
//! whoever collects leaves the packages alone while somebody has a lease.

use std::time::{Duration, Instant};

use super::error::StoreError;
use super::layout::Root;
use super::lease::Lease;
use crate::spec::EnvName;

/// How long an apply waits. The gate is shut while names are changed, not while
/// files are deleted.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often it looks.
const EVERY: Duration = Duration::from_millis(20);

/// Shuts the gate, until the lease is dropped. `by` is `user@host`, `host` this
/// machine's name, `now` RFC 3339.
pub fn shut_gate(root: &Root, by: &str, host: &str, now: &str) -> Result<Lease, StoreError> {
    // The cache has its own leases: no environment's name can be this one's.
    let cache = Root::new(root.packages());
    let name = EnvName::new("packages").expect("it is a name");
    Lease::take(&cache, &name, by, host, now).map_err(|error| match error {
        StoreError::Busy { holder, path, .. } => StoreError::Collecting { holder, path },
        error => error,
    })
}

/// Waits until the gate is open. The caller has a lease already.
pub fn pass_gate(root: &Root, by: &str, host: &str, now: &str) -> Result<(), StoreError> {
    let file = Root::new(root.packages()).leases().join("packages");
    let started = Instant::now();
    while file.symlink_metadata().is_ok() {
        // One that was killed left it shut: whoever can take its lease opens it.
        match shut_gate(root, by, host, now) {
            Ok(lease) => drop(lease),
            Err(error) if started.elapsed() > PATIENCE => return Err(error),
            Err(StoreError::Collecting { .. }) => std::thread::sleep(EVERY),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::{pass_gate, shut_gate};
    use crate::store::{Root, StoreError};

    #[test]
    fn who_comes_to_a_shut_gate_waits_until_it_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        let (by, host, now) = ("me@here", "here", "2026-01-01T00:00:00Z");
        pass_gate(&root, by, host, now).unwrap();
        let lease = shut_gate(&root, by, host, now).unwrap();
        let refused = shut_gate(&root, by, host, now).unwrap_err();
        assert!(
            matches!(refused, StoreError::Collecting { .. }),
            "{refused}"
        );
        let passed = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                pass_gate(&root, by, host, now).unwrap();
                passed.store(true, Ordering::SeqCst);
            });
            std::thread::sleep(Duration::from_millis(200));
            assert!(!passed.load(Ordering::SeqCst));
            drop(lease);
        });
        assert!(passed.into_inner());
    }
}
