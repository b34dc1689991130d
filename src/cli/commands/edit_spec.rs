//! What `add` and `remove` share: edit the text, lock it, and put the old text
//! back if there is no solution.

use clap::Args;

use crate::apply::{LockPolicy, SpecFile};
use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::say::{NAME, styled};
use crate::cli::select;
use crate::spec::edit::EditError;
use crate::spec::{self, SourceText};
use crate::store;

use super::apply;
use super::walk;

/// What happens after the edit.
#[derive(Debug, Args)]
pub(super) struct After {
    /// The spec, or the name of an applied environment [default: the only spec in envs/]
    #[arg(long, value_name = "SPEC")]
    spec: Option<String>,

    /// Edit the spec alone; the lock is stale then
    #[arg(long, conflicts_with = "apply")]
    no_lock: bool,

    /// Apply the spec too
    #[arg(long)]
    apply: bool,

    /// Touch no network: use what is cached or on disk
    #[arg(long)]
    offline: bool,
}

/// Edits a spec item by item, then does what was asked for.
pub(super) fn edit(
    app: &App<'_>,
    after: &After,
    items: &[String],
    change: impl Fn(&SourceText, &str) -> Result<String, EditError>,
) -> Result<Exit, Failure> {
    let file = select::spec(app, after.spec.as_deref())?;
    let (path, shown) = (file.path.clone(), file.source.name().to_owned());
    let before = file.source.text().to_owned();
    let mut source = file.source;
    for item in items {
        let text = change(&source, item)?;
        source = SourceText::from_text(shown.as_str(), text)?;
    }
    if source.text() == before {
        app.ui
            .status(format!("{} has that already", styled(NAME, &shown)));
    } else {
        store::write_whole(&path, source.text().as_bytes())?;
    }
    if after.no_lock {
        app.ui.status(format!("Edited {}", styled(NAME, &shown)));
        return Ok(Exit::Done);
    }
    match lock_edited(app, after, &path, &shown) {
        Ok(()) => {}
        Err(failure) => {
            store::write_whole(&path, before.as_bytes())?;
            app.ui
                .status(format!("{} is as it was", styled(NAME, &shown)));
            return Err(failure);
        }
    }
    app.ui.status(format!("Edited {}", styled(NAME, &shown)));
    if after.apply {
        return apply::spec(
            app,
            SpecFile::open(&path, &shown)?,
            walk::network(after.offline),
            LockPolicy::Update,
        );
    }
    Ok(Exit::Done)
}

fn lock_edited(
    app: &App<'_>,
    after: &After,
    path: &std::path::Path,
    shown: &str,
) -> Result<(), Failure> {
    let file = SpecFile::open(path, shown)?;
    let context = walk::context(app, &file, walk::network(after.offline))?;
    let subject = file.judge(&context)?;
    let locked = walk::block_on(walk::lock(app, &context, &subject, LockPolicy::Update))?;
    if !locked.written {
        store::write_whole(&subject.file.lock_path(), locked.text.as_str().as_bytes())?;
    }
    Ok(())
}

/// The names of the kernels that a text asks for.
pub(super) fn kernels(source: &SourceText) -> Vec<String> {
    let any_name = spec::EnvName::new("spec");
    spec::parse(source, any_name)
        .map(|(spec, _)| {
            spec.kernels
                .into_iter()
                .map(|kernel| kernel.name.value)
                .collect()
        })
        .unwrap_or_default()
}
