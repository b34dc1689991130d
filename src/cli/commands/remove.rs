//! `envspec remove`: a kernel or a package less.

use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::spec::edit;

use super::edit_spec::{self, Edit, Edits, Kind};

/// Remove kernels or packages from a spec
///
/// A name under `kernels` is taken from there, everything else from
/// `dependencies`. The lock is brought up to date.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    edit: Edit,
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let edits = Edits {
        done: "Removed",
        is_kernel: &|source, item| {
            let kernels = edit_spec::kernels(source);
            Ok(kernels.iter().any(|kernel| kernel == item))
        },
        change: |source, item, kind| match kind {
            Kind::Kernel => edit::remove_kernel(source, item),
            Kind::Package => edit::remove_dependency(source, item),
        },
    };
    edit_spec::run(app, &args.edit, &edits)
}
