//! An index of Python's packages (PEP 503), of wheels that a test makes.

use std::fmt::Write as _;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::package::{PackageFile, add_package_that_needs};

/// A wheel to be.
#[derive(Clone, Copy)]
pub(crate) struct Wheel<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    /// The last part of its name.
    pub(crate) tags: &'a str,
    /// What it needs.
    pub(crate) requires: &'a [&'a str],
    /// Commands that it brings, each a function.
    pub(crate) commands: &'a [(&'a str, &'a str)],
    /// Its files.
    pub(crate) files: &'a [(&'a str, &'a str)],
}

impl<'a> Wheel<'a> {
    /// One for any Python, with a module of its name that knows its version.
    pub(crate) fn new(name: &'a str, version: &'a str) -> Self {
        Self {
            name,
            version,
            tags: "py3-none-any",
            requires: &[],
            commands: &[],
            files: &[],
        }
    }

    fn file_name(&self) -> String {
        let Self {
            name,
            version,
            tags,
            ..
        } = self;
        format!("{}-{version}-{tags}.whl", name.replace('-', "_"))
    }

    fn bytes(&self) -> Vec<u8> {
        let Self {
            name,
            version,
            tags,
            ..
        } = self;
        let module = name.replace('-', "_");
        let mut metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
        for required in self.requires {
            writeln!(metadata, "Requires-Dist: {required}").unwrap();
        }
        let mut entry_points = "[console_scripts]\n".to_owned();
        for (command, function) in self.commands {
            writeln!(entry_points, "{command} = {function}").unwrap();
        }
        let own = format!("__version__ = {version:?}\n");
        let own_path = format!("{module}/__init__.py");
        let info = format!("{module}-{version}.dist-info");
        let tag =
            format!("Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tags}\n");
        let described = [
            ("METADATA", metadata.as_str()),
            ("WHEEL", tag.as_str()),
            ("entry_points.txt", entry_points.as_str()),
        ];
        let mut files = vec![(own_path.as_str(), own.as_str())];
        files.retain(|(path, _)| self.files.iter().all(|(given, _)| given != path));
        files.extend(self.files);
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let mut record = String::new();
        let described = described.map(|(path, text)| (format!("{info}/{path}"), text));
        let described = described.iter().map(|(path, text)| (path.as_str(), *text));
        for (path, text) in files.into_iter().chain(described) {
            zip.start_file(path, SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
            writeln!(record, "{path},,").unwrap();
        }
        zip.start_file(format!("{info}/RECORD"), SimpleFileOptions::default())
            .unwrap();
        zip.write_all(record.as_bytes()).unwrap();
        zip.finish().unwrap().into_inner()
    }
}

/// An index in a folder, which a server serves as `/simple/`.
pub(crate) struct PythonIndex {
    folder: PathBuf,
    /// Whether it tells how large its files are (PEP 700).
    tells_sizes: bool,
}

impl PythonIndex {
    pub(crate) fn new(folder: &Path) -> Self {
        fs_err::create_dir_all(folder.join("simple")).unwrap();
        Self {
            folder: folder.to_owned(),
            tells_sizes: false,
        }
    }

    /// From now on it tells how large what is added is.
    pub(crate) fn tell_sizes(&mut self) {
        self.tells_sizes = true;
    }

    /// The file of a wheel.
    pub(crate) fn file(&self, wheel: &Wheel<'_>) -> PathBuf {
        let folder = self.folder.join("simple").join(wheel.name);
        folder.join(wheel.file_name())
    }

    /// Adds a wheel. What was there of its name stays.
    pub(crate) fn add(&self, wheel: &Wheel<'_>) {
        self.put(wheel.name, &wheel.file_name(), &wheel.bytes());
    }

    /// Adds a source archive whose build needs what nobody has, and leaves a trace.
    pub(crate) fn add_source(&self, name: &str, version: &str, trace: &Path) {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join(format!("{name}-{version}"));
        fs_err::create_dir(&inside).unwrap();
        let setup = format!(
            "open({:?}, 'w').close()\nraise SystemExit('no compiler')\n",
            trace.to_str().unwrap()
        );
        fs_err::write(inside.join("setup.py"), setup).unwrap();
        let file = format!("{name}-{version}.tar.gz");
        let packed = std::process::Command::new("tar")
            .args(["--create", "--gzip", "--file"])
            .arg(folder.path().join(&file))
            .arg("--directory")
            .arg(folder.path())
            .arg(format!("{name}-{version}"))
            .status()
            .unwrap();
        assert!(packed.success());
        let bytes = fs_err::read(folder.path().join(&file)).unwrap();
        self.put(name, &file, &bytes);
    }

    fn put(&self, name: &str, file: &str, bytes: &[u8]) {
        let folder = self.folder.join("simple").join(name);
        fs_err::create_dir_all(&folder).unwrap();
        fs_err::write(folder.join(file), bytes).unwrap();
        let page = folder.join("index.html");
        let mut links = fs_err::read_to_string(&page).unwrap_or("<!DOCTYPE html>\n".to_owned());
        let digest = hex::encode(Sha256::digest(bytes));
        writeln!(links, "<a href=\"{file}#sha256={digest}\">{file}</a>").unwrap();
        fs_err::write(page, links).unwrap();
        if self.tells_sizes {
            let page = folder.join("index.json");
            let mut document: Value = fs_err::read(&page).map_or_else(
                |_| json!({"meta": {"api-version": "1.1"}, "name": name, "files": []}),
                |text| serde_json::from_slice(&text).unwrap(),
            );
            let entry = json!({
                "filename": file, "url": file, "size": bytes.len(),
                "hashes": {"sha256": digest},
            });
            document["files"].as_array_mut().unwrap().push(entry);
            fs_err::write(page, document.to_string()).unwrap();
        }
    }
}

/// Puts a package into a conda channel that brings a distribution of Python's, with these
/// lines in its metadata.
pub(crate) fn add_distribution(channel: &Path, name: &str, version: &str, metadata: &[&str]) {
    let module = name.replace('-', "_");
    let below = "lib/python3.11/site-packages";
    let text = format!(
        "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{}\n",
        metadata
            .iter()
            .fold(String::new(), |all, line| all + line + "\n")
    );
    let info = format!("{below}/{module}-{version}.dist-info/METADATA");
    let code = format!("{below}/{module}.py");
    let files = [
        PackageFile::new(&info, &text),
        PackageFile::new(&code, "# conda's\n"),
    ];
    add_package_that_needs(channel, name, version, &["python"], &files);
}
