//! The personal library: where `pip install` and `install.packages` in a
//! notebook put what they install, as a generation cannot be written.
//!
//! It is one folder for each environment, and in it one for each language (R's
//! and Julia's for each minor version, as what is compiled for one does not load
//! in another). It outlives generations, and no other environment sees it.

use std::collections::BTreeMap;

use super::template::{escape, substitute};

/// Where the personal library of an environment is, and what kernels are told
/// of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Personal {
    variables: BTreeMap<String, String>,
    folders: Vec<String>,
    /// Julia's project, in which users note what they install.
    project: Option<String>,
}

impl Personal {
    /// For the languages among an environment's packages (names and versions).
    ///
    /// It is below `root` if that is in the user's home, so that it is where the
    /// quota is; else below the data folder of whoever runs the kernel: a root
    /// elsewhere may be a group's.
    pub fn new<'p>(
        root: &str,
        home: &str,
        environment: &str,
        packages: impl IntoIterator<Item = (&'p str, &'p str)>,
    ) -> Self {
        let base = format!("${{HOME}}/{}", escape(&below_home(root, home, environment)));
        let mut personal = Self::default();
        for (name, version) in packages {
            let minor = minor(version);
            match name {
                "python" => {
                    let folder = format!("{base}/python");
                    personal.folder(format!("{folder}/lib/python{minor}/site-packages"));
                    personal.set("PYTHONUSERBASE", folder);
                    // Empty is as good as unset: a server that must not see
                    // personal packages itself has it set, and kernels inherit.
                    personal.set("PYTHONNOUSERSITE", String::new());
                }
                "r-base" => {
                    let folder = format!("{base}/R-{minor}");
                    personal.folder(folder.clone());
                    personal.set("R_LIBS_USER", folder);
                }
                "julia" => {
                    let folder = format!("{base}/julia-{minor}");
                    personal.folder(folder.clone());
                    // What `@lab` stands for, which Julia before 1.7 takes for a folder
                    // of the working directory.
                    let named = format!("{folder}/environments/{}", escape(environment));
                    personal.project = Some(named);
                    personal.set("JULIA_DEPOT_PATH", folder);
                }
                _ => {}
            }
        }
        personal
    }

    fn set(&mut self, name: &str, value: String) {
        self.variables.insert(name.to_owned(), value);
    }

    fn folder(&mut self, folder: String) {
        self.folders.push(folder);
    }

    /// The folders in a home. They must be there when a kernel starts: R leaves
    /// out a library that is not, and Python finds nothing in it until the next
    /// start.
    pub fn folders(&self, home: &str) -> Vec<String> {
        let variable = |name: &str| (name == "HOME").then_some(home);
        let fill = |folder: &String| substitute(folder, variable);
        self.folders.iter().map(fill).collect()
    }

    /// A kernel's variables: what activation sets and, where it says nothing,
    /// what leads to the personal library. Julia installs into the first of its
    /// depots, so the personal one goes before those that activation names. Its project is
    /// the environment's: conda-forge's activation names it after the prefix's folder,
    /// which is another in each generation.
    pub(super) fn with(&self, activation: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut all = self.variables.clone();
        all.extend(activation.clone());
        let depots = ["JULIA_DEPOT_PATH"].map(|name| {
            (
                name,
                self.variables.get(name),
                activation.get(name).map_or("", String::as_str),
            )
        });
        for (name, personal, others) in depots {
            if let Some(personal) = personal {
                // An empty part at the end means Julia's own depots.
                all.insert(name.to_owned(), format!("{personal}:{others}"));
            }
        }
        if let Some(project) = &self.project {
            all.insert("JULIA_PROJECT".to_owned(), project.clone());
        }
        all
    }
}

/// What a user of an environment of these packages installs with, into the personal
/// library.
pub fn installers<'p>(packages: impl IntoIterator<Item = &'p str>) -> Vec<&'static str> {
    let by = packages.into_iter().filter_map(|name| match name {
        "pip" => Some("%pip install"),
        "r-base" => Some("install.packages()"),
        "julia" => Some("Pkg.add()"),
        _ => None,
    });
    by.collect()
}

/// The folder of an environment's personal library, below the home.
pub fn below_home(root: &str, home: &str, environment: &str) -> String {
    let home = home.trim_end_matches('/');
    let below = root
        .strip_prefix(home)
        .filter(|below| !home.is_empty() && (below.is_empty() || below.starts_with('/')));
    let below = below.unwrap_or("/.local/share/envspec");
    let slash = if below.is_empty() { "" } else { "/" };
    format!(
        "{}{slash}personal/{environment}",
        &below.trim_start_matches('/')
    )
}

/// `3.13` of `3.13.1`.
fn minor(version: &str) -> String {
    let parts: Vec<&str> = version.splitn(3, '.').take(2).collect();
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Personal;

    const PACKAGES: [(&str, &str); 4] = [
        ("python", "3.13.1"),
        ("r-base", "4.5.0"),
        ("julia", "1.11.3"),
        ("numpy", "2.1"),
    ];

    fn with(root: &str, activation: &[(&str, &str)]) -> BTreeMap<String, String> {
        let activation = activation
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Personal::new(root, "/home/me", "lab", PACKAGES).with(&activation)
    }

    #[test]
    fn a_root_in_the_home_has_the_library_where_the_quota_is() {
        let all = with("/home/me/work/$x", &[]);
        let base = "${HOME}/work/$$x/personal/lab";
        assert_eq!(all["PYTHONUSERBASE"], format!("{base}/python"));
        assert_eq!(all["R_LIBS_USER"], format!("{base}/R-4.5"));
        assert_eq!(all["JULIA_DEPOT_PATH"], format!("{base}/julia-1.11:"));
        let project = format!("{base}/julia-1.11/environments/lab");
        assert_eq!(all["JULIA_PROJECT"], project);
        assert_eq!(all["PYTHONNOUSERSITE"], "");
        assert_eq!(all.len(), 5);
    }

    #[test]
    fn with_a_root_elsewhere_it_is_in_the_home_of_whoever_runs_the_kernel() {
        for root in ["/group/envspec", "/home/mean"] {
            let all = with(root, &[]);
            let base = "${HOME}/.local/share/envspec/personal/lab";
            assert_eq!(all["R_LIBS_USER"], format!("{base}/R-4.5"), "{root}");
        }
    }

    #[test]
    fn what_activation_says_counts_more_and_the_personal_depot_is_the_first() {
        let set = [
            ("R_LIBS_USER", "/mine"),
            ("JULIA_DEPOT_PATH", "/g/share/julia:"),
            ("JULIA_PROJECT", "@lab-6d1f3c"),
        ];
        let all = with("/r", &set);
        assert_eq!(all["R_LIBS_USER"], "/mine");
        let depots = "${HOME}/.local/share/envspec/personal/lab/julia-1.11:/g/share/julia:";
        assert_eq!(all["JULIA_DEPOT_PATH"], depots);
        assert!(all["JULIA_PROJECT"].ends_with("/personal/lab/julia-1.11/environments/lab"));
    }

    #[test]
    fn the_folders_are_those_that_the_languages_look_into() {
        let personal = Personal::new("/home/me/e", "/home/me/", "lab", PACKAGES);
        assert_eq!(
            personal.folders("/home/me"),
            [
                "/home/me/e/personal/lab/python/lib/python3.13/site-packages",
                "/home/me/e/personal/lab/R-4.5",
                "/home/me/e/personal/lab/julia-1.11",
            ]
        );
    }
}
