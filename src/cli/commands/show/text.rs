//! The same for people.

use std::collections::BTreeMap;

use crate::cli::say::{BOLD, FAINT, NAME, counted, styled};
use crate::conda::Shown;

use super::answer::{Answer, Kernel, LockState};

pub(super) fn text(answer: &Answer) -> String {
    let lock = match answer.lock {
        LockState::UpToDate => "beside the spec, up to date",
        LockState::Stale => "beside the spec, stale: envspec lock",
        LockState::Missing => "not made yet: envspec lock",
        LockState::Unreadable => "beside the spec, and can't be read",
    };
    let not_applied = || "not applied yet: envspec apply".to_owned();
    let channels = match answer.channel_priority {
        "strict" => answer.channels.join(", "),
        priority => format!("{}, priority {priority}", answer.channels.join(", ")),
    };
    let rows = [
        ("spec", answer.spec.to_string_lossy().into_owned()),
        ("lock", lock.to_owned()),
        ("channels", channels),
        ("platforms", answer.platforms.join(", ")),
        ("target", pairs(&answer.target, " ")),
        ("packages", answer.dependencies.join(", ")),
        ("by pip", answer.pip.join(", ")),
        ("post-link", answer.post_link.join(", ")),
        ("variables", pairs(&answer.variables, "=")),
        ("site", answer.site.clone()),
        ("launch", pairs(&answer.launch, " ")),
        ("root", answer.root.to_string_lossy().into_owned()),
        (
            "generation",
            answer.current.clone().unwrap_or_else(not_applied),
        ),
    ];
    let mut lines = vec![styled(BOLD, &answer.environment)];
    // What the spec says nothing of has no row.
    let said = rows.iter().filter(|(_, value)| !value.is_empty());
    lines.extend(said.map(|(label, value)| row(label, value)));
    for (index, of_kernel) in answer.kernels.iter().enumerate() {
        let label = if index == 0 { "kernels" } else { "" };
        lines.push(row(label, &kernel(of_kernel)));
    }
    if let Some(shown) = &answer.configuration {
        let told = configuration(shown);
        lines.extend(told.iter().map(|(label, value)| row(label, value)));
    }
    lines.join("\n")
}

fn row(label: &str, value: &str) -> String {
    format!("{label:>12}  {value}")
}

/// `time 8:00:00, memory 16G`.
fn pairs<K: std::fmt::Display>(map: &BTreeMap<K, String>, between: &str) -> String {
    let pairs = map
        .iter()
        .map(|(key, value)| format!("{key}{between}{}", value.escape_debug()));
    pairs.collect::<Vec<_>>().join(", ")
}

/// A kernel, its packages, and what else is said of it.
fn kernel(kernel: &Kernel) -> String {
    let from_nix = kernel
        .installable
        .iter()
        .map(|from| format!("{from} from Nix"));
    let packages = from_nix.chain(
        kernel
            .adds
            .iter()
            .chain(&kernel.asks)
            .chain(&kernel.packages)
            .cloned(),
    );
    let packages: Vec<String> = packages.collect();
    let shown_as = kernel
        .display_name
        .iter()
        .map(|name| format!("shown as {name}"));
    let isolated = kernel.isolated.then(|| "isolated".to_owned());
    let env = Some(pairs(&kernel.env, "=")).filter(|env| !env.is_empty());
    let limits = Some(pairs(&kernel.limits, " at most ")).filter(|limits| !limits.is_empty());
    let more: Vec<String> = shown_as.chain(isolated).chain(env).chain(limits).collect();
    let more = if more.is_empty() {
        String::new()
    } else {
        format!("; {}", more.join("; "))
    };
    let (name, as_what) = (
        styled(NAME, &kernel.name),
        format!("as {}, with", kernel.registered),
    );
    format!(
        "{name} {} {}{more}",
        styled(FAINT, as_what),
        packages.join(", ")
    )
}

/// Which files counted and what they change.
fn configuration(shown: &Shown) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    let mut label = "config";
    for file in &shown.files {
        let keys = match file.keys.as_slice() {
            [] => "nothing that is followed".to_owned(),
            keys => keys.join(", "),
        };
        let faint = styled(FAINT, format!("says {keys}"));
        rows.push((label, format!("{} {faint}", file.name)));
        label = "";
    }
    for place in &shown.places {
        let at: Vec<&str> = place.asked_at.iter().map(url::Url::as_str).collect();
        let text = format!("{} is fetched from {}", place.channel, at.join(" or "));
        rows.push(("", text));
    }
    let proxies: Vec<String> = shown
        .proxies
        .iter()
        .map(|(key, host)| format!("{host} for {key}"))
        .collect();
    if !proxies.is_empty() {
        rows.push(("", format!("proxy {}", proxies.join(", "))));
    }
    if let Some(certificates) = &shown.certificates {
        rows.push(("", format!("servers' certificates: {certificates}")));
    }
    if let Some(path) = &shown.client_certificate {
        rows.push(("", format!("client certificate: {}", path.display())));
    }
    if shown.secrets > 0 {
        let text = format!("passwords and tokens for {}", counted(shown.secrets, "URL"));
        rows.push(("", text));
    }
    if shown.offline {
        rows.push(("", "no network is used".to_owned()));
    }
    for ignored in &shown.not_followed {
        let text = format!(
            "{} of {} is not followed: {}",
            ignored.key, ignored.by, ignored.why
        );
        rows.push(("", text));
    }
    rows
}
