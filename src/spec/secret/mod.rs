//! Passwords and tokens in URLs, wherever a text has them.
//!
//! The one reading of them: whatever refuses a secret, takes it out or hides it asks
//! here. Specs, locks, receipts and messages are read by others.
//!
//! | a secret is | |
//! |---|---|
//! | `https://user:SECRET@host` | a password, whatever it is escaped with |
//! | `https://SECRET@host` | a user alone may be a token; not over ssh, where it is a name, and not `git` |
//! | `https://host/t/SECRET/channel` | conda's own form of a token |
//! | `https://host/x?token=SECRET` | by the parameter's name: see [`names_a_secret`] |
//!
//! A variable that pip fills in (`${TOKEN}`) is none. Where it is not clear what a text
//! means, it is taken for a secret: a word hidden too much does no harm.

use std::ops::Range;

use percent_encoding::percent_decode_str;
use url::Url;

use super::source::is_wild;

/// What a URL is of, which decides where in its path conda's tokens stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// A channel or a package of one: `/t/TOKEN` anywhere in the path
    /// (`split_anaconda_token` in conda's `conda/common/url.py`).
    Channel,
    /// Anything: not in what git is asked for, and not where `t` is the folder of what
    /// begins with it, as in `packages/source/t/tool/tool-1.0.tar.gz` of Python's index.
    Anything,
}

/// The first URL in a text that has a password or a token, without either:
/// `https://example.org/…`. It can be shown as it is.
pub fn secret_in(text: &str) -> Option<String> {
    let url = urls(text).find(|url| !url.secrets().is_empty())?;
    Some(url.shown())
}

/// The same for a URL of a channel or of a package.
pub(crate) fn secret_in_channel(url: &Url) -> Option<String> {
    let host = url.host_str().unwrap_or_default();
    let has_one = without_secret(url, Of::Channel) != *url;
    has_one.then(|| format!("{}://{host}/…", url.scheme()))
}

/// The text with `***` in the place of each password and token.
pub(crate) fn redacted(text: &str) -> String {
    let mut out = String::new();
    let mut end = 0;
    for secret in secrets(text) {
        out.push_str(&text[end..secret.start]);
        out.push_str("***");
        end = secret.end;
    }
    out + &text[end..]
}

/// A text with `x` in the place of every byte that could be part of a secret in a URL:
/// as long as it was, so that places in it stay where they are. It is for files that
/// are made to hold secrets, whose URLs need no scheme, and hides even more.
pub(crate) fn masked(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for secret in secrets(text) {
        bytes[secret].fill(b'x');
    }
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        for part in suspicious(line) {
            bytes[start + part.start..start + part.end].fill(b'x');
        }
        start += line.len();
    }
    // Whole stretches between ASCII signs were replaced, so it is text still.
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The URL without what is secret in it.
pub(crate) fn without_secret(url: &Url, of: Of) -> Url {
    let mut clean = url.clone();
    // Without a host it is a place on this machine, such as `file:///t/x` and `C:/t/x`.
    if url.host_str().is_none_or(str::is_empty) {
        return clean;
    }
    let user = match url.password() {
        Some(password) => format!("{}:{password}", url.username()),
        None => url.username().to_owned(),
    };
    if is_secret_user(url.scheme(), &user) {
        // They refuse URLs without a host, which have neither.
        clean.set_username("").ok();
        clean.set_password(None).ok();
    }
    let segments: Vec<&str> = url.path().split('/').collect();
    if let Some(at) = token(url.scheme(), &segments, of) {
        let kept = segments.iter().take(at).chain(segments.iter().skip(at + 2));
        clean.set_path(&kept.copied().collect::<Vec<_>>().join("/"));
    }
    if let Some(query) = url.query().filter(|query| has_secret_pair(query)) {
        clean.set_query(without_pairs(query).as_deref());
    }
    if let Some(fragment) = url.fragment().filter(|fragment| has_secret_pair(fragment)) {
        clean.set_fragment(without_pairs(fragment).as_deref());
    }
    clean
}

/// The places of all secrets in a text, in order, none in another.
fn secrets(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = urls(text).flat_map(|url| url.secrets()).collect();
    found.sort_by_key(|secret| secret.start);
    let mut apart: Vec<Range<usize>> = Vec::new();
    for secret in found {
        match apart.last_mut() {
            // A URL may stand in another one's query.
            Some(last) if secret.start <= last.end => last.end = last.end.max(secret.end),
            _ => apart.push(secret),
        }
    }
    apart
}

/// What of a line may be a secret without the scheme of a URL: what is before an `@`,
/// from the beginning of its word or its quote, and what is behind `/t/`.
fn suspicious(line: &str) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    if let Some(end) = line.rfind('@') {
        let start = line[..end].find("://").map_or_else(
            || {
                let word = line[..end].rfind([' ', '\t', '"', '\'', '[', '{', ',']);
                word.map_or(0, |at| at + 1)
            },
            |at| at + 3,
        );
        parts.push(start..end);
    }
    for (at, _) in line.match_indices("/t/") {
        let start = at + 3;
        let length = line[start..].find(['/', ' ', '"', '\'', ',', ']', '}', '\n', '\r']);
        parts.push(start..length.map_or(line.len(), |length| start + length));
    }
    parts
}

/// A URL in a text.
struct Found<'t> {
    text: &'t str,
    scheme: &'t str,
    /// The part behind `://`, up to a sign that no URL has.
    rest: &'t str,
    /// The same up to the end of the line or another URL.
    line: &'t str,
}

fn urls(text: &str) -> impl Iterator<Item = Found<'_>> {
    text.match_indices("://").map(move |(at, separator)| {
        let before = &text[..at];
        let in_scheme = |c: char| c.is_ascii_alphanumeric() || "+.-".contains(c);
        let scheme = &before[before.trim_end_matches(in_scheme).len()..];
        let behind = &text[at + separator.len()..];
        // `https:///host` is `https://host` to a browser and to the crate `url`.
        let slashes: &[char] = if is(scheme, "file") {
            &[]
        } else {
            &['/', '\\']
        };
        let rest = behind.trim_start_matches(slashes);
        // What is behind another `://` is that URL's to judge: a text may be nothing else.
        let line = &rest[..rest.find("://").unwrap_or(rest.len())];
        let end = line.find(|c: char| c.is_whitespace() || "\"'<>`".contains(c));
        let end = end.unwrap_or(line.len());
        Found {
            text,
            scheme,
            rest: &rest[..end],
            line: line.lines().next().unwrap_or_default(),
        }
    })
}

fn is(scheme: &str, name: &str) -> bool {
    scheme.eq_ignore_ascii_case(name)
}

impl<'t> Found<'t> {
    fn authority(&self) -> &'t str {
        let end = self.rest.find(['/', '?', '#', '\\']);
        &self.rest[..end.unwrap_or(self.rest.len())]
    }

    /// What stands before the `@` of the host, which may be escaped.
    fn user(&self) -> Option<&'t str> {
        let authority = self.authority();
        let at = authority.rfind('@').or_else(|| authority.rfind("%40"))?;
        Some(&authority[..at])
    }

    /// What stands before an `@` that comes behind signs which a password must have
    /// escaped and has not, as in `https://me:pass/word@host`.
    fn odd_user(&self) -> Option<&'t str> {
        let (_, port) = self.authority().rsplit_once(':')?;
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) || port.ends_with(']');
        if self.user().is_some() || is_port || !is_secret(port) || is_ssh(self.scheme) {
            return None;
        }
        Some(&self.line[..self.line.rfind('@')?])
    }

    /// The places of the secrets in the text.
    fn secrets(&self) -> Vec<Range<usize>> {
        if let Some(user) = self.odd_user() {
            return vec![self.place(user)];
        }
        let user = self.user().filter(|user| is_secret_user(self.scheme, user));
        let mut found: Vec<Range<usize>> = user.map(|user| self.place(user)).into_iter().collect();
        let behind = &self.rest[self.authority().len()..];
        let path = &behind[..behind.find(['?', '#']).unwrap_or(behind.len())];
        let segments: Vec<&str> = path.split(['/', '\\']).collect();
        if let Some(at) = token(self.scheme, &segments, Of::Anything) {
            found.push(self.place(segments[at + 1]));
        }
        for pair in behind.split(['?', '#', '&', ';']) {
            if let Some((_, value)) = pair.split_once('=').filter(|_| is_secret_pair(pair)) {
                found.push(self.place(value));
            }
        }
        found
    }

    /// Where a part of the text is in it.
    fn place(&self, part: &'t str) -> Range<usize> {
        let start = part.as_ptr() as usize - self.text.as_ptr() as usize;
        start..start + part.len()
    }

    /// Its beginning, without a secret.
    fn shown(&self) -> String {
        let authority = self.authority();
        let host = match (self.odd_user(), self.user()) {
            (Some(user), _) => {
                let behind = &self.text[self.place(user).end + 1..];
                let end = behind.find(|c: char| c.is_whitespace() || "/?#\"'".contains(c));
                &behind[..end.unwrap_or(behind.len())]
            }
            (None, Some(user)) => authority[user.len()..]
                .trim_start_matches('@')
                .trim_start_matches("%40"),
            (None, None) => authority,
        };
        let host = host.chars().filter(|c| !is_wild(*c));
        format!("{}://{}/…", self.scheme, host.collect::<String>())
    }
}

fn is_ssh(scheme: &str) -> bool {
    scheme.to_ascii_lowercase().ends_with("ssh") || is(scheme, "sftp")
}

/// Whether what stands before the `@` of a host is a secret.
fn is_secret_user(scheme: &str, user: &str) -> bool {
    let decoded = user.replace("%3A", ":").replace("%3a", ":");
    match decoded.split_once(':') {
        Some((_, password)) => is_secret(password),
        // A token may stand where the user does; over ssh it is only a name.
        None => !is_ssh(scheme) && decoded != "git" && is_secret(&decoded),
    }
}

/// Which segment of a path is the `t` before conda's token.
fn token(scheme: &str, segments: &[&str], of: Of) -> Option<usize> {
    if is(scheme, "file") || (of == Of::Anything && scheme.contains('+')) {
        return None;
    }
    segments.windows(2).enumerate().find_map(|(at, pair)| {
        // The path begins with a slash, before which there is nothing.
        let is_folder = at > 1 && pair[1].starts_with(['t', 'T']);
        let is_token = pair[0] == "t" && (of == Of::Channel || !is_folder);
        (is_token && is_secret(pair[1])).then_some(at)
    })
}

fn has_secret_pair(parameters: &str) -> bool {
    parameters.split(['&', ';']).any(is_secret_pair)
}

/// Parameters without those that are secret; `None` if nothing is left.
fn without_pairs(parameters: &str) -> Option<String> {
    let pairs = parameters.split(['&', ';']);
    let kept: Vec<&str> = pairs.filter(|pair| !is_secret_pair(pair)).collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

/// Whether a parameter of a URL, `name=value`, has a secret.
fn is_secret_pair(pair: &str) -> bool {
    pair.split_once('=')
        .is_some_and(|(name, value)| names_a_secret(name) && is_secret(value))
}

/// Whether a parameter of this name has a secret: those of GitLab and Quetz, of links that
/// Amazon, Google and Azure have signed, and what they are commonly called.
fn names_a_secret(name: &str) -> bool {
    const NAMES: [&str; 16] = [
        "token",
        "auth",
        "apikey",
        "key",
        "jwt",
        "sig",
        "signature",
        "credential",
        "credentials",
        "secret",
        "password",
        "passwd",
        "passphrase",
        "pass",
        "pwd",
        "bearer",
    ];
    let name = percent_decode_str(name).decode_utf8_lossy();
    let name = name.to_ascii_lowercase();
    // `X-Amz-Signature`, `access_token`, `clientSecret`: the last word counts.
    let last = name.rsplit(['-', '_', '.']).next().unwrap_or(&name);
    let ends = ["token", "secret", "password", "apikey", "accesskeyid"];
    NAMES.contains(&last) || ends.iter().any(|end| last.ends_with(end))
}

/// A variable that pip fills in (`${TOKEN}`) is none.
fn is_secret(text: &str) -> bool {
    let variable = text
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'));
    !(text.is_empty() || variable.is_some_and(|name| !name.contains(['$', '{', '}'])))
}

#[cfg(test)]
mod tests;
