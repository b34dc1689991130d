//! What a kernel from Nix is asked for by: an installable, as `nix build` takes one.
//!
//! Sources: `nix.1` ("Installables", "Flake references"), `libstore/path.cc` (names of
//! store paths).

use std::path::{Path, PathBuf};

/// What names a kernel's package to Nix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Installable {
    /// A path in the store, which needs no evaluation.
    Store(StorePath),
    /// A flake in a folder of this machine, relative to the spec's folder or absolute.
    Folder {
        /// As it is written.
        text: String,
        /// The folder as it is written, without `path:`.
        folder: String,
    },
    /// A flake from elsewhere, which has to be pinned.
    Flake(String),
}

/// A path in a Nix store, or below one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorePath {
    path: String,
    base: usize,
}

impl Installable {
    /// Reads an installable. `store` is the store's folder: `/nix/store` nearly
    /// everywhere. The error is a reason that completes "it can't be used:".
    pub fn parse(text: &str, store: &str) -> Result<Self, &'static str> {
        if text.starts_with('-') {
            return Err("it starts with `-` and would be taken for an option");
        }
        let head = &text[..text.find(['#', '?']).unwrap_or(text.len())];
        if !text.contains('#') && StorePath::is_below(text, store) {
            let found = StorePath::parse(text, store).ok_or(
                "it is no path in the store: those are named by 32 letters and digits, `-` and a name",
            )?;
            if Path::new(found.base())
                .extension()
                .is_some_and(|end| end == "drv")
            {
                return Err("it is a derivation: name what that makes, its output");
            }
            return Ok(Self::Store(found));
        }
        let folder = head.strip_prefix("path:").or_else(|| {
            let is_folder = ["./", "../", "/"]
                .iter()
                .any(|start| head.starts_with(start));
            (is_folder || head == "." || head == "..").then_some(head)
        });
        Ok(match folder {
            Some("") => return Err("it names no folder"),
            Some(folder) => Self::Folder {
                text: text.to_owned(),
                folder: folder.to_owned(),
            },
            None => Self::Flake(text.to_owned()),
        })
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        match self {
            Self::Store(path) => path.as_str(),
            Self::Folder { text, .. } | Self::Flake(text) => text,
        }
    }

    /// The argument that means it to a `nix` that runs in the folder `beside`, where the
    /// spec is. `path:` is for absolute paths, says Nix; how a blank is written in one
    /// depends on its version, and a relative one is understood all the same.
    pub fn argument(&self, beside: &Path) -> String {
        let beside = beside.to_string_lossy();
        match self {
            Self::Folder { text, folder }
                if text.starts_with("path:")
                    && !folder.starts_with('/')
                    && encoded(&beside) == beside =>
            {
                let below = folder.trim_start_matches("./");
                let rest = &text["path:".len() + folder.len()..];
                format!("path:{beside}/{below}{rest}")
            }
            _ => self.text().to_owned(),
        }
    }

    /// The argument that means a flake in a folder as it was at a commit: `below` is the
    /// folder in the checkout `top`. `None` if it is no such flake, or says more of it
    /// than an attribute.
    pub fn at_commit(&self, top: &str, below: &str, commit: &str) -> Option<String> {
        let Self::Folder { text, folder } = self else {
            return None;
        };
        let rest = text.strip_prefix("path:").unwrap_or(text);
        let attribute = rest.strip_prefix(folder.as_str())?;
        let (top, below) = (encoded(top), encoded(below));
        (!attribute.starts_with('?'))
            .then(|| format!("git+file://{top}?dir={below}&allRefs=1&rev={commit}{attribute}"))
    }

    /// The folder of the flake; `None` if it is not one of this machine.
    pub fn folder(&self, beside: &Path) -> Option<PathBuf> {
        match self {
            Self::Folder { folder, .. } => Some(beside.join(decoded(folder))),
            _ => None,
        }
    }
}

impl StorePath {
    /// Whether a text is meant to be a path in the store.
    fn is_below(text: &str, store: &str) -> bool {
        text.strip_prefix(store)
            .is_some_and(|rest| rest.starts_with('/'))
    }

    /// Reads a path in a store, or below one; `None` if it is no such path, which also
    /// keeps it from being anything else in an argv.
    pub fn parse(text: &str, store: &str) -> Option<Self> {
        const HASH: usize = 32;
        // nix32: the digits and letters without e, o, t and u.
        let of_hash = |c: char| {
            c.is_ascii_digit() || (c.is_ascii_lowercase() && !matches!(c, 'e' | 'o' | 't' | 'u'))
        };
        let of_name = |c: char| c.is_ascii_alphanumeric() || "+-._?=".contains(c);
        if !store.starts_with('/') || !Self::is_below(text, store) {
            return None;
        }
        let mut parts = text[store.len() + 1..].split('/');
        let base = parts.next()?;
        let (hash, name) = base.split_at_checked(HASH)?;
        let name = name.strip_prefix('-')?;
        let is_good = hash.chars().all(of_hash)
            && !name.is_empty()
            && !name.starts_with('.')
            && name.chars().all(of_name)
            && !text.chars().any(char::is_control)
            && parts.all(|part| !part.is_empty() && part != "." && part != "..");
        is_good.then(|| Self {
            path: text.to_owned(),
            base: store.len() + 1 + base.len(),
        })
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// The path in the store that it is or is below: what Nix keeps or deletes.
    pub fn base(&self) -> &str {
        &self.path[..self.base]
    }
}

impl std::fmt::Display for StorePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path)
    }
}

/// A path as it stands in a URL.
fn encoded(path: &str) -> String {
    let mut url = String::with_capacity(path.len());
    for byte in path.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-._~/".contains(c) {
            url.push(c);
        } else {
            use std::fmt::Write as _;
            let _written = write!(url, "%{byte:02X}");
        }
    }
    url
}

/// A path out of a URL.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let code = hex.and_then(|two| u8::from_str_radix(two, 16).ok());
        if let Some(code) = code.filter(|_| first == b'%') {
            bytes.push(code);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::{Installable, StorePath, decoded, encoded};

    const STORE: &str = "/nix/store";
    const PATH: &str = "/nix/store/qdaprc6jd74chzvxf2ybz6xx6bwqsm4v-ocaml-1.2";

    fn argument(text: &str, beside: &str) -> String {
        let installable = Installable::parse(text, STORE).unwrap();
        installable.argument(Path::new(beside))
    }

    #[test]
    fn a_relative_path_begins_beside_the_spec_and_all_else_is_as_written() {
        let envs = "/home/me/envs";
        let relative = "path:./kernels-flake#ocaml";
        assert_eq!(
            argument(relative, envs),
            "path:/home/me/envs/kernels-flake#ocaml"
        );
        let dotted = "path:../a?dir=x#y";
        assert_eq!(argument(dotted, envs), "path:/home/me/envs/../a?dir=x#y");
        assert_eq!(argument(relative, "/home/me/my envs"), relative);
        for text in [
            "./x#y",
            ".",
            "/abs/x#y",
            "path:/abs#y",
            "nixpkgs#xeus",
            "github:o/r/rev#y",
            PATH,
        ] {
            assert_eq!(argument(text, envs), text);
        }
    }

    #[test]
    fn a_flake_beside_the_spec_is_had_at_a_commit() {
        let at = |text: &str| {
            Installable::parse(text, STORE)
                .unwrap()
                .at_commit("/a b", "envs/x", "c0")
        };
        let wanted = "git+file:///a%20b?dir=envs/x&allRefs=1&rev=c0#y";
        for text in ["path:./x#y", "./x#y"] {
            assert_eq!(at(text).unwrap(), wanted);
        }
        for text in ["./x?dir=z#y", "nixpkgs#y", PATH] {
            assert_eq!(at(text), None, "{text}");
        }
    }

    #[test]
    fn the_folder_of_a_flake_is_told_from_a_flake_elsewhere() {
        let folder = |text: &str| {
            let installable = Installable::parse(text, STORE).unwrap();
            installable
                .folder(Path::new("/s"))
                .map(|path| path.to_string_lossy().into_owned())
        };
        assert_eq!(folder("path:./a%20b#c").unwrap(), "/s/./a b");
        assert_eq!(folder("../x?dir=y").unwrap(), "/s/../x");
        assert_eq!(folder("path:/abs#y").unwrap(), "/abs");
        assert_eq!(folder(&format!("{PATH}#x")).unwrap(), PATH);
        for text in ["nixpkgs#xeus", "git+file:///x#y", PATH, "x/y"] {
            assert_eq!(folder(text), None, "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_path_in_the_store_is_refused() {
        for text in [
            "/nix/store/x",
            "/nix/store/",
            "/nix/store/qdaprc6jd74chzvxf2ybz6xx6bwqsm4v-",
            "/nix/store/eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee-name",
            "/nix/store/qdaprc6jd74chzvxf2ybz6xx6bwqsm4v-a b",
            "/nix/store/qdaprc6jd74chzvxf2ybz6xx6bwqsm4v-a/../../etc",
            "/nix/store/qdaprc6jd74chzvxf2ybz6xx6bwqsm4v-a.drv",
            "-path",
            "path:#x",
        ] {
            assert!(Installable::parse(text, STORE).is_err(), "{text}");
        }
    }

    #[test]
    fn a_path_below_one_in_the_store_knows_what_nix_keeps() {
        let path = StorePath::parse(&format!("{PATH}/kernels/x"), STORE).unwrap();
        assert_eq!(
            (path.base(), path.as_str()),
            (PATH, format!("{PATH}/kernels/x").as_str())
        );
        assert_eq!(StorePath::parse(PATH, STORE).unwrap().base(), PATH);
        assert_eq!(StorePath::parse(PATH, "/other/store"), None);
    }

    proptest! {
        #[test]
        fn a_path_comes_out_of_a_url_as_it_went_in(path in "/[ -~é#?%]{0,20}") {
            let url = encoded(&path);
            prop_assert_eq!(decoded(&url), path);
            prop_assert!(!url.contains(['#', '?', ' ']));
        }
    }
}
