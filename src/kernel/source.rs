//! The ways in which a kernelspec comes about, as data.
//!
//! Whatever the way, what comes of it is treated alike: its argv is made absolute,
//! the activation goes into its `env` ([`super::KernelSpec::rewrite`]).

use std::collections::BTreeMap;

use rattler_conda_types::PackageName;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::definition::checked;

/// The name of a kernelspec's folder, in which one `*` may stand for anything
/// (`julia-*`: Julia writes its version there).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct KernelDir(String);

/// A command, one word at a time: nothing in it is read by a shell. The first is an
/// executable of the prefix or an absolute path, `{prefix}` in any of them the prefix
/// itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argv(Vec<String>);

/// Where a kernelspec comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum KernelspecSource {
    /// A package brings it, in `share/jupyter/kernels`. Whether its argv is
    /// absolute there or a bare `python` makes no difference.
    Shipped {
        /// Its folder there.
        dir: KernelDir,
    },
    /// A package's post-link script writes it, which conda would run. The definition
    /// vouches for that script; no other is run.
    PostLink {
        /// The package.
        #[serde(deserialize_with = "package")]
        package: PackageName,
        /// The folder that its script makes.
        dir: KernelDir,
    },
    /// A program of the prefix writes it.
    Installer(Installer),
    /// envspec writes it, because nobody else does.
    Written {
        /// Its folder, without a `*`.
        #[serde(deserialize_with = "plain")]
        dir: KernelDir,
        /// What starts the kernel, with `{connection_file}` in it.
        argv: Argv,
    },
}

/// Commands that make a kernelspec.
///
/// They run in the activated prefix with HOME, `XDG_DATA_HOME` and `JUPYTER_DATA_DIR`
/// inside a staging folder (Deno looks at the second only, `IJulia` at the third, Java
/// is told by `JAVA_TOOL_OPTIONS`), from which the kernelspec is taken; where it names
/// its folder, it names the new one then. One in the prefix is taken too. If a package already brings a folder that
/// matches, that one is used and nothing runs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installer {
    /// The commands, one after the other.
    pub commands: Vec<Argv>,
    /// The folder that they make.
    pub dir: KernelDir,
    /// Variables for these commands alone, as literal values; `{prefix}` is the
    /// prefix.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Variables of the user's that these commands see, where they are set: where a
    /// language's packages come from (`JULIA_PKG_SERVER`).
    #[serde(default)]
    pub inherit: Vec<String>,
    /// How long each command may take, in seconds.
    #[serde(default = "Installer::seconds")]
    pub seconds: u32,
}

impl Installer {
    /// How long a command may take, in seconds, where a definition does not say:
    /// Julia compiles for a quarter of an hour on a slow file system.
    pub const SECONDS: u32 = 30 * 60;

    fn seconds() -> u32 {
        Self::SECONDS
    }
}

impl KernelspecSource {
    /// The folder that the kernelspec has in the prefix.
    pub fn dir(&self) -> &KernelDir {
        match self {
            Self::Shipped { dir } | Self::PostLink { dir, .. } | Self::Written { dir, .. } => dir,
            Self::Installer(installer) => &installer.dir,
        }
    }
}

impl std::fmt::Display for KernelspecSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shipped { dir } => write!(f, "shipped as {}", dir.as_str()),
            Self::PostLink { package, .. } => {
                write!(
                    f,
                    "made by the post-link script of {}",
                    package.as_normalized()
                )
            }
            Self::Installer(installer) => {
                let commands: Vec<String> =
                    installer.commands.iter().map(Argv::to_string).collect();
                write!(f, "made by: {}", commands.join("; "))
            }
            Self::Written { argv, .. } => write!(f, "written by envspec, starts: {argv}"),
        }
    }
}

impl Argv {
    /// Checks words and makes them a command; `None` if there is no program.
    pub fn new(words: Vec<String>) -> Option<Self> {
        let program = words.first()?;
        let is_bare = !program.is_empty() && !program.contains('/') && !program.starts_with('-');
        let has_nul = words.iter().any(|word| word.contains('\0'));
        ((is_bare || program.starts_with('/')) && !has_nul).then_some(Self(words))
    }

    /// The words, with the prefix in the place of `{prefix}`.
    pub fn within(&self, prefix: &str) -> impl Iterator<Item = String> {
        self.0
            .iter()
            .map(move |word| word.replace("{prefix}", prefix))
    }

    /// The words as they are written.
    pub fn words(&self) -> &[String] {
        &self.0
    }
}

impl std::fmt::Display for Argv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

impl KernelDir {
    /// Checks a text and makes it a folder's name; `None` if it could be
    /// anything but one plain folder.
    pub fn new(text: &str) -> Option<Self> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-*".contains(c);
        // `.net-csharp` is one; `.` and `..` lead elsewhere.
        let plain = text.contains(|c: char| c != '.') && text.chars().all(allowed);
        (plain && text.matches('*').count() <= 1).then(|| Self(text.to_owned()))
    }

    /// Whether a folder of this name is meant.
    pub fn matches(&self, name: &str) -> bool {
        self.part(name).is_some()
    }

    /// What of a folder's name stands in the place of the `*`, empty without one; `None`
    /// if that folder is not meant.
    pub fn part<'n>(&self, name: &'n str) -> Option<&'n str> {
        match self.0.split_once('*') {
            None => (name == self.0).then_some(""),
            Some((start, end)) => name.strip_prefix(start)?.strip_suffix(end),
        }
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for KernelDir {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        checked(
            deserializer,
            "is no name of a folder, with at most one `*`",
            Self::new,
        )
    }
}

impl<'de> Deserialize<'de> for Argv {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(deserializer)?;
        let shown = words.join(" ");
        Self::new(words).ok_or_else(|| {
            D::Error::custom(format!(
                "`{shown}` is no command: it begins with the name of a program in the prefix, or with its absolute path"
            ))
        })
    }
}

fn plain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<KernelDir, D::Error> {
    let name = |text: &str| KernelDir::new(text).filter(|dir| !dir.as_str().contains('*'));
    checked(deserializer, "is no name of a folder", name)
}

fn package<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PackageName, D::Error> {
    checked(deserializer, "is no name of a package", |text| {
        text.parse().ok()
    })
}
