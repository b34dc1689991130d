//! Sessions on a real Slurm and through real sshd: started, reached, mended,
//! ended; what an attacker sees of them; and what is left.

use std::time::{Duration, Instant};

use crate::support::{Browser, Card, Envspec as _, Running, TestEnv, There, soon};

/// What a web page costs a tired person: none of the numbers below is a timed
/// test of speed, they are limits of patience.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// The port that `connect` has said, once it is connected.
pub(crate) fn connected(running: &mut Running) -> u16 {
    soon("connected", || {
        assert!(
            running.ended().is_none(),
            "{}{}",
            running.stdout(),
            running.stderr()
        );
        if !running.stderr().contains("Connected to") {
            return None;
        }
        let said = running.stdout();
        let (_, rest) = said.split_once("http://127.0.0.1:")?;
        rest.split('/').next()?.parse().ok()
    })
}

/// The status of a request from the workstation; 0 if there is no answer.
pub(crate) fn status(there: &There, port: u16, token: Option<&str>) -> u16 {
    let header = match token {
        // In a file: what stands in an argument is everybody's to read.
        Some(token) => {
            there
                .cluster
                .ws()
                .write("header", &format!("Authorization: token {token}"));
            "-H @header"
        }
        None => "",
    };
    let command = format!(
        "curl -s -m 5 -o /dev/null -w '%{{http_code}}' {header} \
         http://127.0.0.1:{port}/api/contents || true"
    );
    let said = there.cluster.ws().sh(&command).success().stdout;
    said.trim().parse().unwrap()
}

pub(crate) fn answers_again(there: &There, port: u16, token: &dyn Fn() -> String) -> Duration {
    let started = Instant::now();
    loop {
        let has_token = there.root().join("sessions/envspec-lab/token").exists();
        if has_token && status(there, port, Some(&token())) == 200 {
            return started.elapsed();
        }
        assert!(started.elapsed() < PATIENCE, "it never answers again");
    }
}

#[test]
fn from_launch_to_stop_nothing_is_left_and_nobody_but_the_owner_is_answered() {
    let Some(there) = There::up("whole_way") else {
        return;
    };
    let cluster = &there.cluster;
    let launched = cluster.login().envspec(["launch"]).success();
    assert!(
        launched.stdout.contains("envspec connect lab"),
        "{launched}"
    );
    let launched = launched.says("Submitted envspec-lab as job ");
    assert!(!launched.stderr.contains(&there.token()), "{launched}");

    let listed = cluster.login().envspec(["sessions", "--json"]).success();
    let session = &listed.json()["sessions"][0];
    assert_eq!(session["state"], "ready");
    assert_eq!(session["environment"], "lab");
    let node = session["node"].as_str().unwrap().to_owned();
    let generation = session["generation"].as_str().unwrap();
    assert!(there.root().join("gen").join(generation).is_dir());

    // From the workstation, through both hops.
    let mut connect = cluster.ws().start_envspec(["connect", "lab"]);
    let port = connected(&mut connect);
    let token = there.token();
    assert_eq!(status(&there, port, None), 403);
    assert_eq!(status(&there, port, Some("wrong")), 403);
    assert_eq!(status(&there, port, Some(&token)), 200);
    let said = connect.stdout() + &connect.stderr();
    assert!(!said.contains(&token), "a pipe got the token: {said}");
    // The same numbers from there as from the login node.
    let seen = cluster
        .ws()
        .envspec(["sessions", "lab", "--json"])
        .success();
    assert_eq!(seen.json()["sessions"][0]["node"], node.as_str());

    let stopped = cluster.ws().envspec(["stop", "lab"]).success();
    drop(stopped.says("has shut down; nothing of it is left"));
    let ended = connect.wait(PATIENCE).success();
    drop(ended.says("The session has ended"));
    assert_eq!(there.sessions(), Vec::<String>::new());
    let queue = cluster.login().run(["squeue", "--noheader"]).success();
    assert_eq!(queue.stdout, "");
    let node = cluster.host(&node).user("root");
    let left = node.sh("ls -d /tmp/envspec.* 2>/dev/null; pgrep -u ada -a || true");
    assert_eq!(left.success().stdout, "", "left on the node");
    let left = cluster
        .ws()
        .sh("pgrep -ax ssh; ls -d /tmp/envspec-* 2>/dev/null; true");
    assert_eq!(left.success().stdout, "", "left on the workstation");
    cluster
        .login()
        .envspec(["stop", "lab"])
        .fails_with(2)
        .says("there is no session of lab");
}

#[test]
fn one_command_on_the_laptop_starts_and_connects_and_a_second_server_has_its_own_port() {
    let Some(there) = There::up("one_command") else {
        return;
    };
    let ws = there.cluster.ws();
    let mut first = ws.start_envspec(["connect", "envs/lab.yaml", "--launch", "--time", "5"]);
    let one = connected(&mut first);
    let token = there.token();
    assert_eq!(status(&there, one, Some(&token)), 200);
    let left = ws.envspec(["sessions", "--json"]).success().json();
    assert!(
        left["sessions"][0]["left"]
            .as_str()
            .unwrap()
            .starts_with("4:"),
        "{left:#}"
    );

    // The laptop's own spec went on meanwhile; what runs is what was applied there.
    let spec = there.workstation().join("envs/lab.yaml");
    let text = fs_err::read_to_string(&spec).unwrap();
    fs_err::write(&spec, text.replace("kernels: [python, r", "kernels: [r")).unwrap();
    let mut second = ws.start_envspec(["connect", "lab", "--launch"]);
    let two = connected(&mut second);
    let changed = "envs/lab.yaml has changed since lab-";
    assert!(!first.stderr().contains(changed), "{}", first.stderr());
    assert!(second.stderr().contains(changed), "{}", second.stderr());
    let more = "lab has a server already (envspec sessions); this is one more";
    assert!(!first.stderr().contains(more), "{}", first.stderr());
    assert!(second.stderr().contains(more), "{}", second.stderr());
    assert_eq!(two, one + 1);
    assert_eq!(
        status(&there, two, Some(&token)),
        403,
        "each has a token of its own"
    );
    ws.envspec(["connect", "lab"])
        .fails_with(2)
        .says("--server 1, --server 2");
    ws.envspec(["stop", "lab"])
        .fails_with(2)
        .says("there are several sessions");
    ws.envspec(["stop", "lab", "--all"]).success();
    drop(first.wait(PATIENCE).success());
    drop(second.wait(PATIENCE).success());
    assert_eq!(there.sessions(), Vec::<String>::new());
}

#[test]
fn the_same_address_works_again_after_a_dead_hop_a_cut_network_and_another_node() {
    let Some(there) = There::up("mending") else {
        return;
    };
    let cluster = &there.cluster;
    cluster.login().envspec(["launch"]).success();
    let mut connect = cluster.ws().start_envspec(["connect", "lab"]);
    let port = connected(&mut connect);
    let token = || there.token();

    let jump = cluster.host("jump");
    jump.sshd_stop();
    soon("the way is broken", || {
        (status(&there, port, None) == 0).then_some(())
    });
    std::thread::sleep(Duration::from_secs(3));
    jump.sshd_start();
    let again = answers_again(&there, port, &token);
    assert!(
        again < Duration::from_secs(5),
        "{again:?} after the hop was back"
    );

    let ws = cluster.host("ws");
    let mut cuts = Vec::new();
    // Longer than ssh waits for an answer, so that it has to connect anew; the
    // network is back at another moment of an attempt each time.
    for seconds in [15, 18, 21] {
        ws.cut();
        std::thread::sleep(Duration::from_secs(seconds));
        ws.join();
        cuts.push(answers_again(&there, port, &token));
    }
    println!("answers {cuts:?} after the network was back");
    assert!(
        // Two seconds as measured; a lost SYN of TCP's may cost four more.
        cuts.iter().all(|again| *again < Duration::from_secs(8)),
        "{cuts:?} after the network was back"
    );

    // Slurm moves the job to the other node.
    let listed = cluster
        .login()
        .envspec(["sessions", "--json"])
        .success()
        .json();
    let job = listed["sessions"][0]["job"].to_string();
    let node = listed["sessions"][0]["node"].as_str().unwrap().to_owned();
    let before = token();
    let root = cluster.host("login").user("root");
    let drain = format!("scontrol update NodeName={node} State=DRAIN Reason=test");
    drop(root.sh(&drain).success());
    drop(cluster.login().run(["scontrol", "requeue", &job]).success());
    let again = there.root().join(format!("sessions/{job}-1/session.json"));
    soon("the server on the other node", || {
        again.exists().then_some(())
    });
    assert_eq!(token(), before, "the address would not open the page");
    answers_again(&there, port, &token);
    let listed = cluster
        .login()
        .envspec(["sessions", "--json"])
        .success()
        .json();
    assert_ne!(listed["sessions"][0]["node"].as_str().unwrap(), node);
    assert_eq!(listed["sessions"][0]["job"].to_string(), job);
    // Nothing is new for the user, and nothing is said anew.
    assert_eq!(connect.stdout().matches("http://127.0.0.1:").count(), 1);
    assert!(connect.ended().is_none(), "{}", connect.stderr());
    assert!(
        connect.stderr().contains("Connected again"),
        "{}",
        connect.stderr()
    );

    // Cancelled from outside, it ends by itself.
    drop(cluster.login().run(["scancel", &job]).success());
    drop(
        connect
            .wait(PATIENCE)
            .success()
            .says("The session has ended"),
    );
}

#[test]
fn what_cannot_work_says_why() {
    let Some(there) = There::up("cannot_work") else {
        return;
    };
    let cluster = &there.cluster;
    let ws = cluster.ws();
    ws.envspec(["connect", "lab"])
        .fails_with(2)
        .says("there is no session of lab");
    ws.envspec(["connect", "other", "--site", "world", "--launch"])
        .fails_with(2)
        .says("the environment other was not applied on login");
    ws.envspec(["sessions", "--user", "jmup=ada"])
        .fails_with(2)
        .says("jmup is no host on the way to world");
    // The site knows its partitions; the scheduler has the last word.
    cluster
        .login()
        .envspec(["launch", "--partition", "shrt"])
        .fails_with(2)
        .says("short");
    cluster
        .login()
        .envspec(["launch", "--gpus", "1"])
        .fails_with(6)
        .says("the scheduler refused the job");

    // A job that waits shows its reason, and is not lost when nobody waits for it.
    let all = "#!/bin/bash\n#SBATCH --nodes=2 --exclusive\nsleep 1000\n";
    let all = cluster.login().sbatch(all);
    soon("all nodes taken", || {
        cluster.login().job(&all).starts_with("R ").then_some(())
    });
    let mut launch = cluster.login().start_envspec(["launch"]);
    soon("the reason", || {
        assert!(launch.ended().is_none(), "{}", launch.stderr());
        launch.stderr().contains("pending (").then_some(())
    });
    // For one that only waits for its turn there is nothing to do, for a held one there is.
    assert!(!launch.stderr().contains("scontrol"), "{}", launch.stderr());
    let listed = ws.envspec(["sessions", "--json"]).success().json();
    let job = listed["sessions"][0]["job"].to_string();
    assert!(listed["sessions"][0]["advice"].is_null(), "{listed:#}");
    drop(cluster.login().run(["scontrol", "hold", &job]).success());
    let held = format!("pending (JobHeldUser: you hold it: scontrol release {job})");
    soon("what to do", || {
        launch.stderr().contains(&held).then_some(())
    });
    drop(launch);
    let listed = ws.envspec(["sessions"]).success();
    assert!(listed.stdout.contains(&held), "{listed}");
    drop(cluster.login().run(["scontrol", "release", &job]).success());
    let listed = soon("the reason again", || {
        let listed = ws.envspec(["sessions"]).success();
        listed.stdout.contains("pending (").then_some(listed)
    });
    let prefix = fs_err::read_link(there.root().join("envs/lab")).unwrap();
    let generation = prefix.file_name().unwrap().to_str().unwrap();
    assert!(listed.stdout.contains(generation), "{listed}");
    ws.envspec(["stop", "lab"])
        .success()
        .says("it was not ready yet");
    drop(cluster.login().run(["scancel", &all]).success());

    // A server that ends before it is ready: the end of its log says why.
    let python = fs_err::read_dir(there.root().join("gen")).unwrap();
    let prefix = python.flatten().next().unwrap().path();
    let server = prefix.join("bin/jupyter-lab");
    let aside = prefix.join("bin/jupyter-lab.aside");
    fs_err::rename(&server, &aside).unwrap();
    fs_err::write(&server, "#!/bin/sh\necho the reason >&2\nexit 3\n").unwrap();
    std::fs::set_permissions(&server, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    cluster
        .login()
        .envspec(["launch"])
        .fails_with(6)
        .says("envspec-lab ended before it was ready")
        .says("the reason");
    fs_err::rename(&aside, &server).unwrap();

    // The local port is another's.
    cluster.login().envspec(["launch"]).success();
    let taken = "python3 -c 'import socket, time; s = socket.socket(); \
                 s.bind((\"127.0.0.1\", 23456)); s.listen(); print(1, flush=True); time.sleep(600)'";
    let taken = ws.start(["bash", "-c", taken]);
    soon("a taken port", || {
        taken.stdout().contains('1').then_some(())
    });
    ws.envspec(["connect", "lab", "--port", "23456"])
        .fails_with(2)
        .says("the port 23456 of this machine is taken");
    let mut connect = ws.start_envspec(["connect", "lab", "--port", "23457"]);
    assert_eq!(connected(&mut connect), 23457);

    // A key that opens the login node and no compute node: through the scheduler then.
    drop(connect);
    let only = "Host *\n  IdentityFile ~/.ssh/id_registered\n  IdentitiesOnly yes\n";
    let config = there.workstation().join(".ssh/config");
    let before = fs_err::read_to_string(&config).unwrap();
    fs_err::write(&config, format!("{only}{before}")).unwrap();
    let mut connect = ws.start_envspec(["connect", "lab"]);
    let port = connected(&mut connect);
    assert_eq!(status(&there, port, Some(&there.token())), 200);
    ws.envspec(["stop", "lab"])
        .success()
        .says("has shut down; nothing of it is left");
    drop(connect.wait(PATIENCE).success());
}

#[test]
fn what_ssh_cannot_do_says_what_at_which_hop_and_what_next() {
    let Some(there) = There::bare("ssh_cannot") else {
        return;
    };
    let ws = there.cluster.ws();
    ws.envspec(["connect", "lab", "--user", "jump=mallory"])
        .fails_with(6)
        .says("could not connect to login: jump: none of your keys is accepted")
        .says("mallory@jump: Permission denied")
        .says("register your public key with the site");
    there.cluster.host("jump").sshd_stop();
    ws.envspec(["connect", "lab"])
        .fails_with(6)
        .says("could not connect to login: jump: its sshd does not listen")
        .says("Connection refused")
        .says("jump may be down for maintenance");
}

#[test]
fn a_session_of_another_cluster_with_the_same_root_is_shown_and_left_alone() {
    let Some(there) = There::up("two_clusters") else {
        return;
    };
    let login = there.cluster.login();
    login.envspec(["launch"]).success();
    let sessions = there.root().join("sessions");
    let folder = fs_err::read_link(sessions.join("envspec-lab")).unwrap();
    let cluster = fs_err::read_to_string(sessions.join(&folder).join("cluster")).unwrap();
    assert_eq!(cluster, "world\n");

    // What a server would have written on a cluster of another name.
    let far = sessions.join("99999-0");
    let copy = format!(
        "cp -a '{}' '{far}' && cd '{far}' && echo far >cluster && sed -i \
         's/\"key\": \"[^\"]*/\"key\": \"99999-0/; s/\"job\": [0-9]*/\"job\": 99999/; s/envspec-lab\"/envspec-lab+2\"/' \
         session.json",
        sessions.join(&folder).display(),
        far = far.display()
    );
    drop(login.sh(&copy).success());
    for user in [login, there.cluster.ws()] {
        let listed = user.envspec(["sessions"]).success();
        assert!(listed.stdout.contains("on cluster far"), "{listed}");
        assert!(listed.stdout.contains("envspec-lab    ready"), "{listed}");
        for command in ["stop", "connect"] {
            user.envspec([command, "lab", "--server", "2"])
                .fails_with(2)
                .says("envspec-lab+2 runs on the cluster far, and not on this one")
                .says("run the command on a login node of far");
        }
    }
    assert!(far.join("token").exists());

    // Of this cluster, whose Slurm does not know the job, it is dead.
    drop(
        login
            .sh(&format!("echo world >'{}/cluster'", far.display()))
            .success(),
    );
    login
        .envspec(["sessions"])
        .success()
        .says("Removed what the killed session 99999-0 had left");
    login
        .envspec(["stop"])
        .success()
        .says("nothing of it is left");
    assert_eq!(there.sessions(), Vec::<String>::new());
}

#[test]
fn through_the_scheduler_a_node_without_ssh_is_reached_also_in_its_own_tmp() {
    let Some(there) = There::with_private_tmp("bridge") else {
        return;
    };
    let cluster = &there.cluster;
    for node in ["med0101", "med0102"] {
        cluster.host(node).sshd_stop();
    }
    cluster.login().envspec(["launch"]).success();
    let mut connect = cluster.ws().start_envspec(["connect", "lab"]);
    let port = connected(&mut connect);
    let token = there.token();
    assert_eq!(status(&there, port, None), 403);
    assert_eq!(status(&there, port, Some(&token)), 200);
    // Many at once, as a page asks.
    let many = format!(
        "seq 20 | xargs -P 20 -I{{}} curl -s -m 20 -o /dev/null -w '%{{http_code}}\\n' \
         -H @header http://127.0.0.1:{port}/api/contents | sort | uniq -c"
    );
    let asked = cluster.ws().sh(&many).success();
    assert_eq!(asked.stdout.trim(), "20 200", "{asked}");
    cluster
        .ws()
        .envspec(["stop", "lab"])
        .success()
        .says("nothing of it is left");
    drop(connect.wait(PATIENCE).success());
    assert_eq!(there.sessions(), Vec::<String>::new());
}

/// What `ada` keeps in a file of her home.
const DIARY: &str = "nobody reads ada's diary";

/// All that another user of a host tries against `ada`'s servers: the ways by
/// which something was found. `secret` is what opens a server; where it is found,
/// or was before, it is used.
fn attack(there: &There, host: &str, job: &str, secret: &str, stolen: bool) -> Vec<&'static str> {
    let mallory = there.cluster.host(host).user("mallory").within(PATIENCE);
    // Without them nothing would be found anywhere.
    let tools = "command -v ss curl ps grep awk squeue scontrol | wc -l";
    assert_eq!(mallory.sh(tools).success().stdout, "7\n", "tools of {host}");
    let mut found = Vec::new();
    // All that a user can read of processes, jobs and files.
    let root = there.root().display();
    let look = [
        (
            "processes",
            "ps auxwwe; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' ' '"
                .to_owned(),
        ),
        (
            "jobs",
            format!(
                "scontrol show job {job}; squeue -o '%all'; \
                 scontrol write batch_script {job} - 2>&1; sacct -j {job} -l 2>&1"
            ),
        ),
        (
            "files",
            format!(
                "grep -rsa . /tmp /var/tmp /dev/shm /home/ada '{root}/sessions' '{root}/'*.log \
                 2>/dev/null | head -c 20000000"
            ),
        ),
    ];
    for (kind, look) in look {
        let seen = mallory.sh(&format!("{look}; true")).success().stdout;
        assert!(kind != "jobs" || seen.contains("JobId="), "{host}: {seen}");
        if seen.contains(secret) {
            found.push(kind);
        }
    }
    // Every port and every socket that listens is tried, and what answers is asked
    // for more. A guess is all there is where nothing was stolen.
    let key = if stolen || !found.is_empty() {
        secret
    } else {
        "guess"
    };
    mallory.write("key", &format!("Authorization: token {key}"));
    let ask = |to: &str| {
        format!(
            "curl -s -m 2 {to}/api | grep -q version && echo @answers; \
             curl -s -m 2 -H @key {to}/files/diary.txt"
        )
    };
    let knock = [
        (
            ("ports", "downloads by a port"),
            format!(
                "for port in $(ss -Hltn | awk '{{print $4}}' | sed 's/.*://' | sort -u); do {}; done",
                ask("http://127.0.0.1:$port")
            ),
        ),
        (
            ("sockets", "downloads by a socket"),
            format!(
                "for socket in $(ss -Hlx | awk '{{print $5}}' | grep ^/) /tmp/*/*.sock \
                 '{root}'/sessions/*/*.sock; do {}; done",
                ask("--unix-socket \"$socket\" http://localhost")
            ),
        ),
    ];
    for ((answers, downloads), knock) in knock {
        let heard = mallory.sh(&format!("{knock}; true")).success().stdout;
        if heard.contains("@answers") {
            found.push(answers);
        }
        if heard.contains(DIARY) {
            found.push(downloads);
        }
    }
    found
}

/// Starts a kernel of each kind, and waits until their processes run.
fn with_kernels(there: &There, port: u16, node: &str) {
    for kernel in ["python3", "ir", "bash"] {
        let ask = format!(
            "curl -s -m 30 -o /dev/null -w '%{{http_code}}' -H @header -H 'Content-Type: \
             application/json' -d '{{\"name\": \"{kernel}\"}}' http://127.0.0.1:{port}/api/kernels"
        );
        let asked = there.cluster.ws().sh(&ask).success();
        assert_eq!(asked.stdout, "201", "{kernel}");
    }
    let look = "pgrep -u ada -fc 'kernel-[0-9a-f-]*.json'; true";
    soon("the kernels", || {
        let seen = there.cluster.host(node).user("root").sh(look).success();
        (seen.stdout.trim().parse::<u32>().unwrap() >= 3).then_some(())
    });
}

#[test]
fn another_user_of_the_nodes_gets_no_token_and_no_answer() {
    let Some(there) = There::up("attack") else {
        return;
    };
    let cluster = &there.cluster;
    cluster.login().write("diary.txt", DIARY);
    // What the wiki page's plain recipe gives away, with its log in the group's
    // folder; and a socket that was opened to all: each attack can succeed.
    let jupyter = there.root().join("envs/lab/bin/jupyter-lab");
    let log = there.root().join("wiki.log");
    let plain = format!(
        "#!/bin/bash\n#SBATCH --output={}\n\
         chmod a+r {}\necho 'open http://127.0.0.1:28888/lab?token=wikis-secret'\n\
         {jupyter} --no-browser --ServerApp.sock=/tmp/wiki.sock --ServerApp.sock_mode=0666 \
           --ServerApp.token=wikis-secret &\n\
         exec {jupyter} --no-browser --ip=127.0.0.1 --port=28888 --ServerApp.token=wikis-secret\n",
        log.display(),
        log.display(),
        jupyter = jupyter.display()
    );
    let job = cluster.login().sbatch(&plain);
    let node = soon("the plain server's node", || {
        let shown = cluster.login().job(&job);
        shown.strip_prefix("R ").map(str::to_owned)
    });
    let mallory = cluster.host(&node).user("mallory");
    soon("the plain servers", || {
        let ask = "curl -s -m 2 http://127.0.0.1:28888/api && \
                   curl -s -m 2 --unix-socket /tmp/wiki.sock http://localhost/api; true";
        let asked = mallory.sh(ask).success();
        (asked.stdout.matches("version").count() == 2).then_some(())
    });
    assert_eq!(
        attack(&there, &node, &job, "wikis-secret", false),
        [
            "processes",
            "files",
            "ports",
            "downloads by a port",
            "sockets",
            "downloads by a socket"
        ],
        "each can succeed"
    );
    assert_eq!(
        attack(&there, "login", &job, "wikis-secret", false),
        ["files"]
    );
    drop(cluster.login().run(["scancel", &job]).success());
    soon("the end of the plain server", || {
        cluster.login().job(&job).is_empty().then_some(())
    });
    fs_err::remove_file(log).unwrap();

    cluster.login().envspec(["launch"]).success();
    let mut connect = cluster.ws().start_envspec(["connect", "lab"]);
    let port = connected(&mut connect);
    let token = there.token();
    assert_eq!(status(&there, port, Some(&token)), 200);
    let listed = cluster
        .login()
        .envspec(["sessions", "--json"])
        .success()
        .json();
    let job = listed["sessions"][0]["job"].to_string();
    let node = listed["sessions"][0]["node"].as_str().unwrap().to_owned();
    with_kernels(&there, port, &node);
    for host in [node.as_str(), "login"] {
        let nothing: [&str; 0] = [];
        assert_eq!(attack(&there, host, &job, &token, false), nothing, "{host}");
        // One who has the token has nothing to say it to.
        assert_eq!(attack(&there, host, &job, &token, true), nothing, "{host}");
    }
    // Every file of the session is its owner's alone.
    let look = format!(
        "find '{root}/sessions' /tmp/envspec.* -mindepth 1 ! -type l ! -user ada; \
         find '{root}/sessions' /tmp/envspec.* ! -type l -perm /077; \
         stat -c '%a %n' '{root}/sessions/envspec-lab/'* | sed 's#/.*/##'",
        root = there.root().display()
    );
    let modes = cluster.host(&node).user("root").sh(&look).success().stdout;
    assert_eq!(
        modes,
        "600 cluster\n600 endpoint\n600 session.json\n600 token\n"
    );
    cluster.ws().envspec(["stop", "lab"]).success();
}

#[test]
fn a_real_browser_on_the_workstation_runs_every_kernel_and_goes_on_after_a_dead_hop() {
    let Some(there) = There::up("browser") else {
        return;
    };
    let cluster = &there.cluster;
    let Some(command) = Browser::of(cluster.ws()) else {
        return;
    };
    // What a stale installation leaves in the user's folder.
    let stale = cluster
        .home("ada")
        .join(".local/share/jupyter/kernels/python3");
    fs_err::create_dir_all(&stale).unwrap();
    let text = r#"{"argv": ["/gone/python"], "display_name": "stale", "language": "python"}"#;
    fs_err::write(stale.join("kernel.json"), text).unwrap();

    let mut connect = cluster.ws().start_envspec(["connect", "lab", "--launch"]);
    let port = connected(&mut connect);
    let url = format!("http://127.0.0.1:{port}");
    let mut browser = Browser::open(command, &url, &there.token());

    let shown: Vec<_> = browser.launcher().cards;
    let count = |kernel: &str| {
        let of_it = |card: &&Card| card.kernel.as_deref() == Some(kernel);
        shown.iter().filter(of_it).count()
    };
    for (kernel, copy) in [
        ("python3", "lab-python"),
        ("ir", "lab-r"),
        ("bash", "lab-bash"),
    ] {
        assert_eq!((count(kernel), count(copy)), (1, 0), "{shown:#?}");
    }
    assert_eq!(browser.run_cell("python3", "print(6 * 7)").text(), "42\n");
    assert_eq!(browser.run_cell("ir", "cat(6 * 7)").text(), "42");
    let bash = browser.run_cell("bash", "x=$((6 * 7)); echo $x $USER");
    assert_eq!(bash.text(), "42 ada\n");

    cluster.host("jump").sshd_stop();
    soon("the way is broken", || {
        (status(&there, port, None) == 0).then_some(())
    });
    cluster.host("jump").sshd_start();
    answers_again(&there, port, &|| there.token());
    // Nobody touched the page, and the kernel is the same one.
    assert_eq!(
        browser.run_cell("bash", "echo still $x").text(),
        "still 42\n"
    );
    drop(browser);
    drop(connect);

    // And through the scheduler.
    let arguments = ["connect", "lab", "--through-scheduler"];
    let mut connect = cluster.ws().start_envspec(arguments);
    let url = format!("http://127.0.0.1:{}", connected(&mut connect));
    let mut browser = Browser::open(Browser::of(cluster.ws()).unwrap(), &url, &there.token());
    assert_eq!(browser.run_cell("ir", "cat(6 * 7)").text(), "42");
    assert_eq!(browser.run_cell("python3", "print(6 * 7)").text(), "42\n");
    let bash = browser.run_cell("bash", "echo $((6 * 7)) $USER");
    assert_eq!(bash.text(), "42 ada\n");
    drop(browser);
    cluster.ws().envspec(["stop", "lab"]).success();
}

#[test]
fn where_login_nodes_forbid_heavy_work_it_goes_through_the_scheduler() {
    let Some(there) = There::up("heavy_work") else {
        return;
    };
    let cluster = &there.cluster;
    let login = cluster.login();
    let site = cluster.home("ada").join(".config/envspec/sites/world.yaml");
    let text = fs_err::read_to_string(&site).unwrap();
    let rule = "  slurm:\n    heavy_work: {memory: 900M, reason: no heavy work on login nodes}\n";
    fs_err::write(&site, text.replace("  slurm:\n", rule)).unwrap();
    let told = "no heavy work on login nodes: this goes on through srun";
    let alias = format!(
        "ENVSPEC_CHANNEL_ALIAS=file://{}/",
        crate::support::channels().display()
    );
    let run = |arguments: &str| {
        let program = crate::support::program();
        login.run([
            "env",
            &alias,
            "bash",
            "-c",
            &format!("{program} {arguments}"),
        ])
    };
    let by = || {
        let path = there.root().join("envs/lab/.envspec/receipt.json");
        let receipt: serde_json::Value =
            serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap();
        receipt["by"].as_str().unwrap().to_owned()
    };
    assert_eq!(by(), "ada@login");

    // Nothing to do is nothing heavy.
    let nothing = run("apply").success().says("Nothing to do");
    assert!(!nothing.stderr.contains(told), "{nothing}");
    let spec = cluster.home("ada").join("envs/lab.yaml");
    let before = fs_err::read_to_string(&spec).unwrap();
    fs_err::write(
        &spec,
        before.replace("[python, jupyterlab]", "[python, jupyterlab, nbclient]"),
    )
    .unwrap();
    let applied = run("apply").success().says(told).says("Installed");
    assert!(
        applied.stdout.contains("sbatch"),
        "the recipe is the answer: {applied}"
    );
    assert_eq!(by(), "ada@med0101");
    // Its exit code is the command's.
    fs_err::write(
        &spec,
        before.replace("dependencies: [python,", "dependencies: [python <3,"),
    )
    .unwrap();
    run("lock").fails_with(4).says(told);
    // A mistake in the spec needs no node.
    fs_err::write(
        &spec,
        before.replace("launch:", "lunch: 1\nlaunch: {tim: 1}\n#"),
    )
    .unwrap();
    let mistake = run("apply").fails_with(2);
    assert!(!mistake.stderr.contains(told), "{mistake}");
}

/// 50 ms slower as measured on a quiet machine; where others work there too a
/// single median says little, so it may be taken again.
#[test]
fn connect_is_hardly_slower_than_a_plain_ssh() {
    let Some(there) = There::up("measure") else {
        return;
    };
    let cluster = &there.cluster;
    let ws = cluster.ws();
    cluster.login().envspec(["launch"]).success();
    let folder = there.root().join("sessions/envspec-lab");
    let endpoint = fs_err::read_to_string(folder.join("endpoint")).unwrap();
    let (node, socket) = endpoint.trim().split_once(' ').unwrap();
    ws.write("header", &format!("Authorization: token {}", there.token()));
    let until_answered = |command: &str, port: u16| -> u64 {
        let script = format!(
            "start=$(date +%s%N); {command} >/dev/null 2>&1 & \
             until [ \"$(curl -s -m 2 -o /dev/null -w '%{{http_code}}' -H @header \
             http://127.0.0.1:{port}/api/contents)\" = 200 ]; do sleep 0.005; done; \
             end=$(date +%s%N); kill -TERM $!; wait; echo $(((end - start) / 1000000))"
        );
        let said = ws.sh(&script).success().stdout;
        said.trim().parse().unwrap()
    };
    let program = crate::support::program();
    let is_quick = (0..3).any(|_| {
        let (mut plain, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..9 {
            let ssh = format!("ssh -N -L 127.0.0.1:29001:{socket} {node}");
            plain.push(until_answered(&ssh, 29001));
            let connect = format!("env --default-signal=INT {program} connect lab --port 29002");
            ours.push(until_answered(&connect, 29002));
        }
        plain.sort_unstable();
        ours.sort_unstable();
        println!("ssh -N -L        {} ms {plain:?}", plain[4]);
        println!("envspec connect  {} ms {ours:?}", ours[4]);
        ours[4] <= plain[4] + 300
    });
    assert!(is_quick, "more than 300 ms slower, three times");
    cluster.login().envspec(["stop", "lab"]).success();
}

/// A port of this machine that was free just now.
fn free_port() -> u16 {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

#[test]
fn on_this_machine_the_chosen_port_leads_to_the_server_too() {
    let env = TestEnv::new();
    env.spec(
        "lab",
        // What is said on the command line goes before the spec, in all.
        "channels: [conda-forge]\ndependencies: [python, jupyterlab]\nsite: slurm\n",
    );
    let here = ["--site", "local"];
    env.run(&["apply"]).success();
    let launch = env.start(&[&["launch", "--memory", "1G"], &here[..]].concat());
    let listed = |state: &str| {
        let sessions = env.run(&[&["sessions", "--json"], &here[..]].concat());
        let sessions = sessions.success().json();
        (sessions["sessions"][0]["state"] == state).then_some(())
    };
    soon("a server that is seen to start", || listed("starting"));
    launch
        .wait()
        .success()
        .says("the site local has no scheduler: --memory means nothing there");
    listed("ready").unwrap();
    env.run(&[&["stop", "lab", "--server", "9"], &here[..]].concat())
        .fails_with(2)
        .says("there is no server 9 of lab")
        .says("--server 1");
    let port = free_port().to_string();
    let connect = ["connect", "lab", "--port", &port];
    let connect = env.start(&[&connect, &here[..]].concat());
    soon("an answer at the chosen port", || {
        let url = format!("http://127.0.0.1:{port}/api");
        let asked = env.program("curl").args(["-s", "-m", "5", &url]).output();
        String::from_utf8_lossy(&asked.unwrap().stdout)
            .contains("version")
            .then_some(())
    });
    env.run(&[&["stop"], &here[..]].concat())
        .success()
        .says("has shut down; nothing of it is left");
    connect.wait().success().says("The session has ended");
    let sessions = env.run(&[&["sessions", "--json"], &here[..]].concat());
    assert_eq!(sessions.success().json()["sessions"], serde_json::json!([]));
    // The start script alone stays, and no log of what went well.
    let left = fs_err::read_dir(env.root().join("sessions")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["start"]);
}

#[test]
fn a_server_that_does_not_start_on_this_machine_is_told_and_is_no_session() {
    let env = TestEnv::new();
    env.spec(
        "lab",
        "channels: [conda-forge]\ndependencies: [python, jupyterlab]\n",
    );
    env.run(&["apply"]).success();
    let lab = env
        .prefix("lab")
        .join("lib/python3.11/site-packages/jupyterlab");
    fs_err::rename(&lab, env.path("jupyterlab")).unwrap();
    let told = env.run(&["launch"]).fails_with(6);
    assert!(
        told.stderr.contains("No module named 'jupyterlab'"),
        "{told}"
    );
    assert!(!told.stderr.contains("not ended by that"), "{told}");
    let sessions = env.run(&["sessions", "--json"]).success().json();
    assert_eq!(sessions["sessions"], serde_json::json!([]));
}

/// A browser that writes down what it is given, and what everybody can see then.
const BROWSER: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit
printf '%s\n' "$@" >args
file=${1#file://}
cp "$file" page
stat -c %a "$file" "${file%/*}" >modes
cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' >seen
mv args done
"#;

#[test]
fn open_leads_a_browser_by_a_file_that_is_the_users_alone_and_never_stays() {
    let mut env = TestEnv::new();
    env.spec(
        "lab",
        "channels: [conda-forge]\ndependencies: [python, jupyterlab]\n",
    );
    env.run(&["apply"]).success();
    env.run(&["launch"]).success();
    let token = fs_err::read_to_string(env.root().join("sessions/envspec-lab/token")).unwrap();

    let folder = env.path("a browser");
    fs_err::create_dir(&folder).unwrap();
    let browser = folder.join("browser");
    fs_err::write(&browser, BROWSER).unwrap();
    std::fs::set_permissions(
        &browser,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    // A folder of this test alone, not too long for the sockets of ssh.
    let run = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
    env.set("XDG_RUNTIME_DIR", run.path().to_str().unwrap());
    let left = || fs_err::read_dir(run.path()).unwrap().count();
    let read = |name: &str| fs_err::read_to_string(folder.join(name)).unwrap();

    let port = free_port();
    let address = format!("http://127.0.0.1:{port}/lab?token={token}");
    let plain = browser.to_str().unwrap().to_owned();
    // One that is not there and one that fails before it, and one behind it.
    let several = format!("/gone/browser:false:'{plain}' %s -n:touch {plain}.too");
    for (chosen, end) in [(&plain, "INT"), (&several, "KILL"), (&plain, "stop")] {
        env.set("BROWSER", chosen);
        let connect = env.start(&["connect", "lab", "--open", "--port", &port.to_string()]);
        soon("the browser", || folder.join("done").exists().then_some(()));
        let page = read("page");
        assert!(page.contains(&format!("0; url={address}\"")), "{page}");
        assert_eq!(read("modes"), "600\n700\n");
        let given = read("done");
        let file = given.lines().next().unwrap();
        let file = std::path::PathBuf::from(file.strip_prefix("file://").unwrap());
        assert!(file.starts_with(run.path()), "{given}");
        let more: Vec<_> = given.lines().skip(1).collect();
        assert_eq!(more == ["-n"], chosen == &several, "{given}");
        let seen = read("seen");
        assert!(seen.contains("--open"), "{seen}");
        assert!(!seen.contains(&token), "the token is an argument");
        // A browser may take its time.
        assert!(file.exists());
        fs_err::remove_file(folder.join("done")).unwrap();
        match end {
            "KILL" => assert!(connect.kill()),
            "INT" => {
                let pid = connect.pid().to_string();
                let told = env.program("kill").args(["-INT", &pid]).status();
                assert!(told.unwrap().success());
                connect.wait().success();
            }
            _ => {
                env.run(&["stop"]).success();
                connect.wait().success();
            }
        }
        soon("the end of the page", || (left() == 0).then_some(()));
    }
    assert!(!folder.join("browser.too").exists());
}

#[test]
fn no_browser_at_all_is_told_and_port_0_is_none() {
    let mut env = TestEnv::new();
    env.spec(
        "lab",
        "channels: [conda-forge]\ndependencies: [python, jupyterlab]\n",
    );
    let zero = env.run(&["connect", "lab", "--port", "0"]).fails_with(2);
    drop(zero.says("--port"));
    env.run(&["apply"]).success();
    env.run(&["launch"]).success();
    env.set("BROWSER", "/gone/browser:false");
    let connect = env.start(&["connect", "lab", "--open"]);
    std::thread::sleep(Duration::from_secs(5));
    env.run(&["stop"]).success();
    drop(
        connect
            .wait()
            .success()
            .says("the browser could not be opened: /gone/browser: No such file")
            .says("false: it ended with exit status: 1"),
    );
}

/// Types a password where the command in the arguments asks for one.
const TYPIST: &str = r#"
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp("sh", ["sh", "-c", sys.argv[1]])
for question in (b"Enter password:", b"Verify password:"):
    seen = b""
    while question not in seen:
        seen += os.read(terminal, 4096)
    # getpass throws away what was typed before it asked.
    import time; time.sleep(0.3)
    os.write(terminal, b"correct horse\n")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

#[test]
fn a_password_that_was_set_as_the_recipe_says_stands_in_the_place_of_the_token() {
    let env = TestEnv::new();
    env.spec(
        "lab",
        "channels: [conda-forge]\ndependencies: [python, jupyterlab]\n",
    );
    env.run(&["apply"]).success();
    env.run(&["launch", "--password"])
        .fails_with(6)
        .says("no password is set: envspec recipe --password says how");
    let recipe = env.run(&["recipe", "--password"]).success().stdout;
    let (_, set) = recipe.split_once("Once: set a password").unwrap();
    let set = set.lines().nth(1).unwrap().trim();
    let typist = env.program("python3").args(["-c", TYPIST, set]).status();
    assert!(typist.unwrap().success());

    env.run(&["launch", "--password"]).success();
    let port = free_port().to_string();
    let connect = env.start(&["connect", "lab", "--port", &port]);
    let root = format!("http://127.0.0.1:{port}");
    let ask = format!("curl -s -o /dev/null -w '%{{http_code}}' {root}/login");
    soon("the login page", || {
        let asked = env.program("bash").args(["-c", &ask]).output().unwrap();
        (asked.stdout == b"200").then_some(())
    });
    // As a browser does it: the form's cookie, then the form.
    let log_in = |password: &str| {
        let script = format!(
            "curl -s -c jar -o /dev/null {root}/login; xsrf=$(awk '/_xsrf/ {{print $7}}' jar)
             curl -s -b jar -c jar -o /dev/null -w '%{{http_code}} ' {root}/login \
               --data-urlencode \"_xsrf=$xsrf\" --data-urlencode 'password={password}'
             curl -s -b jar -o /dev/null -w '%{{http_code}}' {root}/api/contents; rm jar"
        );
        let asked = env.program("bash").args(["-c", &script]).output().unwrap();
        String::from_utf8(asked.stdout).unwrap()
    };
    assert_eq!(log_in("wrong"), "401 403");
    assert_eq!(log_in("correct horse"), "302 200");
    env.run(&["stop"]).success().says("nothing of it is left");
    let told = connect.wait().success().stdout;
    assert_eq!(told, format!("{root}/lab\n"), "an address with a token");
}

#[test]
fn a_launch_says_when_the_spec_has_changed_since_it_was_applied() {
    let env = TestEnv::new();
    let text = "channels: [conda-forge]\ndependencies: [python, jupyterlab]\n";
    env.spec("lab", text);
    env.run(&["apply"]).success();
    // It ends early: no password is set.
    let launch = ["launch", "--password"];
    env.spec(
        "lab",
        &format!("# More memory makes no new generation\n{text}launch: {{memory: 2G}}\n"),
    );
    let same = env.run(&launch).fails_with(6);
    assert!(!same.stderr.contains("has changed"), "{same}");
    env.spec("lab", &format!("{text}variables: {{TZ: UTC}}\n"));
    env.run(&launch)
        .fails_with(6)
        .says("lab.yaml has changed since lab-")
        .says("ago, which is what starts; to use the change: envspec apply first");
}

#[test]
fn a_network_that_is_lost_while_a_job_waits_makes_no_second_job() {
    let Some(there) = There::up("lost_while_pending") else {
        return;
    };
    let cluster = &there.cluster;
    let root = cluster.host("login").user("root");
    for node in ["med0101", "med0102"] {
        let drain = format!("scontrol update NodeName={node} State=DRAIN Reason=test");
        drop(root.sh(&drain).success());
    }
    let mut connect = cluster.ws().start_envspec(["connect", "lab", "--launch"]);
    let mut says = |words: &str| {
        soon(words, || {
            assert!(connect.ended().is_none(), "{}", connect.stderr());
            connect.stderr().contains(words).then_some(())
        });
    };
    says("pending (");
    cluster.host("jump").sshd_stop();
    says("is being mended");
    cluster.host("jump").sshd_start();
    for node in ["med0101", "med0102"] {
        let resume = format!("scontrol update NodeName={node} State=RESUME");
        drop(root.sh(&resume).success());
    }
    let port = connected(&mut connect);
    assert_eq!(status(&there, port, Some(&there.token())), 200);
    let jobs = cluster
        .login()
        .sh("squeue --me --noheader | wc -l")
        .success();
    assert_eq!(jobs.stdout.trim(), "1");
    cluster.ws().envspec(["stop", "lab"]).success();
}

#[test]
fn with_plain_ssh_and_the_recipe_a_laptop_without_envspec_gets_the_same() {
    let Some(there) = There::up("plain_ssh") else {
        return;
    };
    let cluster = &there.cluster;
    let recipe = cluster.login().envspec(["recipe", "--format", "shell"]);
    // The one thing that the cluster can't know.
    let form = recipe.success().stdout;
    assert!(form.contains("YOUR-NAME-ON-jump"));
    let ws = cluster.ws().within(PATIENCE);
    ws.write("lab.sh", &form.replace("YOUR-NAME-ON-jump", "a.lovelace"));
    drop(ws.run(["bash", "lab.sh", "start"]).success());
    let connected = soon("the tunnel of a ready session", || {
        let connect = ws.run(["bash", "lab.sh", "connect"]);
        connect.succeeded().then(|| connect.success().stdout)
    });
    let (_, rest) = connected.split_once("http://127.0.0.1:").unwrap();
    let port: u16 = rest.split('/').next().unwrap().parse().unwrap();
    let token = ws.run(["bash", "lab.sh", "token"]).success().stdout;
    assert_eq!(status(&there, port, None), 403);
    assert_eq!(status(&there, port, Some(token.trim())), 200);
    // envspec sees what was started without it.
    let seen = cluster.login().envspec(["sessions"]).success();
    assert!(seen.stdout.contains("ready"), "{seen}");

    drop(ws.run(["bash", "lab.sh", "stop"]).success());
    soon("the end of the job", || {
        let jobs = cluster.login().sh("squeue --me --noheader").success();
        jobs.stdout.is_empty().then_some(())
    });
    assert_eq!(status(&there, port, None), 0);
    cluster.login().envspec(["sessions"]).success();
    assert_eq!(there.sessions(), Vec::<String>::new());
}
