//! uv's answer: a `pylock.toml` (PEP 751).

use std::collections::BTreeMap;
use std::path::Path;

use rattler_lock::{PackageHashes, PypiDistributionData, UrlOrPath, Verbatim};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::brought::is_local;
use super::preference::preference;
use crate::lock::WheelSizes;
use crate::spec::{Of, without_secret};

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
    sdist: Option<File>,
    vcs: Option<Repository>,
    directory: Option<Directory>,
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

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Repository {
    #[serde(rename = "type")]
    kind: String,
    url: Option<Url>,
    commit_id: String,
    subdirectory: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Directory {
    path: String,
}

/// Why an answer can't be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It is no such file.
    Unreadable(String),
    /// These packages have no wheel for the platform and the Python, and no source.
    NoWheel(Vec<String>),
    /// The file of a package is at no URL or has no SHA-256.
    NoHash(String),
    /// No file of these packages has a hash that the spec asks for.
    OtherHash(Vec<String>),
    /// The spec gives no hash for these packages, and says that all must have one.
    HashMissing(Vec<String>),
}

/// The hashes that a spec asks for.
#[derive(Debug, Default)]
pub struct WantedHashes {
    /// By the packages' normalised names: the SHA-256 that a file may have, in hex.
    pub of: BTreeMap<String, Vec<String>>,
    /// Whether each package has to have one (`--require-hashes`).
    pub all: bool,
}

impl WantedHashes {
    /// Whether a file may be taken.
    fn allows(&self, package: &Package, file: &File) -> bool {
        let own: &str = package.name.as_ref();
        let wanted = self.of.get(own);
        wanted.is_none_or(|wanted| file.hashes.sha256.iter().any(|own| wanted.contains(own)))
    }
}

/// What a lock holds of a folder of this machine: its path from the spec's, and the SHA-256
/// of its files.
pub type OfFolder<'f> = &'f dyn Fn(&Path) -> Option<(String, [u8; 32])>;

/// Reads an answer: what is to be added to what conda brings, sorted by name. A wheel if a
/// package has one that fits, else its source.
///
/// uv lists the wheels of a version that fit the platform. Which one counts, if there are
/// several, is what uv's installer would choose: see [`preference`].
pub(super) fn read(
    text: &str,
    hashes: &WantedHashes,
    of_folder: OfFolder<'_>,
) -> Result<(Vec<PypiDistributionData>, WheelSizes), Unusable> {
    let lock: PyLock =
        toml::from_str(text).map_err(|error| Unusable::Unreadable(error.message().to_owned()))?;
    let mut packages = Vec::new();
    let mut sizes = WheelSizes::default();
    let (mut without, mut other, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for package in lock.packages {
        if package.version.as_ref().is_some_and(is_local) {
            continue;
        }
        let own: &str = package.name.as_ref();
        if hashes.all && !hashes.of.contains_key(own) {
            missing.push(own.to_owned());
            continue;
        }
        let archive = package.archive.iter();
        let (wheels, archives): (Vec<_>, Vec<_>) =
            (package.wheels.iter().chain(archive)).partition(|file| ends_as_wheel(file));
        let sources = archives.into_iter().chain(&package.sdist);
        let has_files = !wheels.is_empty() || sources.clone().next().is_some();
        let allowed = |file: &&File| hashes.allows(&package, file);
        let wheels = wheels.into_iter().filter(allowed);
        let best = wheels.max_by_key(|wheel| preference(&file_name(wheel)));
        if let Some(file) = best.or_else(|| sources.clone().find(allowed)) {
            packages.push(of_file(&package, file)?);
            if let (Some(sha256), Some(size)) = (&file.hashes.sha256, file.size)
                && ends_as_wheel(file)
            {
                sizes.add(sha256, size);
            }
        } else if has_files || hashes.of.contains_key(own) {
            other.push(own.to_owned());
        } else if let Some(repository) = &package.vcs {
            packages.push(of_repository(&package, repository)?);
        } else if let Some(directory) = &package.directory {
            packages.push(of_directory(&package, directory, of_folder)?);
        } else {
            without.push(own.to_owned());
        }
    }
    if !missing.is_empty() {
        return Err(Unusable::HashMissing(missing));
    }
    if !other.is_empty() {
        return Err(Unusable::OtherHash(other));
    }
    if !without.is_empty() {
        return Err(Unusable::NoWheel(without));
    }
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((packages, sizes))
}

fn of_file(package: &Package, file: &File) -> Result<PypiDistributionData, Unusable> {
    let no_hash = || Unusable::NoHash(package.name.to_string());
    let version = match &package.version {
        Some(version) => version.clone(),
        // One that is asked for by its URL has none but in its name.
        None => version_in(&file_name(file)).ok_or_else(no_hash)?,
    };
    let mut digest = [0; 32];
    let sha256 = file.hashes.sha256.as_ref().ok_or_else(no_hash)?;
    hex::decode_to_slice(sha256, &mut digest).map_err(|_| no_hash())?;
    let url = file
        .url
        .clone()
        .or_else(|| Url::from_file_path(file.path.as_ref()?).ok())
        .ok_or_else(no_hash)?;
    let place = UrlOrPath::Url(without_secret(&url, Of::Anything));
    Ok(distribution(package, version, place, Some(digest)))
}

/// The version in the name of a wheel (`tool-1.0-py3-none-any.whl`) or a source
/// (`tool-1.0.tar.gz`).
fn version_in(file: &str) -> Option<pep440_rs::Version> {
    if let Some(stem) = file.strip_suffix(".whl") {
        return stem.split('-').nth(1)?.parse().ok();
    }
    let ends = [".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tar.xz"];
    let stem = ends.iter().find_map(|end| file.strip_suffix(end))?;
    stem.rsplit('-').next()?.parse().ok()
}

/// A repository at one commit, as pip writes it: `git+https://…@commit`. The commit is the
/// hash of what is in it.
fn of_repository(
    package: &Package,
    repository: &Repository,
) -> Result<PypiDistributionData, Unusable> {
    let unreadable = |why: &str| Unusable::Unreadable(format!("{} {why}", package.name));
    let Repository {
        kind,
        url,
        commit_id,
        subdirectory,
    } = repository;
    let is_commit = commit_id.len() >= 40 && commit_id.chars().all(|c| c.is_ascii_hexdigit());
    if kind != "git" || !is_commit {
        return Err(unreadable("is at no commit of git"));
    }
    let mut url = url.clone().ok_or_else(|| unreadable("is at no URL"))?;
    // Over ssh the user is a name that all have.
    if url.scheme() != "ssh" {
        url = without_secret(&url, Of::Anything);
    }
    url.set_password(None).ok();
    let mut place = format!("git+{url}@{commit_id}");
    if let Some(folder) = subdirectory {
        place.extend(["#subdirectory=", folder]);
    }
    let digest = Sha256::digest(place.as_bytes()).into();
    let place = Url::parse(&place).map_err(|error| unreadable(&error.to_string()))?;
    let version = package.version.clone();
    let version = version.ok_or_else(|| unreadable("has no version"))?;
    let place = UrlOrPath::Url(place);
    Ok(distribution(package, version, place, Some(digest)))
}

/// A folder of the spec's own, by its path from there and the hash of its files.
fn of_directory(
    package: &Package,
    directory: &Directory,
    of_folder: OfFolder<'_>,
) -> Result<PypiDistributionData, Unusable> {
    let found = of_folder(Path::new(&directory.path));
    let (path, digest) = found.ok_or_else(|| Unusable::NoHash(package.name.to_string()))?;
    let version = package.version.clone();
    // Known once it is built.
    let version = version.unwrap_or_else(|| pep440_rs::Version::new([0]));
    let place = UrlOrPath::Path(path.into());
    Ok(distribution(package, version, place, Some(digest)))
}

fn distribution(
    package: &Package,
    version: pep440_rs::Version,
    place: UrlOrPath,
    sha256: Option<[u8; 32]>,
) -> PypiDistributionData {
    PypiDistributionData {
        name: package.name.clone(),
        version,
        location: Verbatim::new(place),
        index_url: package
            .index
            .as_ref()
            .map(|url| without_secret(url, Of::Anything)),
        hash: sha256.map(|digest| PackageHashes::Sha256(digest.into())),
        requires_dist: Vec::new(),
        requires_python: package.requires_python.clone(),
    }
}

fn ends_as_wheel(file: &File) -> bool {
    let name = file_name(file);
    Path::new(&name)
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

#[cfg(test)]
mod tests {
    use super::{PypiDistributionData, Unusable, WantedHashes, WheelSizes, preference};

    const SHA: &str = "abababababababababababababababababababababababababababababababab";

    fn read(text: &str) -> Result<(Vec<PypiDistributionData>, WheelSizes), Unusable> {
        super::read(text, &WantedHashes::default(), &|_| None)
    }

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

    fn source(place: &str) -> String {
        format!(
            "lock-version = \"1.0\"\n[[packages]]\nname = \"tool\"\nversion = \"1.0\"\n{place}\n"
        )
    }

    #[test]
    fn what_has_no_wheel_is_its_source() {
        let file = format!(
            "{{ url = \"https://h/tool-1.0.tar.gz\", size = 9, hashes = {{ sha256 = \"{SHA}\" }} }}"
        );
        let (of_index, sizes) = read(&source(&format!("sdist = {file}"))).unwrap();
        assert_eq!(
            of_index[0].location.to_string(),
            "https://h/tool-1.0.tar.gz"
        );
        assert_eq!(sizes.of(&of_index[0]), None, "it is not the wheel's");
        let by_url = source(&format!("archive = {file}")).replace("\nversion = \"1.0\"", "");
        assert_eq!(read(&by_url).unwrap().0[0].version.to_string(), "1.0");
        let commit = "1b4f4b1763d5065715e7f0e3227e8acfc7799c90";
        for (url, wanted) in [
            ("https://me:secret@h/tool.git", "git+https://h/tool.git"),
            ("ssh://git@h/tool", "git+ssh://git@h/tool"),
        ] {
            let text = source(&format!(
                "vcs = {{ type = \"git\", url = \"{url}\", commit-id = \"{commit}\", subdirectory = \"a\" }}"
            ));
            let (read, _) = read(&text).unwrap();
            let place = format!("{wanted}@{commit}#subdirectory=a");
            assert_eq!(read[0].location.to_string(), place);
        }
        let branch = "vcs = { type = \"git\", url = \"https://h/t\", commit-id = \"main\" }";
        assert!(matches!(
            read(&source(branch)),
            Err(Unusable::Unreadable(_))
        ));
    }

    #[test]
    fn of_the_files_of_a_version_only_those_with_a_wanted_hash_count() {
        let other = SHA.replace('a', "c");
        let two = format!(
            "wheels = [{{ url = \"https://h/tool-1.0-py3-none-any.whl\", hashes = {{ sha256 = \"{SHA}\" }} }}]\n\
             sdist = {{ url = \"https://h/tool-1.0.tar.gz\", hashes = {{ sha256 = \"{other}\" }} }}"
        );
        let of = |hashes: &[&str], all| WantedHashes {
            of: [(
                "tool".to_owned(),
                hashes.iter().map(|&hash| hash.to_owned()).collect(),
            )]
            .into(),
            all,
        };
        let ends = |hashes: &[&str]| {
            let (read, _) = super::read(&source(&two), &of(hashes, true), &|_| None)?;
            Ok(read[0].location.to_string().ends_with("whl"))
        };
        assert_eq!(ends(&[SHA, &other]), Ok(true));
        assert_eq!(ends(&[&other]), Ok(false));
        assert_eq!(
            ends(&["00"]),
            Err(Unusable::OtherHash(vec!["tool".to_owned()]))
        );
        let none = WantedHashes {
            all: true,
            ..WantedHashes::default()
        };
        let missing = super::read(&source(&two), &none, &|_| None).unwrap_err();
        assert_eq!(missing, Unusable::HashMissing(vec!["tool".to_owned()]));
    }
}
