//! What can go wrong with what is asked of pip.

use miette::Diagnostic;
use rattler_conda_types::Subdir;
use thiserror::Error;

use super::brought;

/// A failure to resolve a `pip:` section.
#[derive(Debug, Error, Diagnostic)]
pub enum PipError {
    /// The requirements can't be met, or not beside what conda brings.
    #[error("what is asked of pip cannot be met for {platform}")]
    #[diagnostic(help("{reasons}"))]
    NoSolution {
        /// The platform.
        platform: Subdir,
        /// uv's reasons, a few sentences.
        reasons: String,
    },

    /// An index could not be had.
    #[error("an index of Python's packages could not be read")]
    #[diagnostic(help("{words}"))]
    Network {
        /// uv's words, and what to do.
        words: String,
    },

    /// uv does not understand what is asked.
    #[error("uv refuses what is asked of pip")]
    #[diagnostic(help("{words}"))]
    Refused {
        /// uv's words.
        words: String,
    },

    /// There is nothing to resolve by.
    #[error(
        "the `pip:` section is resolved by {}, which is neither on the PATH nor in the channels",
        programs.join(" with ")
    )]
    #[diagnostic(help(
        "install uv (https://docs.astral.sh/uv) and a python3, or add a channel that has them, such as conda-forge"
    ))]
    NoProgram {
        /// What is missing.
        programs: Vec<String>,
    },

    /// The prefix has no Python that pip could install for.
    #[error(
        "the `pip:` section needs a Python, and {} gets none for {platform}",
        whose(isolated.as_deref())
    )]
    #[diagnostic(help(
        "add `- python` to `dependencies`{}",
        if isolated.is_some() { " of the kernel" } else { "" }
    ))]
    NoPython {
        /// The kernel whose own prefix it is, if not the environment's.
        isolated: Option<String>,
        /// The platform.
        platform: Subdir,
    },

    /// uv knows no such platform.
    #[error("uv resolves nothing for {platform}")]
    #[diagnostic(help("take the `pip:` section or the platform out"))]
    Platform {
        /// The platform.
        platform: Subdir,
    },

    /// A package has no wheel for the platform.
    #[error("{} no wheel for {platform} and Python {python}", has(packages))]
    #[diagnostic(help(
        "there is no source to build one from either; take another version, or the conda package"
    ))]
    NoWheel {
        /// The packages.
        packages: Vec<String>,
        /// The platform.
        platform: Subdir,
        /// The version of Python.
        python: String,
    },

    /// A source does not say what it needs but by running, and that failed.
    #[error("a source could not be asked what it needs\n{words}")]
    #[diagnostic(help(
        "take a version that has wheels, or the conda package; to build none: `- \"--only-binary :all:\"`"
    ))]
    Source {
        /// The end of what it said.
        words: String,
    },

    /// The same of one for a platform that is not this machine's.
    #[error("a source for {platform} does not say in a file what it needs\n{words}")]
    #[diagnostic(help(
        "nothing of {platform} runs here: take a version that has wheels for it, or lock the spec on a machine of that platform alone"
    ))]
    ForeignSource {
        /// The platform.
        platform: Subdir,
        /// The end of what uv said.
        words: String,
    },

    /// No file of a package has a hash that was asked for.
    #[error("no file of {} has a hash that is asked for", packages.join(", "))]
    #[diagnostic(help(
        "if the file is known to be good, write its own `--hash`; the lock keeps it from then on"
    ))]
    OtherHash {
        /// The packages.
        packages: Vec<String>,
    },

    /// Each package was to have a hash.
    #[error(
        "`--require-hashes` asks for a hash of each package, and {} none",
        has(packages)
    )]
    #[diagnostic(help(
        "give each a `--hash`, or take the option out: the lock has the SHA-256 of all files anyway"
    ))]
    HashMissing {
        /// The packages.
        packages: Vec<String>,
    },

    /// A file of the user's that says where indexes are can't be read.
    #[error("could not read {}: {why}", path.display())]
    #[diagnostic(help("it says where indexes of Python's packages are: mend it or move it away"))]
    Configuration {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        why: String,
    },

    /// uv gave an answer that can't be used.
    #[error("uv's answer can't be used: {why}")]
    #[diagnostic(help("take a newer uv (this needs 0.7 or later); uv self update"))]
    Answer {
        /// Why.
        why: String,
    },

    /// uv could not be started, or its files not be written.
    #[error("uv could not be asked")]
    #[diagnostic(help("look for space and permissions, then run the command again"))]
    Disk {
        /// The system's words.
        #[from]
        source: std::io::Error,
    },
}

impl PipError {
    /// uv's reasons, a sentence each.
    pub fn reasons(&self) -> impl Iterator<Item = &str> {
        let reasons = match self {
            Self::NoSolution { reasons, .. } => reasons.as_str(),
            _ => "",
        };
        reasons.lines().filter(|line| !line.is_empty())
    }

    /// What conda brings that the reasons speak of: `numpy 2.1.0`.
    pub fn of_conda(&self) -> Vec<String> {
        let words = self.reasons().flat_map(|line| line.split([' ', ',']));
        let of_word = |word: &str| {
            let (name, version) = word.split_once("==")?;
            let name = name.split('[').next().unwrap_or(name);
            Some(format!("{name} {}", brought::public(version)?))
        };
        let mut all: Vec<String> = words.filter_map(of_word).collect();
        all.sort();
        all.dedup();
        all
    }

    /// Whether the version of Python may be what stands in the way.
    pub fn speaks_of_python(&self) -> bool {
        let says_so = |line: &str| {
            ["Python", "wheels", "tag"]
                .iter()
                .any(|word| line.contains(word))
        };
        let is_of_source = matches!(self, Self::Source { .. } | Self::ForeignSource { .. });
        is_of_source || matches!(self, Self::NoWheel { .. }) || self.reasons().any(says_so)
    }
}

fn whose(isolated: Option<&str>) -> String {
    isolated.map_or_else(
        || "the environment".to_owned(),
        |kernel| format!("the isolated kernel {kernel}"),
    )
}

fn has(packages: &[String]) -> String {
    let verb = if packages.len() == 1 { "has" } else { "have" };
    format!("{} {verb}", packages.join(", "))
}

impl PipError {
    /// Whether it may go otherwise if sources are taken too.
    pub fn wants_sources(&self) -> bool {
        match self {
            Self::NoWheel { .. } => true,
            Self::NoSolution { reasons, .. } => reasons.contains("wheels"),
            _ => false,
        }
    }
}
