//! What a `pip:` section adds to conda's packages, the extras of these among it.
//!
//! uv is told nothing of their extras at first: what they need stands in the packages
//! themselves, and is looked for where one is asked for, by a line or by another wheel.

use rattler_lock::PypiDistributionData;

use super::error::ApplyError;
use super::pip::{Asked, Asking, Once};
use crate::conda::{Known, extras};
use crate::lock::PlatformPackages;
use crate::pip::{Answer, Lost};

/// How often extras bring extras.
const DEPTH: usize = 8;

impl Asking<'_> {
    /// What is asked of pip for packages of conda's; `earlier` is kept where nothing forces
    /// a change.
    pub(super) async fn resolve(
        &self,
        solved: &PlatformPackages,
        earlier: &[PypiDistributionData],
    ) -> Result<Answer, ApplyError> {
        let Some(mut asked) = self.asked(solved).await? else {
            return Ok(Answer::default());
        };
        self.resolve_asked(&mut asked, earlier).await
    }

    /// The same, once it is known what is asked.
    pub(super) async fn resolve_asked(
        &self,
        asked: &mut Asked<'_>,
        earlier: &[PypiDistributionData],
    ) -> Result<Answer, ApplyError> {
        let lines = asked.said.requirements.clone();
        let once = Once {
            earlier,
            alone: false,
        };
        let mut answer = self.ask(asked, &lines, once).await?;
        for _ in 0..DEPTH {
            if !self.look_into(asked, &answer.lost).await? {
                break;
            }
            answer = self.ask(asked, &lines, once).await?;
        }
        Ok(answer)
    }

    /// Looks what extras need, and tells whether something was found that uv does not know.
    async fn look_into(&self, asked: &mut Asked<'_>, lost: &[Lost]) -> Result<bool, ApplyError> {
        let packages = self.subject.packages(self.context);
        let answers = self.answers();
        let known = Known {
            packages: &packages,
            answers: &answers,
        };
        let mut is_new = false;
        for Lost { name, .. } in lost {
            if asked.extras.contains_key(name) {
                continue;
            }
            let lines = extras(&asked.solved.records, name, &known, self.client).await?;
            is_new |= lines.is_some();
            asked.extras.insert(name.clone(), lines.unwrap_or_default());
        }
        Ok(is_new)
    }
}

/// Tells of an extra that is not installed: what it needs is not known, or there is none.
pub(super) fn warning(Lost { name, extra }: &Lost) -> String {
    format!(
        "{name} is conda's and tells of no extra `{extra}`, so nothing is installed for it; \
         list what it should bring in `dependencies`"
    )
}
