//! Commands that start a kernel through another program, taken apart.
//!
//! `conda run` stays between Jupyter and the kernel, so that an interrupt ends
//! at it (conda's issue 11420); the runner of `nb_conda_kernels` replaces itself
//! by the kernel, but needs the conda that it was written for, and activates anew
//! at each start.

/// What a kernel is started through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapper {
    /// `conda run`, and those of mamba and micromamba.
    CondaRun,
    /// The runner of `nb_conda_kernels`.
    NbCondaKernels,
}

/// A wrapped command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// What it is wrapped in.
    pub by: Wrapper,
    /// The prefix that it runs in, if the command tells it.
    pub prefix: Option<String>,
    /// The kernel's own command; empty if a word of the wrapper's is unknown.
    pub command: Vec<String>,
}

/// Takes a command apart; `None` if it starts the kernel itself.
pub(super) fn unwrap(argv: &[&str]) -> Option<Wrapped> {
    let (program, rest) = argv.split_first()?;
    let base = program.rsplit('/').next().unwrap_or(program);
    if matches!(base, "conda" | "mamba" | "micromamba") && rest.first() == Some(&"run") {
        return Some(conda_run(program, &rest[1..]));
    }
    // `python -m nb_conda_kernels.runner CONDA_PREFIX ENV_PREFIX COMMAND…`
    match rest {
        ["-m", "nb_conda_kernels.runner", _, prefix, command @ ..] => Some(Wrapped {
            by: Wrapper::NbCondaKernels,
            prefix: Some((*prefix).to_owned()),
            command: owned(command),
        }),
        _ => None,
    }
}

/// The words behind `conda run`.
fn conda_run(conda: &str, words: &[&str]) -> Wrapped {
    let mut prefix = None;
    let mut at = 0;
    let command = loop {
        let Some(word) = words.get(at) else {
            break Vec::new();
        };
        at += 1;
        if !word.starts_with('-') {
            break owned(&words[at - 1..]);
        }
        let (option, value) = match word.split_once('=') {
            Some((option, value)) => (option, Some(value)),
            None => (*word, None),
        };
        match option {
            "-p" | "--prefix" | "-n" | "--name" | "--cwd" => {
                let value = value.or_else(|| words.get(at).copied());
                at += usize::from(!word.contains('='));
                match option {
                    "-p" | "--prefix" => prefix = value.map(str::to_owned),
                    "-n" | "--name" => prefix = value.and_then(|name| named(conda, name)),
                    _ => {}
                }
            }
            "--no-capture-output"
            | "--live-stream"
            | "--debug-wrapper-scripts"
            | "--dev"
            | "-v"
            | "--verbose" => {}
            // What it does to the words behind it is not known.
            _ => break Vec::new(),
        }
    };
    Wrapped {
        by: Wrapper::CondaRun,
        prefix,
        command,
    }
}

/// The prefix of an environment's name, by where its conda is:
/// `<base>/bin/conda` or `<base>/condabin/conda`.
fn named(conda: &str, name: &str) -> Option<String> {
    let (folder, _) = conda.rsplit_once('/')?;
    let (base, last) = folder.rsplit_once('/')?;
    let is_plain = !name.is_empty() && !name.contains('/') && !name.starts_with('.');
    if !matches!(last, "bin" | "condabin") || !is_plain {
        return None;
    }
    Some(match name {
        "base" => base.to_owned(),
        name => format!("{base}/envs/{name}"),
    })
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_command_tells_its_prefix_and_its_kernel() {
        use Wrapper::{CondaRun, NbCondaKernels};
        let runner = "/b/bin/python -m nb_conda_kernels.runner /b /b/envs/x";
        for (line, by, prefix, command) in [
            (
                "conda run -p /e python -m k",
                CondaRun,
                Some("/e"),
                "python -m k",
            ),
            (
                "/b/bin/conda run -n x R --slave",
                CondaRun,
                Some("/b/envs/x"),
                "R --slave",
            ),
            (
                "/b/condabin/mamba run --name=base k",
                CondaRun,
                Some("/b"),
                "k",
            ),
            (
                "micromamba run --prefix=/e --cwd /w k -p 1",
                CondaRun,
                Some("/e"),
                "k -p 1",
            ),
            (
                "/b/bin/conda run --no-capture-output -n x k",
                CondaRun,
                Some("/b/envs/x"),
                "k",
            ),
            // Which conda a bare one is, and what a name with a slash means, is not known.
            ("conda run -n x k", CondaRun, None, "k"),
            ("/b/bin/conda run -n ../x k", CondaRun, None, "k"),
            ("/opt/tools/conda run -n x k", CondaRun, None, "k"),
            ("conda run -p /e --new-option k", CondaRun, Some("/e"), ""),
            ("conda run -p", CondaRun, None, ""),
            (runner, NbCondaKernels, Some("/b/envs/x"), ""),
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            let wrapped = unwrap(&words).expect(line);
            assert_eq!(wrapped.by, by, "{line}");
            assert_eq!(wrapped.prefix.as_deref(), prefix, "{line}");
            assert_eq!(wrapped.command.join(" "), command, "{line}");
        }
    }

    #[test]
    fn a_kernel_that_is_started_itself_is_in_no_wrapper() {
        for line in [
            "/e/bin/python -m ipykernel_launcher -f {connection_file}",
            "conda",
            "conda list",
            "/e/bin/conduit run -p /e",
            "python -m nb_conda_kernels",
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(unwrap(&words), None, "{line}");
        }
    }
}
