//! `apply`, `list`, `rollback` (item 5): generations are whole, immutable and
//! switched by one rename; what is done is done once.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::{
    Server, TestEnv, assert_output, channels, have, lab, soon, tiny_spec, tree, world_python,
};

#[test]
fn an_environment_is_a_link_to_its_generation_which_has_a_receipt() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib"]);
    assert_output!(env.run(&["apply"]).success());
    let link = fs_err::read_link(env.root().join("envs/lab")).unwrap();
    let id = link.file_name().unwrap().to_str().unwrap();
    assert_eq!(link, Path::new("../gen").join(id));
    let digest = id.strip_prefix("lab-").unwrap();
    assert!(digest.len() == 12 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let receipt = env.receipt("lab");
    assert_eq!(receipt["generation"], id);
    assert_eq!(receipt["packages"][0]["name"], "shared-lib");
    let text = fs_err::read_to_string(env.root().join("envs/lab/share/shared-lib.txt")).unwrap();
    assert_eq!(text, "shared-lib 2.0\n");
}

#[test]
fn a_second_apply_touches_nothing_asks_nobody_and_says_so() {
    let server = Server::start(channels());
    let env = TestEnv::with_alias(server.url());
    env.spec(
        "lab",
        "channels: [conda-forge, tiny]\ndependencies: [shared-lib]\nkernels: [deno]\n",
    );
    env.run(&["apply"]).success();
    assert!(!server.requests().is_empty());
    let seen = || {
        [
            tree(&env.root()),
            tree(&env.work()),
            tree(&env.path("home")),
        ]
    };
    let before = seen();
    assert_output!(env.run(&["apply"]).success());
    assert_eq!(server.requests(), [""; 0]);
    assert!(seen() == before, "the second apply wrote something");
}

#[test]
fn a_change_makes_a_new_generation_and_leaves_the_old_one_as_it_is() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib 1.*"]);
    env.run(&["apply"]).success();
    let old = env.prefix("lab");
    let before = tree(&old);
    env.tiny(&["shared-lib 2.*"]);
    env.run(&["apply"]).success();
    assert_ne!(env.prefix("lab"), old);
    assert!(tree(&old) == before, "the old generation was changed");
    let answer = env.run(&["list", "--json"]).success().json();
    let current: Vec<_> = answer["generations"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|generation| generation["current"] == true)
        .map(|generation| generation["prefix"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(current, [env.prefix("lab").to_str().unwrap()]);
    assert_eq!(answer["generations"].as_array().unwrap().len(), 2);
}

#[test]
fn the_list_is_for_people_and_empty_before_the_first_apply() {
    let env = TestEnv::new();
    env.run(&["list"]).success().says("No environment yet");
    env.run(&["list", "lab"]).fails_with(2);
    env.tiny(&["shared-lib"]);
    env.run(&["apply"]).success();
    assert_output!(env.run(&["list"]).success());
}

#[test]
fn going_back_to_an_earlier_spec_finds_its_generation_again() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib 1.*"]);
    env.run(&["apply"]).success();
    let old = env.prefix("lab");
    let lock = env.lock("lab");
    env.tiny(&["shared-lib 2.*"]);
    env.run(&["apply"]).success();
    let before = tree(&old);
    env.tiny(&["shared-lib 1.*"]);
    fs_err::write(env.work().join("envs/lab.lock"), lock).unwrap();
    env.run(&["apply"]).success();
    assert_eq!(env.prefix("lab"), old);
    assert!(tree(&old) == before, "it was built again");
}

#[test]
fn rollback_switches_the_link_and_the_kernelspecs_back() {
    let env = TestEnv::new();
    let spec = |version: &str, kernels: &str| {
        format!(
            "channels: [conda-forge, tiny]\ndependencies: [shared-lib {version}]\nkernels: [{kernels}]\n"
        )
    };
    env.spec("lab", &spec("1.*", "deno"));
    env.run(&["apply"]).success();
    let (old, kernelspecs) = (env.prefix("lab"), contents(&env.user_kernels()));
    assert!(!kernelspecs.is_empty());
    env.spec("lab", &spec("2.*", ""));
    env.run(&["apply"]).success();
    assert!(contents(&env.user_kernels()).is_empty());

    assert_output!(env.run(&["rollback"]).success());
    assert_eq!(env.prefix("lab"), old);
    assert_eq!(contents(&env.user_kernels()), kernelspecs);
    let rows = env.run(&["list"]).success();
    let marked: Vec<_> = rows
        .stdout
        .lines()
        .filter(|line| line.starts_with('*'))
        .collect();
    assert_eq!(marked.len(), 1);
    assert!(marked[0].contains("deno"), "{rows}");

    env.run(&["rollback"])
        .fails_with(2)
        .says("no earlier generation");
    // The spec still says what it says: apply goes forward again.
    env.run(&["apply"]).success();
    assert_ne!(env.prefix("lab"), old);
}

/// Names and contents of the files below a folder.
fn contents(folder: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for path in tree(folder).keys().filter(|path| path.is_file()) {
        let name = path.strip_prefix(folder).unwrap().display().to_string();
        let bytes = fs_err::read(path).unwrap();
        all.push((name, String::from_utf8_lossy(&bytes).into_owned()));
    }
    all
}

#[test]
fn paths_that_two_packages_bring_are_told_and_written_into_the_receipt() {
    let env = TestEnv::new();
    env.tiny(&["clobber-one", "clobber-two"]);
    env.run(&["apply"]).success().says("share/clobber.txt");
    assert_eq!(
        env.receipt("lab")["clobbered"],
        serde_json::json!(["share/clobber.txt"])
    );
}

#[test]
fn which_file_wins_a_clobbered_path_does_not_depend_on_the_run() {
    let winner = |_| {
        let env = TestEnv::new();
        env.tiny(&["clobber-one", "clobber-two"]);
        env.run(&["apply"]).success();
        fs_err::read_to_string(env.prefix("lab").join("share/clobber.txt")).unwrap()
    };
    let winners: std::collections::BTreeSet<String> = (0..5).map(winner).collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
}

#[test]
fn odd_files_arrive_as_they_are() {
    let env = TestEnv::new();
    env.tiny(&[
        "symlink",
        "dangling-symlink",
        "executable",
        "empty-file",
        "unicode-name",
        "old-format",
        "long-prefix",
    ]);
    env.run(&["apply"]).success();
    let prefix = env.prefix("lab");
    let link = |path: &str| fs_err::read_link(prefix.join(path)).unwrap();
    assert_eq!(link("share/symlink/link.txt"), Path::new("target.txt"));
    assert_eq!(link("share/dangling/link.txt"), Path::new("absent.txt"));
    let mode = prefix
        .join("bin/executable")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o111, 0o111);
    assert_eq!(prefix.join("share/empty-file").metadata().unwrap().len(), 0);
    assert!(prefix.join("share/unicode/größe–数据.txt").is_file());
    assert!(prefix.join("share/old-format.txt").is_file());

    // The prefix that files name is the generation's own path, never the link.
    let own = prefix.to_str().unwrap();
    let text = fs_err::read_to_string(prefix.join("share/long-prefix/text.conf")).unwrap();
    assert_eq!(
        text,
        format!("prefix = {own}\ndata = {own}/share/long-prefix\n")
    );
    let binary = fs_err::read(prefix.join("share/long-prefix/binary.dat")).unwrap();
    let texts: Vec<String> = binary
        .split(|byte| *byte == 0)
        .filter(|part| !part.is_empty())
        .map(|part| String::from_utf8(part.to_vec()).unwrap())
        .collect();
    assert_eq!(
        texts,
        [
            "BIN".into(),
            format!("{own}/share/one"),
            format!("{own}:{own}/two"),
            "END".into()
        ]
    );
}

#[test]
fn the_environment_and_noarch_entry_points_run_below_a_root_longer_than_a_shebang() {
    let env = TestEnv::new();
    env.spec(
        "lab",
        "channels: [conda-forge, tiny]\ndependencies: [noarch-entry 1.1, long-prefix]\n",
    );
    let root = env.path(&format!("root-{}", "x".repeat(120)));
    env.run(&["apply", "--root", root.to_str().unwrap()])
        .success();
    let prefix = fs_err::canonicalize(root.join("envs/lab")).unwrap();
    let python = prefix.join("bin/python");
    assert!(python.as_os_str().len() > 127, "the shebang would fit");
    for (program, says) in [
        (
            "noarch-entry",
            format!("noarch-entry 1.1 {}", prefix.display()),
        ),
        (
            "noarch-entry-gui",
            format!("noarch-entry 1.1 {}", prefix.display()),
        ),
        ("long-prefix", "long-prefix".to_owned()),
    ] {
        let output = env
            .output(&mut env.program(prefix.join("bin").join(program)))
            .success();
        assert_eq!(output.stdout.trim_end(), says, "{output}");
    }
}

#[test]
fn variables_of_the_spec_are_set_by_activation() {
    let env = TestEnv::new();
    let value = "it's \"set\" \\ end";
    env.spec(
        "lab",
        &(tiny_spec(&["shared-lib", "activation-vars"])
            + &format!("variables:\n  LAB_VARIABLE: {}\n", serde_json::json!(value))),
    );
    env.run(&["apply"]).success();
    let activation = &env.receipt("lab")["activation"];
    assert_eq!(activation["LAB_VARIABLE"], value);
    assert_eq!(activation["ACTIVATION_SPACE"], "two  spaces");
    assert_eq!(activation["ACTIVATION_QUOTE"], "it's a \"quote\"");
    assert_eq!(activation["ACTIVATION_NEWLINE"], "first line\nsecond line");
    // Another tool that activates the prefix sees it too.
    let script = r#"
import pathlib, subprocess, sys, rattler
from rattler.shell import activate, ActivationVariables, Shell
prefix = pathlib.Path(sys.argv[1])
script = activate(prefix, ActivationVariables(None, []), Shell.bash, rattler.Platform.current()).script
run = subprocess.run(['bash', '-c', script + '\nprintf %s "$LAB_VARIABLE"'], stdout=subprocess.PIPE, check=True)
sys.stdout.buffer.write(run.stdout)
"#;
    let mut command = env.program(world_python());
    let output = env
        .output(command.args(["-c", script]).arg(env.prefix("lab")))
        .success();
    assert_eq!(output.stdout, value);
}

#[test]
fn a_variable_that_another_tools_shell_would_run_is_refused_at_its_place() {
    for value in [
        "$(touch /tmp/ran)",
        "`touch /tmp/ran`",
        "$x\\\"; touch /tmp/ran; #",
    ] {
        let env = TestEnv::new();
        env.spec(
            "lab",
            &(tiny_spec(&["shared-lib"]) + &format!("variables:\n  LAB: {value:?}\n")),
        );
        let output = env.run(&["apply"]).fails_with(2);
        assert!(output.stderr.contains("the variable `LAB`"), "{output}");
        assert!(!env.root().exists(), "nothing was made");
    }
}

#[test]
fn nothing_that_a_spec_says_is_run_by_a_shell() {
    use std::os::unix::fs::PermissionsExt as _;
    let env = TestEnv::new();
    let ran = env.path("tmp/ran");
    // Programs that a shell runs because of a variable: a start-up file, and
    // whatever comes first on the PATH.
    let evil = env.path("tmp/evil");
    fs_err::create_dir(&evil).unwrap();
    for name in ["bash", "startup", "env", "deno"] {
        let path = evil.join(name);
        fs_err::write(&path, format!("#!/bin/sh\ntouch {}\n", ran.display())).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let hostile = format!("$(touch {0}) `touch {0}` ${{HOME}}", ran.display());
    let quoted = serde_json::json!(hostile);
    let evil = evil.display();
    env.spec(
        "lab",
        &format!(
            "channels: [conda-forge, tiny]\ndependencies: [activation-vars]\n\
             variables: {{BASH_ENV: {evil}/startup, ENV: {evil}/startup, PATH: {evil}}}\n\
             kernels:\n  - deno: {{display_name: {quoted}, env: {{OF_THE_KERNEL: {quoted}}}}}\n"
        ),
    );
    env.run(&["apply"]).success();
    assert!(!ran.exists(), "apply ran what the spec says");
    let path = env.user_kernels().join("lab-deno/kernel.json");
    let kernel: serde_json::Value = serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap();
    // Jupyter puts values for ${NAME} and takes $$ for a dollar.
    let literal = hostile.replace('$', "$$");
    assert_eq!(
        kernel["env"]["OF_THE_KERNEL"],
        literal.as_str(),
        "{kernel:#}"
    );
    assert_eq!(kernel["env"]["ENV_VARS_D_DOLLAR"], "not $$EXPANDED");
    env.run(&["kernels", "test"]).success();
    for form in ["text", "shell", "markdown", "json", "ssh-config"] {
        env.run(&["recipe", "--format", form]).success();
    }
    // There is no server in this environment: the script ends after the variables.
    let script = env.root().join("sessions/start/envspec-lab.sh");
    let output = env.program("bash").arg(script).output().unwrap();
    assert!(!output.status.success());
    assert!(!ran.exists(), "the start script ran what the spec says");
}

#[test]
fn other_tools_read_the_prefix_and_it_holds_what_the_lock_says() {
    let lab = lab();
    let script = r"
import pathlib, sys, rattler
prefix, lock = map(pathlib.Path, sys.argv[1:])
records = [rattler.PrefixRecord.from_path(path) for path in sorted((prefix / 'conda-meta').glob('*.json'))]
for record in records:
    for path in record.paths_data.paths:
        file = prefix / path.relative_path
        assert file.is_symlink() or file.exists(), file
installed = {(record.name.normalized, str(record.version), record.build) for record in records}
locked = rattler.LockFile.from_path(lock).default_environment()
packages = locked.packages(locked.platforms()[0]) if hasattr(locked, 'platforms') else None
wanted = {(package.name, str(package.version), package.location.rsplit('-', 1)[1].split('.')[0]) for package in packages}
print(len(records), len(packages))
assert {row[:2] for row in installed} == {row[:2] for row in wanted}, installed ^ wanted
";
    let output = lab
        .program(world_python())
        .args(["-c", script])
        .arg(lab.prefix())
        .arg(lab.work().join("envs/lab.lock"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let counts = String::from_utf8(output.stdout).unwrap();
    let (installed, locked) = counts.trim().split_once(' ').unwrap();
    assert_eq!(installed, locked);
    let receipt = lab.receipt();
    assert_eq!(
        receipt["packages"].as_array().unwrap().len().to_string(),
        locked
    );
    assert!(
        lab.applied
            .stderr
            .contains(&format!("Installed {locked} packages"))
    );
}

#[test]
fn the_receipt_knows_the_commit_and_whether_spec_or_lock_differ_from_it() {
    if !have("git") {
        return;
    }
    let env = TestEnv::new();
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=R", "-c", "user.email=r@example.org"];
        env.output(env.program("git").args(identity).args(arguments))
            .success()
    };
    env.tiny(&["shared-lib 1.*"]);
    env.run(&["apply"]).success();
    assert_eq!(
        env.receipt("lab")["spec"]["commit"],
        serde_json::Value::Null
    );

    drop(git(&["init", "-q"]));
    env.tiny(&["shared-lib 1.0"]);
    env.run(&["lock"]).success();
    drop(git(&["add", "."]));
    drop(git(&["commit", "-q", "-m", "the lab"]));
    let commit = git(&["rev-parse", "HEAD"]).stdout.trim().to_owned();
    env.run(&["apply"]).success();
    let origin = &env.receipt("lab")["spec"];
    assert_eq!(origin["commit"], commit.as_str());
    assert_eq!(origin["dirty"], false);
    assert_eq!(
        origin["path"],
        env.work().join("envs/lab.yaml").to_str().unwrap()
    );

    // A stranger's file does not make the spec dirty, an edit does.
    fs_err::write(env.work().join("notes.txt"), "").unwrap();
    env.tiny(&["shared-lib 2.0"]);
    env.run(&["apply"]).success();
    let origin = &env.receipt("lab")["spec"];
    assert_eq!(origin["commit"], commit.as_str());
    assert_eq!(origin["dirty"], true);
    let list = env.run(&["list"]).success();
    assert!(
        list.stdout.contains(&format!("{}+", &commit[..9])),
        "{list}"
    );
}

/// Two sites with roots of their own, and no root said otherwise.
fn with_sites(env: &TestEnv) {
    let folder = env.path("home/.config/envspec/sites");
    fs_err::create_dir_all(&folder).unwrap();
    for site in ["one", "two"] {
        let root = env.path(site);
        let text = format!(
            "name: {site}\ntitle: the site {site}\nscheduler: none\nstorage: {{root: {}}}\n",
            root.display()
        );
        fs_err::write(folder.join(format!("{site}.yaml")), text).unwrap();
    }
}

#[test]
fn after_a_change_of_site_every_command_speaks_of_the_specs_own_root() {
    let env = TestEnv::new();
    with_sites(&env);
    let run = |arguments: &[&str]| {
        let mut command = env.command(arguments);
        env.output(command.env_remove("ENVSPEC_ROOT"))
    };
    let spec = |site: &str, package: &str| {
        env.spec("lab", &format!("{}site: {site}\n", tiny_spec(&[package])))
    };
    for (site, package) in [
        ("one", "executable"),
        ("one", "shared-lib"),
        ("two", "symlink"),
    ] {
        spec(site, package);
        run(&["apply"]).success();
    }
    let generation = |root: &str| {
        let link = fs_err::read_link(env.path(root).join("envs/lab")).unwrap();
        link.file_name().unwrap().to_str().unwrap().to_owned()
    };
    let here = generation("two");
    for recipe in [
        run(&["recipe", "--format", "json"]).success().json(),
        run(&["recipe", "lab", "--format", "json"]).success().json(),
    ] {
        let prefix = recipe["generation"].as_str().unwrap();
        assert!(prefix.ends_with(&here), "{prefix}");
    }
    let other = generation("one");
    run(&["rollback"])
        .fails_with(2)
        .says("no earlier generation");
    assert_eq!(generation("one"), other, "another root was switched");
    let list = run(&["list"]).success();
    assert!(
        list.stdout.contains(env.path("two").to_str().unwrap()) || list.stdout.contains("/two"),
        "{list}"
    );

    // A name alone, away from the spec, could be either.
    let mut away = env.command(&["rollback", "lab"]);
    away.env_remove("ENVSPEC_ROOT").current_dir(env.path("tmp"));
    env.output(&mut away).fails_with(2).says("in several roots");
    assert_eq!(generation("one"), other, "another root was switched");
}

#[test]
fn an_installer_ends_with_the_apply_that_ran_it_and_writes_into_no_generation() {
    let env = TestEnv::new();
    let kernels = env.path("kernels");
    fs_err::create_dir(&kernels).unwrap();
    let definition = format!(
        "id: slow\nlanguage: x\ndisplay_name: Slow\nsummary: a slow installer\n\
         homepage: https://example.org\npackages: [executable, deno]\nkernelspec:\n  installer:\n    \
         commands: [[deno, eval, {}]]\n    dir: slow\n\
         smoke: {{code: \"1\", expect: \"1\"}}\ninterrupt: {{unsupported: not tried}}\nstate: recipe-only\n",
        serde_json::json!(
            "const f = Deno.env.get('CONDA_PREFIX') + '/written'; \
             setInterval(() => Deno.writeTextFileSync(f, String(Deno.pid) + '\\n', {append: true}), 50)"
        )
    );
    fs_err::write(kernels.join("slow.yaml"), definition).unwrap();
    env.spec(
        "lab",
        "channels: [conda-forge, tiny]\ndependencies: [executable]\nkernels: [slow]\n",
    );
    let kernels = kernels.to_str().unwrap();
    let apply = env.start(&["apply", "--kernels-dir", kernels]);
    let written = soon("what the installer writes", || {
        let gen_folder = fs_err::read_dir(env.root().join("gen")).ok()?;
        let file = gen_folder.flatten().next()?.path().join("written");
        fs_err::read_to_string(file)
            .ok()
            .filter(|text| !text.is_empty())
    });
    let installer = written.lines().next().unwrap().to_owned();
    let stop = env
        .program("kill")
        .args(["-TERM", &apply.pid().to_string()])
        .status();
    assert!(stop.unwrap().success());
    apply.wait().fails_with(130).says("interrupted");
    let process = std::path::PathBuf::from(format!("/proc/{installer}"));
    soon("the end of the installer", || {
        (!process.exists()).then_some(())
    });
    assert!(!env.root().join("leases/lab").exists(), "the lease stays");
}

#[test]
fn a_root_that_was_moved_is_built_anew_and_not_registered_as_it_is() {
    let env = TestEnv::new();
    env.spec(
        "lab",
        "channels: [conda-forge, tiny]\ndependencies: [executable]\nkernels: [deno]\n",
    );
    let (first, second) = (env.path("first"), env.path("second"));
    env.run(&["apply", "--root", first.to_str().unwrap()])
        .success();
    fs_err::rename(&first, &second).unwrap();
    let second = second.to_str().unwrap();
    env.run(&["recipe", "lab", "--root", second])
        .fails_with(2)
        .says("was moved here");
    env.run(&["apply", "--root", second])
        .success()
        .says("Installed");
    env.run(&["kernels", "test", "--root", second]).success();
}
