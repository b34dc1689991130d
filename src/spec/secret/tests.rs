//! The table of cases: what is a secret in a URL, and what only looks like one.

use url::Url;

use super::{Of, masked, redacted, secret_in, secret_in_channel, without_secret};

/// The word that must not be seen.
const SECRET: &str = "hunter2";

/// A text with a secret, what is shown of it, and the URL without it, if it is a URL that
/// a program reads.
const SECRETS: &[(&str, &str, Option<&str>)] = &[
    // User and password.
    (
        "https://ada:hunter2@example.org/simple",
        "https://example.org/…",
        Some("https://example.org/simple"),
    ),
    (
        "https://:hunter2@example.org/c",
        "https://example.org/…",
        Some("https://example.org/c"),
    ),
    (
        "HTTPS://ada:hunter2@example.org:8443/c",
        "HTTPS://example.org:8443/…",
        Some("https://example.org:8443/c"),
    ),
    (
        "https://ada:p%40w-hunter2@h.org/c",
        "https://h.org/…",
        Some("https://h.org/c"),
    ),
    (
        "https://ada:p@w-hunter2@h.org/c",
        "https://h.org/…",
        Some("https://h.org/c"),
    ),
    (
        "https://ada%3Ahunter2@h.org/c",
        "https://h.org/…",
        Some("https://h.org/c"),
    ),
    ("https://ada:hunter2%40h.org/c", "https://h.org/…", None),
    (
        "https:///ada:hunter2@h.org/c",
        "https://h.org/…",
        Some("https://h.org/c"),
    ),
    (
        "https://ada:hunter2@[::1]:81/c",
        "https://[::1]:81/…",
        Some("https://[::1]:81/c"),
    ),
    (
        "http://u:hunter2@proxy:3128",
        "http://proxy:3128/…",
        Some("http://proxy:3128/"),
    ),
    // A password with signs that a URL can't have as they are.
    ("https://ada:pa/hunter2@h.org/c", "https://h.org/…", None),
    ("https://ada:pa'hunter2@h.org/c", "https://h.org/…", None),
    ("- https://ada:pa hunter2@h.org/c", "https://h.org/…", None),
    // A token in the user's place.
    (
        "https://hunter2@example.org/simple",
        "https://example.org/…",
        Some("https://example.org/simple"),
    ),
    (
        "--index-url=https://hunter2@example.org/simple",
        "https://example.org/…",
        None,
    ),
    ("https://${USER}hunter2@h/", "https://h/…", None),
    ("https://a:${USER}hunter2@h/", "https://h/…", None),
    (
        "tool @ git+https://oauth2:hunter2@h/tool.git@v1",
        "git+https://h/…",
        None,
    ),
    (
        "git+https://hunter2@h/tool.git",
        "git+https://h/…",
        Some("git+https://h/tool.git"),
    ),
    (
        "git+ssh://git:hunter2@h/tool",
        "git+ssh://h/…",
        Some("git+ssh://h/tool"),
    ),
    ("fine https://a/b\nhttp://hunter2@h#/x", "http://h/…", None),
    // conda's form of a token.
    (
        "https://example.org/t/hunter2/channel",
        "https://example.org/…",
        Some("https://example.org/channel"),
    ),
    (
        "https://example.org/t/to-hunter2/c/label/x",
        "https://example.org/…",
        Some("https://example.org/c/label/x"),
    ),
    (
        "https://h.org/t/hunter2",
        "https://h.org/…",
        Some("https://h.org/"),
    ),
    (
        "https://h.org/api/conda/t/hunter2/c",
        "https://h.org/…",
        Some("https://h.org/api/conda/c"),
    ),
    // What a parameter tells.
    (
        "https://h/c?token=hunter2",
        "https://h/…",
        Some("https://h/c"),
    ),
    (
        "https://h/c?a=1&access_token=hunter2&b=2",
        "https://h/…",
        Some("https://h/c?a=1&b=2"),
    ),
    (
        "https://h.blob.core.windows.net/c/a.whl?sv=2024&sig=hunter2",
        "https://h.blob.core.windows.net/…",
        Some("https://h.blob.core.windows.net/c/a.whl?sv=2024"),
    ),
    (
        "https://b.s3.amazonaws.com/a.conda?X-Amz-Expires=60&X-Amz-Signature=hunter2",
        "https://b.s3.amazonaws.com/…",
        Some("https://b.s3.amazonaws.com/a.conda?X-Amz-Expires=60"),
    ),
    (
        "https://h/a?X-Amz-Security-Token=hunter2#sha256=ab",
        "https://h/…",
        Some("https://h/a#sha256=ab"),
    ),
    (
        "https://h/a?private%5Ftoken=hunter2",
        "https://h/…",
        Some("https://h/a"),
    ),
    (
        "https://h/a?clientSecret=hunter2",
        "https://h/…",
        Some("https://h/a"),
    ),
    (
        "https://h/a?x=1;password=hunter2",
        "https://h/…",
        Some("https://h/a?x=1"),
    ),
    (
        "https://h/a#access_token=hunter2",
        "https://h/…",
        Some("https://h/a"),
    ),
    // One URL in another one.
    ("https://h/x?u=https://a:hunter2@c/", "https://c/…", None),
    (
        "https://ada:hunter2@h/x?u=https://a:hunter2@c/",
        "https://h/…",
        None,
    ),
    (
        "https://h/x?u=https://c/&token=hunter2",
        "https://c/…",
        None,
    ),
];

/// What has none.
const NONE: &[&str] = &[
    "https://conda.anaconda.org/conda-forge",
    "git+ssh://git@github.com/lab/tool.git@main",
    "git+ssh://ada@host/a/b.git",
    "ssh://git@host:lab/tool@v1",
    "https://git@github.com/lab/tool",
    "git+https://github.com/t/tool.git",
    "https://${TOKEN}@example.org/simple",
    "https://ada:${TOKEN}@example.org/simple",
    "https://example.org/t/${TOKEN}/channel",
    "https://example.org/c?token=${TOKEN}",
    "https://example.org/c?token=",
    "https://example.org/simple@1",
    "https://h:8443/simple # mail ada@lab",
    "https://h:${PORT}/simple # mail ada@lab",
    "https://host/at/b",
    "https://files.pythonhosted.org/packages/source/t/tool/tool-1.0.tar.gz",
    "https://host/a-1.0.tar.gz#sha256=ab&egg=token&subdirectory=t",
    "https://host/x?tokens_per_page=2&version=3",
    "file:///t/channel",
    "file:///srv/t/c/x",
    "file:///C:/t/channel/key=x",
    "C:\\t\\channel",
    "C:/t/hunter2/channel",
    "/srv/t/channel",
    "ada@host.org",
    "git@github.com:lab/tool.git",
    "numpy >=2",
    "://",
];

#[test]
fn each_secret_is_found_and_none_is_shown() {
    for (text, shown, clean) in SECRETS {
        assert_eq!(secret_in(text).as_deref(), Some(*shown), "{text}");
        for text in [redacted(text), masked(text)] {
            assert!(!text.contains(SECRET), "{text}");
        }
        assert_eq!(masked(text).len(), text.len(), "{text}");
        let Some(clean) = clean else { continue };
        let url = Url::parse(text).unwrap();
        for of in [Of::Channel, Of::Anything] {
            assert_eq!(without_secret(&url, of).as_str(), *clean, "{text}");
        }
        let shown = secret_in_channel(&url).unwrap();
        assert!(!shown.contains(SECRET), "{shown}");
    }
}

#[test]
fn what_only_looks_like_a_secret_is_none() {
    for text in NONE {
        assert_eq!(secret_in(text), None, "{text}");
        assert_eq!(redacted(text), *text);
        // A variable is escaped in a URL that was read: nobody will fill it in.
        if let Ok(url) = Url::parse(text)
            && !text.contains("${")
        {
            assert_eq!(without_secret(&url, Of::Anything), url);
        }
    }
}

#[test]
fn a_channel_has_its_token_anywhere_in_its_path() {
    let url = |text: &str| Url::parse(text).unwrap();
    let token = url("https://h.org/conda/t/to-hunter2/c");
    assert_eq!(secret_in_channel(&token).unwrap(), "https://h.org/…");
    let clean = without_secret(&token, Of::Channel);
    assert_eq!(clean.as_str(), "https://h.org/conda/c");
    for text in ["file:///srv/t/c/x", "https://h.org/at/c"] {
        assert_eq!(secret_in_channel(&url(text)), None, "{text}");
    }
}

#[test]
fn a_text_is_redacted_around_what_is_none() {
    assert_eq!(
        redacted("a https://u:hunter2@h/t/hunter2/c?token=hunter2 b https://c/"),
        "a https://***@h/t/***/c?token=*** b https://c/"
    );
}

#[test]
fn what_is_shown_moves_no_cursor() {
    let shown = secret_in("https://u:hunter2@h\u{1b}[2J/").unwrap();
    assert!(!shown.contains(char::is_control), "{shown:?}");
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
        "a: https://h/c?token=secret\nb: c\n",
    ] {
        let hidden = masked(text);
        assert_eq!(hidden.len(), text.len(), "{text}");
        for part in ["secret", "sec ", "ret@", "sécret"] {
            assert!(!hidden.contains(part), "{hidden}");
        }
    }
    assert_eq!(masked("a: b\nc: /x/y\n"), "a: b\nc: /x/y\n");
}

#[test]
fn a_text_of_nothing_but_urls_is_judged_in_its_own_length() {
    // As long as real ones never are; quadratic, it would take minutes.
    for text in ["a://", "https://a:b", "https://a@", "/t/a://"] {
        let text = text.repeat((1 << 18) / text.len());
        assert!(redacted(&text).len() > 1000);
        secret_in(&text);
    }
}
