//! Between those who link packages and the one who collects unused ones.
//!
//! Who changes an environment has its lease before asking here; who collects
//! shuts the gate before looking at the leases. So of two that come at the same
//! time at least one sees the other: whoever changes something waits until the gate
//! is open, and whoever collects leaves the packages alone while somebody has a
//! lease. As all pass the gate, a collector that was suspended and taken for dead
//! sees by its gate alone that things may have changed.

use fs_err as fs;

use super::{Asker, Lease, refresh};
use crate::spec::EnvName;
use crate::store::{Root, StoreError};

/// Its name among the leases of the cache.
const GATE: &str = "packages";

/// Shuts the gate, until the lease is dropped: waits while it is another's who lives.
/// `tell` is told who.
pub async fn shut_gate(
    root: &Root,
    asker: &Asker<'_>,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Lease, StoreError> {
    // The cache has its own leases: no environment's name can be this one's.
    let name = EnvName::new(GATE).expect("it is a name");
    let granted = Lease::wait(&Root::new(root.packages()), &name, asker, tell).await?;
    if root.leases().is_dir() {
        refresh(&root.leases())?;
    }
    Ok(granted.lease)
}

/// Waits until the gate is open, and tells whether it was shut. The caller has a
/// lease already. One that a killed process left shut is opened, as any lease is
/// taken over.
pub async fn pass_gate(
    root: &Root,
    asker: &Asker<'_>,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<bool, StoreError> {
    let folder = Root::new(root.packages()).leases();
    fs::create_dir_all(&folder).map_err(StoreError::io("could not make", &folder))?;
    refresh(&folder)?;
    let file = folder.join(GATE);
    let mut was_shut = false;
    let is_open = || match file.symlink_metadata() {
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        Ok(_) => false,
    };
    while !is_open() {
        was_shut = true;
        drop(shut_gate(root, asker, tell).await?);
    }
    Ok(was_shut)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Asker, pass_gate, shut_gate};
    use crate::store::Root;

    #[tokio::test]
    async fn who_comes_to_a_shut_gate_waits_until_it_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        let asker = Asker {
            by: "me@here".to_owned(),
            host: "here",
            job: None,
            now: || "2026-01-01T00:00:00Z".to_owned(),
        };
        let quiet = |_: &str| {};
        assert!(!pass_gate(&root, &asker, &quiet).await.unwrap());
        let lease = shut_gate(&root, &asker, &quiet).await.unwrap();
        let passing = pass_gate(&root, &asker, &quiet);
        tokio::pin!(passing);
        let soon = Duration::from_millis(200);
        assert!(tokio::time::timeout(soon, &mut passing).await.is_err());
        drop(lease);
        passing.await.unwrap();
    }
}
