//! What conda's packages bring, told to uv: for each distribution a wheel without content,
//! which says its name and version and asks for nothing. conda sees to what it needs, but
//! for what its extras need: those it says where one is asked for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use fs_err as fs;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// What is put behind a version that conda brings: a local version (PEP 440) satisfies all
/// that its public one does, and no index has it.
const LOCAL: &str = "conda";

/// How nearly every such version ends.
pub(super) const LOCAL_OF_ALL: &str = "+conda";

/// The version as uv is told it.
pub(super) fn local(version: &str) -> String {
    let with = if version.contains('+') { '.' } else { '+' };
    format!("{version}{with}{LOCAL}")
}

/// The version as conda has it; `None` if it is none that conda brings.
pub(super) fn public(told: &str) -> Option<&str> {
    let (version, last) = told.rsplit_once(['+', '.'])?;
    (last == LOCAL).then_some(version)
}

/// Whether a version is one that conda brings.
pub(super) fn is_local(version: &pep440_rs::Version) -> bool {
    let last = version.local().last();
    last.is_some_and(|segment| segment.to_string() == LOCAL)
}

/// Writes the wheels into a folder, and gives the lines that hold each to its version.
pub(super) fn write(
    brought: &BTreeMap<String, String>,
    extras: &BTreeMap<String, Vec<String>>,
    folder: &Path,
) -> io::Result<String> {
    let mut constraints = String::new();
    for (name, version) in brought {
        let version = local(version);
        let stem = format!("{}-{version}", name.replace('-', "_"));
        let file = fs::File::create(folder.join(format!("{stem}-py3-none-any.whl")))?;
        let extras = extras.get(name).map_or(&[][..], Vec::as_slice);
        wheel(file, &stem, name, &version, extras)?;
        writeln!(constraints, "{name}=={version}").map_err(io::Error::other)?;
    }
    Ok(constraints)
}

fn wheel(
    file: fs::File,
    stem: &str,
    name: &str,
    version: &str,
    extras: &[String],
) -> io::Result<()> {
    let mut zip = ZipWriter::new(file);
    let stored = SimpleFileOptions::default();
    let mut metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
    for line in extras {
        metadata.extend([line, "\n"]);
    }
    let tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    for (path, text) in [
        ("METADATA", metadata.as_str()),
        ("WHEEL", tags),
        ("RECORD", ""),
    ] {
        zip.start_file(format!("{stem}.dist-info/{path}"), stored)?;
        zip.write_all(text.as_bytes())?;
    }
    zip.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{is_local, local, public};

    #[test]
    fn what_conda_brings_is_known_by_its_version() {
        for version in ["2.1.0", "2.1.0+cu118", "1!3rc1"] {
            let told: pep440_rs::Version = local(version).parse().unwrap();
            assert!(is_local(&told), "{told}");
            assert_eq!(public(&local(version)), Some(version));
            assert_eq!(public(version), None);
            assert!(!is_local(&version.parse().unwrap()), "{version}");
        }
    }
}
