//! The kernelspec of a kernel out of a Nix store.

use std::collections::BTreeMap;

use super::kernelspec::{KernelSpec, KernelSpecError};
use super::limits::limited;
use super::rewrite::{layered, said};
use super::template::escape;
use crate::spec::Limits;

/// What makes a kernelspec out of a Nix store the one of a generation.
#[derive(Debug, Clone, Copy)]
pub struct FromStore<'a> {
    /// The store path, which has the programs in `bin`.
    pub store_path: &'a str,
    /// The kernelspec's folder, in that path or another of the store.
    pub folder: &'a str,
    /// What a launcher shows: what the spec says, else the kernelspec's own name.
    pub display_name: &'a str,
    /// What it may take of the node.
    pub limits: &'a Limits,
    /// The variables that the spec gives it, as literal values.
    pub env: &'a BTreeMap<String, String>,
}

impl KernelSpec {
    /// The kernelspec of a kernel out of a Nix store: argv is absolute, the folder that
    /// it names is the store's. Nothing of the conda environment's activation is in it,
    /// for a program out of the store has all that it needs there.
    ///
    /// `is_executable` tells whether a path is an executable file.
    pub fn rewrite_from_store(
        &self,
        from: &FromStore<'_>,
        is_executable: impl Fn(&str) -> bool,
    ) -> Result<Self, KernelSpecError> {
        let argv = self.argv();
        let mut argv: Vec<String> = argv
            .iter()
            // Of the copy that is registered only files are there, none executable.
            .map(|word| word.replace("{resource_dir}", from.folder))
            .map(|word| word.replace("{prefix}", from.store_path))
            .collect();
        let mut env = BTreeMap::new();
        if let Some(program) = argv.first_mut() {
            let is_bare = !program.contains('/');
            let bin = format!("{}/bin", from.store_path);
            let path = if is_bare {
                format!("{bin}/{program}")
            } else {
                program.clone()
            };
            if !path.starts_with('/') || !is_executable(&path) {
                let program = std::mem::take(program);
                return Err(KernelSpecError::StoreProgram { program, path });
            }
            *program = path;
            if is_bare {
                env.insert("PATH".to_owned(), format!("{}:${{PATH}}", escape(&bin)));
            }
        }
        let argv = limited(argv, from.limits, &is_executable)?;
        let mut document = self.document.clone();
        document.insert("argv".to_owned(), argv.into());
        document.insert("display_name".to_owned(), from.display_name.into());
        // The environment's variables are no more its own than the activation is.
        let spec = said(&BTreeMap::new(), from.limits, from.env);
        let env = layered(env, &[&self.env()], &spec);
        document.insert("env".to_owned(), env.into());
        Ok(Self { document })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::FromStore;
    use crate::kernel::{KernelSpec, KernelSpecError};
    use crate::spec::{At, Limits, Span};

    const JSON: &str = r#"{"argv": ["k", "{prefix}/lib", "{resource_dir}/run.py", "{connection_file}"],
        "display_name": "K", "language": "k", "interrupt_mode": "message"}"#;

    fn from_store(json: &str) -> Result<KernelSpec, KernelSpecError> {
        limited_from_store(json, &Limits::default())
    }

    fn limited_from_store(json: &str, limits: &Limits) -> Result<KernelSpec, KernelSpecError> {
        let from = FromStore {
            store_path: "/s/a$b",
            folder: "/s/c/kernels/k",
            display_name: "K of the lab",
            limits,
            env: &BTreeMap::from([("COST".to_owned(), "5$".to_owned())]),
        };
        let programs = ["/s/a$b/bin/k", "/s/d/bin/k", "/usr/bin/prlimit"];
        KernelSpec::parse(json)
            .unwrap()
            .rewrite_from_store(&from, |path| programs.contains(&path))
    }

    #[test]
    fn it_is_limited_as_one_of_a_prefix_is() {
        fn at<T>(value: T) -> At<T> {
            let span = Span { offset: 0, len: 0 };
            At { value, span }
        }
        let limits = Limits {
            memory: Some(at("1G".parse().unwrap())),
            threads: Some(at(3)),
        };
        let made = limited_from_store(JSON, &limits).unwrap();
        let argv = [
            "/usr/bin/prlimit",
            "--data=1073741824",
            "--",
            "/s/a$b/bin/k",
        ];
        assert_eq!(made.argv()[..4], argv);
        assert_eq!(made.env()["OMP_NUM_THREADS"], "3");
    }

    #[test]
    fn a_bare_program_is_the_store_paths_own_and_its_neighbours_are_found() {
        let made = from_store(JSON).unwrap();
        assert_eq!(
            made.argv(),
            [
                "/s/a$b/bin/k",
                "/s/a$b/lib",
                "/s/c/kernels/k/run.py",
                "{connection_file}"
            ]
        );
        let env = made.env();
        assert_eq!(env["PATH"], "/s/a$$b/bin:${PATH}");
        assert_eq!(env["COST"], "5$$");
        assert_eq!(env["PYTHONPATH"], "");
        assert_eq!(env.len(), 3);
        assert_eq!(made.display_name(), "K of the lab");
        assert_eq!(made.language(), "k");
    }

    #[test]
    fn an_absolute_program_is_as_it_was_and_its_own_path_too() {
        let json = JSON.replacen("\"k\"", "\"/s/d/bin/k\"", 1).replacen(
            '{',
            r#"{"env": {"PATH": "/s/e/bin", "X": "${HOME}"},"#,
            1,
        );
        let made = from_store(&json).unwrap();
        assert_eq!(made.argv()[0], "/s/d/bin/k");
        assert_eq!(made.env()["PATH"], "/s/e/bin");
        assert_eq!(made.env()["X"], "${HOME}");
        assert_eq!(
            from_store(&JSON.replacen("\"k\"", "\"/s/d/bin/k\"", 1))
                .unwrap()
                .env()
                .len(),
            2
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_told_with_where_it_was_looked_for() {
        for (program, path) in [
            ("python", "/s/a$b/bin/python"),
            ("/gone/bin/k", "/gone/bin/k"),
            ("bin/k", "bin/k"),
        ] {
            let json = JSON.replacen("\"k\"", &format!("{program:?}"), 1);
            let wanted = KernelSpecError::StoreProgram {
                program: program.to_owned(),
                path: path.to_owned(),
            };
            assert_eq!(from_store(&json).unwrap_err(), wanted);
        }
    }
}
