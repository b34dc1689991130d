//! The ssh config: a block for every hop and one for the session.
//!
//! ssh's config has no quoting that every version reads alike, so it is given
//! nothing to quote: host and user names are types that hold no special
//! character, and everything else is a constant. It changes no block of the
//! user's own: the aliases start with `envspec-`.

use super::request::{Facts, Hop, Place, SshVersion};

/// Into which file the config goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConfigFile {
    /// Into the user's `~/.ssh/config`.
    OfTheUser,
    /// Into a file of its own, given to ssh with `-F`.
    Own,
}

/// The handle of a session's tunnel. An own name and not `%C`, which would
/// change with the node, and short: with ssh's own suffix it has 104 bytes.
pub(super) fn handle(facts: &Facts<'_>) -> String {
    format!("~/.ssh/envspec-{}.tunnel", facts.local_port)
}

/// The file that holds the config when it isn't the user's.
pub(super) fn own_file(facts: &Facts<'_>) -> String {
    format!(".ssh/{}.config", facts.session)
}

/// The whole config; empty when there is no hop.
pub(super) fn config(facts: &Facts<'_>, file: ConfigFile) -> String {
    if facts.hops.is_empty() {
        return String::new();
    }
    let asked = &facts.asked;
    let mut text = format!(
        "# {} on {}, from the laptop\n",
        facts.session, asked.site.title
    );
    if let Some(keys) = &asked.site.ssh.host_keys {
        let key = match &keys.key {
            Some(key) => key.as_str(),
            None => "KEY-THAT-THE-SITE-PUBLISHES",
        };
        text.push_str(
            "# Host keys there are signed. This line in ~/.ssh/known_hosts trusts them:\n",
        );
        put!(text, "#   @cert-authority {} {key}\n", keys.signed_for);
    }
    let mut before: Option<&Hop> = None;
    for hop in &facts.hops {
        put!(text, "\nHost {}\n  HostName {}\n", hop.alias, hop.host);
        for other in &hop.others {
            put!(text, "  # or {other}\n");
        }
        put!(text, "  User {}\n", hop.user);
        way(&mut text, facts, before, file);
        // One login serves all commands; the connection closes by itself.
        text.push_str(
            "  ControlMaster auto\n  ControlPath ~/.ssh/envspec-%C\n  ControlPersist 10m\n",
        );
        alive(&mut text);
        before = Some(hop);
    }
    session(&mut text, facts, file);
    if file == ConfigFile::Own && asked.ssh == SshVersion::Since7_3 {
        // Keys and what else the user has set for all hosts.
        text.push_str("\nHost *\n  Include ~/.ssh/config\n");
    }
    text
}

fn session(text: &mut String, facts: &Facts<'_>, file: ConfigFile) {
    let Some(login) = facts.hops.last() else {
        return;
    };
    put!(text, "\nHost {}\n", facts.session);
    let before = match facts.place {
        Place::Node => {
            text.push_str("  # The node is known once the job runs: ssh -o HostName=NODE\n");
            Some(login)
        }
        Place::Here | Place::LastHop => {
            put!(text, "  HostName {}\n", login.host);
            facts.hops.iter().rev().nth(1)
        }
    };
    put!(text, "  User {}\n", login.user);
    way(text, facts, before, file);
    put!(
        text,
        "  ControlMaster auto\n  ControlPath {}\n",
        handle(facts)
    );
    text.push_str("  ControlPersist no\n  ExitOnForwardFailure yes\n");
    alive(text);
}

/// How the host is reached through the one before it.
fn way(text: &mut String, facts: &Facts<'_>, before: Option<&Hop>, file: ConfigFile) {
    let Some(before) = before else { return };
    if let Some(when) = &before.only_when {
        put!(text, "  # Only if {when}; else delete the next line\n");
    }
    match (facts.asked.ssh, file) {
        (SshVersion::Since7_3, _) => put!(text, "  ProxyJump {}\n", before.alias),
        (SshVersion::Older, ConfigFile::OfTheUser) => {
            put!(text, "  ProxyCommand ssh -W %h:%p {}\n", before.alias);
        }
        (SshVersion::Older, ConfigFile::Own) => put!(
            text,
            "  ProxyCommand ssh -F ~/{} -W %h:%p {}\n",
            own_file(facts),
            before.alias
        ),
    }
}

/// ssh notices a dead connection within 45 seconds; by default it never does.
fn alive(text: &mut String) {
    text.push_str("  ServerAliveInterval 15\n  ServerAliveCountMax 3\n");
}
