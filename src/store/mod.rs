//! Generations on disk: built, published by one rename, listed, switched back.
//!
//! A generation is a conda prefix that is never changed once its receipt is
//! written; a folder without a receipt is rubble. Nothing here knows what is in
//! a prefix: the conda room fills it, this room says where and when it counts.

mod error;
mod generations;
mod group;
mod history;
mod layout;
mod lease;
mod manifest;
mod packages;
mod processes;
mod receipt;
mod reserve;
mod room;
mod rubble;
mod seal;
mod sessions;
mod space;
mod write;

pub use error::{StoreError, is_full};
pub use generations::{
    Generation, abandon, clear_unfinished, current, damaged, environments, generation_around,
    generations, half_built, is_unfinished, keep_damaged, publish, put_back, put_in_place, stage,
    unpublish,
};
pub use group::{GroupsUmask, Member, other_owner, user_name};
pub use history::{Event, Switched, is_deleted, past, record, switches};
pub use layout::{Root, refuse_too_long};
pub use lease::{Asker, Granted, Lease, pass_gate, shut_gate};
pub use manifest::{Manifest, Thing};
pub use packages::{Bytecode, Cache, ISOLATED, cache, linked, note, package_folder};
pub use processes::{InUse, Process, in_use};
pub use receipt::{DEFINITIONS, KernelReceipt, NixReceipt, Papers, Receipt, SpecOrigin};
pub use room::room;
pub use rubble::{clear_rubble, delete, is_aside, move_aside, rubble};
pub use seal::{close_folder, digest, flush, open_folder, renew, seal};
pub use sessions::{Log, SessionFiles, SessionRecord, StartScript, session_files};
pub use space::{Space, Tally};
pub use write::{Over, write_together, write_whole, write_whole_below};
