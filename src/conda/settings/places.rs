//! Where conda looks for its configuration, and how a file of it is read.
//!
//! The places and their order are `SEARCH_PATH` of conda's
//! `conda/base/constants.py`; what comes later counts more.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use url::Url;

use super::error::SettingsError;
use crate::spec::SourceText;

/// What is told of the user's surroundings.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The user's home.
    pub home: PathBuf,
    /// The environment's variables.
    pub variables: BTreeMap<OsString, OsString>,
    /// The working directory, where relative paths begin; empty if it is gone.
    pub base: PathBuf,
    /// The alias that the command line gives, which counts more than any file.
    pub alias: Option<Url>,
}

impl Surroundings {
    /// A variable; an empty one counts as none.
    pub(super) fn variable(&self, name: &str) -> Option<&OsStr> {
        let value = self.variables.get(OsStr::new(name))?;
        (!value.is_empty()).then_some(value)
    }

    /// A variable that is text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.variable(name)?.to_str()
    }

    /// A path as configuration has it: `~/` is the home, a relative one begins in the
    /// working directory.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        match text.strip_prefix("~/") {
            Some(below) => self.home.join(below),
            None => self.base.join(text),
        }
    }

    /// The installation that conda itself is in: conda sets `CONDA_ROOT` for itself,
    /// a shell that was set up for conda has `CONDA_EXE`.
    fn conda_root(&self) -> Option<PathBuf> {
        let named = self.variable("CONDA_ROOT").map(PathBuf::from);
        named.or_else(|| {
            let program = Path::new(self.variable("CONDA_EXE")?);
            Some(program.parent()?.parent()?.to_owned())
        })
    }

    /// The candidates, what counts most last; each is a file or a folder of files.
    fn candidates(&self) -> Vec<PathBuf> {
        const NAMES: [&str; 3] = [".condarc", "condarc", "condarc.d"];
        let of = |folder: PathBuf| NAMES.map(|name| folder.join(name));
        let variable = |name: &str| self.variable(name).map(PathBuf::from);
        let folders = [
            Some(PathBuf::from("/etc/conda")),
            Some(PathBuf::from("/var/lib/conda")),
            self.conda_root(),
            variable("XDG_CONFIG_HOME").map(|folder| folder.join("conda")),
            Some(self.home.join(".config/conda")),
            Some(self.home.join(".conda")),
        ];
        let mut all: Vec<PathBuf> = folders.into_iter().flatten().flat_map(of).collect();
        all.push(self.home.join(".condarc"));
        all.extend(variable("CONDA_PREFIX").into_iter().flat_map(of));
        all.extend(self.text("CONDARC").map(|path| self.path(path)));
        // What is named twice stays at its first place, as in conda's mapping of files.
        let mut seen = std::collections::BTreeSet::new();
        all.retain(|path| path.is_absolute() && seen.insert(path.clone()));
        all
    }

    /// The files that are there, what counts most last, each with its text.
    pub(super) fn condarcs(&self) -> Result<Vec<(PathBuf, String)>, SettingsError> {
        let mut files = Vec::new();
        for path in self.candidates() {
            match fs::metadata(&path) {
                Err(_) => {}
                Ok(found) if found.is_dir() => {
                    for path in yaml_files(&path).map_err(unreadable(&path))? {
                        files.extend(read(&path)?);
                    }
                }
                Ok(_) => files.extend(read(&path)?),
            }
        }
        Ok(files)
    }
}

/// The YAML files of a folder, by their names.
fn yaml_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let is_yaml = |path: &PathBuf| {
        let ending = path.extension();
        ending.is_some_and(|ending| ending == "yml" || ending == "yaml")
    };
    let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    paths.retain(is_yaml);
    paths.sort();
    Ok(paths)
}

/// Reads a file, `None` if there is none. Nothing is waited for: a pipe or a device is
/// refused, and so is what is too large to be a configuration.
pub(super) fn read(path: &Path) -> Result<Option<(PathBuf, String)>, SettingsError> {
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(unreadable(path))?,
    };
    let refuse = |why: String| SettingsError::Unreadable {
        path: path.to_owned(),
        why,
    };
    if !found.is_file() {
        return Err(refuse("it is not a file".to_owned()));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| {
            let most = SourceText::MAX_BYTES as u64 + 1;
            file.take(most).read_to_end(&mut bytes)
        })
        .map_err(unreadable(path))?;
    if bytes.len() > SourceText::MAX_BYTES {
        let most = SourceText::MAX_BYTES;
        return Err(refuse(format!("it has more than {most} bytes")));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some((path.to_owned(), text))),
        Err(_) => Err(refuse("it is not UTF-8 text".to_owned())),
    }
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> SettingsError {
    move |error| SettingsError::Unreadable {
        path: path.to_owned(),
        why: error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::Surroundings;

    /// The search path in the documentation of conda
    /// (docs/source/user-guide/configuration/use-condarc.rst), with every variable set.
    #[test]
    fn the_places_are_those_of_conda_in_its_order() {
        let set = |name: &str, value: &str| (name.into(), value.into());
        let surroundings = Surroundings {
            home: PathBuf::from("/h"),
            variables: [
                set("CONDA_ROOT", "/root"),
                set("XDG_CONFIG_HOME", "/xdg"),
                set("CONDA_PREFIX", "/env"),
                set("CONDARC", "/mine.yml"),
            ]
            .into(),
            base: PathBuf::from("/w"),
            alias: None,
        };
        let expected = "/etc/conda/.condarc /etc/conda/condarc /etc/conda/condarc.d \
            /var/lib/conda/.condarc /var/lib/conda/condarc /var/lib/conda/condarc.d \
            /root/.condarc /root/condarc /root/condarc.d \
            /xdg/conda/.condarc /xdg/conda/condarc /xdg/conda/condarc.d \
            /h/.config/conda/.condarc /h/.config/conda/condarc /h/.config/conda/condarc.d \
            /h/.conda/.condarc /h/.conda/condarc /h/.conda/condarc.d /h/.condarc \
            /env/.condarc /env/condarc /env/condarc.d /mine.yml";
        let expected: Vec<&Path> = expected.split_whitespace().map(Path::new).collect();
        assert_eq!(surroundings.candidates(), expected);
    }

    #[test]
    fn a_variable_that_is_not_set_has_no_place_and_the_root_is_where_the_program_is() {
        let surroundings = Surroundings {
            home: PathBuf::from("/h"),
            variables: [("CONDA_EXE".into(), "/opt/conda/bin/conda".into())].into(),
            ..Surroundings::default()
        };
        let places = surroundings.candidates();
        assert_eq!(places.len(), 6 + 3 + 3 + 3 + 1);
        assert_eq!(places[6], Path::new("/opt/conda/.condarc"));
    }
}
