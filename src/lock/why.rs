//! Why a package that nobody named is not what it was.

use rattler_conda_types::{
    MatchSpec, Matches as _, PackageName, ParseMatchSpecOptions, RepoDataRecord,
};

/// The requirement that parts a package as it was from the set as it is now: one of
/// its own, or one on it. `scipy 1.11.4 needs numpy <2`. For a package that is new: who
/// needs it. `None` if no single requirement does.
pub fn why(name: &str, before: &[RepoDataRecord], after: &[RepoDataRecord]) -> Option<String> {
    let named = |records: &'_ [RepoDataRecord], name: &str| {
        let mut records = records.iter();
        records
            .find(|record| record.package_record.name.as_normalized() == name)
            .cloned()
    };
    let Some(was) = named(before, name) else {
        return after.iter().find_map(|record| {
            let mut needs = record.package_record.depends.iter();
            needs.find_map(|text| {
                (name_of(text) == name).then(|| format!("{} needs it", title(record)))
            })
        });
    };
    // What it needed and does not find any more.
    let own = requirements(&was).find_map(|(word, text)| {
        let spec = spec(text)?;
        let there = named(after, spec.name.as_exact()?.as_normalized())?;
        (!spec.matches(&there)).then(|| format!("{} {word} {text}", title(&was)))
    });
    own.or_else(|| {
        // What is needed of it now.
        after.iter().find_map(|record| {
            requirements(record).find_map(|(word, text)| {
                let spec = (name_of(text) == name).then(|| spec(text))??;
                (!spec.matches(&was)).then(|| format!("{} {word} {text}", title(record)))
            })
        })
    })
}

/// What a package needs, and what it only takes.
fn requirements(record: &RepoDataRecord) -> impl Iterator<Item = (&'static str, &str)> {
    let record = &record.package_record;
    let depends = record.depends.iter().map(|text| ("needs", text.as_str()));
    let constrains = record.constrains.iter();
    depends.chain(constrains.map(|text| ("goes only with", text.as_str())))
}

fn spec(text: &str) -> Option<MatchSpec> {
    MatchSpec::from_str(text, ParseMatchSpecOptions::lenient()).ok()
}

/// The name alone: parsing the whole of each requirement would take a hundred times as
/// long.
fn name_of(text: &str) -> String {
    PackageName::normalized_name_from_matchspec_str(text).into_owned()
}

fn title(record: &RepoDataRecord) -> String {
    let record = &record.package_record;
    format!("{} {}", record.name.as_normalized(), record.version)
}
