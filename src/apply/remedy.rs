//! What would solve, in lines that can be pasted into the spec.

use crate::conda::{Remedy, Rewritten, Suggestion};
use crate::lock::{Origin, Request};
use crate::spec::shown;

/// A sentence for each remedy; indexes count `requests`.
pub(super) fn texts(requests: &[&Request], remedies: &[Remedy]) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for remedy in remedies {
        let text = text(requests, remedy);
        let is_first = texts.is_empty();
        texts.push(if is_first {
            format!("solves {text}")
        } else {
            format!("or {text}")
        });
    }
    texts
}

fn text(requests: &[&Request], remedy: &Remedy) -> String {
    match &remedy.change {
        Suggestion::Lines(lines) => {
            let lines: Vec<String> = lines.iter().map(|line| rewritten(requests, line)).collect();
            lines.join(" and ")
        }
        Suggestion::Added(line) => format!("with one line more: {}", shown(&format!("- {line}"))),
        Suggestion::Target(what, version) => {
            format!("for a node that has it: `target: {{{what}: \"{version}\"}}`")
        }
        Suggestion::Isolated(spec) => {
            let kernel = requests[*spec].origin.kernel().unwrap_or_default();
            format!(
                "with a prefix of its own for the kernel: {}",
                shown(&format!("- {kernel}: {{isolated: true}}"))
            )
        }
    }
}

fn rewritten(requests: &[&Request], line: &Rewritten) -> String {
    let request = requests[line.spec];
    let before = match &request.origin {
        Origin::Spec { text, .. } => text.clone(),
        Origin::Kernel { .. } => request.spec.to_string(),
    };
    let before = shown(&format!("- {before}"));
    match &line.line {
        Some(line) => format!("with {} instead of {before}", shown(&format!("- {line}"))),
        None => format!("without {before}"),
    }
}
