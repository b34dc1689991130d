//! A spec judged against the catalogue, the site that it names, and this machine.

use rattler_conda_types::Subdir;

use super::beside::definition;
use super::context::Context;
use super::error::ApplyError;
use super::nix::store_folder;
use super::requirements::{as_written, with_files};
use super::spec_file::SpecFile;
use super::subject::{KernelOrigin, Subject, SubjectKernel};
use super::unlockable::refuse_unlockable;
use super::would_run::would_run;
use crate::conda;
use crate::kernel::{Installable, RegisteredName};
use crate::site::{ResolvedLaunch, Site, SiteError, SiteFault};
use crate::spec::{self, At, KernelRequest, Span, SpecErrors};

impl SpecFile {
    /// The site that the spec names, and its launch as the site takes it.
    pub(super) fn session(
        &self,
        context: &Context,
        site: Option<&Site>,
    ) -> Result<(Site, ResolvedLaunch), ApplyError> {
        let site = match site {
            Some(site) => site.clone(),
            None => self.site(context)?,
        };
        let launch = self.launch(&site)?;
        Ok((site, launch))
    }

    /// The site that the spec names.
    fn site(&self, context: &Context) -> Result<Site, ApplyError> {
        let named = self.spec.site.as_ref();
        let found = context.sites.find(named.map(|name| name.value.as_str()));
        found.map_err(|error| match (named, error) {
            (Some(at), SiteError::Unknown { name, help }) => {
                let message = format!("there is no site `{name}`");
                spec::fault(&self.source, at.span, message, "asked here", help).into()
            }
            (_, error) => error.into(),
        })
    }

    /// The launch as a site takes it.
    fn launch(&self, site: &Site) -> Result<ResolvedLaunch, SpecErrors> {
        site.judge(&self.spec.launch).map_err(|fault| {
            let SiteFault { span, reason, help } = fault;
            spec::fault(&self.source, span, reason, "asked here", help)
        })
    }

    /// Judges the spec against the catalogue and the site that it names.
    pub fn judge(self, context: &Context) -> Result<Subject, ApplyError> {
        let mut faults: Option<SpecErrors> = None;
        let mut add = |fault: SpecErrors| {
            faults = Some(match faults.take() {
                Some(earlier) => earlier.and(fault),
                None => fault,
            });
        };
        let mut launch = None;
        let site = match self.site(context) {
            Ok(site) => {
                match self.launch(&site) {
                    Ok(resolved) => launch = Some(resolved),
                    Err(fault) => add(fault),
                }
                Some(site)
            }
            Err(ApplyError::Spec(fault)) => {
                add(fault);
                None
            }
            Err(error) => return Err(error),
        };
        let mut kernels = Vec::new();
        for request in &self.spec.kernels {
            match self.judge_kernel(context, request) {
                Ok(kernel) => kernels.push(kernel),
                Err(fault) => add(*fault),
            }
        }
        for (name, value) in &self.spec.variables {
            if would_run(value) {
                let message = format!("the variable `{name}` holds what a shell would run");
                let help = "other tools that activate the environment put it into a script; \
                            write the value itself";
                add(spec::fault(
                    &self.source,
                    self.place_of(name),
                    message,
                    "here",
                    help,
                ));
            }
        }
        if let Some(fault) = self.judge_target(context) {
            add(fault);
        }
        let pip = with_files(&self).unwrap_or_else(|fault| {
            add(fault);
            as_written(&self.spec)
        });
        if let Some(fault) = refuse_unlockable(pip.values(), &self.source) {
            add(fault);
        }
        match (faults, site, launch) {
            (None, Some(site), Some(launch)) => Ok(Subject {
                file: self,
                site,
                launch,
                kernels,
                pip,
            }),
            (Some(faults), _, _) => Err(faults.into()),
            (None, _, _) => unreachable!("a missing site or launch leaves a fault"),
        }
    }

    /// A processor that no platform of the lock has would be left out of it without a word.
    fn judge_target(&self, context: &Context) -> Option<SpecErrors> {
        let arch = self.spec.target.arch.as_ref()?;
        let asked: Vec<Subdir> = match self.spec.platforms.as_slice() {
            [] => vec![context.platform],
            platforms => platforms.iter().map(|at| at.value).collect(),
        };
        if asked
            .iter()
            .any(|platform| conda::fits(&arch.value, *platform))
        {
            return None;
        }
        let asked: Vec<&str> = asked.into_iter().map(Subdir::as_str).collect();
        let message = format!("no machine of {} is an {}", asked.join(", "), arch.value);
        let help = "write a processor of these, or put its platform under `platforms`";
        Some(spec::fault(
            &self.source,
            arch.span,
            message,
            "asked here",
            help,
        ))
    }

    /// Where the spec first writes a key of `variables`.
    fn place_of(&self, variable: &str) -> Span {
        let text = self.source.text();
        let section = text.find("variables").unwrap_or(0);
        let offset = text[section..]
            .find(variable)
            .map_or(section, |offset| section + offset);
        Span {
            offset,
            len: variable.len().min(text.len() - offset),
        }
    }

    fn judge_kernel(
        &self,
        context: &Context,
        request: &KernelRequest,
    ) -> Result<SubjectKernel, Box<SpecErrors>> {
        let span = request.definition.as_ref().unwrap_or(&request.name).span;
        let fault = |message: String, label: &str, help: String| {
            Box::new(spec::fault(&self.source, span, message, label, help))
        };
        // The lock calls the environment's own prefix so.
        if request.isolated && request.name.value == "default" {
            return Err(fault(
                "an isolated kernel cannot be called `default`".to_owned(),
                "asked here",
                "give it another name".to_owned(),
            ));
        }
        let told = |error: &dyn miette::Diagnostic| {
            let help = error.help().map(|help| help.to_string());
            let message = match error.source() {
                Some(reason) => format!("{error}: {reason}"),
                None => error.to_string(),
            };
            fault(message, "asked here", help.unwrap_or_default())
        };
        let definition = || {
            definition(self, &context.catalogue, request.definition_id())
                .map_err(|error| told(error.as_ref()))
        };
        let mut tested_by = None;
        let origin = match &request.installable {
            None => KernelOrigin::Packages(definition()?),
            Some(installable) => {
                if request.definition.is_some() {
                    tested_by = Some(definition()?);
                }
                KernelOrigin::Nix(self.judge_installable(context, request, installable)?)
            }
        };
        if let KernelOrigin::Packages(definition) = &origin
            && let (None, Some(package)) = (&definition.add_packages, request.packages.first())
        {
            let language = &definition.language;
            return Err(Box::new(spec::fault(
                &self.source,
                package.span,
                format!(
                    "the kernel {} has no packages of its own language",
                    definition.id
                ),
                "asked here",
                format!(
                    "packages for {language} come from conda's channels: put them under `dependencies`"
                ),
            )));
        }
        let registered =
            RegisteredName::new(&self.spec.name, &request.name.value).map_err(|error| {
                fault(
                    error.to_string(),
                    "asked here",
                    "use letters, digits, `-`, `.` and `_`".to_owned(),
                )
            })?;
        Ok(SubjectKernel {
            request: request.clone(),
            origin,
            tested_by,
            registered,
        })
    }

    /// What a kernel from Nix is asked for by.
    fn judge_installable(
        &self,
        context: &Context,
        request: &KernelRequest,
        installable: &At<String>,
    ) -> Result<Installable, Box<SpecErrors>> {
        let fault = |span: Span, message: String, help: &str| {
            Box::new(spec::fault(&self.source, span, message, "asked here", help))
        };
        let name = &request.name.value;
        if let Some(package) = request.packages.first() {
            return Err(fault(
                package.span,
                format!("the kernel {name} is from Nix, which knows no `packages`"),
                "let its installable bring them",
            ));
        }
        if request.isolated {
            return Err(fault(
                installable.span,
                format!("the kernel {name} is from Nix, which isolates it anyway"),
                "take `isolated` out",
            ));
        }
        Installable::parse(&installable.value, store_folder(context)).map_err(|reason| {
            fault(
                installable.span,
                format!("the installable of the kernel {name} can't be used: {reason}"),
                "name a package of a flake, such as path:./flake#ocaml, or a store path",
            )
        })
    }
}
