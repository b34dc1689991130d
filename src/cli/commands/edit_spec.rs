//! What `add` and `remove` share: edit the text, resolve it, and write both only
//! if there is a solution.

use std::path::Path;

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

/// What to edit, and what happens after it.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "flags of a command line are independent"
)]
pub(super) struct Edit {
    /// Kernels and packages: r, "scipy >=1.12"
    #[arg(required = true, value_name = "KERNEL|PACKAGE")]
    items: Vec<String>,

    /// Take every item for a package
    #[arg(long)]
    package: bool,

    /// Take every item for an entry of `pip:` in `dependencies`: "rich >=13"
    #[arg(long, conflicts_with = "package")]
    pip: bool,

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

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Kernel,
    Package,
    Pip,
}

/// One way to edit: what an item is taken for, and what becomes of the text.
pub(super) struct Edits<'e> {
    /// How it is told: "Added".
    pub(super) done: &'static str,
    /// Whether an item is a kernel, unless it is said to be a package.
    pub(super) is_kernel: &'e dyn Fn(&SourceText, &str) -> Result<bool, Failure>,
    /// Whose package an item is that is no kernel: conda's or pip's.
    pub(super) whose: fn(&SourceText, &str) -> Kind,
    /// The edit of one item.
    pub(super) change: fn(&SourceText, &str, Kind) -> Result<String, EditError>,
    /// What is to be said of an item besides, once the text is edited.
    pub(super) beside: fn(&SourceText, &str, Kind) -> Option<String>,
}

/// Edits the spec item by item, then does what was asked for.
pub(super) fn run(app: &App<'_>, edit: &Edit, edits: &Edits<'_>) -> Result<Exit, Failure> {
    refuse_specs_among(&edit.items, "edited", "kernel or package")?;
    let file = select::spec(app, edit.spec.as_deref())?;
    let (path, shown) = (file.path.clone(), file.source.name().to_owned());
    let mut source = file.source.clone();
    let mut told = Vec::new();
    for item in &edit.items {
        let kind = if edit.pip {
            Kind::Pip
        } else if !edit.package && (edits.is_kernel)(&source, item)? {
            Kind::Kernel
        } else {
            (edits.whose)(&source, item)
        };
        let text = (edits.change)(&source, item, kind)?;
        let changed = text != source.text();
        source = SourceText::from_text(shown.as_str(), text)?;
        if changed {
            let what = match kind {
                Kind::Kernel => "kernel",
                Kind::Package => "package",
                Kind::Pip => "pip package",
            };
            let name = styled(NAME, item);
            told.push(format!("{} the {what} {name} in {shown}", edits.done));
            told.extend((edits.beside)(&source, item, kind));
        }
    }
    if told.is_empty() {
        let name = styled(NAME, &shown);
        app.ui.status(format!("{name} is like that already"));
    } else if edit.no_lock {
        SpecFile::of(&path, source.clone())?;
        file.refuse_if_changed()?;
        store::write_whole(&path, source.text().as_bytes())?;
        app.ui.status(told.join("\n"));
    } else {
        // Nothing is written before there is a solution.
        let edited = SpecFile::of(&path, source)?;
        let context = walk::context(app, &edited, walk::network(edit.offline))?;
        let subject = edited.judge(&context)?;
        let locked = walk::block_on(walk::lock(app, &context, &subject, LockPolicy::Update))?;
        file.refuse_if_changed()?;
        store::write_whole(&path, subject.file.source.text().as_bytes())?;
        app.ui.status(told.join("\n"));
        if !locked.is_written() {
            let lock = subject.file.lock_path();
            store::write_whole(&lock, locked.text.as_str().as_bytes())?;
        }
    }
    if edit.apply {
        let network = walk::network(edit.offline);
        return apply::spec(
            app,
            SpecFile::open(&path, &shown)?,
            network,
            LockPolicy::Update,
        );
    }
    Ok(Exit::Done)
}

/// Says how a spec is named here, to who names it as other commands take it.
pub(super) fn refuse_specs_among(
    items: &[String],
    done: &str,
    wanted: &str,
) -> Result<(), Failure> {
    let is_spec = |item: &&String| {
        let path = Path::new(item);
        matches!(path.extension(), Some(ending) if ending == "yaml" || ending == "yml")
    };
    match items.iter().find(is_spec) {
        Some(spec) => Err(Failure::usage(
            format!("{spec} is a spec, and no {wanted}"),
            format!("name the spec that is to be {done} with: --spec {spec}"),
        )),
        None => Ok(()),
    }
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
