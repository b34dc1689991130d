//! What OpenSSH says of a host, told apart; pure text.
//!
//! `ssh -v` through a jump says the lines of every host on the way, the nearest
//! first. Each host is tried after those before it, so what fails is the last
//! one's.

use super::check::Check;
use crate::recipe::quote;

/// How an attempt to log in ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cluster) enum Outcome {
    /// In.
    Accepted,
    /// The host key is in no list of known ones.
    HostUnknown,
    /// The host key is another than the known one; where that stands.
    HostChanged(Option<String>),
    /// No key was accepted.
    KeyRefused,
    /// More keys were offered than the host tries.
    TooManyKeys,
    /// The node lets nobody in who has no job there.
    NoJob,
    /// The hop before forwards nothing.
    Prohibited,
    /// The name is unknown.
    NoName,
    /// Nothing listens there.
    Refused,
    /// No answer.
    Silent,
    /// Something else, in ssh's words.
    Other(String),
}

/// An attempt to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cluster) struct Trial {
    pub(in crate::cluster) outcome: Outcome,
    /// The key that was accepted.
    pub(super) key: Option<String>,
}

impl Trial {
    /// Reads what `ssh -v` said on its standard error; `code` is `None` if it
    /// did not end in time.
    pub(in crate::cluster) fn read(said: &str, code: Option<i32>) -> Self {
        let words: Vec<&str> = said
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with("debug") && !line.starts_with("OpenSSH_"))
            .collect();
        let says = |what: &str| words.iter().any(|line| line.contains(what));
        let key = said
            .lines()
            .filter_map(|line| line.strip_prefix("debug1: Server accepts key: "))
            // The path or the agent's comment, the kind, the fingerprint.
            .filter_map(|rest| Some(rest.split_once(" SHA256:")?.0.rsplit_once(' ')?.0))
            .next_back();
        let outcome = if code == Some(0) {
            Outcome::Accepted
        } else if says("REMOTE HOST IDENTIFICATION HAS CHANGED") {
            let place = words.iter().find_map(|line| {
                let (_, place) = line.strip_prefix("Offending ")?.split_once(" in ")?;
                Some(place.to_owned())
            });
            Outcome::HostChanged(place)
        } else if says("Host key verification failed") {
            Outcome::HostUnknown
        } else if says("pam_slurm") || says("no active jobs on this node") {
            Outcome::NoJob
        } else if says("Too many authentication failures") {
            Outcome::TooManyKeys
        } else if says("Permission denied (") {
            Outcome::KeyRefused
        } else if says("administratively prohibited") {
            Outcome::Prohibited
        } else if says("Could not resolve hostname")
            || says("Name or service not known")
            || says("name resolution")
        {
            Outcome::NoName
        } else if says("Connection refused") {
            Outcome::Refused
        } else if code.is_none() || says("timed out") || says("No route to host") {
            Outcome::Silent
        } else {
            let said = words.iter().filter(|line| !line.starts_with("Killed by"));
            Outcome::Other(said.copied().collect::<Vec<_>>().join("; "))
        };
        Self {
            outcome,
            key: key.map(str::to_owned),
        }
    }

    /// The checks of a host. `before` is the hop before it, `login` the login
    /// node if the host is a compute node, with the key that opened that one.
    pub(super) fn checks(
        &self,
        host: &str,
        before: Option<&str>,
        login: Option<(&str, Option<&str>)>,
    ) -> [Check; 3] {
        let reached = Check::good("reach", host, "answers");
        let known = Check::good("host key", host, "known");
        let Some((found, remedy)) = self.outcome.fault(host, before, login) else {
            let key = self.key.as_deref().unwrap_or("you are let in");
            return [reached, known, Check::good("key", host, key)];
        };
        match &self.outcome {
            Outcome::HostUnknown | Outcome::HostChanged(_) => {
                let unproven = format!("{host} is not proven to be it");
                [
                    reached,
                    Check::bad("host key", host, found, remedy),
                    Check::not_tried("key", host, &unproven),
                ]
            }
            Outcome::KeyRefused | Outcome::TooManyKeys => {
                [reached, known, Check::bad("key", host, found, remedy)]
            }
            Outcome::NoJob => [reached, known, Check::unknown("key", host, found, remedy)],
            _ => {
                let because = format!("{host} is not reached");
                [
                    Check::bad("reach", host, found, remedy),
                    Check::not_tried("host key", host, &because),
                    Check::not_tried("key", host, &because),
                ]
            }
        }
    }
}

impl Outcome {
    /// What is wrong with a host and what to do about it; `None` if nothing is.
    /// The hosts are those of [`Trial::checks`].
    pub(in crate::cluster) fn fault(
        &self,
        host: &str,
        before: Option<&str>,
        login: Option<(&str, Option<&str>)>,
    ) -> Option<(String, String)> {
        let (found, remedy) = match self {
            Self::Accepted => return None,
            Self::HostUnknown => (
                "its host key is not among the known ones",
                format!(
                    "compare its fingerprint with the one that the site publishes, once, with: ssh {host}"
                ),
            ),
            Self::HostChanged(place) => {
                let place = place.as_deref().unwrap_or("known_hosts");
                return Some((
                    format!("its host key is another than the known one in {place}"),
                    format!(
                        "ask the site whether {host} has a new key; if so, forget the old one: ssh-keygen -R {host}"
                    ),
                ));
            }
            Self::KeyRefused => return Some(refused(host, login)),
            Self::TooManyKeys => (
                "it let nobody in who offers so many keys",
                format!(
                    "name the right one for {host} in ~/.ssh/config: IdentityFile, and IdentitiesOnly yes"
                ),
            ),
            Self::NoJob => (
                "refused, as you have no job there; it is tried once a session runs",
                "start one: envspec launch".to_owned(),
            ),
            Self::Prohibited => (
                "the hop before forbids forwarding",
                format!(
                    "{} has to allow it (AllowTcpForwarding, PermitOpen in its sshd_config): ask the site",
                    before.unwrap_or("that hop")
                ),
            ),
            Self::NoName => (
                "the name is unknown",
                match before {
                    None => "check the name, your network and VPN, or give it a HostName in ~/.ssh/config"
                        .to_owned(),
                    Some(before) => format!("check the name; it is looked up on {before}"),
                },
            ),
            Self::Refused => (
                "its sshd does not listen",
                format!("{host} may be down for maintenance: look at the site's news, try again later"),
            ),
            Self::Silent => (
                "no answer",
                "check your network and VPN; the host may be down".to_owned(),
            ),
            Self::Other(said) => (said.as_str(), format!("see all that ssh says with: ssh -v {host}")),
        };
        Some((found.to_owned(), remedy))
    }
}

/// A refused key: what was found, and what to do.
fn refused(host: &str, login: Option<(&str, Option<&str>)>) -> (String, String) {
    let Some((login, key)) = login else {
        return (
            "none of your keys is accepted".to_owned(),
            format!(
                "register your public key with the site; if it is, name it under IdentityFile for \
                 {host} in ~/.ssh/config, and check User there"
            ),
        );
    };
    match key {
        Some(key) => {
            let add = format!("ssh {login} 'cat >>~/.ssh/authorized_keys'");
            let command = if key.starts_with('/') {
                format!("{add} <{}", quote(&format!("{key}.pub")))
            } else {
                // An agent's key has no file, but a comment.
                format!("ssh-add -L | grep -F -e {} | {add}", quote(key))
            };
            (
                format!("{key} opens {login}, but not the compute node"),
                format!("add it to ~/.ssh/authorized_keys on the cluster: {command}"),
            )
        }
        None => (
            "none of your keys is accepted".to_owned(),
            "add your public key to ~/.ssh/authorized_keys on the cluster".to_owned(),
        ),
    }
}

/// The version in the answer of `ssh -V`; `None` if it is not OpenSSH's.
pub(super) fn version(said: &str) -> Option<(u32, u32)> {
    let rest = said.trim().split_once("OpenSSH_")?.1;
    // Windows calls its own OpenSSH_for_Windows_9.5p1.
    let rest = &rest[rest.find(|c: char| c.is_ascii_digit())?..];
    let (major, rest) = rest.split_once('.')?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    Some((major.parse().ok()?, rest[..end].parse().ok()?))
}

/// The check of this machine's ssh.
pub(super) fn version_check(said: &str) -> Check {
    let name = "ssh version";
    let here = "this machine";
    let remedy = "install OpenSSH 7.3 or later: older ones know no ProxyJump";
    match version(said) {
        Some(version) if version >= (7, 3) => {
            Check::good(name, here, format!("OpenSSH {}.{}", version.0, version.1))
        }
        Some(version) => {
            let lacks = if version < (6, 7) {
                "ProxyJump and sockets"
            } else {
                "ProxyJump"
            };
            let found = format!("OpenSSH {}.{} knows no {lacks}", version.0, version.1);
            Check::bad(name, here, found, remedy)
        }
        None => Check::unknown(
            name,
            here,
            format!("not OpenSSH's: {}", said.trim()),
            remedy,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    /// What OpenSSH 9.2 says, as it said it; the notes shortened.
    const WELL: &str = "\
OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.19 27 Jan 2026
debug1: Executing proxy command: exec ssh -v -W '[login]:22' jump
debug1: Host 'jump' is known and matches the ED25519 host key.
debug1: Server accepts key: /home/ada/.ssh/id_ed25519 ED25519 SHA256:S6fgZKr1+ZHtSmoSNTrUMcvN/ScEfhGwwUlLnl6x9j8
Authenticated to jump ([10.77.1.20]:22) using \"publickey\".
debug1: Host 'login' is known and matches the ED25519 host key.
debug1: Server accepts key: /home/ada/my keys/id ED25519 SHA256:S6fgZKr1+ZHtSmoSNTrUMcvN/ScEfhGwwUlLnl6x9j8
Authenticated to login (via proxy) using \"publickey\".
Transferred: sent 3472, received 3304 bytes, in 0.1 seconds
Killed by signal 1.
";

    const CHANGED: &str = "\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Add correct host key in /home/ada/.ssh/known_hosts to get rid of this message.\r
Offending ED25519 key in /home/ada/.ssh/known_hosts:2\r
Host key for login has changed and you have requested strict checking.\r
Host key verification failed.\r
";

    fn outcome(said: &str) -> Outcome {
        Trial::read(said, Some(255)).outcome
    }

    #[test]
    fn the_key_that_opened_the_last_host_is_named() {
        let trial = Trial::read(WELL, Some(0));
        assert_eq!(trial.outcome, Outcome::Accepted);
        assert_eq!(trial.key.as_deref(), Some("/home/ada/my keys/id"));
        let checks = Trial::read("Permission denied (publickey).", Some(255)).checks(
            "med0101",
            Some("login"),
            Some(("login", trial.key.as_deref())),
        );
        let remedy = checks[2].remedy.as_deref().unwrap();
        assert!(remedy.ends_with("<'/home/ada/my keys/id.pub'"), "{remedy}");
    }

    #[test]
    fn each_failure_is_told_from_the_others() {
        let place = "/home/ada/.ssh/known_hosts:2".to_owned();
        assert_eq!(outcome(CHANGED), Outcome::HostChanged(Some(place)));
        for (said, expected) in [
            (
                "No ED25519 host key is known for login and you have requested strict checking.\r\n\
                 Host key verification failed.\r\n",
                Outcome::HostUnknown,
            ),
            (
                "debug1: No more authentication methods to try.\n\
                 ada@med0101: Permission denied (publickey,password).\n\
                 Killed by signal 1.\n",
                Outcome::KeyRefused,
            ),
            (
                "Received disconnect from 10.77.1.20 port 22:2: Too many authentication failures\n\
                 Disconnected from 10.77.1.20 port 22\n",
                Outcome::TooManyKeys,
            ),
            (
                "Access denied by pam_slurm_adopt: you have no active jobs on this node\n\
                 Connection closed by 10.77.3.101 port 22\n",
                Outcome::NoJob,
            ),
            (
                "channel 0: open failed: administratively prohibited: open failed\n\
                 stdio forwarding failed\n\
                 kex_exchange_identification: Connection closed by remote host\n\
                 Connection closed by UNKNOWN port 65535\n",
                Outcome::Prohibited,
            ),
            (
                "ssh: Could not resolve hostname nowhere: Name or service not known\r\n",
                Outcome::NoName,
            ),
            (
                "channel 0: open failed: connect failed: Connection refused\n\
                 stdio forwarding failed\n",
                Outcome::Refused,
            ),
            (
                "ssh: connect to host login port 22: Connection timed out\r\n",
                Outcome::Silent,
            ),
            (
                "debug1: Connecting to jump [10.77.1.20] port 22.\n\
                 kex_exchange_identification: read: Connection reset by peer\n\
                 Killed by signal 1.\n",
                Outcome::Other(
                    "kex_exchange_identification: read: Connection reset by peer".to_owned(),
                ),
            ),
        ] {
            assert_eq!(outcome(said), expected, "{said}");
        }
        assert_eq!(Trial::read("", None).outcome, Outcome::Silent);
        // A note that speaks of a refusal is none.
        let note = "debug1: connect to address ::1 port 22: Connection refused\n";
        assert_eq!(outcome(note), Outcome::Other(String::new()));
    }

    #[test]
    fn versions_are_read_and_judged() {
        let debian = "OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.19 27 Jan 2026\n";
        assert_eq!(version(debian), Some((9, 2)));
        assert_eq!(
            version("OpenSSH_for_Windows_9.5p1, LibreSSL 3.8.2"),
            Some((9, 5))
        );
        assert_eq!(version("OpenSSH_10.0p2, OpenSSL 3.5.0"), Some((10, 0)));
        assert_eq!(version("Dropbear v2022.83"), None);
        for (said, verdict) in [
            (debian, Verdict::Good),
            ("OpenSSH_7.3p1", Verdict::Good),
            ("OpenSSH_7.2p2 Ubuntu-4", Verdict::Bad),
            ("OpenSSH_6.6.1p1", Verdict::Bad),
            ("Dropbear v2022.83", Verdict::Unknown),
        ] {
            assert_eq!(version_check(said).verdict, verdict, "{said}");
        }
    }
}
