//! The folders in which a Jupyter looks for kernelspecs, in its order, and which
//! kernelspec it takes where several have one name.
//!
//! As `jupyter_core` 5 computes it (`paths.py`, `jupyter_path`) and
//! `jupyter_client` 8 reads it (`kernelspec.py`, `find_kernel_specs`):
//! `JUPYTER_PATH`, the user's folders, the server's own prefix (in front of the
//! user's if it is preferred), the machine's, and the old one of `IPython`. Each
//! environment's server has a prefix of its own, so there is a path for each; the
//! first server is one without, as the machine's own Jupyter.
//! (`JUPYTER_PLATFORM_DIRS` is not followed.)

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::place::user_kernels_dir;
use crate::kernel::Place;

/// The machine's folders, `SYSTEM_JUPYTER_PATH`.
const SYSTEM: [&str; 2] = ["/usr/local/share/jupyter", "/usr/share/jupyter"];

/// A prefix that a Jupyter may be started from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerPrefix {
    /// The prefix.
    pub prefix: PathBuf,
    /// Whose it is.
    pub place: Place,
    /// Whether a server there prefers its own kernelspecs to the user's.
    pub prefers_own: bool,
}

/// A server, and the order in which it looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The prefix that it is started from, if it is a known one.
    pub prefix: Option<PathBuf>,
    /// Indices of [`SearchPath::folders`].
    pub order: Vec<usize>,
}

/// All folders that are searched, and by whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchPath {
    /// The folders, each with why it is searched.
    pub folders: Vec<(PathBuf, Place)>,
    /// The servers.
    pub servers: Vec<Server>,
}

impl SearchPath {
    /// The folders that Jupyter searches for this user. What `variable` gives is
    /// as a shell has it.
    pub fn of_user(variable: impl Fn(&str) -> Option<OsString>, prefixes: &[ServerPrefix]) -> Self {
        let path = |name: &str| {
            variable(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let mut all = Self::default();
        let named = variable("JUPYTER_PATH").filter(|value| !value.is_empty());
        let first: Vec<usize> = named
            .iter()
            .flat_map(std::env::split_paths)
            .map(|data| all.folder(data.join("kernels"), &Place::JupyterPath))
            .collect();
        let mut user = Vec::new();
        if let Some(folder) = user_kernels_dir(&variable) {
            user.push(all.folder(folder, &Place::User));
        }
        // `site.getuserbase()`, with `ENABLE_USER_SITE`; on macOS it has a version.
        let below_home = (!cfg!(target_os = "macos")).then(|| path("HOME")).flatten();
        let base = path("PYTHONUSERBASE").or_else(|| Some(below_home?.join(".local")));
        if let Some(base) = base.filter(|_| path("PYTHONNOUSERSITE").is_none()) {
            user.push(all.folder(base.join("share/jupyter/kernels"), &Place::User));
        }
        let own: Vec<usize> = prefixes
            .iter()
            .map(|known| {
                let data = known.prefix.join("share/jupyter");
                let is_system = SYSTEM.iter().any(|system| data == Path::new(system));
                let place = if is_system {
                    &Place::System
                } else {
                    &known.place
                };
                all.folder(data.join("kernels"), place)
            })
            .collect();
        let mut last: Vec<usize> = SYSTEM
            .iter()
            .map(|data| all.folder(Path::new(data).join("kernels"), &Place::System))
            .collect();
        let ipython = path("IPYTHONDIR").or_else(|| Some(path("HOME")?.join(".ipython")));
        last.extend(ipython.map(|folder| all.folder(folder.join("kernels"), &Place::User)));

        all.servers
            .push(Server::new(None, [&first, &user, &[], &last]));
        for (known, at) in prefixes.iter().zip(own) {
            // "can overlap with env, so avoid duplicates"
            let own: &[usize] = if last.contains(&at) { &[] } else { &[at] };
            let order = if known.prefers_own {
                [&first, own, &user, &last]
            } else {
                [&first, &user, own, &last]
            };
            all.servers
                .push(Server::new(Some(known.prefix.clone()), order));
        }
        all
    }

    /// Folders that the user names, and no others.
    pub fn of_folders(folders: &[PathBuf]) -> Self {
        let mut all = Self::default();
        let given = folders.iter();
        let order: Vec<usize> = given
            .map(|folder| all.folder(folder.clone(), &Place::Given))
            .collect();
        all.servers.push(Server::new(None, [&order, &[], &[], &[]]));
        all
    }

    /// The index of a folder, which may be searched for several reasons.
    fn folder(&mut self, path: PathBuf, place: &Place) -> usize {
        if let Some(known) = self.folders.iter().position(|(folder, _)| *folder == path) {
            return known;
        }
        self.folders.push((path, place.clone()));
        self.folders.len() - 1
    }

    /// What each server finds: for every name the index of its kernelspec among
    /// `kernelspecs`, which are given as the index of their folder and their name.
    pub fn found(&self, kernelspecs: &[(usize, String)]) -> Vec<BTreeMap<String, usize>> {
        let of_server = |server: &Server| {
            let mut found = BTreeMap::new();
            for folder in &server.order {
                for (at, (lies_in, name)) in kernelspecs.iter().enumerate() {
                    if lies_in == folder {
                        found.entry(name.clone()).or_insert(at);
                    }
                }
            }
            found
        };
        self.servers.iter().map(of_server).collect()
    }
}

impl Server {
    fn new(prefix: Option<PathBuf>, parts: [&[usize]; 4]) -> Self {
        let mut order: Vec<usize> = Vec::new();
        for at in parts.into_iter().flatten() {
            if !order.contains(at) {
                order.push(*at);
            }
        }
        Self { prefix, order }
    }
}

/// Whether a server in a prefix prefers its own kernelspecs to the user's
/// (`prefer_environment_over_user`). `is_venv` tells a virtual environment;
/// one that is somebody else's is never preferred by itself.
pub fn prefers_own(
    variable: impl Fn(&str) -> Option<OsString>,
    prefix: &Path,
    is_venv: bool,
    is_mine: bool,
) -> bool {
    if let Some(said) = variable("JUPYTER_PREFER_ENV_PATH") {
        let said = said.to_string_lossy().to_lowercase();
        return !["no", "n", "false", "off", "0", "0.0"].contains(&said.as_str());
    }
    let is_active = || {
        let active = variable("CONDA_PREFIX").filter(|active| !active.is_empty());
        let is_in = active.is_some_and(|active| prefix.starts_with(PathBuf::from(active)));
        let name = variable("CONDA_DEFAULT_ENV").unwrap_or_else(|| "base".into());
        is_in && name != "base"
    };
    is_mine && (is_venv || is_active())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(all: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
        |name| {
            let found = all.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.into())
        }
    }

    fn prefix(path: &str, prefers_own: bool) -> ServerPrefix {
        ServerPrefix {
            prefix: path.into(),
            place: Place::Prefix(path.to_owned()),
            prefers_own,
        }
    }

    fn orders(path: &SearchPath) -> Vec<Vec<&str>> {
        let name = |at: &usize| path.folders[*at].0.to_str().unwrap();
        let servers = path.servers.iter();
        servers
            .map(|server| server.order.iter().map(name).collect())
            .collect()
    }

    #[test]
    #[cfg(not(target_os = "macos"))]
    fn each_server_looks_in_jupyters_own_order() {
        let all = variables(&[
            ("HOME", "/h"),
            ("JUPYTER_PATH", "/a:/b/"),
            ("PYTHONUSERBASE", "/base"),
        ]);
        let path = SearchPath::of_user(all, &[prefix("/e", false), prefix("/f", true)]);
        let (first, user) = (
            ["/a/kernels", "/b/kernels"],
            [
                "/h/.local/share/jupyter/kernels",
                "/base/share/jupyter/kernels",
            ],
        );
        let last = [
            "/usr/local/share/jupyter/kernels",
            "/usr/share/jupyter/kernels",
            "/h/.ipython/kernels",
        ];
        let (e, f) = (["/e/share/jupyter/kernels"], ["/f/share/jupyter/kernels"]);
        let orders = orders(&path);
        assert_eq!(orders[0], [&first[..], &user, &last].concat());
        assert_eq!(orders[1], [&first[..], &user, &e, &last].concat());
        assert_eq!(orders[2], [&first[..], &f, &user, &last].concat());
    }

    #[test]
    #[cfg(not(target_os = "macos"))]
    fn a_folder_is_searched_once_and_a_server_of_the_system_has_no_other() {
        let all = variables(&[
            ("HOME", "/h"),
            ("PYTHONUSERBASE", "/base"),
            ("PYTHONNOUSERSITE", "1"),
        ]);
        let path = SearchPath::of_user(all, &[prefix("/usr", true), prefix("/h/.local", false)]);
        let orders = orders(&path);
        assert_eq!(orders[0], orders[1]);
        assert_eq!(orders[0], orders[2]);
        assert_eq!(orders[0].len(), 4);
        let system = path
            .folders
            .iter()
            .find(|(folder, _)| folder.starts_with("/usr/share"));
        assert_eq!(system.unwrap().1, Place::System);
    }

    #[test]
    fn the_first_of_a_name_is_found_by_each_server() {
        let given = ["/a", "/b"].map(PathBuf::from);
        let mut path = SearchPath::of_folders(&given);
        path.servers.push(Server {
            prefix: None,
            order: vec![1, 0],
        });
        let named = |folder, name: &str| (folder, name.to_owned());
        let found = path.found(&[named(0, "k"), named(0, "x"), named(1, "k"), named(1, "k")]);
        assert_eq!((found[0]["k"], found[0]["x"]), (0, 1));
        assert_eq!((found[1]["k"], found[1]["x"]), (2, 1));
    }

    #[test]
    fn a_server_prefers_its_own_as_jupyter_does() {
        type Variables = &'static [(&'static str, &'static str)];
        let conda: Variables = &[("CONDA_PREFIX", "/e"), ("CONDA_DEFAULT_ENV", "x")];
        let base: Variables = &[("CONDA_PREFIX", "/e"), ("CONDA_DEFAULT_ENV", "base")];
        let table: [(Variables, bool, bool, bool); 11] = [
            (&[], false, true, false),
            (&[], true, true, true),
            (&[], true, false, false),
            (conda, false, true, true),
            (conda, false, false, false),
            (base, false, true, false),
            (&[("CONDA_PREFIX", "/e")], false, true, false),
            (
                &[("CONDA_PREFIX", "/f"), ("CONDA_DEFAULT_ENV", "x")],
                false,
                true,
                false,
            ),
            (&[("JUPYTER_PREFER_ENV_PATH", "1")], false, false, true),
            (&[("JUPYTER_PREFER_ENV_PATH", "No")], true, true, false),
            (&[("JUPYTER_PREFER_ENV_PATH", "")], false, false, true),
        ];
        for (all, is_venv, is_mine, wanted) in table {
            let prefers = prefers_own(variables(all), Path::new("/e"), is_venv, is_mine);
            assert_eq!(prefers, wanted, "{all:?} {is_venv} {is_mine}");
        }
    }
}
