//! One check: what was looked at, and what came of it.

use serde::Serialize;

/// What comes of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Something that has to be mended.
    Bad,
    /// It was not tried, or does not tell.
    Unknown,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// Where: a host, or this machine.
    pub place: String,
    /// What comes of it.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it; `None` where there is nothing to do.
    pub remedy: Option<String>,
}

impl Check {
    /// It is as it should be.
    pub fn good(name: &'static str, place: &str, found: impl Into<String>) -> Self {
        Self::new(name, place, Verdict::Good, found.into(), None)
    }

    /// It has to be mended.
    pub fn bad(
        name: &'static str,
        place: &str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into());
        Self::new(name, place, Verdict::Bad, found.into(), remedy)
    }

    /// It does not tell.
    pub fn unknown(
        name: &'static str,
        place: &str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into());
        Self::new(name, place, Verdict::Unknown, found.into(), remedy)
    }

    /// It makes no sense after what went before.
    pub fn not_tried(name: &'static str, place: &str, because: &str) -> Self {
        let found = format!("not tried, because {because}");
        Self::new(name, place, Verdict::Unknown, found, None)
    }

    fn new(
        name: &'static str,
        place: &str,
        verdict: Verdict,
        found: String,
        remedy: Option<String>,
    ) -> Self {
        Self {
            name,
            place: place.to_owned(),
            verdict,
            found,
            remedy,
        }
    }
}
