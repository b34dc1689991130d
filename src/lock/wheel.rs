//! What the `pip:` section brings, as packages like all others.
//!
//! A lock has them as rattler's lock files do. To be fetched, linked, verified and
//! collected by the same ways as conda's packages, a wheel becomes a record of conda's: it
//! is for any Python of its version, its build names its file, and it needs `python`. So
//! does a source; its build names the Python too that it is built by, for the wheel that
//! comes of it may be for that one alone.

use std::collections::BTreeSet;
use std::path::Path;

use rattler_conda_types::package::{ArchiveIdentifier, CondaArchiveType, DistArchiveIdentifier};
use rattler_conda_types::{NoArchType, PackageName, PackageRecord, RepoDataRecord, Version};
use rattler_lock::{PypiDistributionData, UrlOrPath};
use sha2::{Digest as _, Sha256};
use url::Url;

/// The channel that such a record names, as conda calls what pip installed.
pub const PYPI: &str = "pypi";

/// Whether a record is that of a wheel, or of a source that becomes one.
pub fn is_wheel(record: &RepoDataRecord) -> bool {
    record.channel.as_deref() == Some(PYPI)
}

/// What the build of a source's record begins with.
const SOURCE: &str = "pypi_source_";

/// Whether a record is that of a source, of which a wheel is to be built.
pub fn is_source(record: &RepoDataRecord) -> bool {
    is_wheel(record) && record.package_record.build.as_str().starts_with(SOURCE)
}

/// Where a distribution is fetched from; `None` for one at a path, whose content may
/// change.
pub fn url_of(package: &PypiDistributionData) -> Option<&Url> {
    match &*package.location {
        UrlOrPath::Url(url) => Some(url),
        UrlOrPath::Path(_) => None,
    }
}

/// Whether a URL names a wheel by its ending, and no source.
pub fn is_wheel_file(url: &Url) -> bool {
    let ending = Path::new(url.path()).extension();
    ending.is_some_and(|ending| ending == "whl")
}

/// The record of a wheel or a source, to be installed beside `python`; `None` if it has no
/// SHA-256, or there is no Python.
///
/// Names of Python's packages and of conda's are not of one world: where conda has
/// another package of this name (`taken`), the record's begins with `pypi-`.
pub(super) fn record(
    package: &PypiDistributionData,
    taken: &BTreeSet<String>,
    python: Option<&PackageRecord>,
) -> Option<RepoDataRecord> {
    let url = match &*package.location {
        UrlOrPath::Url(url) => url.clone(),
        // No path of a machine: where the spec is.
        UrlOrPath::Path(path) => Url::parse(&format!("folder:{path}")).ok()?,
    };
    let is_wheel = url.scheme() != "folder" && is_wheel_file(&url);
    let sha256 = package.hash.as_ref()?.sha256()?;
    let own: &str = package.name.as_ref();
    let name = if taken.contains(own) {
        format!("{PYPI}-{own}")
    } else {
        own.to_owned()
    };
    let version = package.version.to_string();
    // Two wheels of one version are for different Pythons or machines.
    let build = if is_wheel {
        format!("{PYPI}_{}", hex::encode(&sha256[..4]))
    } else {
        let built = built_by(sha256, python?);
        format!("{SOURCE}{}", hex::encode(&built[..8]))
    };
    let mut record = PackageRecord::new(
        PackageName::try_from(name.as_str()).ok()?,
        version.parse::<Version>().ok()?,
        build.parse().ok()?,
    );
    record.sha256 = Some(*sha256);
    record.noarch = NoArchType::python();
    "noarch".clone_into(&mut record.subdir);
    record.depends = vec!["python".to_owned()];
    record.depends.extend(system(&url));
    let identifier = ArchiveIdentifier {
        name,
        version,
        build_string: build,
    };
    Some(RepoDataRecord {
        identifier: DistArchiveIdentifier::new(identifier, CondaArchiveType::Conda),
        package_record: record,
        url,
        channel: Some(PYPI.to_owned()),
    })
}

/// The Python among records, for which those of sources are.
pub(super) fn python(records: &[RepoDataRecord]) -> Option<PackageRecord> {
    let mut packages = records.iter().map(|record| &record.package_record);
    let python = packages.find(|package| package.name.as_normalized() == "python");
    python.cloned()
}

/// What a source and the Python that it is built by have as one name.
fn built_by(source: &[u8], python: &PackageRecord) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(source);
    for word in [
        &python.subdir,
        &python.version.to_string(),
        python.build.as_str(),
    ] {
        digest.update(word.as_bytes());
        digest.update([0]);
    }
    digest.finalize().into()
}

/// The record with the wheel's size in bytes, if that is known.
pub(super) fn of_size(mut record: RepoDataRecord, bytes: Option<u64>) -> RepoDataRecord {
    record.package_record.size = bytes;
    record
}

/// The C library or the macOS that a wheel needs, by its name (PEP 425, 600): of several
/// that it is for, the oldest.
fn system(url: &Url) -> Option<String> {
    let file = url.path().strip_suffix(".whl")?;
    let tags = file.rsplit('-').next()?.split('.');
    let needs = tags.filter_map(|tag| {
        let (name, rest) = match tag.split_once('_')? {
            ("manylinux", rest) => ("__glibc", rest),
            ("manylinux2014", _) => ("__glibc", "2_17"),
            ("manylinux2010", _) => ("__glibc", "2_12"),
            ("manylinux1", _) => ("__glibc", "2_5"),
            ("macosx", rest) => ("__osx", rest),
            _ => return None,
        };
        let mut numbers = rest.split('_').map(str::parse::<u32>);
        let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        Some(((major, minor), name))
    });
    let ((major, minor), name) = needs.min()?;
    Some(format!("{name} >={major}.{minor}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::str::FromStr as _;

    use rattler_lock::{PackageHashes, PypiDistributionData, UrlOrPath, Verbatim};

    use super::{PackageRecord, is_source, is_wheel, record};

    fn package(file: &str, has_hash: bool) -> PypiDistributionData {
        let url = format!("https://example.org/f/{file}");
        PypiDistributionData {
            name: "Some.Tool".parse().unwrap(),
            version: "1.0rc1+local.2".parse().unwrap(),
            location: Verbatim::new(UrlOrPath::from_str(&url).unwrap()),
            index_url: None,
            hash: has_hash.then(|| PackageHashes::Sha256([0xab; 32].into())),
            requires_dist: Vec::new(),
            requires_python: None,
        }
    }

    #[test]
    fn a_wheel_is_a_package_for_any_python_and_its_build_names_its_file() {
        let package = package("some_tool-1.0rc1-py3-none-any.whl", true);
        let record = record(&package, &BTreeSet::new(), None).unwrap();
        let json = serde_json::to_value(&record).unwrap();
        assert_eq!(json["name"], "some-tool");
        assert_eq!(json["version"], "1.0rc1+local.2");
        assert_eq!(json["build"], "pypi_abababab");
        assert_eq!(json["noarch"], "python");
        assert!(is_wheel(&record));
    }

    #[test]
    fn a_wheel_needs_the_oldest_system_that_it_is_for() {
        for (tags, needs) in [
            ("py3-none-any", None),
            (
                "cp312-cp312-manylinux_2_27_x86_64.manylinux_2_28_x86_64",
                Some("__glibc >=2.27"),
            ),
            (
                "cp39-abi3-manylinux2014_aarch64.manylinux_2_17_aarch64",
                Some("__glibc >=2.17"),
            ),
            ("cp312-cp312-macosx_11_0_arm64", Some("__osx >=11.0")),
            ("cp312-cp312-win_amd64", None),
        ] {
            let package = package(&format!("some_tool-1.0rc1-{tags}.whl"), true);
            let record = record(&package, &BTreeSet::new(), None).unwrap();
            let depends: Vec<_> = record
                .package_record
                .depends
                .iter()
                .map(String::as_str)
                .collect();
            assert_eq!(
                depends,
                [&["python"][..], needs.as_slice()].concat(),
                "{tags}"
            );
        }
    }

    #[test]
    fn where_conda_has_another_package_of_the_name_it_has_one_of_its_own() {
        let package = package("some_tool-1.0rc1-py3-none-any.whl", true);
        let taken = BTreeSet::from(["some-tool".to_owned()]);
        let record = record(&package, &taken, None).unwrap();
        assert_eq!(record.package_record.name.as_normalized(), "pypi-some-tool");
    }

    #[test]
    fn a_source_is_another_package_for_each_python_that_it_is_built_by() {
        let python = |build: &str| {
            PackageRecord::new(
                "python".parse().unwrap(),
                "3.12.4".parse::<rattler_conda_types::Version>().unwrap(),
                build.parse().unwrap(),
            )
        };
        let package = package("some_tool-1.0rc1.tar.gz", true);
        let builds: BTreeSet<String> = ["h1_0", "h1_0", "h2_0"]
            .map(|build| {
                let record = record(&package, &BTreeSet::new(), Some(&python(build))).unwrap();
                assert!(is_source(&record) && is_wheel(&record));
                record.package_record.build.to_string()
            })
            .into();
        assert_eq!(builds.len(), 2);
        assert!(record(&package, &BTreeSet::new(), None).is_none());
    }

    #[test]
    fn what_has_no_hash_is_no_package() {
        let none = BTreeSet::new();
        let package = package("some_tool-1.0rc1-py3-none-any.whl", false);
        assert!(record(&package, &none, None).is_none());
    }
}
