//! What goes wrong while sessions run, each fault made where it really happens:
//! what the user is told, that the same address works again where it can, and that
//! nothing is left behind.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::session::{PATIENCE, answers_again, connected, status};
use crate::support::{Envspec as _, Running, TestEnv, There, program, soon};

/// What two slow cores may need for what is quick elsewhere.
const LONG: Duration = Duration::from_mins(5);

/// Nothing of any session: no folder, claim or half a script in the root, no job, no
/// process of the user and no file of a server on a cluster's host, no ssh and no
/// socket on the workstation. What ends by itself has some seconds.
#[track_caller]
fn nothing_is_left(there: &There) {
    let started = Instant::now();
    loop {
        let left = left(there);
        if left.is_empty() {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "left: {left}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn left(there: &There) -> String {
    let mut left = there.sessions().join("\n");
    let root = there.root().display();
    let here = format!("ls -d '{root}'/sessions/start/*.claim '{root}'/sessions/start/*.new.*");
    for (host, look) in [
        ("login", here.as_str()),
        ("login", "squeue --noheader"),
        ("login", "pgrep -u ada -a"),
        ("med0101", "ls -d /tmp/envspec.*; pgrep -u ada -a"),
        ("med0102", "ls -d /tmp/envspec.*; pgrep -u ada -a"),
        ("ws", "ls -d /tmp/envspec-*; pgrep -u ada -a"),
    ] {
        let root = there.cluster.host(host).user("root");
        let seen = root.sh(&format!("{{ {look}; }} 2>/dev/null; true"));
        for line in seen.success().stdout.lines() {
            writeln!(left, "{host}: {line}").unwrap();
        }
    }
    left.trim().to_owned()
}

/// What `sessions --json` lists.
#[track_caller]
fn listed(there: &There) -> Vec<serde_json::Value> {
    let listed = there.cluster.login().envspec(["sessions", "--json"]);
    let json = listed.success().json();
    json["sessions"].as_array().unwrap().clone()
}

/// Job and node of the only session.
#[track_caller]
fn job_and_node(there: &There) -> (String, String) {
    let listed = listed(there);
    assert_eq!(listed.len(), 1, "{listed:#?}");
    let node = listed[0]["node"].as_str().unwrap_or_default();
    (listed[0]["job"].to_string(), node.to_owned())
}

/// Launches on the login node and connects from the workstation.
fn launched(there: &There) -> (Running, u16) {
    there.cluster.login().envspec(["launch"]).success();
    let mut connect = there.cluster.ws().start_envspec(["connect", "lab"]);
    let port = connected(&mut connect);
    (connect, port)
}

/// Until a running program has said something on stderr.
#[track_caller]
fn says(running: &mut Running, what: &str) {
    soon(what, || {
        let said = running.stderr();
        assert!(running.ended().is_none(), "it has ended: {said}");
        said.contains(what).then_some(())
    });
}

/// Runs a command of root's on a host.
#[track_caller]
fn root(there: &There, host: &str, command: &str) {
    drop(there.cluster.host(host).user("root").sh(command).success());
}

/// The stop of the only session, and proof that nothing is left.
#[track_caller]
fn stopped(there: &There, connect: Running) {
    there.cluster.ws().envspec(["stop", "lab"]).success();
    drop(connect.wait(PATIENCE).success());
    nothing_is_left(there);
}

#[test]
fn what_was_frozen_answers_at_the_same_address_after_the_thaw_or_before() {
    let Some(there) = There::up("frozen") else {
        return;
    };
    let cluster = &there.cluster;
    let (connect, port) = launched(&there);
    let token = || there.token();

    // A hop: every way to the server leads through it.
    cluster.host("jump").freeze("sshd");
    soon("no answer through a frozen hop", || {
        (status(&there, port, Some(&token())) == 0).then_some(())
    });
    // Longer than ssh waits for a sign of life, and than several attempts to mend.
    std::thread::sleep(Duration::from_secs(30));
    cluster.host("jump").thaw("sshd");
    let again = answers_again(&there, port, &token);
    assert!(again < Duration::from_secs(20), "{again:?} after the thaw");
    assert_eq!(status(&there, port, None), 403);

    // The ssh of the workstation, for a whole minute: a new one does its work
    // before the thaw, and the old ones change nothing when they wake up.
    let frozen = Instant::now();
    cluster.host("ws").freeze("ssh");
    let again = answers_again(&there, port, &token);
    assert!(
        again < Duration::from_secs(30),
        "{again:?} beside the frozen"
    );
    while frozen.elapsed() < Duration::from_mins(1) {
        assert_eq!(status(&there, port, Some(&token())), 200);
        std::thread::sleep(Duration::from_secs(1));
    }
    cluster.host("ws").thaw("ssh");
    for _ in 0..10 {
        assert_eq!(status(&there, port, Some(&token())), 200);
        std::thread::sleep(Duration::from_millis(500));
    }

    // The node's sshd: the scheduler leads there too.
    let (_, node) = job_and_node(&there);
    cluster.host(&node).freeze("sshd");
    soon("no answer through a frozen node", || {
        (status(&there, port, Some(&token())) == 0).then_some(())
    });
    answers_again(&there, port, &token);
    cluster.host(&node).thaw("sshd");
    stopped(&there, connect);
}

#[test]
fn a_laptop_that_slept_finds_its_server_at_the_same_address() {
    let Some(there) = There::up("slept") else {
        return;
    };
    let cluster = &there.cluster;
    cluster.login().envspec(["launch"]).success();
    // A child of bash: the entry into a host stops with its own child, for ever.
    let started = format!("'{}' connect lab & wait $!", program());
    let mut connect = cluster.ws().start(["bash", "-c", &started]);
    let port = connected(&mut connect);
    let token = || there.token();
    let ws = cluster.host("ws");

    // A nap in the same network: all connections are still good.
    ws.freeze("envspec");
    ws.freeze("ssh");
    std::thread::sleep(Duration::from_secs(5));
    ws.thaw("ssh");
    ws.thaw("envspec");
    let nap = answers_again(&there, port, &token);
    assert!(nap < Duration::from_secs(5), "{nap:?} after a nap");

    // A sleep in which the hop gave the connection up, and one with the lid closed
    // before the network was gone and opened before it was there.
    ws.cut();
    ws.freeze("envspec");
    ws.freeze("ssh");
    cluster.host("jump").sshd_stop();
    cluster.host("jump").sshd_start();
    std::thread::sleep(Duration::from_secs(40));
    ws.thaw("ssh");
    ws.thaw("envspec");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(status(&there, port, Some(&token())), 0);
    ws.join();
    let sleep = answers_again(&there, port, &token);
    println!("answers {nap:?} after a nap, {sleep:?} after a sleep");
    assert!(sleep < Duration::from_secs(10), "{sleep:?} after a sleep");

    // Only the program stopped, as by Ctrl-Z, while its way broke.
    ws.freeze("envspec");
    cluster.host("jump").sshd_stop();
    cluster.host("jump").sshd_start();
    std::thread::sleep(Duration::from_secs(10));
    ws.thaw("envspec");
    let stopped_for = answers_again(&there, port, &token);
    assert!(stopped_for < Duration::from_secs(10), "{stopped_for:?}");
    assert!(connect.ended().is_none(), "{}", connect.stderr());
    assert_eq!(connect.stdout().matches("http://").count(), 1);
    stopped(&there, connect);
}

#[test]
fn a_session_ends_in_order_when_it_is_warned_and_when_it_is_idle() {
    let Some(there) = There::up("in_order") else {
        return;
    };
    let cluster = &there.cluster;
    let (connect, port) = launched(&there);
    let (job, _) = job_and_node(&there);
    assert_eq!(status(&there, port, Some(&there.token())), 200);
    let kernel = format!(
        "curl -s -m 30 -o /dev/null -w '%{{http_code}}' -H @header -X POST \
         -d '{{\"name\": \"python3\"}}' http://127.0.0.1:{port}/api/kernels"
    );
    assert_eq!(cluster.ws().sh(&kernel).success().stdout, "201");
    // What Slurm does two minutes before the limit: `--signal=B:TERM@120`.
    let asked = cluster.login().run(["scontrol", "show", "job", &job]);
    drop(asked.success());
    let batch = fs_err::read_to_string(there.root().join("sessions/start/envspec-lab.sh"));
    assert!(batch.unwrap().contains("#SBATCH --signal=B:TERM@120\n"));
    let warned = Instant::now();
    let warn = ["scancel", "--signal=TERM", "--batch", &job];
    drop(cluster.login().run(warn).success());
    let ended = connect.wait(PATIENCE).success();
    println!("ended {:?} after the warning", warned.elapsed());
    // By itself: no word of the scheduler for how.
    assert!(ended.stderr.contains("The session has ended\n"), "{ended}");
    let log = there.root().join(format!("sessions/{job}.log"));
    let log = fs_err::read_to_string(log).unwrap();
    assert!(log.contains("Shutting down 1 kernel"), "{log}");
    nothing_is_left(&there);

    // Somebody is connected, and does nothing.
    let spec = cluster.home("ada").join("envs/lab.yaml");
    let text = fs_err::read_to_string(&spec).unwrap();
    let idle = text.replace("memory: 500M", "memory: 500M, idle: '0:05'");
    assert_ne!(text, idle);
    fs_err::write(&spec, idle).unwrap();
    let started = Instant::now();
    let (connect, port) = launched(&there);
    let (job, _) = job_and_node(&there);
    assert_eq!(status(&there, port, Some(&there.token())), 200);
    // Jupyter looks once a minute.
    let ended = connect.wait(LONG).success();
    let after = started.elapsed();
    println!("ended {after:?} after the launch");
    assert!(after < Duration::from_mins(3), "{after:?}");
    assert!(ended.stderr.contains("The session has ended\n"), "{ended}");
    // What ended by itself leaves no log.
    assert!(!there.root().join(format!("sessions/{job}.log")).exists());
    nothing_is_left(&there);
}

#[test]
fn what_a_killed_connect_or_server_left_is_cleaned_and_in_nobodys_way() {
    let Some(there) = There::up("killed") else {
        return;
    };
    let cluster = &there.cluster;
    let (connect, port) = launched(&there);
    let on_ws = |what: &str| {
        let look = format!("{{ {what}; }} 2>/dev/null; true");
        let seen = cluster.host("ws").user("root").sh(&look);
        seen.success().stdout
    };

    // Nothing of it is closed by envspec itself then.
    assert!(on_ws("pgrep -u ada -x ssh").lines().count() >= 2);
    root(&there, "ws", "pkill -KILL -x envspec");
    soon("the end of its connections", || {
        on_ws("ls -d /tmp/envspec-*; pgrep -u ada -a")
            .is_empty()
            .then_some(())
    });
    drop(connect);

    // Killed with all that it had: the folder with its sockets stays.
    let mut connect = cluster.ws().start_envspec(["connect", "lab"]);
    assert_eq!(connected(&mut connect), port);
    root(&there, "ws", "pkill -KILL -u ada");
    drop(connect);
    let stale = on_ws("ls /tmp/envspec-*/direct");
    assert!(!stale.is_empty(), "no stale socket");
    let mut connect = cluster.ws().start_envspec(["connect", "lab"]);
    assert_eq!(connected(&mut connect), port);
    assert_eq!(status(&there, port, Some(&there.token())), 200);
    root(
        &there,
        "ws",
        &format!("rm -r {}", stale.trim_end_matches("/direct\n")),
    );

    // A server with all that it had: its socket and its record stay.
    let (job, node) = job_and_node(&there);
    let sockets = |node: &str| {
        let root = cluster.host(node).user("root");
        let seen = root.sh("ls /tmp/envspec.*/server.sock 2>/dev/null; true");
        seen.success().stdout
    };
    let before = sockets(&node);
    assert_eq!(before.lines().count(), 1, "{before}");
    root(&there, &node, "pkill -KILL -u ada");
    drop(
        connect
            .wait(PATIENCE)
            .success()
            .says("The session has ended: its server failed")
            .says(&format!("sessions/{job}.log")),
    );
    assert_eq!(sockets(&node), before);
    assert_eq!(
        there.sessions(),
        Vec::<String>::new(),
        "cleaned by the look"
    );
    let (connect, _) = launched(&there);
    assert_eq!(job_and_node(&there).1, node);
    assert_ne!(sockets(&node), before);
    assert_eq!(sockets(&node).lines().count(), 1);
    stopped(&there, connect);
}

#[test]
fn on_a_full_disk_a_launch_says_so_and_nothing_half_written_is_believed() {
    let Some(there) = There::up("full_disk") else {
        return;
    };
    let cluster = &there.cluster;
    let login = cluster.login();
    // The folder of the sessions on a disk of its own.
    drop(login.run(["mkdir", "small"]).success());
    cluster.small_disk("/home/ada/small", "256k");
    let link = there.root().join("sessions");
    let link = format!("rm -rf '{0}'; ln -s ~/small '{0}'", link.display());
    drop(login.sh(&link).success());

    // Each block more lets the launch come further, until it has all that it needs.
    let mut failed = Vec::new();
    let ready = (0..16).any(|blocks| {
        let fill = format!(
            "cd small && rm -f filler *.log && \
             free=$(($(stat -f -c %a .) - {blocks})) && head -c $((free * 4096)) /dev/zero >filler"
        );
        drop(login.sh(&fill).success());
        let launch = login.start_envspec(["launch"]).wait(PATIENCE);
        if launch.succeeded() {
            drop(launch.success());
            return true;
        }
        let told = launch.fails_with(6).says("No space left on device");
        for step in [
            "the start of the session failed",
            "ended before it was ready",
        ] {
            if told.stderr.contains(step) {
                failed.push(step);
            }
        }
        drop(login.sh("rm small/filler").success());
        let listed = listed(&there);
        assert!(listed.is_empty(), "{blocks} blocks: {listed:#?}");
        drop(login.sh("rm -f small/*.log").success());
        nothing_is_left(&there);
        false
    });
    assert!(ready, "it never fits");
    let (before, after) = (
        "the start of the session failed",
        "ended before it was ready",
    );
    assert!(
        failed.contains(&before) && failed.contains(&after),
        "{failed:?}"
    );
    login.envspec(["stop", "lab"]).success();

    // The same of the node's own /tmp.
    for node in ["med0101", "med0102"] {
        root(
            &there,
            node,
            "mount -t tmpfs -o size=4k,mode=1777 small /tmp && head -c 4096 /dev/zero >/tmp/filler",
        );
    }
    let launch = login.envspec(["launch"]).fails_with(6);
    let launch = launch.says("No space left on device");
    drop(launch.says("ended before it was ready"));
    nothing_is_left(&there);
}

#[test]
fn a_talking_login_shell_and_a_configuration_without_a_token_change_nothing() {
    let Some(there) = There::up("hostile_home") else {
        return;
    };
    let cluster = &there.cluster;
    let login = cluster.login();
    for host in ["jump", "login", "med0101", "med0102"] {
        let folder = cluster.folder().join(host).join("ssh");
        fs_err::write(
            folder.join("banner"),
            "UNAUTHORISED ACCESS IS\nNOT ALLOWED\n",
        )
        .unwrap();
        let config = folder.join("sshd_config");
        let text = fs_err::read_to_string(&config).unwrap();
        fs_err::write(&config, format!("Banner /etc/ssh/banner\n{text}")).unwrap();
        cluster.host(host).sshd_stop();
        cluster.host(host).sshd_start();
    }
    // Its last line does not end; and all that can switch the token off does.
    let rc = "echo '@@@@ Welcome @@@@'\necho 'module load: no' >&2\n\
              export JUPYTER_TOKEN= JUPYTER_CONFIG_PATH=~/.jupyter JUPYTER_CONFIG_DIR=~/.jupyter \
              JUPYTER_ALLOW_INSECURE_WRITES=1\nprintf 'Maintenance on Monday: '\n";
    for name in [".bashrc", ".bash_profile", ".profile"] {
        login.write(name, rc);
    }
    let open = "c.ServerApp.token = c.IdentityProvider.token = ''\nc.ServerApp.password = ''\n\
                c.PasswordIdentityProvider.hashed_password = ''\n\
                c.ServerApp.allow_unauthenticated_access = True\nc.ServerApp.ip = '0.0.0.0'\n";
    drop(login.sh("mkdir -p .jupyter .local/etc/jupyter").success());
    // The last is the folder in which the job is submitted.
    for folder in [".jupyter", ".local/etc/jupyter", "."] {
        for name in [
            "jupyter_config",
            "jupyter_server_config",
            "jupyter_lab_config",
        ] {
            login.write(&format!("{folder}/{name}.py"), open);
        }
    }

    let ws = cluster.ws();
    let greeted = ws
        .run(["ssh", "-oBatchMode=yes", "login", "true"])
        .success();
    assert!(greeted.stdout.ends_with("Monday: "), "{greeted}");
    assert!(greeted.stderr.contains("NOT ALLOWED"), "{greeted}");
    ws.envspec(["launch", "lab"])
        .success()
        .says("Submitted envspec-lab as job");
    let sessions = ws.envspec(["sessions", "--json"]).success().json();
    assert_eq!(sessions["sessions"][0]["state"], "ready");
    let through = ws.start_envspec(["connect", "lab", "--through-scheduler", "--port", "23456"]);
    for mut connect in [ws.start_envspec(["connect", "lab"]), through] {
        let port = connected(&mut connect);
        assert_eq!(status(&there, port, None), 403);
        assert_eq!(status(&there, port, Some("")), 403);
        assert_eq!(status(&there, port, Some(&there.token())), 200);
        drop(connect);
    }
    // On the node itself as well, and it listens on nothing but its socket.
    let (_, node) = job_and_node(&there);
    let knock = "curl -s -o /dev/null -w '%{http_code}' --unix-socket /tmp/envspec.*/server.sock \
                 http://localhost/api/contents; ss -Hltnp | grep -c jupyter; true";
    let asked = cluster
        .host(&node)
        .user("ada")
        .run(["bash", "--norc", "-c", knock]);
    assert_eq!(asked.success().stdout, "4030\n");
    ws.envspec(["stop", "lab"])
        .success()
        .says("has shut down; nothing of it is left");
    nothing_is_left(&there);
}

#[test]
fn connect_tells_how_a_session_ended() {
    let Some(there) = There::up("how_it_ended") else {
        return;
    };
    let cluster = &there.cluster;
    let (connect, port) = launched(&there);
    let (job, _) = job_and_node(&there);
    drop(cluster.login().run(["scancel", &job]).success());
    drop(
        connect
            .wait(PATIENCE)
            .success()
            .says("The session has ended: its job was cancelled"),
    );
    assert_eq!(status(&there, port, None), 0);
    nothing_is_left(&there);

    let (connect, _) = launched(&there);
    let (job, _) = job_and_node(&there);
    cluster.time_up(&job);
    drop(
        connect
            .wait(PATIENCE)
            .success()
            .says("The session has ended: the time limit of its job was reached"),
    );
    nothing_is_left(&there);

    // Before it is ready, too.
    drain(&there, "DRAIN Reason=test");
    let mut launch = cluster.login().start_envspec(["launch"]);
    says(&mut launch, "pending (");
    let (job, _) = job_and_node(&there);
    drop(cluster.login().run(["scancel", &job]).success());
    let ended = launch.wait(PATIENCE).fails_with(6);
    let ended = ended.says("envspec-lab ended before it was ready: its job was cancelled");
    assert!(!ended.stderr.contains(".log"), "{ended}");
    nothing_is_left(&there);
}

fn drain(there: &There, state: &str) {
    let drain = format!("scontrol update NodeName=med0101,med0102 State={state}");
    root(there, "login", &drain);
}

#[test]
fn a_job_that_never_starts_tells_why_and_is_not_lost_when_nobody_waits() {
    let Some(there) = There::up("never_starts") else {
        return;
    };
    let cluster = &there.cluster;
    drain(&there, "DRAIN Reason=test");
    let mut launch = cluster.login().start_envspec(["launch"]);
    says(&mut launch, "envspec-lab is pending (");
    assert!(
        !launch.stderr().contains("pending (None"),
        "{}",
        launch.stderr()
    );
    root(&there, "login", "pkill -INT -x envspec");
    drop(
        launch
            .wait(PATIENCE)
            .fails_with(130)
            .says("interrupted; envspec-lab is not ended by that")
            .says("envspec connect lab")
            .says("envspec stop lab"),
    );
    let listed = listed(&there);
    assert_eq!((listed.len(), &listed[0]["state"]), (1, &"pending".into()));

    // Whoever connects waits for it; both from the laptop.
    let mut connect = cluster.ws().start_envspec(["connect", "lab"]);
    says(&mut connect, "envspec-lab is pending (");
    let arguments = ["connect", "lab", "--launch"];
    let mut second = cluster.ws().start_envspec(arguments);
    says(&mut second, "envspec-lab+2 is pending (");
    root(&there, "ws", "pkill -INT -n -x envspec");
    drop(
        second
            .wait(PATIENCE)
            .fails_with(130)
            .says("interrupted; envspec-lab+2 is not ended by that"),
    );
    drop(
        cluster
            .ws()
            .envspec(["stop", "lab", "--server", "2"])
            .success(),
    );
    drain(&there, "RESUME");
    let port = connected(&mut connect);
    assert_eq!(status(&there, port, Some(&there.token())), 200);
    stopped(&there, connect);
}

#[test]
fn a_lost_node_is_told_and_a_requeued_session_is_at_the_same_address() {
    let Some(there) = There::up("lost_node") else {
        return;
    };
    let cluster = &there.cluster;
    let (mut connect, port) = launched(&there);
    let (job, node) = job_and_node(&there);
    let before = there.token();
    cluster.host(&node).power_off();
    says(&mut connect, "The connection was lost and is being mended");
    let again = there.root().join(format!("sessions/{job}-1/session.json"));
    soon("the server on the other node", || {
        again.exists().then_some(())
    });
    assert_eq!(there.token(), before, "the address would not open the page");
    answers_again(&there, port, &|| there.token());
    let (same_job, other) = job_and_node(&there);
    assert_eq!(same_job, job);
    assert_ne!(other, node);
    assert_eq!(status(&there, port, Some(&before)), 200);
    let reasonless = |line: &str| line.ends_with(':');
    let said = connect.stderr();
    assert!(!said.lines().any(reasonless), "no reason: {said}");
    // One that Slurm may not start again.
    let no_requeue = ["scontrol", "update", &format!("JobId={job}"), "Requeue=0"];
    drop(cluster.login().run(no_requeue).success());
    cluster.host(&other).power_off();
    drop(
        connect
            .wait(PATIENCE)
            .success()
            .says("The session has ended: its node was lost"),
    );
    assert_eq!(listed(&there), Vec::<serde_json::Value>::new());
    for node in [&node, &other] {
        cluster.host(node).power_on();
    }
    // Of a power failure its /tmp keeps what was there, as at many a site.
    root(&there, &node, "rm -rf /tmp/envspec.*");
    root(&there, &other, "rm -rf /tmp/envspec.*");
    nothing_is_left(&there);
}

#[test]
fn a_silent_scheduler_is_told_and_is_no_end_of_a_session() {
    let Some(there) = There::up("silent") else {
        return;
    };
    let cluster = &there.cluster;
    let (mut connect, port) = launched(&there);
    let token = || there.token();
    root(&there, "login", "pkill -KILL -x slurmctld");

    // Broken now, the way is mended without it.
    cluster.host("jump").sshd_stop();
    says(&mut connect, "The connection was lost and is being mended");
    cluster.host("jump").sshd_start();
    answers_again(&there, port, &token);

    let sessions = cluster.login().envspec(["sessions", "--json"]).success();
    let sessions = sessions.says("the scheduler does not answer");
    assert!(!sessions.stderr.contains("Removed"), "{sessions}");
    assert_eq!(sessions.json()["sessions"][0]["state"], "unknown");
    cluster
        .ws()
        .envspec(["connect", "lab", "--port", "23456"])
        .fails_with(6)
        .says("the scheduler does not answer");
    // The server ends, and nobody can say that the job has.
    cluster
        .ws()
        .within(LONG)
        .envspec(["stop", "lab"])
        .fails_with(6)
        .says("the scheduler does not answer");
    assert!(connect.ended().is_none(), "{}", connect.stderr());
    root(&there, "login", "env -i PATH=$PATH:/usr/sbin slurmctld");
    // Slurm was not told of the end, and may want to start the job again.
    let again = cluster.ws().start_envspec(["stop", "lab"]).wait(LONG);
    if !again.succeeded() {
        drop(again.fails_with(2).says("there is no session of lab"));
    }
    drop(
        connect
            .wait(PATIENCE)
            .success()
            .says("The session has ended"),
    );
    nothing_is_left(&there);

    // A session that starts while the scheduler takes its time to answer.
    let slow = "#!/bin/bash\n/usr/bin/squeue \"$@\"\ntouch ~/asked\n\
                while [ ! -e ~/answered ]; do sleep 0.05; done\n";
    let login = cluster.login();
    drop(login.run(["mkdir", "slow"]).success());
    login.write("slow/squeue", slow);
    drop(login.run(["chmod", "+x", "slow/squeue"]).success());
    let path = "PATH=/home/ada/slow:/usr/bin:/bin";
    let look = login.start(["env", path, &program(), "sessions"]);
    soon("the question", || {
        cluster.home("ada").join("asked").exists().then_some(())
    });
    login.envspec(["launch"]).success();
    login.write("answered", "");
    let look = look.wait(PATIENCE).success();
    assert!(!look.stderr.contains("Removed"), "{look}");
    let (connect, port) = {
        let mut connect = cluster.ws().start_envspec(["connect", "lab"]);
        let port = connected(&mut connect);
        (connect, port)
    };
    // Of two servers now the one that was meant stays the one.
    login.envspec(["launch"]).success();
    cluster.host("jump").sshd_stop();
    soon("the way is broken", || {
        (status(&there, port, None) == 0).then_some(())
    });
    cluster.host("jump").sshd_start();
    let first = listed(&there)[0]["job"].to_string();
    let token = there.root().join(format!("sessions/{first}-0/token"));
    answers_again(&there, port, &|| fs_err::read_to_string(&token).unwrap());
    cluster.ws().envspec(["stop", "lab", "--all"]).success();
    drop(connect.wait(PATIENCE).success());
    nothing_is_left(&there);
}

#[test]
fn twenty_launches_at_once_are_twenty_sessions_and_all_end() {
    let Some(there) = There::up("twenty") else {
        return;
    };
    let cluster = &there.cluster;
    let login = cluster.login();
    let started = Instant::now();
    let launches: Vec<Running> = (0..20)
        .map(|_| login.start_envspec(["launch", "--memory", "200M"]))
        .collect();
    for launch in launches {
        drop(launch.wait(LONG).success());
    }
    let ready = started.elapsed();

    let listed = listed(&there);
    assert_eq!(listed.len(), 20, "{listed:#?}");
    let numbers: Vec<_> = listed
        .iter()
        .map(|it| it["server"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    assert!(
        listed.iter().all(|it| it["state"] == "ready"),
        "{listed:#?}"
    );
    let mut addresses: Vec<String> = listed
        .iter()
        .map(|it| {
            let folder = format!("sessions/{}-0/endpoint", it["job"]);
            fs_err::read_to_string(there.root().join(folder)).unwrap()
        })
        .collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 20, "each has its own address");

    // The ports of a laptop that connects to three of them.
    let ws = cluster.ws();
    let mut ports = Vec::new();
    let mut connected_to = Vec::new();
    for number in ["1", "11", "20"] {
        let mut connect = ws.start_envspec(["connect", "lab", "--server", number]);
        let port = connected(&mut connect);
        let index: usize = number.parse().unwrap();
        let token = format!("sessions/{}-0/token", listed[index - 1]["job"]);
        let token = fs_err::read_to_string(there.root().join(token)).unwrap();
        assert_eq!(status(&there, port, Some(&token)), 200);
        ports.push(port);
        connected_to.push(connect);
    }
    assert_eq!(ports, [ports[0], ports[0] + 10, ports[0] + 19]);

    let stopping = Instant::now();
    ws.within(LONG).envspec(["stop", "lab", "--all"]).success();
    let stopped = stopping.elapsed();
    for connect in connected_to {
        drop(connect.wait(PATIENCE).success());
    }
    nothing_is_left(&there);
    // Not a timed test: a number for who reads the tests' output.
    let text = format!("20 ready after {ready:?}, ended after {stopped:?}\n");
    fs_err::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("twenty"), text).unwrap();
}

#[test]
fn without_a_scheduler_a_server_ends_with_its_script_and_on_its_own_machine_alone() {
    let env = TestEnv::new();
    env.spec(
        "lab",
        "channels: [conda-forge]\ndependencies: [python, jupyterlab]\n",
    );
    env.run(&["apply"]).success();
    env.run(&["launch"]).success();
    let sessions = env.root().join("sessions");
    let record = || -> serde_json::Value {
        let record = fs_err::read_to_string(sessions.join("envspec-lab/session.json"));
        serde_json::from_str(&record.unwrap()).unwrap()
    };
    let pid = record()["pid"].to_string();
    let ps = |options: &[&str]| {
        let output = env.program("ps").args(options).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    // What proves that it is ready may be about to end.
    let server = soon("the server alone", || {
        let children = ps(&["-o", "pid=", "--ppid", &pid]);
        let pid = children.trim().to_owned();
        ps(&["-o", "args=", "-p", &pid])
            .contains("jupyter")
            .then_some(pid)
    });
    let scratch = || {
        let entries = fs_err::read_dir(env.path("tmp")).unwrap();
        entries
            .flatten()
            .filter(|entry| {
                let name = entry.file_name();
                name.to_str()
                    .is_some_and(|name| name.starts_with("envspec."))
            })
            .count()
    };
    assert_eq!(scratch(), 1);
    let kill = env.program("kill").args(["-KILL", &pid]).status();
    assert!(kill.unwrap().success());
    soon("the end of the server", || {
        ps(&["-o", "pid=", "-p", &server]).is_empty().then_some(())
    });
    soon("the end of its files", || (scratch() == 0).then_some(()));
    env.run(&["sessions"])
        .success()
        .says("Removed what the killed session");
    let left: Vec<_> = fs_err::read_dir(&sessions).unwrap().flatten().collect();
    let left = left.iter().filter(|entry| entry.path().is_dir());
    assert_eq!(left.count(), 1, "the folder of start scripts alone");

    // Two at once, of which neither is ready when the other is named.
    let (one, other) = (env.start(&["launch"]), env.start(&["launch"]));
    drop((one.wait().success(), other.wait().success()));
    let listed = env.run(&["sessions", "--json"]).success().json();
    let names: Vec<_> = listed["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|session| session["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["envspec-lab", "envspec-lab+2"]);
    drop(env.run(&["stop", "--server", "2"]).success());

    // As it is seen from another machine that has the same root.
    let bystander = env.program("sleep").arg("300").spawn();
    let mut bystander = bystander.unwrap();
    let folder = fs_err::read_link(sessions.join("envspec-lab")).unwrap();
    let text = fs_err::read_to_string(sessions.join(&folder).join("session.json")).unwrap();
    let key = format!("elsewhere.{}-0", bystander.id());
    let host = record()["node"].as_str().unwrap().to_owned();
    let foreign = text
        .replace(folder.to_str().unwrap(), &key)
        .replace(&format!("\"node\": \"{host}\""), "\"node\": \"elsewhere\"")
        .replace(
            &format!("\"pid\": {}", record()["pid"]),
            &format!("\"pid\": {}", bystander.id()),
        )
        .replace("envspec-lab\"", "envspec-lab+2\"");
    assert_ne!(foreign, text);
    fs_err::create_dir(sessions.join(&key)).unwrap();
    fs_err::write(sessions.join(&key).join("token"), "token").unwrap();
    fs_err::write(sessions.join(&key).join("session.json"), foreign).unwrap();
    for command in ["stop", "connect"] {
        env.run(&[command, "lab", "--server", "2"])
            .fails_with(2)
            .says("envspec-lab+2 runs on elsewhere, and not on this machine");
    }
    assert!(
        sessions.join(&key).exists(),
        "it is another machine's to clean"
    );
    assert!(
        bystander.try_wait().unwrap().is_none(),
        "a stranger was killed"
    );
    drop(bystander.kill());
    drop(bystander.wait());
    env.run(&["stop", "--server", "1"]).success();
    assert_eq!(scratch(), 0);
}
