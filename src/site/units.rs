//! The small values of a site's file: names, times, amounts of memory.
//!
//! Every one of them ends up in a script, an ssh config or an argv. They are
//! made safe here by what they may be: a [`HostName`] cannot hold a quote, a
//! space or a leading dash, so nobody downstream has to quote it in a language
//! (ssh's config) that cannot quote everything. It does not look names up:
//! whether a host or a partition exists is the world's business.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};

use crate::spec::{MemorySize, WallTime};

/// A value that is written as one scalar of YAML.
pub(super) trait Scalar: Sized {
    /// What may stand there, as the end of "expected …".
    const EXPECTED: &'static str;

    /// Reads the text; `None` when it is something else.
    fn read(text: &str) -> Option<Self>;
}

/// Lets serde read a [`Scalar`]. It is a visitor and no `try_from`, because only
/// then does the parser report the place of the scalar and not of its list.
pub(super) fn scalar<'de, T: Scalar, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    struct Reader<T>(PhantomData<T>);
    impl<T: Scalar> Visitor<'_> for Reader<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(T::EXPECTED)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            T::read(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
        }
    }
    from.deserialize_str(Reader(PhantomData))
}

/// Makes newtypes of text whose characters are limited.
macro_rules! limited_text {
    ($($(#[$doc:meta])* $name:ident: $expected:literal, $allowed:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Checks a text; `None` when it breaks the rule.
            pub fn new(text: &str) -> Option<Self> {
                let allowed: fn(&str) -> bool = $allowed;
                allowed(text).then(|| Self(text.to_owned()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Scalar for $name {
            const EXPECTED: &'static str = $expected;

            fn read(text: &str) -> Option<Self> {
                Self::new(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                scalar(from)
            }
        }
    )*};
}

limited_text! {
    /// The name or address of an ssh host: letters, digits, `.`, `-` and `_`,
    /// the first one a letter or a digit. A host can't be called `none`, which is
    /// ssh's word for no way at all.
    HostName: "a host name (letters, digits, `.`, `-`, `_`)",
        |text| text.len() <= 253
            && starts_plain(text)
            && only(text, ".-_")
            && !text.eq_ignore_ascii_case("none");
    /// A pattern of host names as ssh's config has them, with `*` and `?`.
    HostPattern: "a host name, in which `*` and `?` stand for any characters",
        |text| !text.is_empty() && !text.starts_with('-') && only(text, ".-_*?");
    /// A login name on an ssh host.
    UserName: "a user name (letters, digits, `.`, `_`, `-`, `@`, `+`)",
        |text| text.len() <= 128
            && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && only(text, "._-@+");
    /// The name of a partition, an account or a QOS of Slurm.
    SlurmName: "a name as Slurm has them (letters, digits, `.`, `_`, `-`, `:`, `@`, `+`)",
        |text| text.len() <= 128
            && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && only(text, "._-:@+");
    /// A site's name, which is also its file's stem.
    SiteName: "a site's name (letters, digits, `.`, `-`, `_`)",
        |text| text.len() <= 64 && starts_plain(text) && only(text, ".-_");
    /// A line for people. It has no control characters: printed to a terminal
    /// it can't move the cursor, in a comment it can't end the comment.
    Line: "text without control characters",
        |text| !text.trim().is_empty() && !text.chars().any(char::is_control);
}

impl HostPattern {
    /// Whether it stands for a host.
    pub fn matches(&self, host: &str) -> bool {
        fn fits(pattern: &[u8], host: &[u8]) -> bool {
            match (pattern, host) {
                ([], rest) => rest.is_empty(),
                ([b'*', pattern @ ..], _) => (0..=host.len()).any(|at| fits(pattern, &host[at..])),
                ([b'?', pattern @ ..], [_, host @ ..]) => fits(pattern, host),
                ([one, pattern @ ..], [other, host @ ..]) => {
                    one.eq_ignore_ascii_case(other) && fits(pattern, host)
                }
                (_, []) => false,
            }
        }
        fits(self.0.as_bytes(), host.as_bytes())
    }
}

fn starts_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

fn only(text: &str, also: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || also.contains(c))
}

impl Scalar for WallTime {
    const EXPECTED: &'static str =
        "a time limit as Slurm writes it (`90`, `8:00:00`, `7-00`, `7-00:00:00`)";

    fn read(text: &str) -> Option<Self> {
        let (days, rest) = match text.split_once('-') {
            Some((days, rest)) => (Some(number(days)?), rest),
            None => (None, text),
        };
        let fields: Vec<u64> = rest.split(':').map(number).collect::<Option<_>>()?;
        let seconds = match (days, fields.as_slice()) {
            (None, [minutes]) => minutes.checked_mul(60)?,
            (None, [minutes, seconds]) => minutes.checked_mul(60)?.checked_add(*seconds)?,
            (days, [hours, rest @ ..]) if rest.len() <= 2 => {
                let at = |index: usize| rest.get(index).copied().unwrap_or(0);
                days.unwrap_or(0)
                    .checked_mul(86_400)?
                    .checked_add(hours.checked_mul(3_600)?)?
                    .checked_add(at(0).checked_mul(60)?)?
                    .checked_add(at(1))?
            }
            _ => return None,
        };
        (seconds > 0).then_some(Self(seconds))
    }
}

impl Scalar for MemorySize {
    const EXPECTED: &'static str = "an amount of memory or space (`500M`, `16G`, `1T`)";

    fn read(text: &str) -> Option<Self> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit: u64 = match &text[digits.len()..] {
            "K" => 1 << 10,
            "M" => 1 << 20,
            "G" => 1 << 30,
            "T" => 1 << 40,
            _ => return None,
        };
        let bytes = number(digits)?.checked_mul(unit)?;
        (bytes > 0).then_some(Self(bytes))
    }
}

fn number(text: &str) -> Option<u64> {
    // `parse` alone would take a leading `+`.
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// A time limit as `sbatch --time` takes it: `8:00:00`, `7-00:00:00`.
pub fn slurm_time(time: WallTime) -> String {
    let (days, rest) = (time.0 / 86_400, time.0 % 86_400);
    let (hours, minutes, seconds) = (rest / 3_600, rest / 60 % 60, rest % 60);
    match days {
        0 => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => format!("{days}-{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

/// An amount of memory as `sbatch --mem` takes it, rounded up to whole
/// kibibytes, which is Slurm's smallest unit.
pub fn slurm_memory(size: MemorySize) -> String {
    for (unit, letter) in [(1 << 40, 'T'), (1 << 30, 'G'), (1 << 20, 'M')] {
        if size.0 > 0 && size.0.is_multiple_of(unit) {
            return format!("{}{letter}", size.0 / unit);
        }
    }
    format!("{}K", size.0.div_ceil(1 << 10))
}

/// The name that was probably meant, as the beginning of an advice.
pub(super) fn did_you_mean<'a>(asked: &str, names: impl Iterator<Item = &'a str>) -> String {
    names
        .map(|name| (strsim::damerau_levenshtein(name, asked), name))
        .min()
        .filter(|(distance, _)| *distance <= 2)
        .map(|(_, name)| format!("did you mean `{name}`? "))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_slurm_reads_them_and_written_back() {
        for (text, seconds, written) in [
            ("90", 5_400, "1:30:00"),
            ("90:30", 5_430, "1:30:30"),
            ("8:00:00", 28_800, "8:00:00"),
            ("1-12", 129_600, "1-12:00:00"),
            ("1-12:30", 131_400, "1-12:30:00"),
            ("14-00:00:00", 1_209_600, "14-00:00:00"),
        ] {
            let time = WallTime::read(text).unwrap();
            assert_eq!(time.0, seconds, "{text}");
            assert_eq!(slurm_time(time), written);
            assert_eq!(WallTime::read(&slurm_time(time)), Some(time));
        }
    }

    #[test]
    fn what_is_no_time_or_no_size_is_refused() {
        for text in [
            "",
            "0",
            "-1",
            "+5",
            "8h",
            "1:2:3:4",
            "1-2:3:4:5",
            "99999999999999999999",
        ] {
            assert_eq!(WallTime::read(text), None, "{text}");
        }
        for text in [
            "",
            "G",
            "16",
            "16GB",
            "-1G",
            "0G",
            "1.5G",
            "99999999999T",
            "1é",
        ] {
            assert_eq!(MemorySize::read(text), None, "{text}");
        }
    }

    #[test]
    fn memory_is_written_in_the_largest_whole_unit() {
        for (bytes, written) in [(16 << 30, "16G"), (1536 << 20, "1536M"), (1 << 40, "1T")] {
            assert_eq!(slurm_memory(MemorySize(bytes)), written);
        }
        assert_eq!(slurm_memory(MemorySize(1025)), "2K");
    }

    #[test]
    fn a_pattern_stands_for_the_hosts_that_ssh_takes_it_for() {
        let stands_for = |pattern, host| HostPattern::new(pattern).unwrap().matches(host);
        for (pattern, host) in [
            ("med*", "med0101"),
            ("n?-*.org", "N1-a.b.org"),
            ("*", "x"),
            ("a", "a"),
        ] {
            assert!(stands_for(pattern, host), "{pattern} {host}");
        }
        for (pattern, host) in [
            ("med*", "login"),
            ("n?", "n"),
            ("n?", "n12"),
            ("a*b", "abc"),
        ] {
            assert!(!stands_for(pattern, host), "{pattern} {host}");
        }
    }

    #[test]
    fn a_name_that_a_shell_or_ssh_would_read_differently_is_no_name() {
        for text in [
            "",
            "-oProxyCommand=x",
            "a b",
            "a\nb",
            "$(id)",
            "a;b",
            "a\"",
            "%h",
            "#a",
        ] {
            assert_eq!(HostName::new(text), None, "{text:?}");
            assert_eq!(UserName::new(text), None, "{text:?}");
            assert_eq!(SlurmName::new(text), None, "{text:?}");
        }
        assert_eq!(HostName::new("None"), None);
        assert_eq!(Line::new("a\u{1b}[2Jb"), None);
        assert!(HostName::new("hpc-login-1.cubi.bihealth.org").is_some());
    }
}
