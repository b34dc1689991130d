//! What conda's configuration says of the network, told before it is used.

use super::say::Ui;
use crate::conda::{Configuration, Network};

/// Whether the network may be used, if the configuration has a word in it. A
/// configuration that can't be read is told where it is needed.
pub(super) fn configured_network(
    ui: &Ui,
    configuration: &Configuration,
    network: Network,
) -> Network {
    if network == Network::Offline {
        return network;
    }
    let Ok(settings) = configuration.settings() else {
        return network;
    };
    if let Some(by) = settings.offline() {
        ui.status(format!("no network is used, as {by} says"));
        return Network::Offline;
    }
    if let Some(by) = settings.trusts_anybody() {
        ui.warning(format!(
            "servers' certificates are not checked, as {by} says: anybody on the way may put \
             packages in place of the channels'"
        ));
    }
    network
}
