//! Packages that mean harm: nothing of them is outside the prefix, nothing is half
//! installed, and once the package is good the next `apply` installs it.
//!
//! Who sees to it is said at each: rattler's unpacking, which is pinned here, or
//! envspec's own look at what was unpacked.

use std::path::PathBuf;

use serde_json::json;

use crate::errors::Mount;
use crate::support::{
    Archive, CommandOutput, Entry, Form, PythonIndex, Server, TestEnv, Wheel, channels, tree,
    world_python,
};

const FORMS: [Form; 2] = [Form::Conda, Form::TarBz2];

/// A world with a channel of its own, a package `left` of it applied, and a folder
/// outside that nobody may touch.
struct World {
    env: TestEnv,
    channel: PathBuf,
    outside: PathBuf,
}

impl World {
    fn new() -> Self {
        let mut env = TestEnv::new();
        let made = env.path("made");
        let channel = made.join("odd");
        Archive::new("left", vec![Entry::file("share/left.txt", "left\n")])
            .add(&channel, Form::Conda);
        env.set_alias(format!("file://{}", made.display()));
        let outside = env.path("outside");
        fs_err::create_dir(&outside).unwrap();
        fs_err::write(outside.join("kept"), "kept\n").unwrap();
        let world = Self {
            env,
            channel,
            outside,
        };
        world.asks(&["left"]);
        world.env.run(&["apply"]).success();
        world
    }

    fn asks(&self, packages: &[&str]) {
        let text = format!("channels: [odd]\ndependencies: [{}]\n", packages.join(", "));
        self.env.spec("lab", &text);
    }

    /// Applies what asks for the packages, which must be refused by the name of the last.
    #[track_caller]
    fn refuses(&self, packages: &[&str]) -> CommandOutput {
        let env = &self.env;
        let places = ["outside", "home", "root/gen", "root/envs", "root/history"];
        let places: Vec<PathBuf> = places.iter().map(|place| env.path(place)).collect();
        let before: Vec<_> = places.iter().map(|place| tree(place)).collect();
        self.asks(&[&["left"], packages].concat());
        let said = env.run(&["apply", "--verbose"]).fails_with(5);
        assert!(said.stderr.contains(packages[packages.len() - 1]), "{said}");
        assert!(!said.stderr.contains(['\u{1b}', '\r']), "{said}");
        for (place, before) in places.iter().zip(before) {
            let mut now = tree(place);
            let mut before = before;
            // The folder itself may have seen a file come and go.
            now.remove(place);
            before.remove(place);
            assert!(now == before, "{} was changed:\n{said}", place.display());
        }
        for entry in fs_err::read_dir(env.root().join("pkgs")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.starts_with(".fetch-"), "{name} is left:\n{said}");
        }
        said
    }

    /// The package is good by now.
    #[track_caller]
    fn works_with(&self, good: &Archive<'_>, form: Form) {
        good.add(&self.channel, form);
        self.asks(&["left", good.name]);
        self.env.run(&["lock", "--renew"]).success();
        self.env.run(&["apply"]).success();
        let file = self.env.prefix("lab").join("share/good.txt");
        assert_eq!(fs_err::read_to_string(file).unwrap(), "good\n");
    }
}

fn good(name: &str) -> Archive<'_> {
    Archive::new(name, vec![Entry::file("share/good.txt", "good\n")])
}

/// Each in both forms: refused, and then good.
#[track_caller]
fn refused(why: &str, archive: impl Fn(&World) -> Archive<'static>) {
    for form in FORMS {
        let world = World::new();
        archive(&world).add(&world.channel, form);
        let said = world.refuses(&["evil"]);
        let words: String = said.stderr.split_whitespace().collect();
        let wanted: String = why.split_whitespace().collect();
        assert!(words.contains(&wanted), "{form:?}: {why}\n{said}");
        world.works_with(&good("evil"), form);
    }
}

#[test]
fn a_path_that_leads_upwards_is_refused_by_envspec_as_the_list_names_it() {
    refused("leads out of the prefix", |_| {
        Archive::new("evil", vec![Entry::file("../../../outside/x", "evil\n")])
    });
    // The list alone: what is beside the unpacked package would go beside the prefix.
    refused("leads out of the prefix", |_| {
        let mut archive = Archive::new("evil", vec![Entry::file("share/x", "evil\n")]);
        let path = "../left-1.0-0/share/left.txt";
        archive.listed = vec![json!({"_path": path, "path_type": "hardlink"})];
        archive
    });
}

#[test]
fn an_absolute_path_is_refused_by_envspec_as_the_list_names_it() {
    refused("leads out of the prefix", |world| {
        let path = world.outside.join("x").display().to_string();
        Archive::new("evil", vec![Entry::file(&path, "evil\n")])
    });
    refused("leads out of the prefix", |world| {
        let mut archive = Archive::new("evil", Vec::new());
        let path = world.outside.join("kept").display().to_string();
        archive.listed = vec![json!({"_path": path, "path_type": "hardlink"})];
        archive
    });
}

#[test]
fn what_no_list_names_is_left_out_or_put_inside_by_rattler() {
    for form in FORMS {
        let world = World::new();
        let absolute = world.outside.join("y").display().to_string();
        let mut archive = Archive::new(
            "evil",
            vec![
                Entry::file("../../../outside/x", "evil\n"),
                Entry::file(&absolute, "evil\n"),
            ],
        );
        archive.lists_entries = false;
        archive.add(&world.channel, form);
        let before = tree(&world.outside);
        world.asks(&["evil"]);
        world.env.run(&["apply"]).success();
        assert!(tree(&world.outside) == before, "{form:?}");
        assert!(!world.env.prefix("lab").join("outside").exists());
    }
}

#[test]
fn a_file_behind_a_link_that_leads_out_is_refused_by_rattler() {
    refused("evil-1.0-0", |world| {
        let outside = world.outside.display().to_string();
        Archive::new(
            "evil",
            vec![
                Entry::link("share/out", &outside),
                Entry::file("share/out/x", "evil\n"),
            ],
        )
    });
    refused("evil-1.0-0", |_| {
        Archive::new(
            "evil",
            vec![
                Entry::link("share/out", "../../../../outside"),
                Entry::file("share/out/x", "evil\n"),
            ],
        )
    });
}

#[test]
fn a_file_behind_another_packages_link_that_leads_out_is_refused_by_envspec() {
    for form in FORMS {
        for target in ["OUTSIDE", "../../../../outside", "deep/er/up/../../outside"] {
            let world = World::new();
            let target = target.replace("OUTSIDE", &world.outside.display().to_string());
            let links = vec![
                Entry::link("share/out", &target),
                Entry::link("share/deep/er/up", "../../../.."),
            ];
            Archive::new("door", links).add(&world.channel, form);
            let file = Entry::file("share/out/x", "evil\n");
            Archive::new("evil", vec![file]).add(&world.channel, form);
            world
                .refuses(&["door", "evil"])
                .says("is behind a link that leads out of the prefix");
            // Each alone is harmless: the link is only a link.
            world.asks(&["left", "door"]);
            world.env.run(&["apply"]).success();
            world.works_with(&good("evil"), form);
        }
    }
}

#[test]
fn a_hard_link_to_what_is_outside_is_refused_by_rattler() {
    refused("evil-1.0-0", |world| {
        let kept = world.outside.join("kept").display().to_string();
        Archive::new("evil", vec![Entry::hard_link("share/x", &kept)])
    });
    refused("evil-1.0-0", |_| {
        let kept = "../../../outside/kept";
        Archive::new("evil", vec![Entry::hard_link("share/x", kept)])
    });
}

#[test]
fn a_device_is_none_in_a_prefix() {
    use std::os::unix::fs::FileTypeExt as _;
    for form in FORMS {
        let world = World::new();
        let entries = vec![Entry::device("share/null").mode(0o666)];
        Archive::new("evil", entries).add(&world.channel, form);
        world.asks(&["left", "evil"]);
        let ran = world.env.run(&["apply"]);
        if ran.succeeded() {
            let found = world
                .env
                .prefix("lab")
                .join("share/null")
                .symlink_metadata();
            let is_device = found.is_ok_and(|found| found.file_type().is_char_device());
            assert!(!is_device, "{form:?}");
        } else {
            assert!(ran.fails_with(5).stderr.contains("evil"));
        }
        world.works_with(&good("evil"), form);
    }
}

#[test]
fn no_file_of_a_prefix_has_the_rights_of_its_owner_or_its_group() {
    use std::os::unix::fs::PermissionsExt as _;
    for form in FORMS {
        let world = World::new();
        let entries = vec![Entry::file("bin/evil", "#!/bin/sh\n").mode(0o6777)];
        Archive::new("evil", entries).add(&world.channel, form);
        world.asks(&["left", "evil"]);
        world.env.run(&["apply"]).success();
        let file = world.env.prefix("lab").join("bin/evil");
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7022, 0, "{form:?}: {mode:o}");
        assert_eq!(mode & 0o111, 0o111, "{form:?}: {mode:o}");
    }
}

#[test]
fn a_name_that_moves_the_cursor_is_refused_by_envspec_and_shown_escaped() {
    for name in ["share/a\nb", "share/\u{1b}[2Jx"] {
        refused("has a control character in its name", move |_| {
            Archive::new("evil", vec![Entry::file(name, "evil\n")])
        });
    }
}

#[test]
fn what_is_envspecs_own_in_a_prefix_no_package_brings() {
    refused("is where envspec keeps its own", |_| {
        Archive::new("evil", vec![Entry::file(".envspec/receipt.json", "{}")])
    });
}

#[test]
fn a_command_whose_name_is_a_path_is_refused_by_envspec() {
    for form in FORMS {
        let mut world = World::new();
        // Only for Python is a command written by the installer.
        let made = world.channel.parent().unwrap().to_owned();
        std::os::unix::fs::symlink(channels().join("conda-forge"), made.join("conda-forge"))
            .unwrap();
        world.env.set_alias(format!("file://{}", made.display()));
        for command in ["../../../outside/x", "/tmp/envspec-evil", "a\u{1b}b"] {
            let mut archive = Archive::new("evil", vec![Entry::file("site-packages/e.py", "")]);
            archive.link = Some(json!({
                "noarch": {"type": "python", "entry_points": [format!("{command} = e:f")]},
                "package_metadata_version": 1,
            }));
            archive.add(&world.channel, form);
            let text = "channels: [odd, conda-forge]\ndependencies: [left, python, evil]\n";
            world.env.spec("lab", text);
            let before = tree(&world.outside);
            world.env.run(&["lock", "--renew"]).success();
            let said = world.env.run(&["apply"]).fails_with(5).says("evil");
            assert!(tree(&world.outside) == before, "{said}");
            assert!(!std::path::Path::new("/tmp/envspec-evil").exists());
        }
    }
}

#[test]
fn a_bomb_is_told_as_a_full_disk_and_gives_the_space_back() {
    let world = World::new();
    let entries = (0..3).map(|number| Entry::zeros(&format!("share/zeros{number}"), 4 << 30));
    Archive::new("evil", entries.collect()).add(&world.channel, Form::Conda);
    let archive = world.channel.join("noarch/evil-1.0-0.conda");
    assert!(archive.metadata().unwrap().len() < 1 << 20);
    fs_err::remove_dir_all(world.env.root()).unwrap();
    let Some(_mount) = Mount::new(
        &world.env.root(),
        &["-t", "tmpfs", "-o", "size=45m", "tmpfs"],
    ) else {
        return;
    };
    world.asks(&["left"]);
    world.env.run(&["apply"]).success();
    let generations = world.env.root().join("gen");
    let entries = |folder: &PathBuf| {
        let mut all = tree(folder);
        // The folder itself may have seen one come and go.
        all.remove(folder);
        all
    };
    let before = entries(&generations);
    world.asks(&["left", "evil"]);
    let said = world.env.run(&["apply"]).fails_with(7);
    assert!(said.stderr.contains("evil"), "{said}");
    assert!(entries(&generations) == before, "{said}");
    // All of it: the good one and what else there is fit again.
    world.works_with(&good("evil"), Form::Conda);
}

/// Wheels are read by rattler, and judged by envspec as all packages are.
#[test]
fn a_wheel_that_leads_out_is_refused_by_its_name_and_a_good_one_is_installed() {
    let mut env = TestEnv::new();
    let folder = env.path("python");
    let server = Server::start(&folder);
    env.set("UV_DEFAULT_INDEX", format!("{}/simple/", server.url()));
    let bin = env.path("bin");
    fs_err::create_dir(&bin).unwrap();
    let uv = world_python().with_file_name("uv");
    fs_err::os::unix::fs::symlink(uv, bin.join("uv")).unwrap();
    env.set("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    let outside = env.path("outside");
    fs_err::create_dir(&outside).unwrap();
    let absolute = outside.join("x").display().to_string();
    env.spec(
        "lab",
        "channels: [conda-forge]\ndependencies: [python, {pip: [evil]}]\n",
    );
    let files: [&[(&str, &str)]; 7] = [
        &[("../../../../../../outside/x", "evil\n")],
        &[(absolute.as_str(), "evil\n")],
        &[(
            "evil-1.0.data/scripts/../../../../../../outside/x",
            "evil\n",
        )],
        &[("evil-1.0.data/data/../../../../../../outside/x", "evil\n")],
        &[("evil-1.0.data/scripts/..", "evil\n")],
        &[("evil/a\nb", "evil\n")],
        &[("evil/\u{1b}[2J", "evil\n")],
    ];
    let commands: [&[(&str, &str)]; 2] = [&[("../../../../../outside/x", "evil:f")], &[]];
    let before = tree(&outside);
    let wheels = files.iter().map(|files| (*files, commands[1]));
    for (files, commands) in wheels.chain([(files[0], commands[0])]).collect::<Vec<_>>() {
        if folder.join("simple").exists() {
            fs_err::remove_dir_all(folder.join("simple")).unwrap();
        }
        let files = if commands.is_empty() { files } else { &[] };
        PythonIndex::new(&folder).add(&Wheel {
            commands,
            files,
            ..Wheel::new("evil", "1.0")
        });
        env.run(&["lock", "--renew"]).success();
        let said = env.run(&["apply"]);
        assert!(!said.succeeded(), "{files:?} {commands:?}");
        let said = said.either().says("evil");
        assert!(!said.stderr.contains('\u{1b}'), "{said}");
        assert!(tree(&outside) == before, "{files:?}\n{said}");
        assert!(!env.root().join("envs/lab").exists(), "{said}");
    }
    fs_err::remove_dir_all(folder.join("simple")).unwrap();
    PythonIndex::new(&folder).add(&Wheel::new("evil", "1.0"));
    env.run(&["lock", "--renew"]).success();
    env.run(&["apply"]).success();
}
