//! Between those who link packages and the one who collects unused ones.
//!
//! Who changes an environment has its lease before asking here; who collects
//! shuts the gate before looking at the leases. So of two that come at the same
//! time at least one sees the other: an apply waits until the gate is open, and
//! whoever collects leaves the packages alone while somebody has a lease.

use super::Lease;
use super::claim::Claim;
use crate::spec::EnvName;
use crate::store::Root;
use crate::store::StoreError;

/// Shuts the gate, until the lease is dropped: waits while it is another's who lives.
/// `claim` says who asks; its environment does not matter.
pub async fn shut_gate(
    claim: &Claim<'_>,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Lease, StoreError> {
    // The cache has its own leases: no environment's name can be this one's.
    let name = EnvName::new("packages").expect("it is a name");
    let cache = Root::new(claim.root.packages());
    let gate = Claim {
        root: &cache,
        environment: &name,
        ..*claim
    };
    Ok(gate.wait(tell).await?.lease)
}

/// Waits until the gate is open. The caller has a lease already. One that a killed
/// process left shut is opened, as any lease is taken over.
pub async fn pass_gate(claim: &Claim<'_>, tell: &(dyn Fn(&str) + Sync)) -> Result<(), StoreError> {
    let file = Root::new(claim.root.packages()).leases().join("packages");
    while file.symlink_metadata().is_ok() {
        drop(shut_gate(claim, tell).await?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Claim, pass_gate, shut_gate};
    use crate::spec::EnvName;
    use crate::store::Root;

    #[tokio::test]
    async fn who_comes_to_a_shut_gate_waits_until_it_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        let claim = Claim {
            root: &root,
            environment: &EnvName::new("lab").unwrap(),
            by: "me@here",
            host: "here",
            job: None,
            now: || "2026-01-01T00:00:00Z".to_owned(),
        };
        let quiet = |_: &str| {};
        pass_gate(&claim, &quiet).await.unwrap();
        let lease = shut_gate(&claim, &quiet).await.unwrap();
        let passing = pass_gate(&claim, &quiet);
        tokio::pin!(passing);
        let soon = Duration::from_millis(200);
        assert!(tokio::time::timeout(soon, &mut passing).await.is_err());
        drop(lease);
        passing.await.unwrap();
    }
}
