//! `environment.yml` with every package exactly as it is locked.

use rattler_conda_types::RepoDataRecord;

use super::{Exported, Portable, PortableChannel, PortablePlatform, pypi_requirement};
use crate::lock::interchange::text::{one_line, scalar};

/// `name=version=build` for each package, which conda, mamba and micromamba solve for
/// and can only answer with these. The checksums are not in it: a channel that gives
/// another file under the same name is not found out.
pub fn environment_pinned(portable: &Portable, at: &PortablePlatform) -> Exported {
    let mut text = format!(
        "# The packages that {} was locked to, for {}.\nname: {}\nchannels:\n",
        one_line(&portable.from),
        at.platform,
        scalar(&portable.name)
    );
    for channel in &portable.channels {
        line(&mut text, "  - ", &channel.name);
    }
    // Else conda adds the channels of whoever reads it.
    line(&mut text, "  - ", "nodefaults");
    text.push_str("dependencies:\n");
    for record in &at.conda {
        let package = &record.package_record;
        let pinned = format!(
            "{}={}={}",
            package.name.as_normalized(),
            package.version,
            package.build
        );
        let channel = foreign_channel(&portable.channels, record);
        let prefix = channel.map(|name| format!("{name}::")).unwrap_or_default();
        line(&mut text, "  - ", &format!("{prefix}{pinned}"));
    }
    if !at.pypi.is_empty() {
        text.push_str("  - pip:\n");
        for package in &at.pypi {
            line(&mut text, "      - ", &pypi_requirement(package));
        }
    }
    if !portable.variables.is_empty() {
        text.push_str("variables:\n");
        for (name, value) in &portable.variables {
            // A text in every reader's eyes, also where it is a number.
            let value = serde_json::Value::String(value.clone());
            text.extend(["  ", name.as_str(), ": ", &value.to_string(), "\n"]);
        }
    }
    Exported {
        text,
        left_out: vec!["the checksums of the packages".to_owned()],
    }
}

/// The channel of a package that is in none of those listed first; the name of one that
/// is not the first that could have it.
fn foreign_channel<'c>(
    channels: &'c [PortableChannel],
    record: &RepoDataRecord,
) -> Option<&'c str> {
    let of = |channel: &&PortableChannel| record.url.as_str().starts_with(channel.url.as_str());
    let found = channels.iter().position(|channel| of(&channel))?;
    // With a single channel the name says nothing, and a URL as a name reads badly.
    (found > 0).then(|| channels[found].name.as_str())
}

fn line(text: &mut String, indent: &str, item: &str) {
    text.push_str(indent);
    text.push_str(&scalar(item));
    text.push('\n');
}
