//! Kernels from Nix: what the lock holds, and what is refused with which words.

use std::path::Path;
use std::time::Duration;

use crate::support::{NixWorld, SHARE, kernel_script, nix_spec, of_flake};

/// A store path without its folder, by which lines may be broken.
fn name_of(store_path: &str) -> &str {
    store_path.rsplit('/').next().unwrap()
}

#[test]
fn without_nix_it_is_said_what_to_install_and_nothing_is_done() {
    let Some(mut nix) = NixWorld::with_flake() else {
        return;
    };
    let path = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
    nix.env.set("PATH", "/nowhere");
    for command in ["lock", "apply"] {
        nix.env
            .run(&[command])
            .fails_with(6)
            .says("no `nix` on this machine")
            .says("nix-bin")
            .says("nixos.org");
    }
    assert!(!nix.env.work().join("envs/lab.lock").exists());
    // A lock from elsewhere is of no use alone.
    nix.env.set("PATH", path);
    nix.env.run(&["lock"]).success();
    assert!(nix.paths("wrapped").is_empty(), "a lock builds nothing");
    nix.env.set("PATH", "/nowhere");
    nix.env
        .run(&["apply", "--locked"])
        .fails_with(6)
        .says("nix-bin");
    nix.env.set("PATH", path);
    nix.assert_nothing_was_done();
    // Not on PATH, and where installers put it.
    nix.env.set("PATH", "/nowhere");
    let profile = nix.env.path("home/.nix-profile/bin");
    fs_err::create_dir_all(&profile).unwrap();
    for program in ["nix", "nix-store"] {
        fs_err::os::unix::fs::symlink(Path::new("/usr/bin").join(program), profile.join(program))
            .unwrap();
    }
    nix.env.run(&["apply", "--locked"]).success();
}

#[test]
fn a_build_that_fails_is_told_with_its_last_words_and_what_was_current_stays() {
    let Some(nix) = NixWorld::with_flake() else {
        return;
    };
    nix.env.run(&["apply"]).success();
    let before = nix.env.prefix("lab");
    nix.flake(&[("bad", "echo the kernel has no wheels >&2; exit 3")]);
    nix.env.spec("lab", &of_flake("bad"));
    let lock = nix.env.lock("lab");
    nix.env
        .run(&["apply"])
        .fails_with(6)
        .says("could not build path:./flake#bad")
        .says("the kernel has no wheels");
    assert_eq!(nix.env.prefix("lab"), before);
    assert_eq!(nix.env.lock("lab"), lock);
    let left = fs_err::read_dir(nix.env.root().join("gen")).unwrap();
    assert_eq!(left.count(), 1);
    // What can't even be evaluated.
    nix.env.spec("lab", &of_flake("nothing"));
    nix.env
        .run(&["lock"])
        .fails_with(6)
        .says("can't evaluate")
        .says("does not provide attribute");
}

#[test]
fn an_output_without_a_kernelspec_or_with_several_is_refused() {
    let Some(nix) = NixWorld::new() else { return };
    let both = [
        kernel_script("kernels", "one", "/bin/true"),
        kernel_script("kernels", "two", "/bin/true").replace("ln -s", "ln -sf"),
    ];
    nix.flake(&[
        ("none", "mkdir -p $out/bin"),
        ("both", &both.join("\n")),
        (
            "broken",
            &kernel_script(SHARE, "k", "/bin/true").replace("[\"wrapped\"", "[\"python\""),
        ),
    ]);
    nix.env.spec("lab", &of_flake("none"));
    nix.env
        .run(&["apply"])
        .fails_with(6)
        .says("no kernelspec in")
        .says("jupyter-kernel.create");
    nix.env.spec("lab", &of_flake("broken"));
    nix.env
        .run(&["apply"])
        .fails_with(6)
        .says("the kernel's program `python` is not in the store");
    nix.env.spec("lab", &of_flake("both"));
    nix.env
        .run(&["apply"])
        .fails_with(6)
        .says("several kernelspecs: one, two")
        .says("- one: {installable: …}");
    nix.assert_nothing_was_done();
    // One entry to each.
    let entry = |name: &str| format!("  - {name}: {{installable: \"./flake#both\"}}\n");
    nix.env
        .spec("lab", &nix_spec(&(entry("One") + &entry("two"))));
    nix.env.run(&["apply"]).success();
    for name in ["lab-one", "lab-two"] {
        assert!(
            nix.env
                .user_kernels()
                .join(name)
                .join("kernel.json")
                .exists()
        );
    }
    nix.env.run(&["verify", "lab"]).success();
}

#[test]
fn a_kernelspec_that_a_package_brings_is_not_written_over() {
    let Some(nix) = NixWorld::with_flake() else {
        return;
    };
    nix.env.spec(
        "lab",
        &nix_spec(
            "  - Deno: {installable: \"path:./flake#wrapped\"}\n  - typescript: {use: deno}\n",
        ),
    );
    // Deno's folder is made by its installer: `typescript` has one of its own then.
    nix.env
        .run(&["apply"])
        .fails_with(2)
        .says("the kernel Deno: a package or an installer brings a kernelspec named deno");
    nix.assert_nothing_was_done();
}

#[test]
fn an_installable_is_one_argument_whatever_is_in_it() {
    let Some(nix) = NixWorld::with_flake() else {
        return;
    };
    for (installable, reason) in [
        ("--impure", "taken for an option"),
        ("/nix/store/x", ""),
        ("path:#x", "names no folder"),
    ] {
        let text = nix_spec(&format!("  - odd: {{installable: \"{installable}\"}}\n"));
        nix.env.spec("lab", &text);
        let code = if reason.is_empty() { 6 } else { 2 };
        nix.env.run(&["lock"]).fails_with(code).says(reason);
    }
    let store = nix.store();
    let text = nix_spec(&format!(
        "  - odd: {{installable: \"{}/../../etc\"}}\n",
        store.display()
    ));
    nix.env.spec("lab", &text);
    nix.env
        .run(&["check"])
        .fails_with(2)
        .says("no path in the store");
    nix.env.spec(
        "lab",
        &nix_spec("  - odd: {installable: \"path:./flake#wrapped\", packages: [x]}\n"),
    );
    nix.env
        .run(&["check"])
        .fails_with(2)
        .says("knows no `packages`");
    for installable in [
        "path:./$(touch ran)`touch ran`;touch ran;'#x",
        "./flake#wrapped; touch ran",
        "nixpkgs#$(touch ran)",
    ] {
        nix.env.spec(
            "lab",
            &nix_spec(&format!("  - odd: {{installable: \"{installable}\"}}\n")),
        );
        nix.env.run(&["lock", "--offline"]).fails_with(6);
    }
    for folder in ["work", "work/envs", "home"] {
        assert!(!nix.env.path(folder).join("ran").exists(), "it ran");
    }
    // Odd is no reason to refuse.
    let odd = nix.env.path("work/odd ; envs");
    fs_err::rename(nix.env.path("work/envs"), &odd).unwrap();
    fs_err::write(odd.join("lab.yaml"), of_flake("wrapped")).unwrap();
    nix.env.run(&["apply", "odd ; envs/lab.yaml"]).success();
}

#[test]
fn a_lock_holds_a_kernel_until_its_sources_change_and_tells_when_it_would_be_another() {
    let Some(nix) = NixWorld::with_flake() else {
        return;
    };
    nix.env.run(&["apply"]).success();
    let (lock, first) = (nix.env.lock("lab"), nix.store_path());
    // What is no source changes nothing, another package does not ask Nix again.
    fs_err::write(nix.env.path("work/envs/flake/README"), "x").unwrap();
    nix.env.run(&["apply"]).success().says("Nothing to do");

    let script = kernel_script(SHARE, "wrapped", "/bin/false");
    nix.flake(&[("wrapped", &script)]);
    nix.env
        .run(&["apply", "--locked"])
        .fails_with(3)
        .says("nix wrapped path:./flake#wrapped sha256:");
    nix.env.run(&["apply"]).success();
    let second = nix.store_path();
    assert_ne!(first, second);

    // As another machine has it: the old lock, the new sources, nothing in the store.
    nix.env.tiny(&["executable"]);
    nix.env.run(&["apply"]).success();
    nix.env
        .run(&["gc", "--keep", "0", "--older-than", "0d"])
        .success();
    nix.collect_garbage();
    assert!(!Path::new(&first).exists());
    nix.env.spec("lab", &of_flake("wrapped"));
    fs_err::write(nix.env.work().join("envs/lab.lock"), &lock).unwrap();
    nix.env
        .run(&["apply", "--frozen"])
        .fails_with(3)
        .says(name_of(&first))
        .says(name_of(&second))
        .says("lock --renew");
    assert!(nix.paths("wrapped").is_empty(), "it was built for nothing");
    // With the old sources it is the very path.
    nix.flake(&[("wrapped", &kernel_script(SHARE, "wrapped", "/bin/true"))]);
    nix.env.run(&["apply", "--locked"]).success();
    assert_eq!(nix.store_path(), first);
    // A lock that knows nothing of it.
    let answers = lock.lines().filter(|line| !line.contains(&first));
    let text = answers.collect::<Vec<_>>().join("\n");
    fs_err::write(nix.env.work().join("envs/lab.lock"), text).unwrap();
    nix.env
        .run(&["apply", "--frozen"])
        .fails_with(3)
        .says("no store path for the kernel wrapped");
}

#[test]
fn a_flake_in_a_folder_that_has_everything_is_refused_at_once() {
    let Some(nix) = NixWorld::new() else { return };
    for number in 0..20_001 {
        let folder = nix.env.path(&format!("data/{}", number % 10));
        if number < 10 {
            fs_err::create_dir_all(&folder).unwrap();
        }
        std::fs::File::create(folder.join(number.to_string())).unwrap();
    }
    let text = "  - odd: {installable: \"path:../../data#x\"}\n";
    nix.env.spec("lab", &nix_spec(text));
    for command in ["lock", "plan", "apply"] {
        nix.env
            .run(&[command])
            .fails_with(2)
            .says("envs/../../data, has more than 20000 files")
            .says("a folder of its own");
    }
    // Whichever bound is met first, or what may not be read.
    nix.env
        .spec("lab", &nix_spec("  - odd: {installable: \"path:/#x\"}\n"));
    let lock = nix.env.start(&["lock"]);
    lock.wait_within(Duration::from_secs(20))
        .fails_with(2)
        .says("a folder of its own");
}

#[test]
fn at_a_revision_the_flake_is_that_of_the_revision() {
    let Some(nix) = NixWorld::with_flake() else {
        return;
    };
    let git = |arguments: &[&str]| {
        let mut git = nix.env.program("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@b"]);
        nix.env.output(git.args(arguments)).success();
    };
    nix.env.run(&["apply"]).success();
    let first = nix.store_path();
    for arguments in [&["init", "-q"][..], &["add", "."], &["commit", "-qm", "x"]] {
        git(arguments);
    }
    nix.flake(&[("wrapped", &kernel_script(SHARE, "wrapped", "/bin/false"))]);
    nix.env.run(&["apply"]).success();
    assert_ne!(nix.store_path(), first);
    git(&["commit", "-qam", "y"]);
    nix.env
        .run(&["gc", "--keep", "0", "--older-than", "0d"])
        .success();
    nix.collect_garbage();
    assert!(!Path::new(&first).exists());
    nix.env.run(&["apply", "--at", "HEAD~1"]).success();
    assert_eq!(nix.store_path(), first);
}

#[test]
fn a_flake_from_elsewhere_is_locked_at_its_revision() {
    let Some(nix) = NixWorld::with_flake() else {
        return;
    };
    let repository = nix.env.path("repository");
    let commit = |program: &str| {
        let script = kernel_script(SHARE, "wrapped", program);
        nix.flake_in("repository", &[("wrapped", &script)]);
        for arguments in [
            vec!["init", "-q"],
            vec!["add", "flake.nix"],
            vec![
                "-c",
                "user.name=a",
                "-c",
                "user.email=a@b",
                "commit",
                "-qm",
                "x",
            ],
        ] {
            let mut git = nix.env.program("git");
            git.current_dir(&repository).args(arguments);
            nix.env.output(&mut git).success();
        }
        let mut git = nix.env.program("git");
        git.current_dir(&repository).args(["rev-parse", "HEAD"]);
        nix.env.output(&mut git).success().stdout.trim().to_owned()
    };
    let revision = commit("/bin/true");
    nix.env.spec(
        "lab",
        &nix_spec(&format!(
            "  - wrapped: {{installable: \"git+file://{}#wrapped\"}}\n",
            repository.display()
        )),
    );
    nix.env.run(&["lock"]).success();
    let lock = nix.env.lock("lab");
    assert!(lock.contains(&format!("rev={revision}#wrapped")), "{lock}");
    let later = commit("/bin/false");
    // Built for the first time, after the branch went on.
    nix.env.run(&["apply", "--locked"]).success();
    let first = nix.store_path();
    let program = fs_err::read_to_string(format!("{first}/bin/wrapped")).unwrap();
    assert!(program.contains("/bin/true"), "{program}");
    nix.env.run(&["lock", "--renew"]).success();
    assert!(nix.env.lock("lab").contains(&later));
    nix.env.run(&["apply"]).success();
    assert_ne!(nix.store_path(), first);
}
