//! Prefixes that others made: what they were asked for, and what is in them.

use std::collections::BTreeMap;

use rattler_conda_types::Subdir;

use crate::lock::interchange::{DistInfo, PrefixContents, prefix};

/// A record as conda writes it.
fn record_json(name: &str, version: &str, depends: &str, more: &str) -> (String, Vec<u8>) {
    let text = format!(
        r#"{{"name": "{name}", "version": "{version}", "build": "h0_0", "build_number": 0,
            "depends": [{depends}], "md5": "d41d8cd98f00b204e9800998ecf8427e", "subdir": "linux-64",
            "url": "https://conda.anaconda.org/conda-forge/linux-64/{name}-{version}-h0_0.tar.bz2"{more}}}"#
    );
    (format!("{name}-{version}-h0_0.json"), text.into_bytes())
}

fn info(path: &str, name: &str, version: &str, direct_url: Option<&str>) -> DistInfo {
    DistInfo {
        path: format!("lib/python3.11/site-packages/{path}"),
        metadata: format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: no\n"),
        direct_url: direct_url.map(str::to_owned),
        installer: Some("pip\n".to_owned()),
    }
}

/// A prefix of many hands.
fn of_many_hands() -> PrefixContents {
    let owned = r#", "files": ["lib/python3.11/site-packages/six-1.16.0.dist-info/METADATA"]"#;
    PrefixContents {
        records: vec![
            record_json("python", "3.11.8", "", ""),
            record_json("six", "1.16.0", r#""python""#, owned),
            record_json(
                "numpy",
                "1.26.4",
                r#""python""#,
                r#", "requested_spec": "None""#,
            ),
        ],
        history: Some("# update specs: ['python=3.11', 'numpy=2', 'gone']\n".to_owned()),
        state: Some(r#"{"env_vars": {"A": "1", "B": "***unset***"}}"#.to_owned()),
        dist_infos: vec![
            info("six-1.16.0.dist-info", "six", "1.16.0", None),
            info("Cow_Say-6.1.dist-info", "Cow_Say", "6.1", None),
            info(
                "vcs-1.dist-info",
                "vcs",
                "1",
                Some(
                    r#"{"url": "https://h/r.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}"#,
                ),
            ),
            info(
                "mine-1.dist-info",
                "mine",
                "1",
                Some(r#"{"url": "file:///home/x", "dir_info": {}}"#),
            ),
            info("broken.dist-info", "", "", None),
            info(
                "edited-2.dist-info",
                "edited",
                "2",
                Some(r#"{"url": "file:///home/x/edited", "dir_info": {"editable": true}}"#),
            ),
            info(
                "whl-1.dist-info",
                "whl",
                "1",
                Some(&format!(
                    r#"{{"url": "https://h/whl-1-py3-none-any.whl", "archive_info": {{"hash": "sha256={}"}}}}"#,
                    "ab".repeat(32)
                )),
            ),
            DistInfo {
                path: "lib/python3.11/site-packages/old.egg-link".to_owned(),
                ..DistInfo::default()
            },
            DistInfo {
                installer: Some("conda".to_owned()),
                ..info("left-3.dist-info", "left", "3", None)
            },
        ],
        pinned: Some("# held\nnumpy 1.*\n".to_owned()),
        pixi: Some(r#"{"manifest_path": "/p/pixi.toml"}"#.to_owned()),
    }
}

#[test]
fn a_prefix_gives_what_was_asked_for_what_pip_brought_and_condas_variables() {
    let imported = prefix("p", &of_many_hands(), Subdir::Linux64).unwrap();
    let asked: Vec<(&str, Option<&str>)> = imported
        .asked
        .iter()
        .map(|asked| (asked.text.as_str(), asked.comment.as_deref()))
        .collect();
    assert_eq!(
        asked,
        [
            ("numpy ==1.26.4", Some("asked for as numpy=2")),
            ("python 3.11.*", None)
        ]
    );
    assert_eq!(
        imported.pip,
        [
            "cow-say==6.1",
            "vcs @ git+https://h/r.git@abc",
            "whl @ https://h/whl-1-py3-none-any.whl"
        ]
    );
    assert_eq!(imported.packages[0].pip.len(), 1);
    assert_eq!(
        imported.no_lock[0],
        "of cow-say 6.1 the prefix has no checksum"
    );
    assert_eq!(
        imported.variables,
        BTreeMap::from([("A".to_owned(), "1".to_owned())])
    );
    assert_eq!(
        imported.left_out,
        [
            "mine 1 of pip, which is from file:///home/x",
            "the Python package in lib/python3.11/site-packages/broken.dist-info",
            "edited 2 of pip, an editable install of file:///home/x/edited",
            "the Python package of lib/python3.11/site-packages/old.egg-link, which is a folder elsewhere",
            "left 3, which conda left behind in lib/python3.11/site-packages/left-3.dist-info",
            "the wish for gone: it is not installed",
            "the variable B",
            "what conda was told to hold back (conda-meta/pinned): numpy 1.*",
            "what pixi was asked for, which its manifest says: /p/pixi.toml"
        ]
    );
    assert_eq!(imported.packages[0].records.len(), 3);
}

#[test]
fn a_prefix_without_a_history_gives_what_its_records_were_asked_by_else_what_nobody_needs() {
    let mut contents = PrefixContents {
        records: vec![
            record_json("python", "3.11.8", "", ""),
            record_json(
                "numpy",
                "1.26.4",
                r#""python >=3.11""#,
                r#", "requested_specs": ["numpy >=1.20"]"#,
            ),
            record_json("a", "1", r#""b""#, ""),
            record_json("b", "1", r#""a""#, ""),
        ],
        ..PrefixContents::default()
    };
    let asked = |contents: &PrefixContents| -> Vec<String> {
        let imported = prefix("p", contents, Subdir::Linux64).unwrap();
        imported.asked.into_iter().map(|asked| asked.text).collect()
    };
    assert_eq!(asked(&contents), ["numpy >=1.20"]);
    contents.records[1] = record_json("numpy", "1.26.4", r#""python >=3.11""#, "");
    // A circle that nobody needs is brought by one of it.
    assert_eq!(
        asked(&contents),
        ["python 3.11.*", "a ==1", "numpy ==1.26.4"]
    );
}

#[test]
fn a_prefix_that_is_broken_or_of_two_platforms_is_refused_with_the_file_and_of_another_is_read() {
    let refused = |records: Vec<(String, Vec<u8>)>| {
        let contents = PrefixContents {
            records,
            ..PrefixContents::default()
        };
        prefix("p", &contents, Subdir::Linux64)
            .unwrap_err()
            .to_string()
    };
    let (file, mut bytes) = record_json("a", "1", "", "");
    let of_mac = |name: &str| {
        let (file, bytes) = record_json(name, "1", "", "");
        let text = String::from_utf8(bytes).unwrap();
        (file, text.replace("linux-64", "osx-arm64").into_bytes())
    };
    let two = refused(vec![record_json("a", "1", "", ""), of_mac("b")]);
    assert!(two.contains("for several platforms: "), "{two}");
    bytes.truncate(40);
    let broken = refused(vec![(file, bytes)]);
    assert!(broken.contains("a-1-h0_0.json: EOF"), "{broken}");
    assert!(refused(Vec::new()).contains("neither packages nor a history"));
    let contents = PrefixContents {
        records: vec![of_mac("b")],
        ..PrefixContents::default()
    };
    let imported = prefix("p", &contents, Subdir::Linux64).unwrap();
    assert_eq!(imported.platforms, [Subdir::OsxArm64]);
}
