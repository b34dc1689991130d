//! Kernels from Nix: built, registered, kept while a generation refers to them. With the
//! real `nix` and a store of the test's own.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::{
    NixWorld, SHARE, in_activated_server, installer_kernel, kernel_script, nix_spec, of_flake, soon,
};

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap()
}

/// Whether a command names a program; what stands in front of it unsets variables.
fn starts(kernel: &Value, program: &str) -> bool {
    let argv = kernel["argv"].as_array().unwrap();
    argv[0] == "/usr/bin/env" && argv.iter().any(|word| word == program)
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
    // GDAL has activation scripts.
    let text = nix_spec(
        "  - nix: {installable: \"path:./flake#ts\", env: {TZ: Europe/Berlin}}\n  - deno\n",
    );
    let text = text.replace("[executable]", "[python, nbclient, libgdal-core]");
    nix.env
        .spec("lab", &(text + "variables: {LAB_VARIABLE: of the spec}\n"));
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
        assert!(starts(kernel, &format!("{path}/bin/wrapped")), "{kernel}");
        assert_eq!(kernel["interrupt_mode"], "message");
        // Nothing of the activation, and nothing of the server's Python.
        let path = format!("{path}/bin:${{PATH}}");
        let wanted = serde_json::json!({"PATH": path, "PYTHONPATH": "", "TZ": "Europe/Berlin"});
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
    assert_eq!(kernel["verdict"], "works");
    for (name, value) in in_activated_server(&nix.env, "nix") {
        let is_ones = value.contains(prefix.to_str().unwrap());
        assert!(!is_ones || name == "PATH" || name == "_", "{name}={value}");
        let is_foreign = ["CONDA_", "_CONDA_", "GDAL_", "LAB_"];
        assert!(
            !is_foreign.iter().any(|start| name.starts_with(start)),
            "{name}={value}"
        );
    }
    assert!(in_activated_server(&nix.env, "lab-deno").contains_key("GDAL_DATA"));
    let list = nix.env.run(&["list", "--json"]).success().json();
    let of_lab = list["generations"].as_array().unwrap().iter();
    let of_nix: Vec<_> = of_lab.map(|generation| &generation["nix"]).collect();
    assert!(
        of_nix.contains(&&serde_json::json!({"nix": path})),
        "{of_nix:?}"
    );
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
fn a_kernel_that_no_definition_has_cells_for_is_started_only_and_use_names_some() {
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
    let in_json = &["kernels", "test", "lab", "--json"];
    let tested = nix.env.run(in_json).success().json();
    let kernel = &tested["kernels"][0];
    assert_eq!(kernel["verdict"], "started-only", "{kernel:#}");
    assert_eq!(kernel["passed"], false);
    let steps: Vec<_> = kernel["seconds"].as_object().unwrap().keys().collect();
    assert_eq!(steps, ["start", "shutdown"]);
    let told = nix.env.run(&["kernels", "test", "lab"]).success();
    assert!(told.stdout.contains("started only"), "{told}");
    assert!(!told.stdout.contains("works"), "{told}");
    told.says("`use`");

    // A definition beside the spec, by another name that it has.
    let beside = nix.env.work().join("envs/kernels/mine.yaml");
    fs_err::create_dir(beside.parent().unwrap()).unwrap();
    let mine = |expect: &str| {
        let cells = format!(
            "smoke: {{code: \"console.log(6*7)\", expect: \"{expect}\"}}\n\
             interrupt: {{cell: \"console.log(1); while (true) {{}}\"}}\n"
        );
        let text = installer_kernel("mine", "");
        let (form, _) = text.split_once("\nsmoke:").unwrap();
        let text = format!("{form}\n{cells}state: recipe-only\naliases: [ours]\n");
        fs_err::write(&beside, text).unwrap();
    };
    mine("43");
    let text = of_flake("wrapped").replace("\"}", "\", use: ours}");
    nix.env.spec("lab", &text);
    nix.env.run(&["apply", "envs/lab.yaml"]).success();
    nix.env.run(in_json).fails_with(6).says("43");
    // Another definition is another generation, which keeps it.
    mine("42");
    nix.env.run(&["apply", "envs/lab.yaml"]).success();
    fs_err::remove_file(&beside).unwrap();
    let tested = nix.env.run(in_json).success().json();
    let kernel = &tested["kernels"][0];
    assert_eq!(kernel["verdict"], "works", "{kernel:#}");
    assert!(kernel["seconds"]["interrupt"].is_number());
    // One from before that was so.
    let kept = nix.env.prefix("lab").join(".envspec/kernels");
    let mut chmod = nix.env.program("chmod");
    nix.env.output(chmod.arg("u+w").arg(&kept)).success();
    fs_err::remove_file(kept.join("mine.yaml")).unwrap();
    nix.env
        .run(in_json)
        .fails_with(2)
        .says("the definition mine, whose cells test the kernel wrapped, is neither in");
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
    assert!(starts(&kernel, &format!("{path}/bin/wrapped")), "{kernel}");
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
        assert!(starts(&kernel, &format!("{path}/bin/wrapped")), "{kernel}");
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
