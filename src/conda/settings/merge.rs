//! Several files' parameters of one name → one, by conda's rules
//! (`LoadedParameter.merge` in `conda/common/configuration.py`).
//!
//! The parameters come in conda's order, what counts most last. One value: the first
//! that is `#!final`, else the last. A list: all entries, those of later files first,
//! `#!top` before and `#!bottom` behind them all. A mapping: its keys, each by itself.
//! A `#!final` key ends it: later files have no say.

use std::collections::BTreeMap;

use super::condarc::{Flag, Item, Parameter, Said};

/// Merges; `None` if there is none.
pub(super) fn merge(all: &[Parameter]) -> Option<Parameter> {
    let is_final = |parameter: &Parameter| parameter.flag == Some(Flag::Final);
    let count = all.iter().position(is_final).map_or(all.len(), |at| at + 1);
    let heard = &all[..count];
    let last = heard.last()?;
    let said = match &last.said {
        Said::One(_) => last.said.clone(),
        Said::List(_) => Said::List(lists(heard)),
        Said::Map(_) => Said::Map(maps(heard)),
    };
    Some(Parameter {
        said,
        at: last.at,
        flag: last.flag,
    })
}

fn lists(heard: &[Parameter]) -> Vec<Item> {
    let items = |parameter: &Parameter| match &parameter.said {
        Said::List(items) => items.clone(),
        _ => Vec::new(),
    };
    let marked = |parameter: &Parameter, mark: Flag| {
        let items = items(parameter).into_iter();
        items.filter(move |item| item.flag == Some(mark))
    };
    let top = heard.iter().flat_map(|one| marked(one, Flag::Top));
    let all = heard.iter().rev().flat_map(items);
    let top_first = unique(top.chain(all));
    let bottom: Vec<Item> = heard
        .iter()
        .rev()
        .flat_map(|one| marked(one, Flag::Bottom))
        .collect();
    let backwards = bottom.into_iter().rev().chain(top_first.into_iter().rev());
    let mut merged = unique(backwards);
    merged.reverse();
    merged
}

/// The first of each text.
fn unique(items: impl Iterator<Item = Item>) -> Vec<Item> {
    let mut kept: Vec<Item> = Vec::new();
    for item in items {
        if !kept.iter().any(|known| known.text == item.text) {
            kept.push(item);
        }
    }
    kept
}

fn maps(heard: &[Parameter]) -> BTreeMap<String, Parameter> {
    let mut by_key: BTreeMap<String, Vec<Parameter>> = BTreeMap::new();
    for parameter in heard {
        let Said::Map(map) = &parameter.said else {
            continue;
        };
        for (key, value) in map {
            by_key.entry(key.clone()).or_default().push(value.clone());
        }
    }
    let merged = by_key.into_iter();
    merged
        .filter_map(|(key, values)| Some((key, merge(&values)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::condarc::{Parameter, Said, Source};
    use super::super::places::Surroundings;
    use super::merge;

    fn merged(key: &str, files: &[&str]) -> Option<Parameter> {
        let surroundings = Surroundings {
            variables: [("WHO".into(), "anna".into())].into(),
            ..Surroundings::default()
        };
        let sources = files.iter().enumerate().map(|(number, text)| {
            Source::of_file(number, Path::new("/x/.condarc"), text, &surroundings).unwrap()
        });
        let all: Vec<Parameter> = sources
            .filter_map(|source| source.parameters.get(key).cloned())
            .collect();
        merge(&all)
    }

    fn list(files: &[&str]) -> String {
        match merged("channels", files).map(|parameter| parameter.said) {
            Some(Said::List(items)) => {
                let texts: Vec<String> = items.into_iter().map(|item| item.text).collect();
                texts.join(" ")
            }
            other => panic!("{other:?}"),
        }
    }

    /// What conda's own tests say of lists with these marks in this order
    /// (conda/conda `tests/common/test_configuration.py`, `test_list_merges`,
    /// `test_simple_merges_and_caching`, `test_important_primitive_map_merges`), with
    /// letters in place of its names.
    #[test]
    fn lists_are_merged_as_conda_merges_them() {
        const F1: &str = "channel: [b, d, t]";
        const F2: &str = "channels: [k, b, e]";
        const F3: &str = "channels:\n  - w   #!top\n  - d\n  - f\n";
        const F4: &str = "channels:  #!final\n  - p\n  - m\n  - s\n";
        const F5: &str = "channels:\n  - p\n  - m   #!top\n  - s\n";
        const F6: &str = "channels:\n  - e\n  - m  #!bottom\n  - b\n";
        const F7: &str = "channels:\n  - w\n  - d  #!top\n  - s    #!top\n  - f\n";
        const F8: &str = "channels:\n  - p  #!bottom\n  - m  #!top\n  - w\n  - s\n";
        const F9: &str = "channels: #!final\n  - s\n  - p\n  - m   #!top\n  - d  #!bottom\n";
        for (files, expected) in [
            (&[F1, F2][..], "k b e d t"),
            (&[F2, F1], "b d t k e"),
            (&[F3, F1, F2], "w k b e d t f"),
            (&[F1, F3, F2], "w k b e d f t"),
            (&[F3, F2, F1], "w b d t k e f"),
            (&[F5, F3], "m w d f p s"),
            (&[F6, F5, F4, F3], "p s e b m"),
            (&[F3, F4, F5, F6], "w p m s d f"),
            (&[F6, F3, F4, F5], "w p s d f e b m"),
            (&[F7, F8, F9], "s m w f d p"),
            (&[F7, F9, F8], "s m p w f d"),
        ] {
            assert_eq!(list(files), expected, "{files:?}");
        }
    }

    #[test]
    fn a_comment_is_no_mark_unless_it_is_one_and_variables_are_put_in() {
        for (files, expected) in [
            (&["channels: [a] #!final", "channels: [c]"][..], "a"),
            (&["channels: [a] # final", "channels: [c]"], "c a"),
            (&["channels: #! final\n - a\n", "channels: [c]"], "c a"),
            (&["channels:\n- a  # words\n- b\n"], "a b"),
            (
                &["channels: [\"$WHO\", \"${WHO}x\", $NOBODY, \"a$\"]"],
                "anna annax $NOBODY a$",
            ),
        ] {
            assert_eq!(list(files), expected, "{files:?}");
        }
    }

    #[test]
    fn of_one_value_the_last_counts_unless_an_earlier_one_is_final() {
        let one = |files: &[&str]| match merged("ssl_verify", files).unwrap().said {
            Said::One(item) => item.text,
            other => panic!("{other:?}"),
        };
        assert_eq!(one(&["ssl_verify: a", "verify_ssl: b"]), "b");
        assert_eq!(one(&["ssl_verify: a #!final", "ssl_verify: b"]), "a");
        assert_eq!(one(&["ssl_verify: a", "ssl_verify:"]), "a");
    }

    #[test]
    fn of_a_mapping_each_key_is_merged_by_itself() {
        let of = |files: &[&str], key: &str| {
            let Said::Map(map) = merged("proxy_servers", files).unwrap().said else {
                panic!("no mapping");
            };
            match map.get(key).map(|parameter| parameter.said.clone()) {
                Some(Said::One(item)) => item.text,
                other => format!("{other:?}"),
            }
        };
        let (first, second) = (
            "proxy_servers:\n  http: a #!final\n  https: b\n",
            "proxy_servers: {http: c, https: d, all: e}",
        );
        assert_eq!(of(&[first, second], "http"), "a");
        assert_eq!(of(&[first, second], "https"), "d");
        assert_eq!(of(&[first, second], "all"), "e");
        let last = "proxy_servers: #!final\n  http: z\n";
        assert_eq!(of(&[last, second], "https"), "None");
    }

    #[test]
    fn what_is_not_there_is_nothing() {
        assert_eq!(merged("channels", &["", "# words\n", "other: 1"]), None);
    }
}
