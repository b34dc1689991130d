//! Heavy work where a site forbids it on login nodes: the same command, run again
//! through the scheduler.
//!
//! This process then only stands before `srun`: output and exit code are those of
//! the command on the node, and so is Ctrl-C, which reaches it as a question and
//! not as the end of its job: what it holds is let go in order. Nothing is held
//! here: no lease, no half-made file.

use std::io::IsTerminal as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::runtime::Handle;

use super::app::App;
use super::commands::walk::interrupted;
use super::failure::{Exit, Failure};
use super::reach::is_login_node;
use crate::site::{HeavyWork, Site, slurm_memory};

/// How long the command on the node may take to end in order.
const IN_ORDER: Duration = Duration::from_millis(1500);

/// The rule of a site, if it applies here and now: on its login node, outside a
/// job.
pub(super) fn rule<'s>(app: &App<'_>, site: &'s Site) -> Option<&'s HeavyWork> {
    let rule = site.slurm()?.heavy_work.as_ref()?;
    let on_login_node = is_login_node(site, &App::host()) || app.has_slurm();
    (on_login_node && app.variable("SLURM_JOB_ID").is_none()).then_some(rule)
}

/// Goes on through the scheduler, if the site wants that, and ends with what
/// comes of it; comes back only if the site does not want it.
#[expect(clippy::exit, reason = "the command has run to its end, elsewhere")]
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
    let mut command = srun(rule).map_err(failed)?;
    let code = tokio::task::block_in_place(|| Handle::current().block_on(to_its_end(&mut command)));
    std::process::exit(code.map_err(failed)?)
}

/// This command again, through `srun`.
fn srun(rule: &HeavyWork) -> std::io::Result<Command> {
    let program = std::env::current_exe()?;
    let mut command = Command::new("srun");
    command
        // No session: those are called `envspec-…`.
        .arg("--job-name=envspec")
        .args(["--nodes=1", "--ntasks=1"])
        .arg(format!("--mem={}", slurm_memory(rule.memory)));
    // A terminal of its own merges the two streams, so only where all are one.
    if std::io::stdin().is_terminal()
        && std::io::stdout().is_terminal()
        && std::io::stderr().is_terminal()
    {
        command.arg("--pty");
    } else {
        // Else srun eats what the script around this reads, and stands still in
        // the background. Of a group of its own, so that a Ctrl-C comes here.
        command
            .arg("--input=none")
            .stdin(Stdio::null())
            .process_group(0);
    }
    command.arg(program).args(std::env::args_os().skip(1));
    Ok(command)
}

/// Runs `srun` to its end, and gives the exit code.
async fn to_its_end(command: &mut Command) -> std::io::Result<i32> {
    let mut srun = command.spawn()?;
    let pid = srun
        .id()
        .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    // One that has ended needs no telling.
    let tell = |signal| pid.is_some_and(|pid| kill_process(pid, signal).is_ok());
    tokio::select! {
        status = srun.wait() => return Ok(code(status?)),
        () = interrupted() => {}
    }
    // SIGINT would have srun kill the command, with its lease in its hand; this
    // one srun hands on. A job that waits still is taken back by any signal.
    tell(Signal::USR1);
    if tokio::time::timeout(IN_ORDER, srun.wait()).await.is_err() {
        tell(Signal::TERM);
        srun.wait().await?;
    }
    Ok(Exit::Interrupted as i32)
}

/// What a shell would say of it.
fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}
