//! `envspec remove`: a kernel or a package less.

use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::spec::edit;

use super::edit_spec::{self, After};

/// Remove kernels or packages from a spec
///
/// A name under `kernels` is taken from there, everything else from
/// `dependencies`. The lock is brought up to date.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Kernels and packages, by name
    #[arg(required = true, value_name = "KERNEL|PACKAGE")]
    items: Vec<String>,

    /// Take every item for a package
    #[arg(long)]
    package: bool,

    #[command(flatten)]
    after: After,
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    edit_spec::edit(app, &args.after, &args.items, |source, item| {
        let is_kernel = !args.package
            && edit_spec::kernels(source)
                .iter()
                .any(|kernel| kernel == item);
        if is_kernel {
            edit::remove_kernel(source, item)
        } else {
            edit::remove_dependency(source, item)
        }
    })
}
