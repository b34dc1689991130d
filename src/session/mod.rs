//! Running servers: started, found, reached, ended.
//!
//! What a session is, is written down in one place, by the start script: a folder
//! of the mode 0700 below `<root>/sessions`, named by the job and how often it
//! was restarted, with `session.json` in it once the server was proven to be
//! closed to strangers and open to its owner. Whether it still runs is the
//! scheduler's to say, never a file's.
//!
//! Each look at it is one script on the login node ([`crate::cluster::Login`]),
//! so that all of this works from a laptop on which nothing but ssh is known.

mod bridge;
mod connect;
mod error;
mod front;
#[cfg(test)]
mod hostile_tests;
mod http;
mod model;
mod pace;
mod sessions;
mod stop;
mod tunnel;

pub use connect::{Event, Through, Wanted, connect};
pub use error::{End, SessionError};
pub use front::Target;
pub use http::answers;
pub use model::{Look, Record, Session, State};
pub use sessions::{Found, Scheduling, Sessions, Started};
pub use stop::{Stopped, stop};
pub use tunnel::{Place, Tunnel};
