//! The schema of a spec, which editors complete by: what envspec takes it takes, and what
//! it refuses envspec refuses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use envspec::spec::{EnvName, SourceText, parse};
use serde_json::{Value, json};

use crate::support::judged_by_schema;

fn in_repository(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

fn judged(documents: &BTreeMap<String, Value>) -> BTreeMap<String, String> {
    judged_by_schema(&in_repository("envs/schema.json"), documents)
}

/// Whether envspec reads a text, in the form of it alone.
fn is_read(text: &str) -> bool {
    let source = SourceText::from_text("spec.yaml", text);
    source.is_ok_and(|source| parse(&source, EnvName::new("spec")).is_ok())
}

#[test]
fn specs_that_are_read_are_of_the_schema() {
    let mut documents = BTreeMap::new();
    for folder in ["tests/specs/real", "tests/specs/valid", "envs"] {
        for entry in fs_err::read_dir(in_repository(folder)).unwrap() {
            let path = entry.unwrap().path();
            let Ok(text) = fs_err::read_to_string(&path) else {
                continue;
            };
            let is_yaml = path
                .extension()
                .is_some_and(|end| end == "yaml" || end == "yml");
            // What merge keys and anchors make of a text only a reader of YAML 1.1 knows.
            if is_yaml && is_read(&text) && !text.contains("<<:") {
                let document = serde_yaml::from_str(&text).unwrap();
                documents.insert(path.to_string_lossy().into_owned(), document);
            }
        }
    }
    assert!(documents.len() > 60, "{}", documents.len());
    let wrong: Vec<_> = judged(&documents)
        .into_iter()
        .filter(|(_, mistake)| !mistake.is_empty())
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_no_spec_is_refused_by_the_schema_and_by_envspec() {
    let good = json!({
        "name": "lab", "channels": ["c"], "dependencies": ["python", {"pip": ["x"]}],
        "kernels": ["python", {"r": {"limits": {"memory": "8G", "threads": 4},
            "dependencies": ["numpy", {"pip": ["x"]}]}}],
        "target": {"glibc": "2.28"}, "site": "bih", "platforms": ["linux-64"],
        "launch": {"time": "8:00:00", "cpus": 4}, "variables": {"A": 1}, "post_link": ["a"],
    });
    let mut documents = BTreeMap::from([("good".to_owned(), good.clone())]);
    for (place, value) in [
        ("/name", json!("a b")),
        ("/name", json!(["a"])),
        ("/channels", json!("c")),
        ("/channels/0", json!("-c")),
        ("/channels/0", json!({"c": "d"})),
        ("/channel_priority", json!("loose")),
        ("/dependencies", json!({"python": "3"})),
        ("/dependencies/0", json!(["python"])),
        ("/dependencies/1", json!({"conda": ["x"]})),
        ("/dependencies/1", json!({"sel(plan9)": "x"})),
        ("/dependencies/1/pip", json!("x")),
        ("/dependencies/1/pip/0", json!({"x": 1})),
        ("/variables", json!(["A"])),
        ("/variables", json!({"A B": 1})),
        ("/variables/A", json!(["x"])),
        ("/platforms/0", json!("linux-63")),
        ("/platforms/0", json!("noarch")),
        ("/post_link/0", json!("a b")),
        ("/kernels", json!("python")),
        ("/kernels/0", json!("a b")),
        ("/kernels/1", json!({"r": {}, "s": {}})),
        ("/kernels/1/r", json!({"dislay_name": "x"})),
        ("/kernels/1/r", json!(["x"])),
        ("/kernels/1/r", json!({"isolated": "maybe"})),
        ("/kernels/1/r", json!({"env": {"1": "x"}})),
        ("/kernels/1/r/dependencies/1/pip", json!("x")),
        ("/kernels/1/r/dependencies/1", json!({"conda": ["x"]})),
        ("/kernels/1/r/limits/threads", json!(0)),
        ("/kernels/1/r/limits", json!({"memry": "8G"})),
        ("/target", json!({"glib": "2.28"})),
        ("/target/glibc", json!("2")),
        ("/target/glibc", json!("two")),
        ("/target", json!({"arch": "X86 64"})),
        ("/site", json!("a b")),
        ("/launch", json!({"tim": 1})),
        ("/launch/cpus", json!(0)),
        ("/launch/cpus", json!("many")),
        ("/launch", json!({"gpus": -1})),
        ("/launch", json!({"interface": "vim"})),
        ("/launch", json!({"partition": "--uid=0"})),
        ("/launch", json!({"time": ["8"]})),
    ] {
        let mut document = good.clone();
        if let Some(there) = document.pointer_mut(place) {
            *there = value.clone();
        } else {
            let key = place.trim_start_matches('/').to_owned();
            document.as_object_mut().unwrap().insert(key, value.clone());
        }
        documents.insert(format!("{place} = {value}"), document);
    }
    for (change, mistake) in judged(&documents) {
        let is_good = change == "good";
        assert_eq!(
            mistake.is_empty(),
            is_good,
            "the schema of {change}: {mistake}"
        );
        // YAML takes JSON.
        assert_eq!(
            is_read(&documents[&change].to_string()),
            is_good,
            "envspec of {change}"
        );
    }
}

#[test]
fn every_key_of_a_spec_is_in_the_schema() {
    let schema = fs_err::read_to_string(in_repository("envs/schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let keys =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    // An unknown key is answered with those that there are.
    for (text, properties) in [
        (
            "kernels: [r: {zzzzzz: 1}]",
            &schema["$defs"]["kernel"]["properties"],
        ),
        (
            "target: {zzzzzz: 1}",
            &schema["properties"]["target"]["properties"],
        ),
        (
            "launch: {zzzzzz: 1}",
            &schema["properties"]["launch"]["properties"],
        ),
    ] {
        let source = SourceText::from_text("spec.yaml", text).unwrap();
        let errors = parse(&source, EnvName::new("spec")).unwrap_err();
        let help = miette::Diagnostic::help(&errors).unwrap().to_string();
        let mut known: Vec<String> = help
            .trim_start_matches("the keys are ")
            .split(", ")
            .map(str::to_owned)
            .collect();
        let mut told = keys(properties);
        known.sort();
        told.sort();
        assert_eq!(told, known, "{text}");
    }
}
