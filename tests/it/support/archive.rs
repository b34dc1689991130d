//! Packages as no tool makes them: each byte of the archive is the test's.

use std::io::{Cursor, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// An entry of an archive.
#[derive(Clone)]
pub(crate) struct Entry {
    path: String,
    mode: u32,
    what: What,
}

#[derive(Clone)]
enum What {
    File(String),
    Link(String),
    HardLink(String),
    Device,
    /// So many zero bytes, which take nearly no place.
    Zeros(u64),
}

impl Entry {
    pub(crate) fn file(path: &str, content: &str) -> Self {
        Self::new(path, What::File(content.to_owned()))
    }

    pub(crate) fn link(path: &str, target: &str) -> Self {
        Self::new(path, What::Link(target.to_owned()))
    }

    pub(crate) fn hard_link(path: &str, target: &str) -> Self {
        Self::new(path, What::HardLink(target.to_owned()))
    }

    /// The device that is called null.
    pub(crate) fn device(path: &str) -> Self {
        Self::new(path, What::Device)
    }

    pub(crate) fn zeros(path: &str, bytes: u64) -> Self {
        Self::new(path, What::Zeros(bytes))
    }

    /// The same with the bits of its mode.
    pub(crate) fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    fn new(path: &str, what: What) -> Self {
        Self {
            path: path.to_owned(),
            mode: 0o644,
            what,
        }
    }

    /// As `info/paths.json` has it.
    fn listed(&self) -> Value {
        let (kind, sum) = match &self.what {
            What::Link(_) => ("softlink", None),
            What::File(text) => ("hardlink", Some(text)),
            _ => ("hardlink", None),
        };
        let mut listed = json!({"_path": self.path, "path_type": kind});
        if let Some(text) = sum {
            listed["sha256"] = hex::encode(Sha256::digest(text)).into();
            listed["size_in_bytes"] = text.len().into();
        }
        listed
    }

    /// Its header, in the form that POSIX calls ustar.
    fn header(&self) -> [u8; 512] {
        let mut header = [0; 512];
        let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
        let (kind, target, size) = match &self.what {
            What::File(text) => (b'0', "", text.len() as u64),
            What::Zeros(bytes) => (b'0', "", *bytes),
            What::HardLink(target) => (b'1', target.as_str(), 0),
            What::Link(target) => (b'2', target.as_str(), 0),
            What::Device => (b'3', "", 0),
        };
        put(0, self.path.as_bytes());
        put(100, format!("{:07o}\0", self.mode).as_bytes());
        put(108, b"0000000\0");
        put(116, b"0000000\0");
        put(124, format!("{size:011o}\0").as_bytes());
        put(136, b"14000000000\0");
        put(148, b"        ");
        put(156, &[kind]);
        put(157, target.as_bytes());
        put(257, b"ustar\x0000");
        put(329, b"0000001\0");
        put(337, b"0000003\0");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        header
    }
}

/// Which of conda's two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Conda,
    TarBz2,
}

/// A package of such entries.
pub(crate) struct Archive<'a> {
    pub(crate) name: &'a str,
    pub(crate) entries: Vec<Entry>,
    /// What its list has beside the entries.
    pub(crate) listed: Vec<Value>,
    /// Whether its list has the entries.
    pub(crate) lists_entries: bool,
    /// `info/link.json`, which makes it a package of Python's.
    pub(crate) link: Option<Value>,
}

impl<'a> Archive<'a> {
    pub(crate) fn new(name: &'a str, entries: Vec<Entry>) -> Self {
        Self {
            name,
            entries,
            listed: Vec::new(),
            lists_entries: true,
            link: None,
        }
    }

    /// Puts it into a channel, which is made, in the place of another one of its name.
    pub(crate) fn add(&self, channel: &Path, form: Form) {
        let subdir = channel.join("noarch");
        fs_err::create_dir_all(&subdir).unwrap();
        let name = self.name;
        let noarch = if self.link.is_some() {
            "python"
        } else {
            "generic"
        };
        let mut record = json!({
            "name": name, "version": "1.0", "build": "0", "build_number": 0,
            "depends": [], "subdir": "noarch", "noarch": noarch,
        });
        let mut listed = self.listed.clone();
        if self.lists_entries {
            listed.extend(self.entries.iter().map(Entry::listed));
        }
        let mut info = vec![
            Entry::file("info/index.json", &record.to_string()),
            Entry::file(
                "info/paths.json",
                &json!({"paths": listed, "paths_version": 1}).to_string(),
            ),
        ];
        if let Some(link) = &self.link {
            info.push(Entry::file("info/link.json", &link.to_string()));
        }
        let (file, section, bytes) = match form {
            Form::Conda => {
                let bytes = conda(name, &self.entries, &info);
                (format!("{name}-1.0-0.conda"), "packages.conda", bytes)
            }
            Form::TarBz2 => {
                let all = [self.entries.as_slice(), &info].concat();
                (format!("{name}-1.0-0.tar.bz2"), "packages", bzip2(&all))
            }
        };
        fs_err::write(subdir.join(&file), &bytes).unwrap();
        record["sha256"] = hex::encode(Sha256::digest(&bytes)).into();
        record["size"] = bytes.len().into();
        let repodata = subdir.join("repodata.json");
        let mut document: Value = fs_err::read(&repodata).map_or_else(
            |_| json!({"info": {"subdir": "noarch"}, "packages": {}, "packages.conda": {}}),
            |text| serde_json::from_slice(&text).unwrap(),
        );
        document[section][&file] = record;
        fs_err::write(repodata, document.to_string()).unwrap();
    }
}

/// A `.conda`: a zip of two archives.
fn conda(name: &str, content: &[Entry], info: &[Entry]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let format = br#"{"conda_pkg_format_version": 2}"#.to_vec();
    for (file, bytes) in [
        ("metadata.json".to_owned(), format),
        (format!("pkg-{name}-1.0-0.tar.zst"), zstd(content)),
        (format!("info-{name}-1.0-0.tar.zst"), zstd(info)),
    ] {
        zip.start_file(file, stored).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// The tar of entries as one frame of Zstandard (RFC 8878) that compresses nothing but
/// runs of zeros.
fn zstd(entries: &[Entry]) -> Vec<u8> {
    /// A block holds so much at the most.
    const BLOCK: usize = 1 << 17;
    // The magic number, no flags, a window of one block.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3];
    let block = |last: u32, kind: u32, size: usize| {
        let header = last | kind << 1 | u32::try_from(size).unwrap() << 3;
        header.to_le_bytes()[..3].to_vec()
    };
    let raw = |frame: &mut Vec<u8>, bytes: &[u8]| {
        for part in bytes.chunks(BLOCK) {
            frame.extend(block(0, 0, part.len()));
            frame.extend(part);
        }
    };
    for entry in entries {
        raw(&mut frame, &entry.header());
        match &entry.what {
            What::File(text) => {
                let padding = text.len().next_multiple_of(512) - text.len();
                raw(&mut frame, text.as_bytes());
                raw(&mut frame, &vec![0; padding]);
            }
            What::Zeros(bytes) => {
                for _ in 0..bytes / BLOCK as u64 {
                    frame.extend(block(0, 1, BLOCK));
                    frame.push(0);
                }
            }
            _ => {}
        }
    }
    raw(&mut frame, &[0; 1024]);
    frame.extend(block(1, 0, 0));
    frame
}

/// The tar of entries as `bzip2` packs it.
fn bzip2(entries: &[Entry]) -> Vec<u8> {
    let mut tar = Vec::new();
    for entry in entries {
        tar.extend(entry.header());
        if let What::File(text) = &entry.what {
            tar.extend(text.as_bytes());
            tar.resize(tar.len().next_multiple_of(512), 0);
        }
    }
    tar.extend([0; 1024]);
    let mut program = Command::new("bzip2")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = program.stdin.take().unwrap();
    // A test's archive fits into the pipe.
    input.write_all(&tar).unwrap();
    drop(input);
    let packed = program.wait_with_output().unwrap();
    assert!(packed.status.success());
    packed.stdout
}
