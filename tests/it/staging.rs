//! What an installer may do to its surroundings: nothing past its staging folder, no
//! network that is forbidden, no process that outlives it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::{
    CommandOutput, PackageFile, Server, TestEnv, add_package, installer_kernel, soon,
};

/// The lab with one kernel, whose installer takes some steps first.
fn lab(env: &TestEnv, steps: &str) {
    lab_of(env, &installer_kernel("mine", steps));
}

fn lab_of(env: &TestEnv, definition: &str) {
    let folder = env.work().join("envs/kernels");
    fs_err::create_dir_all(&folder).unwrap();
    fs_err::write(folder.join("mine.yaml"), definition).unwrap();
    env.spec(
        "lab",
        "channels: [tiny]\ndependencies: []\nkernels: [mine]\n",
    );
}

/// A definition whose installer has some seconds.
fn hurried(steps: &str, seconds: u32) -> String {
    let limit = format!("    dir: mine\n    seconds: {seconds}\n");
    installer_kernel("mine", steps).replace("    dir: mine\n", &limit)
}

/// The kernelspec `name` of the user's own.
fn of_user(env: &TestEnv, name: &str) -> PathBuf {
    env.user_kernels().join(name).join("kernel.json")
}

/// Steps that write a kernelspec of the user's, whatever HOME says.
fn stray(env: &TestEnv, name: &str, text: &str) -> String {
    let file = of_user(env, name);
    let folder = env.user_kernels().join(name);
    format!(
        r#"mkdir -p {}; echo "{text}" > {};"#,
        folder.display(),
        file.display()
    )
}

#[track_caller]
fn refused(env: &TestEnv) -> CommandOutput {
    let generations = || fs_err::read_dir(env.root().join("gen")).map_or(0, Iterator::count);
    let before = generations();
    let ran = env.run(&["apply"]).fails_with(6);
    assert_eq!(generations(), before);
    ran.says("wrote past its staging folder")
}

/// Sees that a process that a step told of is gone.
#[track_caller]
fn gone(env: &TestEnv, told: &str) {
    let pid = fs_err::read_to_string(env.path(told)).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    // Whoever is to reap it may take its time.
    let lives = stat.is_ok_and(|stat| stat.contains("(sleep)") && !stat.contains(") Z "));
    assert!(!lives, "{pid}");
}

#[test]
fn what_an_installer_that_is_killed_has_begun_goes_with_it() {
    let env = TestEnv::new();
    let told = |name: &str| env.path(name).display().to_string();
    let steps = format!(
        "mktemp > {}; setsid sleep 4711 & echo $! > {}; sleep 60;",
        told("file"),
        told("daemon")
    );
    lab_of(&env, &hurried(&steps, 3));
    env.run(&["apply"])
        .fails_with(6)
        .says("did not end within 3 seconds");
    let file = fs_err::read_to_string(env.path("file")).unwrap();
    assert!(!PathBuf::from(file.trim()).exists(), "{file}");
    gone(&env, "daemon");
    let left = fs_err::read_dir(env.path("tmp")).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn a_daemon_neither_holds_up_an_installer_that_is_done_nor_outlives_it() {
    let env = TestEnv::new();
    let told = |name: &str| env.path(name).display().to_string();
    let steps = format!(
        "sleep 4712 & echo $! > {}; setsid sleep 4712 & echo $! > {};",
        told("behind"),
        told("daemon")
    );
    lab_of(&env, &hurried(&steps, 60));
    let started = Instant::now();
    env.run(&["apply"]).success();
    assert!(started.elapsed() < Duration::from_secs(30));
    gone(&env, "behind");
    gone(&env, "daemon");
}

#[test]
fn what_an_installer_printed_is_shown_from_both_ends_however_much_it_was() {
    let env = TestEnv::new();
    lab(
        &env,
        "echo begin $((6*7)); seq 400000; echo end $((6*7)) >&2; exit 3;",
    );
    let ran = env.run(&["apply"]).fails_with(6);
    // The command itself is shown too, and has no 42 in it.
    ran.says("begin 42").says("end 42");
}

#[test]
fn kernelspecs_that_are_certainly_the_installers_are_taken_back_all_of_them() {
    let env = TestEnv::new();
    let strays = format!(
        "{} {}",
        stray(&env, "mine", "{'argv': ['$HOME/kernel']}"),
        stray(&env, "another", "{'argv': ['$PREFIX/bin/kernel']}")
    );
    // However it goes on.
    for (end, seconds) in [
        ("", 60),
        ("echo reason $((6*7)); exit 3;", 60),
        ("sleep 60;", 3),
    ] {
        lab_of(&env, &hurried(&format!("{strays} {end}"), seconds));
        let ran = refused(&env).says("mine").says("another");
        if end.contains("reason") {
            ran.says("reason 42");
        }
        let left = fs_err::read_dir(env.user_kernels()).unwrap().count();
        assert_eq!(left, 0, "{end}");
    }
}

#[test]
fn a_kernelspec_that_may_be_the_users_is_told_and_stays() {
    let env = TestEnv::new();
    lab(&env, &stray(&env, "mine", "{}"));
    refused(&env)
        .says("new, and left there")
        .says(&format!("{}", env.user_kernels().join("mine").display()));
    assert_eq!(
        fs_err::read_to_string(of_user(&env, "mine")).unwrap(),
        "{}\n"
    );
    // There it is no news.
    env.run(&["apply"]).success();

    lab(&env, &stray(&env, "mine", "{ }"));
    refused(&env).says("changed, and left so");
    assert_eq!(
        fs_err::read_to_string(of_user(&env, "mine")).unwrap(),
        "{ }\n"
    );
    lab(&env, &stray(&env, "mine", "{'argv': ['$HOME']}"));
    refused(&env).says("its kernel.json was put back");
    assert_eq!(
        fs_err::read_to_string(of_user(&env, "mine")).unwrap(),
        "{ }\n"
    );
}

#[test]
fn what_others_do_to_kernelspecs_meanwhile_is_their_own_affair() {
    let env = TestEnv::new();
    let mark = r#"{\"argv\": [\"x\"], \"display_name\": \"x\", \"language\": \"x\", \"metadata\": {\"envspec\": {\"version\": 1, \"environment\": \"mine\", \"kernel\": \"x\", \"generation\": \"mine-1\", \"root\": \"/elsewhere\"}}}"#;
    let steps = format!(
        "{} {}",
        stray(&env, "julia-1.9", "{'argv': ['julia']}"),
        // Another apply of this user's.
        stray(&env, "mine", mark)
    );
    lab(&env, &steps);
    env.run(&["apply"]).success();
    assert!(of_user(&env, "julia-1.9").exists());
    assert!(of_user(&env, "mine").exists());
}

#[test]
fn a_stray_is_found_at_home_too_when_jupyter_looks_elsewhere() {
    let mut env = TestEnv::new();
    let elsewhere = env.path("jupyter").display().to_string();
    env.set("JUPYTER_DATA_DIR", elsewhere);
    lab(&env, &stray(&env, "mine", "{'argv': ['$HOME/kernel']}"));
    refused(&env).says("home/.local/share/jupyter/kernels/mine");
    assert!(!env.user_kernels().join("mine").exists());
}

#[test]
fn offline_no_installer_that_needs_the_network_runs_and_the_others_have_none() {
    let env = TestEnv::new();
    let server = Server::start(&env.work());
    let ask = format!(
        "touch {}; curl --silent --show-error --fail {}/envs/lab.yaml;",
        env.path("ran").display(),
        server.url()
    );
    let own = installer_kernel("mine", &ask);
    let needy = own.replace("state: tested", "state: needs-network");
    let registry = own.replace(
        "    dir: mine\n",
        "    dir: mine\n    inherit: [MY_REGISTRY]\n",
    );
    for definition in [&needy, &registry] {
        assert_ne!(definition, &own);
        lab_of(&env, definition);
        env.run(&["apply", "--offline"])
            .fails_with(5)
            .says("the kernel mine")
            .says("--offline");
        assert!(!env.path("ran").exists());
        let left = fs_err::read_dir(env.root().join("gen")).map_or(0, Iterator::count);
        assert_eq!(left, 0);
    }
    // It does not say that it needs it.
    lab_of(&env, &own);
    env.run(&["apply", "--offline"]).fails_with(6);
    assert!(env.path("ran").exists());
    assert_eq!(server.requests(), Vec::<String>::new());
    env.run(&["apply"]).success();
    soon("a request", || {
        (!server.requests().is_empty()).then_some(())
    });
}

/// A package with a post-link script, and a spec that vouches for it.
fn talker(env: &mut TestEnv, script: &str) {
    let channels = env.path("channels-of-mine");
    env.set_alias(format!("file://{}", channels.display()));
    let script = format!("#!/bin/sh\n{script}\n");
    let file = PackageFile::new("bin/.talker-post-link.sh", &script);
    add_package(&channels.join("mine"), "talker", "1.0", &[file]);
    env.spec(
        "lab",
        "channels: [mine]\ndependencies: [talker]\npost_link: [talker]\n",
    );
}

#[test]
fn what_a_post_link_script_tells_people_is_shown_whether_it_fails_or_not() {
    let said = "echo 'no space for the data' >> \"$PREFIX/.messages.txt\";";
    for (end, code) in [("exit 0", 0), ("echo the end >&2; exit 1", 6)] {
        let mut env = TestEnv::new();
        talker(&mut env, &format!("{said} {end}"));
        let ran = env.run(&["apply"]);
        let ran = if code == 0 {
            ran.success()
        } else {
            ran.fails_with(code).says("the end")
        };
        ran.says("talker").says("no space for the data");
    }
    // They may be the only cause that anybody has.
    let mut env = TestEnv::new();
    talker(&mut env, said);
    let definition = installer_kernel("mine", "").replace("[executable]", "[talker]");
    let (head, rest) = definition.split_once("kernelspec:").unwrap();
    let (_, tail) = rest.split_once("smoke:").unwrap();
    lab_of(
        &env,
        &format!("{head}kernelspec:\n  post-link: {{package: talker, dir: mine}}\nsmoke:{tail}"),
    );
    let spec = "channels: [mine]\ndependencies: []\nkernels: [mine]\n";
    env.spec("lab", spec);
    let ran = env.run(&["apply"]).fails_with(6);
    ran.says("brought no kernelspec mine")
        .says("the post-link script of talker said: no space for the data");
}
