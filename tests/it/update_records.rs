//! `update` on real records of conda-forge, judged by a solver of the test's own.
//!
//! A package is *forced* if, with the named one at its new version and all that stayed
//! held, there is no solution in which it is what it was.

use std::path::{Path, PathBuf};

use rattler_conda_types::{
    Channel, ChannelConfig, GenericVirtualPackage, MatchSpec, PackageName, ParseMatchSpecOptions,
    RepoData, RepoDataRecord,
};
use rattler_solve::resolvo::Solver;
use rattler_solve::{SolverImpl as _, SolverTask};
use serde_json::Value;

use crate::support::TestEnv;

fn records_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records/science")
}

fn env() -> TestEnv {
    TestEnv::with_alias(format!("file://{}", records_folder().display()))
}

const TARGET: &str = "target: {glibc: \"2.36\", linux: \"5.10\", arch: x86_64}\n";

fn spec(dependencies: &[&str], platforms: &str) -> String {
    let mut text = "channels: [conda-forge]\ndependencies:\n".to_owned();
    for dependency in dependencies {
        text.extend(["  - ", dependency, "\n"]);
    }
    format!("{text}platforms: [{platforms}]\n{TARGET}")
}

fn requirement(text: &str) -> MatchSpec {
    MatchSpec::from_str(text, ParseMatchSpecOptions::lenient()).unwrap()
}

/// All that the channel has for a platform.
struct World {
    records: Vec<RepoDataRecord>,
    machine: Vec<GenericVirtualPackage>,
}

impl World {
    fn of(platform: &str) -> Self {
        let config = ChannelConfig::default_with_root_dir(PathBuf::from("/"));
        let folder = records_folder().join("conda-forge");
        let url = format!("file://{}", folder.display());
        let channel = Channel::from_str(&url, &config).unwrap();
        let mut records = Vec::new();
        for subdir in [platform, "noarch"] {
            let path = folder.join(subdir).join("repodata.json");
            let repodata = RepoData::from_path(path).unwrap();
            records.extend(repodata.into_repo_data_records(&channel));
        }
        let offers = [
            ("__unix", "0", "0"),
            ("__linux", "5.10", "0"),
            ("__glibc", "2.36", "0"),
            ("__archspec", "1", "x86_64"),
        ];
        let machine = offers.map(|(name, version, build)| GenericVirtualPackage {
            name: PackageName::new_unchecked(name),
            version: version.parse().unwrap(),
            build_string: build.parse().unwrap(),
        });
        Self {
            records,
            machine: machine.to_vec(),
        }
    }

    fn record(&self, package: &Value) -> &RepoDataRecord {
        let of = |key: &str| package[key].as_str().unwrap();
        self.records
            .iter()
            .find(|record| {
                let record = &record.package_record;
                record.name.as_normalized() == of("name")
                    && record.version.to_string() == of("version")
                    && record.build.as_str() == of("build")
            })
            .unwrap()
    }

    /// Whether there is a solution with these records held and these names absent.
    fn is_solvable(&self, specs: &[MatchSpec], held: &[&RepoDataRecord], absent: &[&str]) -> bool {
        let none = absent
            .iter()
            .map(|name| requirement(&format!("{name} <0a0")));
        let task = SolverTask {
            specs: specs.to_vec(),
            pinned_packages: held.to_vec(),
            constraints: none.collect(),
            virtual_packages: self.machine.clone(),
            ..[&self.records].into_iter().collect::<SolverTask<'_, _>>()
        };
        Solver.solve(task).is_ok()
    }
}

/// What a lock has, as rattler's own reader reads it.
fn locked(text: &str) -> Vec<RepoDataRecord> {
    let lock = rattler_lock::LockFile::from_str_with_base_directory(text, None).unwrap();
    let environment = lock.default_environment().unwrap();
    let platform = lock.platform("linux-64").unwrap();
    environment
        .conda_repodata_records(platform)
        .unwrap()
        .unwrap()
}

fn name(record: &RepoDataRecord) -> &str {
    record.package_record.name.as_normalized()
}

/// What `update PACKAGE` answers is the least that does it; how many were forced.
fn judge(env: &TestEnv, world: &World, requests: &[&str], package: &str) -> usize {
    let before = locked(&env.lock("lab"));
    let answer = env
        .run(&["update", package, "--json", "--dry-run"])
        .success()
        .json();
    let changes = answer["changes"].as_array().unwrap();
    let of = |side: &str, change: &Value| change.get(side).map(|of| world.record(of).clone());
    let moved: Vec<(Option<RepoDataRecord>, Option<RepoDataRecord>, &str)> = changes
        .iter()
        .map(|change| {
            let cause = change["cause"].as_str().unwrap();
            (of("from", change), of("to", change), cause)
        })
        .collect();
    let is_moved = |record: &&RepoDataRecord| {
        let mut sides = moved.iter().flat_map(|(from, to, _)| [from, to]);
        sides.any(|side| side.as_ref().is_some_and(|side| name(side) == name(record)))
    };
    let stayed: Vec<&RepoDataRecord> = before.iter().filter(|record| !is_moved(record)).collect();
    let after: Vec<&RepoDataRecord> = (stayed.iter().copied())
        .chain(moved.iter().filter_map(|(_, to, _)| to.as_ref()))
        .collect();
    let mut specs: Vec<MatchSpec> = requests.iter().map(|text| requirement(text)).collect();
    assert!(
        world.is_solvable(&specs, &after, &[]),
        "{package}: what is locked is no solution"
    );

    // It is the newest that there can be.
    let now = after.iter().find(|record| name(record) == package).unwrap();
    let version = &now.package_record.version;
    let newer = world
        .records
        .iter()
        .filter(|record| name(record) == package && record.package_record.version > *version);
    for record in newer {
        let mut with = specs.clone();
        with.push(requirement(&format!(
            "{package} =={}",
            record.package_record.version
        )));
        assert!(
            !world.is_solvable(&with, &[], &[]),
            "{package} could be {}",
            record.package_record.version
        );
    }
    specs.push(requirement(&format!("{package} =={version}")));

    let mut forced = 0;
    for (from, to, cause) in &moved {
        let record = to.as_ref().or(from.as_ref()).unwrap();
        match *cause {
            "named" => assert_eq!(name(record), package),
            "unneeded" => {
                assert!(to.is_none());
                let is_needed = after.iter().any(|other| {
                    let depends = &other.package_record.depends;
                    depends.iter().any(|text| {
                        let name = PackageName::normalized_name_from_matchspec_str(text);
                        name == record.package_record.name.as_normalized()
                    })
                });
                assert!(!is_needed, "{package}: {} is needed", name(record));
            }
            "forced" => {
                forced += 1;
                let mut held = stayed.clone();
                let mut absent = Vec::new();
                match from {
                    Some(from) => held.push(from),
                    None => absent.push(name(record)),
                }
                assert!(
                    !world.is_solvable(&specs, &held, &absent),
                    "{package}: {} need not have moved",
                    name(record)
                );
            }
            other => panic!("{package}: {other}"),
        }
    }
    forced
}

/// A lock of old versions, and then a spec that lets newer ones in.
fn aged(env: &TestEnv, old: &[&str], now: &[&str]) {
    env.spec("lab", &spec(old, "linux-64"));
    env.run(&["lock"]).success();
    env.spec("lab", &spec(now, "linux-64"));
    env.run(&["lock"]).success();
}

#[test]
fn whichever_package_is_updated_nothing_moves_that_need_not_move() {
    let world = World::of("linux-64");
    let mut forced = 0;
    let cases: [(&[&str], &[&str]); 3] = [
        (
            &[
                "python 3.11.*",
                "numpy 1.26.*",
                "scipy 1.11.*",
                "pandas 2.1.*",
            ],
            &["python", "numpy", "scipy", "pandas"],
        ),
        (
            &["python 3.10.*", "numpy 1.24.*", "scipy", "pandas"],
            &["python <3.13", "numpy", "scipy", "pandas 2.*"],
        ),
        (
            &["python 3.12.*", "numpy 1.26.*", "pandas 2.2.*"],
            &["python 3.12.*", "numpy", "pandas"],
        ),
    ];
    for (old, now) in cases {
        let env = env();
        aged(&env, old, now);
        let packages: Vec<String> = locked(&env.lock("lab"))
            .iter()
            .map(|record| name(record).to_owned())
            .collect();
        assert!(packages.len() > 20, "{packages:?}");
        for package in packages {
            forced += judge(&env, &world, now, &package);
        }
    }
    assert!(forced > 50, "only {forced} packages were ever forced");
}

#[test]
fn a_package_that_needs_nobody_moves_alone() {
    let env = env();
    aged(
        &env,
        &["python 3.12.*", "numpy 2.0.*", "pandas 2.2.*"],
        &["python 3.12.*", "numpy", "pandas"],
    );
    let answer = env.run(&["update", "numpy", "--json"]).success().json();
    let changes = answer["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1, "{answer:#}");
    assert_eq!(changes[0]["to"]["name"], "numpy");
    assert_eq!(changes[0]["to"]["version"], "2.5.1");
    // A fresh solution has more that is new.
    let all = env.run(&["update", "--json"]).success().json();
    assert!(!all["changes"].as_array().unwrap().is_empty());
}

#[test]
fn the_line_that_holds_a_package_back_is_named() {
    let env = env();
    aged(
        &env,
        &["python 3.11.*", "numpy 1.26.*", "pandas"],
        &["python 3.11.*", "numpy", "pandas"],
    );
    env.run(&["update", "numpy"])
        .success()
        .says("numpy 2.5.1 is held back for linux-64 by `- python 3.11.*` (envs/lab.yaml:3)");
    env.run(&["update", "python", "--dry-run"])
        .success()
        .says("is held back for linux-64 by `- python 3.11.*` (envs/lab.yaml:3)");
}

#[test]
fn a_package_is_updated_for_every_platform_that_has_it() {
    let env = env();
    let platforms = "linux-64, linux-aarch64, osx-arm64";
    env.spec("lab", &spec(&["python", "numpy 1.26.*"], platforms));
    env.run(&["lock"]).success();
    env.spec("lab", &spec(&["python", "numpy"], platforms));
    env.run(&["lock"]).success();
    let answer = env
        .run(&["update", "numpy", "--json", "--dry-run"])
        .success()
        .json();
    let named: Vec<&str> = answer["changes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|change| change["cause"] == "named")
        .map(|change| change["platform"].as_str().unwrap())
        .collect();
    assert_eq!(named, ["linux-64", "linux-aarch64", "osx-arm64"]);
    let text = env.run(&["update", "numpy"]).success().stdout;
    assert!(text.starts_with("linux-64\n"), "{text}");
    assert!(text.contains("\nosx-arm64\n"), "{text}");
}
