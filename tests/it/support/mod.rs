//! What the tests stand on: a private world, the channels, a server of them
//! that can fail on demand, and a look at every file of a tree.

mod archive;
mod browser;
mod channels;
mod cluster;
mod installer;
mod julia;
mod kernelspecs;
mod lab;
mod member;
mod nix;
mod notebook;
mod output;
mod package;
mod schema;
mod secret;
mod server;
mod strace;
mod test_env;
mod there;
mod tls;
mod tools;
mod tree;
mod wheels;

pub(crate) use archive::{Archive, Entry, Form};
pub(crate) use browser::{Browser, Card, Login};
pub(crate) use channels::{Channels, channels, has_package};
pub(crate) use cluster::{Cluster, Running};
pub(crate) use installer::installer_kernel;
pub(crate) use julia::{JuliaPackage, ijulia, julia_packages};
pub(crate) use kernelspecs::{
    IPYKERNEL, MARKED_KERNELSPEC, agreed, beside_the_lab, cell_beside_the_lab, faults_of, judged,
    judgement, put_command, put_kernelspec, put_script, read_kernelspec, venv,
};
pub(crate) use lab::{Lab, lab};
pub(crate) use member::Member;
pub(crate) use nix::{NixWorld, SHARE, kernel_script, nix_spec, of_flake};
pub(crate) use notebook::{cell, in_activated_server};
pub(crate) use output::{CommandOutput, Ran, assert_output};
pub(crate) use package::{PackageFile, add_package};
pub(crate) use schema::judged_by_schema;
pub(crate) use secret::no_trace;
pub(crate) use server::{Ask, Cutter, Fault, Server};
pub(crate) use strace::{Call, can_trace, fail_at, fail_for, kill_at, kill_for, record, slowly};
pub(crate) use test_env::{TestEnv, soon, tiny_spec};
pub(crate) use there::{Envspec, There, program};
pub(crate) use tls::{Certificates, TlsServer};
pub(crate) use tools::{have, skipped, world_python};
pub(crate) use tree::{Tree, tree};
pub(crate) use wheels::{PythonIndex, PythonSource, Wheel, add_distribution};
