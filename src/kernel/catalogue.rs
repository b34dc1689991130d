//! The kernels that envspec knows: those of `kernels/`, embedded, and those
//! that a user's folder adds or replaces.
//!
//! A definition is read when it is first asked for: a command that needs none
//! pays nothing for the others.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use miette::Diagnostic;
use thiserror::Error;

use super::definition::{DefinitionError, KernelDefinition, KernelId};

/// The texts of the files of `kernels/` that are named, with those names.
macro_rules! files_of_kernels {
    ($($id:literal),* $(,)?) => {
        &[$(($id, include_str!(concat!("../../kernels/", $id, ".yaml")))),*]
    };
}

/// The files of `kernels/`. A test compares this list with the folder.
const BUILTIN: &[(&str, &str)] = files_of_kernels![
    "ansible",
    "bash",
    "c",
    "c11",
    "c23",
    "cadabra",
    "clojure",
    "coconut",
    "cpp",
    "cpp17",
    "cpp23",
    "deno",
    "dotnet-csharp",
    "dotnet-fsharp",
    "dotnet-pwsh",
    "fortran",
    "gnuplot",
    "go",
    "gophernotes",
    "java",
    "javascript",
    "jslab",
    "julia",
    "kotlin",
    "lua",
    "maxima",
    "octave",
    "pari",
    "python",
    "r",
    "robot",
    "root",
    "ruby",
    "rust",
    "sagemath",
    "sas",
    "scala",
    "scijava",
    "sos",
    "spark",
    "spark-r",
    "spark-scala",
    "sql",
    "sqlite",
    "stata",
    "tslab",
    "xeus-cling",
    "xeus-octave",
    "xeus-python",
    "xeus-python-raw",
    "xeus-r",
    "xonsh",
    "zsh",
];

/// The kernels to choose from, in the order of their identifiers.
#[derive(Debug)]
pub struct Catalogue {
    entries: BTreeMap<String, Entry>,
}

/// A definition that is perhaps not read yet.
#[derive(Debug)]
struct Entry {
    /// The file's text.
    text: Cow<'static, str>,
    /// The file's name; none for an embedded one.
    file: Option<String>,
    definition: OnceLock<Arc<KernelDefinition>>,
}

/// A kernel that the catalogue does not have.
#[derive(Debug, Clone, PartialEq, Eq, Error, Diagnostic)]
#[error("there is no kernel {} in the catalogue", crate::spec::shown(id))]
#[diagnostic(help("{}", self.suggestion()))]
pub struct UnknownKernel {
    /// What was asked for.
    pub id: String,
    /// The nearest name that exists, if one is near.
    pub nearest: Option<String>,
}

impl UnknownKernel {
    fn suggestion(&self) -> String {
        match &self.nearest {
            Some(name) => format!("did you mean `{name}`? `envspec kernels list` shows them all"),
            None => "`envspec kernels list` shows those that there are".to_owned(),
        }
    }
}

impl Catalogue {
    /// The embedded definitions alone.
    pub fn builtin() -> Self {
        let entry = |&(id, text): &(&str, &'static str)| {
            (
                id.to_owned(),
                Entry {
                    text: Cow::Borrowed(text),
                    file: None,
                    definition: OnceLock::new(),
                },
            )
        };
        Self {
            entries: BUILTIN.iter().map(entry).collect(),
        }
    }

    /// The embedded definitions with others added, or put in the place of those
    /// of the same identifier. Each is given as its file's name and its text;
    /// of two with the same identifier the later one stays.
    pub fn with_overrides<N, T>(
        files: impl IntoIterator<Item = (N, T)>,
    ) -> Result<Self, DefinitionError>
    where
        N: AsRef<str>,
        T: AsRef<str>,
    {
        let mut catalogue = Self::builtin();
        for (file, text) in files {
            let definition = KernelDefinition::parse(file.as_ref(), text.as_ref())?;
            let id = definition.id.as_str().to_owned();
            let entry = Entry {
                text: Cow::Owned(text.as_ref().to_owned()),
                file: Some(file.as_ref().to_owned()),
                definition: OnceLock::from(Arc::new(definition)),
            };
            catalogue.entries.insert(id, entry);
        }
        Ok(catalogue)
    }

    /// The definition of an identifier, or of another name that one has. An identifier
    /// goes before a name of another's, a name in a file before one that is embedded.
    pub fn get(&self, id: &str) -> Result<Arc<KernelDefinition>, UnknownKernel> {
        let found = self.by_id(id).or_else(|| self.by_alias(id));
        found.ok_or_else(|| UnknownKernel {
            id: id.to_owned(),
            nearest: self.nearest(id),
        })
    }

    /// The definition of an identifier.
    pub fn by_id(&self, id: &str) -> Option<Arc<KernelDefinition>> {
        let (id, entry) = self.entries.get_key_value(id)?;
        Some(Arc::clone(entry.read(id)))
    }

    fn by_alias(&self, name: &str) -> Option<Arc<KernelDefinition>> {
        let named = self
            .entries
            .iter()
            .filter(|(id, entry)| entry.read(id).is_also(name));
        let (id, entry) = named.min_by_key(|(_, entry)| entry.file.is_none())?;
        Some(Arc::clone(entry.read(id)))
    }

    /// The file that a definition comes from; `None` if it is an embedded one.
    pub fn file(&self, id: &KernelId) -> Option<&str> {
        self.entries.get(id.as_str())?.file.as_deref()
    }

    /// All definitions, in the order of their identifiers.
    pub fn iter(&self) -> impl Iterator<Item = &KernelDefinition> {
        self.entries
            .iter()
            .map(|(id, entry)| entry.read(id).as_ref())
    }

    /// All identifiers in order; reads no definition.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    fn nearest(&self, id: &str) -> Option<String> {
        let id = id.to_lowercase();
        let aliases = self.iter().flat_map(|definition| &definition.aliases);
        let names: Vec<&str> = self.ids().chain(aliases.map(KernelId::as_str)).collect();
        let distances = names
            .iter()
            .map(|known| (strsim::damerau_levenshtein(&id, known), *known));
        // One letter of three may be wrong, two of six: with more it is another word.
        let is_near =
            |&(distance, known): &(usize, &str)| distance <= 2 && 3 * distance <= known.len();
        let begins = || {
            let begins = |known: &&&str| known.len() > 1 && id.starts_with(**known);
            names.iter().filter(begins).max_by_key(|known| known.len())
        };
        let near = distances.filter(is_near).min().map(|(_, known)| known);
        near.or_else(|| begins().copied()).map(str::to_owned)
    }
}

impl Entry {
    fn read(&self, id: &str) -> &Arc<KernelDefinition> {
        self.definition.get_or_init(|| {
            let read = KernelDefinition::parse(id, &self.text);
            Arc::new(read.expect("the embedded definitions are read by a test"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Interrupt, State};

    #[test]
    fn the_embedded_list_is_the_folder() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/kernels");
        let mut files: Vec<String> = fs_err::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "schema.json")
            .collect();
        files.sort();
        let mut embedded: Vec<String> =
            BUILTIN.iter().map(|(id, _)| format!("{id}.yaml")).collect();
        embedded.sort();
        assert_eq!(embedded, files);
    }

    #[test]
    fn every_embedded_definition_can_be_read() {
        for (id, text) in BUILTIN {
            if let Err(error) = KernelDefinition::parse(&format!("{id}.yaml"), text) {
                panic!("{error}");
            }
        }
        let catalogue = Catalogue::builtin();
        assert!(
            catalogue
                .iter()
                .map(|kernel| kernel.id.as_str())
                .eq(catalogue.ids())
        );
        assert!(catalogue.ids().count() >= 43);
    }

    #[test]
    fn a_name_means_one_kernel() {
        let catalogue = Catalogue::builtin();
        let mut names: Vec<&str> = catalogue
            .iter()
            .flat_map(|kernel| std::iter::once(&kernel.id).chain(&kernel.aliases))
            .map(KernelId::as_str)
            .collect();
        names.sort_unstable();
        let count = names.len();
        assert!(count > catalogue.ids().count(), "nobody has an alias");
        let twice: Vec<_> = names.windows(2).filter(|two| two[0] == two[1]).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }

    #[test]
    fn what_has_not_been_run_says_what_is_to_be_minded() {
        for kernel in Catalogue::builtin().iter() {
            let is_plain = matches!(kernel.id.as_str(), "lua");
            if kernel.state != State::Tested && !is_plain {
                assert!(kernel.notes.is_some(), "{} has no notes", kernel.id);
            }
            assert_eq!(kernel.smoke.expect, "42", "{}", kernel.id);
            if let Interrupt::Cell(cell) = &kernel.interrupt {
                assert!(cell.contains("started"), "{}", kernel.id);
            }
        }
    }

    #[test]
    fn a_kernel_is_found_by_what_notebooks_and_people_call_it() {
        let catalogue = Catalogue::builtin();
        for (name, id) in [
            ("ir", "r"),
            ("python3", "python"),
            ("evcxr", "rust"),
            ("sage", "sagemath"),
            ("gonb", "go"),
            ("almond", "scala"),
            ("xpython", "xeus-python"),
            ("cpp", "cpp"),
        ] {
            assert_eq!(catalogue.get(name).unwrap().id.as_str(), id, "{name}");
        }
    }

    #[test]
    fn an_unknown_kernel_is_answered_with_the_nearest_one() {
        let catalogue = Catalogue::builtin();
        let nearest = |id: &str| catalogue.get(id).unwrap_err().nearest;
        assert_eq!(nearest("pyhton").as_deref(), Some("python"));
        assert_eq!(nearest("Julia").as_deref(), Some("julia"));
        assert_eq!(nearest("R").as_deref(), Some("r"));
        assert_eq!(nearest("python4").as_deref(), Some("python"));
        assert_eq!(nearest("evcrx").as_deref(), Some("evcxr"));
        assert_eq!(nearest("sage-notebook").as_deref(), Some("sage"));
        for far in ["cobol", "x", "perl", "ocaml", "apl"] {
            assert_eq!(nearest(far), None, "{far}");
        }
    }

    #[test]
    fn a_users_definition_replaces_the_embedded_one_and_adds_new_ones() {
        let builtin = Catalogue::builtin();
        let python = &builtin.get("python").unwrap().text;
        let yours = python
            .replace("id: python", "id: yours")
            .replace("[ipykernel, python3]", "[ir]");
        let catalogue = Catalogue::with_overrides([
            (
                "python.yaml",
                python.replace("packages: [ipykernel]", "packages: [ipykernel <8]"),
            ),
            ("yours.yaml", yours),
        ])
        .unwrap();
        let python = catalogue.get("python").unwrap();
        assert_eq!(python.packages[0].text, "ipykernel <8");
        let yours = catalogue.get("yours").unwrap();
        assert_eq!(yours.id.as_str(), "yours");
        assert_eq!(catalogue.ids().count(), BUILTIN.len() + 1);
        assert_eq!(catalogue.file(&yours.id), Some("yours.yaml"));
        assert_eq!(catalogue.file(&catalogue.get("r").unwrap().id), None);
        assert_eq!(
            catalogue.get("ir").unwrap().id,
            yours.id,
            "the user's goes first"
        );
    }
}
