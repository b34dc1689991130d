//! What a server of a generation is started with.
//!
//! Kernels and variables are the generation's own, whatever the spec says by
//! now: after a rollback they differ. Site and launch are no part of a
//! generation (to ask for more memory makes no new one), so they are those of
//! the spec as it is; if that can't be had, of the spec as it was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::context::Context;
use super::error::ApplyError;
use super::spec_file::SpecFile;
use crate::kernel::installers;
use crate::lock::Need;
use crate::site::{ResolvedLaunch, Site};
use crate::spec::{EnvName, Interface, Launch};
use crate::store::Receipt;

/// A generation, and what a server of it is started with.
#[derive(Debug)]
pub struct Served {
    /// The environment.
    pub environment: EnvName,
    /// The generation's prefix.
    pub prefix: PathBuf,
    /// When it was made, RFC 3339.
    pub created: String,
    /// Where the server is to run.
    pub site: Site,
    /// What it asks for.
    pub launch: ResolvedLaunch,
    /// The same as the spec writes it, the site's defaults not filled in.
    pub asked: Launch,
    /// The names of its kernels.
    pub kernels: Vec<String>,
    /// What its users install packages of their own with.
    pub installers: Vec<&'static str>,
    /// What its packages need of the node.
    pub needs: Vec<Need>,
    /// The spec's variables.
    pub variables: BTreeMap<String, String>,
    /// Why site and launch are those of the time when the generation was made;
    /// `None` if they are the spec's.
    pub outdated: Option<ApplyError>,
    /// The spec that asks for something else by now than the generation was made
    /// of; `None` if it does not.
    pub changed: Option<String>,
}

impl Served {
    /// The program that is the server.
    pub fn server(&self) -> PathBuf {
        let interface = self.launch.interface.as_str();
        self.prefix.join(format!("bin/jupyter-{interface}"))
    }

    /// The package that would bring the server, if it isn't there.
    pub fn missing_server(&self) -> Option<&'static str> {
        (!self.server().exists()).then_some(self.server_package())
    }

    /// The package that brings the server.
    pub fn server_package(&self) -> &'static str {
        match self.launch.interface {
            Interface::Lab => "jupyterlab",
            Interface::Notebook => "notebook",
            Interface::Server => "jupyter_server",
        }
    }
}

/// Finds out what a server of a generation of this machine is started with;
/// `site` goes before the spec's.
pub fn served(
    context: &Context,
    environment: &EnvName,
    prefix: &Path,
    receipt: &Receipt,
    site: Option<&Site>,
) -> Result<Served, ApplyError> {
    let copy = Receipt::spec_path(prefix);
    let then = SpecFile::open(&copy, &copy.to_string_lossy())?;
    let origin = &receipt.spec.path;
    let now = SpecFile::open(origin, &origin.to_string_lossy());
    Served::new(context, environment, prefix, receipt, site, then, now)
}

impl Served {
    /// From the spec as it was when the generation was made, and as it is now;
    /// `site` goes before theirs.
    pub fn new(
        context: &Context,
        environment: &EnvName,
        prefix: &Path,
        receipt: &Receipt,
        site: Option<&Site>,
        then: SpecFile,
        now: Result<SpecFile, ApplyError>,
    ) -> Result<Self, ApplyError> {
        let now = now.and_then(|now| {
            if now.spec.name == *environment {
                let (site, launch) = now.session(context, site)?;
                let changed = (now.spec.content() != then.spec.content())
                    .then(|| now.source.name().to_owned());
                Ok((site, launch, now.spec.launch, changed))
            } else {
                Err(ApplyError::OtherEnvironment {
                    path: now.path,
                    now: now.spec.name.to_string(),
                })
            }
        });
        let ((site, launch, asked, changed), outdated) = match now {
            Ok(session) => (session, None),
            Err(error) => {
                let (site, launch) = then.session(context, site)?;
                ((site, launch, then.spec.launch.clone(), None), Some(error))
            }
        };
        Ok(Self {
            environment: environment.clone(),
            prefix: prefix.to_owned(),
            created: receipt.created.clone(),
            site,
            launch,
            asked,
            installers: installers(receipt.packages.iter().map(|package| package.name.as_str())),
            kernels: receipt
                .kernels
                .iter()
                .map(|kernel| kernel.name.clone())
                .collect(),
            needs: receipt.needs.clone(),
            variables: then.spec.variables,
            outdated,
            changed,
        })
    }
}
