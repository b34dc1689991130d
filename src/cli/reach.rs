//! From a spec or a name to the place where its sessions are: this machine, or a
//! login node behind ssh hops.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::PathBuf;

use clap::Args;

use super::app::App;
use super::failure::Failure;
use super::select;
use crate::apply::SpecFile;
use crate::cluster::{Hops, Questions, sockets_folder};
use crate::recipe::{OuterHops, local_port};
use crate::session::{Place, Scheduling, Through, Wanted};
use crate::site::{HostName, Practice, Scheduler, Site, UserName};
use crate::spec::EnvName;

/// Which site, and how it is reached.
#[derive(Debug, Args)]
#[command(next_help_heading = "Site")]
pub(super) struct SiteFlags {
    /// The site [default: the spec's]
    #[arg(long, value_name = "NAME")]
    site: Option<String>,

    /// Your user name on a hop, where your ssh config doesn't say it
    #[arg(long = "user", value_name = "[HOST=]USER", value_parser = hop_user)]
    users: Vec<(Option<HostName>, UserName)>,

    /// Leave out the hops that are needed only from outside the site's network
    #[arg(long)]
    inside: bool,

    /// This machine is the login node
    #[arg(long)]
    here: bool,

    /// Reach nodes through the scheduler (`srun`) and not by ssh, which is else tried first
    #[arg(long)]
    through_scheduler: bool,
}

/// Whether a machine is called as a site's login node is.
pub(super) fn is_login_node(site: &Site, machine: &str) -> bool {
    let label = |name: &str| name.split('.').next().map(str::to_ascii_lowercase);
    let hosts = site.login().into_iter().flat_map(|login| &login.hosts);
    hosts
        .map(|host| label(host.as_str()))
        .any(|host| host == label(machine))
}

/// Refuses a way that leads out of a cluster whose site forbids that. The machine
/// is known by its name; a laptop may by chance be called as nodes are, but then
/// it has no Slurm.
fn stays_inside(app: &App<'_>, hops: &Hops) -> Result<(), Failure> {
    let machine = App::host();
    let may_be_node = app.has_slurm() || app.variable("SLURM_JOB_ID").is_some();
    let sites = app.sites()?;
    for site in sites.names().filter_map(|name| sites.find(Some(name)).ok()) {
        let is_node = may_be_node && site.ssh.nodes.iter().any(|nodes| nodes.matches(&machine));
        let reason = site.forbids(Practice::OnwardHop);
        if let Some(reason) = reason.filter(|_| is_node || is_login_node(&site, &machine)) {
            return Err(Failure::usage(
                format!(
                    "{machine} belongs to {}, and an ssh from there to {} is one onward: {reason}",
                    site.name,
                    hops.login()
                ),
                "type this on your laptop, or on the login node that the sessions belong to",
            ));
        }
    }
    Ok(())
}

fn hop_user(text: &str) -> Result<(Option<HostName>, UserName), String> {
    let (host, user) = match text.split_once('=') {
        Some((host, user)) => (Some(host), user),
        None => (None, text),
    };
    let host = match host {
        Some(host) => Some(HostName::new(host).ok_or(format!("{host} is no name of a host"))?),
        None => None,
    };
    let user = UserName::new(user).ok_or(format!("{user} is no name of a user"))?;
    Ok((host, user))
}

/// An environment and its site.
pub(super) struct Target {
    pub(super) environment: EnvName,
    pub(super) site: Site,
    /// Its spec, if this machine has it.
    pub(super) file: Option<SpecFile>,
}

impl SiteFlags {
    /// The environment that is meant: a spec, or a name with `--site`.
    pub(super) fn target(&self, app: &App<'_>, said: Option<&str>) -> Result<Target, Failure> {
        let sites = app.sites()?;
        let named = said
            .filter(|said| !select::is_path(said))
            .and_then(EnvName::new);
        match (select::spec(app, said), named, &self.site) {
            (Ok(file), _, given) => {
                let in_spec = file.spec.site.as_ref().map(|at| at.value.as_str());
                Ok(Target {
                    environment: file.spec.name.clone(),
                    site: sites.find(given.as_deref().or(in_spec))?,
                    file: Some(file),
                })
            }
            // A laptop without the spec.
            (Err(_), Some(environment), Some(site)) => Ok(Target {
                environment,
                site: sites.find(Some(site))?,
                file: None,
            }),
            (Err(failure), _, _) => Err(failure),
        }
    }

    /// The site alone: the one that is named, or the only spec's.
    pub(super) fn site(&self, app: &App<'_>, said: Option<&str>) -> Result<Site, Failure> {
        match (&self.site, said) {
            (Some(site), None) => Ok(app.sites()?.find(Some(site))?),
            _ => Ok(self.target(app, said)?.site),
        }
    }

    /// How the sessions of a site are reached.
    pub(super) fn way(&self, app: &App<'_>, site: &Site) -> Result<Wanted, Failure> {
        let mut users = BTreeMap::new();
        for (host, user) in &self.users {
            let on_the_way = || site.ssh.hops.iter().flat_map(|hop| &hop.hosts);
            if let Some(host) = host
                && !on_the_way().any(|other| other == host)
            {
                let hosts: Vec<&str> = on_the_way().map(HostName::as_str).collect();
                return Err(Failure::usage(
                    format!("{host} is no host on the way to {}", site.name),
                    format!("its hosts are: {}", hosts.join(", ")),
                ));
            }
            let host = host.as_ref().or(site.login().map(crate::site::Hop::host));
            if let Some(host) = host {
                users.insert(host.clone(), user.clone());
            }
        }
        let outer = if self.inside {
            OuterHops::LeftOut
        } else {
            OuterHops::Taken
        };
        let root = app.root(site)?;
        let is_slurm = matches!(site.scheduler, Scheduler::Slurm(_));
        let is_here = self.here
            || is_login_node(site, &App::host())
            || (is_slurm && root.path().is_dir() && app.has_slurm());
        let hops = Hops::of(site, outer, &users).filter(|_| !is_here);
        if let Some(hops) = &hops {
            stays_inside(app, hops)?;
        }
        let place = match (is_slurm, &hops) {
            (true, _) => Place::Node,
            (false, Some(_)) => Place::LoginNode,
            (false, None) => Place::Here,
        };
        let root = match (&hops, &site.storage.root) {
            (None, _) => root.path().to_string_lossy().into_owned(),
            (Some(_), written) => app
                .root_there()
                .or_else(|| written.as_ref().map(ToString::to_string))
                .unwrap_or_default(),
        };
        let home = app.home().ok();
        Ok(Wanted {
            hops,
            user_config: home.map(|home| home.join(".ssh/config")),
            sockets_in: sockets_folder(app.variable("XDG_RUNTIME_DIR").map(PathBuf::from)),
            questions: if app.ui.can_ask() {
                Questions::Asked
            } else {
                Questions::NotAsked
            },
            root,
            scheduler: Scheduling::of(site),
            environment: String::new(),
            server: None,
            place,
            through: if self.through_scheduler {
                Through::Scheduler
            } else {
                Through::Ssh
            },
            port: |environment, server| {
                local_port(
                    environment,
                    NonZeroU16::new(server).unwrap_or(NonZeroU16::MIN),
                )
            },
            chosen_port: None,
        })
    }
}
