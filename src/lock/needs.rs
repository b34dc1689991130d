//! What packages need of the machine that they run on.
//!
//! Packages say it themselves, in their records: a requirement whose name begins with two
//! underscores is the machine's to meet. This is computed from what is locked and not
//! from what a spec's target declares, which may be more than any package needs.

use rattler_conda_types::{
    EqualityOperator, GenericVirtualPackage, MatchSpec, ParseMatchSpecOptions, RangeOperator,
    RepoDataRecord, StringMatcher, Version, VersionSpec,
};
use serde::{Deserialize, Serialize};

/// One thing that packages need of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// The requirement as the package writes it: `__glibc >=2.34,<3.0.a0`.
    pub requirement: String,
    /// The package: `python 3.12.1`.
    pub by: String,
    /// Whether a machine may lack it altogether: an older driver is in the way, none is
    /// not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub if_there: bool,
}

impl Need {
    /// What a set of packages needs, each thing once, by the package that needs most of
    /// it; ordered by the requirements.
    pub fn of<'r>(records: impl IntoIterator<Item = &'r RepoDataRecord>) -> Vec<Self> {
        let mut needs: Vec<Self> = Vec::new();
        for record in records {
            let package = &record.package_record;
            let depends = package.depends.iter().map(|text| (text, false));
            let constrains = package.constrains.iter().map(|text| (text, true));
            let all = depends.chain(constrains);
            for (text, if_there) in all.filter(|(text, _)| text.starts_with("__")) {
                let need = Self {
                    requirement: text.clone(),
                    by: format!("{} {}", package.name.as_normalized(), package.version),
                    if_there,
                };
                if needs.iter().any(|known| known.covers(&need)) {
                    continue;
                }
                needs.retain(|known| !need.covers(known));
                needs.push(need);
            }
        }
        needs.sort_by(|a, b| a.requirement.cmp(&b.requirement).then(a.by.cmp(&b.by)));
        needs
    }

    /// Whether a machine that meets this meets the other too.
    fn covers(&self, other: &Self) -> bool {
        let (Some(own), Some(others)) = (self.spec(), other.spec()) else {
            return self.requirement == other.requirement;
        };
        if own.name != others.name || self.if_there && !other.if_there {
            return false;
        }
        if self.requirement == other.requirement {
            return true;
        }
        if own.build.is_some() || others.build.is_some() {
            return false;
        }
        match (&own.version, &others.version) {
            (_, None) => true,
            (Some(_), Some(_)) => match (self.bounds(), other.bounds()) {
                (Some((own, own_end)), Some((others, end))) => own >= others && own_end == end,
                _ => false,
            },
            (None, Some(_)) => false,
        }
    }

    fn spec(&self) -> Option<MatchSpec> {
        MatchSpec::from_str(&self.requirement, ParseMatchSpecOptions::lenient()).ok()
    }

    /// The lowest version, if there is one, and what ends the range, if that is all of
    /// the requirement.
    fn bounds(&self) -> Option<(Version, Option<Version>)> {
        let version = self.spec()?.version?;
        let mut parts = vec![&version];
        let (mut least, mut end) = (None, None);
        while let Some(part) = parts.pop() {
            match part {
                VersionSpec::Group(_, more) => parts.extend(more),
                VersionSpec::Range(RangeOperator::GreaterEquals, version) => {
                    least = Some(version.clone());
                }
                VersionSpec::Range(RangeOperator::Less, version) => end = Some(version.clone()),
                _ => return None,
            }
        }
        // conda-forge writes it of glibc, which has no version 3.
        let never: Version = "3.0.a0".parse().ok()?;
        Some((least?, end.filter(|end| *end != never)))
    }

    /// What it is called without the underscores: `glibc`.
    pub fn what(&self) -> String {
        let spec = self.spec();
        let name = spec.as_ref().and_then(|spec| spec.name.as_exact());
        let name = name.map_or(self.requirement.as_str(), |name| name.as_normalized());
        name.trim_start_matches('_').to_owned()
    }

    /// The lowest version that does, as far as the requirement says one.
    pub fn least(&self) -> Option<Version> {
        let version = self.spec()?.version?;
        lowest(&version)
    }

    /// The microarchitecture that it names, if it names one.
    pub fn architecture(&self) -> Option<String> {
        match self.spec()?.build? {
            StringMatcher::Exact(name) if self.what() == "archspec" => Some(name),
            _ => None,
        }
    }

    /// Whether a machine with these virtual packages meets it. Of a microarchitecture
    /// only the very name counts: which one runs the programs of which is not told here.
    pub fn is_met(&self, offered: &[GenericVirtualPackage]) -> bool {
        let Some(spec) = self.spec() else {
            return true;
        };
        let mut of_name = offered
            .iter()
            .filter(|package| spec.name.as_exact() == Some(&package.name))
            .peekable();
        if of_name.peek().is_none() {
            return self.if_there;
        }
        of_name.any(|package| {
            let version = spec.version.as_ref();
            let build = spec.build.as_ref();
            version.is_none_or(|version| version.matches(&package.version))
                && build.is_none_or(|build| build.matches(package.build_string.as_str()))
        })
    }

    /// What is needed, for people: `glibc 2.34`.
    pub fn in_words(&self) -> String {
        let what = self.what();
        match (self.architecture(), self.least()) {
            (Some(name), _) => format!("a processor of {name}"),
            (None, Some(version)) => format!("{what} {version}"),
            (None, None) => what,
        }
    }
}

fn lowest(version: &VersionSpec) -> Option<Version> {
    match version {
        VersionSpec::Range(RangeOperator::GreaterEquals | RangeOperator::Greater, version)
        | VersionSpec::Exact(EqualityOperator::Equals, version) => Some(version.clone()),
        VersionSpec::StrictRange(_, version) => Some(Version::clone(version)),
        VersionSpec::Group(_, parts) => parts.iter().filter_map(lowest).max(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rattler_conda_types::{GenericVirtualPackage, PackageName};

    use super::Need;

    fn need(requirement: &str) -> Need {
        Need {
            requirement: requirement.to_owned(),
            by: "a 1".to_owned(),
            if_there: false,
        }
    }

    fn machine(packages: &[(&'static str, &str, &str)]) -> Vec<GenericVirtualPackage> {
        let of_one = |&(name, version, build): &(&'static str, &str, &str)| GenericVirtualPackage {
            name: PackageName::new_unchecked(name),
            version: version.parse().unwrap(),
            build_string: build.parse().unwrap(),
        };
        packages.iter().map(of_one).collect()
    }

    /// A record that needs these; `?` in front of what a machine may lack.
    fn record(name: &str, needs: &[&str]) -> rattler_conda_types::RepoDataRecord {
        let (constrains, depends): (Vec<&str>, Vec<&str>) =
            needs.iter().partition(|need| need.starts_with('?'));
        let constrains: Vec<&str> = constrains.iter().map(|need| &need[1..]).collect();
        serde_json::from_value(serde_json::json!({
            "name": name, "version": "1", "build": "0", "build_number": 0, "subdir": "linux-64",
            "depends": depends, "constrains": constrains,
            "fn": format!("{name}-1-0.conda"), "url": format!("file:///c/linux-64/{name}-1-0.conda"),
            "channel": "c",
        }))
        .unwrap()
    }

    fn needs(records: &[(&str, &[&str])]) -> Vec<String> {
        let records: Vec<_> = records
            .iter()
            .map(|(name, needs)| record(name, needs))
            .collect();
        let needs = Need::of(&records);
        let text = |need: Need| format!("{} by {}", need.requirement, need.by);
        needs.into_iter().map(text).collect()
    }

    #[test]
    fn of_many_needs_the_greatest_is_kept_with_who_has_it() {
        assert_eq!(
            needs(&[
                ("old", &["__glibc >=2.17,<3.0.a0", "zlib"]),
                ("new", &["__glibc >=2.34,<3.0.a0"]),
                ("older", &["__glibc >=2.17"]),
                ("gpu", &["__cuda"]),
                ("gpus", &["__cuda >=12.4"]),
            ]),
            ["__cuda >=12.4 by gpus 1", "__glibc >=2.34,<3.0.a0 by new 1"]
        );
    }

    #[test]
    fn what_a_machine_may_lack_replaces_nothing_that_it_must_have() {
        assert_eq!(
            needs(&[("must", &["__cuda >=11"]), ("may", &["?__cuda >=12"])]),
            ["__cuda >=11 by must 1", "__cuda >=12 by may 1"]
        );
        assert_eq!(
            needs(&[("may", &["?__cuda  >=12"]), ("must", &["__cuda >=12"])]),
            ["__cuda >=12 by must 1"]
        );
    }

    #[test]
    fn a_machine_meets_what_it_has_in_time_and_build() {
        let node = machine(&[("__glibc", "2.28", "0"), ("__archspec", "1", "x86_64_v3")]);
        assert!(need("__glibc >=2.17,<3.0.a0").is_met(&node));
        assert!(!need("__glibc >=2.34,<3.0.a0").is_met(&node));
        assert!(need("__archspec 1 x86_64_v3").is_met(&node));
        assert!(!need("__archspec 1 x86_64_v4").is_met(&node));
        assert!(!need("__cuda").is_met(&node));
        let lax = Need {
            if_there: true,
            ..need("__cuda >=12")
        };
        assert!(lax.is_met(&node));
        assert!(!lax.is_met(&machine(&[("__cuda", "11.8", "0")])));
    }

    #[test]
    fn a_need_is_told_in_words() {
        assert_eq!(need("__glibc >=2.34,<3.0.a0").in_words(), "glibc 2.34");
        assert_eq!(need("__cuda").in_words(), "cuda");
        assert_eq!(need("__cuda 12.*").in_words(), "cuda 12");
        assert_eq!(
            need("__archspec 1 x86_64_v3").in_words(),
            "a processor of x86_64_v3"
        );
    }
}
