//! File systems whose files a site deletes when they are old.

use std::path::{Path, PathBuf};

use super::model::Site;

/// What a folder is often called whose old files go.
const SCRATCH: &str = "scratch";

/// Files below a folder are deleted some time after they were last written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purge {
    /// After how many days; `None` if only the folder's name tells that they may be.
    pub days: Option<u32>,
}

impl Site {
    /// When files below `root` go: by the innermost area of the site that it is in,
    /// else by its name. `home` stands for `~`; `real` tells where the links in a path
    /// lead.
    pub fn purge(
        &self,
        root: &Path,
        home: &Path,
        real: impl Fn(&Path) -> Option<PathBuf>,
    ) -> Option<Purge> {
        let spellings = |path: &Path| [Some(path.to_owned()), real(path)];
        let roots = spellings(root);
        let holds = |area: &PathBuf| {
            let areas = spellings(area);
            let within = |root: &PathBuf| areas.iter().flatten().any(|area| root.starts_with(area));
            roots.iter().flatten().any(within)
        };
        let areas = self.storage.areas.iter().map(|area| {
            let path = match area.path.as_str().strip_prefix('~') {
                Some(below) => home.join(below.trim_start_matches('/')),
                None => PathBuf::from(area.path.as_str()),
            };
            (path, area.purged_after_days)
        });
        let innermost = areas
            .filter(|(path, _)| holds(path))
            .max_by_key(|(path, _)| path.components().count());
        if let Some((_, days)) = innermost
            && (days.is_some() || !is_scratch(root))
        {
            return days.map(|days| Purge { days: Some(days) });
        }
        is_scratch(root).then_some(Purge { days: None })
    }
}

fn is_scratch(root: &Path) -> bool {
    root.iter()
        .any(|name| name.to_string_lossy().eq_ignore_ascii_case(SCRATCH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Sites;

    fn purge(root: &str) -> Option<Purge> {
        let sites = Sites::builtin();
        let site = sites.find(Some("bih")).unwrap();
        site.purge(Path::new(root), Path::new("/data/users/me"), |_| None)
    }

    #[test]
    fn the_innermost_area_decides_else_the_name() {
        let after_14 = Some(Purge { days: Some(14) });
        assert_eq!(purge("/data/users/me/scratch/envspec"), after_14);
        assert_eq!(purge("/data/users/me/work/.envspec"), None);
        assert_eq!(purge("/data/users/me/.local/share/envspec"), None);
        assert_eq!(purge("/data/users/me/scratchy/envspec"), None);
        let some_day = Some(Purge { days: None });
        assert_eq!(purge("/lustre/Scratch/me/envspec"), some_day);
        assert_eq!(purge("/sw/envspec"), None);
    }

    #[test]
    fn a_link_into_an_area_is_seen_through() {
        let sites = Sites::builtin();
        let site = sites.find(Some("bih")).unwrap();
        let (root, home) = (Path::new("/fast/me/envspec"), Path::new("/data/users/me"));
        let real = |path: &Path| {
            let below = path.strip_prefix("/data/users/me/scratch").ok()?;
            Some(Path::new("/fast/me").join(below))
        };
        assert_eq!(site.purge(root, home, |_| None), None);
        let after_14 = Some(Purge { days: Some(14) });
        assert_eq!(site.purge(root, home, real), after_14);
    }
}
