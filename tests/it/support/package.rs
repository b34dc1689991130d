//! Packages of a test's own, for what no real package shows.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A file of a package.
pub(crate) struct PackageFile<'a> {
    pub(crate) path: &'a str,
    pub(crate) content: &'a [u8],
    /// What in it stands for the prefix.
    pub(crate) placeholder: Option<&'a str>,
}

impl<'a> PackageFile<'a> {
    pub(crate) fn new(path: &'a str, content: &'a str) -> Self {
        Self {
            path,
            content: content.as_bytes(),
            placeholder: None,
        }
    }
}

/// Puts a package into a channel, which is made; its files can all be run.
pub(crate) fn add_package(channel: &Path, name: &str, version: &str, files: &[PackageFile<'_>]) {
    add_package_that_needs(channel, name, version, &[], files);
}

/// The same of one that needs others.
pub(crate) fn add_package_that_needs(
    channel: &Path,
    name: &str,
    version: &str,
    depends: &[&str],
    files: &[PackageFile<'_>],
) {
    let subdir = channel.join("noarch");
    fs_err::create_dir_all(&subdir).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<Value> = files
        .iter()
        .map(|file| {
            let path = folder.path().join(file.path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(&path, file.content).unwrap();
            fs_err::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o775))
                .unwrap();
            let mut entry = json!({
                "_path": file.path,
                "path_type": "hardlink",
                "sha256": hex::encode(Sha256::digest(file.content)),
                "size_in_bytes": file.content.len(),
            });
            if let Some(placeholder) = file.placeholder {
                entry["prefix_placeholder"] = placeholder.into();
                entry["file_mode"] = "text".into();
            }
            entry
        })
        .collect();
    let info = folder.path().join("info");
    fs_err::create_dir(&info).unwrap();
    let index = json!({
        "name": name, "version": version, "build": "0", "build_number": 0,
        "depends": depends, "subdir": "noarch", "noarch": "generic",
    });
    let write = |name: &str, value: &Value| {
        fs_err::write(info.join(name), value.to_string()).unwrap();
    };
    write("index.json", &index);
    write("paths.json", &json!({"paths": paths, "paths_version": 1}));
    let archive = format!("{name}-{version}-0.tar.bz2");
    let packed = Command::new("tar")
        .args(["--create", "--bzip2", "--file"])
        .arg(subdir.join(&archive))
        .arg("--directory")
        .arg(folder.path())
        .args(
            fs_err::read_dir(folder.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name()),
        )
        .status()
        .unwrap();
    assert!(packed.success());

    let repodata = subdir.join("repodata.json");
    let mut document: Value = fs_err::read(&repodata).map_or_else(
        |_| json!({"info": {"subdir": "noarch"}, "packages": {}, "packages.conda": {}}),
        |text| serde_json::from_slice(&text).unwrap(),
    );
    let bytes = fs_err::read(subdir.join(&archive)).unwrap();
    let mut record = index;
    record["sha256"] = hex::encode(Sha256::digest(&bytes)).into();
    record["size"] = bytes.len().into();
    document["packages"][&archive] = record;
    fs_err::write(repodata, document.to_string()).unwrap();
}
