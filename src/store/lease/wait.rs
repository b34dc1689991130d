//! Waiting for a lease.

use std::collections::BTreeSet;
use std::time::Duration;

use super::heartbeat::{Rhythm, Silence};
use super::{Asker, Lease, Taken, place, take_file};
use crate::spec::EnvName;
use crate::store::{Root, StoreError};

/// The first look after one that found the lease held; each further one is later,
/// up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(30);

/// Between two looks at most: a look is two small files of a server that others
/// use too.
const LONGEST: Duration = Duration::from_secs(1);

/// A lease, after some time perhaps.
#[derive(Debug)]
pub struct Granted {
    /// The lease.
    pub lease: Lease,
    /// Whether it was another's at first: then what was known before may be true
    /// no more.
    pub waited: bool,
}

impl Lease {
    /// Takes the lease of an environment; waits for it for as long as another holder
    /// lives. `tell` is told who has it, and again when that is another.
    pub async fn wait(
        root: &Root,
        name: &EnvName,
        asker: &Asker<'_>,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<Granted, StoreError> {
        Self::wait_in(Rhythm::default(), root, name, asker, tell).await
    }

    /// The same, in a given rhythm.
    pub(super) async fn wait_in(
        rhythm: Rhythm,
        root: &Root,
        name: &EnvName,
        asker: &Asker<'_>,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<Granted, StoreError> {
        let path = place(root, name)?;
        let mut told = None;
        let mut silence = Silence::default();
        let mut silent = BTreeSet::new();
        let mut pause = SHORTEST;
        loop {
            let theirs = match take_file(path.clone(), &asker.holder(), rhythm, &silent)? {
                Taken::Mine(lease) => {
                    let lease = lease.beating(rhythm)?;
                    let waited = told.is_some();
                    return Ok(Granted { lease, waited });
                }
                Taken::Theirs(theirs) => theirs,
            };
            if told.as_ref() != Some(&theirs.holder) {
                tell(&theirs.holder);
                told = Some(theirs.holder);
            }
            if let Some(text) = theirs.text {
                let for_long = silence.look(&theirs.path, &text, pause);
                if theirs.expires.is_some_and(|expires| for_long >= expires) {
                    silent.insert(text);
                    continue;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST);
        }
    }
}
