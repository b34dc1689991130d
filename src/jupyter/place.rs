//! Where Jupyter looks for the user's kernelspecs, and the environment that a
//! kernel under test is started from.
//!
//! Both are answers to variables that are looked up by a closure, so that a
//! test can give its own and nothing here reads the process's.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// The folder of the user's own kernelspecs, `jupyter_data_dir()/kernels` as
/// `jupyter_core` 5 computes it: `JUPYTER_DATA_DIR`, else on macOS
/// `~/Library/Jupyter`, else `XDG_DATA_HOME/jupyter`, else
/// `~/.local/share/jupyter`. An empty variable counts as none.
///
/// `None` if not even HOME is set.
pub fn user_kernels_dir(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name: &str| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let data = path("JUPYTER_DATA_DIR")
        .or_else(|| {
            let mac = cfg!(target_os = "macos").then(|| path("HOME")).flatten();
            mac.map(|home| home.join("Library/Jupyter"))
        })
        .or_else(|| path("XDG_DATA_HOME").map(|data| data.join("jupyter")))
        .or_else(|| path("HOME").map(|home| home.join(".local/share/jupyter")));
    data.map(|data| data.join("kernels"))
}

/// The home folder of a kernel under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// An empty folder that goes with the test: nothing is left in the user's
    /// home, and nothing in it (`.Rprofile`, `.ipython`) changes the result.
    Private,
    /// The folder at this path, to see the kernel with the user's own start-up
    /// files.
    At(PathBuf),
}

/// The environment of a server that knows nothing: a kernel that works in it
/// depends on its kernelspec alone. HOME and TMPDIR are not in it; the test
/// adds its own.
pub fn scrubbed_environment(
    variable: impl Fn(&str) -> Option<OsString>,
) -> BTreeMap<String, String> {
    let text = |name: &str| variable(name).and_then(|value| value.into_string().ok());
    let mut environment = BTreeMap::from([
        (
            "LANG".to_owned(),
            text("LANG").unwrap_or_else(|| "C.UTF-8".to_owned()),
        ),
        ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
        // A test must not be what compiles the modules of a generation, which
        // nobody writes to once it is complete.
        ("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned()),
    ]);
    for name in ["LOGNAME", "TZ", "USER"] {
        environment.extend(text(name).map(|value| (name.to_owned(), value)));
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(variables: &[(&str, &str)]) -> Option<PathBuf> {
        user_kernels_dir(|name| {
            variables
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| (*value).into())
        })
    }

    #[test]
    #[cfg(not(target_os = "macos"))]
    fn the_folder_is_the_one_that_jupyter_reads() {
        let all = [
            ("JUPYTER_DATA_DIR", "/j"),
            ("XDG_DATA_HOME", "/x"),
            ("HOME", "/h"),
        ];
        assert_eq!(dir(&all), Some("/j/kernels".into()));
        assert_eq!(dir(&all[1..]), Some("/x/jupyter/kernels".into()));
        assert_eq!(
            dir(&all[2..]),
            Some("/h/.local/share/jupyter/kernels".into())
        );
        assert_eq!(
            dir(&[("XDG_DATA_HOME", ""), ("HOME", "/h")]),
            Some("/h/.local/share/jupyter/kernels".into())
        );
        assert_eq!(dir(&[]), None);
    }

    #[test]
    fn nothing_of_the_users_shell_reaches_a_kernel_under_test() {
        let environment = scrubbed_environment(|name| Some(format!("mine:{name}").into()));
        assert_eq!(environment["PATH"], "/usr/bin:/bin");
        let names: Vec<_> = environment.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "LANG",
                "LOGNAME",
                "PATH",
                "PYTHONDONTWRITEBYTECODE",
                "TZ",
                "USER"
            ]
        );
    }
}
