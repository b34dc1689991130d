//! Why ssh did not connect: what, where on the way, and what to do next, out of
//! its own words.

use super::examine::{Outcome, Trial};

/// What is said of an ssh that was given up, behind its own words.
pub(super) const NO_ANSWER: &str = "no answer";

/// The exit code of an ssh that did not connect.
const FAILED: i32 = 255;

/// Why ssh did not connect to a host.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// What is wrong, and where.
    pub(super) found: String,
    /// What to do about it.
    pub(super) remedy: String,
}

impl Refusal {
    /// Reads what ssh said of the way to a host; `None` if it tells no more than
    /// its words.
    pub(super) fn read(host: &str, said: &str) -> Option<Self> {
        let code = (!said.contains(NO_ANSWER)).then_some(FAILED);
        let outcome = Trial::read(said, code).outcome;
        if matches!(outcome, Outcome::NoJob | Outcome::Other(_)) {
            return None;
        }
        let hop = said.lines().rev().find_map(named);
        let (found, remedy) = outcome.fault(hop.unwrap_or(host), None, None)?;
        // What a hop says of the next one has no name in it.
        let place = hop.unwrap_or("on the way there");
        Some(Self {
            found: format!("{place}: {found}"),
            remedy,
        })
    }
}

/// The host that a line of ssh's speaks of.
fn named(line: &str) -> Option<&str> {
    let line = line.trim();
    let host = if let Some((user_at, _)) = line.split_once(": Permission denied") {
        user_at.rsplit_once('@')?.1
    } else {
        let after = |start: &str| line.split_once(start).map(|(_, rest)| rest);
        after("Could not resolve hostname ")
            .or_else(|| after("connect to host "))
            .or_else(|| after("host key is known for "))
            .or_else(|| after("Host key for "))?
    };
    host.split([' ', ':'])
        .next()
        .filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_ones_say_what_where_and_what_next() {
        for (said, found, remedy) in [
            (
                "ada@jump: Permission denied (publickey).\r\nConnection closed by UNKNOWN port 65535\r\n",
                "jump: none of your keys is accepted",
                "name it under IdentityFile for jump in ~/.ssh/config",
            ),
            (
                "ssh: connect to host jump port 22: Connection refused\r\n",
                "jump: its sshd does not listen",
                "jump may be down for maintenance",
            ),
            (
                "ssh: connect to host jump port 22: Connection timed out\n",
                "jump: no answer",
                "check your network and VPN",
            ),
            (
                "no answer within 20 s",
                "on the way there: no answer",
                "VPN",
            ),
            (
                "ssh: Could not resolve hostname jmup: Name or service not known\r\n",
                "jmup: the name is unknown",
                "check the name, your network and VPN",
            ),
            (
                "No ED25519 host key is known for login and you have requested strict checking.\r\n\
                 Host key verification failed.\r\n",
                "login: its host key is not among the known ones",
                "once, with: ssh login",
            ),
            (
                "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!\n\
                 Offending ED25519 key in /home/ada/.ssh/known_hosts:2\r\n\
                 Host key for jump has changed and you have requested strict checking.\r\n",
                "jump: its host key is another than the known one in /home/ada/.ssh/known_hosts:2",
                "ssh-keygen -R jump",
            ),
            (
                "channel 0: open failed: administratively prohibited: open failed\n\
                 stdio forwarding failed\n",
                "on the way there: the hop before forbids forwarding",
                "AllowTcpForwarding",
            ),
            (
                "Received disconnect from 10.77.1.20 port 22:2: Too many authentication failures\n",
                "on the way there: it let nobody in who offers so many keys",
                "IdentitiesOnly yes",
            ),
        ] {
            let refusal = Refusal::read("login", said).unwrap();
            assert_eq!(refusal.found, found, "{said}");
            assert!(
                refusal.remedy.contains(remedy),
                "{said}: {}",
                refusal.remedy
            );
        }
    }

    #[test]
    fn what_is_not_understood_stays_ssh_s_own() {
        for said in [
            "",
            "srun: error: Unable to create step",
            "Bad configuration option: x",
        ] {
            assert_eq!(Refusal::read("login", said), None, "{said}");
        }
    }
}
