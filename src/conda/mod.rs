//! Everything that conda already is: channels, solve, fetch, link, activation.
//!
//! This is the only room that names rattler's engines (gateway, solver,
//! installer, shell); the rest of envspec speaks in records and prefixes. It
//! knows nothing of generations or kernels: it is told a prefix and fills it.

mod activation;
mod bytecode;
mod channels;
mod checksum;
mod client;
mod conflict;
mod cost;
mod distributions;
mod elsewhere;
mod error;
mod extras;
mod history;
mod index;
mod install;
mod line;
mod packages;
mod progress;
mod refresh;
mod remedy;
mod settings;
mod solve;
mod sources;
mod update;
mod virtual_packages;

pub use activation::{Captured, capture_activation};
pub use bytecode::{Bytecode, Compile, compile_bytecode};
pub use channels::{ChannelNames, resolve_channels};
pub use client::{Network, http_client};
pub use conflict::{Conflict, Hidden, near};
pub use cost::cost;
pub use distributions::{Known, brings_distributions, distributions};
pub use elsewhere::Elsewhere;
pub use error::CondaError;
pub use extras::extras;
pub use history::write_history;
pub use install::{Install, Installed, install, package_cache};
pub use packages::Packages;
pub use progress::{Progress, Silent, Step};
pub use refresh::refresh_cache;
pub use remedy::{Remedy, Rewritten, Suggestion};
pub use settings::{Configuration, Said, Settings, SettingsError, Shown, Surroundings};
pub use solve::{Gateways, Line, Solution, Solve, solve_all};
pub use sources::{enter_built, fetch_source, unbuilt};
pub use update::Held;
pub use virtual_packages::{Lack, fits, lacks, virtual_packages};
