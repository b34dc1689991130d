//! What a requirement matches, against what conda says: the facts of conda's own tests,
//! with concrete records (`facts/matching.tsv`, each group with its source). The reader
//! is rattler's; where it means something else than conda, the table says so in its last
//! column, and `it readers` has the real conda confirm the column before.

use std::path::Path;
use std::str::FromStr;

use envspec::spec::parse;
use rattler_conda_types::{Channel, ChannelConfig, Matches, RepoDataRecord, Version};
use serde_json::json;

/// A record from `channel/subdir::name-version-build`, of conda-forge's linux-64 if only
/// the last part is given.
fn record(text: &str) -> RepoDataRecord {
    let (place, file) = text
        .rsplit_once("::")
        .unwrap_or(("conda-forge/linux-64", text));
    let (channel, subdir) = place.rsplit_once('/').unwrap();
    let mut parts = file.rsplitn(3, '-');
    let (build, version) = (parts.next().unwrap(), parts.next().unwrap());
    let number = build.rsplit('_').next().unwrap();
    serde_json::from_value(json!({
        "name": parts.next().unwrap(),
        "version": version,
        "build": build,
        "build_number": number.parse::<u64>().unwrap_or(0),
        "depends": [],
        "md5": "0123456789abcdef0123456789abcdef",
        "subdir": subdir,
        "fn": format!("{file}.tar.bz2"),
        "url": format!("https://conda.anaconda.org/{channel}/{subdir}/{file}.tar.bz2"),
        "channel": format!("https://conda.anaconda.org/{channel}/"),
    }))
    .unwrap()
}

/// What envspec makes of a requirement: the record fits, it does not, or the text is
/// refused. Channel and subdir are judged as the solver does.
fn ours(requirement: &str, record: &RepoDataRecord) -> &'static str {
    let quoted = requirement.replace('\'', "''");
    let text = format!("name: a\nchannels: [conda-forge]\ndependencies: ['{quoted}']\n");
    let Ok((spec, _)) = parse(&super::text(&text), None) else {
        return "refused";
    };
    let spec = &spec.dependencies[0].spec;
    let config = ChannelConfig::default_with_root_dir("/".into());
    let from = Channel::from_str(record.channel.as_ref().unwrap(), &config).unwrap();
    let wanted = spec.channel.as_ref();
    let channel = wanted.is_none_or(|wanted| wanted.base_url == from.base_url);
    let wanted = spec.subdir.as_ref();
    let subdir = wanted.is_none_or(|wanted| *wanted == record.package_record.subdir);
    let fits = spec.matches(record) && channel && subdir;
    if fits { "yes" } else { "no" }
}

#[test]
fn requirements_match_what_conda_says_but_for_the_deviations_that_are_listed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/specs/facts/matching.tsv");
    let table = fs_err::read_to_string(path).unwrap();
    let mut wrong = Vec::new();
    let mut facts = 0;
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<_> = line.split('\t').collect();
        let [requirement, package, conda, instead] = fields[..] else {
            panic!("{line:?} has not four fields");
        };
        facts += 1;
        assert_ne!(conda, instead, "{line:?}: that is no deviation");
        let wanted = if instead.is_empty() { conda } else { instead };
        let ours = ours(requirement, &record(package));
        if ours != wanted {
            wrong.push(format!("{requirement}\t{package}\t{conda}\t{ours}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {facts}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(facts > 200);
}

/// Versions in conda's order: each row of `tests/models/test_version.py`
/// (`test_version_order`, `test_openssl_convention`, `test_pep440`, `test_hexrd`).
const ORDERS: [&str; 4] = [
    "0.4 0.4.1a.vc11 0.4.1.rc 0.4.1.vc11 0.4.1 0.5a1 0.5b3 0.5C1 0.5z 0.5za 0.5 0.5_5 0.9.6 \
     0.960923 1.0 1.0.4a3 1.0.4b1 1.0.4 1.1dev1 1.1_ 1.1a1 1.1.dev1 1.1.a1 1.1 1.1.post1 1.1.1dev1 \
     1.1.1rc1 1.1.1 1.1.1post1 1.1post1 2g6 2.0b1pr0 2.2be.ta29 2.2be5ta29 2.2beta29 2.2.0.1 3.1.1.6 \
     3.2.p.r0 3.2.pr0 3.2.pr.1 5.5.kw 11g 14.3.1 14.3.1.post26.g9d75ca2 1996.07.12 1!0.4.1 1!3.1.1.6 \
     2!0.4.1",
    "1.0.1dev 1.0.1_ 1.0.1a 1.0.1b 1.0.1c 1.0.1d 1.0.1r 1.0.1rc 1.0.1rc1 1.0.1rc2 1.0.1s 1.0.1 \
     1.0.1post.a 1.0.1post.b 1.0.1post.z 1.0.1post.za 1.0.2",
    "1.0a1 1.0a2.dev456 1.0a12.dev456 1.0a12 1.0b1.dev456 1.0b2 1.0b2.post345.dev456 1.0b2.post345 \
     1.0c1.dev456 1.0c1 1.0c3 1.0rc2 1.0.dev456 1.0 1.0.post456.dev34 1.0.post456 1.1.dev1 \
     1.2.r32+123456 1.2.rev33+123456 1.2+abc 1.2+abc123def 1.2+abc123 1.2+123abc 1.2+123abc456 \
     1.2+1234.abc 1.2+123456 1!1.0a1 1!1.0a2.dev456 1!1.0.dev456 1!1.0 1!1.0.post456 1!1.2+123456",
    "0.3.0.dev 0.3.3",
];

#[test]
fn versions_have_condas_order() {
    for order in ORDERS {
        let versions: Vec<Version> = order
            .split_whitespace()
            .map(|text| Version::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}")))
            .collect();
        for pair in versions.windows(2) {
            assert!(pair[0] < pair[1], "{} and {}", pair[0], pair[1]);
        }
    }
    for (one, same) in [
        ("0.4", "0.4.0"),
        ("0.4.rc", "0.4.RC"),
        ("0.4.a1", "0.4.0a1"),
    ] {
        assert_eq!(
            Version::from_str(one).unwrap(),
            Version::from_str(same).unwrap()
        );
    }
}
