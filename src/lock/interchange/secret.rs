//! Passwords and tokens in URLs, wherever in a text they stand.

/// The beginning of a URL in a text that holds a password or a token, without it:
/// `https://example.org/…`. Specs, locks and what is made of them are read by others.
///
/// A user without a password counts where it can be a token (`https://TOKEN@host`), not
/// in `ssh://git@host`. conda's own form of a token is a path: `/t/TOKEN/channel`.
pub fn secret_in(text: &str) -> Option<String> {
    text.match_indices("://").find_map(|(at, _)| {
        let scheme = text[..at]
            .rsplit(|c: char| !(c.is_ascii_alphanumeric() || "+.-".contains(c)))
            .next()
            .unwrap_or_default();
        let rest = &text[at + 3..];
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`');
        let url = rest.split(ends).next().unwrap_or_default();
        let authority = url.split(['/', '?', '#']).next().unwrap_or_default();
        let path = &url[authority.len()..];
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let is_web = scheme.ends_with("http") || scheme.ends_with("https");
        let has_secret = user.contains(':') || (is_web && !user.is_empty());
        (has_secret || path.starts_with("/t/")).then(|| format!("{scheme}://{host}/…"))
    })
}

#[cfg(test)]
mod tests {
    use super::secret_in;

    #[test]
    fn a_password_and_a_token_are_found_wherever_they_stand_and_never_shown() {
        for (text, shown) in [
            ("https://anna:pw@host.org/c", "https://host.org/…"),
            ("- \"https://TOKEN@host/c\"", "https://host/…"),
            ("x @ git+https://u:p@host/r.git", "git+https://host/…"),
            (
                "https://conda.anaconda.org/t/to-ken/c",
                "https://conda.anaconda.org/…",
            ),
            ("fine https://a/b\nhttp://u@h#/x", "http://h/…"),
            ("git+ssh://git:pw@host/r", "git+ssh://host/…"),
        ] {
            assert_eq!(secret_in(text).as_deref(), Some(shown), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        for text in [
            "https://conda.anaconda.org/conda-forge",
            "git+ssh://git@github.com/a/b.git",
            "https://host/a/t/b",
            "https://host/a@b",
            "file:///t/channel is no token but would be taken for one",
            "anna@host.org",
        ] {
            let found = secret_in(text);
            assert_eq!(found.is_some(), text.starts_with("file:///t/"), "{text}");
        }
    }
}
