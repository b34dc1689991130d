//! The start script looks whether the node has what the packages need.

use std::process::{Command, Output};

use super::Case;
use crate::lock::Need;

fn need(requirement: &str) -> Need {
    Need {
        requirement: requirement.to_owned(),
        by: "some-package 1.2".to_owned(),
        if_there: false,
    }
}

/// Runs the start script of an environment with a need, in a root of its own. There is
/// no server: a node that is fit comes to the point where one is missing.
fn start(needs: Vec<Need>, variables: &[(&str, &str)]) -> (Output, bool) {
    let folder = tempfile::TempDir::new().unwrap();
    let root = folder.path().join("root");
    let mut case = Case::at("local");
    case.root = root.to_str().unwrap().to_owned();
    case.launch.root_dir = None;
    case.needs = needs;
    let recipe = case.recipe();
    let output = Command::new("bash")
        .args(["-c", &recipe.script.text])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        // No folder to show: the script ends before it starts a server.
        .env("HOME", folder.path().join("home"))
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    (output, root.join("sessions").exists())
}

#[track_caller]
fn refused(needs: Vec<Need>, variables: &[(&str, &str)], said: &str) {
    let (output, was_there) = start(needs, variables);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(said), "{stderr}");
    assert!(!was_there, "a folder was made before the node was judged");
}

#[track_caller]
fn taken(needs: Vec<Need>, variables: &[(&str, &str)]) {
    let (output, was_there) = start(needs, variables);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("this environment needs"), "{stderr}");
    assert!(stderr.contains("there is no folder"), "{stderr}");
    assert!(was_there, "{stderr}");
}

#[test]
fn a_node_with_an_older_libc_is_refused_with_both_versions_and_whose_need_it_is() {
    let old = [("CONDA_OVERRIDE_GLIBC", "2.28")];
    let said = "this environment needs glibc 2.34, node ";
    refused(vec![need("__glibc >=2.34,<3.0.a0")], &old, said);
    refused(
        vec![need("__glibc >=2.17"), need("__glibc >=2.34,<3.0.a0")],
        &old,
        " has 2.28 (needed by some-package 1.2)",
    );
    taken(vec![need("__glibc >=2.28,<3.0.a0")], &old);
    // 2.9 is older than 2.28.
    taken(vec![need("__glibc >=2.9")], &old);
}

#[test]
fn the_libc_kernel_and_processor_of_this_machine_are_found_out() {
    taken(
        vec![
            need("__glibc >=2.17,<3.0.a0"),
            need("__linux >=3.0"),
            need("__archspec 1 x86_64_v1"),
        ],
        &[],
    );
    let getconf = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let libc = String::from_utf8(getconf.unwrap().stdout).unwrap();
    let libc = libc.split_whitespace().last().unwrap();
    refused(
        vec![need("__glibc >=2.99")],
        &[],
        &format!("has {libc} (needed by"),
    );
    refused(vec![need("__linux >=99")], &[], "needs linux 99, node");
    refused(
        vec![need("__archspec 1 x86_64_v9")],
        &[],
        "needs a processor of x86_64_v9, node",
    );
}

#[test]
fn a_gpu_is_asked_for_where_a_package_needs_one_and_not_where_it_only_can_use_one() {
    let none = [("CONDA_OVERRIDE_CUDA", "")];
    refused(
        vec![need("__cuda")],
        &none,
        "this environment needs cuda, node",
    );
    refused(
        vec![need("__cuda >=12.4")],
        &[("CONDA_OVERRIDE_CUDA", "12.2")],
        "needs cuda 12.4, node",
    );
    taken(
        vec![need("__cuda >=12.0")],
        &[("CONDA_OVERRIDE_CUDA", "12.0")],
    );
    let can = Need {
        if_there: true,
        ..need("__cuda >=12.4")
    };
    taken(vec![can.clone()], &none);
    refused(
        vec![can],
        &[("CONDA_OVERRIDE_CUDA", "11.8")],
        "needs cuda 12.4, node",
    );
}

#[test]
fn what_a_script_can_not_judge_is_no_reason_to_stop() {
    taken(
        vec![
            need("__archspec 1 zen4"),
            need("__osx >=13"),
            need("__unix"),
            need("__strange =!; $(touch /tmp/never)"),
        ],
        &[],
    );
}
