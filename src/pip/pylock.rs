//! uv's answer: a `pylock.toml` (PEP 751).

use rattler_lock::{PackageHashes, PypiDistributionData, UrlOrPath, Verbatim};
use serde::Deserialize;
use url::Url;

use super::brought::is_local;
use crate::lock::WheelSizes;

/// As much of the file as is used.
#[derive(Debug, Deserialize)]
struct PyLock {
    #[serde(default)]
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: pep508_rs::PackageName,
    version: Option<pep440_rs::Version>,
    #[serde(rename = "requires-python")]
    requires_python: Option<pep440_rs::VersionSpecifiers>,
    index: Option<Url>,
    #[serde(default)]
    wheels: Vec<File>,
    archive: Option<File>,
}

#[derive(Debug, Clone, Deserialize)]
struct File {
    url: Option<Url>,
    path: Option<String>,
    size: Option<u64>,
    hashes: Hashes,
}

#[derive(Debug, Clone, Deserialize)]
struct Hashes {
    sha256: Option<String>,
}

/// Why an answer can't be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It is no such file.
    Unreadable(String),
    /// These packages have no wheel for the platform and the Python.
    NoWheel(Vec<String>),
    /// The wheel of a package is at no URL or has no SHA-256.
    NoHash(String),
}

/// Reads an answer: the wheels that are to be added to what conda brings, sorted by name.
///
/// uv lists the wheels of a version that fit the platform. Which one counts, if there are
/// several, is what uv's installer would choose: see [`preference`].
pub(super) fn read(text: &str) -> Result<(Vec<PypiDistributionData>, WheelSizes), Unusable> {
    let lock: PyLock =
        toml::from_str(text).map_err(|error| Unusable::Unreadable(error.message().to_owned()))?;
    let mut packages = Vec::new();
    let mut sizes = WheelSizes::default();
    let mut without = Vec::new();
    for package in lock.packages {
        if package.version.as_ref().is_some_and(is_local) {
            continue;
        }
        let archive = package.archive.iter().filter(|file| ends_as_wheel(file));
        let wheels = package.wheels.iter().chain(archive);
        let Some(wheel) = wheels.max_by_key(|wheel| preference(&file_name(wheel))) else {
            without.push(package.name.to_string());
            continue;
        };
        packages.push(distribution(&package, wheel)?);
        if let (Some(sha256), Some(size)) = (&wheel.hashes.sha256, wheel.size) {
            sizes.add(sha256, size);
        }
    }
    if !without.is_empty() {
        return Err(Unusable::NoWheel(without));
    }
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((packages, sizes))
}

fn distribution(package: &Package, wheel: &File) -> Result<PypiDistributionData, Unusable> {
    let no_hash = || Unusable::NoHash(package.name.to_string());
    let file = file_name(wheel);
    let version = match &package.version {
        Some(version) => version.clone(),
        // One that is asked for by its URL has none but in its name.
        None => file
            .split('-')
            .nth(1)
            .and_then(|version| version.parse().ok())
            .ok_or_else(no_hash)?,
    };
    let mut digest = [0; 32];
    let sha256 = wheel.hashes.sha256.as_ref().ok_or_else(no_hash)?;
    hex::decode_to_slice(sha256, &mut digest).map_err(|_| no_hash())?;
    let url = wheel
        .url
        .clone()
        .or_else(|| Url::from_file_path(wheel.path.as_ref()?).ok())
        .ok_or_else(no_hash)?;
    let index_url = package.index.clone().map(without_secret);
    Ok(PypiDistributionData {
        name: package.name.clone(),
        version,
        location: Verbatim::new(UrlOrPath::Url(without_secret(url))),
        index_url,
        hash: Some(PackageHashes::Sha256(digest.into())),
        requires_dist: Vec::new(),
        requires_python: package.requires_python.clone(),
    })
}

/// A lock is read by others.
fn without_secret(mut url: Url) -> Url {
    // What has no host has no user either, and keeps none.
    url.set_username("").ok();
    url.set_password(None).ok();
    url
}

fn ends_as_wheel(file: &File) -> bool {
    let name = file_name(file);
    std::path::Path::new(&name)
        .extension()
        .is_some_and(|ending| ending == "whl")
}

fn file_name(file: &File) -> String {
    let place = match (&file.url, &file.path) {
        (Some(url), _) => url.path(),
        (None, Some(path)) => path.as_str(),
        (None, None) => "",
    };
    place.rsplit('/').next().unwrap_or_default().to_owned()
}

/// How well a wheel fits, of those that fit: one for this very Python before one for its
/// stable ABI before one for any; of a newer Python's ABI before an older's; of a newer C
/// library's before an older's, for it may use more of it (the order of PEP 425's
/// `packaging.tags`). A build number decides last, and then the name, so that the same
/// wheels give the same lock in whatever order they are listed.
fn preference(file: &str) -> (u8, u32, u32, String) {
    let stem = file.trim_end_matches(".whl");
    let mut tags = stem.rsplit('-');
    let (platform, abi, python) = (
        tags.next().unwrap_or_default(),
        tags.next().unwrap_or_default(),
        tags.next().unwrap_or_default(),
    );
    let kind = match abi {
        "none" if platform == "any" => 0,
        "none" => 1,
        "abi3" => 2,
        _ => 3,
    };
    let minor = python
        .split('.')
        .filter_map(|tag| tag.strip_prefix("cp3").or(tag.strip_prefix("py3")))
        .filter_map(|minor| minor.parse().ok())
        .max()
        .unwrap_or(0);
    let library = platform.split('.').map(library).max().unwrap_or(0);
    (kind, minor, library, file.to_owned())
}

/// The C library, or the system, that a platform's tag asks for, as a number that grows
/// with it.
fn library(tag: &str) -> u32 {
    let mut words = tag.split('_');
    match words.next() {
        Some("manylinux1") => 5,
        Some("manylinux2010") => 12,
        Some("manylinux2014") => 17,
        // manylinux_2_28_x86_64, macosx_11_0_arm64
        Some("manylinux") => words.nth(1).and_then(|word| word.parse().ok()).unwrap_or(0),
        Some("macosx") => words.next().and_then(|word| word.parse().ok()).unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{Unusable, preference, read};

    const SHA: &str = "abababababababababababababababababababababababababababababababab";

    fn lock(wheels: &[&str]) -> String {
        let wheels: Vec<String> = wheels
            .iter()
            .map(|name| {
                format!(
                    "{{ url = \"https://me:secret@h/{name}\", size = 431, hashes = {{ sha256 = \"{SHA}\" }} }}"
                )
            })
            .collect();
        format!(
            "lock-version = \"1.0\"\n[[packages]]\nname = \"tool\"\nversion = \"1.0\"\n\
             index = \"https://me:secret@h/simple\"\nwheels = [{}]\n\
             [[packages]]\nname = \"numpy\"\nversion = \"2.1+conda\"\n",
            wheels.join(", ")
        )
    }

    #[test]
    fn the_best_wheel_is_taken_in_whatever_order_they_are_listed() {
        let in_order = [
            "t-1-py3-none-any.whl",
            "t-1-py3-none-manylinux2014_x86_64.whl",
            "t-1-cp37-abi3-manylinux_2_28_x86_64.whl",
            "t-1-cp39-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            "t-1-cp39-abi3-manylinux_2_28_x86_64.whl",
            "t-1-cp312-cp312-manylinux_2_17_x86_64.whl",
        ];
        let mut sorted = in_order;
        sorted.reverse();
        sorted.sort_by_key(|name| preference(name));
        assert_eq!(sorted, in_order);
        for wheels in [in_order.to_vec(), in_order.into_iter().rev().collect()] {
            let (read, _) = read(&lock(&wheels)).unwrap();
            let location = read[0].location.to_string();
            assert_eq!(location, format!("https://h/{}", in_order[5]));
        }
    }

    #[test]
    fn what_conda_brings_is_no_part_of_it_and_no_secret_is() {
        let (read, sizes) = read(&lock(&["tool-1.0-py3-none-any.whl"])).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(sizes.of(&read[0]), Some(431));
        assert!(!format!("{read:?}").contains("secret"));
    }

    #[test]
    fn what_has_no_wheel_or_no_hash_is_told() {
        assert_eq!(
            read(&lock(&[])).unwrap_err(),
            Unusable::NoWheel(vec!["tool".to_owned()])
        );
        let bad = lock(&["tool-1.0-py3-none-any.whl"]).replace(SHA, "ab");
        assert_eq!(read(&bad).unwrap_err(), Unusable::NoHash("tool".to_owned()));
        assert!(matches!(read("packages = 1"), Err(Unusable::Unreadable(_))));
    }
}
