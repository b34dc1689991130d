//! Files of requirements and constraints that a `pip:` section names: read in their place,
//! part of what a lock belongs to, and told by their own lines.

use crate::pip::{World, version_of};
use crate::support::Wheel;

fn write(world: &World, path: &str, text: &str) {
    let path = world.env.work().join(path);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, text).unwrap();
}

#[test]
fn what_files_ask_for_is_locked_and_a_change_in_one_makes_the_lock_stale() {
    let world = World::new();
    world.index.add(&Wheel::new("greet-words", "1.5"));
    world.index.add(&Wheel::new("other", "1.0"));
    world.spec(&["-r more.txt", "-c held/down.txt"]);
    write(
        &world,
        "envs/more.txt",
        "# the lab's\n-r held/again.txt\nother \\\n  ==1.0\n",
    );
    // Paths in it begin at its folder.
    write(&world, "envs/held/again.txt", "greet\n-c down.txt\n");
    write(
        &world,
        "envs/held/down.txt",
        "greet-words <1.2\nnobody-asks ==7\n",
    );
    world.env.run(&["apply"]).success();
    let lock = world.env.lock("lab");
    for line in [
        "pip greet\n",
        "pip -c greet-words <1.2\n",
        "pip other ==1.0\n",
    ] {
        assert!(lock.contains(&format!("#   {line}")), "{line}: {lock}");
    }
    assert!(lock.contains("greet_words-1.1-"), "{lock}");
    assert_eq!(world.python(&version_of("nobody-asks")), "none\n");
    world.env.run(&["lock", "--check"]).success();

    write(&world, "envs/held/down.txt", "greet-words <2\n");
    world
        .env
        .run(&["lock", "--check"])
        .fails_with(3)
        .says("+ pip -c greet-words <2");
    world.env.run(&["apply", "--locked"]).fails_with(3);
    world.env.run(&["lock", "--renew"]).success();
    assert!(world.env.lock("lab").contains("greet_words-1.5-"));
}

#[test]
fn a_mistake_in_a_file_is_told_with_its_own_line() {
    let world = World::new();
    world.spec(&["-r more.txt"]);
    write(&world, "envs/more.txt", "greet\ntool=1.0\n");
    world
        .env
        .run(&["check"])
        .fails_with(2)
        .says("a single `=` is conda's")
        .says("envs/more.txt:2:1")
        .says("tool=1.0");
    write(&world, "envs/more.txt", "greet\nnowhere >=2\n");
    world
        .env
        .run(&["lock"])
        .fails_with(4)
        .says("nowhere was not found in the package registry")
        .says("envs/more.txt:2:1");
    write(&world, "envs/more.txt", "greet\n--find-links ./wheels\n");
    world
        .env
        .run(&["check"])
        .fails_with(2)
        .says("a folder of this machine can't be locked")
        .says("envs/more.txt:2:1");
}

#[test]
fn a_file_that_is_missing_outside_elsewhere_or_leads_to_itself_is_told_with_the_line() {
    let world = World::new();
    let refused = |lines: &[&str]| {
        world.spec(lines);
        world
            .env
            .run(&["check"])
            .fails_with(2)
            .says("envs/lab.yaml:5:9")
    };
    refused(&["-r gone.txt"]).says("there is no file `envs/gone.txt`");
    write(&world, "secret.txt", "sesame\n");
    let told = refused(&["-r ../secret.txt"]).says("`../secret.txt` is outside of");
    assert!(!told.stderr.contains("sesame"), "{told}");
    refused(&["-r /etc/passwd"]).says("`/etc/passwd` is outside of");
    refused(&["-r https://example.org/r.txt"])
        .says("`https://example.org/r.txt` is not beside the spec");
    std::os::unix::fs::symlink("../secret.txt", world.env.work().join("envs/link.txt")).unwrap();
    let told = refused(&["-r link.txt"]).says("`link.txt` is outside of");
    assert!(!told.stderr.contains("sesame"), "{told}");

    write(&world, "envs/a.txt", "-r b/b.txt\n");
    write(&world, "envs/b/b.txt", "greet\n-r ../a.txt\n");
    world.spec(&["-r a.txt"]);
    world
        .env
        .run(&["check"])
        .fails_with(2)
        .says("files of requirements ask for each other: a.txt → b/b.txt → a.txt")
        .says("envs/b/b.txt:2:1");
    // Another's file of the same repository is beside it.
    fs_err::create_dir(world.env.work().join(".git")).unwrap();
    write(&world, "secret.txt", "greet\n");
    world.spec(&["-r ../secret.txt"]);
    world.env.run(&["check"]).success();
}
