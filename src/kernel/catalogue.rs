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

use super::definition::{DefinitionError, KernelDefinition};

/// The files of `kernels/`. A test compares this list with the folder.
const BUILTIN: [(&str, &str); 6] = [
    ("bash", include_str!("../../kernels/bash.yaml")),
    ("deno", include_str!("../../kernels/deno.yaml")),
    ("julia", include_str!("../../kernels/julia.yaml")),
    ("python", include_str!("../../kernels/python.yaml")),
    ("r", include_str!("../../kernels/r.yaml")),
    (
        "xeus-python",
        include_str!("../../kernels/xeus-python.yaml"),
    ),
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
    definition: OnceLock<Arc<KernelDefinition>>,
}

/// A kernel that the catalogue does not have.
#[derive(Debug, Clone, PartialEq, Eq, Error, Diagnostic)]
#[error("there is no kernel `{id}` in the catalogue")]
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
        let entry = |(id, text): (&str, &'static str)| {
            (
                id.to_owned(),
                Entry {
                    text: Cow::Borrowed(text),
                    definition: OnceLock::new(),
                },
            )
        };
        Self {
            entries: BUILTIN.into_iter().map(entry).collect(),
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
                definition: OnceLock::from(Arc::new(definition)),
            };
            catalogue.entries.insert(id, entry);
        }
        Ok(catalogue)
    }

    /// The definition of an identifier, or of another name that one has.
    pub fn get(&self, id: &str) -> Result<Arc<KernelDefinition>, UnknownKernel> {
        let direct = self.entries.get_key_value(id);
        let direct = direct.map(|(id, entry)| entry.read(id));
        let by_alias = || {
            let all = self.entries.iter().map(|(id, entry)| entry.read(id));
            let is = |definition: &KernelDefinition| {
                let mut aliases = definition.aliases.iter();
                aliases.any(|alias| alias.as_str() == id)
            };
            all.into_iter().find(|definition| is(definition))
        };
        let found = direct.or_else(by_alias).map(Arc::clone);
        found.ok_or_else(|| UnknownKernel {
            id: id.to_owned(),
            nearest: self.nearest(id),
        })
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
        self.ids()
            .map(|known| (strsim::damerau_levenshtein(&id, known), known))
            .filter(|&(distance, known)| distance <= 2 && distance < known.chars().count())
            .min()
            .or_else(|| {
                let begins = |known: &&str| known.len() > 1 && id.starts_with(*known);
                self.ids().find(begins).map(|known| (0, known))
            })
            .map(|(_, known)| known.to_owned())
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

    #[test]
    fn the_embedded_list_is_the_folder() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/kernels");
        let mut files: Vec<String> = fs_err::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let embedded: Vec<String> = BUILTIN.iter().map(|(id, _)| format!("{id}.yaml")).collect();
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
    }

    #[test]
    fn an_unknown_kernel_is_answered_with_the_nearest_one() {
        let catalogue = Catalogue::builtin();
        let nearest = |id: &str| catalogue.get(id).unwrap_err().nearest;
        assert_eq!(nearest("pyhton").as_deref(), Some("python"));
        assert_eq!(nearest("Julia").as_deref(), Some("julia"));
        assert_eq!(nearest("R").as_deref(), Some("r"));
        assert_eq!(nearest("python3").as_deref(), Some("python"));
        assert_eq!(nearest("fortran"), None);
    }

    #[test]
    fn a_users_definition_replaces_the_embedded_one_and_adds_new_ones() {
        let python = BUILTIN[3].1;
        let catalogue = Catalogue::with_overrides([
            (
                "python.yaml",
                python.replace("[ipykernel]", "[ipykernel <8]"),
            ),
            ("mine.yaml", python.replace("id: python", "id: mine")),
        ])
        .unwrap();
        assert_eq!(
            catalogue.get("python").unwrap().packages[0].text,
            "ipykernel <8"
        );
        assert_eq!(catalogue.get("mine").unwrap().id.as_str(), "mine");
        assert_eq!(catalogue.ids().count(), BUILTIN.len() + 1);
    }
}
