//! An index of Python's packages (PEP 503), of wheels that a test makes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::channels;
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

/// The source of a package: files, among them what builds it.
pub(crate) struct PythonSource {
    name: String,
    version: String,
    /// By their paths.
    pub(crate) files: BTreeMap<String, String>,
}

/// A backend that needs no other package, and leaves a line for all that it is asked.
const BACKEND: &str = r#"
import os, sys, zipfile
NAME, VERSION, REQUIRES, TRACE = open("DESCRIBED").read().split("\n")[:4]
INFO = f"{NAME}-{VERSION}.dist-info"
METADATA = f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n"
if REQUIRES: METADATA += f"Requires-Dist: {REQUIRES}\n"
WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
def told(what):
    if not TRACE: return
    with open(TRACE, "a") as file:
        version = "%d.%d.%d" % sys.version_info[:3]
        print(what, NAME, version, os.environ.get("HOME"), os.environ.get("AWS_SECRET"), file=file)
def get_requires_for_build_wheel(settings=None): return []
def prepare_metadata_for_build_wheel(folder, settings=None):
    told("metadata")
    os.mkdir(f"{folder}/{INFO}")
    for name, text in (("METADATA", METADATA), ("WHEEL", WHEEL)):
        open(f"{folder}/{INFO}/{name}", "w").write(text)
    return INFO
def build_wheel(folder, settings=None, metadata=None):
    told("wheel")
    name = f"{NAME}-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as made:
        made.writestr(f"{NAME}/__init__.py", open(f"{NAME}.py").read())
        for file, text in (("METADATA", METADATA), ("WHEEL", WHEEL), ("RECORD", "")):
            made.writestr(f"{INFO}/{file}", text)
    return name
"#;

impl PythonSource {
    /// One with a module of its name that knows its version. It says what it needs in no
    /// file, so that it has to be asked; what it is asked is a line in `trace`.
    pub(crate) fn new(name: &str, version: &str, requires: &str, trace: Option<&Path>) -> Self {
        let trace = trace.map_or("", |path| path.to_str().unwrap());
        let project =
            "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n";
        let files = [
            ("pyproject.toml", project.to_owned()),
            ("backend.py", BACKEND.to_owned()),
            (
                "DESCRIBED",
                format!("{name}\n{version}\n{requires}\n{trace}\n"),
            ),
            (
                &format!("{name}.py"),
                format!("__version__ = {version:?}\n"),
            ),
        ];
        let files = files.map(|(path, text)| (path.to_owned(), text));
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            files: files.into(),
        }
    }

    /// One that says in a file (PEP 643) what it needs: nothing has to be run for that.
    pub(crate) fn with_metadata(mut self) -> Self {
        let text = format!(
            "Metadata-Version: 2.2\nName: {}\nVersion: {}\n",
            self.name, self.version
        );
        self.files.insert("PKG-INFO".to_owned(), text);
        self
    }

    /// One of setuptools: `setup` is what its `setup.py` says.
    pub(crate) fn of_setuptools(name: &str, version: &str, setup: &str) -> Self {
        let project = "[build-system]\nrequires = [\"setuptools\"]\nbuild-backend = \"setuptools.build_meta\"\n";
        let files = [("pyproject.toml", project), ("setup.py", setup)];
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            files: files
                .map(|(path, text)| (path.to_owned(), text.to_owned()))
                .into(),
        }
    }

    /// Writes its files into a folder.
    pub(crate) fn write(&self, folder: &Path) {
        for (path, text) in &self.files {
            let path = folder.join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
    }

    fn archive(&self) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let stem = format!("{}-{}", self.name, self.version);
        self.write(&folder.path().join(&stem));
        let packed = std::process::Command::new("tar")
            .args(["--create", "--gzip", "--file", "source.tar.gz", &stem])
            .current_dir(folder.path())
            .status()
            .unwrap();
        assert!(packed.success());
        fs_err::read(folder.path().join("source.tar.gz")).unwrap()
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

    /// Adds a source archive. What was there of its name stays.
    pub(crate) fn add_source(&self, source: &PythonSource) {
        let file = format!("{}-{}.tar.gz", source.name, source.version);
        let bytes = source.archive();
        self.put(&source.name, &file, &bytes);
    }

    /// Adds a wheel that `PyPI` has, which the world's scripts fetched for the channels.
    pub(crate) fn add_real(&self, name: &str) {
        let cache = channels().with_file_name("cache");
        let folders = fs_err::read_dir(cache).unwrap().flatten();
        let wheels = folders
            .filter(|folder| {
                folder
                    .file_name()
                    .to_string_lossy()
                    .starts_with("wheels-3.11")
            })
            .flat_map(|folder| fs_err::read_dir(folder.path()).unwrap().flatten());
        let begin = format!("{name}-");
        let wheel = wheels
            .map(|entry| entry.path())
            .find(|path| {
                path.file_name()
                    .unwrap()
                    .to_string_lossy()
                    .starts_with(&begin)
            })
            .unwrap_or_else(|| panic!("tests/world/channel.sh fetched no {name}"));
        let file = wheel.file_name().unwrap().to_str().unwrap();
        self.put(name, file, &fs_err::read(&wheel).unwrap());
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
