//! A source, built into a wheel by uv: the command, which others run.

use std::collections::BTreeMap;
use std::path::Path;

use super::configured;
use super::error::PipError;
use super::ways::staged;

/// What is to be built.
pub struct Build<'a> {
    /// The source: an archive or a folder.
    pub source: &'a Path,
    /// The folder for the wheel.
    pub into: &'a Path,
    /// The Python that it is built by and for.
    pub python: &'a Path,
    /// Where uv keeps what it learns.
    pub cache: &'a Path,
    /// Whether nothing may leave the machine.
    pub offline: bool,
}

/// What is around a build.
pub struct Surroundings {
    /// Variables.
    pub variables: Vec<(String, String)>,
    /// What it gets to read.
    pub configuration: String,
}

impl Build<'_> {
    /// uv's arguments. What building needs (`build-system.requires`) it installs into a
    /// folder of its own, as pip does.
    pub fn arguments(&self) -> Vec<String> {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let words = ["build", "--wheel", "--color", "never", "--no-progress"];
        let mut arguments: Vec<String> = words.map(str::to_owned).into();
        arguments.extend(["--no-python-downloads", "--no-create-gitignore"].map(str::to_owned));
        // A project's own configuration is its author's, and no word of the user's.
        arguments.extend(["--config-file", configured::PLACE].map(str::to_owned));
        for (option, value) in [
            ("--out-dir", self.into),
            ("--python", self.python),
            ("--cache-dir", self.cache),
        ] {
            arguments.extend([option.to_owned(), path(value)]);
        }
        if self.offline {
            arguments.push("--offline".to_owned());
        }
        arguments.push(path(self.source));
        arguments
    }

    /// How it reaches indexes: by variables, and by the configuration that it reads from
    /// its standard input; `home` is the one that it has.
    ///
    /// # Errors
    /// A file of the user's that says where indexes are can't be read.
    pub fn surroundings(
        environment: &BTreeMap<String, String>,
        ways: &[(&'static str, String)],
        home: &Path,
    ) -> Result<Surroundings, PipError> {
        let configured = configured::read(environment)?;
        let mut variables = staged(&configured.environment(environment), ways, home);
        let is_of_system = |name: &str| ["PATH", "USER", "LOGNAME", "LANG"].contains(&name);
        variables.retain(|(name, _)| !is_of_system(name));
        Ok(Surroundings {
            variables,
            configuration: configured.uv_without_section(),
        })
    }
}
