//! The tests of the whole program: real packages, real kernels, real failures.
//!
//! Everything here runs the built `envspec` as a user would, in a world of its
//! own ([`support::TestEnv`]) with the channels that `tests/world/channel.sh`
//! builds. Names are claims. Nothing is mocked; faults are made where they
//! really happen: in the server that the channels come from, in the file
//! system, by a signal.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

mod activation;
mod apply;
mod archives;
mod at_once;
mod browser_world;
mod bytecode;
mod cache;
mod check;
mod clock;
mod cluster_world;
mod configuration;
mod conflicts;
mod crash;
mod credentials;
mod definitions;
mod definitions_beside;
mod delete;
mod doctor;
mod edit;
mod errors;
mod faults;
mod full;
mod gc;
mod gc_slurm;
mod group;
mod history;
mod hostile;
mod init;
mod injection;
mod interchange;
mod interchange_files;
mod interchange_images;
mod interchange_wheels;
mod isolated;
mod julia;
mod kernels;
mod kernels_adopt;
mod kernels_doctor;
mod kernels_repair;
mod kills;
mod languages;
mod linkless;
mod lock;
mod made_kernels;
mod names;
mod nix;
mod nix_locked;
mod personal;
mod pip;
mod pip_files;
mod pip_folders;
mod pip_git;
mod pip_sources;
mod plan;
mod policy;
mod power;
mod readers;
mod readme;
mod recipe;
mod registration;
mod rollback;
mod schema;
mod selectors;
mod servers;
mod session;
mod space;
mod staging;
mod support;
mod transport;
mod two_pythons;
mod unfit;
mod update;
mod update_records;
mod vanishing;
mod verify;
mod ways;
mod wheels;

/// A file that no module names would never run.
#[test]
fn every_file_here_is_a_module_of_the_suite() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let main = fs_err::read_to_string(folder.join("main.rs")).unwrap();
    let support = fs_err::read_to_string(folder.join("support/mod.rs")).unwrap();
    for (folder, named_in) in [(folder.clone(), main), (folder.join("support"), support)] {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "py") {
                continue;
            }
            let stem = path.file_stem().unwrap().to_str().unwrap();
            if matches!(stem, "main" | "mod" | "snapshots") {
                continue;
            }
            assert!(
                named_in.lines().any(|line| line == format!("mod {stem};")),
                "{} is not named as a module",
                path.display()
            );
        }
    }
}
