//! Kernels from Nix: built, registered, kept while a generation refers to them. With the
//! real `nix` and a store of the test's own.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::{NixWorld, SHARE, kernel_script, nix_spec, of_flake, soon};

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap()
}

#[test]
fn a_kernel_of_a_flake_is_built_locked_registered_and_runs() {
    let Some(mut nix) = NixWorld::new() else {
        return;
    };
    // The channel has no Nix: its Deno is what the wrapper in the store starts.
    nix.env.spec(
        "tools",
        "channels: [conda-forge]\ndependencies: [deno]\nkernels: []\n",
    );
    nix.env.run(&["apply", "envs/tools.yaml"]).success();
    let deno = nix.env.prefix("tools").join("bin/deno");
    let script = kernel_script(SHARE, "ts", deno.to_str().unwrap());
    let flake = nix.flake(&[("ts", &script)]);
    nix.env.spec(
        "lab",
        &nix_spec(
            "  - nix: {installable: \"path:./flake#ts\", env: {TZ: Europe/Berlin}}\n  - deno\n",
        ),
    );
    let shown = nix.env.run(&["show", "envs/lab.yaml"]).success().stdout;
    assert!(shown.contains("path:./flake#ts from Nix"), "{shown}");
    let planned = nix.env.run(&["plan", "envs/lab.yaml"]).success().stdout;
    assert!(planned.contains("\n  with "), "{planned}");
    nix.env.run(&["apply", "envs/lab.yaml"]).success();

    let path = nix.store_path();
    assert_eq!(nix.paths("ts"), [Path::new(&path)]);
    let lock = nix.env.lock("lab");
    assert!(
        lock.contains("#   nix nix path:./flake#ts sha256:"),
        "{lock}"
    );
    assert!(
        lock.contains(&format!(" nix {path} path:./flake#ts\n")),
        "{lock}"
    );
    let receipt = nix.env.receipt("lab");
    let kernel = &receipt["kernels"][0];
    assert_eq!(kernel["name"], "nix", "the spec's order");
    assert_eq!(kernel["nix"]["installable"], "path:./flake#ts");
    assert_eq!(kernel["display_name"], "Wrapped (lab)");

    let prefix = nix.env.prefix("lab");
    let own = json(&prefix.join(SHARE).join("nix/kernel.json"));
    let registered = nix.env.user_kernels().join("lab-nix");
    let users = json(&registered.join("kernel.json"));
    for kernel in [&own, &users] {
        assert_eq!(kernel["argv"][0], format!("{path}/bin/wrapped"));
        assert_eq!(kernel["interrupt_mode"], "message");
        // Nothing of the activation.
        let wanted =
            serde_json::json!({"PATH": format!("{path}/bin:${{PATH}}"), "TZ": "Europe/Berlin"});
        assert_eq!(kernel["env"], wanted);
    }
    assert_eq!(users["display_name"], "Wrapped (lab)");
    assert_eq!(users["metadata"]["envspec"]["kernel"], "nix");
    let logo = fs_err::read_to_string(registered.join("logo-64x64.png")).unwrap();
    assert_eq!(logo, "logo\n");

    let tested = nix
        .env
        .run(&["kernels", "test", "lab", "--json"])
        .success()
        .json();
    let kernel = &tested["kernels"][0];
    assert_eq!(
        (&kernel["kernel"], &kernel["passed"]),
        (&"nix".into(), &true.into())
    );
    for step in ["start", "execute", "interrupt", "again", "shutdown"] {
        assert!(kernel["seconds"][step].is_number(), "{step}: {kernel:#}");
    }
    nix.env.run(&["verify", "lab"]).success();
    assert!(
        !flake.join("flake.lock").exists(),
        "the flake was written to"
    );

    // What is there needs no Nix.
    nix.env.set("PATH", "/nowhere");
    nix.env
        .run(&["apply", "envs/lab.yaml"])
        .success()
        .says("Nothing to do");
    nix.env.run(&["plan", "envs/lab.yaml", "--check"]).success();
}

#[test]
fn a_kernel_of_a_language_that_no_definition_has_is_started_and_ended() {
    let Some(nix) = NixWorld::new() else { return };
    nix.env.spec(
        "tools",
        "channels: [conda-forge]\ndependencies: [deno]\nkernels: []\n",
    );
    nix.env.run(&["apply", "envs/tools.yaml"]).success();
    let deno = nix.env.prefix("tools").join("bin/deno");
    let script = kernel_script(SHARE, "ts", deno.to_str().unwrap()).replace("typescript", "lojban");
    nix.flake(&[("wrapped", &script)]);
    nix.env.spec("lab", &of_flake("wrapped"));
    nix.env.run(&["apply", "envs/lab.yaml"]).success();
    let tested = nix
        .env
        .run(&["kernels", "test", "lab", "--json"])
        .success()
        .json();
    let kernel = &tested["kernels"][0];
    assert_eq!(kernel["passed"], true, "{kernel:#}");
    let steps: Vec<_> = kernel["seconds"].as_object().unwrap().keys().collect();
    assert_eq!(steps, ["start", "shutdown"]);
}

#[test]
fn a_store_path_lives_as_long_as_a_generation_refers_to_it() {
    let Some(nix) = NixWorld::with_flake() else {
        return;
    };
    nix.env.run(&["apply"]).success();
    let first = nix.env.prefix("lab");
    let path = nix.store_path();
    // A second generation of the same path.
    let text = of_flake("wrapped").replace("\"}", "\", display_name: Other}");
    nix.env.spec("lab", &text);
    nix.env.run(&["apply"]).success();
    let second = nix.env.prefix("lab");
    assert_ne!(first, second);
    assert_eq!(nix.store_path(), path);
    assert_eq!(nix.paths("wrapped").len(), 1, "built once");
    let link = |prefix: &Path| prefix.join(".envspec/nix/wrapped");
    let root = |prefix: &Path| format!("{} -> {path}", link(prefix).display());
    let mut wanted = [root(&first), root(&second)];
    wanted.sort();
    let mut roots = nix.roots();
    roots.sort();
    assert_eq!(roots, wanted);

    let is_there = || Path::new(&path).join("bin/wrapped").exists();
    nix.collect_garbage();
    assert!(is_there());
    nix.env.run(&["rollback", "lab"]).success();
    assert_eq!(nix.env.prefix("lab"), first);
    let registered = nix.env.user_kernels().join("lab-wrapped/kernel.json");
    let kernel = json(&registered);
    assert_eq!(kernel["argv"][0], format!("{path}/bin/wrapped"));
    assert_eq!(kernel["display_name"], "Wrapped (lab)");

    // One goes, the other keeps it.
    let gc = || {
        nix.env
            .run(&["gc", "--keep", "0", "--older-than", "0d"])
            .success()
    };
    gc();
    assert!(!second.exists());
    assert_eq!(nix.roots(), [root(&first)]);
    nix.collect_garbage();
    assert!(is_there());

    // The last one goes.
    nix.env.tiny(&["executable"]);
    nix.env.run(&["apply"]).success();
    assert!(!registered.exists());
    gc();
    assert!(!first.exists());
    assert_eq!(nix.roots(), [""; 0]);
    let notes = fs_err::read_dir(nix.env.path("nix/var/gcroots/auto")).unwrap();
    assert_eq!(notes.count(), 0, "a dangling root");
    nix.collect_garbage();
    assert!(!is_there());
}

#[test]
fn a_store_path_is_taken_as_it_is_without_an_evaluation() {
    let Some(nix) = NixWorld::with_flake() else {
        return;
    };
    nix.env.run(&["apply"]).success();
    let path = nix.store_path();
    // The folder of a kernelspec in it means as much.
    for named in [path.clone(), format!("{path}/{SHARE}/wrapped")] {
        let text = nix_spec(&format!("  - taken: {{installable: \"{named}\"}}\n"));
        nix.env.spec("lab", &text);
        fs_err::remove_dir_all(nix.env.path("work/envs/flake")).unwrap_or_default();
        nix.env.run(&["apply"]).success();
        assert_eq!(nix.store_path(), named);
        let kernel = json(&nix.env.user_kernels().join("lab-taken/kernel.json"));
        assert_eq!(kernel["argv"][0], format!("{path}/bin/wrapped"));
        let root = nix.env.prefix("lab").join(".envspec/nix/taken");
        assert_eq!(fs_err::read_link(root).unwrap(), Path::new(&path));
        nix.env.run(&["verify", "lab"]).success();
    }
    let before = nix.env.prefix("lab");
    let other = path.replace("-wrapped", "-other");
    nix.env.spec(
        "lab",
        &nix_spec(&format!("  - taken: {{installable: \"{other}\"}}\n")),
    );
    nix.env
        .run(&["apply"])
        .fails_with(6)
        .says("is not in the store and in no binary cache")
        .says("nix copy");
    assert_eq!(nix.env.prefix("lab"), before);
}

#[test]
fn a_store_path_that_is_gone_is_found_and_realised_again() {
    let Some(nix) = NixWorld::with_flake() else {
        return;
    };
    nix.env.run(&["apply"]).success();
    let (path, prefix) = (nix.store_path(), nix.env.prefix("lab"));
    nix.nix_store(&["--delete", "--ignore-liveness", &path]);
    let answer = nix
        .env
        .run(&["verify", "lab", "--json"])
        .fails_with(7)
        .json();
    let wanted = serde_json::json!([{"damage": "missing", "path": path, "package": null}]);
    assert_eq!(answer["findings"], wanted);
    // Nix has forgotten the root meanwhile, too.
    let notes = nix.env.path("nix/var/gcroots/auto");
    for note in fs_err::read_dir(&notes).unwrap() {
        fs_err::remove_file(note.unwrap().path()).unwrap();
    }
    nix.env
        .run(&["verify", "lab", "--repair"])
        .success()
        .says("in the Nix store again");
    assert_eq!(nix.env.prefix("lab"), prefix);
    nix.env.run(&["verify", "lab"]).success();
    assert_eq!(nix.roots().len(), 1);
    nix.collect_garbage();
    assert!(Path::new(&path).exists());
    // A damaged prefix is built again, with its root.
    fs_err::remove_dir_all(prefix.join("conda-meta")).unwrap();
    fs_err::remove_file(prefix.join(".envspec/nix/wrapped")).unwrap();
    nix.collect_garbage();
    assert!(!Path::new(&path).exists());
    let found = nix.env.run(&["verify", "lab"]).fails_with(7).stdout;
    assert!(found.contains(".envspec/nix/wrapped"), "{found}");
    nix.env.run(&["verify", "lab", "--repair"]).success();
    nix.env.run(&["verify", "lab"]).success();
    assert_eq!(nix.roots().len(), 1);
    assert_eq!(nix.store_path(), path);
}

#[test]
fn ctrl_c_ends_nix_with_its_builders() {
    let Some(nix) = NixWorld::new() else { return };
    nix.flake(&[("slow", "sleep 98765")]);
    nix.env.spec("lab", &of_flake("slow"));
    let apply = nix.env.start(&["apply"]);
    let builders = || {
        let processes = fs_err::read_dir("/proc").unwrap().flatten();
        let of_us = processes.filter(|process| {
            let read = |file: &str| std::fs::read(process.path().join(file)).unwrap_or_default();
            let environment = read("environ");
            let store = nix.store();
            read("cmdline").starts_with(b"sleep\x0098765")
                && String::from_utf8_lossy(&environment).contains(store.to_str().unwrap())
        });
        of_us.count()
    };
    soon("the builder", || (builders() > 0).then_some(()));
    let pid = i32::try_from(apply.pid()).unwrap();
    let process = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    apply.wait_within(Duration::from_secs(10)).fails_with(130);
    soon("the builder's end", || (builders() == 0).then_some(()));
    nix.assert_nothing_was_done();
    nix.env.run(&["gc"]).success();
    let left = fs_err::read_dir(nix.env.root().join("gen")).unwrap();
    assert_eq!(left.count(), 0);
}
