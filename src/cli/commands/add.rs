//! `envspec add`: a kernel or a package more, in one line.

use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::kernel::State;
use crate::spec::edit;

use super::edit_spec::{self, Edit, Edits, Kind};

/// Add kernels or packages to a spec
///
/// A name that the catalogue knows (`envspec kernels list`) is a kernel,
/// everything else a package. The file keeps its comments and its order. The
/// lock is brought up to date; if that can't be, the spec is left as it was.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    edit: Edit,
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let catalogue = app.catalogue()?;
    let edits = Edits {
        done: "Added",
        is_kernel: &|_, item| {
            let known = catalogue.get(item);
            if known
                .as_ref()
                .is_ok_and(|kernel| kernel.state == State::NeedsNetwork)
            {
                app.ui.warning(format!(
                    "the kernel {item} has an installer of its own, which needs the network at \
                     `apply`: see envspec kernels show {item}"
                ));
            }
            known.is_ok()
        },
        change: |source, item, kind| match kind {
            Kind::Kernel => edit::add_kernel(source, item),
            Kind::Package => edit::add_dependency(source, item),
        },
    };
    edit_spec::run(app, &args.edit, &edits)
}
