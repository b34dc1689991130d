//! `envspec remove`: a kernel or a package less.

use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::spec::edit;

use super::edit_spec::{self, Edit, Edits, Kind};

/// Remove kernels or packages from a spec
///
/// A name under `kernels` is taken from there, everything else from `dependencies`; from
/// its `pip:` if it is no package of conda's, or with --pip. The lock is brought up to
/// date.
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
        whose: |source, item| {
            if !edit::asks_conda_for(source, item) && edit::asks_pip_for(source, item) {
                Kind::Pip
            } else {
                Kind::Package
            }
        },
        change: |source, item, kind| match kind {
            Kind::Kernel => edit::remove_kernel(source, item),
            Kind::Package => edit::remove_dependency(source, item),
            Kind::Pip => edit::remove_pip(source, item),
        },
        // They may be two things: conda's `graphviz` is the program, pip's a binding.
        beside: |source, item, kind| {
            let stays = kind == Kind::Package && edit::asks_pip_for(source, item);
            stays.then(|| {
                format!("pip is asked for {item} too, which stays: envspec remove --pip {item}")
            })
        },
    };
    edit_spec::run(app, &args.edit, &edits)
}
