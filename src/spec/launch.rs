//! How a session is launched: the section `launch` of a spec, and the forms in
//! which Slurm writes time and memory.
//!
//! The values are checked here once; which of them a site allows is the site's
//! business.

use std::fmt;
use std::str::FromStr;

use super::model::At;

/// A wall-clock limit as Slurm counts it, in seconds; never 0, at most a year.
///
/// Written as `MM`, `MM:SS`, `HH:MM:SS`, `D-HH`, `D-HH:MM` or `D-HH:MM:SS`
/// (the forms of `sbatch --time`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(pub(crate) u64);

/// Why a text is no time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WallTimeError {
    /// None of Slurm's six forms.
    #[error("not a time as Slurm writes it")]
    Form,
    /// `8:75:00`, `1-30`.
    #[error("minutes and seconds go to 59, hours after a number of days to 23")]
    Overflow,
    /// Slurm takes 0 for "no limit".
    #[error("0 would mean no limit at all")]
    Zero,
    /// More than [`WallTime::MAX`].
    #[error("longer than a year")]
    TooLong,
}

impl WallTime {
    /// The longest limit that is not taken for a mistake: 365 days.
    pub const MAX: Self = Self(365 * 24 * 3600);

    /// The limit in seconds.
    pub fn seconds(self) -> u64 {
        self.0
    }

    /// The limit in minutes, rounded up.
    pub fn minutes(self) -> u64 {
        self.0.div_ceil(60)
    }
}

impl FromStr for WallTime {
    type Err = WallTimeError;

    fn from_str(text: &str) -> Result<Self, WallTimeError> {
        use WallTimeError::{Form, Overflow, TooLong, Zero};
        let (days, clock) = match text.split_once('-') {
            Some((days, clock)) => (Some(whole(days).ok_or(Form)?), clock),
            None => (None, text),
        };
        let parts = clock
            .split(':')
            .map(|part| whole(part).ok_or(Form))
            .collect::<Result<Vec<_>, _>>()?;
        let (hours, minutes, seconds) = match (days, parts.as_slice()) {
            (None, &[minutes]) => (0, minutes, 0),
            (None, &[minutes, seconds]) => (0, minutes, seconds),
            (_, &[hours, minutes, seconds]) => (hours, minutes, seconds),
            (Some(_), &[hours]) => (hours, 0, 0),
            (Some(_), &[hours, minutes]) => (hours, minutes, 0),
            _ => return Err(Form),
        };
        // The first part may be any number; those behind it count within it.
        let minutes_are_first = days.is_none() && parts.len() < 3;
        if seconds > 59 || (minutes > 59 && !minutes_are_first) || (days.is_some() && hours > 23) {
            return Err(Overflow);
        }
        // Each part has at most nine digits, so none of this can overflow.
        let total = days.unwrap_or(0) * 86_400 + hours * 3600 + minutes * 60 + seconds;
        match total {
            0 => Err(Zero),
            total if total > Self::MAX.0 => Err(TooLong),
            total => Ok(Self(total)),
        }
    }
}

/// The canonical form, `HH:MM:SS` or `D-HH:MM:SS`.
impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, rest) = (self.0 / 86_400, self.0 % 86_400);
        if days > 0 {
            write!(f, "{days}-")?;
        }
        write!(
            f,
            "{:02}:{:02}:{:02}",
            rest / 3600,
            rest % 3600 / 60,
            rest % 60
        )
    }
}

/// An amount of memory in bytes; written as Slurm does (`16G`, `500M`).
///
/// A number without a unit is in megabytes, as for `sbatch --mem`; a unit is a
/// power of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemorySize(pub(crate) u64);

/// Why a text is no amount of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MemorySizeError {
    /// Not a whole number with K, M, G or T.
    #[error("not a whole number followed by K, M, G or T")]
    Form,
    /// Slurm takes 0 for "all memory of the node"; a few megabytes are a
    /// forgotten unit.
    #[error("too little for a Jupyter: a number without a unit is in megabytes")]
    TooSmall,
    /// More than [`MemorySize::MAX`].
    #[error("more than any node has")]
    TooLarge,
}

impl MemorySize {
    /// The least that is not taken for a mistake: 64 MiB.
    pub const MIN: Self = Self(64 << 20);

    /// The most that is not taken for a mistake: 1 PiB.
    pub const MAX: Self = Self(1 << 50);

    /// The amount in bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for MemorySize {
    type Err = MemorySizeError;

    fn from_str(text: &str) -> Result<Self, MemorySizeError> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let shift = match &text[digits.len()..] {
            "K" | "k" => 10,
            "" | "M" | "m" => 20,
            "G" | "g" => 30,
            "T" | "t" => 40,
            _ => return Err(MemorySizeError::Form),
        };
        // Nine digits of the largest unit are 2^70 at most.
        let bytes = u128::from(whole(digits).ok_or(MemorySizeError::Form)?) << shift;
        match u64::try_from(bytes) {
            Ok(bytes) if bytes < Self::MIN.0 => Err(MemorySizeError::TooSmall),
            Ok(bytes) if bytes <= Self::MAX.0 => Ok(Self(bytes)),
            _ => Err(MemorySizeError::TooLarge),
        }
    }
}

/// The canonical form: the largest unit that gives a whole number.
impl fmt::Display for MemorySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(40, 'T'), (30, 'G'), (20, 'M')] {
            if self.0 != 0 && self.0.trailing_zeros() >= shift {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}K", self.0.div_ceil(1024))
    }
}

/// A decimal number of at most nine digits, without a sign.
fn whole(text: &str) -> Option<u64> {
    let fits = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

/// The front end of Jupyter that a session opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interface {
    /// `JupyterLab`.
    #[default]
    Lab,
    /// The notebook interface.
    Notebook,
    /// The server alone, for editors that bring their own front end.
    Server,
}

impl Interface {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Lab, Self::Notebook, Self::Server];

    /// The word for it in a spec.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lab => "lab",
            Self::Notebook => "notebook",
            Self::Server => "server",
        }
    }
}

/// What a session asks of the scheduler and of Jupyter; what is `None` is left
/// to the site's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Launch {
    /// The time limit.
    pub time: Option<At<WallTime>>,
    /// Memory of the whole job on its node.
    pub memory: Option<At<MemorySize>>,
    /// Cores.
    pub cpus: Option<At<u32>>,
    /// GPUs.
    pub gpus: Option<At<u32>>,
    /// The partition.
    pub partition: Option<At<String>>,
    /// The account that pays.
    pub account: Option<At<String>>,
    /// The quality of service.
    pub qos: Option<At<String>>,
    /// The front end.
    pub interface: Option<At<Interface>>,
    /// The folder that the server shows, relative to the home on the cluster.
    pub root_dir: Option<At<String>>,
    /// Minutes without activity after which the server ends itself.
    pub idle: Option<At<WallTime>>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_six_forms_of_slurm_are_times() {
        for (text, seconds) in [
            ("30", 1800),
            ("90", 5400),
            ("1:30", 90),
            ("8:00:00", 28_800),
            ("08:00:00", 28_800),
            ("100:00:00", 360_000),
            ("2-0", 172_800),
            ("1-12", 129_600),
            ("1-12:30", 131_400),
            ("1-00:00:01", 86_401),
        ] {
            assert_eq!(text.parse(), Ok(WallTime(seconds)), "{text}");
        }
    }

    #[test]
    fn other_times_say_why_not() {
        use WallTimeError::{Form, Overflow, TooLong, Zero};
        for (text, error) in [
            ("", Form),
            ("8h", Form),
            ("-8", Form),
            ("1:2:3:4", Form),
            ("1-", Form),
            ("1-1:1:1:1", Form),
            ("+8:00", Form),
            ("UNLIMITED", Form),
            ("99999999999", Form),
            ("8:75:00", Overflow),
            ("8:00:60", Overflow),
            ("1-24", Overflow),
            ("0", Zero),
            ("0-00:00:00", Zero),
            ("366-00", TooLong),
            ("999999999:00:00", TooLong),
        ] {
            assert_eq!(text.parse::<WallTime>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_number_without_unit_is_megabytes_as_in_slurm() {
        for (text, bytes) in [
            ("2048", 2048 << 20),
            ("65536K", 64 << 20),
            ("500M", 500 << 20),
            ("16G", 16 << 30),
            ("1t", 1 << 40),
        ] {
            assert_eq!(text.parse(), Ok(MemorySize(bytes)), "{text}");
        }
    }

    #[test]
    fn other_memory_says_why_not() {
        use MemorySizeError::{Form, TooLarge, TooSmall};
        for (text, error) in [
            ("", Form),
            ("G", Form),
            ("1.5G", Form),
            ("16GB", Form),
            ("-1G", Form),
            ("16 G", Form),
            ("16é", Form),
            ("0", TooSmall),
            ("16", TooSmall),
            ("1025T", TooLarge),
            ("999999999T", TooLarge),
        ] {
            assert_eq!(text.parse::<MemorySize>(), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_printed_time_reads_back(seconds in 1..=WallTime::MAX.0) {
            let time = WallTime(seconds);
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }

        #[test]
        fn a_printed_amount_reads_back(number in 1_u64..100_000, shift in prop::sample::select(vec![10, 20, 30])) {
            let memory = MemorySize((number << shift).clamp(MemorySize::MIN.0, MemorySize::MAX.0));
            prop_assert_eq!(memory.to_string().parse(), Ok(memory));
        }

        #[test]
        fn no_text_breaks_the_readers(text in "\\PC{0,12}") {
            let _ = text.parse::<WallTime>();
            let _ = text.parse::<MemorySize>();
        }
    }
}
