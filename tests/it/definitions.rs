//! The form of a definition and its JSON Schema, which editors read, are one; and what
//! the definitions ask of conda-forge can be had there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use envspec::kernel::{Catalogue, KernelDefinition};
use serde_json::{Value, json};

use crate::support::{TestEnv, judged_by_schema};

fn judged(documents: &BTreeMap<String, Value>) -> BTreeMap<String, String> {
    judged_by_schema(&kernels().join("schema.json"), documents)
}

fn kernels() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels")
}

fn document(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

#[test]
fn every_definition_is_of_the_schema() {
    let catalogue = Catalogue::builtin();
    let documents = catalogue
        .iter()
        .map(|kernel| (kernel.id.to_string(), document(&kernel.text)));
    let judged = judged(&documents.collect());
    assert_eq!(judged.len(), catalogue.ids().count());
    for (id, mistake) in judged {
        assert_eq!(mistake, "", "{id}");
    }
}

/// A definition with every key, and one of each way to a kernelspec.
fn whole(kernelspec: &str) -> String {
    format!(
        "id: mine
aliases: [my-kernel, my_2]
language: mine
display_name: Mine
summary: everything that can be said
homepage: https://example.org/mine
packages: [mine, \"other >=1,<2\", \"channel::third 1.*\", \"fourth==1.0=py_0\"]
kernelspec:
  {kernelspec}
add_packages: [mine, --add]
interrupt_mode: message
ipc: true
env: {{MINE: \"${{HOME}}/mine\"}}
smoke: {{code: \"6*7\", expect: \"42\"}}
interrupt:
  unsupported: it ends at once
state: licensed
nixpkgs: mine
notes: none
"
    )
}

const INSTALLER: &str = "installer: {commands: [[mine, --install], [/bin/sh, -c, x]], \
                         dir: mine-*, env: {A: b}, inherit: [C], seconds: 5}";

#[test]
fn whatever_a_definition_may_say_the_schema_knows() {
    let schema = fs_err::read_to_string(kernels().join("schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let keys = |value: &Value| -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    let ways = [
        "shipped: {dir: .net-mine}",
        "post-link: {package: mine, dir: \"*mine\"}",
        INSTALLER,
        "written: {dir: mine, argv: [mine, \"{connection_file}\"]}",
    ];
    let documents: BTreeMap<String, Value> = ways
        .iter()
        .map(|way| {
            let text = whole(way);
            KernelDefinition::parse("mine.yaml", &text).unwrap();
            ((*way).to_owned(), document(&text))
        })
        .collect();
    for (way, mistake) in judged(&documents) {
        assert_eq!(mistake, "", "{way}");
    }
    // A key that the schema has and none of these has not been thought of here.
    let (text, properties) = (whole(ways[0]), &schema["properties"]);
    assert_eq!(keys(properties), keys(&document(&text)));
    let known = keys(&properties["kernelspec"]["properties"]);
    let heads = ways
        .iter()
        .map(|way| way.split(':').next().unwrap().to_owned());
    assert_eq!(known, heads.collect());
    let installer = &properties["kernelspec"]["properties"]["installer"]["properties"];
    let whole = document(&whole(INSTALLER));
    assert_eq!(keys(installer), keys(&whole["kernelspec"]["installer"]));
}

#[test]
fn what_is_no_definition_is_refused_by_the_schema_and_by_envspec() {
    let shipped = whole("shipped: {dir: mine}");
    let installer = whole(INSTALLER);
    let written = whole("written: {dir: mine, argv: [mine]}");
    let post_link = whole("post-link: {package: mine, dir: mine}");
    let mut documents = BTreeMap::new();
    let mut refused = |text: &str, from: &str, to: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from} is not there");
        let name = format!("{from} → {to}");
        let read = KernelDefinition::parse("mine.yaml", &changed);
        assert!(read.is_err(), "envspec takes {name}");
        documents.insert(name, document(&changed));
    };
    for key in [
        "id",
        "language",
        "display_name",
        "summary",
        "homepage",
        "packages",
        "kernelspec",
        "smoke",
        "interrupt",
        "state",
    ] {
        // Under another name it is missing, and another is there that is not known.
        let after_a_line = format!("# a line\n{shipped}");
        refused(&after_a_line, &format!("\n{key}:"), &format!("\nno_{key}:"));
    }
    for (from, to) in [
        ("id: mine", "id: Mine"),
        ("id: mine", "id: -mine"),
        ("id: mine", "id: \"a b\""),
        ("id: mine", "id: \"\""),
        ("[my-kernel, my_2]", "[My]"),
        ("[my-kernel, my_2]", "mine"),
        ("https://example.org/mine", "example"),
        ("[mine, ", "[\"mine >=\", "),
        ("[mine, ", "[\"\", "),
        ("shipped:", "stolen:"),
        ("shipped: {dir: mine}", "shipped: {}"),
        ("shipped: {dir: mine}", "shipped: {dir: mine, more: 1}"),
        ("shipped: {dir: mine}", "shipped: mine"),
        ("shipped: {dir: mine}", "{}"),
        (
            "shipped: {dir: mine}",
            "shipped: {dir: mine}\n  written: {dir: mine, argv: [mine]}",
        ),
        ("{dir: mine}", "{dir: ../mine}"),
        ("{dir: mine}", "{dir: \"..\"}"),
        ("{dir: mine}", "{dir: \"*-*\"}"),
        ("{dir: mine}", "{dir: \"\"}"),
        ("[mine, --add]", "[]"),
        ("[mine, --add]", "[--add]"),
        ("[mine, --add]", "[bin/mine]"),
        ("[mine, --add]", "[\"\"]"),
        ("[mine, --add]", "mine --add"),
        ("interrupt_mode: message", "interrupt_mode: letter"),
        ("ipc: true", "ipc: perhaps"),
        ("${HOME}/mine\"", "x\", OTHER: [1]"),
        ("env: {MINE: \"${HOME}/mine\"}", "env: [MINE]"),
        ("smoke: {code: \"6*7\", ", "smoke: {"),
        ("expect: \"42\"}", "expect: \"42\", more: 1}"),
        ("unsupported: it", "perhaps: it"),
        ("  unsupported: it ends at once", "  {}"),
        (
            "unsupported: it ends at once",
            "unsupported: it ends at once\n  cell: x",
        ),
        ("state: licensed", "state: perfect"),
        ("state: licensed", "state: recipe_only"),
        ("notes: none", "note: none"),
        ("notes: none", "text: none"),
        ("nixpkgs: mine", "nixpkgs: [mine]"),
    ] {
        refused(&shipped, from, to);
    }
    for (from, to) in [
        ("commands: [[mine, --install], ", "commands: [[], "),
        ("commands: [[mine, --install], ", "commands: [mine, "),
        ("commands: [[mine, --install], ", "commands: [[./mine], "),
        ("commands:", "command:"),
        ("dir: mine-*, ", ""),
        ("env: {A: b}", "env: [A]"),
        ("inherit: [C]", "inherit: C"),
        ("seconds: 5", "seconds: -1"),
        ("seconds: 5", "seconds: soon"),
        ("seconds: 5", "seconds: 4294967296"),
        ("seconds: 5", "minutes: 5"),
    ] {
        refused(&installer, from, to);
    }
    refused(&written, "argv: [mine]", "argv: []");
    refused(&written, ", argv: [mine]", "");
    refused(&written, "dir: mine", "dir: \"mine*\"");
    refused(&post_link, "package: mine, ", "");
    refused(&post_link, "package: mine", "package: \"mi ne\"");
    for (change, mistake) in judged(&documents) {
        assert_ne!(mistake, "", "the schema takes {change}");
    }
}

/// Definitions of which all packages are in `tests/records`.
const SOLVED: [&str; 11] = [
    "deno",
    "gnuplot",
    "java",
    "javascript",
    "jslab",
    "python",
    "r",
    "ruby",
    "scala",
    "tslab",
    "xonsh",
];

#[test]
fn what_is_in_the_records_of_conda_forge_is_solved() {
    let records = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records");
    let mut names = BTreeSet::new();
    for subdir in ["linux-64", "noarch"] {
        let path = records
            .join("conda-forge")
            .join(subdir)
            .join("repodata.json");
        let repodata: Value = serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap();
        for section in ["packages", "packages.conda"] {
            let all = repodata[section].as_object().unwrap().values();
            names.extend(all.map(|record| record["name"].as_str().unwrap().to_owned()));
        }
    }
    let catalogue = Catalogue::builtin();
    let has_records = |kernel: &&KernelDefinition| {
        kernel.packages.iter().all(|package| {
            let name = package.spec.name.to_string();
            package.spec.channel.is_none() && names.contains(&name)
        })
    };
    let (known, unknown): (Vec<_>, Vec<_>) = catalogue.iter().partition(has_records);
    let ids = |kernels: &[&KernelDefinition]| -> Vec<String> {
        kernels.iter().map(|kernel| kernel.id.to_string()).collect()
    };
    eprintln!(
        "not solved, for want of records: {}",
        ids(&unknown).join(" ")
    );
    assert_eq!(ids(&known), SOLVED);

    let env = TestEnv::with_alias(format!("file://{}", records.display()));
    for kernel in known {
        let id = kernel.id.as_str();
        let spec = format!(
            "channels: [conda-forge]\nplatforms: [linux-64]\ndependencies: []\nkernels: [{id}]\n\
             target: {{glibc: \"2.34\", linux: \"5.14\"}}\n"
        );
        env.spec(id, &spec);
        env.run(&["lock", &format!("envs/{id}.yaml")]).success();
        let lock = env.lock(id);
        for package in &kernel.packages {
            let file = format!("/{}-", package.spec.name);
            assert!(lock.contains(&file), "{id}: {} is not locked", package.text);
        }
    }
}

#[test]
fn the_catalogue_is_read_by_language_state_and_alias() {
    let env = TestEnv::new();
    let listed = |arguments: &[&str]| -> Vec<String> {
        let mut all = vec!["kernels", "list", "--json"];
        all.extend(arguments);
        let answer = env.run(&all).success().json();
        let kernels = answer["kernels"].as_array().unwrap().iter();
        kernels
            .map(|kernel| kernel["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(listed(&["--language", "r"]), ["r", "spark-r", "xeus-r"]);
    let cpp = ["cpp", "cpp17", "cpp23", "root", "xeus-cling"];
    assert_eq!(listed(&["--language", "C++"]), cpp);
    assert_eq!(listed(&["--language", "cpp"]), cpp);
    assert_eq!(listed(&["--language", "js"]), ["javascript", "jslab"]);
    let tested = [
        "bash",
        "deno",
        "gnuplot",
        "jslab",
        "octave",
        "python",
        "r",
        "rust",
        "tslab",
        "xeus-python",
        "xeus-python-raw",
        "xonsh",
        "zsh",
    ];
    assert_eq!(listed(&["--state", "tested"]), tested);
    assert_eq!(listed(&["--state", "tested", "--language", "R"]), ["r"]);
    assert!(listed(&[]).len() >= 43);
    env.run(&["kernels", "list", "--language", "cobol"])
        .fails_with(2)
        .says("no kernel for the language cobol");
    env.run(&["kernels", "list", "--language", "c", "--state", "tested"])
        .fails_with(2)
        .says("c11, c23");
    env.run(&["kernels", "list", "--state", "perfect"])
        .fails_with(2);

    let rust = env
        .run(&["kernels", "show", "evcxr", "--json"])
        .success()
        .json();
    assert_eq!(rust["version"], 1);
    let rust = &rust["kernel"];
    assert_eq!(rust["id"], "rust");
    assert_eq!(rust["aliases"], json!(["evcxr"]));
    let way = json!({"way": "post-link", "dir": "rust", "package": "evcxr"});
    assert_eq!(rust["source"], way);
    assert_eq!(rust["file"], Value::Null);

    // Plain, nothing is cut; as wide as it is told, nothing is wider.
    let plain = env.run(&["kernels", "list"]).success().stdout;
    assert!(plain.contains("cxx-compiler, make, zeromq"), "{plain}");
    let mut narrow = env.command(&["kernels", "list"]);
    let narrow = env.output(narrow.env("COLUMNS", "80")).success().stdout;
    assert!(
        narrow.lines().all(|line| line.chars().count() <= 80),
        "{narrow}"
    );
    assert!(!narrow.contains("packages"), "{narrow}");
}
