//! What a rewritten kernelspec says, and which ones are refused.

use super::activation::ActivationDelta;
use super::kernelspec::{InterruptMode, KernelSpec, KernelSpecError};
use super::mark::Mark;
use super::personal::Personal;
use super::rewrite::Rewrite;
use crate::kernel::{Catalogue, substitute};
use crate::spec::Limits;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|&(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}

/// Rewrites a kernelspec for the kernel `id` in `/g`.
fn rewritten(id: &str, json: &str, user: &[(&str, &str)]) -> Result<KernelSpec, KernelSpecError> {
    let activation = ActivationDelta::between(
        &map(&[("PATH", "/usr/bin")]),
        &map(&[("PATH", "/g/bin:/usr/bin"), ("CONDA_PREFIX", "/g")]),
    );
    let catalogue = Catalogue::builtin();
    let to = Rewrite {
        prefix: "/g",
        folder: "/g/share/jupyter/kernels/k",
        definition: &catalogue.get(id).unwrap(),
        display_name: None,
        limits: &Limits::default(),
        variables: &map(&[("OF_ALL", "5$")]),
        env: &map(user),
        activation: &activation,
        personal: &Personal::default(),
    };
    let bin = [
        "/g/bin/R",
        "/g/bin/python",
        "/g/bin/python3",
        "/g/bin/deno",
        "/g/bin/../bin/R",
        "/g/bin/bin/R",
        "/g/bin/evcxr_jupyter",
    ];
    KernelSpec::parse(json)
        .unwrap()
        .rewrite(&to, |path| bin.contains(&path))
}

const IR: &str = r#"{"argv": ["R", "--slave", "-e", "IRkernel::main()", "--args", "{connection_file}"],
    "display_name": "R", "language": "R", "x-later": {"b": 1, "a": [2]}}"#;

#[test]
fn a_bare_program_becomes_the_prefixs_own() {
    for (id, program) in [
        ("r", "R"),
        ("python", "python"),
        ("python", "python3"),
        ("deno", "deno"),
    ] {
        let json = IR.replacen("\"R\"", &format!("{program:?}"), 1);
        let argv = rewritten(id, &json, &[]).unwrap();
        assert_eq!(argv.argv()[0], format!("/g/bin/{program}"));
        assert_eq!(argv.argv()[5], "{connection_file}");
    }
}

#[test]
fn a_program_that_the_prefix_lacks_is_an_error_that_names_it() {
    for program in ["Rscript", "../bin/R", "bin/R", "~/R"] {
        let json = IR.replacen("\"R\"", &format!("{program:?}"), 1);
        let error = rewritten("r", &json, &[]).unwrap_err();
        assert!(matches!(error, KernelSpecError::Program { program: p, .. } if p == program));
    }
}

#[test]
fn the_servers_prefix_does_not_get_into_the_command() {
    let json = IR.replace("IRkernel::main()", "{prefix}/x {resource_dir}");
    assert_eq!(
        rewritten("r", &json, &[]).unwrap().argv()[3],
        "/g/x /g/share/jupyter/kernels/k"
    );
}

#[test]
fn the_kernel_finds_its_prefix_first_and_keeps_the_servers_path() {
    let env = rewritten("r", IR, &[]).unwrap().env();
    assert_eq!(env["PATH"], "/g/bin:${PATH}");
    assert_eq!(env["CONDA_PREFIX"], "/g");
}

#[test]
fn where_the_servers_python_looks_is_empty_unless_somebody_sets_it_for_the_kernel() {
    let env = rewritten("r", IR, &[]).unwrap().env();
    assert_eq!(env["PYTHONPATH"], "");
    let json = r#"{"argv": ["R"], "env": {"PYTHONPATH": "/pkg:${PYTHONPATH}"}}"#;
    let env = rewritten("r", json, &[]).unwrap().env();
    assert_eq!(env["PYTHONPATH"], "/pkg");
    let env = rewritten("r", json, &[("PYTHONPATH", "/mine")])
        .unwrap()
        .env();
    assert_eq!(env["PYTHONPATH"], "/mine");
}

#[test]
fn the_users_variable_wins_over_the_packages_and_that_over_the_definitions() {
    let json =
        r#"{"argv": ["deno"], "env": {"DENO_NO_UPDATE_CHECK": "0", "K": "pkg", "PS1": "$"}}"#;
    let env = rewritten("deno", json, &[("K", "mine")]).unwrap().env();
    assert_eq!(env["DENO_NO_UPDATE_CHECK"], "0");
    assert_eq!(env["K"], "mine");
    assert_eq!(env["PS1"], "$");
    assert_eq!(
        rewritten("deno", r#"{"argv": ["deno"]}"#, &[])
            .unwrap()
            .env()["DENO_NO_UPDATE_CHECK"],
        "1"
    );
}

#[test]
fn a_package_that_sets_path_to_itself_does_not_undo_the_activation() {
    let json = r#"{"argv": ["R"], "env": {"PATH": "${PATH}"}}"#;
    assert_eq!(
        rewritten("r", json, &[]).unwrap().env()["PATH"],
        "/g/bin:${PATH}"
    );
}

#[test]
fn a_users_value_reaches_the_kernel_as_written() {
    let hostile = "${JUPYTER_TOKEN} $HOME $$ $(id) `id` \"'\n{connection_file}";
    let env = rewritten("r", IR, &[("V", hostile)]).unwrap().env();
    assert_eq!(substitute(&env["V"], |_| Some("leak")), hostile);
}

#[test]
fn what_envspec_does_not_know_stays_where_it_was() {
    let spec = rewritten("r", IR, &[]).unwrap();
    let text = spec.to_json();
    let keys: Vec<String> = serde_json::from_str::<Map<String, Value>>(&text)
        .unwrap()
        .into_iter()
        .map(|(k, _)| k)
        .collect();
    assert_eq!(
        keys,
        [
            "argv",
            "display_name",
            "language",
            "x-later",
            "metadata",
            "env"
        ]
    );
    assert!(
        text.replace([' ', '\n'], "")
            .contains(r#""x-later":{"b":1,"a":[2]}"#)
    );
}

#[test]
fn a_server_is_told_which_kernels_can_have_sockets() {
    let json = IR.replace("\"x-later\": {", "\"metadata\": {\"debugger\": true, ");
    let r = rewritten("r", &json, &[]).unwrap();
    assert!(r.can_ipc());
    let metadata =
        r#""metadata":{"debugger":true,"b":1,"a":[2],"supported_transport":["tcp","ipc"]}"#;
    let text = r.to_json().replace([' ', '\n'], "");
    assert!(text.contains(metadata), "{text}");
    let deno = rewritten("deno", r#"{"argv": ["deno"]}"#, &[]).unwrap();
    assert!(!deno.can_ipc());
}

#[test]
fn a_kernel_that_dies_of_a_signal_is_interrupted_by_message() {
    let spec = rewritten("deno", r#"{"argv": ["deno"]}"#, &[]).unwrap();
    assert_eq!(spec.interrupt_mode(), InterruptMode::Message);
    assert!(spec.to_json().contains(r#""interrupt_mode": "message""#));
}

#[test]
fn the_mark_comes_back_as_it_was_written_beside_other_metadata() {
    let mark = Mark {
        version: 1,
        environment: "Lab".to_owned(),
        kernel: "r".to_owned(),
        generation: "Lab-0123".to_owned(),
        root: "/home/u/.local/share/envspec".to_owned(),
    };
    let json = IR.replace("\"x-later\": {", "\"metadata\": {\"debugger\": true, ");
    let spec = KernelSpec::parse(&json).unwrap();
    assert_eq!(spec.mark(), None);
    let marked = KernelSpec::parse(&spec.marked(&mark, None).to_json()).unwrap();
    assert_eq!(marked.mark(), Some(mark.clone()));
    assert_eq!(marked.display_name(), "R (Lab)");
    assert!(marked.to_json().contains("debugger"));
    assert_eq!(spec.marked(&mark, Some("Our R")).display_name(), "Our R");
}

#[test]
fn a_file_that_jupyter_would_choke_on_is_refused() {
    for (json, part) in [
        ("[]", "JSON"),
        ("{", "JSON"),
        ("{}", "`argv`"),
        (r#"{"argv": []}"#, "`argv`"),
        (r#"{"argv": "python"}"#, "`argv`"),
        (r#"{"argv": ["a"], "env": {"A": 1}}"#, "`env`"),
        (
            r#"{"argv": ["a"], "interrupt_mode": "shout"}"#,
            "`interrupt_mode`",
        ),
        (r#"{"argv": ["a"], "metadata": []}"#, "`metadata`"),
    ] {
        let error = KernelSpec::parse(json).unwrap_err().to_string();
        assert!(error.contains(part), "{json}: {error}");
    }
}

#[test]
fn one_that_came_from_another_folder_names_its_new_one() {
    let json = r#"{"env": {"LIB": "/home/k/lib", "B": "x"}, "argv": ["java", "-cp", "/home/k/a.jar:/home/k/b.jar", "{connection_file}"],
        "display_name": "/home/k", "language": "java"}"#;
    let moved = KernelSpec::parse(json).unwrap().moved("/home/k", "/g/k");
    let argv = ["java", "-cp", "/g/k/a.jar:/g/k/b.jar", "{connection_file}"];
    assert_eq!(moved.argv(), argv);
    assert_eq!(moved.env(), map(&[("LIB", "/g/k/lib"), ("B", "x")]));
    assert_eq!(moved.display_name(), "/home/k");
    assert!(
        moved.to_json().starts_with("{\n  \"env\""),
        "the order stays"
    );
}

#[test]
fn a_definitions_variables_may_name_the_prefix() {
    let json = r#"{"argv": ["/g/bin/evcxr_jupyter"], "display_name": "Rust", "language": "rust"}"#;
    let rust = rewritten("rust", json, &[]).unwrap();
    assert_eq!(rust.env()["JUPYTER_PATH"], "/g/share/jupyter");
}
