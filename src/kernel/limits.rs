//! What a kernel may take of the node, said so that it starts with it.

use super::kernelspec::KernelSpecError;
use crate::spec::Limits;

/// What the libraries that compute in threads read how many to start from.
const THREADS: [&str; 8] = [
    "BLIS_NUM_THREADS",
    "JULIA_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "RAYON_NUM_THREADS",
];

/// Where `prlimit` of util-linux is, which sets a limit and becomes the program.
const PRLIMIT: [&str; 2] = ["/usr/bin/prlimit", "/bin/prlimit"];

/// The variables that keep a kernel's libraries to its threads.
pub(super) fn threads(limits: &Limits) -> impl Iterator<Item = (String, String)> {
    let threads = limits.threads.iter();
    threads.flat_map(|threads| THREADS.map(|name| (name.to_owned(), threads.value.to_string())))
}

/// The command with a limit for what each of its processes may allocate. It is that of
/// memory which is written to: what is only reserved, as Julia and Java do, is free.
pub(super) fn limited(
    argv: Vec<String>,
    limits: &Limits,
    is_executable: impl Fn(&str) -> bool,
) -> Result<Vec<String>, KernelSpecError> {
    let Some(memory) = &limits.memory else {
        return Ok(argv);
    };
    let prlimit = PRLIMIT.into_iter().find(|path| is_executable(path));
    let prlimit = prlimit.ok_or(KernelSpecError::NoPrlimit)?.to_owned();
    let mut limited = vec![
        prlimit,
        format!("--data={}", memory.value.bytes()),
        "--".to_owned(),
    ];
    limited.extend(argv);
    Ok(limited)
}
