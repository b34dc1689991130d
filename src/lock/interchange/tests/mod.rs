//! Whether what goes out comes back, and what strangers' files do.

mod formats;
mod hostile;
mod prefixes;
mod round_trips;
mod wheels;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rattler_conda_types::package::{BuildString, CondaArchiveIdentifier};
use rattler_conda_types::{
    NoArchType, PackageName, PackageRecord, RepoDataRecord, Subdir, VersionWithSource,
};
use rattler_lock::{
    DEFAULT_ENVIRONMENT_NAME, LockFileBuilder, PackageHashes, PlatformData, PypiDistributionData,
    PypiPackageData, UrlOrPath, Verbatim,
};
use url::Url;

use super::{Portable, PortableChannel, PortablePlatform};
use crate::lock::{Lock, LockText};

/// One channel for all.
const CHANNEL: &str = "https://conda.anaconda.org/conda-forge/";

/// A package of a test's own.
#[derive(Debug, Clone)]
struct Sketch {
    name: String,
    version: String,
    build: String,
    noarch: bool,
    md5: Option<[u8; 16]>,
    sha256: Option<[u8; 32]>,
    /// Which of the packages before it it needs.
    needs: Vec<bool>,
}

fn record(sketch: &Sketch, platform: Subdir, before: &[Sketch]) -> RepoDataRecord {
    let mut package = PackageRecord::new(
        sketch.name.parse::<PackageName>().unwrap(),
        sketch.version.parse::<VersionWithSource>().unwrap(),
        sketch.build.parse::<BuildString>().unwrap(),
    );
    let subdir = if sketch.noarch {
        Subdir::NoArch
    } else {
        platform
    };
    package.subdir = subdir.to_string();
    package.noarch = if sketch.noarch {
        NoArchType::generic()
    } else {
        NoArchType::none()
    };
    package.md5 = sketch.md5.map(Into::into);
    package.sha256 = sketch.sha256.map(Into::into);
    let needs = before
        .iter()
        .zip(&sketch.needs)
        .filter(|(_, needs)| **needs);
    package.depends = needs
        .map(|(other, _)| format!("{} >={}", other.name, other.version))
        .collect();
    if sketch.build.starts_with("py") {
        package.depends.push("python".to_owned());
    }
    package.depends.sort();
    let file = format!("{}-{}-{}.conda", sketch.name, sketch.version, sketch.build);
    let identifier = CondaArchiveIdentifier::try_from_filename(&file).unwrap();
    RepoDataRecord {
        package_record: package,
        identifier: identifier.into(),
        url: Url::parse(&format!("{CHANNEL}{subdir}/{file}")).unwrap(),
        channel: Some(CHANNEL.to_owned()),
    }
}

fn pypi(name: &str, version: &str, hash: Option<[u8; 32]>, host: &str) -> PypiPackageData {
    let file = format!("https://{host}/{name}-{version}-py3-none-any.whl");
    let index = match host {
        "files.pythonhosted.org" => "https://pypi.org/simple".to_owned(),
        other => format!("https://{other}/simple"),
    };
    PypiDistributionData {
        name: name.parse().unwrap(),
        version: version.parse().unwrap(),
        location: Verbatim::new(UrlOrPath::Url(Url::parse(&file).unwrap())),
        index_url: Url::parse(&index).ok(),
        hash: PackageHashes::from_hashes(None, hash.map(Into::into)),
        requires_dist: Vec::new(),
        requires_python: None,
    }
    .into()
}

fn portable(platforms: Vec<PortablePlatform>, variables: BTreeMap<String, String>) -> Portable {
    Portable {
        name: "lab".to_owned(),
        from: "lab.yaml".to_owned(),
        channels: vec![PortableChannel {
            name: "conda-forge".to_owned(),
            url: Url::parse(CHANNEL).unwrap(),
        }],
        variables,
        platforms,
    }
}

/// The lock of a portable environment, as rattler writes it.
fn lock_of(portable: &Portable) -> Lock {
    let platforms = portable.platforms.iter().map(|at| PlatformData {
        name: (&at.platform).into(),
        subdir: at.platform,
        virtual_packages: Vec::new(),
    });
    let mut builder = LockFileBuilder::new()
        .with_platforms(platforms.collect())
        .unwrap();
    builder.set_channels(DEFAULT_ENVIRONMENT_NAME, [CHANNEL]);
    for at in &portable.platforms {
        let name = at.platform.to_string();
        builder
            .add_environment_platform(DEFAULT_ENVIRONMENT_NAME, &name)
            .unwrap();
        for record in &at.conda {
            let data = record.clone().into();
            builder
                .add_conda_package(DEFAULT_ENVIRONMENT_NAME, &name, data)
                .unwrap();
        }
        for package in &at.pypi {
            builder
                .add_pypi_package(DEFAULT_ENVIRONMENT_NAME, &name, package.clone())
                .unwrap();
        }
    }
    let text = builder.finish().render_to_string().unwrap();
    LockText::new("lab.lock".to_owned(), text).read().unwrap()
}

prop_compose! {
    fn sketch()(
        name in "[a-z][a-z0-9_]{0,6}(-[a-z0-9]{1,4})?",
        version in "[0-9]{1,2}(\\.[0-9]{1,3}){0,3}",
        build in "(h|py3)[a-f0-9]{4}_[0-9]",
        noarch in any::<bool>(),
        md5 in any::<[u8; 16]>(),
        sha256 in any::<[u8; 32]>(),
        which in 0..3_u8,
        needs in prop::collection::vec(any::<bool>(), 8),
    ) -> Sketch {
        Sketch {
            name,
            version,
            build,
            noarch,
            md5: (which != 1).then_some(md5),
            sha256: (which != 2).then_some(sha256),
            needs,
        }
    }
}

prop_compose! {
    fn environment()(
        sketches in prop::collection::vec(sketch(), 1..8),
        two in any::<bool>(),
        on_one in prop::collection::vec(any::<bool>(), 8),
        pip in prop::collection::btree_map("[a-z]{3,8}", "[0-9]\\.[0-9]{1,2}", 0..3),
        hash in any::<[u8; 32]>(),
        variables in prop::collection::btree_map("[A-Z][A-Z0-9_]{0,6}", "[ -~]{0,20}", 0..3),
    ) -> Portable {
        let mut names = BTreeSet::new();
        let sketches: Vec<Sketch> =
            sketches.into_iter().filter(|one| names.insert(one.name.clone())).collect();
        let platforms = if two {
            vec![Subdir::Linux64, Subdir::OsxArm64]
        } else {
            vec![Subdir::Linux64]
        };
        let of_pip: Vec<PypiPackageData> = pip
            .iter()
            .map(|(name, version)| pypi(name, version, Some(hash), "files.pythonhosted.org"))
            .collect();
        let platforms = platforms.into_iter().map(|platform| {
            let here = |place: usize| platform == Subdir::Linux64 || !on_one[place];
            let mut conda: Vec<RepoDataRecord> = sketches
                .iter()
                .enumerate()
                .filter(|(place, _)| here(*place))
                .map(|(place, one)| record(one, platform, &sketches[..place]))
                .collect();
            conda.sort_by(|a, b| a.package_record.name.cmp(&b.package_record.name));
            let mut pypi = of_pip.clone();
            if platform != Subdir::Linux64 && on_one[0] {
                pypi.truncate(1);
            }
            PortablePlatform { platform, conda, pypi }
        });
        portable(platforms.collect(), variables)
    }
}
