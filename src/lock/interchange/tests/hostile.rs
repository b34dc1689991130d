//! Files that lie: nothing panics, nothing runs, nothing secret passes.

use std::collections::BTreeMap;
use std::process::Command;

use proptest::prelude::*;
use rattler_conda_types::Subdir;

use super::{Sketch, portable, record};
use crate::lock::interchange::{
    DistInfo, Imported, Manifest, PortablePlatform, PrefixContents, apptainer, conda_lock_file,
    dockerfile, explicit_list, lock_file_of_pixi, manifest_of_pixi, prefix,
};
use crate::spec::{EnvName, SourceText, parse};

fn read_all(text: &str) {
    let results = [
        explicit_list("x", text, Subdir::Linux64),
        conda_lock_file("x", text),
        lock_file_of_pixi("x", text),
        manifest_of_pixi("x", text, Manifest::Pixi),
        manifest_of_pixi("x", text, Manifest::Pyproject),
        prefix(
            "x",
            &PrefixContents {
                records: vec![("a.json".to_owned(), text.as_bytes().to_vec())],
                history: Some(text.to_owned()),
                state: Some(text.to_owned()),
                dist_infos: vec![DistInfo {
                    path: "lib/python3.11/site-packages/a.dist-info".to_owned(),
                    metadata: format!("Name: a\nVersion: 1\n{text}"),
                    direct_url: Some(text.to_owned()),
                    installer: Some(text.to_owned()),
                }],
                pinned: Some(text.to_owned()),
                pixi: Some(text.to_owned()),
            },
            Subdir::Linux64,
        ),
    ];
    for result in results {
        match result {
            Ok(imported) => spec_is_one_document(&imported),
            Err(error) => assert!(!error.to_string().chars().any(char::is_control), "{error}"),
        }
    }
}

/// What was written is read, or refused; a text never becomes another key.
fn spec_is_one_document(imported: &Imported) {
    let name = EnvName::new("lab").unwrap();
    let text = imported.spec_text("x", &name);
    let Ok(source) = SourceText::from_text("lab.yaml", text) else {
        return;
    };
    if let Ok((spec, _)) = parse(&source, None) {
        assert!(spec.kernels.len() == imported.kernels.len() && spec.site.is_none());
        assert_eq!(spec.dependencies.len(), imported.asked.len());
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_reader_panic(text in "\\PC{0,200}") {
        read_all(&text);
    }

    #[test]
    fn no_text_of_the_formats_own_pieces_makes_a_reader_panic(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "@EXPLICIT\n", "https://h/c/linux-64/a-1-0.conda", "#sha256:00", "#", "\n", "version: 1\n", "version: 6\n",
            "metadata:\n", "package: []\n", "packages:\n", "- conda: https://h/c/noarch/a-1-0.conda\n", "environments:\n",
            "  default:\n", "    channels: []\n", "    packages:\n", "[workspace]\n", "name = \"a\\nb: c\"\n", "platforms = [\"linux-64\"]\n",
            "[dependencies]\n", "a = \"* # x\"\n", "\"b\\nkernels\" = \"*\"\n", "[activation.env]\n", "X = \"\\u001b[31m\\n\"\n",
            "[pypi-dependencies]\n", "{\"name\": \"a\"", ", \"url\": \"x\"}", "# update specs: ['", "a b c", "']\n", "\u{1b}[2J", "\u{2028}",
        ]), 0..24)
    ) {
        read_all(&pieces.concat());
    }

    #[test]
    fn a_value_reaches_the_shell_of_an_image_as_it_is_and_runs_nothing(
        value in "[ -~]{0,40}|[$`'\"\\\\();|&<> x]{0,30}"
    ) {
        let env = portable(vec![PortablePlatform {
            platform: Subdir::Linux64, conda: Vec::new(), pypi: Vec::new(),
        }], BTreeMap::from([("V".to_owned(), value.clone())]));
        let text = apptainer(&env, &env.platforms[0]).unwrap().text;
        let section = text.split("%environment\n").nth(1).unwrap().split("\n%runscript").next().unwrap();
        let script = format!("{section}\nprintf '%s|' \"$V\"");
        let output = Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
        prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{value}|"));
        let docker = dockerfile(&env, &env.platforms[0]).unwrap().text;
        let lines: Vec<&str> = docker.lines().filter(|line| line.starts_with("ENV ")).collect();
        prop_assert_eq!(lines.len(), 1);
        // As Docker reads it: a backslash takes the meaning of the sign behind it.
        let inner = lines[0].strip_prefix("ENV V=\"").unwrap().strip_suffix('"').unwrap();
        let mut read = String::new();
        let mut signs = inner.chars();
        while let Some(sign) = signs.next() {
            prop_assert!(!matches!(sign, '"' | '$'), "{}", inner);
            read.extend(if sign == '\\' { signs.next() } else { Some(sign) });
        }
        prop_assert_eq!(read, value);
    }
}

#[test]
fn a_url_in_a_list_reaches_the_shell_of_an_image_as_it_is() {
    let sketch = Sketch {
        name: "a".to_owned(),
        version: "1".to_owned(),
        build: "0".to_owned(),
        noarch: false,
        md5: Some([0; 16]),
        sha256: None,
        needs: Vec::new(),
    };
    let mut one = record(&sketch, Subdir::Linux64, &[]);
    one.url = "https://h/'$(touch${IFS}ran)'/linux-64/a-1-0.conda"
        .parse()
        .unwrap();
    let at = PortablePlatform {
        platform: Subdir::Linux64,
        conda: vec![one.clone()],
        pypi: Vec::new(),
    };
    let env = portable(vec![at], BTreeMap::new());
    let text = dockerfile(&env, &env.platforms[0]).unwrap().text;
    let run = text
        .split("\nRUN ")
        .nth(1)
        .unwrap()
        .replace("> /tmp/envspec.txt", "");
    let output = Command::new("/bin/sh").args(["-c", &run]).output().unwrap();
    let url = one.url.to_string();
    let hash = "0".repeat(32);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("@EXPLICIT\n{url}#{hash}\n")
    );
}

#[test]
fn a_secret_is_refused_and_not_shown_whatever_format_it_comes_in() {
    let explicit = "@EXPLICIT\nhttps://anna:hunter2@h/c/linux-64/a-1-0.conda#d41d8cd98f00b204e9800998ecf8427e\n";
    let toml = "[workspace]\nname = \"a\"\nchannels = [\"https://h/t/hunter2/c\"]\nplatforms = []\n\
                [pypi-dependencies]\nb = {url = \"https://x:hunter2@h/b.whl\"}\n";
    for imported in [
        explicit_list("x", explicit, Subdir::Linux64).unwrap(),
        manifest_of_pixi("x", toml, Manifest::Pixi).unwrap(),
    ] {
        let error = imported.refuse_secrets("x").unwrap_err().to_string();
        assert!(
            error.contains("password or a token") && !error.contains("hunter2"),
            "{error}"
        );
    }
    let broken = "@EXPLICIT\nhttps://anna:hunter2@h:port/c/linux-64/a-1-0.conda\n";
    let error = explicit_list("x", broken, Subdir::Linux64)
        .unwrap_err()
        .to_string();
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn packages_without_a_checksum_are_refused_by_name() {
    let list = "@EXPLICIT\nhttps://h/c/linux-64/a-1-0.conda\nhttps://h/c/linux-64/b-1-0.conda#d41d8cd98f00b204e9800998ecf8427e\n";
    let imported = explicit_list("x", list, Subdir::Linux64).unwrap();
    let error = imported
        .refuse_without_checksum("x")
        .unwrap_err()
        .to_string();
    assert_eq!(error, "x has no checksum of a");
    assert_eq!(imported.md5_alone(), 2);
}
