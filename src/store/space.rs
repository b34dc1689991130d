//! What folders take of a disk: bytes and inodes, where a file with several hard
//! links is one file.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

/// Bytes on disk and inodes: files, links, folders.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Space {
    /// Bytes that are allocated.
    pub bytes: u64,
    /// Files, links and folders.
    pub inodes: u64,
}

impl Space {
    /// What is left of it without a part.
    #[must_use]
    pub fn without(self, part: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(part.bytes),
            inodes: self.inodes.saturating_sub(part.inodes),
        }
    }
}

/// One entry of a folder.
struct Seen {
    inode: (u64, u64),
    links: u64,
    bytes: u64,
}

/// Everything below some folders, each inode once.
#[derive(Debug, Default)]
pub struct Tally {
    /// By inode: how often it was seen, how many links it has, its bytes.
    inodes: HashMap<(u64, u64), (u64, u64, u64)>,
}

impl Tally {
    /// Looks at everything below a folder (or at one file). What can't be looked
    /// at is not counted.
    pub fn of(path: &Path) -> Self {
        let mut tally = Self::default();
        tally.add(path);
        tally
    }

    /// Adds what is below another folder.
    pub fn add(&mut self, path: &Path) {
        let mut seen = Vec::new();
        if let Ok(metadata) = path.symlink_metadata() {
            seen.push(Seen::of(&metadata));
            if metadata.is_dir() {
                seen.append(&mut below(path));
            }
        }
        for Seen {
            inode,
            links,
            bytes,
        } in seen
        {
            self.inodes.entry(inode).or_insert((0, links, bytes)).0 += 1;
        }
    }

    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        for (inode, &(seen, links, bytes)) in &other.inodes {
            self.inodes.entry(*inode).or_insert((0, links, bytes)).0 += seen;
        }
    }

    /// All that it takes.
    pub fn total(&self) -> Space {
        self.sum(|_, _| true)
    }

    /// What has no link from elsewhere: so much would be freed without it.
    pub fn own(&self) -> Space {
        self.sum(|seen, links| seen >= links)
    }

    fn sum(&self, counts: impl Fn(u64, u64) -> bool) -> Space {
        let mut sum = Space::default();
        for &(seen, links, bytes) in self.inodes.values() {
            if counts(seen, links) {
                sum.bytes += bytes;
                sum.inodes += 1;
            }
        }
        sum
    }
}

impl Seen {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            inode: (metadata.dev(), metadata.ino()),
            // The links of a folder are its own subfolders.
            links: if metadata.is_dir() {
                1
            } else {
                metadata.nlink()
            },
            // Whatever the size of a block is, this is counted in 512 bytes.
            bytes: metadata.blocks() * 512,
        }
    }
}

fn below(folder: &Path) -> Vec<Seen> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut seen = Vec::new();
    let mut folders: Vec<PathBuf> = Vec::new();
    for entry in entries.flatten() {
        // Not of what a link leads to.
        if let Ok(metadata) = entry.metadata() {
            if metadata.is_dir() {
                folders.push(entry.path());
            }
            seen.push(Seen::of(&metadata));
        }
    }
    let deeper: Vec<Vec<Seen>> = folders.par_iter().map(|folder| below(folder)).collect();
    seen.extend(deeper.into_iter().flatten());
    seen
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::Tally;

    #[test]
    fn a_hard_link_counts_once_and_is_its_own_only_with_all_its_links() {
        let folder = tempfile::tempdir().unwrap();
        let path = |below: &str| folder.path().join(below);
        for name in ["gen/a", "gen/b", "pkgs"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        fs::write(path("pkgs/shared"), vec![1; 100_000]).unwrap();
        fs::hard_link(path("pkgs/shared"), path("gen/a/shared")).unwrap();
        fs::hard_link(path("pkgs/shared"), path("gen/b/shared")).unwrap();
        fs::write(path("gen/a/own"), vec![1; 10_000]).unwrap();
        fs::hard_link(path("gen/a/own"), path("gen/a/own-too")).unwrap();
        fs_err::os::unix::fs::symlink("/usr", path("gen/a/link")).unwrap();

        let a = Tally::of(&path("gen/a"));
        // The folder, the shared file, the own one, the link.
        assert_eq!(a.total().inodes, 4);
        assert_eq!(a.own().inodes, 3);
        assert!((100_000..200_000).contains(&a.total().without(a.own()).bytes));
        assert!((10_000..40_000).contains(&a.own().bytes), "{:?}", a.own());

        let mut both = Tally::of(&path("gen"));
        assert_eq!(both.total().without(both.own()).inodes, 1);
        both.merge(&Tally::of(&path("pkgs")));
        assert_eq!(both.total(), both.own());
        assert_eq!(both.total().inodes, 7);
    }
}
