//! What long work tells about itself, without knowing who listens.
//!
//! The people's side draws bars from it; a test or a `--quiet` run listens
//! with [`Silent`].

/// A stage of the work that has a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Another process is waited for; no total is known.
    Wait,
    /// The index of the channels is brought up to date; no total is known.
    Index,
    /// The solver runs; no total is known.
    Solve,
    /// Packages are downloaded; counted in bytes of archives.
    Fetch,
    /// Packages are linked into the prefix; counted in packages.
    Link,
    /// Packages in the cache are compared with their archives' hashes; counted in
    /// packages.
    Cache,
    /// Sources get their bytecode; counted in packages.
    Compile,
    /// A generation is compared with what it should be; counted in bytes.
    Verify,
    /// Nix evaluates, fetches or builds; no total is known.
    Nix,
    /// Kernels are set up, or tested; counted in kernels.
    Kernels,
    /// What was collected is deleted; counted in files.
    Delete,
}

/// Listens to the progress of long work; called from many threads.
pub trait Progress: Send + Sync {
    /// A step begins; `total` is 0 where it isn't known. Said again, the new
    /// total is added: downloads learn their sizes one by one.
    fn begin(&self, step: Step, total: u64);
    /// A part of the step is done.
    fn advance(&self, step: Step, by: u64);
    /// The step is over.
    fn end(&self, step: Step);
}

/// Listens and says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _step: Step, _total: u64) {}
    fn advance(&self, _step: Step, _by: u64) {}
    fn end(&self, _step: Step) {}
}
