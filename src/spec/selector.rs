//! For which platforms a line of a spec is.
//!
//! Two dialects say so: mamba's `- sel(linux): pkg` and conda-lock's comment
//! `- pkg  # [linux]`. Both name the same few words. conda knows neither: the first
//! it refuses, the second it takes for a comment.

use std::collections::BTreeSet;
use std::fmt;

use rattler_conda_types::Subdir;

use super::reader::nearest;

/// The platforms that a line is for; a line without one is for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// All of them must hold; there is one, or two where both dialects are used.
    terms: Vec<Term>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Term {
    word: Word,
    negated: bool,
}

/// A word and the platforms that it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Unix,
    Linux,
    Osx,
    Win,
    /// A platform alone, by conda-build's name for it.
    One(&'static str, Subdir),
}

/// The words of mamba: `eval_selector` in libmamba/src/api/install.cpp knows no others.
const OF_MAMBA: [Word; 4] = [Word::Unix, Word::Linux, Word::Osx, Word::Win];

/// The words for one platform that conda-lock adds (`platform_sel` in
/// `conda_lock/src_parser/selectors.py` of 4.0).
const OF_CONDA_LOCK: [Word; 6] = [
    Word::One("linux64", Subdir::Linux64),
    Word::One("aarch64", Subdir::LinuxAarch64),
    Word::One("ppc64le", Subdir::LinuxPpc64le),
    Word::One("osx64", Subdir::Osx64),
    Word::One("arm64", Subdir::OsxArm64),
    Word::One("win64", Subdir::Win64),
];

impl Word {
    fn name(self) -> &'static str {
        match self {
            Self::Unix => "unix",
            Self::Linux => "linux",
            Self::Osx => "osx",
            Self::Win => "win",
            Self::One(name, _) => name,
        }
    }

    fn means(self, platform: Subdir) -> bool {
        match self {
            Self::Unix => platform.is_unix(),
            Self::Linux => platform.is_linux(),
            Self::Osx => platform.is_osx(),
            Self::Win => platform.is_windows(),
            Self::One(_, one) => platform == one,
        }
    }
}

impl Selector {
    /// Whether the line is for a platform.
    pub fn applies_to(&self, platform: Subdir) -> bool {
        let holds = |term: &Term| term.word.means(platform) != term.negated;
        self.terms.iter().all(holds)
    }

    /// Both of two selectors.
    pub(super) fn and(mut self, other: Option<Self>) -> Self {
        for term in other.into_iter().flat_map(|other| other.terms) {
            if !self.terms.contains(&term) {
                self.terms.push(term);
            }
        }
        self
    }

    /// Whether it has a `not`, which only conda-build and envspec know.
    pub(super) fn is_negated(&self) -> bool {
        self.terms.iter().any(|term| term.negated)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            let and = if index == 0 { "" } else { " and " };
            let not = if term.negated { "not " } else { "" };
            write!(f, "{and}{not}{}", term.word.name())?;
        }
        Ok(())
    }
}

/// What the comment behind a line says about platforms.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum InComment<'t> {
    /// Nothing: it is for people.
    Nothing,
    /// This.
    Selector(Selector),
    /// The brackets that conda-lock would take for a selector hold something else.
    Unknown {
        /// What they hold.
        content: &'t str,
        /// Whether the comment is nothing but them, as a selector is written.
        alone: bool,
    },
}

/// Reads a comment, its `#` included, as conda-lock does: the selector is in the
/// last brackets behind which no parenthesis stands.
pub(super) fn in_comment(comment: &str) -> InComment<'_> {
    let Some((before, content, behind)) = brackets(comment) else {
        return InComment::Nothing;
    };
    let words: Vec<&str> = content.split_whitespace().collect();
    let term = match words[..] {
        [word] => known(word, false, true),
        ["not", word] => known(word, true, true),
        _ => None,
    };
    if let Some(term) = term {
        return InComment::Selector(Selector { terms: vec![term] });
    }
    let is_bare = |text: &str| text.chars().all(|c| c == '#' || c.is_whitespace());
    InComment::Unknown {
        content,
        alone: is_bare(before) && is_bare(behind),
    }
}

/// What is before, in and behind the brackets of a selector.
fn brackets(comment: &str) -> Option<(&str, &str, &str)> {
    comment.rmatch_indices('[').find_map(|(open, _)| {
        let inside = &comment[open + 1..];
        let close = inside.find(['[', ']'])?;
        let behind = inside[close..].strip_prefix(']')?;
        let fits = close > 0 && !behind.contains(['(', ')']);
        fits.then_some((&comment[..open], &inside[..close], behind))
    })
}

/// Reads mamba's `sel(linux)`: one word, no blanks.
///
/// # Errors
/// What to write instead.
pub(super) fn of_mamba(key: &str) -> Result<Selector, String> {
    let word = key
        .strip_prefix("sel(")
        .and_then(|rest| rest.strip_suffix(')'));
    let term = word.and_then(|word| known(word, false, false));
    term.map(|term| Selector { terms: vec![term] })
        .ok_or_else(|| {
            let names = OF_MAMBA.map(Word::name);
            match word.and_then(|word| nearest(word.trim(), &names)) {
                Some(near) => format!("did you mean `sel({near})`?"),
                None => format!(
                    "there are {}",
                    names.map(|it| format!("sel({it})")).join(", ")
                ),
            }
        })
}

/// The words that say in a comment, one a line, that a package is for some of the
/// platforms: the fewest, and none with `not`, which conda-lock does not know, where
/// others do. `None` if no words say it.
pub fn words_for(wanted: &BTreeSet<Subdir>, among: &[Subdir]) -> Option<Vec<String>> {
    let means = |word: Word| -> BTreeSet<Subdir> {
        let all = among.iter().copied();
        all.filter(|platform| word.means(*platform)).collect()
    };
    // The narrower of two words that mean the same here.
    let mut known: Vec<Word> = words(true).collect();
    known.rotate_left(1);
    known.sort_by_key(|word| matches!(word, Word::One(..) | Word::Unix));
    let inside = known.iter().filter(|word| {
        let means = means(**word);
        !means.is_empty() && means.is_subset(wanted)
    });
    let mut inside: Vec<Word> = inside.copied().collect();
    inside.sort_by_key(|word| std::cmp::Reverse(means(*word).len()));
    let mut left = wanted.clone();
    let mut found = Vec::new();
    for word in inside {
        if !means(word).is_disjoint(&left) {
            left.retain(|platform| !word.means(*platform));
            found.push(word.name().to_owned());
        }
    }
    if left.is_empty() {
        return Some(found);
    }
    let others = known.into_iter().find(|word| {
        let all = among.iter();
        let not: BTreeSet<Subdir> = all.copied().filter(|one| !word.means(*one)).collect();
        not == *wanted
    });
    others.map(|word| vec![format!("not {}", word.name())])
}

/// The words that a comment may have, for a message about one that it may not.
pub(super) fn help_for_comment(content: &str) -> String {
    let names: Vec<&str> = words(true).map(Word::name).collect();
    match nearest(content.trim(), &names) {
        Some(near) => format!("did you mean `# [{near}]`?"),
        None => format!(
            "the selectors are {}, each also with `not`",
            names.join(", ")
        ),
    }
}

fn words(also_of_conda_lock: bool) -> impl Iterator<Item = Word> {
    let more = OF_CONDA_LOCK
        .into_iter()
        .filter(move |_| also_of_conda_lock);
    OF_MAMBA.into_iter().chain(more)
}

fn known(name: &str, negated: bool, also_of_conda_lock: bool) -> Option<Term> {
    let word = words(also_of_conda_lock).find(|word| word.name() == name)?;
    Some(Term { word, negated })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLATFORMS: [Subdir; 7] = [
        Subdir::Linux64,
        Subdir::LinuxAarch64,
        Subdir::LinuxPpc64le,
        Subdir::Osx64,
        Subdir::OsxArm64,
        Subdir::Win64,
        Subdir::WinArm64,
    ];

    fn platforms(selector: &Selector) -> Vec<&'static str> {
        let for_them = PLATFORMS.into_iter();
        let for_them = for_them.filter(|platform| selector.applies_to(*platform));
        for_them.map(Subdir::as_str).collect()
    }

    fn comment(text: &str) -> Selector {
        match in_comment(text) {
            InComment::Selector(selector) => selector,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn each_word_means_its_platforms() {
        for (word, wanted) in [
            (
                "unix",
                &[
                    "linux-64",
                    "linux-aarch64",
                    "linux-ppc64le",
                    "osx-64",
                    "osx-arm64",
                ][..],
            ),
            ("linux", &["linux-64", "linux-aarch64", "linux-ppc64le"]),
            ("osx", &["osx-64", "osx-arm64"]),
            ("win", &["win-64", "win-arm64"]),
            ("linux64", &["linux-64"]),
            ("aarch64", &["linux-aarch64"]),
            ("ppc64le", &["linux-ppc64le"]),
            ("osx64", &["osx-64"]),
            ("arm64", &["osx-arm64"]),
            ("win64", &["win-64"]),
            (
                "not win",
                &[
                    "linux-64",
                    "linux-aarch64",
                    "linux-ppc64le",
                    "osx-64",
                    "osx-arm64",
                ],
            ),
        ] {
            let selector = comment(&format!("# [{word}]"));
            assert_eq!(platforms(&selector), wanted, "{word}");
            assert_eq!(selector.to_string(), word);
        }
    }

    #[test]
    fn the_words_for_some_platforms_mean_these_and_no_others() {
        use Subdir::{Linux64, LinuxAarch64, LinuxS390X, Osx64, OsxArm64, Win64, WinArm64};
        let unix = [Linux64, LinuxAarch64, Osx64, OsxArm64];
        for (among, wanted, words) in [
            (&[Linux64, OsxArm64][..], &[Linux64][..], &["linux"][..]),
            (&[Linux64, Win64], &[Linux64], &["linux"]),
            (&[Linux64, LinuxAarch64], &[Linux64], &["linux64"]),
            (&PLATFORMS, &[Osx64, OsxArm64], &["osx"]),
            (
                &unix,
                &[Linux64, LinuxAarch64, OsxArm64],
                &["linux", "arm64"],
            ),
            (&[Linux64, Osx64, Win64], &[Linux64, Osx64], &["unix"]),
            // No word means them but by what they are not.
            (
                &[Linux64, Win64, WinArm64],
                &[Linux64, WinArm64],
                &["not win64"],
            ),
        ] {
            let wanted = wanted.iter().copied().collect();
            let found = words_for(&wanted, among).unwrap();
            assert_eq!(found, words);
            let said: BTreeSet<Subdir> = among
                .iter()
                .copied()
                .filter(|platform| {
                    let mut words = found.iter();
                    words.any(|word| comment(&format!("# [{word}]")).applies_to(*platform))
                })
                .collect();
            assert_eq!(said, wanted);
        }
        let nameless = BTreeSet::from([LinuxS390X]);
        assert_eq!(
            words_for(&nameless, &[Linux64, LinuxAarch64, LinuxS390X]),
            None
        );
    }

    #[test]
    fn mamba_knows_four_words_and_no_blank() {
        for word in ["unix", "linux", "osx", "win"] {
            let selector = of_mamba(&format!("sel({word})")).unwrap();
            assert_eq!(selector.to_string(), word);
        }
        let refused = |key| of_mamba(key).unwrap_err();
        assert_eq!(refused("sel(linus)"), "did you mean `sel(linux)`?");
        assert_eq!(refused("sel( osx )"), "did you mean `sel(osx)`?");
        assert_eq!(
            refused("sel(noarch)"),
            "there are sel(unix), sel(linux), sel(osx), sel(win)"
        );
        assert!(of_mamba("sel(linux").is_err());
    }

    #[test]
    fn a_selector_is_in_the_last_brackets_of_a_comment() {
        for text in [
            "# [linux]",
            "#[linux]",
            "# [ linux ] ",
            "# for fonts [1] [linux]",
            "# (only there) [linux]",
            "# [linux] see []",
        ] {
            assert_eq!(comment(text).to_string(), "linux", "{text}");
        }
        for text in [
            "# linux",
            "# []",
            "# [linux] (why)",
            "# [[linux",
            "# linux]",
        ] {
            assert_eq!(in_comment(text), InComment::Nothing, "{text}");
        }
    }

    #[test]
    fn brackets_with_something_else_are_told_apart_from_remarks() {
        let unknown = |content, alone| InComment::Unknown { content, alone };
        assert_eq!(in_comment("# [py3k]"), unknown("py3k", true));
        assert_eq!(in_comment("# [not py3k]"), unknown("not py3k", true));
        assert_eq!(in_comment("# see [docs]"), unknown("docs", false));
        assert_eq!(help_for_comment("linx"), "did you mean `# [linux]`?");
        assert!(help_for_comment("py3k").contains("linux64, aarch64"));
    }

    #[test]
    fn of_two_selectors_both_hold() {
        let both = of_mamba("sel(unix)")
            .unwrap()
            .and(Some(comment("# [not osx]")));
        assert_eq!(
            platforms(&both),
            ["linux-64", "linux-aarch64", "linux-ppc64le"]
        );
        assert_eq!(both.to_string(), "unix and not osx");
    }
}
