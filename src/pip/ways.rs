//! What uv is told of the user's environment: how indexes are reached, and nothing else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Whether a variable tells a program who runs it, where it may write, or how an index is
/// reached. No others are uv's: it puts what they hold where a spec writes `${NAME}`.
fn is_way(name: &str) -> bool {
    const OF_SYSTEM: [&str; 8] = [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "LANG",
        "TMPDIR",
        "NETRC",
        "DBUS_SESSION_BUS_ADDRESS",
    ];
    const OF_NETWORK: [&str; 7] = [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "SSL_CLIENT_CERT",
    ];
    const OF_UV: [&str; 10] = [
        "UV_DEFAULT_INDEX",
        "UV_INDEX",
        "UV_INDEX_URL",
        "UV_EXTRA_INDEX_URL",
        "UV_FIND_LINKS",
        "UV_KEYRING_PROVIDER",
        "UV_SYSTEM_CERTS",
        "UV_NATIVE_TLS",
        "UV_HTTP_TIMEOUT",
        "UV_INSECURE_HOST",
    ];
    let is_of_network = OF_NETWORK
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name));
    let begins = ["XDG_", "UV_INDEX_"]
        .iter()
        .any(|begin| name.starts_with(begin));
    OF_SYSTEM.contains(&name) || OF_UV.contains(&name) || is_of_network || begins
}

/// The variables for uv: those of the user's that are ways; where nobody told uv, how pip
/// is told to reach indexes; and where nothing is told at all, what the configuration says.
pub(super) fn ways<'e>(
    environment: &'e BTreeMap<String, String>,
    configured: &'e [(&'static str, String)],
) -> Vec<(&'e str, &'e str)> {
    const OF_PIP: [(&str, &str, &[&str]); 3] = [
        ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", &["UV_INDEX_URL"]),
        ("PIP_EXTRA_INDEX_URL", "UV_INDEX", &["UV_EXTRA_INDEX_URL"]),
        ("PIP_CERT", "SSL_CERT_FILE", &["SSL_CERT_DIR"]),
    ];
    let is_told = |name: &str| {
        environment
            .keys()
            .any(|known| known.eq_ignore_ascii_case(name))
    };
    let own = environment.iter().filter(|(name, _)| is_way(name));
    let mut all: Vec<(&str, &str)> = own
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    for (of_pip, of_uv, others) in OF_PIP {
        if let Some(value) = environment.get(of_pip)
            && !std::iter::once(&of_uv)
                .chain(others)
                .any(|name| is_told(name))
        {
            all.push((of_uv, value));
        }
    }
    for (name, value) in configured {
        if !all
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
        {
            all.push((name, value));
        }
    }
    all
}

/// The same for a uv that runs what authors of sources wrote: its home is another folder,
/// `home`, and what it needs of the user's own is named.
pub(super) fn staged(
    environment: &BTreeMap<String, String>,
    configured: &[(&'static str, String)],
    home: &Path,
) -> Vec<(String, String)> {
    let is_own = |name: &str| name.starts_with("XDG_") || ["HOME", "TMPDIR"].contains(&name);
    let mut variables: Vec<(String, String)> = ways(environment, configured)
        .into_iter()
        .filter(|(name, _)| !is_own(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let of_home = [
        ("HOME", ""),
        ("TMPDIR", "tmp"),
        ("XDG_CACHE_HOME", ".cache"),
        ("XDG_CONFIG_HOME", ".config"),
        ("XDG_DATA_HOME", ".local/share"),
        ("XDG_STATE_HOME", ".local/state"),
    ];
    for (name, below) in of_home {
        let folder = home.join(below).to_string_lossy().into_owned();
        variables.push((name.to_owned(), folder));
    }
    let users = environment.get("HOME").map(PathBuf::from);
    for (name, file) in [("NETRC", ".netrc"), ("GIT_CONFIG_GLOBAL", ".gitconfig")] {
        let own = users.as_ref().map(|home| home.join(file));
        let is_told = variables.iter().any(|(known, _)| known == name);
        if let Some(own) = own.filter(|own| own.is_file() && !is_told) {
            variables.push((name.to_owned(), own.to_string_lossy().into_owned()));
        }
    }
    variables
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{staged, ways};

    #[test]
    fn uv_gets_how_indexes_are_reached_and_nothing_else() {
        let pairs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            let pairs = pairs
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
            pairs.collect()
        };
        let told = |environment: &[(&str, &str)], configured: &[(&'static str, &str)]| {
            let environment = pairs(environment);
            let configured: Vec<_> = configured
                .iter()
                .map(|(a, b)| (*a, (*b).to_owned()))
                .collect();
            pairs(&ways(&environment, &configured))
        };
        assert_eq!(
            told(
                &[
                    ("AWS_SECRET_ACCESS_KEY", "s"),
                    ("UV_EXCLUDE_NEWER", "2020"),
                    ("https_proxy", "p"),
                    ("HOME", "/h")
                ],
                &[("HTTPS_PROXY", "q"), ("NO_PROXY", "n")],
            ),
            pairs(&[("https_proxy", "p"), ("HOME", "/h"), ("NO_PROXY", "n")])
        );
        assert_eq!(
            told(
                &[("PIP_INDEX_URL", "https://a"), ("PIP_CERT", "/c")],
                &[("SSL_CERT_FILE", "/d")]
            ),
            pairs(&[("UV_DEFAULT_INDEX", "https://a"), ("SSL_CERT_FILE", "/c")])
        );
        assert_eq!(
            told(
                &[
                    ("PIP_INDEX_URL", "https://a"),
                    ("UV_INDEX_URL", "https://b")
                ],
                &[]
            ),
            pairs(&[("UV_INDEX_URL", "https://b")])
        );
    }

    #[test]
    fn what_builds_has_another_home_and_the_users_passwords_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let users = folder.path().join("me");
        fs_err::create_dir_all(&users).unwrap();
        fs_err::write(users.join(".netrc"), "").unwrap();
        let environment = BTreeMap::from([
            ("HOME".to_owned(), users.to_string_lossy().into_owned()),
            ("XDG_RUNTIME_DIR".to_owned(), "/run/user/1".to_owned()),
            ("SSH_AUTH_SOCK".to_owned(), "/tmp/a".to_owned()),
        ]);
        let home = folder.path().join("staged");
        let told = staged(&environment, &[], &home);
        let variables: BTreeMap<_, _> = told.into_iter().collect();
        let path = |path: std::path::PathBuf| Some(path.to_string_lossy().into_owned());
        assert_eq!(variables.get("NETRC").cloned(), path(users.join(".netrc")));
        assert_eq!(variables.get("TMPDIR").cloned(), path(home.join("tmp")));
        assert!(
            !variables.contains_key("XDG_RUNTIME_DIR") && !variables.contains_key("SSH_AUTH_SOCK")
        );
    }
}
