//! The hosts of the tests are what they claim to be: the ways between them,
//! Slurm's jobs, the faults, and their end without leftovers.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Cluster, soon};

#[test]
fn two_hops_lead_from_the_workstation_to_a_node() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    for (host, user) in [
        ("jump", "a.lovelace"),
        ("login", "ada"),
        ("med0101", "ada"),
        ("med0102", "ada"),
    ] {
        let there = "echo $(hostname) $(id -un)";
        let output = cluster.ws().run(["ssh", "-oBatchMode=yes", host, there]);
        assert_eq!(output.success().stdout, format!("{host} {user}\n"));
    }
}

#[test]
fn the_workstation_reaches_nothing_behind_the_jump_host() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    for name in ["login", "med0101"] {
        let output = cluster.ws().run(["getent", "hosts", name]).fails_with(2);
        assert_eq!(output.stdout, "", "the name is known");
    }
    let connect =
        |address: &str| format!("timeout 2 bash -c 'echo >/dev/tcp/{address}/22' && echo open");
    // Its neighbours' addresses, and those of the networks behind them.
    assert_eq!(
        cluster.ws().sh(&connect("10.77.1.20")).success().stdout,
        "open\n"
    );
    for address in ["10.77.2.20", "10.77.2.30", "10.77.3.30", "10.77.3.101"] {
        let direct = cluster.ws().sh(&connect(address)).fails_with(1);
        assert_eq!(direct.stdout, "", "{address}");
        // Neither if the jump host is taken for a router.
        let route = format!("ip route replace {address} via 10.77.1.20");
        drop(cluster.host("ws").user("root").sh(&route).success());
        let routed = cluster.ws().sh(&connect(address));
        let code = if address == "10.77.2.20" { 0 } else { 124 };
        drop(routed.fails_with(code));
        let route = format!("ip route delete {address}");
        drop(cluster.host("ws").user("root").sh(&route).success());
    }
    let open = cluster.host("login").user("ada");
    assert_eq!(open.sh(&connect("10.77.3.101")).success().stdout, "open\n");
}

#[test]
fn a_node_reads_only_the_keys_of_the_cluster_home() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    // The way to the host is free; what counts is the host's own word.
    let accepts = |host: &str, key: &str| {
        let way = match host {
            "jump" => String::new(),
            "login" => "-oProxyCommand='ssh -W %h:%p jump'".to_owned(),
            _ => "-oProxyCommand='ssh -W %h:%p login'".to_owned(),
        };
        let ssh =
            format!("ssh -oBatchMode=yes -oIdentitiesOnly=yes -i ~/.ssh/{key} {way} {host} true");
        let output = cluster
            .ws()
            .sh(&format!("{ssh} && echo yes; true"))
            .success();
        let accepted = output.stdout == "yes\n";
        assert_eq!(!accepted, output.stderr.contains("Permission denied"));
        accepted
    };
    let hosts = ["jump", "login", "med0101"];
    let row = |key| hosts.map(|host| accepts(host, key));
    assert_eq!(row("id_ed25519"), [true, true, true]);
    assert_eq!(row("id_registered"), [true, true, false]);
    assert_eq!(row("id_home"), [false, true, true]);
}

#[test]
fn scancel_ends_every_process_of_a_job() {
    let Some(cluster) = Cluster::up() else { return };
    let job = cluster.login().sbatch(
        "#!/bin/bash\n\
         (setsid bash -c 'trap \"\" TERM; exec -a strayling sleep 1000' &)\n\
         sleep 1000 &\n\
         exec -a mainling sleep 1000\n",
    );
    let node = cluster.host("med0101").user("root");
    let processes = || {
        let output = node.sh("pgrep -u ada -x sleep | wc -l").success();
        output.stdout.trim().parse::<u32>().unwrap()
    };
    soon("the job's three processes", || {
        (processes() == 3).then_some(())
    });
    assert_eq!(cluster.login().job(&job), "R med0101");
    // The stray one has left the tree of the job.
    let output = node.sh("ps -o ppid= -p $(pgrep -f '^strayling')").success();
    assert_eq!(output.stdout.trim(), "1");

    drop(cluster.login().run(["scancel", &job]).success());
    soon("the end of the job", || {
        cluster.login().job(&job).is_empty().then_some(())
    });
    assert_eq!(processes(), 0);
}

#[test]
fn a_job_is_seen_entered_and_requeued_by_its_owner_alone() {
    let Some(cluster) = Cluster::up() else { return };
    let login = cluster.login();
    let job =
        login.sbatch("#!/bin/bash\necho start ${SLURM_RESTART_COUNT:-0} >>starts\nsleep 1000\n");
    soon("the job runs", || {
        (login.job(&job) == "R med0101").then_some(())
    });
    let listed = login.run(["squeue", "--json"]).success().json();
    assert_eq!(listed["jobs"][0]["job_id"].to_string(), job);
    let inside = login.run(["srun", "--overlap", "--jobid", &job, "hostname"]);
    assert_eq!(inside.success().stdout, "med0101\n");
    let both = login
        .run(["srun", "-N2", "--partition=short", "hostname"])
        .success();
    let names: BTreeSet<&str> = both.stdout.lines().collect();
    assert_eq!(names, BTreeSet::from(["med0101", "med0102"]));

    let mallory = cluster.host("login").user("mallory");
    for attempt in ["scancel", "scontrol requeue"] {
        let denied = mallory.sh(&format!("{attempt} {job}; true")).success();
        assert!(
            denied.stderr.contains("Access/permission denied"),
            "{denied}"
        );
    }
    drop(login.run(["scontrol", "requeue", &job]).success());
    soon("the second start", || {
        let starts = login.run(["cat", "starts"]).success().stdout;
        (starts == "start 0\nstart 1\n").then_some(())
    });
}

#[test]
fn a_job_moves_to_the_other_node_when_its_own_is_lost() {
    let Some(cluster) = Cluster::up() else { return };
    let login = cluster.login();
    let job = login.sbatch("#!/bin/bash\nsleep 1000\n");
    soon("the job runs", || {
        (login.job(&job) == "R med0101").then_some(())
    });
    cluster.host("med0101").cut();
    soon("the job on the other node", || {
        (login.job(&job) == "R med0102").then_some(())
    });
    let node = cluster.host("med0101").user("root");
    // The node does not know that it is lost: the job's first run goes on …
    drop(node.run(["pgrep", "-x", "sleep", "-u", "ada"]).success());
    cluster.host("med0101").join();
    // … until Slurm hears of the node again.
    soon("the lost node is back", || {
        let states = login.sh("sinfo -hNn med0101 -p medium -o %t").success();
        (states.stdout == "idle\n").then_some(())
    });
    soon("the end of the first run", || {
        let output = node.sh("pgrep -c -x sleep -u ada; true").success();
        (output.stdout == "0\n").then_some(())
    });
    assert_eq!(login.job(&job), "R med0102");
}

#[test]
fn a_node_without_power_comes_back() {
    let Some(cluster) = Cluster::up() else { return };
    cluster.login().write("kept", "x");
    cluster.host("med0101").power_off();
    let ssh = |code| {
        let ssh = [
            "ssh",
            "-oBatchMode=yes",
            "-oConnectTimeout=2",
            "med0101",
            "cat kept",
        ];
        cluster.login().run(ssh).fails_with(code).stdout
    };
    ssh(255);
    cluster.host("med0101").power_on();
    assert_eq!(ssh(0), "x");
    soon("the node works again", || {
        let srun = "timeout 10 srun -w med0101 hostname; true";
        (cluster.login().sh(srun).success().stdout == "med0101\n").then_some(())
    });
}

#[test]
fn the_time_limit_ends_a_job() {
    let Some(cluster) = Cluster::up() else { return };
    let job = cluster.login().sbatch("#!/bin/bash\nsleep 1000\n");
    soon("the job runs", || {
        (cluster.login().job(&job) == "R med0101").then_some(())
    });
    cluster.time_up(&job);
    soon("the end of the job", || {
        cluster.login().job(&job).is_empty().then_some(())
    });
    let shown = cluster
        .login()
        .run(["scontrol", "show", "job", &job])
        .success();
    assert!(shown.stdout.contains("JobState=TIMEOUT"), "{shown}");
}

/// A server on a node that answers on a unix socket and on a TCP port.
const SERVER: &str = r#"#!/usr/bin/python3
import os, socket, threading
os.umask(0o077)
os.makedirs("run", exist_ok=True)
local = socket.socket(socket.AF_UNIX)
local.bind("run/socket")
tcp = socket.socket()
tcp.bind(("127.0.0.1", 7777))
def serve(listener, name):
    listener.listen()
    while True:
        connection, _ = listener.accept()
        text = name + " on " + socket.gethostname() + " hears " + connection.recv(100).decode()
        connection.sendall(text.encode())
        connection.close()
threading.Thread(target=serve, args=(local, "socket")).start()
serve(tcp, "port")
"#;

#[test]
fn forwards_through_the_hops_reach_a_server_on_a_node() {
    let Some(cluster) = Cluster::up() else { return };
    let job = cluster.login().sbatch(SERVER);
    soon("the job runs", || {
        (cluster.login().job(&job) == "R med0101").then_some(())
    });
    let tunnel = "-L8001:/home/ada/run/socket -L8002:127.0.0.1:7777";
    let script = format!("exec ssh -N -oBatchMode=yes -oExitOnForwardFailure=yes {tunnel} med0101");
    let mut tunnel = cluster.ws().start(["bash", "-c", &script]);
    let ask = |port: u16| {
        let script =
            format!("exec 3<>/dev/tcp/127.0.0.1/{port} && printf %s hi >&3 && cat <&3; true");
        let answer = cluster.ws().within(Duration::from_secs(5)).sh(&script);
        answer.success().stdout
    };
    let expect = |port, text: &str| soon(text, || (ask(port) == text).then_some(()));
    expect(8001, "socket on med0101 hears hi");
    expect(8002, "port on med0101 hears hi");

    // Another user of the node reaches the port, and not the socket.
    let mallory = cluster.host("med0101").user("mallory");
    let port = "exec 3<>/dev/tcp/127.0.0.1/7777 && printf %s hi >&3 && cat <&3";
    assert_eq!(
        mallory.sh(port).success().stdout,
        "port on med0101 hears hi"
    );
    let socket = "import socket; socket.socket(socket.AF_UNIX).connect('/home/ada/run/socket')";
    let refused = mallory
        .run(["/usr/bin/python3", "-c", socket])
        .fails_with(1);
    assert!(refused.stderr.contains("PermissionError"), "{refused}");

    // A frozen hop is silent, and goes on where it was.
    cluster.host("jump").freeze("sshd");
    let stalled = [
        "timeout",
        "2",
        "bash",
        "-c",
        "exec 3<>/dev/tcp/127.0.0.1/8001; printf hi >&3; cat <&3",
    ];
    assert_eq!(cluster.ws().run(stalled).fails_with(124).stdout, "");
    cluster.host("jump").thaw("sshd");
    expect(8001, "socket on med0101 hears hi");

    // So is a network that is lost.
    cluster.host("ws").cut();
    assert_eq!(cluster.ws().run(stalled).fails_with(124).stdout, "");
    cluster.host("ws").join();
    expect(8001, "socket on med0101 hears hi");

    // A node whose slurmd is dead still runs the job.
    cluster.host("med0101").slurmd_stop();
    expect(8001, "socket on med0101 hears hi");
    cluster.host("med0101").slurmd_start();

    // A dead hop ends the tunnel, and can be used again.
    cluster.host("jump").sshd_stop();
    let status = soon("the end of the tunnel", || tunnel.ended());
    assert_eq!(status.code(), Some(255), "{}", tunnel.stderr());
    let ssh = ["ssh", "-oBatchMode=yes", "login", "hostname"];
    drop(cluster.ws().run(ssh).fails_with(255));
    cluster.host("jump").sshd_start();
    assert_eq!(cluster.ws().run(ssh).success().stdout, "login\n");
}

#[test]
fn mallory_reads_nothing_of_ada() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    cluster.login().write("secret", "token");
    assert!(cluster.home("ada").join("secret").exists());
    // Without her home's mode, the file's own is what keeps it.
    let keep = "mkdir -p /tmp/open && umask 077 && echo token >/tmp/open/secret";
    drop(cluster.login().sh(keep).success());
    let _sleep = cluster
        .login()
        .start(["env", "TOKEN=token", "sleep", "300"]);
    let pid = soon("ada's process", || {
        let output = cluster
            .login()
            .sh("pgrep -n -x sleep -u ada; true")
            .success();
        Some(output.stdout.trim().to_owned()).filter(|pid| !pid.is_empty())
    });
    let state = cluster.folder().to_str().unwrap();
    let mallory = cluster.host("login").user("mallory");
    for path in [
        "/home/ada/secret".to_owned(),
        "/home/ada/.ssh/id_ed25519".to_owned(),
        "/tmp/open/secret".to_owned(),
        format!("/proc/{pid}/environ"),
        "/etc/shadow".to_owned(),
        "/run/munge/key".to_owned(),
        format!("{state}/cluster/munge.key"),
        format!("{state}/cluster/home/ada/secret"),
        format!("{state}/log/slurmctld.log"),
    ] {
        let output = mallory.run(["cat", &path]).fails_with(1);
        assert!(output.stderr.contains("Permission denied"), "{output}");
        // The path is right: root reads it.
        drop(
            cluster
                .host("login")
                .user("root")
                .run(["cat", &path])
                .success(),
        );
    }
    // What ps shows is for all: no secret belongs there.
    let seen = mallory.sh(&format!("ps -o args= -p {pid}")).success();
    assert_eq!(seen.stdout, "sleep 300\n");
    let groups = mallory.run(["id", "-Gn"]).success();
    assert_eq!(groups.stdout, "mallory\n");
}

#[test]
fn a_small_disk_is_full_on_every_host() {
    let Some(cluster) = Cluster::up() else { return };
    drop(cluster.login().run(["mkdir", "small"]).success());
    cluster.small_disk("/home/ada/small", "64k");
    let overflow = "head -c 100k /dev/zero >small/filler";
    let full = cluster
        .host("med0101")
        .user("ada")
        .sh(overflow)
        .fails_with(1);
    assert!(full.stderr.contains("No space left on device"), "{full}");
    for host in ["login", "med0102"] {
        let full = cluster.host(host).user("ada").sh("echo x >small/other");
        assert!(full.fails_with(1).stderr.contains("No space left"));
    }
    cluster.no_small_disk("/home/ada/small");
    drop(cluster.login().sh("echo x >small/other").success());
}

#[test]
fn a_job_can_have_a_tmp_of_its_own() {
    let Some(cluster) = Cluster::with_private_tmp() else {
        return;
    };
    let login = cluster.login();
    let job = login.sbatch("#!/bin/bash\ntouch /tmp/mine && touch started\nsleep 1000\n");
    // A step that starts together with the job can get a /tmp of its own (Slurm 22.05).
    soon("the job's file", || {
        login.sh("ls started; true").success().stdout.pop()
    });
    let inside = ["srun", "--overlap", "--jobid", &job, "ls", "/tmp"];
    assert_eq!(login.run(inside).success().stdout, "mine\n");
    // ssh to the node sees another /tmp.
    let outside = ["ssh", "-oBatchMode=yes", "med0101", "ls /tmp"];
    assert_eq!(login.run(outside).success().stdout, "");
}

#[test]
fn the_build_is_visible_on_every_host() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    for (host, user) in [("ws", "ada"), ("jump", "a.lovelace"), ("med0102", "ada")] {
        let binary = env!("CARGO_BIN_EXE_envspec");
        let output = cluster.host(host).user(user).run([binary, "--version"]);
        assert!(output.success().stdout.starts_with("envspec "));
    }
}

#[test]
fn two_instances_live_side_by_side() {
    let (Some(one), Some(other)) = (Cluster::up(), Cluster::up()) else {
        return;
    };
    // The same names, addresses and job numbers, and nothing in common.
    let jobs = [&one, &other].map(|cluster| cluster.login().sbatch("#!/bin/bash\nsleep 1000\n"));
    assert_eq!(jobs, ["1", "1"]);
    let running = |cluster: &Cluster| {
        soon("the job runs", || {
            (cluster.login().job("1") == "R med0101").then_some(())
        });
    };
    running(&one);
    running(&other);
    drop(one.login().run(["scancel", "1"]).success());
    soon("the end of the one job", || {
        one.login().job("1").is_empty().then_some(())
    });
    drop(one);
    assert_eq!(other.login().job("1"), "R med0101");
    let ssh = ["ssh", "-oBatchMode=yes", "med0101", "hostname"];
    assert_eq!(other.ws().run(ssh).success().stdout, "med0101\n");
}

#[test]
fn an_instance_leaves_nothing_when_dropped() {
    let before = Machine::look();
    let Some(cluster) = Cluster::up() else { return };
    let traces = Traces::of(&cluster);
    cluster
        .login()
        .sbatch("#!/bin/bash\n(setsid sleep 1000 &)\nsleep 1000\n");
    traces.are_there(&cluster);
    drop(cluster);
    traces.are_gone(Duration::ZERO);
    assert!(!traces.folder.exists());
    assert!(traces.cgroups().is_empty());
    assert_eq!(Machine::look(), before);
}

#[test]
fn an_instance_leaves_no_process_when_its_holder_is_killed() {
    let before = Machine::look();
    let Some(cluster) = Cluster::up() else { return };
    let traces = Traces::of(&cluster);
    let holder = cluster.holder().to_string();
    assert!(
        Command::new("kill")
            .args(["-KILL", &holder])
            .status()
            .unwrap()
            .success()
    );
    traces.are_gone(Duration::from_secs(10));
    drop(cluster);
    // What is left are files and empty control groups: the next instance (of this test, if no
    // other one's was quicker) sweeps them away.
    drop(Cluster::up());
    assert!(!traces.folder.exists());
    assert!(traces.cgroups().is_empty());
    assert_eq!(Machine::look(), before);
}

#[test]
fn an_instance_leaves_nothing_when_its_caller_is_killed() {
    // Only to know whether this machine can.
    if Cluster::shared().is_none() {
        return;
    }
    let before = Machine::look();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let instance = folder.path().join("instance");
    let caller = "import subprocess, sys, time\n\
                  held = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n\
                  print(held.stdout.readline().decode(), flush=True)\n\
                  time.sleep(1000)\n";
    let mut caller = Command::new("/usr/bin/python3")
        .args(["-c", caller])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/world/cluster.sh"))
        .arg("-C")
        .arg(&instance)
        .arg("hold")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    soon("the hosts", || instance.join("pid").exists().then_some(()));
    let traces = Traces::in_folder(&instance);
    caller.kill().unwrap();
    caller.wait().unwrap();
    traces.are_gone(Duration::from_secs(10));
    soon("the end of the folder", || {
        (!instance.exists()).then_some(())
    });
    assert_eq!(Machine::look(), before);
}

/// What an instance has on this machine.
struct Traces {
    folder: PathBuf,
    id: String,
    /// The namespaces of processes that its processes are in.
    namespaces: BTreeSet<PathBuf>,
}

impl Traces {
    fn of(cluster: &Cluster) -> Self {
        Self::in_folder(cluster.folder())
    }

    fn in_folder(folder: &Path) -> Self {
        let read = |name: &str| {
            let path = folder.join(name);
            soon(name, || {
                let text = fs_err::read_to_string(&path).ok()?;
                (!text.is_empty()).then(|| text.trim().to_owned())
            })
        };
        // Its first process has a namespace of its own; so has each host's, its child's child.
        let mut namespaces = BTreeSet::new();
        let mut pids = vec![read("pid")];
        while let Some(pid) = pids.pop() {
            namespaces.extend(namespace(&pid));
            let children = format!("/proc/{pid}/task/{pid}/children");
            let children = fs_err::read_to_string(children).unwrap_or_default();
            pids.extend(children.split_whitespace().map(str::to_owned));
        }
        Self {
            id: read("id"),
            folder: folder.to_owned(),
            namespaces,
        }
    }

    /// Its processes: those in one of its namespaces.
    fn processes(&self) -> Vec<String> {
        fs_err::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
            .filter(|pid| namespace(pid).is_some_and(|of| self.namespaces.contains(&of)))
            .collect()
    }

    /// Its control groups.
    fn cgroups(&self) -> Vec<PathBuf> {
        let named = format!("envspec-test-{}", self.id);
        let root = Path::new("/sys/fs/cgroup/freezer").join(named);
        root.exists().then_some(root).into_iter().collect()
    }

    /// The look at them sees something while it runs.
    fn are_there(&self, cluster: &Cluster) {
        assert_eq!(self.namespaces.len(), 6, "one of the world, five of hosts");
        soon("the job's processes", || {
            let node = cluster.host("med0101").user("root");
            let output = node.sh("pgrep -c -x sleep -u ada; true").success();
            (output.stdout == "2\n").then_some(())
        });
        assert!(self.processes().len() > 20);
        assert!(self.folder.exists());
    }

    #[track_caller]
    fn are_gone(&self, patience: Duration) {
        let started = Instant::now();
        while !self.processes().is_empty() && started.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(self.processes(), Vec::<String>::new());
    }
}

/// The namespace of processes that a process is in.
fn namespace(pid: &str) -> Option<PathBuf> {
    fs_err::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

/// What every process of this machine sees, as far as an instance could change it.
#[derive(Debug, PartialEq, Eq)]
struct Machine {
    mounts: Vec<String>,
    links: BTreeSet<String>,
    named_namespaces: usize,
    accounts: Vec<(u64, i64)>,
}

impl Machine {
    fn look() -> Self {
        let world = env!("CARGO_MANIFEST_DIR");
        let names = |folder: &str| {
            fs_err::read_dir(folder)
                .map(|entries| {
                    let name = |entry: std::io::Result<fs_err::DirEntry>| {
                        entry.unwrap().file_name().into_string().unwrap()
                    };
                    entries.map(name).collect::<BTreeSet<_>>()
                })
                .unwrap_or_default()
        };
        Self {
            mounts: fs_err::read_to_string("/proc/self/mounts")
                .unwrap()
                .lines()
                .filter(|line| line.contains(world) || line.contains("/world/cluster/"))
                .map(str::to_owned)
                .collect(),
            links: names("/sys/class/net"),
            named_namespaces: names("/run/netns").len(),
            accounts: ["passwd", "group", "shadow"]
                .map(|name| fs_err::metadata(format!("/etc/{name}")).unwrap())
                .map(|file| (file.len(), file.mtime()))
                .to_vec(),
        }
    }
}
