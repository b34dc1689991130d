//! The program `envspec`; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    envspec::cli::main()
}
