//! A repository at one commit, checked out by the user's git: with their keys, their
//! passwords and their configuration, for nothing of its author's runs yet.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use rattler_conda_types::RepoDataRecord;
use tokio::process::Command;

use super::Source;
use super::error::BuildError;
use crate::apply::context::Context;
use crate::conda::Network;

/// What of a lock's URL (`git+https://…@commit#subdirectory=…`) is whose.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    repository: String,
    commit: String,
    below: Option<PathBuf>,
}

/// Checks a commit out, with what it names of other repositories, and says which folder is
/// to be built.
pub(super) async fn check_out(
    context: &Context,
    record: &RepoDataRecord,
    folder: &Path,
) -> Result<PathBuf, BuildError> {
    let failed = |words: String, help: &str| BuildError::Repository {
        package: Source::from(record),
        words,
        help: help.to_owned(),
    };
    let Some(place) = place(record.url.as_str()) else {
        let words = format!("{} names no commit of git", record.url);
        return Err(failed(
            words,
            "make the lock anew with: envspec lock --renew",
        ));
    };
    let is_here = place.repository.starts_with("file:");
    if context.network == Network::Offline && !is_here {
        return Err(BuildError::Offline {
            package: Source::from(record),
            words: format!("git would fetch {}", place.repository),
        });
    }
    let into = folder.join("repository");
    let path = into.to_string_lossy().into_owned();
    let (repository, commit) = (place.repository.as_str(), place.commit.as_str());
    let commands: [&[&str]; 4] = [
        &["clone", "--quiet", "--no-checkout", "--", repository, &path],
        // A branch that has moved since may not lead to it any more.
        &["-C", &path, "fetch", "--quiet", "origin", commit],
        &["-C", &path, "checkout", "--quiet", "--detach", commit],
        &[
            "-C",
            &path,
            "submodule",
            "--quiet",
            "update",
            "--init",
            "--recursive",
        ],
    ];
    for (number, arguments) in commands.into_iter().enumerate() {
        let ran = git(context, arguments).await;
        let words = match ran {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let words = "there is no git on the PATH".to_owned();
                return Err(failed(words, "install git, then run the command again"));
            }
            Err(error) => error.to_string(),
            Ok(output) if output.status.success() => continue,
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        // The clone may have it though a server gives no single commits.
        if number == 1 {
            continue;
        }
        let words = words.lines().map(|line| {
            let plain = line.chars().filter(|c| !c.is_control());
            plain.collect::<String>()
        });
        let words = words.collect::<Vec<_>>().join("\n");
        let help = "see whether you may read it: git ls-remote; if the commit is gone, make the lock anew with: envspec lock --renew";
        return Err(failed(words, help));
    }
    let built = place
        .below
        .map_or_else(|| into.clone(), |below| into.join(below));
    let inside = built.canonicalize().ok().zip(into.canonicalize().ok());
    if !inside.is_some_and(|(built, into)| built.starts_with(into)) {
        let words = format!("it has no folder {}", built.display());
        return Err(failed(words, "mend `subdirectory` in the spec"));
    }
    Ok(built)
}

async fn git(context: &Context, arguments: &[&str]) -> std::io::Result<std::process::Output> {
    Command::new("git")
        .args(arguments)
        .env_clear()
        .envs(&context.environment)
        // Nobody is there to answer.
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
}

fn place(url: &str) -> Option<Place> {
    let (url, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (repository, commit) = url.strip_prefix("git+")?.rsplit_once('@')?;
    let is_commit = commit.len() >= 40 && commit.chars().all(|c| c.is_ascii_hexdigit());
    let known = ["https://", "http://", "ssh://", "file://"];
    let is_known = known.iter().any(|scheme| repository.starts_with(scheme));
    let below = fragment
        .split('&')
        .find_map(|part| part.strip_prefix("subdirectory="));
    (is_commit && is_known).then(|| Place {
        repository: repository.to_owned(),
        commit: commit.to_owned(),
        below: below.map(PathBuf::from),
    })
}

#[cfg(test)]
mod tests {
    use super::{Place, place};

    #[test]
    fn a_repository_is_read_from_its_url_and_nothing_else_is_one() {
        let commit = "1b4f4b1763d5065715e7f0e3227e8acfc7799c90";
        assert_eq!(
            place(&format!(
                "git+ssh://git@h/tool.git@{commit}#subdirectory=a/b"
            )),
            Some(Place {
                repository: "ssh://git@h/tool.git".to_owned(),
                commit: commit.to_owned(),
                below: Some("a/b".into()),
            })
        );
        for url in [
            "git+https://h/tool@main",
            "git+ext::sh -c true@1b4f4b1763d5065715e7f0e3227e8acfc7799c90",
            "https://h/tool@1b4f4b1763d5065715e7f0e3227e8acfc7799c90",
        ] {
            assert_eq!(place(url), None, "{url}");
        }
    }
}
