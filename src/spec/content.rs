//! What a spec asks of a generation, apart from how it is written.

use std::collections::{BTreeMap, BTreeSet};

use rattler_conda_types::{Subdir, Version};

use super::model::{At, ChannelPriority, EnvSpec, KernelRequest, Target, texts};
use super::selector::Selector;

/// All of a spec that decides what a generation is: two specs of the same content
/// make the same one. Name, site and launch decide nothing of it, nor do comments,
/// spelling, and the order in which packages are asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Content<'s> {
    channels: Vec<&'s str>,
    channel_priority: ChannelPriority,
    packages: BTreeSet<String>,
    pip: Vec<String>,
    variables: &'s BTreeMap<String, String>,
    platforms: BTreeSet<Subdir>,
    target: [Option<String>; 4],
    post_link: BTreeSet<&'s str>,
    kernels: Vec<Kernel<'s>>,
}

/// A kernel; what it brings is among the packages.
#[derive(Debug, PartialEq, Eq)]
struct Kernel<'s> {
    name: &'s str,
    definition: &'s str,
    packages: Vec<&'s str>,
    display_name: Option<&'s str>,
    env: &'s BTreeMap<String, String>,
    limits: (Option<u64>, Option<u32>),
    isolated: bool,
    installable: Option<&'s str>,
}

impl EnvSpec {
    /// What it asks of a generation.
    pub fn content(&self) -> Content<'_> {
        let of_kernels = self.kernels.iter().flat_map(|kernel| &kernel.dependencies);
        let packages = self.dependencies.iter().chain(of_kernels);
        Content {
            channels: texts(&self.channels),
            channel_priority: self.channel_priority,
            packages: packages
                .map(|package| for_platforms(&package.spec.to_string(), package.selector.as_ref()))
                .collect(),
            pip: self
                .pip_sections()
                .flat_map(|pip| &pip.requirements)
                .map(|asked| for_platforms(&asked.text, asked.selector.as_ref()))
                .collect(),
            variables: &self.variables,
            platforms: self.platforms.iter().map(|at| at.value).collect(),
            target: target(&self.target),
            post_link: self
                .post_link
                .iter()
                .map(|at| at.value.as_normalized())
                .collect(),
            kernels: self.kernels.iter().map(kernel).collect(),
        }
    }
}

/// A requirement and the platforms that it is for.
fn for_platforms(text: &str, selector: Option<&Selector>) -> String {
    match selector {
        Some(selector) => format!("{text} [{selector}]"),
        None => text.to_owned(),
    }
}

fn kernel(request: &KernelRequest) -> Kernel<'_> {
    Kernel {
        name: &request.name.value,
        definition: request.definition_id(),
        packages: texts(&request.packages),
        display_name: text(request.display_name.as_ref()),
        env: &request.env,
        limits: (
            request.limits.memory.as_ref().map(|at| at.value.bytes()),
            request.limits.threads.as_ref().map(|at| at.value),
        ),
        isolated: request.isolated,
        installable: text(request.installable.as_ref()),
    }
}

fn target(target: &Target) -> [Option<String>; 4] {
    let version = |at: &Option<At<Version>>| at.as_ref().map(|at| at.value.to_string());
    [
        version(&target.glibc),
        version(&target.cuda),
        version(&target.linux),
        target.arch.as_ref().map(|at| at.value.clone()),
    ]
}

fn text(at: Option<&At<String>>) -> Option<&str> {
    at.map(|at| at.value.as_str())
}

#[cfg(test)]
mod tests {
    use crate::spec::{EnvName, EnvSpec, SourceText, parse};

    fn spec(text: &str) -> EnvSpec {
        let source = SourceText::from_text("lab.yaml", text).unwrap();
        parse(&source, EnvName::new("lab")).unwrap().0
    }

    const THEN: &str = "channels: [conda-forge]\ndependencies: [python 3.11.*, jupyterlab]\n\
                        kernels: [python, r: {dependencies: [r-tidyverse]}]\n";

    #[test]
    fn spelling_order_site_and_launch_are_no_content() {
        let now = "# why\nname: lab\nchannels:\n  - conda-forge\nlaunch: {memory: 64G}\nsite: slurm\n\
                   dependencies:\n  - jupyterlab\n  - python=3.11\n  - r-tidyverse\nkernels: [python, r]\n";
        assert_eq!(spec(now).content(), spec(THEN).content());
    }

    #[test]
    fn packages_kernels_variables_and_the_target_are() {
        for (written, now) in [
            ("3.11", "3.12"),
            ("jupyterlab", "jupyterlab, numpy"),
            ("[conda-forge]", "[bioconda, conda-forge]"),
            ("[python, r", "[python, bash, r"),
            ("r-tidyverse]", "r-tidyverse], display_name: R"),
            ("jupyterlab", "{sel(linux): jupyterlab}"),
            ("channels", "variables: {TZ: UTC}\nchannels"),
            ("channels", "channel_priority: disabled\nchannels"),
            ("channels", "target: {glibc: \"2.28\"}\nchannels"),
            ("channels", "platforms: [linux-aarch64]\nchannels"),
        ] {
            let changed = THEN.replace(written, now);
            assert_ne!(changed, THEN);
            assert_ne!(spec(&changed).content(), spec(THEN).content(), "{changed}");
        }
    }
}
