//! What a definition may say, and how its mistakes are told.

use super::definition::*;
use super::source::{KernelDir, KernelspecSource};

const BASH: &str = include_str!("../../kernels/bash.yaml");

/// The error that a definition gives after one change to a good one.
fn error_after(from: &str, to: &str) -> String {
    let text = BASH.replace(from, to);
    assert_ne!(text, BASH, "nothing was changed");
    KernelDefinition::parse("mine/bash.yaml", &text)
        .unwrap_err()
        .to_string()
}

#[test]
fn a_definition_says_what_a_kernel_needs() {
    let bash = KernelDefinition::parse("bash.yaml", BASH).unwrap();
    assert_eq!(bash.packages[0].text, "bash_kernel");
    assert!(
        matches!(&bash.kernelspec, KernelspecSource::Shipped { dir } if dir.as_str() == "bash")
    );
    assert!(matches!(&bash.interrupt, Interrupt::Cell(code) if code.contains("while")));
}

#[test]
fn every_mistake_is_reported_with_file_and_line() {
    for (from, to, place, part) in [
        ("smoke:", "smokes:", "mine/bash.yaml:10:", "smokes"),
        ("{dir: bash}", "{dirs: bash}", "mine/bash.yaml:9:", "dirs"),
        (
            "{dir: bash}",
            "{dir: ../bash}",
            "mine/bash.yaml:9:",
            "`../bash` is no name",
        ),
        ("shipped:", "stolen:", "mine/bash.yaml:9:", "stolen"),
        (
            "packages: [bash_kernel]",
            "packages: [\"bash_kernel >=\"]",
            "mine/bash.yaml:7:",
            "MatchSpec",
        ),
        (
            "id: bash",
            "id: Bash",
            "mine/bash.yaml:1:",
            "`Bash` is no kernel id",
        ),
        (
            "state: tested",
            "state: perfect",
            "mine/bash.yaml:15:",
            "perfect",
        ),
        (
            "language: bash",
            "id: bash",
            "mine/bash.yaml:3:",
            "uplicate",
        ),
    ] {
        let error = error_after(from, to);
        assert!(error.starts_with(place), "{to}: {error}");
        assert!(error.contains(part), "{to}: {error}");
        assert_eq!(
            error.matches("line").count(),
            0,
            "the place is said once: {error}"
        );
    }
}

#[test]
fn a_file_is_named_after_its_kernel() {
    let error = KernelDefinition::parse("fish.yaml", BASH).unwrap_err();
    assert!(matches!(error, DefinitionError::FileName { stem, .. } if stem == "fish"));
}

#[test]
fn a_folder_pattern_matches_one_folders_name() {
    let pattern = KernelDir::new("julia-*").unwrap();
    assert!(pattern.matches("julia-1.12") && pattern.matches("julia-"));
    assert!(!pattern.matches("julia") && !pattern.matches("xjulia-1"));
    assert!(KernelDir::new("ir").unwrap().matches("ir"));
    assert!(
        KernelDir::new(".net-csharp")
            .unwrap()
            .matches(".net-csharp")
    );
    for bad in ["", "a/b", ".", "..", "*-*", "a b"] {
        assert!(KernelDir::new(bad).is_none(), "{bad}");
    }
}
