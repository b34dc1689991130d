//! The network of those who run in a staging folder, and what `--offline` means to them.

use std::collections::BTreeMap;
use std::path::Path;

use super::{KERNELS, find};
use crate::apply::context::Context;
use crate::apply::error::ApplyError;
use crate::apply::observe::Prepared;
use crate::apply::subject::SubjectKernel;
use crate::conda::Network;
use crate::kernel::{KernelDefinition, KernelspecSource, State};

/// Variables of the user's that every command sees: how the network is reached.
const WAYS: [&str; 13] = [
    "ALL_PROXY",
    "CURL_CA_BUNDLE",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NODE_EXTRA_CA_CERTS",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Where nobody answers, at once: the port that throws all away, of this machine.
const NOWHERE: &str = "http://127.0.0.1:9";

/// What they have in the place of those under `--offline`: the ways that programs take
/// lead nowhere, and languages are told in their own words too.
const NO_WAY: [(&str, &str); 14] = [
    ("ALL_PROXY", NOWHERE),
    ("CARGO_NET_OFFLINE", "true"),
    ("FTP_PROXY", NOWHERE),
    ("GOPROXY", "off"),
    ("HTTPS_PROXY", NOWHERE),
    ("HTTP_PROXY", NOWHERE),
    ("JULIA_PKG_OFFLINE", "true"),
    ("PIP_NO_INDEX", "1"),
    ("all_proxy", NOWHERE),
    ("ftp_proxy", NOWHERE),
    ("http_proxy", NOWHERE),
    ("https_proxy", NOWHERE),
    ("npm_config_offline", "true"),
    ("UV_OFFLINE", "1"),
];

/// The same for Java, which looks at no such variable.
const NO_WAY_OF_JAVA: &str = " -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=9 \
    -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=9 -Dhttp.nonProxyHosts=";

/// The variables by which commands reach the network, or do not: the user's, and those
/// of them that this command sees beside.
pub(super) fn variables<'e>(
    network: Network,
    of_user: &'e BTreeMap<String, String>,
    inherit: &'e [String],
) -> Vec<(&'e str, &'e str)> {
    let ways = WAYS.into_iter().filter(|_| network == Network::Online);
    let names = ways.chain(inherit.iter().map(String::as_str));
    let mut all: Vec<_> = names
        .filter_map(|name| Some((name, of_user.get(name)?.as_str())))
        .collect();
    if network == Network::Offline {
        // Last, so that they count.
        all.extend(NO_WAY);
    }
    all
}

/// What Java is told of it.
pub(super) fn words_for_java(network: Network) -> &'static str {
    match network {
        Network::Online => "",
        Network::Offline => NO_WAY_OF_JAVA,
    }
}

/// Under `--offline`, refuses kernels that can't be made without the network, before
/// any command runs and before the generation that is linked is in its place.
pub(in crate::apply) fn refuse_offline(
    context: &Context,
    prepared: &Prepared,
    generation: &Path,
) -> Result<(), ApplyError> {
    if context.network == Network::Online {
        return Ok(());
    }
    for locked in &prepared.prefixes {
        let folder = locked.within(generation).join(KERNELS);
        for kernel in &prepared.subject.kernels {
            if kernel.isolated() == locked.isolated.as_deref()
                && let Some(definition) = kernel.definition()
                && let Some(command) = fetching(kernel, definition, &folder)
            {
                return Err(ApplyError::InstallerOffline {
                    kernel: kernel.request.name.value.clone(),
                    command,
                });
            }
        }
    }
    Ok(())
}

/// The command that fetches what a kernel lacks. Which packages of the prefix bring a
/// kernelspec is known when they are linked.
fn fetching(
    kernel: &SubjectKernel,
    definition: &KernelDefinition,
    folder: &Path,
) -> Option<String> {
    let installer = match &definition.kernelspec {
        KernelspecSource::Installer(installer) => Some(installer),
        _ => None,
    };
    // Who names the variables of a registry asks it.
    let asks = installer.is_some_and(|installer| !installer.inherit.is_empty());
    if definition.state != State::NeedsNetwork && !asks {
        return None;
    }
    let made = installer
        .filter(|installer| find(folder, &installer.dir).is_none())
        .and_then(|installer| installer.commands.first());
    let added = definition
        .add_packages
        .as_ref()
        .filter(|_| !kernel.request.packages.is_empty());
    made.or(added).map(ToString::to_string)
}
