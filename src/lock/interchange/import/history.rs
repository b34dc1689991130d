//! conda's and mamba's `conda-meta/history`: what was asked for, in which order.

use std::collections::BTreeMap;

use super::ask::name_of;

/// The requirements that stand at the end of a history, by package name, as conda's own
/// `env export --from-history` finds them.
///
/// Lines such as `# update specs: ['python=3.6', "numpy"]` ask, `# remove specs:` takes
/// back, `# neutered specs:` loosens. Very old ones have a list with commas and without
/// brackets.
pub(super) fn requested(history: &str) -> BTreeMap<String, String> {
    let mut asked = BTreeMap::new();
    for line in history.lines() {
        let Some((action, list)) = line.strip_prefix('#').and_then(|line| {
            let (action, list) = line.trim_start().split_once(" specs:")?;
            Some((action.trim(), list.trim()))
        }) else {
            continue;
        };
        for text in items(list) {
            let name = name_of(&text).to_lowercase();
            match action {
                "update" | "install" | "create" | "neutered" => {
                    asked.insert(name, text);
                }
                "remove" | "uninstall" => {
                    asked.remove(&name);
                }
                _ => {}
            }
        }
    }
    asked
}

/// The texts of a list as Python or JSON writes it, or with bare commas.
fn items(list: &str) -> Vec<String> {
    let Some(inner) = list.strip_prefix('[') else {
        // `channel::name@` was a mark for a feature.
        let bare = list.split(',').map(str::trim);
        return bare
            .filter(|item| !item.is_empty() && !item.ends_with('@'))
            .map(str::to_owned)
            .collect();
    };
    let mut items = Vec::new();
    let mut rest = inner.chars();
    while let Some(quote) = rest.find(|c| matches!(c, '\'' | '"')) {
        let mut item = String::new();
        while let Some(c) = rest.next() {
            match c {
                '\\' => item.extend(rest.next()),
                c if c == quote => break,
                c => item.push(c),
            }
        }
        if !item.is_empty() {
            items.push(item);
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::requested;

    fn texts(history: &str) -> Vec<String> {
        requested(history).into_values().collect()
    }

    #[test]
    fn what_was_asked_for_last_stands_and_what_was_removed_does_not() {
        let history = "==> 2018-09-30 23:12:57 <==\n\
            # cmd: /home/x/anaconda3/bin/conda create -n v python=3.6\n\
            # conda version: 4.5.11\n\
            +defaults::python-3.6.6-hc3d631a_0\n\
            # update specs: ['python=3.6', 'scipy']\n\
            ==> 2018-10-08 16:15:40 <==\n\
            # update specs: [\"conda-forge::pylint[version='>=2,<3']\", \"python=3.7\"]\n\
            ==> 2018-10-08 16:15:41 <==\n\
            # remove specs: ['scipy']\n\
            # neutered specs: ['six']\n";
        assert_eq!(
            texts(history),
            ["conda-forge::pylint[version='>=2,<3']", "python=3.7", "six"]
        );
    }

    #[test]
    fn very_old_histories_have_commas_and_hostile_ones_no_end() {
        assert_eq!(
            texts("# install specs: python 3.5*,numpy\n"),
            ["numpy", "python 3.5*"]
        );
        assert_eq!(texts("# update specs: ['a', \"b"), ["a", "b"]);
        assert_eq!(texts("# update specs:\n# specs:\n#\n"), [""; 0]);
    }
}
