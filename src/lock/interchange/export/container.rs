//! Recipes of containers: an image of micromamba, the exact packages, the variables.
//!
//! What is in a spec or a lock is data here too: it reaches the shell of the image only
//! as quoted words, and the recipe's own reader only where a line cannot begin or end
//! with it.

use rattler_conda_types::Subdir;
use rattler_lock::PackageHashes;
use shell_quote::{QuoteRefExt as _, Sh};

use super::explicit::urls;
use super::{Exported, Portable, PortablePlatform, UnexportableError, pypi_requirement};
use crate::lock::interchange::text::one_line;

/// The image to begin with: its tags are versions of micromamba.
const IMAGE: &str = "docker.io/mambaorg/micromamba:2.3.2";

/// Where the lists lie while they are installed.
const LIST: &str = "/tmp/envspec.txt";
const PIP_LIST: &str = "/tmp/envspec-pip.txt";

/// The Python of the image's prefix, and a pip that is not in it.
const PYTHON: &str = "/opt/conda/bin/python";
const PIP: &str = "/tmp/envspec-pip";

/// A command is one argument of the kernel's `execve`, which takes 128 KiB; a longer
/// list is written by several.
const LONGEST_COMMAND: usize = 64 * 1024;

/// A Dockerfile.
pub fn dockerfile(
    portable: &Portable,
    at: &PortablePlatform,
) -> Result<Exported, UnexportableError> {
    let platform = platform_of_docker(at)?;
    let mut left_out = not_in_an_image(at);
    let mut lines = vec![
        format!(
            "# The packages that {} was locked to, for {}. Build it with",
            one_line(&portable.from),
            at.platform
        ),
        format!(
            "# docker build --platform {} --tag {} - < <this file>",
            platform,
            portable.name.to_lowercase()
        ),
        format!("ARG IMAGE={IMAGE}"),
        "FROM ${IMAGE}".to_owned(),
    ];
    let list = std::iter::once("@EXPLICIT".to_owned()).chain(urls(at).map(String::from));
    lines.extend(written_to(LIST, list).map(|command| format!("RUN {command}")));
    lines.push(format!(
        "RUN micromamba install --yes --name base --file {LIST} \\"
    ));
    lines.push("    && micromamba clean --all --yes \\".to_owned());
    lines.push(format!("    && rm {LIST}"));
    if let Some((list, flags)) = pip_list(at, &mut left_out) {
        lines
            .extend(written_to(PIP_LIST, list.into_iter()).map(|command| format!("RUN {command}")));
        let commands = pip_commands(at, "micromamba run --name base python", flags);
        lines.push(format!("RUN {}", commands.join(" \\\n    && ")));
    }
    for (name, value) in &portable.variables {
        if value.contains(['\n', '\r']) {
            left_out.push(format!("the variable {name}: it has several lines"));
            continue;
        }
        // Docker fills in `$NAME` and takes a backslash for an escape.
        let value: String = value
            .chars()
            .flat_map(|c| {
                let escape = matches!(c, '"' | '\\' | '$').then_some('\\');
                escape.into_iter().chain([c])
            })
            .collect();
        lines.push(format!("ENV {name}=\"{value}\""));
    }
    Ok(Exported {
        text: lines.join("\n") + "\n",
        left_out,
    })
}

/// A definition file of Apptainer (and of Singularity).
pub fn apptainer(
    portable: &Portable,
    at: &PortablePlatform,
) -> Result<Exported, UnexportableError> {
    platform_of_docker(at)?;
    let mut left_out = not_in_an_image(at);
    let mut lines = vec![
        format!(
            "# The packages that {} was locked to, for {}. Build it with",
            one_line(&portable.from),
            at.platform
        ),
        format!("# apptainer build {}.sif <this file>", portable.name),
        "Bootstrap: docker".to_owned(),
        format!("From: {}", IMAGE.trim_start_matches("docker.io/")),
        String::new(),
        "%post".to_owned(),
        "    set -eu".to_owned(),
    ];
    let list = std::iter::once("@EXPLICIT".to_owned()).chain(urls(at).map(String::from));
    lines.extend(written_to(LIST, list).map(|command| format!("    {command}")));
    lines.push(format!(
        "    micromamba install --yes --root-prefix /opt/conda --name base --file {LIST}"
    ));
    lines.push("    micromamba clean --all --yes --root-prefix /opt/conda".to_owned());
    lines.push(format!("    rm {LIST}"));
    if let Some((list, flags)) = pip_list(at, &mut left_out) {
        lines
            .extend(written_to(PIP_LIST, list.into_iter()).map(|command| format!("    {command}")));
        let commands = pip_commands(at, PYTHON, flags);
        lines.extend(commands.into_iter().map(|command| format!("    {command}")));
    }
    lines.push(String::new());
    lines.push("%environment".to_owned());
    lines.push("    export MAMBA_ROOT_PREFIX=/opt/conda".to_owned());
    lines.push("    export PATH=/opt/conda/bin:\"$PATH\"".to_owned());
    for (name, value) in &portable.variables {
        if value.contains(['\n', '\r']) {
            left_out.push(format!("the variable {name}: it has several lines"));
            continue;
        }
        lines.push(format!("    export {name}={}", word(value)));
    }
    lines.push(String::new());
    lines.push("%runscript".to_owned());
    lines.push("    exec micromamba run --root-prefix /opt/conda --name base \"$@\"".to_owned());
    Ok(Exported {
        text: lines.join("\n") + "\n",
        left_out,
    })
}

/// Commands that write a file of these lines, as few as it takes.
fn written_to(file: &str, lines: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    let mut commands: Vec<Vec<String>> = Vec::new();
    let mut length = LONGEST_COMMAND;
    for line in lines {
        let word = format!("    {} \\\n", word(&line));
        if length + word.len() > LONGEST_COMMAND {
            commands.push(Vec::new());
            length = 0;
        }
        length += word.len();
        if let Some(last) = commands.last_mut() {
            last.push(word);
        }
    }
    let file = file.to_owned();
    commands.into_iter().enumerate().map(move |(count, words)| {
        let into = if count == 0 { ">" } else { ">>" };
        format!("printf '%s\\n' \\\n{}    {into} {file}", words.concat())
    })
}

/// The packages of pip as a list for it, and the flags that belong to the list: none
/// that they need is looked for, because all are here, and checksums hold where every
/// package has one.
fn pip_list(
    at: &PortablePlatform,
    left_out: &mut Vec<String>,
) -> Option<(Vec<String>, &'static str)> {
    if at.pypi.is_empty() {
        return None;
    }
    if !has(at, "python") {
        left_out.extend(at.pypi_left_out());
        left_out.push("a Python for these: the lock has none".to_owned());
        return None;
    }
    let with_checksums: Option<Vec<String>> = at
        .pypi
        .iter()
        .map(|package| {
            let hash = package
                .as_wheel()?
                .hash
                .as_ref()
                .and_then(PackageHashes::sha256)?;
            let hash = hex::encode(hash);
            Some(format!(
                "{} --hash=sha256:{hash}",
                pypi_requirement(package)
            ))
        })
        .collect();
    if let Some(list) = with_checksums {
        return Some((list, "--no-cache-dir --no-deps --require-hashes"));
    }
    left_out.push("the checksums of the packages of pip: not all of them have one".to_owned());
    let list = at.pypi.iter().map(pypi_requirement).collect();
    Some((list, "--no-cache-dir --no-deps"))
}

fn has(at: &PortablePlatform, name: &str) -> bool {
    let mut conda = at.conda.iter();
    conda.any(|record| record.package_record.name.as_normalized() == name)
}

/// The commands that install pip's list: by the pip of the lock, or where it has none by
/// the one that every Python carries, which stays outside the prefix.
fn pip_commands(at: &PortablePlatform, python: &str, flags: &str) -> Vec<String> {
    let install = format!("install {flags} --requirement {PIP_LIST}");
    if has(at, "pip") {
        return vec![
            format!("{python} -m pip {install}"),
            format!("rm {PIP_LIST}"),
        ];
    }
    vec![
        format!("{python} -m venv {PIP}"),
        format!("{PIP}/bin/python -m pip --python {PYTHON} {install}"),
        format!("rm -r {PIP} {PIP_LIST}"),
    ]
}

/// What an image does not have, though the list names it.
fn not_in_an_image(at: &PortablePlatform) -> Vec<String> {
    let local = at
        .conda
        .iter()
        .filter(|record| record.url.scheme() == "file");
    let count = local.count();
    let mut left_out = Vec::new();
    if count > 0 {
        left_out.push(format!(
            "the files of {count} packages: their URLs are of this machine, which an image does not see"
        ));
    }
    left_out.push(
        "a checksum of the image itself: replace its tag with a digest to have the same one always"
            .to_owned(),
    );
    left_out
}

/// The platform as Docker calls it.
fn platform_of_docker(at: &PortablePlatform) -> Result<&'static str, UnexportableError> {
    match at.platform {
        Subdir::Linux64 => Ok("linux/amd64"),
        Subdir::LinuxAarch64 => Ok("linux/arm64"),
        Subdir::LinuxPpc64le => Ok("linux/ppc64le"),
        platform => Err(UnexportableError::NoImage { platform }),
    }
}

/// A text as one word of a shell, in quotes also where it needs none.
fn word(text: &str) -> String {
    let plain = |c: char| !c.is_control() && c != '\'';
    if text.chars().all(plain) {
        return format!("'{text}'");
    }
    let quoted: Vec<u8> = text.quoted(Sh);
    String::from_utf8_lossy(&quoted).into_owned()
}
