//! Of which packages uv's reasons speak.
//!
//! They are sentences, in which a package may be called as any of their words is: a line
//! that asks for the package `only` is not meant by each `only`.

use std::collections::BTreeSet;

/// The names of packages in sentences, normalised: what has a version, an extra or
/// backquotes, and what stands where only a package can (the words are those of
/// `crates/uv-resolver/src/pubgrub/report.rs` in uv 0.9).
pub(super) fn names_in(sentences: &str) -> BTreeSet<String> {
    let words: Vec<&str> = sentences.split_whitespace().collect();
    let mut names = BTreeSet::new();
    for (at, word) in words.iter().enumerate() {
        let before = |back: usize| at.checked_sub(back).map_or("", |at| words[at]);
        let after = words.get(at + 1).copied().unwrap_or_default();
        let is_object = matches!(before(1), "require" | "requires")
            || (before(1) == "of" && before(2) == "versions")
            || (before(1) == "on" && before(2).starts_with("depend"))
            || (before(1) == "and" && before(3) == "require");
        let is_subject = matches!(after, "depends" | "depend")
            || (after == "was" && words.get(at + 2) == Some(&"not"))
            || (after == "has" && words.get(at + 2) == Some(&"no"));
        let is_own = matches!(
            *word,
            "you" | "only" | "there" | "we" | "it" | "all" | "any" | "one" | "which" | "because"
        );
        let bare = word.trim_matches(['`', '"', '\'', '(', ')', ',', ';', ':', '.']);
        let name = name_in(bare);
        let behind = bare.get(name.len()..).unwrap_or_default();
        let has_version = behind.starts_with(['=', '<', '>', '!', '~', '[', '@']);
        let is_quoted = word.starts_with('`');
        let is_meant = (is_object || is_subject) && behind.is_empty() && !is_own;
        if !name.is_empty() && (has_version || is_quoted || is_meant) {
            names.insert(name);
        }
    }
    names
}

/// The name at the beginning of a requirement, normalised.
pub(super) fn name_in(requirement: &str) -> String {
    let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name = requirement.split(|c| !is_of_a_name(c)).next();
    normalized(name.unwrap_or_default())
}

/// As Python's indexes call it (PEP 503, but that runs of signs stay).
pub(super) fn normalized(name: &str) -> String {
    name.trim_matches(['.', '-', '_'])
        .to_lowercase()
        .replace(['_', '.'], "-")
}

#[cfg(test)]
mod tests {
    use super::names_in;

    fn names(sentences: &str) -> Vec<String> {
        names_in(sentences).into_iter().collect()
    }

    #[test]
    fn a_package_is_named_and_a_word_that_is_called_as_one_is_not() {
        for (said, wanted) in [
            (
                "Because only foo<=1.0 is available and you require foo>=2, we can conclude that \
                 your requirements are unsatisfiable.",
                &["foo"][..],
            ),
            (
                "Because there are no versions of the-thing and you require the-thing, we can \
                 conclude that your requirements are unsatisfiable.",
                &["the-thing"],
            ),
            (
                "Because foo was not found in the package registry and you require foo and \
                 Bar_Baz, we can conclude that",
                &["bar-baz", "foo"],
            ),
            (
                "Because all versions of a depend on b[x]>=2 and c==1.0 depends on d, we",
                &["a", "b", "c", "d"],
            ),
            ("Failed to download `foo==1.0`: no route to host", &["foo"]),
            ("the package index could not be asked", &[]),
        ] {
            assert_eq!(names(said), wanted, "{said}");
        }
    }
}
