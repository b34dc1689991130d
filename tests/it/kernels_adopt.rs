//! Kernelspecs that envspec did not make, adopted: right in any server.

use fs_err::os::unix::fs::symlink;
use serde_json::json;

use crate::support::{
    IPYKERNEL, MARKED_KERNELSPEC, TestEnv, cell_beside_the_lab, judged, judgement, lab,
    put_command, put_kernelspec, read_kernelspec, tree, venv,
};

#[test]
fn an_adopted_kernel_computes_in_its_own_prefix_with_what_activation_gives() {
    let env = TestEnv::new();
    // As conda makes one, with a package that has an activation script.
    let prefix = venv(&env);
    fs_err::create_dir(prefix.join("conda-meta")).unwrap();
    let activate = prefix.join("etc/conda/activate.d");
    fs_err::create_dir_all(&activate).unwrap();
    fs_err::write(
        activate.join("proj.sh"),
        "export PROJ_DATA=\"$CONDA_PREFIX/share/a \\$b\"\n",
    )
    .unwrap();
    // The conda that wraps its kernel is gone: that is no reason to give it up.
    let conda = env.path("base/bin/conda");
    let user = env.user_kernels();
    let (conda, own) = (conda.to_str().unwrap(), prefix.to_str().unwrap());
    let argv = [&[conda, "run", "-p", own][..], &IPYKERNEL].concat();
    let spec = json!({
        "argv": argv, "display_name": "mine", "language": "python", "interrupt_mode": "signal",
        "env": {"TZ": "UTC", "CONDA_PREFIX": "/gone", "PATH": "/gone/bin:${PATH}"},
        "metadata": {"debugger": true},
    });
    let mine = put_kernelspec(&user, "mine", &spec.to_string());
    let answer = judged(&env, &[]);
    let faults = judgement(&answer, &mine)["faults"].clone();
    let verdicts: Vec<&str> = faults
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(verdicts, ["dead", "wrapper", "env"]);
    assert_eq!(judged(&env, &["--repair"])["changes"], json!([]));

    let before = tree(&env.path("home"));
    let shown = env
        .run(&["kernels", "doctor", "--adopt", "mine", "--dry-run"])
        .success();
    assert_eq!(before, tree(&env.path("home")));
    let output = env.run(&["kernels", "doctor", "--adopt", "Mine"]).success();
    assert!(
        output.stderr.contains("kernel.json.before-envspec"),
        "{output}"
    );
    let adopted = read_kernelspec(&mine);
    assert_eq!(shown.json(), adopted);
    assert_eq!(adopted["metadata"]["debugger"], true);
    assert_eq!(adopted["interrupt_mode"], "signal");
    let kept = fs_err::read_to_string(mine.join("kernel.json.before-envspec")).unwrap();
    assert_eq!(kept, spec.to_string());
    let found = judgement(&judged(&env, &[]), &mine);
    assert_eq!(
        (&found["verdict"], &found["adopted"]),
        (&json!("good"), &json!(true))
    );

    let code = "import os, shutil, sys\nprint(sys.prefix, shutil.which('python'), \
                os.environ['PROJ_DATA'], os.environ['CONDA_PREFIX'], os.environ['TZ'])";
    let said = cell_beside_the_lab(&env, &env.path("none"), "mine", code);
    assert_eq!(
        said.trim(),
        format!("{own} {own}/bin/python {own}/share/a $b {own} UTC")
    );

    let before = tree(&env.path("home"));
    let again = env.run(&["kernels", "doctor", "--adopt", "mine"]).success();
    assert!(again.stderr.contains("Nothing to do"), "{again}");
    assert_eq!(before, tree(&env.path("home")));
}

#[test]
fn what_can_not_be_adopted_is_refused_with_the_reason_and_stays() {
    let env = TestEnv::new();
    let user = env.user_kernels();
    let venv = venv(&env);
    let below = |path: &str| venv.join(path).to_str().unwrap().to_owned();
    put_command(&user, "gone", &["/gone/bin/python"]);
    put_command(&user, "system", &["/usr/bin/python3"]);
    put_command(
        &user,
        "module",
        &[&below("bin/python"), "-m", "no_such_kernel"],
    );
    put_command(
        &user,
        "program",
        &["/b/bin/conda", "run", "-p", &below(""), "julia"],
    );
    put_command(
        &user,
        "option",
        &["/b/bin/conda", "run", "-p", &below(""), "--what", "R"],
    );
    let of_lab = lab().prefix().join("bin/python");
    put_command(&user, "lab", &[of_lab.to_str().unwrap()]);
    put_kernelspec(&user, "lab-python", MARKED_KERNELSPEC);
    put_kernelspec(&user, "broken", "{");
    let elsewhere = put_command(&env.path("elsewhere"), "x", &[&below("bin/python")]);
    symlink(&elsewhere, user.join("link")).unwrap();
    let before = tree(&env.path("home"));
    for (name, code, why) in [
        ("gone", 6, "belongs to no environment"),
        ("system", 6, "belongs to no environment"),
        ("module", 6, "no module no_such_kernel"),
        ("program", 6, "julia"),
        ("option", 6, "can't be adopted"),
        ("lab", 2, "a generation of envspec's"),
        ("lab-python", 2, "envspec's own"),
        ("broken", 6, "not valid JSON"),
        ("link", 2, "is a link"),
        ("unknown", 2, "there is no kernelspec unknown"),
    ] {
        drop(
            env.run(&["kernels", "doctor", "--adopt", name])
                .fails_with(code)
                .says(why),
        );
    }
    assert_eq!(before, tree(&env.path("home")));
    assert!(!elsewhere.join("kernel.json.before-envspec").exists());
}
