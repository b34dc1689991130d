//! A JSON Schema, asked by a real validator.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use super::lab;

/// What the schema says of documents: for each its first mistake, empty if it has none.
///
/// The validator is Python's `jsonschema`, which `JupyterLab` brings.
pub(crate) fn judged_by_schema(
    schema: &Path,
    documents: &BTreeMap<String, Value>,
) -> BTreeMap<String, String> {
    const JUDGE: &str = r#"
import json, sys
from jsonschema import Draft202012Validator
schema = json.load(open(sys.argv[1]))
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema)
documents = json.load(sys.stdin)
first = lambda it: next((f"{error.json_path}: {error.message}" for error in it), "")
print(json.dumps({name: first(validator.iter_errors(one)) for name, one in documents.items()}))
"#;
    let prefix = std::env::var_os("ENVSPEC_TEST_PREFIX").map(PathBuf::from);
    let prefix = prefix.unwrap_or_else(|| lab().prefix());
    let mut python = std::process::Command::new(prefix.join("bin/python"))
        .env_clear()
        .args(["-c", JUDGE])
        .arg(schema)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = serde_json::to_vec(documents).unwrap();
    python.stdin.take().unwrap().write_all(&text).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}
