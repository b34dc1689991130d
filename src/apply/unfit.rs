//! An environment is not made, and not started, on a machine on which its packages can't
//! run.
//!
//! On a cluster it is the start script that looks, on the node where the server is to
//! run (`recipe/server.sh`); a login node without a GPU may have any environment.

use super::context::Context;
use super::error::ApplyError;
use super::subject::Subject;
use crate::conda::{self, CondaError, Lack};
use crate::lock::Need;
use crate::site::{Scheduler, Site};

/// Refuses a machine that lacks what packages need, where it is the one that they run
/// on.
pub fn refuse_unfit(context: &Context, site: &Site, needs: &[Need]) -> Result<(), ApplyError> {
    let lacks = lacks(site, needs)?;
    let Some(first) = lacks.first() else {
        return Ok(());
    };
    let lines: Vec<String> = lacks.iter().map(line).collect();
    Err(ApplyError::Unfit {
        host: context.who.host.clone(),
        lacks: lines.join("\n"),
        example: format!("CONDA_OVERRIDE_{}", first.need.what().to_ascii_uppercase()),
    })
}

/// The same before an environment is made; gives what is lacked of what the spec's own
/// target declares, which is for another machine then.
pub(super) fn judge(
    context: &Context,
    subject: &Subject,
    needs: &[Need],
) -> Result<Vec<String>, ApplyError> {
    let target = &subject.file.spec.target;
    let is_declared = |need: &&Need| match need.what().as_str() {
        "glibc" => target.glibc.is_some(),
        "cuda" => target.cuda.is_some(),
        "linux" => target.linux.is_some(),
        "archspec" => target.arch.is_some(),
        _ => false,
    };
    let (declared, here): (Vec<&Need>, Vec<&Need>) = needs.iter().partition(is_declared);
    let of = |needs: Vec<&Need>| needs.into_iter().cloned().collect::<Vec<_>>();
    refuse_unfit(context, &subject.site, &of(here))?;
    let lacks = lacks(&subject.site, &of(declared))?;
    Ok(lacks.iter().map(line).collect())
}

/// Whether this machine is the one that servers run on.
pub fn runs_here(site: &Site) -> bool {
    matches!(site.scheduler, Scheduler::None) && site.ssh.hops.is_empty()
}

/// What is lacked, if this machine is the one that counts.
fn lacks(site: &Site, needs: &[Need]) -> Result<Vec<Lack>, ApplyError> {
    if !runs_here(site) {
        return Ok(Vec::new());
    }
    let lacks = conda::lacks(needs).map_err(CondaError::from)?;
    Ok(lacks)
}

fn line(lack: &Lack) -> String {
    let there = match &lack.there {
        Some(there) => format!("this machine has {there}"),
        None => "this machine has none".to_owned(),
    };
    format!("{} needs {}, {there}", lack.need.by, lack.need.in_words())
}
