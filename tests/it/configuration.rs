//! Conda's and rattler's configuration: what it changes, and that a lock is the same
//! with it and without.

use std::time::{Duration, Instant};

use crate::support::{Channels, Server, TestEnv, channels, tiny_spec};

/// A world that takes its channels from where the configuration says.
fn world() -> TestEnv {
    TestEnv::with_alias("")
}

/// Writes a file of the configuration, below the home.
fn put(env: &TestEnv, below_home: &str, text: &str) {
    let path = env.path("home").join(below_home);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, text).unwrap();
}

fn condarc(env: &TestEnv, text: &str) {
    put(env, ".condarc", text);
}

/// The folder of the world's channels as a URL.
fn folder() -> String {
    format!("file://{}", channels().display())
}

#[test]
fn a_lock_is_the_same_whatever_mirror_its_files_come_from_and_fits_another_machine() {
    let server = Server::start(channels());
    let ways: [(&str, &str, String); 6] = [
        (
            "an alias",
            ".condarc",
            format!("channel_alias: {}\n", server.url()),
        ),
        (
            "a folder",
            ".condarc",
            format!("channel_alias: {}\n", folder()),
        ),
        (
            "a channel elsewhere",
            ".config/conda/condarc.d/lab.yml",
            format!("custom_channels: {{tiny: \"{}\"}}\n", server.url()),
        ),
        (
            "rattler's mirror",
            ".config/rattler/config.toml",
            format!(
                "[mirrors]\n\"https://conda.anaconda.org\" = [\"{}\"]\n",
                server.url()
            ),
        ),
        (
            "pixi's mirror",
            ".pixi/config.toml",
            format!(
                "[mirrors]\n\"https://conda.anaconda.org/tiny\" = [\"{}/tiny\"]\n",
                server.url()
            ),
        ),
        (
            "a mirror of an alias",
            ".condarc",
            "channel_alias: https://nexus.invalid/conda\n".to_owned(),
        ),
    ];
    let mut locks = Vec::new();
    for (what, file, text) in ways {
        let env = world();
        put(&env, file, &text);
        if what == "a mirror of an alias" {
            let text = format!(
                "[mirrors]\n\"https://nexus.invalid/conda/tiny/\" = [\"{}/tiny\"]\n",
                folder()
            );
            put(&env, ".config/pixi/config.toml", &text);
        }
        env.tiny(&["shared-lib", "symlink", "many-versions <2"]);
        env.run(&["apply"]).success();
        let lock = env.lock("lab");
        assert!(
            lock.contains("https://conda.anaconda.org/tiny/noarch/shared-lib-2.0-0.tar.bz2"),
            "{what}: {lock}"
        );
        for place in ["127.0.0.1", "file://", "nexus"] {
            assert!(!lock.contains(place), "{what}: the lock names {place}");
        }
        assert!(env.prefix("lab").join("conda-meta").is_dir(), "{what}");
        locks.push((env, lock));
    }
    let (first, others) = locks.split_first().unwrap();
    for (_, lock) in others {
        assert_eq!(*lock, first.1);
    }
    // The lock of one is used by another who has it from elsewhere.
    let (_, folder_lock) = &others[0];
    fs_err::write(first.0.work().join("envs/lab.lock"), folder_lock).unwrap();
    first.0.run(&["apply", "--locked"]).success();
    assert_eq!(first.0.lock("lab"), *folder_lock);
}

#[test]
fn a_spec_without_channels_gets_those_of_the_configuration_and_one_with_them_its_own() {
    let env = world();
    condarc(
        &env,
        &format!(
            "channels:\n  - tiny\n  - nodefaults\nchannel_alias: {}\nchannel_priority: disabled\n",
            folder()
        ),
    );
    env.spec("lab", "dependencies: [symlink]\n");
    let said = env.run(&["lock"]).success();
    let condarc_path = env.path("home/.condarc");
    let said = said.says(&format!(
        "no channel is named, so packages come from tiny, as {} says",
        condarc_path.display()
    ));
    let said = said.says("write `channels: [tiny]` to say the same everywhere");
    assert!(!said.stderr.contains("conda-forge"), "{said}");
    assert!(env.lock("lab").contains("https://conda.anaconda.org/tiny/"));

    // Nothing of it counts where the spec says something, be it `nodefaults`.
    Channels::new(env.path("others")).add("mine", &["symlink-"]);
    let others = format!("file://{}/mine", env.path("others").display());
    env.spec(
        "own",
        &format!("channels: [\"{others}\"]\ndependencies: [symlink]\n"),
    );
    env.run(&["lock", "own"]).success();
    assert!(!env.lock("own").contains("tiny"), "{}", env.lock("own"));
    env.spec("none", "channels: [nodefaults]\ndependencies: [deno]\n");
    env.run(&["lock", "none"])
        .success()
        .says("packages come from conda-forge");
    assert!(
        env.lock("none")
            .contains("https://conda.anaconda.org/conda-forge/")
    );
}

#[test]
fn defaults_and_names_of_several_channels_mean_what_the_configuration_says() {
    let env = world();
    let mine = Channels::new(env.path("others"));
    mine.add("one", &["symlink-"]);
    mine.add("two", &["shared-lib-"]);
    let others = format!("file://{}", env.path("others").display());
    condarc(
        &env,
        &format!(
            "default_channels: [\"{others}/one\", \"{others}/two\"]\n\
             custom_multichannels:\n  both: [two, one]\n\
             custom_channels: {{one: \"{others}\", two: \"{others}\"}}\n"
        ),
    );
    let spec = |channel: &str| {
        env.spec(
            "lab",
            &format!("channels: [{channel}]\ndependencies: [symlink, shared-lib]\n"),
        );
        env.run(&["lock", "--renew"]).success();
        let lock = env.lock("lab");
        let lines = lock.lines().filter(|line| line.starts_with("#   channel"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let defaults = spec("defaults").join(" ");
    let (one, two) = (defaults.find("others/one/"), defaults.find("others/two/"));
    assert!(one.is_some() && one < two, "{defaults}");
    let both = spec("both").join(" ");
    let (one, two) = (
        both.find("https://conda.anaconda.org/one/"),
        both.find("https://conda.anaconda.org/two/"),
    );
    assert!(two.is_some() && two < one, "{both}");

    env.spec(
        "lab",
        "channels: [both]\ndependencies: [\"both::symlink\"]\n",
    );
    env.run(&["lock"])
        .fails_with(2)
        .says("`both` is more than one channel");
}

#[test]
fn the_command_line_counts_more_than_variables_and_these_more_than_files() {
    let server = Server::start(channels());
    let mut env = world();
    condarc(&env, "channel_alias: http://file.invalid\n");
    env.tiny(&["symlink"]);
    env.set("CONDA_CHANNEL_ALIAS", server.url());
    env.run(&["lock"]).success();
    assert!(env.lock("lab").contains("https://conda.anaconda.org/tiny/"));
    assert!(!server.requests().is_empty());

    // What the command line says is what a name means, and nothing moves it.
    env.set("CONDA_CHANNEL_ALIAS", "http://variable.invalid");
    env.run(&["lock", "--channel-alias", &folder()]).success();
    assert!(env.lock("lab").contains(&folder()));
    assert_eq!(server.requests(), Vec::<String>::new());
}

#[test]
fn offline_is_told_and_kept() {
    let server = Server::start(channels());
    let mut env = world();
    condarc(
        &env,
        &format!("channel_alias: {}\noffline: true\n", server.url()),
    );
    env.tiny(&["symlink"]);
    let path = env.path("home/.condarc").display().to_string();
    env.run(&["lock"])
        .fails_with(5)
        .says(&format!("no network is used, as {path} says"));
    assert_eq!(server.requests(), Vec::<String>::new());
    env.set("CONDA_OFFLINE", "false");
    env.run(&["lock"]).success();
}

#[test]
fn what_is_forbidden_stays_so_under_any_name_alias_or_mirror() {
    let env = world();
    let bih = "site bih";
    let anaconda = "https://repo.anaconda.com/pkgs";
    let cases = [
        (
            ".condarc",
            format!("custom_channels: {{mine: {anaconda}}}"),
            bih,
            "mine",
        ),
        (".condarc", format!("channel_alias: {anaconda}"), bih, "x"),
        (
            ".condarc",
            format!("custom_multichannels: {{good: [conda-forge, {anaconda}/main]}}"),
            bih,
            "good",
        ),
        (
            ".config/rattler/config.toml",
            format!(
                "[mirrors]\n\"https://conda.anaconda.org/conda-forge\" = [\"{anaconda}/main\"]\n"
            ),
            bih,
            "conda-forge",
        ),
        (
            ".condarc",
            "denylist_channels: [bioconda]".to_owned(),
            "`denylist_channels` of",
            "bioconda",
        ),
        (
            ".condarc",
            "denylist_channels: [bioconda]".to_owned(),
            "`denylist_channels` of",
            "bioconda/label/dev",
        ),
        (
            ".condarc",
            "whitelist_channels: [conda-forge]".to_owned(),
            "`allowlist_channels` of",
            "bioconda",
        ),
    ];
    for (file, text, said, channel) in cases {
        put(&env, file, &text);
        env.spec(
            "lab",
            &format!("channels: [{channel}]\ndependencies: [python]\nsite: bih\n"),
        );
        let output = env.run(&["check"]).fails_with(2);
        let output = output.says("is forbidden").says(said);
        assert!(
            output.stderr.contains("envs/lab.yaml:1"),
            "{text}\n{output}"
        );
        fs_err::remove_file(env.path("home").join(file)).unwrap();
        let twice =
            format!("channels: [conda-forge]\ndependencies: [\"{channel}::python\"]\nsite: bih\n");
        env.spec("lab", &twice);
        env.run(&["check"]).success();
        put(&env, file, &text);
        if channel != "good" {
            env.run(&["check"]).fails_with(2).says("is forbidden");
        }
        fs_err::remove_file(env.path("home").join(file)).unwrap();
    }
}

#[test]
fn a_broken_configuration_is_shown_at_its_line_and_stops_nobody_who_needs_none() {
    let env = world();
    env.tiny(&["symlink"]);
    let broken = [
        ("channels:\n\t- a\n", "a tab is used as indentation", 2),
        ("\nchannels: conda-forge\n", "`channels` must be a list", 2),
        ("channels: [a\nssl_verify: true\n", "is never closed", 1),
        (
            "x: 1\nchannel_alias: nexus\n",
            "`channel_alias` is no URL",
            2,
        ),
        ("offline: maybe\n", "`offline` is neither true nor false", 1),
        ("remote_read_timeout_secs: -1\n", "is no number", 1),
        (
            "ssl_verify: /no/such/ca.pem\n",
            "names a file that is not there",
            1,
        ),
        ("channels: [a]\nchannel: [b]\n", "another name of a key", 2),
        ("custom_channels: {lab: \"no url\"}\n", "is no URL", 1),
        ("- a\n", "a .condarc must be a mapping", 1),
        ("channels: [a]\nchannels: [b]\n", "twice", 1),
    ];
    for (text, said, line) in broken {
        condarc(&env, text);
        let output = env.run(&["check"]).fails_with(2).says(said);
        let place = format!("home/.condarc:{line}:");
        assert!(
            output.stderr.contains(&place),
            "{text:?}: {place}\n{output}"
        );
        // What needs no channel works on.
        env.run(&["list"]).success();
    }
    condarc(&env, "");
    env.run(&["check"]).success();
    for bytes in [&b"channels: [\xff]"[..], &vec![b'#'; 1024 * 1024 + 1]] {
        fs_err::write(env.path("home/.condarc"), bytes).unwrap();
        env.run(&["check"]).fails_with(2).says("can't be read");
    }
    // A pipe is not waited for.
    fs_err::remove_file(env.path("home/.condarc")).unwrap();
    let pipe = env.path("home/.condarc");
    let made = env.output(env.program("mkfifo").arg(&pipe));
    made.success();
    let started = Instant::now();
    env.run(&["check"]).fails_with(2).says("it is not a file");
    assert!(started.elapsed() < Duration::from_secs(20));
    fs_err::remove_file(pipe).unwrap();

    put(&env, ".config/rattler/config.toml", "[mirrors\n");
    let output = env.run(&["check"]).fails_with(2);
    assert!(output.stderr.contains("config.toml:1:"), "{output}");
}

#[test]
fn a_broken_configuration_is_shown_without_its_secrets() {
    let env = world();
    env.tiny(&["symlink"]);
    for text in [
        "channel_alias: https://u:hunter2@h.org/c\noffline: maybe\nproxy_servers: {http: \"u:hunter2@p:1\"}\n",
        "channels: [https://h.org/t/hunter2/c\n",
        "channels: \"https://u:hunter2@h.org\"\n",
        "channel_alias: u:hunter2@h.org\n",
        "proxy_servers:\n  https: https://u:hunter2@[h\n",
        "channels: [\"https://u:hunter2@h:x/c\"]\n",
    ] {
        condarc(&env, text);
        let output = env.run(&["check", "--verbose"]).fails_with(2);
        assert!(!output.stderr.contains("hunter2"), "{text}\n{output}");
        assert!(output.stderr.contains("home/.condarc:"), "{text}\n{output}");
    }
    condarc(&env, "");
    for text in [
        "proxy-config = {http = \"http://u:hunter2@p\"\n",
        "default-channels = [\"https://u:hunter2@h:x/c\"]\n",
        "mirrors = {\"https://a.org\" = \"https://u:hunter2@h\"}\n",
    ] {
        put(&env, ".config/rattler/config.toml", text);
        let output = env.run(&["check", "--verbose"]).fails_with(2);
        assert!(!output.stderr.contains("hunter2"), "{text}\n{output}");
        assert!(output.stderr.contains("config.toml"), "{text}\n{output}");
    }
}

#[test]
fn show_tells_which_files_count_and_what_they_change_without_secrets() {
    let env = world();
    env.spec("lab", &tiny_spec(&["symlink"]));
    let before = env.run(&["show", "--json"]).success().json();
    assert!(before.get("configuration").is_none(), "{before}");
    condarc(
        &env,
        "channel_alias: https://u:hunter2@nexus.org/conda\n\
         custom_channels: {lab: https://lab.org/t/hunter2}\n\
         proxy_servers: {https: \"http://u:hunter2@proxy.org:3128\"}\n\
         pinned_packages: [python 3.11]\nssl_verify: no\n",
    );
    put(
        &env,
        ".config/rattler/config.toml",
        "[mirrors]\n\"https://a.org/\" = [\"https://u:hunter2@b.org/\"]\n",
    );
    let text = env.run(&["show", "--verbose"]).success();
    let json = env.run(&["show", "--json"]).success();
    for output in [&text, &json] {
        assert!(!output.stdout.contains("hunter2"), "{output}");
        assert!(!output.stderr.contains("hunter2"), "{output}");
    }
    for line in [
        "home/.condarc says channel_alias, custom_channels, proxy_servers, ssl_verify",
        "home/.config/rattler/config.toml says mirrors",
        "https://conda.anaconda.org/ is fetched from https://nexus.org/conda/",
        "https://conda.anaconda.org/lab/ is fetched from https://lab.org/lab/",
        "https://a.org/ is fetched from https://b.org/",
        "proxy proxy.org:3128 for https",
        "servers' certificates: not checked",
        "pinned_packages of ",
    ] {
        assert!(text.stdout.contains(line), "{line}\n{text}");
    }
    let shown = &json.json()["configuration"];
    assert_eq!(shown["proxies"]["https"], "proxy.org:3128");
    assert_eq!(shown["certificates"], "not checked");
    assert_eq!(shown["not_followed"][0]["key"], "pinned_packages");
}

#[test]
fn a_package_of_a_forbidden_channel_in_a_lock_is_refused_whoever_made_the_lock() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib"]);
    env.run(&["lock"]).success();
    let lock = env.lock("lab");
    let package = lock.lines().find_map(|line| line.strip_prefix("- conda: "));
    let package = package.unwrap();
    let channel = package.split("/noarch/").next().unwrap();
    let channel = channel.split("/linux-64/").next().unwrap();
    let forbidden = "https://repo.anaconda.com/pkgs/main";
    let elsewhere = lock.replace(&format!("file://{channel}"), forbidden);
    let elsewhere = elsewhere.replace(channel, forbidden);
    assert_ne!(elsewhere, lock);
    fs_err::write(env.work().join("envs/lab.lock"), elsewhere).unwrap();
    let denied = "denylist_channels: [https://repo.anaconda.com/pkgs/main]\n";
    fs_err::write(env.path("home/.condarc"), denied).unwrap();
    env.run(&["apply", "--frozen"])
        .fails_with(2)
        .says("is of a channel that is forbidden")
        .says("denylist_channels");
    assert!(!env.root().join("envs/lab").exists());
}
