//! What can go wrong with the building of a source.

use miette::Diagnostic;
use thiserror::Error;

use super::Source;

/// A source that could not be built.
#[derive(Debug, Error, Diagnostic)]
pub enum BuildError {
    /// Its own build failed.
    #[error("{package} could not be built from source\n{words}")]
    #[diagnostic(help("{help}"))]
    Failed {
        /// The package.
        package: Source,
        /// The end of what it said.
        words: String,
        /// What to do.
        help: String,
    },

    /// What the build needs is not here, and may not be fetched.
    #[error("{package} needs the network to be built, and --offline forbids it\n{words}")]
    #[diagnostic(help(
        "nothing was changed; run this once without --offline: what is built is kept, and so is what building needs"
    ))]
    Offline {
        /// The package.
        package: Source,
        /// What is missing.
        words: String,
    },

    /// Its build made none.
    #[error("the build of {package} made no wheel")]
    #[diagnostic(help("tell its author; nothing was switched. Or take it out of the spec"))]
    NoWheel {
        /// The package.
        package: Source,
    },

    /// A repository can't be had.
    #[error("the repository of {package} could not be had at its commit\n{words}")]
    #[diagnostic(help("{help}"))]
    Repository {
        /// The package.
        package: Source,
        /// Git's words.
        words: String,
        /// What to do.
        help: String,
    },
}

/// What builds lack, as they say it, and the line of conda's that brings it.
const TOOLS: [(&[&str], &str, &str); 8] = [
    (
        &[
            "command 'g++' failed: No such",
            "command 'c++' failed: No such",
            "-c++' failed: No such",
            "-g++' failed: No such",
            "No CMAKE_CXX_COMPILER",
            "Unknown compiler(s): [['c++'",
        ],
        "C++ compiler",
        "cxx-compiler",
    ),
    (
        &[
            "command 'gcc' failed: No such",
            "command 'cc' failed: No such",
            "-cc' failed: No such",
            "-gcc' failed: No such",
            "unable to execute 'gcc'",
            "No CMAKE_C_COMPILER",
            "Unknown compiler(s): [['cc'",
            "No such file or directory: 'cc'",
            "No such file or directory: 'gcc'",
            "linker `cc` not found",
            "gcc: command not found",
            "cc: not found",
        ],
        "C compiler",
        "c-compiler",
    ),
    (
        &[
            "can't find Rust compiler",
            "the Rust package manager, is not installed",
            "No such file or directory: 'cargo'",
            "No such file or directory: 'rustc'",
            "cargo: command not found",
        ],
        "Rust compiler",
        "rust",
    ),
    (
        &[
            "No CMAKE_Fortran_COMPILER",
            "gfortran: command not found",
            "Unknown compiler(s): [['gfortran'",
        ],
        "Fortran compiler",
        "fortran-compiler",
    ),
    (
        &[
            "No such file or directory: 'cmake'",
            "cmake: command not found",
            "CMake must be installed",
        ],
        "CMake",
        "cmake",
    ),
    (
        &[
            "No such file or directory: 'ninja'",
            "Could not detect Ninja",
        ],
        "Ninja",
        "ninja",
    ),
    (
        &[
            "No such file or directory: 'make'",
            "make: command not found",
        ],
        "make",
        "make",
    ),
    (
        &[
            "pkg-config: command not found",
            "No such file or directory: 'pkg-config'",
            "Did not find pkg-config",
        ],
        "pkg-config",
        "pkg-config",
    ),
];

/// What to do about a build that failed with these words.
pub(super) fn missing_tool(words: &str) -> String {
    let is_told =
        |(signs, ..): &&(&[&str], &str, &str)| signs.iter().any(|sign| words.contains(sign));
    match TOOLS.iter().find(is_told) {
        Some((_, tool, package)) => format!(
            "nothing was switched. It needs a {tool}, and there is none: add `- {package}` to `dependencies`"
        ),
        None => "nothing was switched. Its own words are above; take a version that has wheels, or the conda package".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::missing_tool;

    #[test]
    fn the_line_that_brings_a_missing_compiler_is_named() {
        for (words, package) in [
            (
                "error: command 'gcc' failed: No such file or directory",
                "`- c-compiler`",
            ),
            (
                "error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory",
                "`- c-compiler`",
            ),
            (
                "error: command 'g++' failed: No such file or directory",
                "`- cxx-compiler`",
            ),
            ("error: can't find Rust compiler", "`- rust`"),
            (
                "FileNotFoundError: [Errno 2] No such file or directory: 'cmake'",
                "`- cmake`",
            ),
        ] {
            assert!(missing_tool(words).contains(package), "{words}");
        }
        assert!(!missing_tool("SyntaxError").contains("add"));
    }
}
