//! What `add` and `remove` share: edit the text, resolve it, and write both only
//! if there is a solution.

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
    let mut source = file.source.clone();
    for item in items {
        let text = change(&source, item)?;
        source = SourceText::from_text(shown.as_str(), text)?;
    }
    let name = styled(NAME, &shown);
    if source.text() == file.source.text() {
        app.ui.status(format!("{name} is like that already"));
    } else if after.no_lock {
        SpecFile::of(&path, source.clone())?;
        store::write_whole(&path, source.text().as_bytes())?;
        app.ui.status(format!("Edited {name}"));
    } else {
        // Nothing is written before there is a solution.
        let edited = SpecFile::of(&path, source)?;
        let context = walk::context(app, &edited, walk::network(after.offline))?;
        let subject = edited.judge(&context)?;
        let locked = walk::block_on(walk::lock(app, &context, &subject, LockPolicy::Update))?;
        store::write_whole(&path, subject.file.source.text().as_bytes())?;
        app.ui.status(format!("Edited {name}"));
        if !locked.written {
            let lock = subject.file.lock_path();
            store::write_whole(&lock, locked.text.as_str().as_bytes())?;
        }
    }
    if after.apply {
        let network = walk::network(after.offline);
        return apply::spec(
            app,
            SpecFile::open(&path, &shown)?,
            network,
            LockPolicy::Update,
        );
    }
    Ok(Exit::Done)
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
