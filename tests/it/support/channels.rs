//! The channels of the test world, and small ones cut out of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// The folder that holds the channels `conda-forge`, `tiny` and, where its second
/// Python could be had, `pythons`: the one that
/// `ENVSPEC_TEST_CHANNELS` names, else what `tests/world/channel.sh` builds,
/// asked once.
pub(crate) fn channels() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        if let Some(given) = std::env::var_os("ENVSPEC_TEST_CHANNELS") {
            return PathBuf::from(given);
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/world/channel.sh");
        let output = Command::new(&script)
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "{} failed", script.display());
        let text = String::from_utf8(output.stdout).unwrap();
        PathBuf::from(text.lines().last().expect("channel.sh prints the folder"))
    })
}

/// A folder of channels of a test's own.
pub(crate) struct Channels {
    folder: PathBuf,
}

impl Channels {
    /// Channels below a folder, which is made.
    pub(crate) fn new(folder: PathBuf) -> Self {
        fs_err::create_dir_all(&folder).unwrap();
        Self { folder }
    }

    /// The folder as a channel alias.
    pub(crate) fn alias(&self) -> String {
        format!("file://{}", self.folder.display())
    }

    /// A channel of those of `tiny`'s packages whose file names begin so
    /// (`many-versions-1.`). The packages are copies: they may be damaged.
    pub(crate) fn add(&self, name: &str, packages: &[&str]) -> PathBuf {
        let channel = self.folder.join(name);
        for subdir in ["noarch", "linux-64"] {
            let from = channels().join("tiny").join(subdir);
            let to = channel.join(subdir);
            fs_err::create_dir_all(&to).unwrap();
            let text = fs_err::read(from.join("repodata.json")).unwrap();
            let mut repodata: Value = serde_json::from_slice(&text).unwrap();
            for section in ["packages", "packages.conda"] {
                let records = repodata[section].as_object_mut().unwrap();
                records.retain(|file, _| packages.iter().any(|begin| file.starts_with(begin)));
                for file in records.keys() {
                    fs_err::copy(from.join(file), to.join(file)).unwrap();
                }
            }
            let text = serde_json::to_vec(&repodata).unwrap();
            fs_err::write(to.join("repodata.json"), text).unwrap();
        }
        channel
    }
}

/// Whether the channel `conda-forge` of the world has a package of the name.
pub(crate) fn has_package(name: &str) -> bool {
    ["noarch", "linux-64"].iter().any(|subdir| {
        fs_err::read_dir(channels().join("conda-forge").join(subdir))
            .unwrap()
            .any(|entry| {
                let file = entry.unwrap().file_name();
                let file = file.to_string_lossy();
                // name-version-build.conda
                file.rsplitn(3, '-').nth(2) == Some(name)
            })
    })
}
