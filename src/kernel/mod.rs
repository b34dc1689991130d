//! Kernels: what the catalogue knows of them, and what a `kernel.json` has to
//! say so that Jupyter starts one in the right prefix with the right
//! environment.
//!
//! Nothing here reads a folder or starts a program: the texts, the captured
//! environments and the answer to "is there such an executable?" are given in.
//! Putting a kernelspec where Jupyter finds it is [`crate::jupyter`]'s.

mod activation;
mod adoption;
mod apart;
mod catalogue;
mod definition;
#[cfg(test)]
mod definition_tests;
mod from_store;
mod installable;
mod judge;
#[cfg(test)]
mod judge_tests;
mod kernelspec;
#[cfg(test)]
mod kernelspec_tests;
mod language;
mod limits;
mod mark;
mod personal;
mod rewrite;
mod seen;
mod source;
mod template;
mod wrapper;

pub use activation::ActivationDelta;
pub use adoption::Adoption;
pub use catalogue::{Catalogue, UnknownKernel};
pub use definition::{
    DefinitionError, Interrupt, KernelDefinition, KernelId, KernelPackage, Smoke, State,
};
pub use from_store::FromStore;
pub use installable::{Installable, StorePath};
pub use judge::{Fault, Mending, Verdict, judge, mending};
pub use kernelspec::{InterruptMode, KernelSpec, KernelSpecError};
pub use language::is_language;
pub use mark::{KERNELSPEC_MARK_VERSION, Mark, RegisteredName, RegisteredNameError};
pub use personal::{Personal, below_home, installers};
pub use rewrite::Rewrite;
pub use seen::{MarkedRoot, Place, Program, Seen};
pub use source::{Argv, Installer, KernelDir, KernelspecSource};
pub use template::{escape, substitute};
pub use wrapper::{Wrapped, Wrapper};
