//! What stands under `pip:` and can't be in a lock: what has no fixed content, would have to
//! be built, or would say something else elsewhere.

use pep508_rs::VersionOrUrl;

use crate::spec::{self, EnvSpec, PipKind, PipRequirement, SourceText, SpecErrors};

/// Refuses what a lock can't hold: what has no fixed content, or would have to be built.
pub(super) fn refuse_unlockable(spec: &EnvSpec, source: &SourceText) -> Option<SpecErrors> {
    let sections = spec.pip_sections();
    let lines = sections.flat_map(|section| &section.requirements);
    let faults = lines.filter_map(|line| {
        let (what, help) = unlockable(&line.kind).or_else(|| unlockable_in(line))?;
        let message = format!("{what} can't be locked");
        Some(spec::fault(source, line.span, message, "asked here", help))
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
        "`--hash`",
        "take it out: the lock has the SHA-256 of every wheel",
    );
    const LINKS: (&str, &str) = (
        "a folder of this machine",
        "name a URL: others have another machine",
    );
    const OTHER: (&str, &str) = (
        "this option of pip's",
        "take it out: it says how to build or to fetch, and the lock says what to install",
    );
    const KNOWN: [&str; 6] = [
        "--index-url",
        "--extra-index-url",
        "--find-links",
        "--no-index",
        "--only-binary",
        "--pre",
    ];
    if line.text.contains("${") {
        return Some(VARIABLE);
    }
    let alone = matches!(line.kind, PipKind::Options);
    line.options.iter().find_map(|option| {
        let value = option.value.as_deref().unwrap_or_default();
        match option.name {
            "--hash" => Some(HASH),
            "--find-links" if alone && !value.contains("://") => Some(LINKS),
            "--find-links" if value.starts_with("file:") => Some(LINKS),
            // Behind a requirement pip drops it, which a note says.
            name if KNOWN.contains(&name) => None,
            _ => Some(OTHER),
        }
    })
}

fn unlockable(kind: &PipKind) -> Option<(&'static str, &'static str)> {
    const BUILD: &str = "to build it runs what is in it: name a version of it that an index has, or the URL of a wheel";
    const HERE: &str = "write its lines here: what else they say would not be in the spec";
    let repository = |url: &str| {
        let known = ["git+", "hg+", "svn+", "bzr+"];
        known.iter().any(|scheme| url.starts_with(scheme))
    };
    match kind {
        PipKind::Path(_) | PipKind::Editable(_) => {
            Some(("a folder or a file of this machine", BUILD))
        }
        PipKind::Url(url) if repository(url) => Some(("a repository", BUILD)),
        PipKind::Named(requirement) => match &requirement.version_or_url {
            Some(VersionOrUrl::Url(url)) if repository(url.as_str()) => {
                Some(("a repository", BUILD))
            }
            _ => None,
        },
        PipKind::RequirementFile(_) => Some(("another file of requirements", HERE)),
        PipKind::ConstraintFile(_) => Some(("another file of constraints", HERE)),
        PipKind::Url(_) | PipKind::Options => None,
    }
}
