//! Jupyter on this machine: kernelspecs in the user's folder, and kernels
//! started to see that they work; where Jupyter looks for kernelspecs, and what
//! it finds there.
//!
//! What a kernelspec has to say is [`crate::kernel`]'s; the server is
//! started by a session, not here.

mod channels;
mod client;
#[cfg(test)]
mod fake_kernel;
mod look;
mod mend;
mod place;
mod probe;
#[cfg(test)]
mod probe_tests;
mod process;
mod process_group;
mod program;
mod registration;
#[cfg(test)]
mod registration_tests;
mod search_path;

pub use look::{Survey, look};
pub use mend::{move_aside, rewrite};
pub use place::{Home, scrubbed_environment, user_kernels_dir};
pub use probe::{
    Ending, KernelTest, KernelTestRequest, Limits, Step, StepOutcome, TestFailure, test_kernel,
};
pub use process_group::{Ended, ProcessGroup};
pub use program::{is_executable, is_prefix, program_of, which};
pub use registration::{
    MayReplace, Owner, Registered, RegistrationError, Resource, Staged, observed, read_resources,
    replaced, stage, unregister,
};
pub use search_path::{SearchPath, Server, ServerPrefix, prefers_own};
