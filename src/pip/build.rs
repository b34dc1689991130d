//! A source, built into a wheel by uv: the command, which others run.

use std::collections::BTreeMap;
use std::path::Path;

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

impl Build<'_> {
    /// uv's arguments. What building needs (`build-system.requires`) it installs into a
    /// folder of its own, as pip does.
    pub fn arguments(&self) -> Vec<String> {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let words = ["build", "--wheel", "--color", "never", "--no-progress"];
        let mut arguments: Vec<String> = words.map(str::to_owned).into();
        arguments.extend(["--no-python-downloads", "--no-create-gitignore"].map(str::to_owned));
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

    /// What goes before them, and the variables by which it reaches indexes; `home` is the
    /// one that it has.
    pub fn surroundings(
        environment: &BTreeMap<String, String>,
        ways: &[(&'static str, String)],
        home: &Path,
    ) -> (Vec<String>, Vec<(String, String)>) {
        let told = staged(environment, ways, home);
        let is_of_system = |name: &str| ["PATH", "USER", "LOGNAME", "LANG"].contains(&name);
        let mut variables = told.variables;
        variables.retain(|(name, _)| !is_of_system(name));
        (told.arguments, variables)
    }
}
