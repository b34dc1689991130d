//! Where a package is that the channels of a request do not have for a platform.

use std::time::Duration;

use rattler_conda_types::{Channel, MatchSpec, PackageName, Subdir};
use rattler_repodata_gateway::Gateway;

use super::solve::Solve;

/// How long is looked. It is only for a hint, and other channels' indexes may be large.
const PATIENCE: Duration = Duration::from_secs(5);

/// The platforms that channels have most packages for.
const PLATFORMS: [Subdir; 5] = [
    Subdir::Linux64,
    Subdir::LinuxAarch64,
    Subdir::OsxArm64,
    Subdir::Osx64,
    Subdir::Win64,
];

/// A channel that has a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// The channel, as a spec names it.
    pub channel: String,
    /// Whether it is one that was asked: then it has it for other platforms alone.
    pub is_asked: bool,
    /// The platforms that it has it for.
    pub platforms: Vec<Subdir>,
}

/// Looks in the channels that were asked for other platforms, and in others for this one.
/// What can't be had in time, or not at all, is left out: that is not what went wrong.
pub(super) async fn look(
    solve: &Solve<'_>,
    gateway: &Gateway,
    name: &PackageName,
) -> Vec<Elsewhere> {
    let here = [solve.platform, Subdir::NoArch];
    let not_here: Vec<Subdir> = PLATFORMS
        .into_iter()
        .filter(|platform| *platform != solve.platform)
        .collect();
    let asked = solve.channels.iter().map(|channel| (channel, true));
    let others = solve.others.iter().map(|channel| (channel, false));
    let looks = asked.chain(others).map(|(channel, is_asked)| {
        let platforms = if is_asked { not_here.as_slice() } else { &here };
        async move {
            let platforms = in_channel(gateway, channel, platforms, name).await;
            Elsewhere {
                channel: channel_name(channel),
                is_asked,
                platforms,
            }
        }
    });
    let found = futures_util::future::join_all(looks).await;
    found
        .into_iter()
        .filter(|one| !one.platforms.is_empty())
        .collect()
}

/// The platforms that a channel has a package for.
async fn in_channel(
    gateway: &Gateway,
    channel: &Channel,
    platforms: &[Subdir],
    name: &PackageName,
) -> Vec<Subdir> {
    let query = gateway
        .query(
            [channel.clone()],
            platforms.iter().copied(),
            [MatchSpec::from(name.clone())],
        )
        .recursive(false);
    let Ok(Ok(output)) = tokio::time::timeout(PATIENCE, query.execute()).await else {
        return Vec::new();
    };
    let mut found: Vec<Subdir> = (output.repodata.iter().flatten())
        .filter(|record| &record.package_record.name == name)
        .filter_map(|record| record.package_record.subdir.parse().ok())
        .collect();
    found.sort_by_key(ToString::to_string);
    found.dedup();
    found
}

/// A channel as a spec names it.
pub(super) fn channel_name(channel: &Channel) -> String {
    channel
        .name
        .clone()
        .unwrap_or_else(|| channel.canonical_name())
}
