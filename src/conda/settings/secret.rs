//! What must never be shown: URLs with passwords and tokens; what those are says
//! [`crate::spec`].

use std::fmt;

use url::Url;

use crate::spec;

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

/// The URL of a channel, or of a server, without its secrets.
pub(super) fn without_secret(url: &Url) -> Url {
    spec::without_secret(url, spec::Of::Channel)
}
