//! `envspec add`: a kernel or a package more, in one line.

use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::spec::edit;

use super::edit_spec::{self, After};

/// Add kernels or packages to a spec
///
/// A name that the catalogue knows (`envspec kernels list`) is a kernel,
/// everything else a package. The file keeps its comments and its order. The
/// lock is brought up to date; if that can't be, the spec is left as it was.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Kernels and packages: r, "scipy >=1.12"
    #[arg(required = true, value_name = "KERNEL|PACKAGE")]
    items: Vec<String>,

    /// Take every item for a package
    #[arg(long)]
    package: bool,

    #[command(flatten)]
    after: After,
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let catalogue = app.catalogue()?;
    let is_kernel = |item: &str| !args.package && catalogue.ids().any(|id| id == item);
    edit_spec::edit(app, &args.after, &args.items, |source, item| {
        if is_kernel(item) {
            edit::add_kernel(source, item)
        } else {
            edit::add_dependency(source, item)
        }
    })
}
