//! The way to a server through the scheduler, where its node can't be reached by
//! ssh: `srun --overlap` starts an sshd of the user's own inside the job, and ssh
//! speaks to it over srun's standard input and output.
//!
//! So it has all that ssh has (many connections at once, sockets), no port is
//! opened anywhere, and it sees the job's own `/tmp`. That sshd knows one key,
//! made for this connection, and does nothing but forward.

use std::process::Stdio;

use tokio::process::Command;

use super::error::SessionError;
use super::model::Record;
use super::sessions::Sessions;
use crate::cluster::{ClusterError, Connection, Login};
use crate::recipe::{CommandLine, quote};

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

    let login = match sessions.login() {
        Login::Here => None,
        Login::There(login) => Some((login.command(), login.host())),
    };
    let proxy = proxy_command(login.as_ref(), job, &there.run);
    let mut command = connection.command();
    command
        .args(["-o", "ProxyJump=none", "-o", &proxy])
        .args(["-o", &format!("HostKeyAlias={ALIAS}")])
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

/// The option that has ssh speak to a program in a job: through the shell of
/// this machine, and through the login shell if there is a login node.
fn proxy_command(login: Option<&(Command, &str)>, job: u64, run: &str) -> String {
    let srun = CommandLine::run([
        "srun",
        "--overlap",
        &format!("--jobid={job}"),
        "--nodes=1",
        "--ntasks=1",
        // Else whole lines alone come through.
        "--unbuffered",
        "--quiet",
        "sh",
        run,
    ])
    .quoted();
    let proxy = match login {
        None => srun,
        Some((ssh, host)) => {
            let words = std::iter::once(ssh.as_std().get_program())
                .chain(ssh.as_std().get_args())
                .map(|word| quote(&word.to_string_lossy()));
            let words: Vec<_> = words.collect();
            // A greeting of the login shell ends before ssh's own begins.
            format!(
                "{} {host} {}",
                words.join(" "),
                quote(&format!("echo; {srun}"))
            )
        }
    };
    // `%` begins a token of ssh's own.
    format!("ProxyCommand={}", proxy.replace('%', "%%"))
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use proptest::prelude::*;

    use super::*;
    use crate::recipe::hostile::{hostile, login_shells};

    /// Puts a program into a folder.
    fn program(folder: &std::path::Path, name: &str, text: &str) {
        let path = folder.join(name);
        fs_err::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

        /// The real ssh runs the command; in the place of the ssh in it and of
        /// `srun` stand programs that do what those do with words.
        #[test]
        fn any_root_reaches_srun_through_ssh_and_the_shells_of_both_sides(name in hostile(), job in 1..9999_u64) {
            let root: String = format!("/{name}").chars().filter(|c| !c.is_control()).collect();
            let run = format!("{root}/sessions/7-0/bridge/run");
            let folder = tempfile::tempdir().unwrap();
            let came = folder.path().join("came");
            program(folder.path(), "srun", "printf '%s\\0' \"$@\" >\"$CAME\"");
            // As sshd: the words with spaces between them, for the login shell.
            program(folder.path(), "ssh", "shift 3; exec \"$LOGIN_SHELL\" -c \"$*\"");
            let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
            let expected = format!(
                "--overlap\0--jobid={job}\0--nodes=1\0--ntasks=1\0--unbuffered\0--quiet\0sh\0{run}\0"
            );
            let mut ssh = Command::new("ssh");
            ssh.args(["-F", "/tmp/envspec-x/config"]);
            let there = (ssh, "login");
            for (login, shells) in [(None, vec!["sh"]), (Some(&there), login_shells())] {
                let proxy = proxy_command(login, job, &run);
                for theirs in shells {
                    for ours in login_shells() {
                        let ours = which(ours);
                        let mut command = std::process::Command::new(which("ssh"));
                        command
                            .args(["-F", "/dev/null", "-o", &proxy, "nowhere"])
                            .env("PATH", &path)
                            .env("SHELL", &ours)
                            .env("LOGIN_SHELL", theirs)
                            .env("CAME", &came)
                            .stdin(Stdio::null());
                        drop(std::fs::remove_file(&came));
                        let said = command.output().unwrap().stderr;
                        let came = std::fs::read_to_string(&came).unwrap_or_default();
                        prop_assert_eq!(came, &*expected, "{} {} {}", ours, theirs, String::from_utf8_lossy(&said));
                    }
                }
            }
        }
    }

    /// The path of a program, whatever will be on PATH.
    fn which(program: &str) -> String {
        let asked = ["-c", "command -v \"$1\"", "sh", program];
        let output = std::process::Command::new("sh")
            .args(asked)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}
