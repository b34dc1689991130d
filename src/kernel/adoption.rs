//! A kernelspec that somebody else made: what it tells of its prefix, and how it
//! becomes one that is right whichever server starts it.

use serde_json::{Map, Value, json};

use super::activation::ActivationDelta;
use super::kernelspec::{KernelSpec, KernelSpecError, metadata};
use super::rewrite::{absolute_argv, servers_python_forgotten, without_empty_part};
use super::template::compose;
use super::wrapper::{Wrapped, unwrap};

/// Where the mark of an adopted kernelspec is in its metadata. It is not
/// envspec's own mark: `apply` and `gc` leave an adopted one alone.
const ADOPTED: &str = "envspec_adopted";

/// The version of that mark's form.
const ADOPTED_VERSION: u32 = 1;

/// Variables that say which environment is active: an activation's own.
const WHICH: [&str; 3] = ["CONDA_DEFAULT_ENV", "CONDA_PREFIX", "VIRTUAL_ENV"];

/// What a kernelspec is adopted into.
#[derive(Debug, Clone, Copy)]
pub struct Adoption<'a> {
    /// The prefix that its program is in, an absolute path.
    pub prefix: &'a str,
    /// What activating the prefix changes.
    pub activation: &'a ActivationDelta,
}

impl KernelSpec {
    /// The command taken apart, if it starts the kernel through `conda run` or
    /// its like.
    pub fn wrapped(&self) -> Option<Wrapped> {
        unwrap(&self.argv())
    }

    /// The prefixes that a kernelspec in `folder` may belong to, the most
    /// telling first: its wrapper's, its program's, the one that it lies in, the
    /// one that it sets or that `nb_conda_kernels` noted. Whether there is an
    /// environment at a path is not looked at.
    pub fn told_prefixes(&self, folder: &str) -> Vec<String> {
        let program = self.command().first().copied().unwrap_or_default();
        let of_wrapper = self.wrapped();
        let of_program = match &of_wrapper {
            // A wrapper's own prefix is conda's.
            Some(_) => None,
            None => program
                .rsplit_once('/')
                .and_then(|(folder, _)| folder.strip_suffix("/bin")),
        };
        let lies_in = folder
            .rsplit_once('/')
            .and_then(|(kernels, _)| kernels.strip_suffix("/share/jupyter/kernels"));
        let noted = self.metadata("conda_env_path").and_then(Value::as_str);
        let env = self.env();
        let set = ["CONDA_PREFIX", "VIRTUAL_ENV"].map(|name| env.get(name).map(String::as_str));
        let of_wrapper = of_wrapper.as_ref().and_then(|all| all.prefix.as_deref());
        let mut told: Vec<String> = Vec::new();
        for prefix in [of_wrapper, of_program, lies_in, set[0], set[1], noted] {
            let prefix = prefix.filter(|prefix| prefix.starts_with('/'));
            let prefix = prefix.map(|prefix| prefix.trim_end_matches('/').to_owned());
            told.extend(prefix.filter(|prefix| !prefix.is_empty() && !told.contains(prefix)));
        }
        told
    }

    /// The folders of an environment that its variables name: that of
    /// `CONDA_PREFIX` and `VIRTUAL_ENV`, and the first of PATH. (Further ones of
    /// PATH are the system's, of which some are always missing.)
    pub fn named_folders(&self) -> Vec<String> {
        let env = self.env();
        let first = env.get("PATH").and_then(|path| path.split(':').next());
        let set = ["CONDA_PREFIX", "VIRTUAL_ENV"].map(|name| env.get(name).map(String::as_str));
        let named = set.into_iter().flatten().chain(first);
        let mut folders: Vec<String> = Vec::new();
        for folder in named.filter(|folder| folder.starts_with('/') && !folder.contains('$')) {
            if !folders.iter().any(|known| known == folder) {
                folders.push(folder.to_owned());
            }
        }
        folders
    }

    /// The module that a Python runs as the kernel: the word behind `-m`, without
    /// its submodules.
    pub fn module(&self) -> Option<&str> {
        let argv = self.command();
        let (program, words) = argv.split_first()?;
        let base = program.rsplit('/').next()?;
        let version = base.strip_prefix("python")?;
        if !version.chars().all(|c| c.is_ascii_digit() || c == '.') {
            return None;
        }
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "-m" => return words.next()?.split('.').next(),
                // Options with a value.
                "-X" | "-W" => {
                    words.next();
                }
                word if word.starts_with('-') && !word.starts_with("-c") => {}
                _ => return None,
            }
        }
        None
    }

    /// The same with another program in front of its command.
    #[must_use]
    pub fn with_program(&self, program: &str) -> Self {
        let mut document = self.document.clone();
        let before = self.argv().len() - self.command().len();
        let words = document.get_mut("argv").and_then(Value::as_array_mut);
        if let Some(word) = words.and_then(|words| words.get_mut(before)) {
            *word = program.into();
        }
        Self { document }
    }

    /// Whether envspec adopted it.
    pub fn is_adopted(&self) -> bool {
        self.metadata(ADOPTED).is_some()
    }

    /// The kernelspec that is right in any server: an absolute command without a
    /// wrapper, and what the activation gives in `env`, its own variables in
    /// front. Of its own, those that name the active environment are the
    /// activation's now, and folders of PATH that are gone are left out.
    pub fn adopted(
        &self,
        to: &Adoption<'_>,
        is_executable: impl Fn(&str) -> bool,
        is_folder: impl Fn(&str) -> bool,
    ) -> Result<Self, KernelSpecError> {
        let mut document = self.document.clone();
        let argv = match self.wrapped() {
            Some(wrapped) => wrapped.command,
            None => self.argv().into_iter().map(str::to_owned).collect(),
        };
        if argv.is_empty() {
            let (field, expected) = ("argv", "a command whose wrapper is understood");
            return Err(KernelSpecError::Field { field, expected });
        }
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        let argv = absolute_argv(
            &words,
            to.prefix,
            &to.activation.program_folders(to.prefix),
            is_executable,
        )?;
        document.insert("argv".to_owned(), argv.into());

        let mut env = servers_python_forgotten();
        env.extend(to.activation.set().clone());
        let own = self.env().into_iter();
        let own: Vec<(String, String)> = own
            .filter(|(name, _)| !WHICH.contains(&name.as_str()))
            .map(|(name, value)| {
                let value = match name.as_str() {
                    "PATH" => without_gone(&value, &is_folder),
                    _ => value,
                };
                let value = compose(&value, &env);
                (name, value)
            })
            .collect();
        env.extend(own);
        without_empty_part(&mut env);
        let env: Map<String, Value> = env
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect();
        document.insert("env".to_owned(), env.into());
        let mark = json!({"version": ADOPTED_VERSION, "prefix": to.prefix});
        metadata(&mut document).insert(ADOPTED.to_owned(), mark);
        Ok(Self { document })
    }

    fn metadata(&self, field: &str) -> Option<&Value> {
        self.document.get("metadata")?.get(field)
    }
}

/// A PATH without the folders that are gone; with the server's own behind it if
/// nothing is left.
fn without_gone(path: &str, is_folder: impl Fn(&str) -> bool) -> String {
    let is_gone =
        |element: &&str| element.starts_with('/') && !element.contains('$') && !is_folder(element);
    let left: Vec<&str> = path.split(':').filter(|part| !is_gone(part)).collect();
    match left.as_slice() {
        [] => "${PATH}".to_owned(),
        left => left.join(":"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn spec(text: &str) -> KernelSpec {
        KernelSpec::parse(text).unwrap()
    }

    #[test]
    fn the_prefix_is_told_by_wrapper_program_place_and_variables_in_this_order() {
        let told = |text, folder| spec(text).told_prefixes(folder);
        let (user, inside) = ("/h/share/k", "/in/share/jupyter/kernels/k");
        let all = r#"{"argv": ["/p/bin/python"], "env": {"CONDA_PREFIX": "/c/", "VIRTUAL_ENV": "/v"},
            "metadata": {"conda_env_path": "/n"}}"#;
        assert_eq!(told(all, inside), ["/p", "/in", "/c", "/v", "/n"]);
        let wrapped = r#"{"argv": ["/b/bin/conda", "run", "-n", "x", "python"]}"#;
        assert_eq!(told(wrapped, user), ["/b/envs/x"]);
        for text in [
            r#"{"argv": ["python"], "env": {"CONDA_PREFIX": "${X}"}}"#,
            r#"{"argv": ["/sw/python"]}"#,
            r#"{"argv": ["/bin/bash"]}"#,
            r#"{"argv": ["bin/python"], "metadata": {"conda_env_path": ["/n"]}}"#,
        ] {
            assert_eq!(told(text, user), [""; 0], "{text}");
        }
    }

    #[test]
    fn the_module_is_found_behind_the_options_of_python_and_nothing_else() {
        for (argv, module) in [
            (
                r#"["/e/bin/python3.11", "-m", "ipykernel_launcher", "-f"]"#,
                Some("ipykernel_launcher"),
            ),
            (
                r#"["python", "-Xfrozen_modules=off", "-m", "sage.repl"]"#,
                Some("sage"),
            ),
            (r#"["python3", "-X", "dev", "-m", "k"]"#, Some("k")),
            (r#"["python", "-c", "import k", "-m", "k"]"#, None),
            (r#"["python", "kernel.py", "-m", "k"]"#, None),
            (r#"["python-config", "-m", "k"]"#, None),
            (r#"["R", "-m", "k"]"#, None),
            (r#"["python", "-m"]"#, None),
        ] {
            let found = spec(&format!(r#"{{"argv": {argv}}}"#));
            assert_eq!(found.module(), module, "{argv}");
        }
    }

    fn adopted(text: &str) -> Result<KernelSpec, KernelSpecError> {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            let pairs = pairs.iter();
            pairs.map(|&(k, v)| (k.to_owned(), v.to_owned())).collect()
        };
        let before = map(&[("PATH", "/usr/bin")]);
        let after = map(&[
            ("PATH", "/e/bin:/usr/bin"),
            ("CONDA_PREFIX", "/e"),
            ("PROJ_DATA", "/e/share/proj"),
        ]);
        let activation = ActivationDelta::between(&before, &after);
        let to = Adoption {
            prefix: "/e",
            activation: &activation,
        };
        let bin = ["/e/bin/python", "/e/bin/R"];
        spec(text).adopted(&to, |path| bin.contains(&path), |path| path == "/tools")
    }

    #[test]
    fn an_adopted_kernelspec_is_absolute_has_the_activation_and_keeps_the_rest_in_its_order() {
        let text = r#"{"x-first": [1], "display_name": "mine", "argv": ["python", "-m", "k"],
            "env": {"TZ": "UTC", "PATH": "/gone/bin:/tools:${PATH}", "CONDA_PREFIX": "/gone",
                "PYTHONPATH": "/mine:${PYTHONPATH}"},
            "metadata": {"debugger": true}, "x-last": null}"#;
        let spec = adopted(text).unwrap();
        assert_eq!(spec.argv(), ["/e/bin/python", "-m", "k"]);
        let env = spec.env();
        assert_eq!(env["PATH"], "/tools:/e/bin:${PATH}");
        assert_eq!(env["CONDA_PREFIX"], "/e");
        assert_eq!(env["PROJ_DATA"], "/e/share/proj");
        assert_eq!(env["TZ"], "UTC");
        assert_eq!(env["PYTHONPATH"], "/mine");
        assert!(spec.is_adopted() && spec.mark().is_none());
        let keys: Vec<_> = spec.document.keys().map(String::as_str).collect();
        let wanted = [
            "x-first",
            "display_name",
            "argv",
            "env",
            "metadata",
            "x-last",
        ];
        assert_eq!(keys, wanted);
        assert_eq!(spec.document["metadata"]["debugger"], true);
    }

    #[test]
    fn a_wrapper_is_taken_off_and_what_is_not_understood_is_refused() {
        let wrapped = r#"{"argv": ["/b/bin/conda", "run", "-p", "/e", "R", "--slave"]}"#;
        assert_eq!(adopted(wrapped).unwrap().argv(), ["/e/bin/R", "--slave"]);
        for argv in [
            r#"["conda", "run", "-p", "/e", "--what-is-this", "R"]"#,
            r#"["julia"]"#,
            r#"["./R"]"#,
        ] {
            assert!(
                adopted(&format!(r#"{{"argv": {argv}}}"#)).is_err(),
                "{argv}"
            );
        }
    }

    #[test]
    fn a_path_of_which_nothing_is_left_is_the_activations() {
        let text = r#"{"argv": ["R"], "env": {"PATH": "/gone/bin"}}"#;
        assert_eq!(adopted(text).unwrap().env()["PATH"], "/e/bin:${PATH}");
    }

    #[test]
    fn only_folders_of_an_environment_are_named() {
        let text = r#"{"argv": ["R"], "env": {"CONDA_PREFIX": "/c", "VIRTUAL_ENV": "/c",
            "PATH": "/c/bin:/usr/games:${PATH}", "HOME": "/x"}}"#;
        assert_eq!(spec(text).named_folders(), ["/c", "/c/bin"]);
        let text = r#"{"argv": ["R"], "env": {"CONDA_PREFIX": "${C}", "PATH": "${PATH}:/x"}}"#;
        assert_eq!(spec(text).named_folders(), [""; 0]);
    }

    #[test]
    fn a_program_is_put_in_front_of_the_same_words() {
        let text = r#"{"argv": ["R", "--slave"], "display_name": "R"}"#;
        let changed = spec(text).with_program("/e/bin/R");
        assert_eq!(changed.argv(), ["/e/bin/R", "--slave"]);
        let text = r#"{"argv": ["/usr/bin/env", "-u", "X", "R", "--slave"], "display_name": "R"}"#;
        let changed = spec(text).with_program("/e/bin/R");
        assert_eq!(
            changed.argv(),
            ["/usr/bin/env", "-u", "X", "/e/bin/R", "--slave"]
        );
        assert_eq!(changed.display_name(), "R");
    }
}
