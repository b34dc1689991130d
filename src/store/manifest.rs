//! The manifest: what a prefix holds that no package tells of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;

/// What a path of a prefix is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thing {
    /// A file, by the SHA-256 of its content.
    File(String),
    /// A symbolic link, by what it says.
    Link(PathBuf),
}

/// Files and links of a prefix, by their paths below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest(BTreeMap<PathBuf, Thing>);

impl Manifest {
    pub(super) fn new(things: BTreeMap<PathBuf, Thing>) -> Self {
        Self(things)
    }

    pub(super) fn add(&mut self, path: PathBuf, sha256: String) {
        self.0.insert(path, Thing::File(sha256));
    }

    /// Where a prefix keeps it.
    pub fn path(prefix: &Path) -> PathBuf {
        prefix.join(".envspec").join("manifest.json")
    }

    /// What it tells of.
    pub fn iter(&self) -> impl Iterator<Item = (&PathBuf, &Thing)> {
        self.0.iter()
    }

    /// Reads a manifest's text; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let document: BTreeMap<PathBuf, String> = serde_json::from_str(text).ok()?;
        let thing = |text: String| match text.split_once(':') {
            Some(("sha256", digest)) => Some(Thing::File(digest.to_owned())),
            Some(("link", target)) => Some(Thing::Link(target.into())),
            _ => None,
        };
        let things = document
            .into_iter()
            .map(|(path, text)| Some((path, thing(text)?)))
            .collect::<Option<_>>()?;
        Some(Self(things))
    }

    /// Reads the manifest of a prefix; `None` if there is none that can be read.
    pub fn read(prefix: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(Self::path(prefix)).ok()?)
    }

    /// Its text. Names that are no UTF-8 can't be told; no package has them.
    pub fn text(&self) -> String {
        let lines: BTreeMap<&str, String> = self
            .0
            .iter()
            .filter_map(|(path, thing)| {
                let text = match thing {
                    Thing::File(digest) => format!("sha256:{digest}"),
                    Thing::Link(target) => format!("link:{}", target.to_str()?),
                };
                Some((path.to_str()?, text))
            })
            .collect();
        let mut text = serde_json::to_string_pretty(&lines)
            .expect("a mapping of texts, which JSON can always hold");
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Manifest, Thing};

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let manifest = Manifest::new(
            [
                ("a b".into(), Thing::File("00".to_owned())),
                ("l\n".into(), Thing::Link("../x: y".into())),
            ]
            .into(),
        );
        assert_eq!(Manifest::parse(&manifest.text()), Some(manifest));
        assert_eq!(Manifest::parse("{\"a\": \"md5:00\"}"), None);
    }
}
