//! Wheels where conda's packages are: counted, held, in prefixes of their own, beside
//! extras of conda's, from private indexes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::pip::{World, version_of};
use crate::support::{
    Ask, CommandOutput, PythonIndex, PythonSource, Server, Wheel, add_distribution, channels, have,
    skipped,
};

/// The plan's action that builds.
fn build(world: &World) -> serde_json::Value {
    let plan = world.env.run(&["plan", "--json"]).success().json();
    let actions = plan["actions"].as_array().unwrap().clone();
    let build = |action: &serde_json::Value| action["action"] == "build-generation";
    actions.into_iter().find(build).unwrap()
}

#[test]
fn how_large_wheels_are_is_locked_and_planned_where_their_index_says_it() {
    let mut world = World::new();
    world.spec(&[]);
    let without = build(&world);
    assert_eq!(without["of_unknown_size"], 0);
    world.index.tell_sizes();
    let text = "x".repeat(3 << 20);
    let large = Wheel {
        files: &[("large/text.txt", &text)],
        ..Wheel::new("large", "1.0")
    };
    world.index.add(&large);
    let size = world.index.file(&large).metadata().unwrap().len();
    world.spec(&["large"]);
    let with = build(&world);
    let more = |key: &str| with[key].as_u64().unwrap() - without[key].as_u64().unwrap();
    assert_eq!(more("fetch_bytes"), size);
    assert!(more("bytes") >= size, "{with}");
    assert_eq!(with["of_unknown_size"], 0);
    world.env.run(&["lock"]).success();
    let lock = world.env.lock("lab");
    assert!(lock.contains("# envspec-wheels: 1\n#   "), "{lock}");
    assert!(lock.contains(&format!(" {size}\n")), "{lock}");
    // It stays where the lock is brought up to date, and a lock with it is current.
    world.env.run(&["lock", "--check"]).success();
    world.spec_with(&["traitlets"], &["large"]);
    world.env.run(&["lock"]).success();
    world.env.run(&["update", "traitlets"]).success();
    assert!(world.env.lock("lab").contains(&format!(" {size}\n")));

    // Of the others it is said that nobody tells it.
    world.spec(&["large", "greet"]);
    let unknown = build(&world);
    assert_eq!(unknown["of_unknown_size"], 2);
    assert_eq!(unknown["fetch_bytes"], with["fetch_bytes"]);
    let plan = world.env.run(&["plan"]).success();
    assert!(
        plan.stdout
            .contains("and 2 packages whose size no index tells"),
        "{plan}"
    );
    assert!(plan.stdout.contains(" or more\n"), "{plan}");
    world.env.run(&["apply"]).success();
    world.spec(&["greet"]);
    let there = build(&world);
    assert_eq!(there["fetch_bytes"], 0);
    assert_eq!(there["of_unknown_size"], 0);
}

/// What Python of a prefix of the current generation prints.
fn in_prefix(world: &World, below: &str, code: &str) -> String {
    let python = world.env.prefix("lab").join(below).join("bin/python");
    let ran = world
        .env
        .output(world.env.program(python).args(["-c", code]));
    ran.success().stdout
}

#[test]
fn a_kernels_own_section_is_for_its_own_prefix_or_for_the_environments() {
    let world = World::new();
    world.index.add(&Wheel::new("other", "1.0"));
    world.index.add(&Wheel::new("other", "2.0"));
    let spec = |two: &str| {
        let text = format!(
            "channels: [conda-forge]\ndependencies:\n  - python\n  - pip: [greet]\nkernels:\n\
             \x20 - one: {{use: bash, dependencies: [pip: [other ==1.0]]}}\n\
             \x20 - two: {{use: bash, isolated: true, dependencies: [traitlets, {{pip: [{two}]}}]}}\n"
        );
        world.env.spec("lab", &text);
    };
    spec("other ==2.0");
    world.env.run(&["check"]).success();
    world.env.run(&["apply"]).success();
    let lock = world.env.lock("lab");
    for line in [
        "#   pip greet\n",
        "#   pip other ==1.0\n",
        "#   pip of two other ==2.0\n",
    ] {
        assert!(lock.contains(line), "{lock}");
    }
    let of = |below: &str, name: &str| in_prefix(&world, below, &version_of(name));
    assert_eq!(of("", "other"), "1.0\n");
    assert_eq!(of("envs/two", "other"), "2.0\n");
    assert_eq!(of("", "greet"), "1.0\n");
    assert_eq!(of("envs/two", "greet"), "none\n");
    world.env.run(&["verify"]).success();
    world.env.run(&["apply"]).success().says("Nothing to do");
    let plan = world.env.run(&["show", "--json"]).success().json();
    assert_eq!(
        plan["pip"],
        serde_json::json!(["greet", "other ==1.0", "other ==2.0"])
    );

    // What it adds alone is updated alone, and what it can't have is told at its line.
    world.index.add(&Wheel::new("greet-words", "1.2"));
    spec("other ==2.0, greet-words ==1.1");
    world.env.run(&["lock"]).success();
    spec("other ==2.0, greet-words");
    world
        .env
        .run(&["lock", "--check"])
        .fails_with(3)
        .says("- pip of two greet-words ==1.1");
    world.env.run(&["lock"]).success();
    let answer = world
        .env
        .run(&["update", "greet-words", "--json"])
        .success();
    let answer = answer.json();
    let changes = answer["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 2, "{answer}");
    assert_eq!(changes[0]["to"]["isolated"], serde_json::Value::Null);
    assert_eq!(changes[1]["to"]["isolated"], "two");
    spec("other ==3.0");
    world
        .env
        .run(&["lock"])
        .fails_with(4)
        .says("there is no version of other==3.0")
        .says("envs/lab.yaml:7:");
    let deno = "channels: [conda-forge]\ndependencies: [python]\nkernels:\n\
                \x20 - deno: {isolated: true, dependencies: [pip: [greet]]}\n";
    world.env.spec("lab", deno);
    world
        .env
        .run(&["lock"])
        .fails_with(2)
        .says("the isolated kernel deno gets none for linux-64")
        .says("add `- python` to `dependencies` of the kernel")
        .says("envs/lab.yaml:4:");
    spec("-e .");
    world
        .env
        .run(&["check"])
        .fails_with(2)
        .says("has neither pyproject.toml nor setup.py");
}

#[test]
fn a_kernels_own_section_has_files_sources_and_folders_as_the_environments_has() {
    let world = World::new();
    let sources = [
        PythonSource::new("built", "1.2", "greet-words >=1", None),
        PythonSource::new("tool", "1.0", "greet", None),
    ];
    world.index.add_source(&sources[0]);
    let envs = world.env.work().join("envs");
    sources[1].write(&envs.join("tool"));
    fs_err::write(envs.join("two.txt"), "built\n-c held.txt\n").unwrap();
    fs_err::write(envs.join("held.txt"), "greet-words <1.2\n").unwrap();
    world.env.spec(
        "lab",
        "channels: [conda-forge]\ndependencies: [python]\nkernels:\n\
         \x20 - two: {use: bash, isolated: true, dependencies: [{pip: [-r two.txt, ./tool]}]}\n",
    );
    world
        .env
        .run(&["apply"])
        .success()
        .says("builds built 1.2 from source")
        .says("builds tool 0 from source");
    let lock = world.env.lock("lab");
    for line in [
        "pip of two built\n",
        "pip of two -c greet-words <1.2\n",
        "pip of two ./tool # sha256:",
    ] {
        assert!(lock.contains(&format!("#   {line}")), "{line}: {lock}");
    }
    for (name, version) in [("built", "1.2\n"), ("tool", "1.0\n"), ("greet", "1.0\n")] {
        assert_eq!(in_prefix(&world, "envs/two", &version_of(name)), version);
        assert_eq!(in_prefix(&world, "", &version_of(name)), "none\n");
    }
    world.env.run(&["verify"]).success();
    world.env.run(&["apply"]).success().says("Nothing to do");

    // What is locked installs where the files are gone, and repairs too.
    let file = world
        .env
        .prefix("lab")
        .join("envs/two/lib/python3.11/site-packages/built/__init__.py");
    fs_err::remove_file(file).unwrap();
    fs_err::remove_file(envs.join("two.txt")).unwrap();
    world
        .env
        .run(&["check"])
        .fails_with(2)
        .says("two.txt")
        .says("envs/lab.yaml:4:");
    world.env.run(&["verify", "lab", "--repair"]).success();
    assert_eq!(in_prefix(&world, "envs/two", &version_of("built")), "1.2\n");
}

#[test]
fn an_extra_of_what_conda_brings_is_installed_whoever_asks_for_it() {
    let world = World::new();
    let channel = world.env.path("dists");
    let metadata = [
        "Requires-Dist: nowhere",
        "Provides-Extra: http2",
        "Requires-Dist: h2 >=3; extra == 'http2'",
    ];
    add_distribution(&channel, "web", "1.0", &metadata);
    add_distribution(&channel, "plain", "1.0", &[]);
    world.index.add(&Wheel::new("h2", "2.0"));
    world.index.add(&Wheel::new("h2", "3.5"));
    world.index.add(&Wheel {
        requires: &["web[http2]", "plain[none]"],
        ..Wheel::new("asks", "1.0")
    });
    let conda = ["web", "plain"].map(|name| format!("file://{}::{name}", channel.display()));
    let conda = conda.each_ref().map(String::as_str);
    for lines in [&["asks"][..], &["web[http2]", "plain[none]"]] {
        world.spec_with(&conda, lines);
        let said = world.env.run(&["lock", "--renew"]).success();
        let lock = world.env.lock("lab");
        assert!(lock.contains("h2-3.5-"), "{lines:?} {lock}");
        assert!(!lock.contains("web-1.0-py3"), "{lock}");
        let warned = "plain is conda's and tells of no extra `none`";
        assert!(said.stderr.contains(warned), "{said}");
        assert!(!said.stderr.contains("web is conda's"), "{said}");
    }
    // It is known then, without the channel.
    fs_err::rename(&channel, world.env.path("away")).unwrap();
    fs_err::create_dir_all(channel.join("noarch")).unwrap();
    let repodata = "noarch/repodata.json";
    fs_err::copy(
        world.env.path("away").join(repodata),
        channel.join(repodata),
    )
    .unwrap();
    world.env.run(&["lock", "--renew"]).success();
    fs_err::remove_dir_all(&channel).unwrap();
    fs_err::rename(world.env.path("away"), &channel).unwrap();
    world.env.run(&["apply"]).success();
    assert_eq!(world.python(&version_of("h2")), "3.5\n");

    world.spec_with(&conda, &["asks", "h2 <3"]);
    world
        .env
        .run(&["lock"])
        .fails_with(4)
        .says("all versions of web[http2] depend on h2>=3")
        .says("- h2 <3");
}

/// The requirement of a distribution in a channel of the test's own.
fn of_channel(world: &World, name: &str) -> String {
    format!("file://{}::{name}", world.env.path("dists").display())
}

#[test]
fn a_conda_package_that_pips_lines_do_not_go_with_is_held_and_the_line_told() {
    let world = World::new();
    let channel = world.env.path("dists");
    for version in ["1.0", "1.5", "2.0"] {
        add_distribution(&channel, "num", version, &[]);
        world.index.add(&Wheel::new("num", version));
    }
    add_distribution(&channel, "bystander", "1.0", &[]);
    world.index.add(&Wheel {
        requires: &["num <1.9"],
        ..Wheel::new("tool", "1.0")
    });
    let num = of_channel(&world, "num");
    let bystander = of_channel(&world, "bystander");
    world.spec_with(&[&format!("{num} 1.0"), &bystander], &["tool", "greet"]);
    world.env.run(&["lock"]).success();
    add_distribution(&channel, "bystander", "2.0", &[]);
    world.spec_with(&[&num, &bystander], &["tool", "greet"]);
    world.env.run(&["lock"]).success();
    let before = world.env.lock("lab");
    let held = "num 2.0 is held back for linux-64 by `- tool` (envs/lab.yaml:7)";
    for (names, others) in [(&["num"][..], "bystander-1.0"), (&[], "bystander-2.0")] {
        fs_err::write(world.env.work().join("envs/lab.lock"), &before).unwrap();
        let said = world.env.run(&[&["update"], names].concat()).success();
        assert!(said.stderr.contains(held), "{said}");
        let lock = world.env.lock("lab");
        // The newest that goes, and of the others what there is.
        assert!(lock.contains("num-1.5-"), "{lock}");
        assert!(lock.contains(others), "{lock}");
        let said = world.env.run(&["update", "num", "--json"]).success();
        let held = &said.json()["held_back"];
        assert_eq!(held.as_array().unwrap().len(), 1, "{held}");
        assert_eq!(held[0]["newest"], "2.0");
        assert_eq!(held[0]["by"], serde_json::json!(["tool"]));
    }

    // What no version of conda's would mend is an error as ever.
    world.spec_with(&[&num, &bystander], &["tool", "greet", "nowhere"]);
    world
        .env
        .run(&["update"])
        .fails_with(4)
        .says("nowhere was not found in the package registry");
}

#[test]
fn where_pip_has_nothing_for_a_newer_python_the_python_stays() {
    if !channels().join("pythons").is_dir() {
        skipped("there is no second Python: its source could not be had");
        return;
    }
    let world = World::new();
    world.index.add(&Wheel {
        tags: "cp311-cp311-manylinux_2_17_x86_64",
        ..Wheel::new("compiled", "1.0")
    });
    let spec = |python: &str| {
        let text = format!(
            "channels: [pythons, conda-forge]\nchannel_priority: disabled\ndependencies:\n\
             \x20 - {python}\n  - pip: [compiled]\n"
        );
        world.env.spec("lab", &text);
    };
    spec("python 3.11.*");
    world.env.run(&["lock"]).success();
    spec("python");
    world.env.run(&["lock"]).success();
    let said = world.env.run(&["update"]).success();
    assert!(
        said.stderr
            .contains("is held back for linux-64 by `- compiled` (envs/lab.yaml:5)"),
        "{said}"
    );
    assert!(said.stderr.contains("python 3.1"), "{said}");
    let lock = world.env.lock("lab");
    assert!(lock.contains("/python-3.11."), "{lock}");
    assert!(lock.contains("compiled-1.0-cp311"), "{lock}");
}

#[test]
fn a_wheel_that_could_be_newer_is_told_with_what_holds_it() {
    let world = World::new();
    world.index.add(&Wheel {
        requires: &["greet-words <1.2"],
        ..Wheel::new("keeper", "1.0")
    });
    let needs = |version, required| {
        world.index.add(&Wheel {
            requires: &[required],
            ..Wheel::new("needs", version)
        });
    };
    needs("1.0", "traitlets >=1");
    needs("2.0", "traitlets >=99");
    world.spec_with(&["traitlets"], &["greet", "keeper", "needs"]);
    world.env.run(&["lock"]).success();
    let said = world.env.run(&["update"]).success();
    assert!(!said.stderr.contains("greet-words"), "{said}");
    world.index.add(&Wheel::new("greet-words", "1.2"));
    let said = world.env.run(&["update", "--dry-run"]).success();
    let of_line = "greet-words 1.2 is held back for linux-64 by ";
    let line = said.stderr.lines().find(|line| line.starts_with(of_line));
    let line = line.unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains("`- keeper` (envs/lab.yaml:7)"), "{line}");
    let of_conda = "needs 2.0 is held back for linux-64 by conda's traitlets 5.";
    assert!(said.stderr.contains(of_conda), "{said}");
    // Of what is not named nothing is told.
    let said = world.env.run(&["update", "greet-words"]).success();
    assert!(said.stderr.contains(of_line), "{said}");
    assert!(!said.stderr.contains("needs 2.0"), "{said}");
    let said = world.env.run(&["update", "greet", "--json"]).success();
    assert_eq!(said.json()["held_back"], serde_json::json!([]));
}

/// Writes a file of the user's.
fn put(world: &World, below_home: &str, text: &str) -> PathBuf {
    let path = world.env.path("home").join(below_home);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(&path, text).unwrap();
    let mine = std::fs::Permissions::from_mode(0o600);
    fs_err::set_permissions(&path, mine).unwrap();
    path
}

#[test]
fn the_users_files_say_where_indexes_are_and_nothing_of_what_is_chosen() {
    let mut world = World::new();
    world.index.add(&Wheel::new("greet-words", "1.2"));
    let url = format!("{}/simple/", world.server.url());
    let chooses = "resolution = 'lowest'\nexclude-newer = '2000-01-01'\n";
    let locked = |world: &World| {
        world.spec(&["greet", "greet-words"]);
        world.env.run(&["lock", "--renew"]).success();
        world.env.lock("lab")
    };
    let by_variable = locked(&world);
    put(&world, ".config/uv/uv.toml", chooses);
    assert_eq!(locked(&world), by_variable);
    assert!(by_variable.contains("greet_words-1.2-"), "{by_variable}");

    world.env.unset("UV_DEFAULT_INDEX");
    let of_uv = format!("{chooses}[[index]]\nname = 'lab'\nurl = '{url}'\ndefault = true\n");
    let uv_toml = put(&world, ".config/uv/uv.toml", &of_uv);
    assert_eq!(locked(&world), by_variable);
    fs_err::remove_file(&uv_toml).unwrap();
    let of_pip = format!("[global]\nindex-url = {url}\n[install]\npre = true\n");
    put(&world, ".config/pip/pip.conf", &of_pip);
    assert_eq!(locked(&world), by_variable);
    // Where uv is told, pip's file is not asked.
    let other = PythonIndex::new(&world.env.path("other"));
    other.add(&Wheel::new("greet", "7.0"));
    other.add(&Wheel::new("greet-words", "7.0"));
    let server = Server::start(&world.env.path("other"));
    put(
        &world,
        ".config/uv/uv.toml",
        &format!("index-url = '{}/simple/'\n", server.url()),
    );
    assert!(locked(&world).contains("greet-7.0-"));

    put(
        &world,
        ".config/uv/uv.toml",
        "index-url = 'https://me:sesame@h\n",
    );
    let said = world.env.run(&["lock", "--renew"]).fails_with(2);
    let said = said.says("home/.config/uv/uv.toml: line 1 is no TOML");
    assert!(!said.stderr.contains("sesame"), "{said}");
}

const SECRET: &str = "hunter2-is-the-word";

/// Looks into all that runs left and said for the secret, as it is and as a header has it.
#[track_caller]
fn no_trace(world: &World, said: &CommandOutput) {
    let forms = [
        SECRET.to_owned(),
        BASE64_STANDARD.encode(format!("anna:{SECRET}")),
    ];
    for form in &forms {
        for text in [&said.stdout, &said.stderr] {
            assert!(!text.contains(form.as_str()), "{said}");
        }
        let mut grep = Command::new("grep");
        grep.args([
            "--recursive",
            "--binary-files=text",
            "--files-with-matches",
            "--fixed-strings",
        ]);
        grep.args(["--exclude=.netrc", "--exclude-dir=keyrings", "-e", form]);
        let found = grep.arg(world.env.path("")).output().unwrap();
        let files = String::from_utf8_lossy(&found.stdout);
        assert_eq!(found.status.code(), Some(1), "{files}");
    }
}

#[test]
fn a_private_index_is_opened_by_netrc_at_lock_and_at_apply() {
    let world = World::new();
    world.server.ask(Ask::basic("anna", SECRET));
    world.spec(&["greet"]);
    let said = world.env.run(&["lock", "--verbose"]).fails_with(5);
    let said = said
        .says("401 Unauthorized")
        .says("The index wants a password");
    no_trace(&world, &said);
    let text = format!("machine 127.0.0.1\nlogin anna\npassword {SECRET}\n");
    let netrc = put(&world, ".netrc", &text);
    let said = world.env.run(&["apply", "--verbose"]).success();
    no_trace(&world, &said);
    assert!(
        world
            .env
            .lock("lab")
            .contains(&format!("{}/simple/greet/", world.server.url()))
    );
    // From nothing but the lock.
    fs_err::remove_dir_all(world.env.root()).unwrap();
    let said = world.env.run(&["apply", "--locked", "--verbose"]).success();
    no_trace(&world, &said);
    assert_eq!(world.python(&version_of("greet")), "1.0\n");
    fs_err::remove_dir_all(world.env.root()).unwrap();
    fs_err::write(&netrc, text.replace(SECRET, "wrong")).unwrap();
    let said = world
        .env
        .run(&["apply", "--locked", "--verbose"])
        .fails_with(5);
    let said = said.says("127.0.0.1 asks for a password or a token");
    no_trace(&world, &said);
}

#[test]
fn a_private_index_is_opened_by_the_keyring_at_lock_and_at_apply() {
    for program in ["dbus-run-session", "gnome-keyring-daemon", "secret-tool"] {
        if !have(program) {
            return;
        }
    }
    let readers = channels().parent().unwrap().join("readers");
    let mut venvs = fs_err::read_dir(readers).unwrap().flatten();
    let keyring =
        venvs.find_map(|venv| Some(venv.path().join("bin/keyring")).filter(|it| it.is_file()));
    let Some(keyring) = keyring else {
        skipped("the program keyring is not there");
        return;
    };
    let mut world = World::new();
    world.server.ask(Ask::basic("anna", SECRET));
    let host = world.server.url().replace("http://", "");
    let url = world.server.url_of("anna@");
    world.env.set("UV_DEFAULT_INDEX", format!("{url}/simple/"));
    world.env.set("UV_KEYRING_PROVIDER", "subprocess");
    fs_err::os::unix::fs::symlink(keyring, world.env.path("bin/keyring")).unwrap();
    world.spec(&["greet"]);
    // As pip's keyring writes it for uv, and as rattler does.
    let session = r#"
        printf x | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
        printf %s "$WORD" | secret-tool store --label=x service "$HOST" username anna
        printf '{"BasicHTTP":{"username":"anna","password":"%s"}}' "$WORD" |
          secret-tool store --label=x service rattler username 127.0.0.1 target default
        unset WORD
        "$ENVSPEC" apply --verbose && rm -rf "$ENVSPEC_ROOT" &&
          exec "$ENVSPEC" apply --locked --verbose
    "#;
    let mut command = world.env.program("dbus-run-session");
    let ours = world.env.command(&[]);
    let variables = ours.get_envs();
    command.envs(variables.filter_map(|(name, value)| Some((name, value?))));
    command
        .args(["--", "/bin/sh", "-c", session])
        .env("WORD", SECRET)
        .env("HOST", host)
        .env("ENVSPEC", env!("CARGO_BIN_EXE_envspec"))
        .env("XDG_RUNTIME_DIR", world.env.path("tmp"));
    let said = world.env.output(&mut command).success();
    no_trace(&world, &said);
    assert_eq!(world.python(&version_of("greet")), "1.0\n");
}
