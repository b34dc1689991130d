//! What can go wrong on the store's disk.

use std::path::{Path, PathBuf};

use miette::Diagnostic;
use thiserror::Error;

/// A failure of the store.
#[derive(Debug, Error, Diagnostic)]
pub enum StoreError {
    /// The disk said no.
    #[error("{} {}", what, path.display())]
    #[diagnostic(help("{}", advice(source)))]
    Io {
        /// What was tried: "could not write".
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },

    /// A receipt that can't be read.
    #[error("the receipt {} can't be read", path.display())]
    #[diagnostic(help("build it again: envspec verify NAME GENERATION --repair"))]
    BadReceipt {
        /// The receipt.
        path: PathBuf,
        /// The reader's words.
        source: serde_json::Error,
    },

    /// The prefix would be longer than the placeholder that packages carry.
    #[error("the prefix {} is {length} bytes long; packages have room for {limit}", prefix.display())]
    #[diagnostic(help(
        "conda packages hold a placeholder of 255 bytes that the prefix is written over; choose a shorter root: --root DIR or ENVSPEC_ROOT"
    ))]
    PrefixTooLong {
        /// The prefix.
        prefix: PathBuf,
        /// Its length in bytes.
        length: usize,
        /// The longest that fits.
        limit: usize,
    },

    /// A folder that must be the user's own is somebody else's, or a link.
    #[error("{} is not yours, or a link", folder.display())]
    #[diagnostic(help(
        "who put it there would see what your sessions write, so nothing was written; ask for it to be removed"
    ))]
    NotYours {
        /// The folder.
        folder: PathBuf,
    },

    /// There is not enough room for a generation.
    #[error("{} has no room for {generation}: it takes {cost}, and {left} are left", path.display())]
    #[diagnostic(help(
        "nothing was changed. Make room there with: envspec gc. Or take a root where there is more: --root DIR or ENVSPEC_ROOT"
    ))]
    NoRoom {
        /// Where.
        path: PathBuf,
        /// What was to be built.
        generation: String,
        /// What it takes, in words.
        cost: String,
        /// What is left, in words.
        left: String,
    },

    /// Something that envspec did not make is in the way.
    #[error("{} exists and was not made by envspec", path.display())]
    #[diagnostic(help("move it out of the way, or give the environment another name"))]
    Foreign {
        /// What is in the way.
        path: PathBuf,
    },

    /// Another envspec is at work on the environment.
    #[error("environment {environment} is being changed by {holder}")]
    #[diagnostic(help("wait until it is done; if it is gone, remove its lease: {}", path.display()))]
    Busy {
        /// The environment.
        environment: String,
        /// Who, where, since when.
        holder: String,
        /// The lease.
        path: PathBuf,
    },

    /// The lease was taken over while this process did not run.
    #[error("the lease of environment {environment} is no longer this process's: {by}")]
    #[diagnostic(help(
        "this process was suspended, or its machine hung, so long that it counted as gone, and another one went on. It has switched nothing since; run the command again"
    ))]
    Overtaken {
        /// The environment.
        environment: String,
        /// What is known of who took it over.
        by: String,
    },

    /// The root is a group's, and this user is not in it.
    #[error("the root {} belongs to a group (number {group}) of which you are no member", root.display())]
    #[diagnostic(help(
        "ask its owner (ls -ld {}) to add you to the group and log in again, or take a root of your own: --root DIR or ENVSPEC_ROOT",
        root.display()
    ))]
    NotAMember {
        /// The root.
        root: PathBuf,
        /// The group's number.
        group: u32,
    },

    /// No environment or generation of the name.
    #[error("there is no {what} {name}")]
    #[diagnostic(help("see what there is with: envspec list"))]
    Unknown {
        /// "environment" or "generation".
        what: &'static str,
        /// The name.
        name: String,
    },

    /// The text fits several generations.
    #[error("several generations begin with {name}")]
    #[diagnostic(help("write more of the digest; see them with: envspec list"))]
    Ambiguous {
        /// The text.
        name: String,
    },

    /// Nothing to go back to.
    #[error("environment {environment} has no earlier generation")]
    #[diagnostic(help("name one that `envspec list` shows: envspec rollback NAME GENERATION"))]
    NothingEarlier {
        /// The environment.
        environment: String,
    },
}

impl StoreError {
    /// Says what was tried on which path.
    pub fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }

    /// Whether it is for want of space.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_full(source))
    }
}

/// Whether the system says that no space is left, of the disk or of a quota.
pub fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

fn advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            "you may not write there. A spec has its lock beside it, so copy it to a folder of yours; envspec's root is chosen by --root DIR or ENVSPEC_ROOT"
        }
        _ if is_full(error) => {
            "there is no space left (see df -h, df -i, quota). Make some with: envspec gc. The same again finishes it"
        }
        _ => "envspec list shows what is current; once this is mended, the same again finishes it",
    }
}
