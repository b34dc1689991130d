//! What `envspec kernels doctor` does with kernelspecs of others when it is asked:
//! mends what needs no guess, adopts one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rattler_conda_types::Subdir;
use serde::Serialize;

use crate::apply;
use crate::cli::app::App;
use crate::cli::failure::Failure;
use crate::cli::say::{NAME, path_word, styled};
use crate::jupyter::{self, Survey};
use crate::kernel::{Mending, Seen, judge, mending};

use super::kernels_doctor::{is_adopted, plain};
use super::walk;

/// How it is done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doing {
    /// Only say what would be done.
    pub(super) dry_run: bool,
    /// The answer is JSON.
    pub(super) json: bool,
}

/// What was done to a kernelspec, or would be.
#[derive(Serialize)]
pub(super) struct Change {
    kernelspec: String,
    #[serde(rename = "change")]
    what: &'static str,
    pub(super) done: bool,
    /// Where the former one is kept.
    kept: Option<PathBuf>,
}

/// Mends what can be mended, and says so: of those named, if there are names.
pub(super) fn repair(
    app: &App<'_>,
    doing: Doing,
    survey: &Survey,
    names: &[String],
) -> Result<Vec<Change>, Failure> {
    let is_it = |seen: &Seen, name: &String| seen.name == name.to_lowercase();
    let of_none = |name: &&String| !survey.kernelspecs.iter().any(|seen| is_it(seen, name));
    if let Some(name) = names.iter().find(of_none) {
        return Err(unknown(survey, name));
    }
    let now = jiff::Timestamp::now()
        .strftime("%Y%m%dT%H%M%SZ")
        .to_string();
    let mut changes = Vec::new();
    for seen in &survey.kernelspecs {
        let is_named = names.iter().any(|name| is_it(seen, name));
        if !is_named && !names.is_empty() {
            continue;
        }
        let (Some(mending), Ok(path)) = (mending(seen, is_named), absolute(seen)) else {
            continue;
        };
        let failed = |error: std::io::Error| {
            Failure::damaged(
                format!(
                    "{} was not mended: {}",
                    plain(&seen.path),
                    plain(&error.to_string())
                ),
                "look at the folder's owner and at the quota of its disk",
            )
        };
        let name = styled(NAME, plain(&seen.name));
        let (what, said) = match &mending {
            Mending::Absolute(program) => ("program", format!("{name} runs {}", plain(program))),
            Mending::MoveAside => ("moved-aside", format!("Jupyter finds {name} no more")),
        };
        let kept = match (&mending, &seen.content) {
            _ if doing.dry_run => None,
            (Mending::Absolute(program), Ok(spec)) => {
                Some(jupyter::rewrite(path, &spec.with_program(program)).map_err(failed)?)
            }
            _ => Some(jupyter::move_aside(path, &now).map_err(failed)?),
        };
        app.ui.status(match &kept {
            Some(kept) => format!("{said}; as it was: {}", plain(&path_word(kept))),
            None => format!("Would do: {said}"),
        });
        changes.push(Change {
            kernelspec: seen.path.clone(),
            what,
            done: kept.is_some(),
            kept,
        });
    }
    if changes.is_empty() {
        app.ui
            .status("There is nothing that can be mended without a guess");
    }
    Ok(changes)
}

/// Adopts the kernelspec of a name, and says so.
pub(super) fn adopt(
    app: &App<'_>,
    doing: Doing,
    survey: &Survey,
    name: &str,
    environment: &BTreeMap<String, String>,
) -> Result<Change, Failure> {
    let all = survey.kernelspecs.iter();
    let named: Vec<&Seen> = all
        .filter(|seen| seen.name == name.to_lowercase())
        .collect();
    // The first that is found; envspec's own is named only if there is no other.
    let foreign = named.iter().find(|seen| !seen.is_envspecs());
    let Some(&seen) = foreign.or(named.first()) else {
        return Err(unknown(survey, name));
    };
    let path = absolute(seen)?;
    let mut change = Change {
        kernelspec: seen.path.clone(),
        what: "adopted",
        done: false,
        kept: None,
    };
    let shown = styled(NAME, plain(&seen.name));
    if is_adopted(seen) && judge(seen).is_empty() {
        app.ui
            .status(format!("Nothing to do: {shown} is adopted already"));
        return Ok(change);
    }
    let platform = Subdir::current().ok_or_else(|| {
        Failure::usage(
            "this machine is of a kind that conda does not know",
            "envspec runs on Linux and macOS",
        )
    })?;
    let adopted = walk::block_on(async { Ok(apply::adopted(seen, platform, environment).await?) })?;
    if doing.dry_run {
        app.ui
            .status(format!("Would write {}/kernel.json:", plain(&seen.path)));
        if !doing.json {
            app.ui.answer(plain_lines(adopted.to_json().trim_end()))?;
        }
        return Ok(change);
    }
    let kept = jupyter::rewrite(path, &adopted).map_err(|error| {
        Failure::damaged(
            format!(
                "{} was not adopted: {}",
                plain(&seen.path),
                plain(&error.to_string())
            ),
            "look at the folder's owner and at the quota of its disk",
        )
    })?;
    app.ui.status(format!(
        "Adopted {shown}: it runs {} in any server; as it was: {}",
        plain(adopted.argv().first().copied().unwrap_or_default()),
        plain(&path_word(&kept))
    ));
    change.done = true;
    change.kept = Some(kept);
    Ok(change)
}

/// Nothing is called so.
fn unknown(survey: &Survey, name: &str) -> Failure {
    let all = survey.kernelspecs.iter();
    let mut known: Vec<_> = all.map(|seen| plain(&seen.name)).collect();
    known.sort();
    known.dedup();
    Failure::usage(
        format!("there is no kernelspec {}", plain(name)),
        format!("there are {}", known.join(", ")),
    )
}

/// The path of a kernelspec, if it can be written as text.
fn absolute(seen: &Seen) -> Result<&Path, Failure> {
    let path = Path::new(&seen.path);
    // A name that is no text is shown with signs in it that are not its own.
    path.symlink_metadata().map_err(|error| {
        Failure::usage(
            format!("{} can't be reached: {error}", plain(&seen.path)),
            "rename the folder: letters, digits, `-`, `.` and `_`",
        )
    })?;
    Ok(path)
}

/// The same of a text with lines.
fn plain_lines(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}
