//! Folders beside a spec: built of a copy, locked by the hash of their files.

use crate::pip::{World, version_of};
use crate::support::PythonSource;

#[test]
fn a_folder_is_built_as_it_is_and_a_change_in_it_makes_the_lock_stale() {
    let world = World::new();
    let folder = world.env.work().join("envs/tool");
    let mut source = PythonSource::new("tool", "1.0", "greet-words", None);
    source
        .files
        .insert(".gitignore".to_owned(), "made/\n".to_owned());
    source.write(&folder);
    world.spec(&["-e ./tool"]);
    world
        .env
        .run(&["apply"])
        .success()
        .says("`-e` installs what is there now: a generation never changes")
        .says("builds tool 0 from source, which runs its author's code: folder:./tool");
    assert_eq!(
        world.python("import tool; print(tool.__version__)"),
        "1.0\n"
    );
    assert_eq!(world.python(&version_of("greet-words")), "1.1\n");
    let lock = world.env.lock("lab");
    assert!(
        lock.contains("pypi: ./tool\n") && lock.contains("#   pip -e ./tool # sha256:"),
        "{lock}"
    );
    world.env.run(&["verify"]).success();
    let receipt = world.env.receipt("lab");
    assert_eq!(receipt["built"]["tool"], "folder:./tool");
    // Nothing was written into it.
    let mut names: Vec<_> = fs_err::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let own: Vec<_> = source.files.keys().cloned().collect();
    assert_eq!(names, own);

    // What git would not keep is nobody's business.
    fs_err::create_dir(folder.join("made")).unwrap();
    fs_err::write(folder.join("made/x"), "").unwrap();
    let again = world.env.run(&["apply", "--locked"]).success();
    assert!(again.stderr.contains("Nothing to do"), "{again}");
    fs_err::remove_dir_all(folder.join("made")).unwrap();

    let file = folder.join("tool.py");
    fs_err::write(&file, "__version__ = 'edited'\n").unwrap();
    world
        .env
        .run(&["lock", "--check"])
        .fails_with(3)
        .says("+ pip -e ./tool # sha256:");
    // As it was locked it is not there any more; what was built of it is.
    world.env.run(&["apply", "--frozen"]).success();
    world.env.run(&["apply"]).success();
    assert_eq!(
        world.python("import tool; print(tool.__version__)"),
        "edited\n"
    );
    world.env.run(&["rollback"]).success();
    assert_eq!(
        world.python("import tool; print(tool.__version__)"),
        "1.0\n"
    );
}

#[test]
fn a_folder_that_is_none_or_elsewhere_is_told_and_a_changed_one_is_not_built() {
    let world = World::new();
    world.spec(&["./tool"]);
    world
        .env
        .run(&["check"])
        .fails_with(2)
        .says("`./tool` has neither pyproject.toml nor setup.py")
        .says("envs/lab.yaml:5:9");
    PythonSource::new("tool", "1.0", "", None).write(&world.env.work().join("tool"));
    world.spec(&["../tool"]);
    world
        .env
        .run(&["check"])
        .fails_with(2)
        .says("`../tool` is outside of");
    fs_err::create_dir(world.env.work().join(".git")).unwrap();
    world.env.run(&["lock"]).success();
    assert!(world.env.lock("lab").contains("pypi: ../tool\n"));
    fs_err::write(world.env.work().join("tool/tool.py"), "1\n").unwrap();
    world
        .env
        .run(&["apply", "--frozen"])
        .fails_with(3)
        .says("the folder of tool 0 is not what was locked");
    assert!(!world.env.root().join("envs/lab").exists());
    world.env.run(&["apply"]).success();
}
