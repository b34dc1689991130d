//! Kernels from Nix in a lock: what was asked for, and the store path that it was then.
//!
//! The request is an input like any other. The answer stands behind the inputs in a
//! comment of its own, so that it is in git and in the digest that names a generation:
//! the same spec with the same lock is the same kernel, or an error, on every machine.

use rattler_conda_types::Subdir;

use super::file::LockText;

/// The line that opens the answers; the number is their format's.
pub(super) const ANSWERS: &str = "# envspec-nix: 1";

/// What the line of an input begins with.
const INPUT: &str = "nix ";

/// A kernel that is asked of Nix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NixInput {
    /// Its name in the spec.
    pub kernel: String,
    /// The installable as the spec writes it.
    pub installable: String,
    /// The SHA-256 of the sources of a flake in a folder: with it a lock is stale once
    /// they changed, without asking Nix.
    pub sources: Option<String>,
}

impl NixInput {
    /// Its line among the inputs.
    pub fn line(&self) -> String {
        let sources = self
            .sources
            .iter()
            .map(|digest| format!(" sha256:{digest}"));
        let start = format!("{INPUT}{} {}", self.kernel, self.installable);
        std::iter::once(start).chain(sources).collect()
    }
}

/// The store path of a kernel on one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedNix {
    /// The conda platform.
    pub platform: Subdir,
    /// Its name in the spec.
    pub kernel: String,
    /// The store path, as text.
    pub store_path: String,
    /// The installable that gives it again: pinned to a revision if it is a flake from
    /// elsewhere.
    pub pinned: String,
}

impl LockedNix {
    pub(super) fn line(&self) -> String {
        let Self {
            platform,
            kernel,
            store_path,
            pinned,
        } = self;
        format!("{platform} {kernel} {store_path} {pinned}")
    }

    /// Reads a line; `None` if it is none, so that the kernel counts as not locked.
    pub(super) fn read(line: &str) -> Option<Self> {
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().filter(|word| !word.is_empty());
        Some(Self {
            platform: word()?.parse().ok()?,
            kernel: word()?.to_owned(),
            store_path: word()?.to_owned(),
            pinned: word()?.to_owned(),
        })
    }
}

impl LockText {
    /// The kernels from Nix that it has, for all platforms.
    pub fn nix(&self) -> Vec<LockedNix> {
        let lines = self.lines_of(ANSWERS).unwrap_or_default();
        lines.into_iter().filter_map(LockedNix::read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::LockedNix;

    #[test]
    fn a_locked_kernel_is_read_as_it_was_written() {
        let locked = LockedNix {
            platform: "linux-64".parse().unwrap(),
            kernel: "ocaml".to_owned(),
            store_path: "/nix/store/x-y".to_owned(),
            pinned: "path:./a b#c  d".to_owned(),
        };
        assert_eq!(LockedNix::read(&locked.line()), Some(locked));
        for line in [
            "",
            "linux-64 ocaml /nix/store/x",
            "moon-64 a /b c",
            "linux-64  /b c",
        ] {
            assert_eq!(LockedNix::read(line), None, "{line:?}");
        }
    }
}
