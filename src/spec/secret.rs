//! Passwords and tokens in URLs: a spec is in git and read by others, so they are
//! refused, and no message shows the line that holds one.

/// The first URL in a text that carries a password or a token, without either.
pub(super) fn carrier(text: &str) -> Option<String> {
    urls(text)
        .find(Url::has_secret)
        .map(|url| format!("{}://{}/…", url.scheme, url.host()))
}

/// The text with `***` where a URL in it has a password or a token.
pub(super) fn redacted(text: &str) -> String {
    let mut out = String::new();
    let mut end = 0;
    for url in urls(text).filter(Url::has_secret) {
        out.push_str(&text[end..url.start]);
        out.push_str("***");
        end = url.start + url.rest.len();
    }
    out + &text[end..]
}

struct Url<'t> {
    scheme: &'t str,
    /// Where the part behind `://` begins.
    start: usize,
    /// The part behind `://`, up to a sign that no URL has.
    rest: &'t str,
}

fn urls(text: &str) -> impl Iterator<Item = Url<'_>> {
    text.match_indices("://").map(move |(at, separator)| {
        let before = &text[..at];
        let in_scheme = |c: char| c.is_ascii_alphanumeric() || "+.-".contains(c);
        let start = at + separator.len();
        let rest = &text[start..];
        let end = rest
            .find(|c: char| c.is_whitespace() || "\"'<>`".contains(c))
            .unwrap_or(rest.len());
        Url {
            scheme: &before[before.trim_end_matches(in_scheme).len()..],
            start,
            rest: &rest[..end],
        }
    })
}

impl Url<'_> {
    fn authority(&self) -> &str {
        let end = self.rest.find(['/', '?', '#']);
        &self.rest[..end.unwrap_or(self.rest.len())]
    }

    fn host(&self) -> &str {
        let authority = self.authority();
        authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host)
    }

    fn has_secret(&self) -> bool {
        let path = &self.rest[self.authority().len()..];
        // conda's own form of a token is a path: /t/<token>/channel.
        let token = path.strip_prefix("/t/").and_then(|it| it.split('/').next());
        let Some((user, _)) = self.authority().rsplit_once('@') else {
            return token.is_some_and(is_secret);
        };
        match user.split_once(':') {
            Some((_, password)) => is_secret(password),
            // A token may stand where the user does; over ssh it is only a name.
            None => !self.scheme.ends_with("ssh") && user != "git" && is_secret(user),
        }
    }
}

/// A variable that pip fills in (`${TOKEN}`) is none.
fn is_secret(text: &str) -> bool {
    let variable = text
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'));
    !(text.is_empty() || variable.is_some_and(|name| !name.contains(['$', '{', '}'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_tokens_are_found() {
        for text in [
            "https://ada:s3cret@example.org/simple",
            "--index-url=https://s3cret@example.org/simple",
            "tool @ git+https://oauth2:s3cret@example.org/tool.git@v1",
            "git+ssh://git:s3cret@example.org/tool",
            "https://example.org/t/s3cret/channel",
            "https://a:${USER}s3cret@example.org/",
        ] {
            assert!(carrier(text).unwrap().contains("://example.org/"), "{text}");
            assert!(!redacted(text).contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn names_and_variables_are_none() {
        for text in [
            "git+ssh://git@github.com/lab/tool.git@main",
            "https://git@github.com/lab/tool",
            "https://${TOKEN}@example.org/simple",
            "https://ada:${TOKEN}@example.org/simple",
            "https://example.org/simple@1",
            "https://example.org/t/${TOKEN}/channel",
            "numpy >=2",
        ] {
            assert_eq!(carrier(text), None, "{text}");
            assert_eq!(redacted(text), text);
        }
    }
}
