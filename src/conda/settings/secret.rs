//! What must never be shown: passwords and tokens in URLs.

use std::fmt;

use url::Url;

/// A URL that may carry a password or a token; it can be asked for, and is never
/// printed with them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SecretUrl(Url);

impl SecretUrl {
    pub(crate) fn new(url: Url) -> Self {
        Self(url)
    }

    /// The URL to ask, secrets and all.
    pub(crate) fn exposed(&self) -> &Url {
        &self.0
    }

    /// The URL to show and to write down.
    pub(crate) fn clean(&self) -> Url {
        without_secret(&self.0)
    }

    /// Whether it carries a secret.
    pub(crate) fn has_secret(&self) -> bool {
        self.clean() != self.0
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.clean())
    }
}

/// The URL without user, password, and conda's own form of a token, which stands
/// anywhere in the path: `/t/<token>`
/// (`split_anaconda_token` in conda's `conda/common/url.py`).
pub(crate) fn without_secret(url: &Url) -> Url {
    let mut clean = url.clone();
    // They refuse URLs without a host, which have neither.
    clean.set_username("").ok();
    clean.set_password(None).ok();
    let segments: Vec<&str> = url.path().split('/').collect();
    let token = segments
        .windows(2)
        .position(|pair| pair[0] == "t" && !pair[1].is_empty());
    if let Some(at) = token.filter(|_| url.scheme() != "file") {
        let kept = segments.iter().take(at).chain(segments.iter().skip(at + 2));
        clean.set_path(&kept.copied().collect::<Vec<_>>().join("/"));
    }
    clean
}

/// A text with `x` in the place of every byte that could be part of a secret in a URL:
/// as long as it was, so that places in it stay where they are. It rather hides too
/// much of a line than too little.
pub(crate) fn masked(text: &str) -> String {
    text.split_inclusive('\n').map(masked_line).collect()
}

fn masked_line(line: &str) -> String {
    let mut bytes = line.as_bytes().to_vec();
    if let Some(end) = line.rfind('@') {
        // Without a scheme, what is before the `@` begins with its word or its quote.
        let start = line[..end].find("://").map_or_else(
            || {
                let word = line[..end].rfind([' ', '\t', '"', '\'', '[', '{', ',']);
                word.map_or(0, |at| at + 1)
            },
            |at| at + 3,
        );
        bytes[start..end].fill(b'x');
    }
    for (at, _) in line.match_indices("/t/") {
        let start = at + 3;
        let length = line[start..].find(['/', ' ', '"', '\'', ',', ']', '}', '\n', '\r']);
        let end = length.map_or(line.len(), |length| start + length);
        bytes[start..end].fill(b'x');
    }
    // Whole stretches between ASCII signs were replaced, so it is text still.
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::{SecretUrl, masked, without_secret};

    #[test]
    fn a_url_loses_user_password_and_token_and_nothing_else() {
        for (with, without) in [
            ("https://u:p%40w@h.org/c", "https://h.org/c"),
            ("https://u@h.org:8443/c/", "https://h.org:8443/c/"),
            (
                "https://h.org/t/tk-1-2/c/label/x",
                "https://h.org/c/label/x",
            ),
            ("https://h.org/conda/t/abc/c", "https://h.org/conda/c"),
            ("https://u:p@h.org/t/abc", "https://h.org/"),
            ("https://h.org/at/c", "https://h.org/at/c"),
            ("file:///srv/t/c/x", "file:///srv/t/c/x"),
        ] {
            let clean = without_secret(&Url::parse(with).unwrap());
            assert_eq!(clean.as_str(), without);
            let secret = SecretUrl::new(Url::parse(with).unwrap());
            assert_eq!(secret.has_secret(), with != without, "{with}");
            assert_eq!(format!("{secret:?}"), without);
        }
    }

    #[test]
    fn a_masked_text_has_its_length_and_no_secret() {
        for text in [
            "channel_alias: https://u:secret@h/c\n",
            "http: u:secret@proxy:80",
            "- \"https://u:sec ret@h/c\" # mail@x",
            "- https://h/t/secret/c\n- 'https://h/t/secret'\n",
            "a: [https://u:secret@h, https://v:secret@h]",
            "a: [https://h/t/secret, b]\r\n",
            "ä: https://ü:sécret@h/t/secret",
        ] {
            let hidden = masked(text);
            assert_eq!(hidden.len(), text.len(), "{text}");
            for part in ["secret", "sec ", "ret@", "sécret"] {
                assert!(!hidden.contains(part), "{hidden}");
            }
        }
        assert_eq!(masked("a: b\nc: /x/y\n"), "a: b\nc: /x/y\n");
    }
}
