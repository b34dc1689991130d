//! `doctor` on hosts that are broken in one way each: what is wrong is told as
//! bad with its remedy, and nothing else is.

use serde_json::Value;

use crate::support::{CommandOutput, Envspec as _, There, program, soon};

/// The checks of an answer.
fn checks(output: &CommandOutput) -> Vec<Value> {
    let answer = output.json();
    assert_eq!(answer["version"], 1);
    answer["checks"].as_array().unwrap().clone()
}

/// Those of a verdict, as `name at place`.
fn of_verdict(output: &CommandOutput, verdict: &str) -> Vec<String> {
    let checks = checks(output);
    let chosen = checks.iter().filter(|check| check["verdict"] == verdict);
    chosen
        .map(|check| {
            let text = |key: &str| check[key].as_str().unwrap().to_owned();
            format!("{} at {}", text("name"), text("place"))
        })
        .collect()
}

/// What a check found and its remedy, in one text.
#[track_caller]
fn told(output: &CommandOutput, name: &str, place: &str) -> String {
    let checks = checks(output);
    let mut found = checks
        .iter()
        .filter(|check| check["name"] == name && check["place"] == place);
    let check = found
        .next()
        .unwrap_or_else(|| panic!("no check {name} at {place}: {output}"));
    let remedy = check["remedy"].as_str().unwrap_or_default();
    format!("{} | {remedy}", check["found"].as_str().unwrap())
}

/// From the workstation: exactly these are bad.
#[track_caller]
fn bad(there: &There, expected: &[&str]) -> CommandOutput {
    let code = if expected.is_empty() { 0 } else { 6 };
    let output = there.cluster.ws().envspec(["doctor", "lab", "--json"]);
    let output = output.fails_with(code);
    assert_eq!(of_verdict(&output, "bad"), expected, "{output}");
    output
}

#[track_caller]
fn says(told: &str, what: &str) {
    assert!(told.contains(what), "{what:?} is not in: {told}");
}

/// Appends a line to the `sshd_config` of a host, and takes it back.
fn with_sshd(there: &There, host: &str, line: &str, look: impl FnOnce()) {
    let path = there.cluster.folder().join(host).join("ssh/sshd_config");
    let before = fs_err::read_to_string(&path).unwrap();
    let restart = || {
        let host = there.cluster.host(host);
        host.sshd_stop();
        host.sshd_start();
    };
    fs_err::write(&path, format!("{before}\n{line}\n")).unwrap();
    restart();
    look();
    fs_err::write(&path, before).unwrap();
    restart();
}

#[test]
fn where_all_is_well_every_check_is_good_and_a_kernelspec_without_its_generation_is_not() {
    let Some(there) = There::up("doctor_well") else {
        return;
    };
    let before = there.cluster.ws().sh("ls -laR .ssh .config").success();
    let well = bad(&there, &[]);
    assert_eq!(of_verdict(&well, "unknown"), Vec::<String>::new(), "{well}");
    let good = of_verdict(&well, "good");
    for (name, place) in [
        ("ssh version", "this machine"),
        ("port", "this machine"),
        ("key", "jump"),
        ("host key", "login"),
        ("forwarding", "login"),
        ("scheduler", "login"),
        ("space of the root", "login"),
        ("root", "login"),
        ("key", "med0101"),
        ("forwarding", "med0101"),
    ] {
        assert!(good.contains(&format!("{name} at {place}")), "{well}");
    }
    says(&told(&well, "kernels", "login"), "lab-python");
    let after = "ls -laR .ssh .config; ls /tmp; pgrep -ax ssh";
    let after = format!("{after}; true");
    // An ssh that was ended may take a moment to go on a busy machine.
    soon("nothing is left", || {
        let after = there.cluster.ws().sh(&after).success();
        (after.stdout == before.stdout).then_some(())
    });

    let text = there.cluster.ws().envspec(["doctor"]).success();
    assert!(
        text.stdout.lines().all(|line| line.starts_with("ok ")),
        "{text}"
    );
    let login = there.cluster.login();
    let text = login.envspec(["doctor"]).success();
    assert!(
        text.stdout.lines().all(|line| line.starts_with("ok ")),
        "{text}"
    );
    assert!(text.stdout.contains("med0101"), "{text}");

    // A session's node is the one that is tried.
    let drain = "scontrol update NodeName=med0101 State=DRAIN Reason=test";
    let root = there.cluster.host("login").user("root");
    drop(root.sh(drain).success());
    drop(login.run(["sbatch", "-J", "envspec-x", "--wrap", "sleep 60"]));
    soon("a job on the other node", || {
        let queue = login.run(["squeue", "--noheader", "-o", "%T %N"]).success();
        queue.stdout.contains("RUNNING med0102").then_some(())
    });
    drop(root.sh("scontrol update NodeName=med0101 State=RESUME"));
    says(&told(&bad(&there, &[]), "key", "med0102"), "id_ed25519");

    let generations = there.root().join("gen");
    let generation = fs_err::read_dir(&generations).unwrap().flatten().next();
    let generation = generation.unwrap().path();
    let aside = there.root().join("aside");
    fs_err::rename(&generation, &aside).unwrap();
    let output = bad(&there, &["kernels at login"]);
    let kernels = told(&output, "kernels", "login");
    says(&kernels, "lab-python lacks ");
    says(&kernels, "envspec apply lab");
    fs_err::rename(&aside, &generation).unwrap();
    let python = generation.join("bin/python");
    fs_err::rename(&python, generation.join("bin/python.aside")).unwrap();
    let output = bad(&there, &["kernels at login"]);
    says(&told(&output, "kernels", "login"), "/bin/python");
}

#[test]
fn a_hop_that_is_down_or_not_the_one_it_was_is_told_and_what_lies_behind_is_not_tried() {
    let Some(there) = There::bare("doctor_hops") else {
        return;
    };
    there.cluster.host("jump").sshd_stop();
    let output = bad(&there, &["reach at jump"]);
    says(&told(&output, "reach", "jump"), "does not listen");
    says(
        &told(&output, "reach", "login"),
        "not tried, because jump is the way to it",
    );
    says(&told(&output, "scheduler", "login"), "not tried, because");
    there.cluster.host("jump").sshd_start();

    there.cluster.host("login").cut();
    let output = bad(&there, &["reach at login"]);
    says(&told(&output, "reach", "login"), "no answer");
    there.cluster.host("login").join();

    // One that takes the connection and says nothing.
    there.cluster.host("login").freeze("sshd");
    let output = bad(&there, &["reach at login"]);
    says(&told(&output, "reach", "login"), "no answer");
    there.cluster.host("login").thaw("sshd");

    let known = there.workstation().join(".ssh/known_hosts");
    let before = fs_err::read_to_string(&known).unwrap();
    let lines: Vec<&str> = before.lines().collect();
    let (_, jumps_key) = lines[0].split_once(' ').unwrap();
    let changed = before.replace(lines[1].split_once(' ').unwrap().1, jumps_key);
    fs_err::write(&known, &changed).unwrap();
    let output = bad(&there, &["host key at login"]);
    let host_key = told(&output, "host key", "login");
    says(&host_key, "another than the known one");
    says(&host_key, "known_hosts:2");
    says(&host_key, "ssh-keygen -R login");
    fs_err::write(&known, lines[0].to_owned() + "\n").unwrap();
    let output = bad(&there, &["host key at login"]);
    says(&told(&output, "host key", "login"), "not among the known");
    assert_eq!(
        fs_err::read_to_string(&known).unwrap(),
        lines[0].to_owned() + "\n",
        "a host key was written down"
    );
    fs_err::write(&known, before).unwrap();
    drop(bad(&there, &[]));
}

#[test]
fn a_key_that_a_place_refuses_is_told_with_what_to_do_about_it_there() {
    let Some(there) = There::bare("doctor_keys") else {
        return;
    };
    let config = there.workstation().join(".ssh/config");
    let before = fs_err::read_to_string(&config).unwrap();
    let only = |key: &str| {
        let only = format!("Host *\n  IdentityFile ~/.ssh/{key}\n  IdentitiesOnly yes\n");
        fs_err::write(&config, format!("{only}{before}")).unwrap();
    };
    only("id_registered");
    let output = bad(&there, &["key at med0101"]);
    let key = told(&output, "key", "med0101");
    says(&key, "id_registered opens login, but not the compute node");
    says(&key, "add it to ~/.ssh/authorized_keys on the cluster");
    only("id_home");
    let output = bad(&there, &["key at jump"]);
    says(&told(&output, "key", "jump"), "register your public key");
    fs_err::write(&config, &before).unwrap();
}

#[test]
fn forbidden_forwarding_is_told_where_it_is_forbidden() {
    let Some(there) = There::bare("doctor_forward") else {
        return;
    };
    with_sshd(&there, "jump", "AllowTcpForwarding no", || {
        let output = bad(&there, &["reach at login"]);
        let reach = told(&output, "reach", "login");
        says(&reach, "the hop before forbids forwarding | jump has to");
    });
    with_sshd(&there, "login", "AllowTcpForwarding no", || {
        let output = bad(&there, &["forwarding at login"]);
        let forwarding = told(&output, "forwarding", "login");
        says(&forwarding, "AllowTcpForwarding");
        says(&told(&output, "reach", "med0101"), "not tried, because");
    });
    with_sshd(&there, "med0101", "AllowStreamLocalForwarding no", || {
        let output = bad(&there, &["forwarding at med0101"]);
        let forwarding = told(&output, "forwarding", "med0101");
        says(&forwarding, "AllowStreamLocalForwarding");
    });
    // A dead port is not a forbidden one.
    there.cluster.host("med0101").sshd_stop();
    let output = bad(&there, &["reach at med0101"]);
    says(&told(&output, "reach", "med0101"), "Connection refused");
}

#[test]
fn a_dead_scheduler_a_full_disk_and_a_taken_port_are_told() {
    let Some(there) = There::bare("doctor_places") else {
        return;
    };
    let cluster = &there.cluster;
    let taken = told(&bad(&there, &[]), "port", "this machine");
    let port = taken.split(' ').next().unwrap();
    let listen = format!(
        "import socket, time; s = socket.socket(); s.bind(('127.0.0.1', {port})); s.listen(); \
         print(1, flush=True); time.sleep(600)"
    );
    let taken = cluster.ws().start(["python3", "-c", &listen]);
    soon("a taken port", || {
        taken.stdout().contains('1').then_some(())
    });
    let output = bad(&there, &["port at this machine"]);
    says(&told(&output, "port", "this machine"), "--port N");
    drop(taken);

    drop(cluster.login().run(["mkdir", "/home/ada/small"]).success());
    cluster.small_disk("/home/ada/small", "64k");
    let output =
        cluster
            .login()
            .envspec(["doctor", "lab", "--root", "/home/ada/small/root", "--json"]);
    let output = output.fails_with(6);
    let place = "space of the root at this machine";
    assert_eq!(of_verdict(&output, "bad"), [place], "{output}");
    says(
        &told(&output, "space of the root", "this machine"),
        "64 KiB",
    );
    says(&told(&output, "root", "this machine"), "tmpfs");

    let root = cluster.host("login").user("root");
    drop(root.sh("pkill -KILL -x slurmctld").success());
    let output = bad(&there, &["scheduler at login"]);
    let scheduler = told(&output, "scheduler", "login");
    says(&scheduler, "its controller is down or busy");
    says(&told(&output, "reach", "compute node"), "not tried");
    // A PATH with all but Slurm's programs.
    let path = "mkdir bin; ln -s /usr/bin/* bin/; rm bin/squeue; cd";
    drop(cluster.login().sh(path).success());
    let doctor = format!("PATH=~/bin '{}' doctor lab --json", program());
    let output = cluster.login().sh(&doctor).fails_with(6);
    assert_eq!(of_verdict(&output, "bad"), ["scheduler at this machine"]);
    let scheduler = told(&output, "scheduler", "this machine");
    says(&scheduler, "squeue is not in the PATH");
}
