//! A kernelspec made one of a generation's.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::activation::ActivationDelta;
use super::definition::KernelDefinition;
use super::kernelspec::{InterruptMode, KernelSpec, KernelSpecError, TRANSPORT, metadata};
use super::limits::{limited, threads};
use super::personal::Personal;
use super::template::{compose, escape};
use crate::spec::Limits;

/// What makes a kernelspec the one of a generation.
#[derive(Debug, Clone, Copy)]
pub struct Rewrite<'a> {
    /// The generation's prefix, an absolute path.
    pub prefix: &'a str,
    /// The folder that the kernelspec will have there. Of the copy that is registered
    /// for the user only plain files go along.
    pub folder: &'a str,
    /// The kernel's definition.
    pub definition: &'a KernelDefinition,
    /// The name that the spec gives it, if it does.
    pub display_name: Option<&'a str>,
    /// What it may take of the node.
    pub limits: &'a Limits,
    /// The variables that the spec gives all of the environment, as literal values.
    pub variables: &'a BTreeMap<String, String>,
    /// Those that it gives this kernel.
    pub env: &'a BTreeMap<String, String>,
    /// What activating the prefix changes.
    pub activation: &'a ActivationDelta,
    /// Where the user's own packages go.
    pub personal: &'a Personal,
}

impl KernelSpec {
    /// The kernelspec for a generation: argv is absolute, `env` holds what the
    /// activation would give, then the definition's variables, the package's own and
    /// what the spec says, a later one in front of an earlier one.
    ///
    /// `is_executable` tells whether a path is an executable file.
    pub fn rewrite(
        &self,
        to: &Rewrite<'_>,
        is_executable: impl Fn(&str) -> bool,
    ) -> Result<Self, KernelSpecError> {
        let mut document = self.document.clone();
        let folders = to.activation.program_folders(to.prefix);
        let argv = absolute_argv(&self.argv(), to.prefix, &folders, &is_executable)?;
        let argv = argv
            .into_iter()
            .map(|word| word.replace("{resource_dir}", to.folder));
        let argv = argv.collect();
        let argv = limited(argv, to.limits, is_executable)?;
        document.insert("argv".to_owned(), argv.into());
        let display_name = to.display_name.unwrap_or(&to.definition.display_name);
        document.insert("display_name".to_owned(), display_name.into());
        if self.language().is_empty() {
            document.insert(
                "language".to_owned(),
                to.definition.language.as_str().into(),
            );
        }
        if let Some(mode) = to.definition.interrupt_mode {
            let word = if mode == InterruptMode::Message {
                "message"
            } else {
                "signal"
            };
            document.insert("interrupt_mode".to_owned(), word.into());
        }
        if to.definition.ipc {
            metadata(&mut document).insert(TRANSPORT.to_owned(), vec!["tcp", "ipc"].into());
        }
        let activated = to.personal.with(to.activation.set());
        let layers = [&to.definition.env, &self.env()];
        let spec = said(to.variables, to.limits, to.env);
        let env = layered(activated, &layers, &spec);
        document.insert("env".to_owned(), env.into());
        Ok(Self { document })
    }
}

/// Where the *server's* Python looks for modules, as a hub's or a module's script sets
/// it: a kernel's Python of another version would load them. A kernel.json can unset
/// nothing, but to Python 3 empty is as good.
///
/// (Not so PYTHONHOME: a Python before 3.7, such as the machine's that a notebook starts,
/// dies of an empty one.)
const PYTHONS_PLACE: &str = "PYTHONPATH";

/// What every kernel starts from, whoever starts it: no modules of the server's Python.
pub(super) fn servers_python_forgotten() -> BTreeMap<String, String> {
    [(PYTHONS_PLACE.to_owned(), String::new())].into()
}

/// What extends a PYTHONPATH extends none now; left empty, that part would mean the
/// notebook's folder.
pub(super) fn without_empty_part(env: &mut BTreeMap<String, String>) {
    if let Some(path) = env.get_mut(PYTHONS_PLACE) {
        let parts: Vec<&str> = path.split(':').filter(|part| !part.is_empty()).collect();
        *path = parts.join(":");
    }
}

/// What a spec says of a kernel's variables, as literal values: of all in the environment,
/// the threads that this one may start, and its own, a later one in front of an earlier one.
pub(super) fn said(
    of_all: &BTreeMap<String, String>,
    limits: &Limits,
    own: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut said = of_all.clone();
    said.extend(threads(limits));
    said.extend(own.clone());
    said
}

/// A kernel's variables, as templates: nothing of the server's Python, what is `below`,
/// the layers, each of which may refer to what is set so far, and in front of all the
/// literal values that the spec says.
pub(super) fn layered(
    below: BTreeMap<String, String>,
    layers: &[&BTreeMap<String, String>],
    spec: &BTreeMap<String, String>,
) -> Map<String, Value> {
    let mut env = servers_python_forgotten();
    env.extend(below);
    for layer in layers {
        let composed = layer
            .iter()
            .map(|(name, value)| (name.clone(), compose(value, &env)));
        env.extend(composed.collect::<Vec<_>>());
    }
    without_empty_part(&mut env);
    let spec = spec.iter();
    env.extend(spec.map(|(name, value)| (name.clone(), escape(value))));
    env.into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect()
}

/// The command with an absolute program.
///
/// Jupyter takes a bare `python` for the *server's* interpreter, looks any other
/// bare word up on the server's PATH, and puts the server's own prefix in the
/// place of `{prefix}`: none of these may be left. The `folders` of the prefix have
/// its programs.
pub(super) fn absolute_argv(
    argv: &[&str],
    prefix: &str,
    folders: &[String],
    is_executable: impl Fn(&str) -> bool,
) -> Result<Vec<String>, KernelSpecError> {
    let mut argv: Vec<String> = argv
        .iter()
        .map(|word| word.replace("{prefix}", prefix))
        .collect();
    let Some(program) = argv.first_mut() else {
        return Ok(argv);
    };
    if program.starts_with('/') {
        if !is_executable(program) {
            let program = program.clone();
            return Err(KernelSpecError::NoProgram { program });
        }
        return Ok(argv);
    }
    let inside = folders.iter().map(|folder| format!("{folder}/{program}"));
    let inside = inside
        .filter(|_| !program.contains('/'))
        .find(|path| is_executable(path));
    let Some(inside) = inside else {
        let (program, prefix) = (program.clone(), prefix.to_owned());
        return Err(KernelSpecError::Program { program, prefix });
    };
    *program = inside;
    Ok(argv)
}
