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
        // Those of the user's config would open ports, also backwards, which
        // sites forbid. What is forwarded here is asked for later.
        "ClearAllForwardings yes",
        "Tunnel no",
        "ControlMaster no",
        "ControlPersist no",
        "ControlPath none",
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
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;
    use crate::recipe::hostile::hostile;
    use crate::site::Sites;

    /// What ssh makes of a config for a host.
    fn read_by_ssh(config: &str, folder: &Path, host: &str) -> Vec<String> {
        let file = folder.join("config");
        fs_err::write(&file, config).unwrap();
        let mut command = Command::new("ssh");
        command.arg("-G").arg("-F").arg(&file).arg(host);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.is_empty(),
            "{said}\n{config}"
        );
        let settings = String::from_utf8(output.stdout).unwrap();
        settings.lines().map(str::to_owned).collect()
    }

    fn hops(one: &str, two: &str, user: &str) -> Option<Hops> {
        let host = |text: &str| {
            // ssh writes an address out: `1.2` is 1.0.0.2, also as `0x1.2`.
            let is_address = text
                .chars()
                .all(|c| c.is_ascii_hexdigit() || "xX.".contains(c));
            let host = HostName::new(text).filter(|_| !is_address)?;
            Some((host, UserName::new(user)))
        };
        let hosts = vec![host(one)?, host(two)?];
        let (one, two) = (one.to_lowercase(), two.to_lowercase());
        // Two blocks of one name are one; and ssh reads names without their case.
        (one != two).then_some(Hops { hosts })
    }

    /// Names as a hostile site file would have them, and legal ones of odd signs.
    fn name() -> impl Strategy<Value = String> {
        prop_oneof![
            1 => hostile(),
            4 => "[A-Za-z0-9][A-Za-z0-9._-]{0,20}",
            1 => prop::sample::select(vec!["none", "yes", "no", "Host", "Match", "all"]).prop_map(str::to_owned),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn ssh_reads_every_name_as_it_is_and_no_other_setting_changes(
            one in name(), two in name(), user in prop_oneof![hostile(), "[a-z_][a-z0-9._@+-]{0,12}"],
        ) {
            let Some(hostile) = hops(&one, &two, &user) else { return Ok(()) };
            let plain = hops("first", "second", "somebody").unwrap();
            let folder = tempfile::tempdir().unwrap();
            let user = UserName::new(&user);
            let of = |hops: &Hops| ssh_config(Some(hops), folder.path(), None);
            for (host, stands_for) in [(one.as_str(), "first"), (&two, "second"), ("node1", "node1")] {
                let read = read_by_ssh(&of(&hostile), folder.path(), host);
                let expected = read_by_ssh(&of(&plain), folder.path(), stands_for);
                for (read, expected) in read.iter().zip(&expected) {
                    let (key, expected) = expected.split_once(' ').unwrap_or((expected, ""));
                    let expected = match (key, expected) {
                        ("user", "somebody") => match &user {
                            Some(user) => user.to_string(),
                            None => continue,
                        },
                        ("host" | "hostname", "first" | "second") => host.to_lowercase(),
                        ("proxyjump", "first") => one.clone(),
                        ("proxyjump", "second") => two.clone(),
                        _ => expected.to_owned(),
                    };
                    let read = if key.starts_with("host") { read.to_lowercase() } else { read.clone() };
                    prop_assert_eq!(read, format!("{key} {expected}"));
                }
                prop_assert_eq!(read.len(), expected.len());
            }
        }
    }

    #[test]
    fn what_the_users_own_config_forwards_is_not_forwarded() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("own");
        let text = "Host *\n  RemoteForward 7000 localhost:22\n  DynamicForward 7001\n  \
                    LocalForward 7002 localhost:22\n  ClearAllForwardings no\n  Tunnel yes\n  User ada\n";
        fs_err::write(&own, text).unwrap();
        let hops = hops("jump", "login", "-").unwrap();
        let config = ssh_config(Some(&hops), folder.path(), Some(&own));
        for host in ["jump", "login", "node1"] {
            let read = read_by_ssh(&config, folder.path(), host).join("\n");
            assert!(
                read.contains("user ada"),
                "the user's config counts: {read}"
            );
            assert!(!read.contains("forward 700"), "{read}");
            assert!(read.contains("\ntunnel false"), "{read}");
        }
    }

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
