//! `envspec add`: a kernel or a package more, in one line.

use std::path::Path;

use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::kernel::{KernelspecSource, State};
use crate::spec::edit;

use super::edit_spec::{self, Edit, Edits, Kind};

/// Add kernels or packages to a spec
///
/// A name that the catalogue knows (`envspec kernels list`), or that has a definition
/// in `kernels/` beside the spec, is a kernel, everything else a package: conda's, or
/// with --pip one of the section `pip:`. The file keeps its comments and its order. The
/// lock is brought up to date; if that can't be, the spec is left as it was.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    edit: Edit,
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let edits = Edits {
        done: "Added",
        is_kernel: &|source, item| {
            let specs = Path::new(source.name()).parent();
            let catalogue = app.catalogue_beside(specs.unwrap_or(Path::new("")))?;
            let Ok(kernel) = catalogue.get(item) else {
                return Ok(false);
            };
            // Variables of the user's tell an installer where to download from.
            let downloads = matches!(
                &kernel.kernelspec,
                KernelspecSource::Installer(installer) if !installer.inherit.is_empty()
            );
            let remark = match kernel.state {
                State::Tested if !downloads => return Ok(true),
                State::RecipeOnly => return Ok(true),
                State::Tested | State::NeedsNetwork => {
                    "has an installer of its own, which needs the network at `apply`"
                }
                State::Licensed => "runs a program that has to be bought and is in no package",
                State::Obsolete => "is of a project that has ended, or has no package that works",
            };
            app.ui.warning(format!(
                "the kernel {item} {remark}: see envspec kernels show {item}"
            ));
            Ok(true)
        },
        whose: |_, _| Kind::Package,
        change: |source, item, kind| match kind {
            Kind::Kernel => edit::add_kernel(source, item),
            Kind::Package => edit::add_dependency(source, item),
            Kind::Pip => edit::add_pip(source, item),
        },
        beside: |_, _, _| None,
    };
    edit_spec::run(app, &args.edit, &edits)
}
