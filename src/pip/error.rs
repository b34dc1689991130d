//! What can go wrong with what is asked of pip.

use miette::Diagnostic;
use rattler_conda_types::Subdir;
use thiserror::Error;

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

    /// The environment has no Python that pip could install for.
    #[error("the `pip:` section needs a Python, and {platform} gets none")]
    #[diagnostic(help("add `- python` to `dependencies`"))]
    NoPython {
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
