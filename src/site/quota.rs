//! What `quota` and `lfs quota` print.

/// A file system on which the user has a limit, and what is left of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// The file system, as the mount table has it, or its mount point.
    pub system: String,
    /// Kibibytes that are left; `None` if they are not limited.
    pub kibibytes: Option<u64>,
    /// Files that are left; `None` if they are not limited.
    pub files: Option<u64>,
}

impl Quota {
    /// Reads a line of `quota -wp` or `lfs quota -q`: file system, then kibibytes,
    /// soft and hard limit and grace, then the same of files. `None` if it is
    /// none, or nothing is limited.
    pub fn parse(line: &str) -> Option<Self> {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [
            system,
            used,
            soft,
            hard,
            _,
            files,
            files_soft,
            files_hard,
            ..,
        ] = columns.as_slice()
        else {
            return None;
        };
        // A star marks what is over its limit.
        let number = |text: &str| text.trim_end_matches('*').parse::<u64>().ok();
        let rest = |used: &str, soft: &str, hard: &str| {
            let (used, soft, hard) = (number(used)?, number(soft)?, number(hard)?);
            let limit = if hard > 0 { hard } else { soft };
            (limit > 0).then(|| limit.saturating_sub(used))
        };
        let quota = Self {
            system: (*system).to_owned(),
            kibibytes: rest(used, soft, hard),
            files: rest(files, files_soft, files_hard),
        };
        (quota.kibibytes.is_some() || quota.files.is_some()).then_some(quota)
    }
}
