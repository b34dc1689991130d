//! A kernel of the user's own that a language's installer makes: a shell script here.

/// Its definition. `steps` run before the kernelspec is written to `$folder`, each
/// ended by `;`.
pub(crate) fn installer_kernel(id: &str, steps: &str) -> String {
    format!(
        r#"
id: {id}
language: sh
display_name: {id}
summary: an installer that does what a test wants
homepage: https://example.org/
packages: [executable]
kernelspec:
  installer:
    dir: {id}
    commands:
    - - /bin/sh
      - -c
      - >-
        set -e; folder=$XDG_DATA_HOME/jupyter/kernels/{id}; {steps} mkdir -p "$folder";
        echo '{{"argv": ["executable", "{{connection_file}}"], "display_name": "{id}", "language": "sh"}}'
        > "$folder/kernel.json"
smoke: {{code: "1", expect: "1"}}
interrupt:
  unsupported: it ends at once
state: tested
"#
    )
}
