//! import(export(x)) is x, in the fields that each format carries.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rattler_conda_types::{EnvironmentYaml, MatchSpec, ParseStrictness, RepoDataRecord, Subdir};

use super::{environment, lock_of};
use crate::lock::PlatformPackages;
use crate::lock::interchange::{
    Imported, Portable, PortablePlatform, conda_lock, conda_lock_file, environment_pinned,
    explicit, explicit_list, lock_file_of_pixi, one_line, pixi, requirements, unmet, unmet_by,
};
use crate::spec::{EnvName, Note, SourceText, parse};

/// What identifies a file of a package: its place and its checksums.
fn file_of(record: &RepoDataRecord) -> (String, Option<String>, Option<String>) {
    let package = &record.package_record;
    (
        record.url.to_string(),
        package.md5.map(hex::encode),
        package.sha256.map(hex::encode),
    )
}

/// What every format with exact packages says of one.
fn identity(record: &RepoDataRecord) -> (String, String, String, String) {
    let package = &record.package_record;
    (
        package.name.as_normalized().to_owned(),
        package.version.to_string(),
        package.build.to_string(),
        package.subdir.clone(),
    )
}

fn of_platform(packages: &[PlatformPackages], platform: Subdir) -> &PlatformPackages {
    packages
        .iter()
        .find(|part| part.platform == platform)
        .unwrap()
}

fn all<T: Ord>(records: &[RepoDataRecord], what: impl Fn(&RepoDataRecord) -> T) -> BTreeSet<T> {
    records.iter().map(what).collect()
}

/// The spec that is written asks for what was understood, and the packages meet it.
fn spec_holds(imported: &Imported) {
    let name = EnvName::new("lab").unwrap();
    let text = imported.spec_text("a file", &name);
    let source = SourceText::from_text("lab.yaml", text.clone()).unwrap();
    let (spec, notes) = parse(&source, None).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
    // conda adds the package `pip` by itself, and reads no selectors.
    let expected = |note: &Note| {
        note.message.starts_with("the package `pip` is not listed")
            || note.message.starts_with("the comment is a selector")
            || note.message.starts_with("`not` in a selector")
    };
    assert!(notes.iter().all(expected), "{text}");
    let selectors: Vec<Option<String>> = spec
        .dependencies
        .iter()
        .map(|own| own.selector.as_ref().map(ToString::to_string))
        .collect();
    let selected: Vec<Option<String>> = imported
        .asked
        .iter()
        .map(|asked| asked.selector.clone())
        .collect();
    assert_eq!(selectors, selected);
    let texts: Vec<&str> = spec
        .dependencies
        .iter()
        .map(|own| own.text.as_str())
        .collect();
    let asked: Vec<&str> = imported
        .asked
        .iter()
        .map(|asked| asked.text.as_str())
        .collect();
    assert_eq!(texts, asked);
    let pip = spec.pip.iter().flat_map(|pip| &pip.requirements);
    assert_eq!(
        pip.map(ToString::to_string).collect::<Vec<_>>(),
        imported.pip
    );
    let channels: Vec<&String> = spec.channels.iter().map(|at| &at.value).collect();
    assert_eq!(channels, imported.channels.iter().collect::<Vec<_>>());
    let platforms: Vec<Subdir> = spec.platforms.iter().map(|at| at.value).collect();
    assert_eq!(platforms, imported.platforms);
    assert_eq!(spec.variables, imported.variables);
    assert_eq!(unmet_by(&spec, &imported.packages), [""; 0], "{text}");
    // Nothing is asked of a platform that does not have it.
    for part in &imported.packages {
        for own in &spec.dependencies {
            let has = unmet([&own.spec], std::slice::from_ref(part)).is_empty();
            assert!(has || !own.applies_to(part.platform), "{text}");
        }
    }
    for line in &imported.left_out {
        assert!(
            text.contains(&format!("# - {}\n", one_line(line))),
            "{text}"
        );
    }
}

/// Each wheel is there again, whole, on the platforms that it was on, and asked for.
fn wheels_came_back(imported: &Imported, env: &Portable) -> bool {
    let all = env.platforms.iter().all(|at| {
        let part = of_platform(&imported.packages, at.platform);
        let wanted = at.pypi.iter().filter_map(|package| package.as_wheel());
        part.pip.iter().eq(wanted)
    });
    let names = env.platforms.iter().flat_map(|at| &at.pypi);
    let names: BTreeSet<String> = names.map(|package| package.name().to_string()).collect();
    let asked = imported.pip.iter().map(|line| {
        let requirement: pep508_rs::Requirement = line.parse().unwrap();
        requirement.name.to_string()
    });
    all && imported.no_lock.is_empty() && asked.collect::<BTreeSet<_>>() == names
}

proptest! {
    #[test]
    fn an_explicit_list_brings_back_every_file_and_its_strongest_checksum(env in environment()) {
        let at: &PortablePlatform = &env.platforms[0];
        let exported = explicit(&env, at);
        let imported = explicit_list("x", &exported.text, Subdir::Win64).unwrap();
        let part = of_platform(&imported.packages, at.platform);
        let strongest = |record: &RepoDataRecord| {
            let (url, md5, sha256) = file_of(record);
            (url, sha256.or(md5))
        };
        prop_assert_eq!(all(&part.records, strongest), all(&at.conda, strongest));
        prop_assert_eq!(all(&part.records, identity), all(&at.conda, identity));
        spec_holds(&imported);
        // What the format can't carry is said.
        prop_assert_eq!(exported.left_out.len(),
            usize::from(!env.variables.is_empty()) + usize::from(!at.pypi.is_empty()));
    }

    #[test]
    fn conda_locks_file_brings_back_files_checksums_needs_and_packages_of_pip(env in environment()) {
        let exported = conda_lock(&env).unwrap();
        let imported = conda_lock_file("x", &exported.text).unwrap();
        prop_assert_eq!(imported.packages.len(), env.platforms.len());
        for at in &env.platforms {
            let part = of_platform(&imported.packages, at.platform);
            // `>=0.00` may be `>=0.0` when it comes back: the same versions.
            let needs = |record: &RepoDataRecord| {
                let depends = record.package_record.depends.iter();
                let read = |text: &String| MatchSpec::from_str(text, ParseStrictness::Lenient).unwrap().to_string();
                depends.map(read).collect::<BTreeSet<_>>()
            };
            let carried = |record: &RepoDataRecord| (file_of(record), identity(record), needs(record));
            prop_assert_eq!(all(&part.records, carried), all(&at.conda, carried));
        }
        prop_assert!(wheels_came_back(&imported, &env));
        prop_assert_eq!(&imported.channels, &["conda-forge"]);
        spec_holds(&imported);
    }

    #[test]
    fn pixis_lock_brings_back_every_record_whole(env in environment()) {
        let lock = lock_of(&env);
        let exported = pixi(&lock, None).unwrap();
        prop_assert!(exported.left_out.is_empty());
        let imported = lock_file_of_pixi("x", &exported.text).unwrap();
        for at in &env.platforms {
            let part = of_platform(&imported.packages, at.platform);
            let mut records = part.records.clone();
            records.sort_by(|a, b| a.package_record.name.cmp(&b.package_record.name));
            prop_assert_eq!(&records, &lock.conda_records(None, at.platform).unwrap());
            prop_assert_eq!(all(&records, file_of), all(&at.conda, file_of));
            prop_assert_eq!(lock.pypi(None, at.platform).len(), at.pypi.len());
        }
        prop_assert!(wheels_came_back(&imported, &env));
        // And the lock that is made of it is the one that it was.
        let again = Portable {
            platforms: imported.packages.iter().map(|part| PortablePlatform {
                platform: part.platform,
                conda: part.records.clone(),
                pypi: part.pip.iter().cloned().map(Into::into).collect(),
            }).collect(),
            ..env
        };
        prop_assert_eq!(pixi(&lock_of(&again), None).unwrap().text, exported.text);
        spec_holds(&imported);
    }

    #[test]
    fn a_pinned_environment_is_read_by_rattler_with_every_package_variable_and_channel(env in environment()) {
        let at = &env.platforms[0];
        let text = environment_pinned(&env, at).text;
        let read = EnvironmentYaml::from_yaml_str(&text).unwrap();
        let asked: Vec<_> = read.match_specs().cloned().collect();
        prop_assert_eq!(asked.len(), at.conda.len());
        let part = PlatformPackages {
            isolated: None, platform: at.platform, virtual_packages: Vec::new(), records: at.conda.clone(),
            pip: Vec::new(),
        };
        prop_assert_eq!(unmet(&asked, &[part]), [""; 0]);
        for spec in &asked {
            prop_assert!(spec.version.is_some() && spec.build.is_some(), "{spec}");
        }
        let variables: BTreeMap<String, String> = read.variables.clone().into_iter().collect();
        prop_assert_eq!(&variables, &env.variables);
        prop_assert_eq!(read.pip_specs().unwrap_or_default().len(), at.pypi.len());
        // It is a spec of ours too.
        let source = SourceText::from_text("lab.yaml", text).unwrap();
        let (spec, _) = parse(&source, None).unwrap();
        prop_assert_eq!(&spec.variables, &env.variables);
        prop_assert_eq!(spec.channels.len(), 1);
    }

    #[test]
    fn every_line_of_a_list_for_pip_is_a_requirement_or_a_comment(env in environment()) {
        let at = &env.platforms[0];
        let text = requirements(&env, at).text;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let names: BTreeSet<String> = lines
            .map(|line| line.parse::<pep508_rs::Requirement>().unwrap().name.to_string())
            .collect();
        let pip: BTreeSet<String> = at.pypi.iter().map(|package| package.name().to_string()).collect();
        prop_assert!(names.is_superset(&pip));
        let of_python = at.conda.iter().filter(|record| record.package_record.build.as_ref().starts_with("py"));
        let unlisted = text.matches("# not listed: ").count();
        prop_assert!(names.len() + unlisted >= of_python.count());
    }
}
