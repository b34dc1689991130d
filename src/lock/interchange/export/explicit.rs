//! `@EXPLICIT`: the list of URLs that conda, mamba and micromamba install without
//! solving, each with its checksum.

use rattler_conda_types::{ExplicitEnvironmentEntry, ExplicitEnvironmentSpec, RepoDataRecord};
use url::Url;

use super::{Exported, Portable, PortablePlatform};
use crate::lock::interchange::text::one_line;

/// The list of one platform.
pub fn explicit(portable: &Portable, at: &PortablePlatform) -> Exported {
    let list = ExplicitEnvironmentSpec {
        platform: Some(at.platform),
        packages: urls(at)
            .map(|url| ExplicitEnvironmentEntry { url })
            .collect(),
    };
    let text = format!(
        "# The packages that {} was locked to; install them with\n\
         # conda create --name {} --file <this file>\n{}",
        one_line(&portable.from),
        portable.name,
        list.to_spec_string()
    );
    let mut left_out = portable.variables_left_out();
    left_out.extend(at.pypi_left_out());
    Exported { text, left_out }
}

/// The URLs with their checksums, each after those that it needs.
pub(super) fn urls(at: &PortablePlatform) -> impl Iterator<Item = Url> {
    at.in_order().into_iter().map(url_with_checksum)
}

/// conda knows `#<md5>` since ever and `#sha256:<sha256>` since 23.3, micromamba both;
/// the stronger one is taken.
fn url_with_checksum(record: &RepoDataRecord) -> Url {
    let mut url = record.url.clone();
    let package = &record.package_record;
    let sha256 = package
        .sha256
        .map(|sha| format!("sha256:{}", hex::encode(sha)));
    let checksum = sha256.or_else(|| package.md5.map(hex::encode));
    url.set_fragment(checksum.as_deref());
    url
}
