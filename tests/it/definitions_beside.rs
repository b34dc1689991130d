//! Definitions of kernels in `kernels/` beside a spec: they go with it, through git, into
//! the generation and back out of it.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Ran, TestEnv, installer_kernel};

/// A spec of one kernel.
fn spec(kernel: &str) -> String {
    format!("channels: [tiny]\ndependencies: []\nkernels: [{kernel}]\n")
}

/// Writes a definition beside the specs.
fn beside(env: &TestEnv, id: &str, text: &str) {
    let folder = env.work().join("envs/kernels");
    fs_err::create_dir_all(&folder).unwrap();
    fs_err::write(folder.join(format!("{id}.yaml")), text).unwrap();
}

/// A definition whose kernelspec shows the word.
fn mine(word: &str) -> String {
    installer_kernel("mine", "").replace("display_name: mine", &format!("display_name: {word}"))
}

/// What the kernelspec of the current generation is called.
#[track_caller]
fn shown(env: &TestEnv, folder: &str) -> String {
    kernelspec(env, folder)["display_name"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[track_caller]
fn kernelspec(env: &TestEnv, folder: &str) -> Value {
    let below = format!("share/jupyter/kernels/{folder}/kernel.json");
    let text = fs_err::read(env.prefix("lab").join(below)).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn git(env: &TestEnv, arguments: &[&str]) -> Ran {
    let mut git = env.program("git");
    git.args(["-c", "user.name=x", "-c", "user.email=x@example.org"]);
    env.output(git.args(arguments))
}

fn commit(env: &TestEnv) -> String {
    git(env, &["add", "envs"]).success();
    git(env, &["commit", "--quiet", "-m", "x"]).success();
    let head = git(env, &["rev-parse", "HEAD"]).success().stdout;
    head.trim().to_owned()
}

#[test]
fn a_definition_beside_the_spec_is_used_and_one_that_changes_makes_a_new_generation() {
    let env = TestEnv::new();
    env.spec("lab", &spec("mine"));
    beside(&env, "mine", &mine("first"));
    env.run(&["apply"]).success();
    let first = env.prefix("lab");
    assert_eq!(shown(&env, "mine"), "first");
    env.run(&["apply"]).success().says("Nothing to do");

    beside(&env, "mine", &mine("second"));
    env.run(&["plan", "--check"]).fails_with(3);
    env.run(&["apply", "--frozen"]).success();
    assert_ne!(env.prefix("lab"), first);
    assert_eq!(shown(&env, "mine"), "second");
    let kept = env.prefix("lab").join(".envspec/kernels/mine.yaml");
    assert_eq!(fs_err::read_to_string(kept).unwrap(), mine("second"));
    // It is known by a name of its own, and a built-in kernel can be another one here.
    let text = mine("third").replace("\nlanguage:", "\naliases: [other]\nlanguage:");
    beside(&env, "mine", &text);
    env.spec("lab", &spec("other"));
    env.run(&["apply"]).success();
    assert_eq!(shown(&env, "mine"), "third");
    beside(
        &env,
        "go",
        &installer_kernel("go", "").replace("display_name: go", "display_name: ours"),
    );
    env.spec("lab", &spec("go"));
    env.run(&["apply"]).success();
    assert_eq!(shown(&env, "go"), "ours");
}

#[test]
fn a_mistake_in_one_is_told_with_its_place_to_whom_it_concerns() {
    let env = TestEnv::new();
    env.spec("lab", &spec("mine"));
    let text = mine("x");
    beside(&env, "mine", &text.replace("smoke:", "smokes:"));
    let line = text
        .lines()
        .position(|line| line.starts_with("smoke:"))
        .unwrap()
        + 1;
    let place = format!("envs/kernels/mine.yaml:{line}:");
    for command in [&["apply"] as &[&str], &["check"], &["kernels", "list"]] {
        env.run(command).fails_with(2).says(&place).says("smokes");
    }
    // A spec that asks for another kernel is not held up by it.
    beside(&env, "other", &installer_kernel("other", ""));
    env.spec("lab", &spec("other"));
    env.run(&["apply"]).success();
    // One that can't be read is not passed over for the catalogue's of that name.
    let unreadable = env.work().join("envs/kernels/python.yaml");
    fs_err::write(&unreadable, b"id: python\nsummary: caf\xe9\n").unwrap();
    env.spec("lab", &spec("python"));
    env.run(&["apply"])
        .fails_with(2)
        .says("kernels/python.yaml");
    fs_err::remove_file(&unreadable).unwrap();
    // A file that is named for another kernel is no definition of its own name.
    beside(&env, "mine", &installer_kernel("yours", ""));
    env.spec("lab", &spec("mine"));
    env.run(&["apply"])
        .fails_with(2)
        .says("the kernel in it is `yours`");
}

#[test]
fn what_is_no_file_or_never_ends_is_refused_and_not_read() {
    let env = TestEnv::new();
    let path = env.work().join("envs/kernels/mine.yaml");
    beside(&env, "mine", &format!("{}\n#", "x".repeat(1024 * 1024)));
    env.spec("lab", &spec("mine"));
    let refused = |reason: &str| {
        for command in [&["check"] as &[&str], &["kernels", "list"]] {
            let ran = env.start(command).wait_within(Duration::from_secs(20));
            ran.fails_with(2).says("kernels/mine.yaml").says(reason);
        }
    };
    refused("too large for the definition of a kernel");
    fs_err::remove_file(&path).unwrap();
    let mut mkfifo = env.program("mkfifo");
    env.output(mkfifo.arg(&path)).success();
    refused("it is not a file");
    fs_err::remove_file(&path).unwrap();
    fs_err::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    refused("it is not a file");
}

#[test]
fn an_old_revision_brings_its_own_definition() {
    let env = TestEnv::new();
    git(&env, &["init", "--quiet"]).success();
    env.spec("lab", &spec("other"));
    let first = mine("first").replace("\nlanguage:", "\naliases: [other]\nlanguage:");
    beside(&env, "mine", &first);
    env.run(&["lock"]).success();
    let old = commit(&env);
    // Now it is another kernel, elsewhere, and the old file is gone.
    fs_err::remove_file(env.work().join("envs/kernels/mine.yaml")).unwrap();
    beside(&env, "new", &installer_kernel("new", ""));
    env.spec("lab", &spec("new"));
    env.run(&["apply"]).success();
    commit(&env);
    env.run(&["apply", "--at", &old]).success();
    assert_eq!(shown(&env, "mine"), "first");
    assert_eq!(env.receipt("lab")["kernels"][0]["definition"], "mine");

    // A mistake at a revision is told with the words that git takes.
    env.spec("lab", &spec("mine"));
    beside(&env, "mine", &mine("x").replace("smoke:", "smokes:"));
    let broken = commit(&env);
    let place = format!("{}:./kernels/mine.yaml:", &broken[..12]);
    env.run(&["apply", "--at", &broken])
        .fails_with(2)
        .says(&place);
}

#[test]
fn a_repair_has_its_definitions_in_the_generation() {
    let mut env = TestEnv::new();
    let folder = env.path("definitions");
    fs_err::create_dir(&folder).unwrap();
    let of_user =
        installer_kernel("theirs", "").replace("\nlanguage:", "\naliases: [them]\nlanguage:");
    fs_err::write(folder.join("theirs.yaml"), of_user).unwrap();
    env.set("ENVSPEC_KERNELS", folder.to_str().unwrap());
    beside(&env, "mine", &mine("first"));
    env.spec("lab", &spec("mine, them"));
    env.run(&["apply"]).success();
    let generation = env.prefix("lab");

    fs_err::remove_dir_all(env.work().join("envs/kernels")).unwrap();
    fs_err::remove_file(folder.join("theirs.yaml")).unwrap();
    let damaged = generation.join("share/jupyter/kernels/mine/kernel.json");
    fs_err::remove_file(&damaged).unwrap();
    env.run(&["verify"]).fails_with(7);
    env.run(&["verify", "--repair"]).success();
    env.run(&["verify"]).success();
    assert_eq!(env.prefix("lab"), generation);
    assert_eq!(shown(&env, "mine"), "first");
    assert_eq!(shown(&env, "theirs"), "theirs");
    // What is gone is missed by the spec, though.
    env.run(&["apply"])
        .fails_with(2)
        .says("there is no kernel `mine`");
}

#[test]
fn definitions_beside_the_specs_are_listed_shown_and_added() {
    let env = TestEnv::new();
    env.spec("lab", "channels: [tiny]\ndependencies: []\n");
    let text = mine("Mine").replace("\nlanguage:", "\naliases: [my-own]\nlanguage:");
    beside(&env, "mine", &text);
    let list = env.run(&["kernels", "list", "--language", "sh", "--json"]);
    let list = list.success().json();
    assert_eq!(list["kernels"][0]["id"], "mine");
    assert_eq!(list["kernels"][0]["file"], "envs/kernels/mine.yaml");
    for (command, said) in [
        (
            &["list", "--language", "sh"] as &[&str],
            "envs/kernels/mine.yaml: an installer",
        ),
        (&["show", "my-own"], "file  envs/kernels/mine.yaml"),
    ] {
        let told = env.run(&[&["kernels"], command].concat()).success().stdout;
        assert!(told.contains(said), "{told}");
    }
    let shown_yaml = env.run(&["kernels", "show", "mine", "--yaml"]).success();
    assert_eq!(shown_yaml.stdout.trim(), text.trim());

    env.run(&["add", "mine"])
        .success()
        .says("Added the kernel mine");
    env.run(&["apply"]).success();
    assert_eq!(shown(&env, "mine"), "Mine");
    // Beside a spec elsewhere, it is that folder that counts.
    let elsewhere = env.work().join("elsewhere");
    fs_err::create_dir_all(elsewhere.join("kernels")).unwrap();
    fs_err::write(
        elsewhere.join("lab.yaml"),
        "channels: [tiny]\ndependencies: []\n",
    )
    .unwrap();
    fs_err::write(
        elsewhere.join("kernels/far.yaml"),
        installer_kernel("far", ""),
    )
    .unwrap();
    env.run(&["add", "far", "--spec", "elsewhere/lab.yaml"])
        .success()
        .says("Added the kernel far");
    env.run(&["add", "mine", "--spec", "elsewhere/lab.yaml"])
        .fails_with(4)
        .says("mine");
    env.run(&["kernels", "show", "far"]).fails_with(2);
}

#[test]
fn a_kernelspec_that_names_its_own_folder_names_the_one_in_the_prefix() {
    let env = TestEnv::new();
    let steps = "mkdir -p \"$folder\"; echo jar > \"$folder/kernel.jar\"; \
                 echo \"$JAVA_TOOL_OPTIONS\" > \"$folder/java\"; echo \"$HOME\" > \"$folder/home\";";
    let text = installer_kernel("mine", steps).replace(
        "\"{connection_file}\"]",
        "\"-jar\", \"'$folder'/kernel.jar\", \"{connection_file}\"]",
    );
    beside(&env, "mine", &text);
    env.spec("lab", &spec("mine"));
    env.run(&["apply"]).success();
    let folder = env.prefix("lab").join("share/jupyter/kernels/mine");
    let jar = folder.join("kernel.jar");
    assert_eq!(fs_err::read_to_string(&jar).unwrap(), "jar\n");
    assert_eq!(kernelspec(&env, "mine")["argv"][2], jar.to_str().unwrap());
    let read = |name: &str| fs_err::read_to_string(folder.join(name)).unwrap();
    let home = read("home");
    let home = home.trim();
    let told = format!("-Duser.home={home} -Djava.io.tmpdir={home}/tmp\n");
    assert_eq!(read("java"), told);
}
