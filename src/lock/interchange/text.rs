//! Texts of strangers inside files and messages of ours.

/// A text on one line, for a message or a comment: control characters escaped, long
/// ones cut.
pub fn one_line(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut out = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == LONGEST {
            out.push('…');
            break;
        }
        // Line separators of Unicode end a YAML comment for YAML 1.1.
        if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}') {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

/// A text as one scalar of YAML on one line, quoted where a reader would take it for
/// something else.
pub fn scalar(text: &str) -> String {
    let plain = serde_yaml::to_string(&text).unwrap_or_default();
    let plain = plain.strip_suffix('\n').unwrap_or(&plain);
    if !plain.is_empty() && !plain.contains('\n') && !text.contains('\n') {
        return plain.to_owned();
    }
    // JSON is YAML; a block of lines would have to know its indentation.
    serde_json::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{one_line, scalar};

    proptest! {
        #[test]
        fn a_scalar_is_read_as_the_text_that_it_was(text in "\\PC*|[ -~]{0,400}|[a-z:#\\-\\[\\]{}'\" \n\t]{0,30}") {
            let document = format!("a:\n  - {}\n", scalar(&text));
            let read: std::collections::BTreeMap<String, Vec<String>> =
                serde_yaml::from_str(&document).unwrap();
            prop_assert_eq!(&read["a"][0], &text);
            prop_assert_eq!(document.lines().count(), 2);
        }

        #[test]
        fn one_line_is_one_and_has_nothing_that_a_terminal_obeys(text in "\\PC*|(\\x1b|\n|\r|[a-z])*") {
            let line = one_line(&text);
            prop_assert!(!line.chars().any(char::is_control));
        }
    }
}
