//! Values of variables that other tools would run, whoever wrote them.

/// Whether a value could run commands in another tool that activates the
/// environment. Such tools put a value with `$` between double quotes, and some
/// escape a quote in it without minding the backslash before.
pub(super) fn would_run(value: &str) -> bool {
    value.contains('`') || value.contains("$(") || (value.contains('$') && value.contains('\\'))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;
    use rattler_shell::activation::{ActivationVariables, Activator};
    use rattler_shell::shell::Bash;

    use super::would_run;

    /// Pieces of values, those that shells give a meaning among them.
    fn value() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "$",
            "\\",
            "\"",
            "'",
            ";",
            "`",
            "(",
            ")",
            "{",
            "}",
            "&",
            "|",
            "#",
            "\n",
            " ",
            "x",
            ": >ran",
            "$(: >ran)",
            "`: >ran`",
            "\"; : >ran; \"",
            "'; : >ran; '",
        ]);
        prop::collection::vec(piece, 1..7).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn no_value_that_is_let_through_runs_in_the_shell_of_another_tool(value in value()) {
            prop_assume!(!would_run(&value));
            let prefix = tempfile::tempdir().unwrap();
            let meta = prefix.path().join("conda-meta");
            std::fs::create_dir(&meta).unwrap();
            let state = serde_json::json!({"version": 1, "env_vars": {"LAB": value}});
            std::fs::write(meta.join("state"), state.to_string()).unwrap();
            let platform = rattler_conda_types::Subdir::current().unwrap();
            let activator = Activator::from_path(prefix.path(), Bash::default(), platform).unwrap();
            let script = activator.activation(ActivationVariables::default()).unwrap();
            Command::new("bash")
                .args(["-c", &script.script.contents().unwrap()])
                .current_dir(prefix.path())
                .output()
                .unwrap();
            prop_assert!(!prefix.path().join("ran").exists());
        }
    }
}
