//! From the URL that a lock has to the one that is asked.
//!
//! In two steps. What conda's configuration says of a name (`channel_alias`,
//! `custom_channels`) and the passwords and tokens that it has for URLs; then rattler's
//! mirrors. A lock knows nothing of either.

use std::collections::HashMap;

use rattler_networking::MirrorMiddleware;
use rattler_networking::mirror_middleware::Mirror;
use url::Url;

use super::secret::{SecretUrl, without_secret};

/// Where files are asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Routes {
    /// What begins so is asked for there.
    of_conda: Vec<(Url, SecretUrl)>,
    /// The same; one of several.
    mirrors: Vec<(Url, Vec<SecretUrl>)>,
}

/// The URL as a folder: what is below it begins with it.
pub(super) fn folder(mut url: Url) -> Url {
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    url
}

impl Routes {
    /// What is below `from` is asked for below `to`. The first word on a URL counts.
    pub(super) fn add(&mut self, from: &Url, to: Url) {
        let (from, to) = (folder(without_secret(from)), folder(to));
        if from != to && !self.of_conda.iter().any(|(known, _)| *known == from) {
            self.of_conda.push((from, SecretUrl::new(to)));
        }
    }

    /// Remembers the password or token of a URL; says what the URL is without.
    pub(super) fn entrust(&mut self, url: &Url) -> Url {
        let clean = without_secret(url);
        if clean != *url {
            self.add(&clean, url.clone());
        }
        clean
    }

    /// What is below `from` is asked for at one of these.
    pub(super) fn add_mirrors(&mut self, from: Url, to: impl IntoIterator<Item = Url>) {
        let to: Vec<SecretUrl> = to.into_iter().map(folder).map(SecretUrl::new).collect();
        if !to.is_empty() {
            self.mirrors.push((folder(from), to));
        }
    }

    /// Every rule, for people: from where to where, without secrets. What only adds a
    /// secret is none.
    pub(super) fn rules(&self) -> Vec<(Url, Vec<Url>)> {
        let one = |(from, to): &(Url, SecretUrl)| (from.clone(), vec![to.clean()]);
        let many = |(from, to): &(Url, Vec<SecretUrl>)| {
            let to = to.iter().map(SecretUrl::clean);
            (from.clone(), to.collect::<Vec<_>>())
        };
        let all = self.of_conda.iter().map(one);
        all.chain(self.mirrors.iter().map(many))
            .filter(|(from, to)| to.iter().any(|to| to != from))
            .collect()
    }

    /// How many URLs have a password or a token.
    pub(super) fn secrets(&self) -> usize {
        let of_mirrors = self.mirrors.iter().flat_map(|(_, to)| to);
        let all = self.of_conda.iter().map(|(_, to)| to).chain(of_mirrors);
        all.filter(|url| url.has_secret()).count()
    }

    /// Where a channel is asked for, without secrets, if that is elsewhere.
    pub(super) fn places(&self, channel: &Url) -> Vec<Url> {
        let channel = folder(channel.clone());
        let of_conda = self.of_conda.iter().map(|(from, to)| (from, vec![to]));
        let first = moved(&channel, of_conda)
            .pop()
            .unwrap_or_else(|| channel.clone());
        let mirrors = self.mirrors.iter();
        let mirrors = mirrors.map(|(from, to)| (from, to.iter().collect()));
        let mut places = moved(&first, mirrors);
        if places.is_empty() {
            places.push(first);
        }
        places.retain(|place| *place != channel);
        places
    }

    /// What does it, in the order of the steps.
    pub(crate) fn middlewares(&self) -> [MirrorMiddleware; 2] {
        let mirror = |url: &SecretUrl| Mirror {
            url: url.exposed().clone(),
            no_zstd: false,
            no_bz2: false,
            max_failures: None,
        };
        let of_conda = self.of_conda.iter();
        let of_conda: HashMap<Url, Vec<Mirror>> = of_conda
            .map(|(from, to)| (from.clone(), vec![mirror(to)]))
            .collect();
        let mirrors = self.mirrors.iter();
        let mirrors = mirrors
            .map(|(from, to)| (from.clone(), to.iter().map(mirror).collect()))
            .collect();
        [of_conda, mirrors].map(MirrorMiddleware::from_map)
    }
}

/// The URL by the rule with the longest beginning, as the middleware chooses it.
fn moved<'a>(url: &Url, rules: impl Iterator<Item = (&'a Url, Vec<&'a SecretUrl>)>) -> Vec<Url> {
    let begins = |(from, to): (&'a Url, Vec<&'a SecretUrl>)| {
        let rest = url.as_str().strip_prefix(from.as_str())?;
        Some((from.path().len(), rest, to))
    };
    let best = rules.filter_map(begins).max_by_key(|(length, ..)| *length);
    let Some((_, rest, to)) = best else {
        return Vec::new();
    };
    let below = |place: &SecretUrl| place.clean().join(rest).ok();
    to.into_iter().filter_map(below).collect()
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::Routes;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn places(routes: &Routes, of: &str) -> Vec<String> {
        let places = routes.places(&url(of));
        places.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_longest_beginning_counts_and_mirrors_come_after_names() {
        let mut routes = Routes::default();
        routes.add(
            &url("https://conda.anaconda.org"),
            url("https://nexus.org/conda"),
        );
        routes.add(
            &url("https://conda.anaconda.org/lab"),
            url("https://u:p@lab.org/t/tok/lab"),
        );
        routes.add_mirrors(
            url("https://nexus.org/conda/bioconda"),
            [url("https://a.org/bio"), url("https://b.org/bio/")],
        );
        let of = |name: &str| places(&routes, &format!("https://conda.anaconda.org/{name}"));
        assert_eq!(of("conda-forge"), ["https://nexus.org/conda/conda-forge/"]);
        assert_eq!(of("lab"), ["https://lab.org/lab/"]);
        assert_eq!(of("lab/label/dev"), ["https://lab.org/lab/label/dev/"]);
        assert_eq!(of("lab2"), ["https://nexus.org/conda/lab2/"]);
        assert_eq!(of("bioconda"), ["https://a.org/bio/", "https://b.org/bio/"]);
        assert!(places(&routes, "https://elsewhere.org/x").is_empty());
    }

    #[test]
    fn a_rule_that_only_adds_a_password_moves_nothing() {
        let mut routes = Routes::default();
        let clean = routes.entrust(&url("https://h.org/t/secret/c"));
        assert_eq!(clean.as_str(), "https://h.org/c");
        assert!(places(&routes, "https://h.org/c").is_empty());
        assert!(routes.rules().is_empty());
        assert_eq!(routes.secrets(), 1);
        assert!(!format!("{routes:?}").contains("secret"));
    }
}
