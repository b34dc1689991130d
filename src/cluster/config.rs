//! The ssh config of a connection: real host names, so that what the user's own
//! config says of them (user, key, agent) holds here too.
//!
//! Pure text. ssh's config can't quote everything, so it is given nothing to
//! quote: names are types, and the folder of the sockets is one whose path was
//! checked.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::recipe::OuterHops;
use crate::site::{HostName, Site, UserName};

/// The hosts on the way to a login node, the outermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hops {
    hosts: Vec<(HostName, Option<UserName>)>,
}

impl Hops {
    /// The hops of a site; `None` if it is the machine in front of the user.
    /// `users` knows the names of the user where they differ.
    pub fn of(site: &Site, outer: OuterHops, users: &BTreeMap<HostName, UserName>) -> Option<Self> {
        let login = site.ssh.hops.len().checked_sub(1)?;
        let taken = site.ssh.hops.iter().enumerate().filter(|(index, hop)| {
            outer == OuterHops::Taken || hop.only_when.is_none() || *index == login
        });
        let hosts = taken
            .map(|(_, hop)| {
                let user = hop.hosts.iter().find_map(|host| users.get(host));
                (hop.host().clone(), user.cloned())
            })
            .collect();
        Some(Self { hosts })
    }

    /// The login node.
    pub fn login(&self) -> &HostName {
        let (login, _) = self.hosts.last().expect("there is a login node");
        login
    }

    /// The user's name on the login node, if it is told.
    pub fn user(&self) -> Option<&UserName> {
        self.hosts.last().and_then(|(_, user)| user.as_ref())
    }

    /// The hosts, the outermost first.
    pub fn hosts(&self) -> impl Iterator<Item = &HostName> {
        self.hosts.iter().map(|(host, _)| host)
    }
}

/// How quickly a dead connection is noticed: after two questions without an
/// answer, this many seconds apart.
const ALIVE_SECONDS: u32 = 5;

/// The text. `sockets` is the folder of the sockets, `include` the user's own
/// config.
pub fn ssh_config(hops: Option<&Hops>, sockets: &Path, include: Option<&Path>) -> String {
    let mut text = String::new();
    let mut before: Option<&HostName> = None;
    for (host, user) in hops.iter().flat_map(|hops| &hops.hosts) {
        put(&mut text, format_args!("Host {host}"));
        if let Some(user) = user {
            put(&mut text, format_args!("  User {user}"));
        }
        if let Some(before) = before {
            put(&mut text, format_args!("  ProxyJump {before}"));
        }
        before = Some(host);
    }
    if let Some(hops) = hops {
        // The connection to the login node is made once and serves all.
        let login = hops.login();
        put(&mut text, format_args!("Host {login}"));
        put(
            &mut text,
            format_args!("  ControlPath {}", sockets.join("login.control").display()),
        );
        // Compute nodes.
        let mut others = String::new();
        for host in hops.hosts() {
            others.push_str(" !");
            others.push_str(host.as_str());
        }
        put(&mut text, format_args!("Host *{others}"));
        if let Some(user) = hops.user() {
            put(&mut text, format_args!("  User {user}"));
        }
        put(&mut text, format_args!("  ProxyJump {login}"));
    }
    put(&mut text, format_args!("Host *"));
    for line in [
        "ControlMaster no",
        "ControlPersist no",
        "ControlPath none",
        "ExitOnForwardFailure yes",
        "ForwardAgent no",
        "ForwardX11 no",
        "PermitLocalCommand no",
        "RemoteCommand none",
        "RequestTTY no",
        "StreamLocalBindUnlink yes",
        "ServerAliveCountMax 2",
    ] {
        put(&mut text, format_args!("  {line}"));
    }
    put(
        &mut text,
        format_args!("  ServerAliveInterval {ALIVE_SECONDS}"),
    );
    if let Some(include) = include {
        put(&mut text, format_args!("Include \"{}\"", include.display()));
    }
    text
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing into a String can't fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Sites;

    #[test]
    fn the_way_leads_through_each_hop_to_the_node_and_the_login_is_shared() {
        let site = Sites::builtin().find(Some("bih")).unwrap();
        let jump = site.ssh.hops[0].host().clone();
        let users = BTreeMap::from([(jump, UserName::new("a.lovelace").unwrap())]);
        let hops = Hops::of(&site, OuterHops::Taken, &users).unwrap();
        insta::assert_snapshot!(ssh_config(
            Some(&hops),
            Path::new("/run/user/1000/envspec-x"),
            Some(Path::new("/home/ada/.ssh/config"))
        ));
        let inside = Hops::of(&site, OuterHops::LeftOut, &users).unwrap();
        assert_eq!(inside.hosts().count(), 1);
    }

    #[test]
    fn this_machine_has_no_hops() {
        let site = Sites::builtin().find(None).unwrap();
        assert_eq!(Hops::of(&site, OuterHops::Taken, &BTreeMap::new()), None);
    }
}
