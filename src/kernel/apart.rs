//! What a kernel with a prefix or a store of its own is kept from inheriting.
//!
//! Jupyter starts a kernel with the server's environment, and a server may run in an
//! activated prefix: `envspec launch` starts one so, and people do. A kernel.json can
//! only set variables, so the command begins with `env`, which unsets them and becomes
//! the program.

use std::collections::BTreeSet;

use super::kernelspec::{KernelSpec, KernelSpecError};

/// Where `env` is.
const ENV: [&str; 2] = ["/usr/bin/env", "/bin/env"];

/// Becomes a program whose path `env` would take for a variable, for it has a `=` in it.
const SHELL: [&str; 3] = ["/bin/sh", "-c", "exec \"$0\" \"$@\""];

/// Variables without which nothing runs. PATH is a list, in front of which a kernel's
/// own folder is.
const KEPT: [&str; 2] = ["HOME", "PATH"];

impl KernelSpec {
    /// The same, which inherits none of these variables; what it sets itself stays.
    ///
    /// `is_executable` tells whether a path is an executable file.
    pub fn apart_from<'a>(
        &self,
        variables: impl IntoIterator<Item = &'a str>,
        is_executable: impl Fn(&str) -> bool,
    ) -> Result<Self, KernelSpecError> {
        let own = self.env();
        let foreign: BTreeSet<&str> = variables
            .into_iter()
            .filter(|name| !own.contains_key(*name) && !KEPT.contains(name))
            // No program can be given another, nor `env` be told to unset it.
            .filter(|name| !name.is_empty() && !name.contains('='))
            .collect();
        if foreign.is_empty() {
            return Ok(self.clone());
        }
        let env = ENV.into_iter().find(|path| is_executable(path));
        let mut argv = vec![env.ok_or(KernelSpecError::NoEnv)?.to_owned()];
        for name in foreign {
            argv.extend(["-u".to_owned(), name.to_owned()]);
        }
        let command = self.argv();
        if command.first().is_some_and(|program| program.contains('=')) {
            argv.extend(SHELL.map(str::to_owned));
        }
        argv.extend(command.into_iter().map(str::to_owned));
        let mut document = self.document.clone();
        document.insert("argv".to_owned(), argv.into());
        Ok(Self { document })
    }

    /// The kernel's own command: what `env` and `prlimit` become, where they stand in
    /// front of it as [`Self::apart_from`] and limits write them.
    pub fn command(&self) -> Vec<&str> {
        let argv = self.argv();
        let mut rest = &argv[..];
        if let [program, after @ ..] = rest
            && ENV.contains(program)
            && after.first() == Some(&"-u")
        {
            rest = after;
            while let ["-u", _, after @ ..] = rest {
                rest = after;
            }
            // Of somebody who lets `env` set variables, too.
            if rest.first().is_none_or(|word| word.contains('=')) {
                return argv;
            }
        }
        if let [shell, option, script, after @ ..] = rest
            && [*shell, *option, *script] == SHELL
        {
            rest = after;
        }
        if let [program, limit, "--", after @ ..] = rest
            && program.ends_with("/prlimit")
            && limit.starts_with("--data=")
        {
            rest = after;
        }
        rest.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use crate::kernel::{KernelSpec, KernelSpecError};

    const JSON: &str = r#"{"argv": ["/p/bin/k", "-f", "{connection_file}"], "display_name": "K",
        "language": "k", "env": {"PROJ_DATA": "/own", "PATH": "/p/bin:${PATH}"}}"#;

    const FOREIGN: [&str; 6] = [
        "PROJ_DATA",
        "GDAL_DATA",
        "PATH",
        "HOME",
        "A=B",
        "CONDA_PREFIX",
    ];

    fn apart(json: &str) -> Result<KernelSpec, KernelSpecError> {
        let spec = KernelSpec::parse(json).unwrap();
        spec.apart_from(FOREIGN, |path| path == "/bin/env")
    }

    #[test]
    fn what_a_kernel_does_not_set_itself_is_unset_and_its_command_is_still_found() {
        let made = apart(JSON).unwrap();
        let front = ["/bin/env", "-u", "CONDA_PREFIX", "-u", "GDAL_DATA"];
        assert_eq!(made.argv()[..5], front);
        let command = ["/p/bin/k", "-f", "{connection_file}"];
        assert_eq!(made.argv()[5..], command);
        assert_eq!(made.command(), command);
        assert_eq!(made.env()["PROJ_DATA"], "/own");
        let limited = JSON.replace("[\"/p", "[\"/usr/bin/prlimit\", \"--data=7\", \"--\", \"/p");
        assert_eq!(apart(&limited).unwrap().command(), command);
        assert_eq!(KernelSpec::parse(&limited).unwrap().command(), command);
    }

    #[test]
    fn a_program_with_an_equals_sign_in_its_path_is_no_variable() {
        let made = apart(&JSON.replace("/p/bin/k", "/p=1/bin/k")).unwrap();
        let shell = ["/bin/sh", "-c", "exec \"$0\" \"$@\"", "/p=1/bin/k"];
        assert_eq!(made.argv()[5..9], shell);
        assert_eq!(made.command()[0], "/p=1/bin/k");
    }

    #[test]
    fn a_command_of_others_is_as_it_is() {
        for argv in [
            r#"["/usr/bin/env", "python3", "-m", "k"]"#,
            r#"["/usr/bin/env", "-u", "X", "A=B", "python"]"#,
            r#"["/bin/sh", "-c", "exec k", "x"]"#,
            r#"["/usr/bin/prlimit", "--data=1", "k"]"#,
        ] {
            let json = JSON.replace(r#"["/p/bin/k", "-f", "{connection_file}"]"#, argv);
            let spec = KernelSpec::parse(&json).unwrap();
            assert_eq!(spec.command(), spec.argv());
        }
        let spec = KernelSpec::parse(JSON).unwrap();
        assert_eq!(spec.apart_from(["PATH"], |_| false).unwrap(), spec);
        let none = spec.apart_from(["X"], |_| false);
        assert_eq!(none.unwrap_err(), KernelSpecError::NoEnv);
    }
}
