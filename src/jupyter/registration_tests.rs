//! What registering and unregistering do to the user's folder, and what never.

use super::registration::{
    Owner, Registered, RegistrationError, Resource, UNFINISHED, observed, read_resources, register,
    replaced, unregister,
};
use crate::kernel::{KernelSpec, Mark, RegisteredName};
use crate::spec::EnvName;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn name() -> RegisteredName {
    RegisteredName::new(&EnvName::new("Lab").unwrap(), "r").unwrap()
}

fn mark(environment: &str, generation: &str) -> Mark {
    Mark {
        version: 1,
        environment: environment.to_owned(),
        kernel: "r".to_owned(),
        generation: generation.to_owned(),
        root: "/root".to_owned(),
    }
}

fn spec(mark: &Mark) -> KernelSpec {
    let text = r#"{"argv": ["/g/bin/R"], "display_name": "R", "language": "R"}"#;
    KernelSpec::parse(text).unwrap().marked(mark, None)
}

/// No kernelspec of another environment may be replaced.
fn never(_: &Mark) -> bool {
    false
}

fn logo(bytes: &[u8]) -> Resource {
    Resource {
        name: "logo-svg.svg".to_owned(),
        bytes: bytes.to_vec(),
    }
}

/// Every file below a folder with its content, in order.
fn tree(dir: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for entry in fs_err::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            all.extend(tree(&path));
        } else {
            let text = fs_err::read_to_string(&path).unwrap_or_default();
            all.push((path.display().to_string(), text));
        }
    }
    all.sort();
    all
}

#[test]
fn a_registered_kernelspec_is_seen_with_its_mark_and_its_logos() {
    let dir = tempfile::tempdir().unwrap();
    let kernels = dir.path().join("jupyter/kernels");
    assert_eq!(observed(&kernels).unwrap(), []);
    let mark = mark("Lab", "Lab-1");
    register(&kernels, &name(), &spec(&mark), &[logo(b"<svg/>")], &never).unwrap();
    let expected = Registered {
        name: "lab-r".to_owned(),
        owner: Owner::Envspec(mark),
    };
    assert_eq!(observed(&kernels).unwrap(), [expected]);
    assert_eq!(
        read_resources(&kernels.join("lab-r")).unwrap(),
        [logo(b"<svg/>")]
    );
    let json = kernels.join("lab-r/kernel.json");
    let mode = fs_err::metadata(json).unwrap().permissions().mode();
    assert_eq!(mode & 0o133, 0, "no more than rw-r--r--");
}

#[test]
fn a_new_generation_replaces_the_old_one_and_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let old = Resource {
        name: "kernel.js".to_owned(),
        bytes: b"old".to_vec(),
    };
    register(
        dir.path(),
        &name(),
        &spec(&mark("Lab", "Lab-1")),
        &[old, logo(b"1")],
        &never,
    )
    .unwrap();
    let new = spec(&mark("Lab", "Lab-2"));
    register(dir.path(), &name(), &new, &[logo(b"2")], &never).unwrap();
    let folder = dir.path().join("lab-r");
    let expected = [
        ("kernel.json", new.to_json()),
        ("logo-svg.svg", "2".to_owned()),
    ]
    .map(|(file, text)| (folder.join(file).display().to_string(), text));
    assert_eq!(tree(dir.path()), expected);
}

#[test]
fn a_foreign_kernelspec_is_neither_overwritten_nor_removed() {
    let ours = spec(&mark("Lab", "Lab-1"));
    let unreadable = "{ not json";
    let stolen = r#"{"argv": ["x"], "metadata": {"envspec": {"version": 1}}}"#;
    for (folder, text) in [
        ("lab-r", r#"{"argv": ["R"]}"#),
        ("LAB-R", r#"{"argv": ["R"]}"#),
        ("lab-r", unreadable),
        ("lab-r", stolen),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir(dir.path().join(folder)).unwrap();
        fs_err::write(dir.path().join(folder).join("kernel.json"), text).unwrap();
        let before = tree(dir.path());
        let error = register(dir.path(), &name(), &ours, &[logo(b"x")], &never).unwrap_err();
        assert!(
            matches!(error, RegistrationError::Foreign { .. }),
            "{error}"
        );
        if folder == "lab-r" {
            assert!(unregister(dir.path(), &name()).is_err());
        }
        assert_eq!(tree(dir.path()), before);
    }
}

#[test]
fn a_folder_of_the_users_own_without_a_kernel_json_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs_err::create_dir(dir.path().join("lab-r")).unwrap();
    fs_err::write(dir.path().join("lab-r/notes.txt"), "mine").unwrap();
    let error = register(dir.path(), &name(), &spec(&mark("Lab", "1")), &[], &never).unwrap_err();
    assert!(matches!(error, RegistrationError::Foreign { .. }));
    assert_eq!(tree(dir.path()).len(), 1);
}

#[test]
fn a_link_is_foreign_and_what_it_leads_to_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let ours = spec(&mark("Lab", "Lab-1"));
    fs_err::write(elsewhere.path().join("kernel.json"), ours.to_json()).unwrap();
    fs_err::os::unix::fs::symlink(elsewhere.path(), dir.path().join("lab-r")).unwrap();
    let before = tree(elsewhere.path());
    let new = spec(&mark("Lab", "Lab-2"));
    assert!(register(dir.path(), &name(), &new, &[], &never).is_err());
    assert!(unregister(dir.path(), &name()).is_err());
    assert_eq!(tree(elsewhere.path()), before);
    assert!(dir.path().join("lab-r").is_symlink());
}

#[test]
fn two_environments_whose_names_differ_in_case_do_not_share_a_kernelspec() {
    let dir = tempfile::tempdir().unwrap();
    register(
        dir.path(),
        &name(),
        &spec(&mark("Lab", "Lab-1")),
        &[],
        &never,
    )
    .unwrap();
    let error = register(
        dir.path(),
        &name(),
        &spec(&mark("lab", "lab-1")),
        &[],
        &never,
    )
    .unwrap_err();
    assert!(matches!(error, RegistrationError::Taken { environment, .. } if environment == "Lab"));
    let owner = observed(dir.path()).unwrap().remove(0).owner;
    assert_eq!(owner, Owner::Envspec(mark("Lab", "Lab-1")));
}

#[test]
fn a_kernelspec_of_another_root_is_replaced_only_if_that_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let first = mark("Lab", "Lab-1");
    let second = Mark {
        root: "/elsewhere".to_owned(),
        ..first.clone()
    };
    register(dir.path(), &name(), &spec(&first), &[], &never).unwrap();
    let refused = register(dir.path(), &name(), &spec(&second), &[], &never).unwrap_err();
    assert!(matches!(refused, RegistrationError::Taken { root, .. } if root == "/root"));
    let same_name = |theirs: &Mark| theirs.environment == "Lab";
    let found = replaced(dir.path(), &name(), &second, &same_name).unwrap();
    assert_eq!(found, Some(first));
    register(dir.path(), &name(), &spec(&second), &[], &same_name).unwrap();
    let owner = observed(dir.path()).unwrap().remove(0).owner;
    assert_eq!(owner, Owner::Envspec(second));
}

#[test]
fn an_interrupted_registration_is_invisible_and_the_next_one_finishes_it() {
    for left in [
        &[][..],
        &[UNFINISHED],
        &[UNFINISHED, "logo-svg.svg", ".envspec-a1b2"],
    ] {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("lab-r");
        fs_err::create_dir(&folder).unwrap();
        for file in left {
            fs_err::write(folder.join(file), "half").unwrap();
        }
        assert_eq!(observed(dir.path()).unwrap(), []);
        register(
            dir.path(),
            &name(),
            &spec(&mark("Lab", "Lab-1")),
            &[],
            &never,
        )
        .unwrap();
        let files = tree(dir.path());
        assert_eq!(files.len(), 1, "{files:?}");
    }
}

#[test]
fn removing_takes_the_folder_and_doing_it_again_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    register(
        dir.path(),
        &name(),
        &spec(&mark("Lab", "1")),
        &[logo(b"x")],
        &never,
    )
    .unwrap();
    unregister(dir.path(), &name()).unwrap();
    unregister(dir.path(), &name()).unwrap();
    assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_reader_never_sees_half_a_kernel_json() {
    let dir = tempfile::tempdir().unwrap();
    register(dir.path(), &name(), &spec(&mark("Lab", "0")), &[], &never).unwrap();
    let file = dir.path().join("lab-r/kernel.json");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut read = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let text = fs_err::read_to_string(&file).expect("it is always there");
                KernelSpec::parse(&text).expect("it is always whole");
                read += 1;
            }
            read
        });
        for generation in 1..100 {
            let spec = spec(&mark("Lab", &generation.to_string()));
            register(dir.path(), &name(), &spec, &[logo(&[b'x'; 4096])], &never).unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
    });
}

#[test]
fn a_kernelspec_without_a_mark_or_with_a_path_for_a_logo_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let unmarked = KernelSpec::parse(r#"{"argv": ["R"]}"#).unwrap();
    assert!(register(dir.path(), &name(), &unmarked, &[], &never).is_err());
    let ours = spec(&mark("Lab", "1"));
    for bad in ["../x", "kernel.json", ".hidden"] {
        let resource = Resource {
            name: bad.to_owned(),
            bytes: Vec::new(),
        };
        assert!(
            register(dir.path(), &name(), &ours, &[resource], &never).is_err(),
            "{bad}"
        );
    }
    assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 0);
}
