//! The lines of a `pip:` section as uv is asked.

use std::path::{Path, PathBuf};

use pep508_rs::VersionOrUrl;

use crate::pip::WantedHashes;
use crate::spec::{PipFolder, PipKind, PipRequirement};

/// What uv knows by options of its own, or needs not be told.
const NOT_FOR_UV: [&str; 3] = ["--pre", "--prefer-binary", "--require-hashes"];

/// What the lines say.
pub(in crate::apply) struct Lines {
    /// What is asked for, and where to look for it.
    pub(in crate::apply) requirements: Vec<String>,
    /// Of these, what asks for nothing: where to look.
    pub(in crate::apply) options: Vec<String>,
    /// What only holds versions down.
    pub(super) constraints: Vec<String>,
    /// The hashes that files have to have.
    pub(super) hashes: WantedHashes,
    /// Whether versions before a release count as others do.
    pub(super) prereleases: bool,
    /// Whether one of them is no wheel for sure.
    pub(super) asks_for_sources: bool,
}

impl Lines {
    /// `copies` are of the folders that lines ask for.
    pub(super) fn of(lines: &[&PipRequirement], copies: &[(PathBuf, &PipFolder)]) -> Self {
        let has = |name: &str| {
            let mut alone = lines.iter().filter(|line| line.kind == PipKind::Options);
            alone.any(|line| line.options.iter().any(|option| option.name == name))
        };
        let mut hashes = WantedHashes {
            all: has("--require-hashes"),
            ..WantedHashes::default()
        };
        let (mut requirements, mut constraints) = (Vec::new(), Vec::new());
        let mut only_options = Vec::new();
        for line in lines {
            match &line.kind {
                PipKind::Options => {
                    requirements.extend(options(line));
                    only_options.extend(options(line));
                }
                _ if line.is_constraint => constraints.push(line.line()),
                PipKind::Path(_) | PipKind::Editable(_) => {
                    let is_it =
                        |copy: &&(PathBuf, &PipFolder)| Some(copy.1) == line.folder.as_ref();
                    let copy = copies.iter().find(is_it);
                    requirements.push(copy.map_or_else(
                        || line.line(),
                        |(path, folder)| format!("{}{}", path.display(), folder.rest),
                    ));
                }
                _ => requirements.push(line.line()),
            }
            if let PipKind::Named(requirement) = &line.kind {
                let own: &str = requirement.name.as_ref();
                let wanted = line
                    .hashes()
                    .filter_map(|hash| hash.strip_prefix("sha256:"));
                for sha256 in wanted {
                    let of_package = hashes.of.entry(own.to_owned()).or_default();
                    of_package.push(sha256.to_lowercase());
                }
            }
        }
        Self {
            requirements,
            options: only_options,
            constraints,
            hashes,
            prereleases: has("--pre"),
            asks_for_sources: has("--no-binary") || lines.iter().any(|line| is_source(line)),
        }
    }
}

/// The options of a line without a requirement, for uv.
fn options(line: &PipRequirement) -> Option<String> {
    let is_for_uv = |name: &str| !NOT_FOR_UV.contains(&name);
    if line.options.iter().all(|option| is_for_uv(option.name)) {
        return Some(line.text.clone());
    }
    let options = line.options.iter().filter(|option| is_for_uv(option.name));
    let words: Vec<String> = options
        .flat_map(|option| [Some(option.name.to_owned()), option.value.clone()])
        .flatten()
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// Whether a line asks for what is no wheel: a repository, a folder, an archive.
fn is_source(line: &PipRequirement) -> bool {
    let is_wheel = |url: &str| {
        let path = url.split(['#', '?']).next().unwrap_or(url);
        Path::new(path)
            .extension()
            .is_some_and(|ending| ending == "whl")
    };
    match &line.kind {
        PipKind::Named(requirement) => match &requirement.version_or_url {
            Some(VersionOrUrl::Url(url)) => !is_wheel(url.as_str()),
            _ => false,
        },
        PipKind::Url(url) | PipKind::Path(url) => !is_wheel(url),
        PipKind::Editable(_) => true,
        PipKind::RequirementFile(_) | PipKind::ConstraintFile(_) | PipKind::Options => false,
    }
}
