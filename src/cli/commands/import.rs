//! `envspec import`: a file or a prefix of another tool becomes a spec.

use std::path::PathBuf;

use crate::apply::{self, Import};
use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::say::{NAME, counted, path_word, styled};
use crate::conda::Network;
use crate::spec::EnvName;
use crate::store;

use super::export::{OTHER_FILE, over, refuse_to_overwrite, say_left_out};

/// Make a spec of another tool's file or prefix
///
/// Reads environment.yml, pixi.toml, pyproject.toml with [tool.pixi], pixi.lock,
/// conda-lock.yml, a list behind @EXPLICIT, and a prefix that conda, mamba, micromamba or
/// pixi made. Where it has exact packages, the lock is written beside the spec. What was
/// not taken over is listed on stderr and at the head of the spec.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The file, or the prefix
    #[arg(value_name = "FILE|PREFIX")]
    source: PathBuf,

    /// The spec to write, with its lock beside it [default: envs/NAME.yaml]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// The environment's name [default: the source's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Write the spec alone, also where packages have no checksum
    #[arg(long)]
    no_lock: bool,

    /// Write over a spec and a lock that are there
    #[arg(long)]
    force: bool,
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let name = match &args.name {
        None => None,
        Some(text) => Some(EnvName::new(text).ok_or_else(|| {
            Failure::usage(
                format!("{text:?} can't be the name of an environment"),
                "letters, digits, `.`, `_` and `-` are allowed, a letter or a digit first",
            )
        })?),
    };
    let root = app.root(&app.sites()?.find(None)?)?;
    let context = app.context(root, Network::Offline)?;
    let brought = apply::import(
        &context,
        &Import {
            source: &args.source,
            name: name.as_ref(),
            output: args.output.as_deref(),
            lock: !args.no_lock,
        },
    )?;
    for note in &brought.file.notes {
        app.ui.note(&note.in_source(&brought.file.source));
    }
    let (spec, lock) = (&brought.file.path, brought.file.lock_path());
    // A lock that is there would be taken for this spec's.
    for path in [spec, &lock] {
        refuse_to_overwrite(path, args.force, OTHER_FILE)?;
    }
    // The lock first: a spec alone would be locked anew.
    let mut files: Vec<(&std::path::Path, &[u8])> = Vec::new();
    files.extend(
        brought
            .lock
            .iter()
            .map(|text| (lock.as_path(), text.as_bytes())),
    );
    files.push((spec, brought.file.source.text().as_bytes()));
    store::write_together(&files, over(args.force))?;
    let here = std::env::current_dir().unwrap_or_default();
    let shown = |path: &std::path::Path| {
        let path = path.strip_prefix(&here).unwrap_or(path);
        styled(NAME, path_word(path))
    };
    if brought.lock.is_some() {
        app.ui
            .status(format!("Wrote {} and {}", shown(spec), shown(&lock)));
    } else {
        // An older one would be taken for this spec's.
        if args.force && fs_err::remove_file(&lock).is_ok() {
            app.ui.status(format!("Removed {}", shown(&lock)));
        }
        app.ui.status(format!("Wrote {}", shown(spec)));
    }
    if brought.md5_alone > 0 {
        let packages = counted(brought.md5_alone, "package");
        app.ui.warning(format!(
            "{packages} of the lock can be checked by MD5 alone"
        ));
    }
    say_left_out(app, "not taken over", &brought.left_out);
    Ok(Exit::Done)
}
