//! What can go wrong with the building of a source.

use std::path::PathBuf;

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

    /// A folder holds something else by now, or is not there.
    #[error("the folder of {package} is not what was locked")]
    #[diagnostic(help("bring the lock up to date with: envspec lock"))]
    OtherFolder {
        /// The package.
        package: Source,
    },

    /// A folder could not be copied.
    #[error("could not copy {}", path.display())]
    #[diagnostic(help("look for space and permissions, then run the command again"))]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
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

/// How programs say that there is no other one, around its name.
const NO_PROGRAM: [(&str, &str); 6] = [
    ("No such file or directory: '", "'"),
    ("command '", "' failed: No such file"),
    ("unable to execute '", "'"),
    ("linker `", "` not found"),
    ("\n", ": command not found"),
    (" ", ": not found"),
];

/// What is said of none by name, and what that is.
const PHRASES: [(&str, &str); 8] = [
    ("No CMAKE_CXX_COMPILER", "c++"),
    ("No CMAKE_C_COMPILER", "cc"),
    ("No CMAKE_Fortran_COMPILER", "gfortran"),
    ("Unknown compiler(s): [['cc'", "cc"),
    ("Unknown compiler(s): [['c++'", "c++"),
    ("can't find Rust compiler", "rustc"),
    ("the Rust package manager, is not installed", "cargo"),
    ("Did not find pkg-config", "pkg-config"),
];

/// What a build misses by these words: what people call it, and conda's package.
fn missing(words: &str) -> Option<(&'static str, &'static str)> {
    let of_phrases = PHRASES.iter().filter(|(phrase, _)| words.contains(phrase));
    let of_phrases = of_phrases.map(|(_, program)| *program);
    let named = NO_PROGRAM.iter().flat_map(|(before, behind)| {
        let ends = words.match_indices(behind).map(|(at, _)| at);
        ends.filter_map(move |end| {
            let (_, name) = words[..end].rsplit_once(before)?;
            Some(name)
        })
    });
    of_phrases.chain(named).find_map(of_program)
}

/// What brings a program.
fn of_program(program: &str) -> Option<(&'static str, &'static str)> {
    let name = program.rsplit('/').next().unwrap_or(program);
    let last = name.rsplit('-').next().unwrap_or(name);
    Some(match (name, last) {
        (_, "g++" | "c++" | "clang++") => ("C++ compiler", "cxx-compiler"),
        (_, "gcc" | "cc" | "clang") => ("C compiler", "c-compiler"),
        (_, "gfortran" | "flang") => ("Fortran compiler", "fortran-compiler"),
        ("cargo" | "rustc", _) => ("Rust compiler", "rust"),
        ("cmake", _) => ("cmake", "cmake"),
        ("ninja", _) => ("ninja", "ninja"),
        ("make", _) => ("make", "make"),
        ("pkg-config", _) => ("pkg-config", "pkg-config"),
        _ => return None,
    })
}

/// What to do about a build that failed with these words.
pub(super) fn help(words: &str) -> String {
    match missing(words) {
        Some((tool, package)) => format!(
            "nothing was switched. It needs a {tool}, and there is none: add `- {package}` to `dependencies`"
        ),
        None => "nothing was switched. Its own words are above; take a version that has wheels, or the conda package".to_owned(),
    }
}

/// The end of what a build says, without uv's frame around it and without what a terminal
/// would obey.
pub(super) fn last_words(said: &str) -> String {
    const LINES: usize = 14;
    let frame = [
        "hint: ",
        "error: Failed to build",
        "cause: The build backend",
        "cause: Call to",
    ];
    let lines = said.lines().map(|line| {
        let line: String = line
            .chars()
            .filter(|c| !c.is_control() || *c == '\t')
            .collect();
        line.trim_end().to_owned()
    });
    let is_told = |line: &String| {
        let text = line.trim_start();
        !text.is_empty() && !frame.iter().any(|begin| text.starts_with(begin))
    };
    let lines: Vec<String> = lines.filter(is_told).collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::{help, last_words};

    #[test]
    fn the_line_that_brings_a_missing_compiler_is_named() {
        for (words, package) in [
            (
                "error: command 'gcc' failed: No such file or directory",
                "c-compiler",
            ),
            (
                "error: [Errno 2] No such file or directory: 'x86_64-linux-gnu-gcc'",
                "c-compiler",
            ),
            (
                "error: command '/usr/bin/g++' failed: No such file or directory",
                "cxx-compiler",
            ),
            ("error: can't find Rust compiler", "rust"),
            ("[Errno 2] No such file or directory: 'cmake'\nx", "cmake"),
            ("/bin/sh: 1: gfortran: not found", "fortran-compiler"),
            ("x\ngcc: command not found", "c-compiler"),
            (
                "CMake Error: No CMAKE_CXX_COMPILER could be found",
                "cxx-compiler",
            ),
        ] {
            let line = format!("add `- {package}` to");
            assert!(help(words).contains(&line), "{words}: {}", help(words));
        }
        for words in [
            "SyntaxError",
            "No such file or directory: 'README.md'",
            "é: not found",
        ] {
            assert!(!help(words).contains("add `"), "{words}");
        }
    }

    #[test]
    fn the_end_of_its_words_is_told_and_nothing_moves_a_cursor() {
        let said = format!(
            "{}a\u{1b}[2J\nerror: Failed to build `x`\n  cause: The build backend returned an error\nhint: y\n",
            "old\n".repeat(50)
        );
        let told = last_words(&said);
        assert!(
            told.ends_with("old\na[2J") && told.lines().count() == 14,
            "{told}"
        );
    }
}
