//! Other tools' files (export and import): what is written is read by the tools that it
//! is for, what they write is understood, and an environment that went there and back is
//! installed with the same packages.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rattler_conda_types::{EnvironmentYaml, ExplicitEnvironmentSpec};

use crate::support::{CommandOutput, TestEnv, assert_output, channels, world_python};

/// The folder of the programs that read what is exported.
pub(crate) fn readers() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers.sh");
        let output = Command::new(&script).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{}: {said}", script.display());
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
    })
}

/// A file among the tests' own of other tools.
fn foreign(name: &str) -> String {
    format!("{}/tests/interchange/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A lab with two kernels, one of them isolated, variables, and a comment.
const LAB: &str = "# The lab's.\nchannels: [conda-forge]\ndependencies:\n  \
    - python 3.11.*  # as the cluster's\n  - requests\nkernels:\n  - python\n  \
    - other: {use: bash, isolated: true}\nvariables: {OMP_NUM_THREADS: 4}\n\
    launch: {memory: 4G}\n";

/// A world with the lab locked.
fn lab() -> TestEnv {
    let env = TestEnv::new();
    env.spec("lab", LAB);
    env.run(&["lock"]).success();
    env
}

#[track_caller]
fn export(env: &TestEnv, arguments: &[&str]) -> CommandOutput {
    env.run(&[&["export", "--format"], arguments].concat())
        .success()
}

/// The names, versions and builds in a prefix.
fn packages(prefix: &Path) -> BTreeSet<String> {
    fs_err::read_dir(prefix.join("conda-meta"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|end| end == "json"))
        .collect()
}

/// Runs a Python program of a few lines, which prints what it read.
#[track_caller]
fn python(env: &TestEnv, interpreter: &Path, program: &str) -> String {
    let output = env
        .program(interpreter)
        .args(["-c", program])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {said}", output.status);
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn an_environment_yml_is_the_spec_without_what_is_envspecs_and_with_the_packages_of_its_kernels() {
    let env = lab();
    let exported = export(&env, &["environment"]);
    assert_output!(exported);
    let read = EnvironmentYaml::from_yaml_str(&exported.stdout).unwrap();
    assert_eq!(read.match_specs().count(), 3);
    let of_kernel = export(&env, &["environment", "--kernel", "other"]);
    let read = EnvironmentYaml::from_yaml_str(&of_kernel.stdout).unwrap();
    assert_eq!(read.name.as_deref(), Some("lab-other"));
    assert!(of_kernel.stdout.contains("bash_kernel"), "{of_kernel}");
}

#[test]
fn every_export_says_what_is_not_in_it_also_when_it_is_to_be_quiet() {
    let env = lab();
    for format in [
        "environment",
        "environment-pinned",
        "explicit",
        "conda-lock",
        "requirements",
        "dockerfile",
        "apptainer",
    ] {
        export(&env, &[format, "--quiet"])
            .says("the kernel other, which has a prefix of its own: --kernel other")
            .says("`launch`");
    }
    export(&env, &["pixi", "--quiet"])
        .says("the variables")
        .says("`launch`");
    export(&env, &["explicit"]).says("the variables OMP_NUM_THREADS");
}

#[test]
fn a_stale_lock_is_not_exported_nor_a_kernel_or_platform_that_is_not_there() {
    let env = lab();
    env.run(&["export", "--format", "explicit", "--platform", "osx-arm64"])
        .fails_with(2)
        .says("the lock is not for osx-arm64")
        .says("linux-64");
    env.run(&["export", "--format", "explicit", "--kernel", "python"])
        .fails_with(2)
        .says("those that have one are other");
    env.spec("lab", &LAB.replace("requests", "requests >=2"));
    env.run(&["export", "--format", "explicit"])
        .fails_with(3)
        .says("+ request requests >=2")
        .says("envspec lock");
    fs_err::remove_file(env.work().join("envs/lab.lock")).unwrap();
    env.run(&["export", "--format", "pixi"])
        .fails_with(3)
        .says("there is no lock");
    // That one needs none.
    export(&env, &["environment"]);
}

#[test]
fn neither_export_nor_import_writes_over_a_file() {
    let env = lab();
    let out = env.path("work/out.yml");
    fs_err::write(&out, "mine\n").unwrap();
    env.run(&["export", "--format", "environment", "--output", "out.yml"])
        .fails_with(2)
        .says("is there already");
    let zlib = foreign("conda-lock.yml");
    for taken in ["envs/new.yaml", "envs/new.lock"] {
        fs_err::write(env.work().join(taken), "mine\n").unwrap();
        env.run(&["import", &zlib, "--output", "envs/new.yaml"])
            .fails_with(2)
            .says("is there already");
        assert_eq!(
            fs_err::read_to_string(env.work().join(taken)).unwrap(),
            "mine\n"
        );
        fs_err::remove_file(env.work().join(taken)).unwrap();
    }
    assert_eq!(fs_err::read_to_string(&out).unwrap(), "mine\n");
    export(&env, &["environment", "--output", "out.yml", "--force"]);
    assert_ne!(fs_err::read_to_string(&out).unwrap(), "mine\n");
}

#[test]
fn an_environment_that_went_to_another_tools_file_and_back_is_installed_with_the_same_packages() {
    let env = lab();
    env.run(&["apply", "lab"]).success();
    let wanted = packages(&env.prefix("lab"));
    for (format, file) in [
        ("explicit", "explicit.txt"),
        ("conda-lock", "conda-lock.yml"),
        ("pixi", "pixi.lock"),
    ] {
        export(&env, &[format, "lab", "--output", file]);
        let spec = format!("envs/from-{format}.yaml");
        let name = format!("from-{format}");
        env.run(&["import", file, "--output", &spec, "--name", &name])
            .success();
        env.run(&["lock", "--check", &spec])
            .success()
            .says("is up to date");
        env.run(&["apply", "--locked", &spec]).success();
        assert_eq!(packages(&env.prefix(&name)), wanted, "{format}");
        // The kernel whose packages are there is one of it.
        assert_eq!(
            env.receipt(&name)["kernels"][0]["name"],
            "python",
            "{format}"
        );
    }
}

#[test]
fn a_prefix_that_envspec_made_is_read_with_what_was_asked_for_and_its_variables() {
    let env = lab();
    env.run(&["apply", "lab"]).success();
    let prefix = env.prefix("lab");
    env.run(&[
        "import",
        prefix.to_str().unwrap(),
        "--output",
        "envs/again.yaml",
    ])
    .success();
    let text = fs_err::read_to_string(env.work().join("envs/again.yaml")).unwrap();
    for line in [
        "  - python 3.11.*\n",
        "  - requests\n",
        "OMP_NUM_THREADS: ",
        "kernels:\n  - python\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    env.run(&["lock", "--check", "envs/again.yaml"]).success();
    env.run(&["apply", "--locked", "envs/again.yaml"]).success();
    assert_eq!(packages(&env.prefix("again")), packages(&prefix));
}

#[test]
fn an_explicit_list_is_installed_by_another_tool_with_the_same_packages() {
    let env = lab();
    env.run(&["apply", "lab"]).success();
    let text = export(&env, &["explicit", "--output", "list.txt"]);
    drop(text);
    let list = fs_err::read_to_string(env.work().join("list.txt")).unwrap();
    let read: ExplicitEnvironmentSpec = list.parse().unwrap();
    assert_eq!(read.packages.len(), packages(&env.prefix("lab")).len());
    // py-rattler has no reader of such lists: what it installs are the records that the
    // channel has under these URLs.
    let program = format!(
        r##"
import asyncio, rattler
from rattler import Channel, Gateway, Platform, SourceConfig, install, MatchSpec
async def main():
    urls = [l.split("#")[0] for l in open("list.txt") if "://" in l]
    gateway = Gateway()
    channel = Channel("file://{}/conda-forge")
    names = sorted({{u.rsplit("/", 1)[1].rsplit("-", 2)[0] for u in urls}})
    found = await gateway.query([channel], [Platform("linux-64"), Platform("noarch")], names, recursive=False)
    by_url = {{r.url.split("://", 1)[1]: r for rs in found for r in rs}}
    import os
    records = [by_url[os.path.realpath(u.split("://", 1)[1])] if os.path.realpath(u.split("://", 1)[1]) in by_url else by_url[u.split("://", 1)[1]] for u in urls]
    await install(records=records, target_prefix="other", cache_dir="other-cache")
    # Its threads may outlive the interpreter and fall over it.
    os._exit(0)
asyncio.run(main())
"##,
        channels().canonicalize().unwrap().display()
    );
    python(&env, &world_python(), &program);
    assert_eq!(
        packages(&env.work().join("other")),
        packages(&env.prefix("lab"))
    );
}

#[test]
fn pixis_lock_is_read_by_py_rattler_with_every_environment() {
    let env = lab();
    export(&env, &["pixi", "--output", "pixi.lock"]);
    let text = fs_err::read_to_string(env.work().join("pixi.lock")).unwrap();
    assert!(!text.contains("envspec"), "{text}");
    let program = "from rattler import LockFile\n\
        lock = LockFile.from_path('pixi.lock')\n\
        env = lock.default_environment()\n\
        print(len(env.packages(env.platforms()[0])), [name for name, _ in lock.environments()])";
    let said = python(&env, &world_python(), program);
    let count = export(&env, &["explicit"]).stdout.matches("://").count();
    assert!(
        said.starts_with(&format!("{count} ")) && said.contains("other"),
        "{said}"
    );
    export(
        &env,
        &["pixi", "--kernel", "other", "--output", "other.lock"],
    );
    let said = python(
        &env,
        &world_python(),
        &program.replace("pixi.lock", "other.lock"),
    );
    assert!(
        said.contains("default") && !said.contains("other"),
        "{said}"
    );
}

#[test]
fn conda_locks_file_is_read_and_rendered_by_conda_lock() {
    let env = lab();
    export(&env, &["conda-lock", "--output", "conda-lock.yml"]);
    let ran = env
        .program(readers().join("conda-lock"))
        .args([
            "render",
            "--kind",
            "explicit",
            "--platform",
            "linux-64",
            "conda-lock.yml",
        ])
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let rendered = fs_err::read_to_string(env.work().join("conda-linux-64.lock")).unwrap();
    let urls = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| line.contains("://"));
        lines
            .map(|line| line.split('#').next().unwrap().to_owned())
            .collect()
    };
    let own = export(&env, &["explicit"]).stdout;
    assert_eq!(urls(&rendered), urls(&own));
}

#[test]
fn a_list_for_pip_is_resolved_by_uv_among_the_wheels_that_the_channel_was_made_of() {
    let env = lab();
    export(&env, &["requirements", "--output", "requirements.txt"]);
    let compile = |wheels: &Path| {
        let mut uv = env.program(readers().join("uv"));
        uv.args([
            "pip",
            "compile",
            "--quiet",
            "--offline",
            "--no-index",
            "--no-deps",
        ]);
        uv.arg("--find-links").arg(wheels).arg("requirements.txt");
        uv.output().unwrap()
    };
    let text = fs_err::read_to_string(env.work().join("requirements.txt")).unwrap();
    assert!(text.contains("\nrequests=="), "{text}");
    let cache = channels().parent().unwrap().join("cache");
    let wheels = fs_err::read_dir(cache)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut wheels = wheels.filter(|path| path.to_string_lossy().contains("/wheels-3.11-"));
    let resolved = wheels.any(|wheels| compile(&wheels).status.success());
    assert!(resolved, "{text}");
    // What uv does not read it does not pass over.
    let broken = text + "no requirement at all\n";
    fs_err::write(env.work().join("requirements.txt"), broken).unwrap();
    let refused = compile(&env.work());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success() && said.contains("requirements.txt"),
        "{said}"
    );
}

#[test]
fn a_dockerfile_passes_hadolint_and_is_read_with_its_variables() {
    let env = lab();
    export(&env, &["dockerfile", "--output", "Dockerfile"]);
    let lint = env
        .program(readers().join("hadolint"))
        .arg("Dockerfile")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&lint.stdout).into_owned();
    assert!(lint.status.success() && said.is_empty(), "{said}");
    let program = "from dockerfile_parse import DockerfileParser\n\
        read = DockerfileParser(fileobj=open('Dockerfile', 'rb+'))\n\
        print([step['instruction'] for step in read.structure if step['instruction'] != 'COMMENT'], read.envs)";
    let said = python(&env, &readers().join("python"), program);
    assert_eq!(
        said,
        "['ARG', 'FROM', 'RUN', 'RUN', 'ENV'] {'OMP_NUM_THREADS': '4'}"
    );
}

#[test]
fn an_apptainer_definition_is_read_with_its_sections() {
    let env = lab();
    export(&env, &["apptainer", "--output", "lab.def"]);
    let program = "from spython.main.parse.parsers import SingularityParser\n\
        read = SingularityParser('lab.def').parse()\n\
        for recipe in (read.values() if isinstance(read, dict) else [read]):\n\
        \x20   print(recipe.fromHeader, len(recipe.install) > 10, recipe.environ, recipe.cmd)";
    let said = python(&env, &readers().join("python"), program);
    assert!(
        said.starts_with("mambaorg/micromamba:") && said.contains(" True "),
        "{said}"
    );
    assert!(said.contains("OMP_NUM_THREADS"), "{said}");
}

#[test]
fn a_real_file_of_conda_lock_becomes_a_spec_with_its_lock_for_three_platforms() {
    let env = TestEnv::with_alias("https://conda.anaconda.org");
    let output = env
        .run(&["import", &foreign("conda-lock.yml"), "--name", "zlib"])
        .success();
    assert_output!(output);
    let text = fs_err::read_to_string(env.work().join("envs/zlib.yaml")).unwrap();
    insta::assert_snapshot!("the_spec_of_a_real_file_of_conda_lock", text);
    env.run(&["lock", "--check", "zlib"])
        .success()
        .says("is up to date");
}

#[test]
fn real_prefixes_of_conda_become_specs_that_ask_for_what_their_histories_ask() {
    let env = TestEnv::with_alias("https://conda.anaconda.org");
    for (prefix, asked) in [
        (
            "conda-4.5",
            "dependencies:\n  - pylint\n  - python 3.6.*\nplatforms:",
        ),
        (
            "constructor",
            "dependencies:\n  - conda\n  - constructor\n  - git\n  - jq\n  - python 3.*\n  - vim\n",
        ),
    ] {
        let spec = format!("envs/{prefix}.yaml");
        env.run(&[
            "import",
            &foreign(&format!("prefixes/{prefix}")),
            "--output",
            &spec,
        ])
        .success()
        .says("of the lock can be checked by MD5 alone");
        let text = fs_err::read_to_string(env.work().join(&spec)).unwrap();
        assert!(text.contains(asked), "{text}");
        env.run(&["lock", "--check", &spec])
            .success()
            .says("is up to date");
    }
}

#[test]
fn real_manifests_of_pixi_become_specs_that_list_what_they_lack() {
    let env = TestEnv::new();
    for (file, name) in [
        ("gpu/pixi.toml", "pytorch-pixi"),
        ("ros/pixi.toml", "afor"),
        ("flask/pyproject.toml", "flask-hello-world-pyproject"),
    ] {
        let output = env.run(&["import", &foreign(file)]).success();
        let text = fs_err::read_to_string(env.work().join(format!("envs/{name}.yaml"))).unwrap();
        insta::assert_snapshot!(format!("the_spec_of_{name}"), text);
        // What is said is what is written.
        let written = text.lines().filter_map(|line| line.strip_prefix("# - "));
        written
            .for_each(|line| assert!(output.stderr.contains(&format!("  - {line}\n")), "{line}"));
    }
}

#[test]
fn a_manifest_with_its_lock_beside_it_brings_the_lock_if_it_fits() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib 1.*", "symlink"]);
    env.run(&["lock"]).success();
    fs_err::create_dir(env.work().join("project")).unwrap();
    export(&env, &["pixi", "--output", "project/pixi.lock"]);
    let manifest = |version: &str| {
        let text = format!(
            "[workspace]\nname = \"tool\"\nchannels = [\"tiny\"]\nplatforms = [\"linux-64\"]\n\
             [dependencies]\nshared-lib = \"{version}\"\nsymlink = \"*\"\n"
        );
        fs_err::write(env.work().join("project/pixi.toml"), text).unwrap();
    };
    manifest("1.*");
    env.run(&["import", "project/pixi.toml"])
        .success()
        .says("tool.lock");
    env.run(&["apply", "--locked", "envs/tool.yaml"]).success();
    manifest("2.*");
    env.run(&["import", "project/pixi.toml", "--output", "envs/newer.yaml"])
        .success()
        .says("the lock: its packages don't meet shared-lib 2.*");
    assert!(!env.work().join("envs/newer.lock").exists());
}

#[test]
fn an_environment_yml_is_taken_as_it_is() {
    let env = TestEnv::new();
    let text =
        "# ours\nname: old\nchannels: [tiny]\ndependencies:\n  - shared-lib  # why\nprefix: /x\n";
    fs_err::write(env.work().join("environment.yml"), text).unwrap();
    env.run(&["import", "environment.yml", "--name", "new"])
        .success()
        .says("`prefix` is ignored");
    let written = fs_err::read_to_string(env.work().join("envs/new.yaml")).unwrap();
    assert_eq!(written, text.replace("old", "new"));
    env.run(&["apply", "new"]).success();
}

#[test]
fn what_is_no_file_of_another_tool_is_refused_and_nothing_is_written() {
    let env = TestEnv::new();
    let work = env.work();
    fs_err::write(work.join("binary"), [0xff, 0xfe, 0, 1]).unwrap();
    fs_err::write(work.join("pixi.toml"), "[workspace\n").unwrap();
    fs_err::write(
        work.join("list.txt"),
        "@EXPLICIT\nhttps://h/c/linux-64/a-1-0.conda\n",
    )
    .unwrap();
    let secret = "https://anna:hunter2@h/c/linux-64/a-1-0.conda#d41d8cd98f00b204e9800998ecf8427e";
    fs_err::write(work.join("secret.txt"), format!("@EXPLICIT\n{secret}\n")).unwrap();
    fs_err::create_dir_all(work.join("empty")).unwrap();
    let escape = "version: 6\nenvironments:\n  \"\\e[31mred\": {}\npackages: []\n";
    fs_err::write(work.join("pixi.lock"), escape).unwrap();
    for (source, words) in [
        ("binary", "is not UTF-8 text"),
        ("pixi.toml", "can't be read as a pixi.toml"),
        ("list.txt", "has no checksum of a"),
        (
            "secret.txt",
            "a URL with a password or a token in it: https://h/…",
        ),
        ("empty", "could not read"),
        ("/dev/zero", "could not read"),
        ("pixi.lock", "can't be read as a pixi.lock"),
        ("not-there", "could not read"),
        ("/etc/passwd", "has neither channels nor dependencies"),
    ] {
        let refused = env
            .run(&["import", source, "--output", "envs/x.yaml"])
            .fails_with(2);
        assert!(!refused.stderr.contains("hunter2"), "{refused}");
        assert!(!refused.stderr.contains('\u{1b}'), "{refused}");
        assert!(!refused.stderr.contains("root:"), "{refused}");
        refused.says(words);
        assert!(!work.join("envs/x.yaml").exists() && !work.join("envs/x.lock").exists());
    }
    // The spec alone needs no checksum.
    env.run(&["import", "list.txt", "--output", "envs/x.yaml", "--no-lock"])
        .success();
    assert!(!work.join("envs/x.lock").exists());
}

#[test]
fn a_prefix_with_packages_of_pip_gives_a_spec_with_them_and_no_lock() {
    let env = TestEnv::new();
    env.tiny(&["shared-lib"]);
    env.run(&["apply"]).success();
    let prefix = env.path("prefix");
    let copied = Command::new("cp")
        .args(["-r"])
        .arg(env.prefix("lab"))
        .arg(&prefix)
        .status();
    assert!(copied.unwrap().success());
    let chmod = Command::new("chmod")
        .args(["-R", "u+w"])
        .arg(&prefix)
        .status();
    assert!(chmod.unwrap().success());
    let info = prefix.join("lib/python3.11/site-packages/cowsay-6.1.dist-info");
    fs_err::create_dir_all(&info).unwrap();
    fs_err::write(info.join("METADATA"), "Name: cowsay\nVersion: 6.1\n").unwrap();
    env.run(&[
        "import",
        prefix.to_str().unwrap(),
        "--output",
        "envs/p.yaml",
    ])
    .success()
    .says("the lock: of cowsay 6.1 the prefix has no checksum");
    let text = fs_err::read_to_string(env.work().join("envs/p.yaml")).unwrap();
    assert!(text.contains("  - pip:\n      - cowsay==6.1\n"), "{text}");
}
