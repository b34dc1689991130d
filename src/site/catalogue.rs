//! The sites that envspec knows: the built-in ones and the user's.
//!
//! Only the site that is asked for is parsed, so that a start costs the same
//! with three sites as with three hundred. Reading the user's files is done
//! elsewhere; here they arrive as text.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::model::Site;
use super::parse::{self, SiteError};
use super::units::did_you_mean;

/// The built-in sites, each with the text of its file. A test holds this list
/// against the folder `envs/sites`.
const BUILT_IN: &[(&str, &str)] = &[
    ("bih", include_str!("../../envs/sites/bih.yaml")),
    ("local", include_str!("../../envs/sites/local.yaml")),
    ("slurm", include_str!("../../envs/sites/slurm.yaml")),
];

/// The name of the site that a spec means when it names none.
const DEFAULT: &str = "local";

/// Site files by their stem.
#[derive(Debug, Clone)]
pub struct Sites {
    files: BTreeMap<String, SiteFile>,
}

#[derive(Debug, Clone)]
struct SiteFile {
    /// How messages call the file.
    label: String,
    text: Cow<'static, str>,
}

impl Sites {
    /// The built-in sites.
    pub fn builtin() -> Self {
        let files = BUILT_IN.iter().map(|(stem, text)| {
            let label = format!("envs/sites/{stem}.yaml (built in)");
            (
                (*stem).to_owned(),
                SiteFile {
                    label,
                    text: Cow::Borrowed(*text),
                },
            )
        });
        Self {
            files: files.collect(),
        }
    }

    /// Adds a user's files, each as its path and its text; a file whose stem is
    /// a built-in site's name takes that one's place. Of two files with the same
    /// stem the later one counts.
    #[must_use]
    pub fn with_overrides(mut self, files: impl IntoIterator<Item = (String, String)>) -> Self {
        for (path, text) in files {
            let base = path.rsplit('/').next().unwrap_or(&path);
            let stem = base
                .rsplit_once('.')
                .map_or(base, |(stem, _)| stem)
                .to_owned();
            self.files.insert(
                stem,
                SiteFile {
                    label: path,
                    text: Cow::Owned(text),
                },
            );
        }
        self
    }

    /// The names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The site of this name; `None` asks for the default one.
    ///
    /// Fails if there is no such site, or if its file is invalid.
    pub fn find(&self, name: Option<&str>) -> Result<Site, SiteError> {
        let name = name.unwrap_or(DEFAULT);
        match self.files.get(name) {
            Some(file) => parse::site(&file.label, name, &file.text),
            None => Err(SiteError::Unknown {
                name: name.to_owned(),
                help: self.advice(name),
            }),
        }
    }

    fn advice(&self, name: &str) -> String {
        let known = self.names().collect::<Vec<_>>().join(", ");
        format!("{}Known: {known}", did_you_mean(name, self.names()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::{JobTmp, Practice, Scheduler};

    #[test]
    fn the_built_in_list_is_the_folder() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/envs/sites");
        let mut found: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        let listed: Vec<_> = BUILT_IN
            .iter()
            .map(|(stem, _)| format!("{stem}.yaml"))
            .collect();
        assert_eq!(found, listed);
    }

    #[test]
    fn every_built_in_site_is_valid() {
        let sites = Sites::builtin();
        for name in sites.names() {
            sites.find(Some(name)).unwrap();
        }
    }

    #[test]
    fn a_spec_without_a_site_means_this_machine() {
        let site = Sites::builtin().find(None).unwrap();
        assert_eq!(site.scheduler, Scheduler::None);
        assert!(site.ssh.hops.is_empty());
    }

    #[test]
    fn a_mistyped_name_gets_the_nearest_one() {
        let error = Sites::builtin().find(Some("slrum")).unwrap_err();
        let SiteError::Unknown { help, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(error.to_string(), "unknown site `slrum`");
        assert_eq!(help, "did you mean `slurm`? Known: bih, local, slurm");
        let SiteError::Unknown { help, .. } = Sites::builtin().find(Some("xyz")).unwrap_err()
        else {
            panic!()
        };
        assert_eq!(help, "Known: bih, local, slurm");
    }

    #[test]
    fn a_users_file_adds_a_site_and_replaces_a_built_in_one() {
        let own = |name: &str| format!("name: {name}\ntitle: mine\nscheduler: none\n");
        let sites = Sites::builtin().with_overrides([
            ("/home/a/sites/lab.yaml".to_owned(), own("lab")),
            ("/home/a/sites/bih.yaml".to_owned(), own("bih")),
        ]);
        assert_eq!(
            sites.names().collect::<Vec<_>>(),
            ["bih", "lab", "local", "slurm"]
        );
        assert_eq!(sites.find(Some("bih")).unwrap().title.as_str(), "mine");
    }

    #[test]
    fn an_invalid_users_file_harms_only_the_one_who_asks_for_it() {
        let sites =
            Sites::builtin().with_overrides([("x/bad.yaml".to_owned(), "title: [".to_owned())]);
        sites.find(Some("bih")).unwrap();
        let said = sites.find(Some("bad")).unwrap_err().to_string();
        assert!(said.starts_with("x/bad.yaml:1: "), "{said}");
    }

    #[test]
    fn bih_forbids_anacondas_channels_however_they_are_written() {
        let site = Sites::builtin().find(Some("bih")).unwrap();
        for channel in [
            "defaults",
            "https://repo.anaconda.com/pkgs/main",
            "https://repo.anaconda.com",
            "https://conda.anaconda.org/anaconda/",
            "https://conda.anaconda.org/t/tk-123/main/linux-64",
            "https://a:b@REPO.anaconda.com:443/pkgs/r",
            "pkgs/main",
        ] {
            let reason = site.channel_verdict(channel).unwrap_err();
            assert_eq!(
                reason,
                "the site prohibits Anaconda's `defaults`; use conda-forge, bioconda"
            );
        }
        for channel in [
            "conda-forge",
            "bioconda",
            "conda-forge/label/main",
            "https://conda.anaconda.org/conda-forge",
            "https://mirror.example.org/main",
            "file:///data/channels/main",
        ] {
            site.channel_verdict(channel).unwrap();
        }
        Sites::builtin()
            .find(None)
            .unwrap()
            .channel_verdict("defaults")
            .unwrap();
    }

    #[test]
    fn bih_is_what_its_documentation_says() {
        let site = Sites::builtin().find(Some("bih")).unwrap();
        let hosts: Vec<_> = site
            .ssh
            .hops
            .iter()
            .map(|hop| hop.host().as_str())
            .collect();
        assert_eq!(
            hosts,
            ["ssh1.mdc-berlin.de", "hpc-login-1.cubi.bihealth.org"]
        );
        assert_eq!(site.storage.job_tmp, JobTmp::Private);
        assert_eq!(
            site.storage.root.as_ref().unwrap().as_str(),
            "~/work/.envspec"
        );
        assert_eq!(
            site.slurm().unwrap().heavy_work.as_ref().unwrap().memory.0,
            5 << 30
        );
        assert!(site.forbids(Practice::ReverseTunnel).is_some());
    }
}
