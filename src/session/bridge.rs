//! The way to a server through the scheduler, where its node can't be reached by
//! ssh: `srun --overlap` starts an sshd of the user's own inside the job, and ssh
//! speaks to it over srun's standard input and output.
//!
//! So it has all that ssh has (many connections at once, sockets), no port is
//! opened anywhere, and it sees the job's own `/tmp`. That sshd knows one key,
//! made for this connection, and forwards to its own machine only.

use std::process::Stdio;

use tokio::process::Command;

use super::error::SessionError;
use super::model::Record;
use super::sessions::Sessions;
use crate::cluster::{ClusterError, Connection, Login};
use crate::recipe::{CommandLine, Word, quote};

/// The name under which ssh knows the sshd of a job.
const ALIAS: &str = "envspec-bridge";

/// Prepares the way and gives the ssh that will take it; what to forward is
/// still to be said.
pub(super) async fn bridge(
    sessions: &Sessions<'_>,
    connection: &Connection,
    record: &Record,
    job: u64,
    user: &str,
) -> Result<Command, SessionError> {
    let key = connection.sockets().join("bridge_key");
    if !key.exists() {
        make_key(&key).await?;
    }
    let failed = |source| ClusterError::NoFolder { source };
    let public = fs_err::read_to_string(key.with_extension("pub")).map_err(failed)?;
    let there = sessions.bridge(record, &public).await?;
    let known = connection.sockets().join("bridge_known");
    fs_err::write(&known, format!("{ALIAS} {}\n", there.host_key)).map_err(failed)?;

    let job = format!("--jobid={job}");
    let srun = CommandLine::run([
        "srun",
        "--overlap",
        &job,
        "--nodes=1",
        "--ntasks=1",
        // Else whole lines alone come through.
        "--unbuffered",
        "--quiet",
        "sh",
        &there.run,
    ])
    .quoted();
    let proxy = match sessions.login() {
        Login::Here => srun,
        Login::There(login) => {
            let ssh = login.command();
            let words = std::iter::once(ssh.as_std().get_program())
                .chain(ssh.as_std().get_args())
                .map(|word| quote(&word.to_string_lossy()));
            let words: Vec<_> = words.collect();
            // A greeting of the login shell ends before ssh's own begins.
            let srun = Word::text(format!("echo; {srun}")).quoted();
            format!("{} {} {srun}", words.join(" "), login.host())
        }
    };
    let option = |name: &str, value: &str| format!("{name}={value}");
    let mut command = connection.command();
    command
        .args(["-o", &option("ProxyJump", "none")])
        // `%` begins a token of ssh's own.
        .args(["-o", &option("ProxyCommand", &proxy.replace('%', "%%"))])
        .args(["-o", &option("HostKeyAlias", ALIAS)])
        .args(["-o", "StrictHostKeyChecking=yes"])
        .args(["-o", "GlobalKnownHostsFile=none"])
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", known.display()))
        .args(["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"])
        .arg("-i")
        .arg(&key)
        .args(["-l", user]);
    Ok(command)
}

/// Makes a key for one connection.
async fn make_key(path: &std::path::Path) -> Result<(), SessionError> {
    let no_program = |source| ClusterError::NoProgram {
        program: "ssh-keygen".to_owned(),
        source,
    };
    let output = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "envspec", "-f"])
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(no_program)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(ClusterError::Command {
        what: "making a key",
        host: "this machine".to_owned(),
        said,
    }
    .into())
}
