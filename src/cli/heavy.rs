//! Heavy work where a site forbids it on login nodes: the same command, run again
//! through the scheduler.
//!
//! This process becomes `srun`, so output, Ctrl-C and exit code are those of the
//! command on the node. Nothing is held by then: no lease, no half-made file.

use std::io::IsTerminal as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use super::app::App;
use super::failure::Failure;
use super::reach::is_login_node;
use crate::site::{HeavyWork, Site, slurm_memory};

/// The rule of a site, if it applies here and now: on its login node, outside a
/// job.
pub(super) fn rule<'s>(app: &App<'_>, site: &'s Site) -> Option<&'s HeavyWork> {
    let rule = site.slurm()?.heavy_work.as_ref()?;
    let on_login_node = is_login_node(site, &App::host()) || app.has_slurm();
    (on_login_node && app.variable("SLURM_JOB_ID").is_none()).then_some(rule)
}

/// Goes on through the scheduler, if the site wants that; comes back only if it
/// does not.
pub(super) fn pass_on(app: &App<'_>, site: &Site) -> Result<(), Failure> {
    let Some(rule) = rule(app, site) else {
        return Ok(());
    };
    app.ui
        .status(format!("{}: this goes on through srun", rule.reason));
    let failed = |error: std::io::Error| {
        Failure::cluster(
            format!("srun could not be run: {error}"),
            "is Slurm on your PATH? Some sites need: module load slurm",
        )
    };
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new("srun");
    command
        // No session: those are called `envspec-…`.
        .arg("--job-name=envspec")
        .args(["--nodes=1", "--ntasks=1", "--quit-on-interrupt"])
        .arg(format!("--mem={}", slurm_memory(rule.memory)));
    // A terminal of its own merges the two streams, so only where both are one.
    if std::io::stdout().is_terminal() && std::io::stderr().is_terminal() {
        command.arg("--pty");
    }
    Err(failed(
        command
            .arg(program)
            .args(std::env::args_os().skip(1))
            .exec(),
    ))
}
