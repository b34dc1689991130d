//! Repositories: locked to a commit, built as any source is.

use std::path::PathBuf;

use crate::pip::{World, version_of};
use crate::support::PythonSource;

/// A repository with a version that is tagged `v1`, and one on its branch.
fn repository(world: &World) -> PathBuf {
    let folder = world.env.path("repository");
    PythonSource::new("tracked", "1.0", "greet-words", None).write(&folder.join("inner"));
    git(
        world,
        &folder,
        &["init", "--quiet", "--initial-branch", "main"],
    );
    commit(world, &folder);
    git(world, &folder, &["tag", "v1"]);
    PythonSource::new("tracked", "2.0", "", None).write(&folder.join("inner"));
    commit(world, &folder);
    folder
}

fn git(world: &World, folder: &std::path::Path, arguments: &[&str]) -> String {
    let mut git = world.env.program("git");
    git.arg("-C")
        .arg(folder)
        .args(["-c", "user.name=a", "-c", "user.email=a@b"]);
    world.env.output(git.args(arguments)).success().stdout
}

fn commit(world: &World, folder: &std::path::Path) {
    git(world, folder, &["add", "."]);
    git(world, folder, &["commit", "--quiet", "--message", "more"]);
}

#[test]
fn a_repository_is_locked_to_its_commit_and_built() {
    let world = World::new();
    let folder = repository(&world);
    let url = format!("git+file://{}", folder.display());
    world.spec(&[&format!("tracked @ {url}@v1#subdirectory=inner")]);
    world
        .env
        .run(&["apply"])
        .success()
        .says("builds tracked 1.0 from source");
    let commit_of_tag = git(&world, &folder, &["rev-parse", "v1"]);
    let lock = world.env.lock("lab");
    assert!(
        lock.contains(&format!(
            "{url}@{}#subdirectory=inner",
            commit_of_tag.trim()
        )),
        "{lock}"
    );
    assert!(lock.contains("greet_words-1.1-"), "{lock}");
    assert_eq!(world.python(&version_of("tracked")), "1.0\n");
    world.env.run(&["verify"]).success();
    let receipt = world.env.receipt("lab");
    assert!(
        receipt["built"]["tracked"]
            .as_str()
            .unwrap()
            .contains(commit_of_tag.trim())
    );

    // A branch that moves does not move what is locked.
    world.spec(&[&format!("-e {url}#egg=tracked&subdirectory=inner")]);
    world.env.run(&["lock"]).success();
    let before = world.env.lock("lab");
    PythonSource::new("tracked", "3.0", "", None).write(&folder.join("inner"));
    commit(&world, &folder);
    world.env.run(&["apply"]).success();
    assert_eq!(world.env.lock("lab"), before);
    assert_eq!(world.python(&version_of("tracked")), "2.0\n");
}

#[test]
fn a_repository_or_a_git_that_is_not_there_is_told() {
    let mut world = World::new();
    let folder = repository(&world);
    let url = format!("git+file://{}", folder.display());
    world.spec(&[&format!("tracked @ {url}@nowhere#subdirectory=inner")]);
    world
        .env
        .run(&["lock"])
        .fails_with(4)
        .says("nowhere")
        .says("envs/lab.yaml:5:9");
    world.spec(&[&format!("tracked @ {url}@v1#subdirectory=inner")]);
    world.env.run(&["lock"]).success();
    fs_err::rename(&folder, world.env.path("moved")).unwrap();
    world
        .env
        .run(&["apply"])
        .fails_with(5)
        .says("the repository of tracked 1.0 could not be had at its commit")
        .says("does not appear to be a git repository");
    assert!(!world.env.root().join("envs/lab").exists());
    let bin = world.env.path("bin");
    for program in ["python3", "sh"] {
        let own =
            ["/usr/local/bin", "/usr/bin", "/bin"].map(|folder| format!("{folder}/{program}"));
        let own = own
            .iter()
            .find(|path| std::path::Path::new(path).exists())
            .unwrap();
        fs_err::os::unix::fs::symlink(own, bin.join(program)).unwrap();
    }
    world.env.set("PATH", bin.to_str().unwrap());
    world
        .env
        .run(&["apply"])
        .fails_with(5)
        .says("there is no git on the PATH")
        .says("install git");
}
