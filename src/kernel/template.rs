//! The values of `env` in a kernel.json are templates: Jupyter fills them in
//! from the server's environment, as Python's `string.Template` does.
//!
//! `jupyter_client`'s `KernelProvisionerBase.pre_launch` runs
//! `Template(value).safe_substitute(os.environ)` over each of them once, in no
//! chain: `$name` and `${name}` become the *server's* variable, `$$` becomes
//! one `$`, and whatever else looks like a reference, or names a variable that
//! the server does not have, stays as it is written. So a literal `$` has to be
//! doubled, and a reference is only sound for a variable that is always set.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// A part of a template, with the text it was written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    EscapedDollar,
    Reference { name: &'a str, written: &'a str },
}

/// Writes a literal value as a template that gives it back unchanged.
pub fn escape(literal: &str) -> String {
    literal.replace('$', "$$")
}

/// What Jupyter makes of a template in an environment that `variable` looks up.
pub fn substitute<'v>(template: &str, variable: impl Fn(&str) -> Option<&'v str>) -> String {
    pieces(template)
        .map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::EscapedDollar => "$",
            Piece::Reference { name, written } => variable(name).unwrap_or(written),
        })
        .collect()
}

/// A template that means the same in the server's environment as `template`
/// would mean in one where `below` had been set before.
///
/// Jupyter substitutes once, so `PATH=${PATH}` in a package's kernelspec would
/// throw away the `PATH` of the activation unless it is put in here.
pub(super) fn compose(template: &str, below: &BTreeMap<String, String>) -> String {
    pieces(template)
        .map(|piece| match piece {
            Piece::Text(text) => Cow::Borrowed(text),
            Piece::EscapedDollar => Cow::Borrowed("$$"),
            Piece::Reference { name, written } => {
                Cow::Borrowed(below.get(name).map_or(written, String::as_str))
            }
        })
        .collect()
}

/// Splits as the pattern of `string.Template` does: `\$(\$|id|{id})`, where an
/// id is `[_a-zA-Z][_a-zA-Z0-9]*`; any other `$` is text.
fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, length) = next_piece(rest);
        rest = &rest[length..];
        Some(piece)
    })
}

/// The first piece of a text that isn't empty, and its length in bytes.
fn next_piece(text: &str) -> (Piece<'_>, usize) {
    let Some(after) = text.strip_prefix('$') else {
        let end = text.find('$').unwrap_or(text.len());
        return (Piece::Text(&text[..end]), end);
    };
    if after.starts_with('$') {
        return (Piece::EscapedDollar, 2);
    }
    let bare = identifier(after);
    if !bare.is_empty() {
        let written = &text[..=bare.len()];
        return (
            Piece::Reference {
                name: bare,
                written,
            },
            written.len(),
        );
    }
    if let Some(inner) = after.strip_prefix('{') {
        let name = identifier(inner);
        if !name.is_empty() && inner[name.len()..].starts_with('}') {
            let written = &text[..name.len() + 3];
            return (Piece::Reference { name, written }, written.len());
        }
    }
    (Piece::Text("$"), 1)
}

/// The identifier that a text begins with, or nothing.
fn identifier(text: &str) -> &str {
    let is_part = |(at, c): (usize, char)| {
        c == '_' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit())
    };
    let end = text
        .char_indices()
        .find(|&place| !is_part(place))
        .map_or(text.len(), |(at, _)| at);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn in_server(template: &str) -> String {
        substitute(template, |name| match name {
            "PATH" => Some("/usr/bin"),
            "A" => Some("$B"),
            "B" => Some("never"),
            _ => None,
        })
    }

    #[test]
    fn references_are_filled_in_as_pythons_template_does() {
        // The right-hand sides are what CPython's string.Template gave.
        for (template, expected) in [
            ("/x:${PATH}", "/x:/usr/bin"),
            ("$PATH:$PATHS", "/usr/bin:$PATHS"),
            ("${UNSET}/a", "${UNSET}/a"),
            ("$$PATH", "$PATH"),
            ("$$$PATH", "$/usr/bin"),
            ("100$", "100$"),
            ("$1 ${1} ${PATH", "$1 ${1} ${PATH"),
            ("${PATH }", "${PATH }"),
            ("$A", "$B"),
            ("$Aé", "$Bé"),
            ("$éA", "$éA"),
            ("${}", "${}"),
        ] {
            assert_eq!(in_server(template), expected, "{template}");
        }
    }

    #[test]
    fn a_package_that_extends_path_extends_the_one_of_the_activation() {
        let below = BTreeMap::from([("PATH".to_owned(), "/gen/bin:${PATH}".to_owned())]);
        assert_eq!(compose("/extra:${PATH}", &below), "/extra:/gen/bin:${PATH}");
        assert_eq!(compose("$$PATH $HOME", &below), "$$PATH $HOME");
    }

    proptest! {
        #[test]
        fn an_escaped_value_comes_out_as_it_went_in(value in "[$A{}_ é1]{0,12}|\\PC{0,20}") {
            prop_assert_eq!(in_server(&escape(&value)), value);
        }

        #[test]
        fn composing_with_nothing_changes_nothing(template in "[$A{}_1]{0,12}") {
            prop_assert_eq!(compose(&template, &BTreeMap::new()), template);
        }
    }
}
