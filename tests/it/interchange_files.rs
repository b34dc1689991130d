//! The files themselves: what is there is not lost, what is written is whole, and what
//! others wrote in their own manner is understood or refused in words.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::errors::Mount;
use crate::support::{TestEnv, tree};

const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

/// The last lines of an entry of conda-lock's.
const MAIN: &str = "  category: main\n  optional: true\n";

/// A list of this many packages.
fn list(count: usize) -> String {
    let mut text = "@EXPLICIT\n".to_owned();
    for number in 0..count {
        writeln!(text, "https://h/c/linux-64/p{number}-1-0.conda#{MD5}").unwrap();
    }
    text
}

/// A conda-lock file of one package with these lines more.
fn conda_lock(package: &str, more: &str) -> String {
    format!(
        "version: 1\nmetadata:\n  content_hash: {{linux-64: {}}}\n  channels: [{{url: conda-forge, used_env_vars: []}}]\n  \
         platforms: [linux-64]\n  sources: [environment.yml]\npackage:\n\
         - name: {package}\n  version: '1'\n  manager: conda\n  platform: linux-64\n  dependencies: {{}}\n  \
         url: https://conda.anaconda.org/conda-forge/linux-64/{package}-1-0.conda\n  hash: {{md5: {MD5}}}\n{more}",
        "0".repeat(64)
    )
}

#[test]
fn what_is_no_plain_file_is_never_written_over_and_a_link_is_followed() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib"]);
    let work = env.work();
    fs_err::create_dir(work.join("folder")).unwrap();
    fs_err::write(work.join("list.txt"), list(1)).unwrap();
    for place in ["folder", "/dev/null"] {
        for command in [
            &["export", "--format", "environment"][..],
            &["import", "list.txt"],
        ] {
            let all = [command, &["--output", place, "--force"]].concat();
            let words = if place == "folder" {
                "is a folder"
            } else {
                "is no plain file"
            };
            env.run(&all).fails_with(2).says(words);
        }
    }
    assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
    fs_err::write(work.join("real.yml"), "mine\n").unwrap();
    fs_err::os::unix::fs::symlink("real.yml", work.join("link.yml")).unwrap();
    let to_link = ["export", "--format", "environment", "--output", "link.yml"];
    env.run(&to_link).fails_with(2).says("is there already");
    assert_eq!(
        fs_err::read_to_string(work.join("real.yml")).unwrap(),
        "mine\n"
    );
    env.run(&[&to_link[..], &["--force"]].concat()).success();
    assert!(
        work.join("link.yml")
            .symlink_metadata()
            .unwrap()
            .is_symlink()
    );
    let text = fs_err::read_to_string(work.join("real.yml")).unwrap();
    assert!(text.contains("shared-lib"), "{text}");
    // A link to nothing is somebody's too.
    fs_err::os::unix::fs::symlink("gone", work.join("dangling.yaml")).unwrap();
    env.run(&["import", "list.txt", "--output", "dangling.yaml"])
        .fails_with(2)
        .says("is there already");
}

#[test]
fn on_a_full_disk_an_import_leaves_what_was_there_and_an_export_too() {
    let env = TestEnv::new();
    fs_err::write(env.work().join("long.txt"), list(3000)).unwrap();
    fs_err::write(env.work().join("short.txt"), list(1)).unwrap();
    let envs = env.work().join("envs");
    // The lock of the long one does not fit, or with it the spec.
    for size in ["128k", "488k"] {
        let Some(_disk) = Mount::new(
            &envs,
            &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"],
        ) else {
            return;
        };
        let wanted = |source| ["import", source, "--output", "envs/x.yaml", "--force"];
        env.run(&wanted("long.txt"))
            .fails_with(7)
            .says("No space left");
        assert_eq!(fs_err::read_dir(&envs).unwrap().count(), 0, "{size}");
        env.run(&wanted("short.txt")).success();
        let whole = |name: &str| tree(&envs.join(name));
        let before = [whole("x.yaml"), whole("x.lock")];
        env.run(&wanted("long.txt")).fails_with(7);
        assert_eq!([whole("x.yaml"), whole("x.lock")], before, "{size}");
        assert_eq!(fs_err::read_dir(&envs).unwrap().count(), 2, "{size}");
        fs_err::write(envs.join("out.txt"), "mine\n").unwrap();
        let fill = fs_err::write(envs.join("rest"), vec![0; 1024 * 1024]);
        assert!(fill.is_err());
        env.run(&[
            "export",
            "envs/x.yaml",
            "--format",
            "explicit",
            "--output",
            "envs/out.txt",
            "--force",
        ])
        .fails_with(7)
        .says("No space left");
        assert_eq!(
            fs_err::read_to_string(envs.join("out.txt")).unwrap(),
            "mine\n"
        );
    }
}

#[test]
fn an_export_into_a_program_that_stops_reading_is_no_error_and_a_wrong_word_is_told() {
    let env = TestEnv::new();
    fs_err::write(env.work().join("long.txt"), list(3000)).unwrap();
    env.run(&["import", "long.txt", "--output", "envs/x.yaml"])
        .success();
    let export = env.command(&["export", "x", "--format", "explicit"]);
    let mut shell = env.program("/bin/bash");
    let program = export.get_program().to_str().unwrap();
    let script =
        format!("set -o pipefail; '{program}' export envs/x.yaml --format explicit | head -n 1");
    shell.args(["-c", &script]);
    shell.envs(
        export
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let said = env.output(&mut shell).success();
    assert!(said.stdout.starts_with("# The packages"), "{said}");
    env.run(&["export", "x", "--format", "explict"])
        .fails_with(2)
        .says("explicit");
    for format in ["environment", "conda-lock", "pixi"] {
        env.run(&[
            "export",
            "envs/x.yaml",
            "--format",
            format,
            "--platform",
            "linux-64",
        ])
        .fails_with(2)
        .says("for all platforms");
    }
}

#[test]
fn files_of_windows_and_of_editors_are_read_as_others_are() {
    let env = TestEnv::new();
    let windows = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let pixi = "[workspace]\nname = \"w\"\nchannels = [\"tiny\"]\nplatforms = [\"linux-64\"]\n\
                [dependencies]\nshared-lib = \"*\"\n";
    let tabs = "# a list\n# platform: linux-64\n\n@EXPLICIT\n# of two\n\thttps://h/c/linux-64/a-1-0.conda#MD5\t\n"
        .replace("MD5", MD5);
    for (name, text, wanted) in [
        ("list.txt", tabs, "a 1 0"),
        ("conda-lock.yml", conda_lock("zlib", MAIN), "zlib 1 0"),
        ("pixi.toml", pixi.to_owned(), "shared-lib"),
        (
            "environment.yml",
            "dependencies:\n  - shared-lib\n".to_owned(),
            "shared-lib",
        ),
    ] {
        fs_err::write(env.work().join(name), windows(&text)).unwrap();
        env.run(&["import", name, "--output", "envs/x.yaml", "--force"])
            .success();
        let spec = fs_err::read_to_string(env.work().join("envs/x.yaml")).unwrap();
        assert!(spec.contains(&format!("  - {wanted}")), "{name}: {spec}");
    }
}

#[test]
fn what_other_tools_say_beside_the_packages_is_kept_told_or_refused() {
    let env = TestEnv::with_alias("https://conda.anaconda.org");
    let work = env.work();
    let dev = "  category: dev\n  optional: true\n";
    let main = conda_lock("zlib", MAIN);
    let both = format!(
        "{main}{}",
        conda_lock("xz", dev).split_once("package:\n").unwrap().1
    );
    fs_err::write(work.join("both.yml"), both).unwrap();
    env.run(&["import", "both.yml"])
        .success()
        .says("1 entries of the category dev: only main is taken");
    let spec = fs_err::read_to_string(work.join("envs/both.yaml")).unwrap();
    assert!(spec.contains("zlib") && !spec.contains("- xz"), "{spec}");

    let url = "https://conda.anaconda.org/conda-forge/noarch/tzdata-2024a-h0c530f3_0.conda";
    let head = "environments:\n  default:\n    channels:\n    - url: https://conda.anaconda.org/conda-forge/\n    \
                packages:\n      linux-64:\n      - conda: URL\n".replace("URL", url);
    let fifth = "packages:\n- kind: conda\n  name: tzdata\n  version: 2024a\n  build: h0c530f3_0\n  subdir: noarch\n  \
                 noarch: generic\n  url: URL\n  md5: MD5\n".replace("URL", url).replace("MD5", MD5);
    let sixth = format!("packages:\n- conda: {url}\n  md5: {MD5}\n");
    for (version, packages) in [(5, &fifth), (6, &sixth), (7, &sixth)] {
        // The platforms are told since the seventh.
        let platforms = if version == 7 {
            "platforms:\n- name: linux-64\n"
        } else {
            ""
        };
        let text = format!("version: {version}\n{platforms}{head}{packages}");
        fs_err::write(work.join("pixi.lock"), text).unwrap();
        env.run(&["import", "pixi.lock", "--output", "envs/p.yaml", "--force"])
            .success();
        assert!(env.lock("p").contains("tzdata-2024a"), "{version}");
    }

    let token = format!("@EXPLICIT\nhttps://h/t/hunter2/c/linux-64/a-1-0.conda#{MD5}\n");
    let in_pip = "[workspace]\nname = \"w\"\nchannels = []\nplatforms = [\"linux-64\"]\n[pypi-dependencies]\n\
                  a = {git = \"https://anna:hunter2@h/a.git\"}\n";
    let twice = conda_lock("zlib", &format!("  version: '2'\n{MAIN}"));
    let newer = format!("version: 8\n{head}{sixth}");
    let not_hex = "@EXPLICIT\nhttps://h/c/linux-64/a-1-0.conda#xyz\n";
    for (name, text, words) in [
        ("token.txt", token.as_str(), "a password or a token"),
        ("secret.toml", in_pip, "a password or a token"),
        ("twice.yml", &twice, "duplicate"),
        (
            "pixi.lock",
            &newer,
            "it is of version 8, and this reads those up to 7",
        ),
        ("not-hex.txt", not_hex, "a checksum that is none"),
    ] {
        fs_err::write(work.join(name), text).unwrap();
        let refused = env
            .run(&["import", name, "--output", "envs/refused.yaml"])
            .fails_with(2)
            .says(words);
        assert!(!format!("{refused}").contains("hunter2"), "{refused}");
        assert!(!work.join("envs/refused.yaml").exists());
    }
}

#[test]
fn forty_megabytes_of_a_list_are_answered_soon() {
    let env = TestEnv::new();
    let lines = 40 * 1024 * 1024 / list(1).len();
    fs_err::write(env.work().join("long.txt"), list(lines)).unwrap();
    let begun = Instant::now();
    // A spec of so many lines is none.
    env.run(&["import", "long.txt"]).fails_with(2);
    assert!(
        begun.elapsed() < Duration::from_mins(3),
        "{:?}",
        begun.elapsed()
    );
    assert!(!env.work().join("envs/long.yaml").exists());
}
