//! What stands under `pip:` and can't be in a lock: what has no fixed content, would have to
//! be built, or would say something else elsewhere.

use pep508_rs::VersionOrUrl;

use crate::spec::{self, PipKind, PipRequirement, PipSection, SourceText, SpecErrors};

/// Refuses what a lock can't hold: what has no fixed content, or would have to be built.
pub(super) fn refuse_unlockable<'s>(
    sections: impl Iterator<Item = &'s PipSection>,
    source: &SourceText,
) -> Option<SpecErrors> {
    let lines = sections.flat_map(|section| &section.requirements);
    let faults = lines.filter_map(|line| {
        let (what, help) = unlockable(&line.kind).or_else(|| unlockable_in(line))?;
        let message = format!("{what} can't be locked");
        let place = line.place(source);
        Some(spec::fault(place, line.span, message, "asked here", help))
    });
    faults.reduce(SpecErrors::and)
}

/// What stands in a line beside its requirement, and would say something else elsewhere or
/// nothing.
fn unlockable_in(line: &PipRequirement) -> Option<(&'static str, &'static str)> {
    const VARIABLE: (&str, &str) = (
        "a variable of whoever runs this",
        "write what it stands for; a password belongs into ~/.netrc or the keyring",
    );
    const HASH: (&str, &str) = (
        "a hash that is no SHA-256",
        "write `--hash=sha256:` and 64 digits: an index tells no others",
    );
    const LINKS: (&str, &str) = (
        "a folder of this machine",
        "name a URL: others have another machine",
    );
    const OTHER: (&str, &str) = (
        "this option of pip's",
        "take it out: it says how to build or to fetch, and the lock says what to install",
    );
    const KNOWN: [&str; 9] = [
        "--index-url",
        "--extra-index-url",
        "--find-links",
        "--no-index",
        "--no-binary",
        "--only-binary",
        "--prefer-binary",
        "--require-hashes",
        "--pre",
    ];
    if line.text.contains("${") {
        return Some(VARIABLE);
    }
    let alone = matches!(line.kind, PipKind::Options);
    line.options.iter().find_map(|option| {
        let value = option.value.as_deref().unwrap_or_default();
        match option.name {
            "--hash" if is_sha256(value) => None,
            "--hash" => Some(HASH),
            "--find-links" if alone && !value.contains("://") => Some(LINKS),
            "--find-links" if value.starts_with("file:") => Some(LINKS),
            // Behind a requirement pip drops it, which a note says.
            name if KNOWN.contains(&name) => None,
            _ => Some(OTHER),
        }
    })
}

/// Whether a path is that of an archive, by its name.
pub(super) fn is_archive(path: &str) -> bool {
    let path = path.split([';', '[']).next().unwrap_or_default().trim_end();
    let ends = [
        ".whl", ".zip", ".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tbz", ".tar.xz", ".txz",
    ];
    ends.iter().any(|end| path.to_lowercase().ends_with(end))
}

/// Whether a hash is `sha256:` and as many digits as it has.
fn is_sha256(hash: &str) -> bool {
    let digits = hash.strip_prefix("sha256:").unwrap_or_default();
    digits.len() == 64 && digits.chars().all(|c| c.is_ascii_hexdigit())
}

fn unlockable(kind: &PipKind) -> Option<(&'static str, &'static str)> {
    const BUILD: &str = "name a version of it that an index has, the URL of an archive, or its repository: git+https://…";
    const GIT: &str = "git alone is understood: git+https://…, git+ssh://…, git+file://…";
    let of_url = |url: &str| {
        let others = ["hg+", "svn+", "bzr+"];
        let is_other = others.iter().any(|scheme| url.starts_with(scheme));
        is_other.then_some(("a repository of this kind", GIT))
    };
    match kind {
        PipKind::Editable(url) if url.contains("://") && !url.starts_with("file:") => of_url(url),
        PipKind::Path(path) if is_archive(path) => Some(("a file of this machine", BUILD)),
        PipKind::Url(url) => of_url(url),
        PipKind::Named(requirement) => match &requirement.version_or_url {
            Some(VersionOrUrl::Url(url)) => of_url(url.as_str()),
            _ => None,
        },
        // What is wrong with a folder or a file of requirements was told when it was looked
        // into.
        PipKind::Path(_)
        | PipKind::Editable(_)
        | PipKind::RequirementFile(_)
        | PipKind::ConstraintFile(_)
        | PipKind::Options => None,
    }
}
