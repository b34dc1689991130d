//! Asking for a lease, and waiting for it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::heartbeat::{Rhythm, Silence};
use super::holder::Holder;
use super::{Lease, Taken, place, take_file};
use crate::spec::EnvName;
use crate::store::Root;
use crate::store::StoreError;

/// The first look after one that found the lease held; each further one is later,
/// up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(30);

/// Between two looks at most: a look is two small files of a server that others
/// use too.
const LONGEST: Duration = Duration::from_secs(1);

/// Who asks for the lease of which environment.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Where.
    pub root: &'a Root,
    /// Of which environment.
    pub environment: &'a EnvName,
    /// `user@host`.
    pub by: &'a str,
    /// This machine's name.
    pub host: &'a str,
    /// The Slurm job that this process is part of.
    pub job: Option<&'a str>,
    /// The time, RFC 3339.
    pub now: fn() -> String,
}

/// A lease, after some time perhaps.
#[derive(Debug)]
pub struct Granted {
    /// The lease.
    pub lease: Lease,
    /// Whether it was another's at first: then what was known before may be true
    /// no more.
    pub waited: bool,
}

impl Claim<'_> {
    /// Waits for the lease, for as long as its holder lives. `tell` is told who
    /// has it, and again when that is another.
    pub async fn wait(&self, tell: &(dyn Fn(&str) + Sync)) -> Result<Granted, StoreError> {
        self.wait_in(Rhythm::default(), tell).await
    }

    /// The same, in a given rhythm.
    pub(super) async fn wait_in(
        &self,
        rhythm: Rhythm,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<Granted, StoreError> {
        let path = place(self.root, self.environment)?;
        let mut told = None;
        let mut silence = Silence::default();
        let mut silent = BTreeSet::new();
        let mut pause = SHORTEST;
        loop {
            let me = Holder {
                job: self.job.map(str::to_owned),
                ..Holder::this_process(self.by, self.host, &(self.now)())
            };
            let theirs = match take_file(path.clone(), &me, rhythm, &silent)? {
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
