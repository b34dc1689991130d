//! Jupyter on this machine: kernelspecs in the user's folder, and kernels
//! started to see that they work.
//!
//! What a kernelspec has to say is [`crate::kernel`]'s; the server is
//! started by a session, not here.

mod channels;
mod client;
#[cfg(test)]
mod fake_kernel;
mod place;
mod probe;
#[cfg(test)]
mod probe_tests;
mod process;
mod registration;
#[cfg(test)]
mod registration_tests;

pub use place::{Home, scrubbed_environment, user_kernels_dir};
pub use probe::{
    Ending, KernelTest, KernelTestRequest, Limits, Step, StepOutcome, TestFailure, test_kernel,
};
pub use registration::{
    MayReplace, Owner, Registered, RegistrationError, Resource, Staged, observed, read_resources,
    replaced, stage, unregister,
};
