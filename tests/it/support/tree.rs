//! Every file below a folder, so that "nothing changed" can be claimed.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// What a path is, content and identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    inode: u64,
    modified: (i64, i64),
    mode: u32,
    content: String,
}

/// A folder as it was at one instant.
pub(crate) type Tree = BTreeMap<PathBuf, Entry>;

/// Looks at everything below `folder` (empty if there is none): inode, time of
/// change, mode, and the digest of the content.
pub(crate) fn tree(folder: &Path) -> Tree {
    let mut all = Tree::new();
    visit(folder, &mut all);
    all
}

fn visit(path: &Path, all: &mut Tree) {
    let Ok(metadata) = path.symlink_metadata() else {
        return;
    };
    let content = if metadata.is_symlink() {
        fs_err::read_link(path).unwrap().display().to_string()
    } else if metadata.is_dir() {
        for entry in fs_err::read_dir(path).unwrap() {
            visit(&entry.unwrap().path(), all);
        }
        "folder".to_owned()
    } else {
        hex::encode(Sha256::digest(fs_err::read(path).unwrap()))
    };
    all.insert(
        path.to_owned(),
        Entry {
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            mode: metadata.mode(),
            content,
        },
    );
}
