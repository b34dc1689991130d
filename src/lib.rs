//! envspec: one YAML file in git becomes a Jupyter with its kernels on a shared
//! cluster, and the recipe to reach it.
//!
//! # The line
//!
//! **spec → lock → plan → generation → kernelspecs → recipe.** Every command
//! walks a part of it, and there is no other way. A *spec* is an
//! `environment.yml` that knows kernels; the *lock* beside it is a pixi.lock
//! with the inputs it was made from at its head; the *plan* is a list of typed
//! actions; a *generation* is a conda prefix that is never changed once its
//! receipt is written; *current* is a link, switched by one rename.
//!
//! # The house
//!
//! Rooms import downwards only: people → world → pure. A test holds them to it
//! (`tests/architecture.rs`).
//!
//! | room | what it is for | kind |
//! |---|---|---|
//! | [`spec`] | the file: text with spans → [`spec::EnvSpec`]; edits that keep comments | pure |
//! | [`kernel`] | kernel definitions, `kernel.json`, what activation changes | pure |
//! | [`site`] | clusters: hops, partitions, storage, policy | pure |
//! | [`lock`] | the lock, whether it is stale, what differs | pure |
//! | [`plan`] | desired and observed state → typed actions | pure |
//! | [`recipe`] | start script, ssh config, tunnel, documents | pure |
//! | [`conda`] | channels, solve, fetch, link, activation: the only room that names rattler's engines | world |
//! | [`pip`] | what the `pip:` section asks for, resolved by uv | world |
//! | [`store`] | generations, receipts, the switch, history, leases, space, what is deleted | world |
//! | [`jupyter`] | kernelspecs in the user's folder, a client that runs a cell | world |
//! | [`apply`] | the order of it all | world |
//! | [`cluster`] | commands here or through ssh hops; what the scheduler says | world |
//! | [`session`] | running servers: started, found, reached, ended | world |
//! | [`cli`] | one file a command, output, errors, progress | people |
//!
//! # What is absent, on purpose
//!
//! * Pure rooms touch no disk, network, process, clock or environment, and
//!   cannot fail but for bad input.
//! * No room looks a variable of the environment up but [`cli`]; the others are
//!   told. What libraries read for themselves (`CONDA_OVERRIDE_*`, proxies,
//!   TMPDIR) is theirs.
//! * Only [`conda`] knows rattler's gateway, solver, installer and shell; the
//!   record types are common speech.
//! * Nothing is printed outside [`cli`]; long work speaks through
//!   [`conda::Progress`].
//! * No text of a spec, a site or a kernel definition is ever read by a shell:
//!   what goes into a script is quoted by type (`recipe::Word`), what is run is
//!   an argv.
//!
//! # Where to start reading
//!
//! `src/apply/mod.rs` is the story; `src/plan/action.rs` is its plot;
//! `src/cli/commands/apply.rs` is what a user sees of it.

pub mod apply;
pub mod cli;
pub mod cluster;
pub mod conda;
pub mod jupyter;
pub mod kernel;
pub mod lock;
pub mod pip;
pub mod plan;
pub mod recipe;
pub mod session;
pub mod site;
pub mod spec;
pub mod store;
