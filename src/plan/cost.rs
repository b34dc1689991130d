//! What building a generation takes, and what is left for it.

use serde::Serialize;

/// What building a generation adds to the disk: the unpacked packages that are
/// still to be fetched, and what the generation does not share with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// The archives that are not unpacked yet, in bytes.
    pub fetch_bytes: u64,
    /// What is added, in bytes.
    pub bytes: u64,
    /// What is added in files and folders, each of which is an inode.
    pub files: u64,
    /// Whether bytes and files are estimates: how large an archive is unpacked
    /// is known once it is.
    pub estimated: bool,
    /// Archives whose size nobody told, which are counted as empty.
    pub of_unknown_size: usize,
    /// At least this many bytes, whatever the estimate is worth.
    #[serde(skip)]
    pub least_bytes: u64,
    /// At least this many files.
    #[serde(skip)]
    pub least_files: u64,
}

/// What a file system, or the user's quota on it, still gives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Room {
    /// In bytes; `None` if it is not told.
    pub bytes: Option<u64>,
    /// In files and folders; `None` if it is not limited, or not told.
    pub files: Option<u64>,
}

impl Cost {
    /// Adds what something else takes.
    pub fn add(&mut self, other: &Self) {
        self.fetch_bytes += other.fetch_bytes;
        self.bytes += other.bytes;
        self.files += other.files;
        self.least_bytes += other.least_bytes;
        self.least_files += other.least_files;
        self.estimated |= other.estimated;
        self.of_unknown_size += other.of_unknown_size;
    }

    /// In words: `about 431 MB and 17320 files`, and what is not in it.
    pub fn in_words(&self) -> String {
        let about = if self.estimated { "about " } else { "" };
        let sum = words(Some(self.bytes), Some(self.files));
        let beside = match self.of_unknown_size {
            0 => String::new(),
            1 => ", and 1 package whose size no index tells".to_owned(),
            count => format!(", and {count} packages whose size no index tells"),
        };
        format!("{about}{sum}{beside}")
    }
}

/// Bytes and files in words.
fn words(bytes: Option<u64>, files: Option<u64>) -> String {
    let bytes = bytes.map(|bytes| indicatif::DecimalBytes(bytes).to_string());
    let files = files.map(|files| format!("{files} files"));
    let parts: Vec<String> = [bytes, files].into_iter().flatten().collect();
    parts.join(" and ")
}

impl Room {
    /// In words: `37.20 GB and 15200000 files`; nothing if nothing is known.
    pub fn in_words(&self) -> String {
        words(self.bytes, self.files)
    }

    /// What both leave.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let less = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self {
            bytes: less(self.bytes, other.bytes),
            files: less(self.files, other.files),
        }
    }

    /// Whether a cost certainly does not fit.
    pub fn is_too_small_for(&self, cost: &Cost) -> bool {
        self.bytes.is_some_and(|left| left < cost.least_bytes)
            || self.files.is_some_and(|left| left < cost.least_files)
    }

    /// Whether a cost may not fit. What is estimated may be double.
    pub fn is_tight_for(&self, cost: &Cost) -> bool {
        let margin = if cost.estimated { 2 } else { 1 };
        self.bytes.is_some_and(|left| left < cost.bytes * margin)
            || self.files.is_some_and(|left| left < cost.files * margin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_certainly_does_not_fit_is_told_from_what_may_not() {
        let cost = Cost {
            bytes: 400,
            files: 40,
            least_bytes: 100,
            least_files: 10,
            ..Cost::default()
        };
        let room = |bytes, files| Room { bytes, files };
        for (left, too_small, tight) in [
            (room(None, None), false, false),
            (room(Some(400), Some(40)), false, false),
            (room(Some(399), Some(40)), false, true),
            (room(Some(400), Some(39)), false, true),
            (room(Some(99), None), true, true),
            (room(None, Some(9)), true, true),
        ] {
            assert_eq!(left.is_too_small_for(&cost), too_small, "{left:?}");
            assert_eq!(left.is_tight_for(&cost), tight, "{left:?}");
        }
    }

    #[test]
    fn of_a_file_system_and_a_quota_the_smaller_counts() {
        let disk = Room {
            bytes: Some(10),
            files: None,
        };
        let quota = Room {
            bytes: Some(20),
            files: Some(3),
        };
        assert_eq!(
            disk.and(quota),
            Room {
                bytes: Some(10),
                files: Some(3)
            }
        );
    }
}
