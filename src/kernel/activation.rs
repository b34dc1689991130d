//! What activating a prefix changes in the environment, in a form that a
//! kernel.json can carry.
//!
//! A kernel is started without a shell, so the variables that `activate.d`
//! would have set (`PROJ_DATA`, `JAVA_HOME`, `JULIA_DEPOT_PATH`, the compilers') are
//! written into its `env` instead. They are captured once, at apply time, by
//! running the activation in an environment chosen for it; this file only
//! compares the two. It does not run anything.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::template::{escape, substitute};

/// Variables of the shell that ran the activation, or that only a later
/// `deactivate` reads. `CONDA_PREFIX` and `CONDA_DEFAULT_ENV` are not among them:
/// programs ask for both.
const NOISE: [&str; 16] = [
    "_",
    "BASHOPTS",
    "COLUMNS",
    "CONDA_EXE",
    "CONDA_PROMPT_MODIFIER",
    "CONDA_PYTHON_EXE",
    "CONDA_SHLVL",
    "IFS",
    "LINES",
    "OLDPWD",
    "PROMPT_COMMAND",
    "PS1",
    "PWD",
    "SHELLOPTS",
    "SHLVL",
    "_CE_CONDA",
];

/// Beginnings of such names: nested prefixes (`CONDA_PREFIX_1`), what
/// conda-forge's scripts save or note for the way back, and exported functions.
/// (`_CONDA_PYTHON_SYSCONFIGDATA_NAME` is none of these; builds need it.)
const NOISE_BEGINNINGS: [&str; 5] = [
    "CONDA_PREFIX_",
    "CONDA_BACKUP_",
    "_CONDA_SET_",
    "_CE_M",
    "BASH_FUNC_",
];

/// Lists of folders in which an empty element means the working directory, so
/// that `export LD_LIBRARY_PATH=$P/lib:$LD_LIBRARY_PATH` with nothing to extend
/// would load code from the notebook's folder.
const EMPTY_MEANS_HERE: [&str; 5] = [
    "DYLD_LIBRARY_PATH",
    "LD_LIBRARY_PATH",
    "PATH",
    "PERL5LIB",
    "PYTHONPATH",
];

/// The difference that an activation makes.
///
/// The values are templates as Jupyter fills them in: literal text with each
/// `$` doubled, `${PATH}` where the activation extended the PATH that it found,
/// `${HOME}` and `${USER}` where it built on them. No other reference is ever
/// written: Jupyter leaves one to a variable that isn't set as it stands, and
/// only these are set wherever people log in or a job is started for them (USER is
/// missing in some containers).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivationDelta {
    set: BTreeMap<String, String>,
    unset: BTreeSet<String>,
}

impl ActivationDelta {
    /// Compares the whole environment before an activation with the whole
    /// environment after it.
    ///
    /// Give the activation a short PATH (`/usr/bin:/bin`), and a HOME (an empty folder
    /// made for it) and a USER that occur in no other text, so that what it took from
    /// there can be told from what it set. A variable that is missing in `after` counts
    /// as unset.
    pub fn between(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Self {
        let given = |name| before.get(name).map_or("", String::as_str);
        let hosts = Hosts {
            home: given("HOME").trim_end_matches('/'),
            user: given("USER"),
            prefix: after.get("CONDA_PREFIX").map_or("", String::as_str),
        };
        let set = after
            .iter()
            .filter(|(name, value)| !is_noise(name) && before.get(*name) != Some(value))
            .map(|(name, value)| {
                let found = before.get(name).map(String::as_str);
                (name.clone(), templated(name, value, found, &hosts))
            })
            .collect();
        let unset = before
            .keys()
            .filter(|name| !is_noise(name) && !after.contains_key(*name))
            .cloned()
            .collect();
        Self { set, unset }
    }

    /// The same with more variables, as literal values, whatever their names are.
    #[must_use]
    pub fn with(mut self, variables: &BTreeMap<String, String>) -> Self {
        for (name, value) in variables {
            self.unset.remove(name);
            self.set.insert(name.clone(), escape(value));
        }
        self
    }

    /// The folders of a prefix in which an activated shell looks for programs, in order;
    /// its `bin` at least.
    pub fn program_folders(&self, prefix: &str) -> Vec<String> {
        let path = self.set.get("PATH").map_or("", String::as_str);
        let literal = |folder: &str| substitute(folder, |_| None);
        let below = |folder: &String| {
            let rest = folder.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        let mut folders: Vec<String> = path.split(':').map(literal).filter(below).collect();
        let bin = format!("{prefix}/bin");
        if !folders.contains(&bin) {
            folders.push(bin);
        }
        folders
    }

    /// The variables to set, as templates, in order.
    pub fn set(&self) -> &BTreeMap<String, String> {
        &self.set
    }

    /// The variables that the activation removed. A kernel.json cannot: these
    /// are for whoever starts the program itself.
    pub fn unset(&self) -> &BTreeSet<String> {
        &self.unset
    }
}

fn is_noise(name: &str) -> bool {
    NOISE.contains(&name)
        || NOISE_BEGINNINGS.iter().any(|start| name.starts_with(start))
        // conda-forge's scripts for Julia and Octave note the old value for the way back.
        || name.ends_with("_BACKUP")
}

/// What differs from host to host, as the activation was given it.
struct Hosts<'a> {
    home: &'a str,
    user: &'a str,
    /// The prefix, which may be below the home and is the same everywhere.
    prefix: &'a str,
}

impl Hosts<'_> {
    /// A text as a template, with references where it was made from what was given.
    fn template(&self, text: &str) -> String {
        if !self.prefix.is_empty()
            && let Some((start, end)) = text.split_once(self.prefix)
        {
            let prefix = escape(self.prefix);
            return format!("{}{prefix}{}", self.template(start), self.template(end));
        }
        let text = referring(&escape(text), &escape(self.home), "${HOME}");
        referring(&text, &escape(self.user), "${USER}")
    }
}

/// A text with a reference wherever a value stands whole: `/h` is not the beginning of
/// `/hh`.
fn referring(text: &str, value: &str, reference: &str) -> String {
    if value.is_empty() {
        return text.to_owned();
    }
    let goes_on = |c: char| c.is_alphanumeric() || "._-".contains(c);
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((start, end)) = rest.split_once(value) {
        written.push_str(start);
        written.push_str(if end.starts_with(goes_on) {
            value
        } else {
            reference
        });
        rest = end;
    }
    written + rest
}

/// One variable's new value as a template.
fn templated(name: &str, value: &str, found: Option<&str>, hosts: &Hosts<'_>) -> String {
    let elements: Vec<&str> = value.split(':').collect();
    let found: Vec<&str> = found.map_or_else(Vec::new, |text| text.split(':').collect());
    let extended = (!found.is_empty())
        .then(|| elements.windows(found.len()).position(|run| run == found))
        .flatten();
    let mut written = Vec::with_capacity(elements.len());
    let mut at = 0;
    while at < elements.len() {
        if extended == Some(at) {
            // What was found is the server's own to give: as a reference if it
            // surely has one, else not at all.
            if name == "PATH" {
                written.push("${PATH}".to_owned());
            }
            at += found.len();
            continue;
        }
        if !(elements[at].is_empty() && EMPTY_MEANS_HERE.contains(&name)) {
            written.push(hosts.template(elements[at]));
        }
        at += 1;
    }
    written.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(before: &[(&str, &str)], after: &[(&str, &str)]) -> ActivationDelta {
        let map = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|&(k, v)| (k.to_owned(), v.to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        ActivationDelta::between(&map(before), &map(after))
    }

    fn value(before: &[(&str, &str)], after: &[(&str, &str)], name: &str) -> Option<String> {
        delta(before, after).set().get(name).cloned()
    }

    #[test]
    fn an_extended_path_refers_to_the_servers_own() {
        let before = [("PATH", "/usr/bin:/bin")];
        let after = [("PATH", "/g/bin:/g/condabin:/usr/bin:/bin:/g/late")];
        let path = value(&before, &after, "PATH").unwrap();
        assert_eq!(path, "/g/bin:/g/condabin:${PATH}:/g/late");
    }

    #[test]
    fn no_list_but_path_refers_to_a_variable_that_may_not_be_set() {
        let before = [("XDG_DATA_DIRS", "/old:/older")];
        let after = [("XDG_DATA_DIRS", "/g/share:/old:/older")];
        assert_eq!(value(&before, &after, "XDG_DATA_DIRS").unwrap(), "/g/share");
    }

    #[test]
    fn the_working_directory_does_not_slip_into_a_search_path() {
        let after = [
            ("LD_LIBRARY_PATH", "/g/lib:"),
            ("JULIA_DEPOT_PATH", "/g/share/julia:"),
        ];
        assert_eq!(value(&[], &after, "LD_LIBRARY_PATH").unwrap(), "/g/lib");
        // Here the empty element means Julia's own default: it stays.
        assert_eq!(
            value(&[], &after, "JULIA_DEPOT_PATH").unwrap(),
            "/g/share/julia:"
        );
    }

    #[test]
    fn a_dollar_in_a_value_stays_a_dollar() {
        assert_eq!(
            value(&[], &[("FLAGS", "$ORIGIN/lib ${X}")], "FLAGS").unwrap(),
            "$$ORIGIN/lib $${X}"
        );
    }

    #[test]
    fn the_home_of_whoever_applied_is_not_baked_in() {
        let before = [("HOME", "/tmp/h")];
        let after = [
            ("HOME", "/tmp/h"),
            ("CONDA_PREFIX", "/tmp/h/gen/x"),
            ("DEPOT", "/tmp/h/.julia:/tmp/h/gen/x/share:/tmp/hh"),
        ];
        assert_eq!(
            value(&before, &after, "DEPOT").unwrap(),
            "${HOME}/.julia:/tmp/h/gen/x/share:/tmp/hh"
        );
        assert_eq!(
            value(&before, &after, "CONDA_PREFIX").unwrap(),
            "/tmp/h/gen/x"
        );
        assert_eq!(value(&before, &after, "HOME"), None);
    }

    #[test]
    fn home_and_user_are_told_wherever_they_stand() {
        let before = [("HOME", "/tmp/h"), ("USER", "envspec-user")];
        let after = [
            ("CONDA_PREFIX", "/tmp/h/g"),
            ("SCRATCH", "/scratch/envspec-user/x"),
            ("FLAGS", "-I/tmp/h/inc -L/tmp/h/g/lib file:///tmp/h $5"),
            ("OTHER", "envspec-user2"),
        ];
        let of = |name| value(&before, &after, name).unwrap();
        assert_eq!(of("SCRATCH"), "/scratch/${USER}/x");
        assert_eq!(
            of("FLAGS"),
            "-I${HOME}/inc -L/tmp/h/g/lib file://${HOME} $$5"
        );
        assert_eq!(of("OTHER"), "envspec-user2");
    }

    #[test]
    fn what_the_spec_says_is_set_whatever_was_found_and_whatever_its_name() {
        let said = [("LANG", "C"), ("PS1", "> "), ("COST", "5$")];
        let said = said.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let delta = delta(&[("LANG", "C")], &[("LANG", "C")]).with(&BTreeMap::from(said));
        let set: Vec<&str> = delta.set().values().map(String::as_str).collect();
        assert_eq!(set, ["5$$", "C", "> "]);
    }

    #[test]
    fn programs_are_looked_for_where_an_activated_shell_finds_them_in_the_prefix() {
        let path = "/g/bin:/opt/bin:/g/share/rubygems/bin:/gg/bin:/usr/bin";
        let found = delta(&[("PATH", "/usr/bin")], &[("PATH", path)]).program_folders("/g");
        assert_eq!(found, ["/g/bin", "/g/share/rubygems/bin"]);
        assert_eq!(ActivationDelta::default().program_folders("/g"), ["/g/bin"]);
    }

    #[test]
    fn the_shells_own_variables_are_left_out_and_those_that_programs_ask_for_stay() {
        let after = [
            ("PS1", "(lab) "),
            ("SHLVL", "2"),
            ("CONDA_SHLVL", "1"),
            ("CONDA_PREFIX_1", "/base"),
            ("_CONDA_SET_PROJ_DATA", "1"),
            ("JULIA_PROJECT_BACKUP", ""),
            ("BASH_FUNC_module%%", "() { :; }"),
            ("CONDA_PREFIX", "/g"),
            ("CONDA_DEFAULT_ENV", "lab"),
            ("PROJ_DATA", "/g/share/proj"),
            ("_CONDA_PYTHON_SYSCONFIGDATA_NAME", "_sysconfigdata"),
        ];
        let kept: Vec<_> = delta(&[], &after).set().keys().cloned().collect();
        assert_eq!(
            kept,
            [
                "CONDA_DEFAULT_ENV",
                "CONDA_PREFIX",
                "PROJ_DATA",
                "_CONDA_PYTHON_SYSCONFIGDATA_NAME"
            ]
        );
    }

    #[test]
    fn what_the_activation_leaves_alone_is_not_in_the_difference_and_what_it_removes_is() {
        let delta = delta(&[("LANG", "C"), ("GONE", "1")], &[("LANG", "C")]);
        assert!(delta.set().is_empty());
        assert_eq!(delta.unset().iter().collect::<Vec<_>>(), ["GONE"]);
    }
}
