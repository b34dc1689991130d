//! A site's rules, kept without the user knowing them: heavy work goes through a
//! real srun and ends like any command, and what a site forbids is refused with
//! its reason.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::{Envspec as _, Running, TestEnv, There, channels, program, soon};

/// How long a command that was told to end may take.
const SECONDS: Duration = Duration::from_secs(5);

/// The rule under which heavy work is done elsewhere.
const HEAVY: &str =
    "  slurm:\n    heavy_work: {memory: 900M, reason: no heavy work on login nodes}\n";

/// The cluster of a test, whose site forbids heavy work on its login node.
struct Heavy {
    there: There,
    root: PathBuf,
}

impl Heavy {
    fn up(name: &str) -> Option<Self> {
        let there = There::up(name)?;
        let site = there
            .cluster
            .home("ada")
            .join(".config/envspec/sites/world.yaml");
        let text = fs_err::read_to_string(&site).unwrap();
        fs_err::write(&site, text.replace("  slurm:\n", HEAVY)).unwrap();
        // A root without packages: an apply has some seconds' work there.
        let root = there.cluster.home("ada").join("second");
        Some(Self { there, root })
    }

    /// Starts a long apply on the login node; its number goes into a file.
    fn start(&self) -> Running {
        let apply = format!(
            "echo $$ >pid; export ENVSPEC_CHANNEL_ALIAS=file://{}/; \
             exec env --default-signal=INT '{}' apply envs/lab.yaml --root ~/second",
            channels().display(),
            program()
        );
        self.there.cluster.login().start(["bash", "-c", &apply])
    }

    /// Waits until the command on the node is at work.
    fn at_work(&self) {
        let lease = self.root.join("leases/lab");
        soon("a lease", || lease.exists().then_some(()));
    }

    /// Waits until Slurm knows no job any more.
    fn no_job(&self) {
        let started = Instant::now();
        while !self.queue().is_empty() {
            assert!(started.elapsed() < SECONDS, "{}", self.queue());
        }
    }

    fn queue(&self) -> String {
        let login = self.there.cluster.login();
        login
            .run(["squeue", "--noheader", "--format=%j %T"])
            .success()
            .stdout
    }

    fn nodes(&self, state: &str) {
        let root = self.there.cluster.host("login").user("root");
        for node in ["med0101", "med0102"] {
            let command = format!("scontrol update NodeName={node} State={state} Reason=test");
            drop(root.sh(&command).success());
        }
    }
}

#[test]
fn ctrl_c_ends_heavy_work_on_its_node_in_order_and_the_root_can_be_applied_to_again() {
    let Some(heavy) = Heavy::up("heavy_ctrl_c") else {
        return;
    };
    let login = heavy.there.cluster.login();
    let running = heavy.start();
    heavy.at_work();
    // A job of the name of no session.
    assert_eq!(heavy.queue(), "envspec RUNNING\n");
    let sessions = login.envspec(["sessions", "lab", "--json"]).success();
    assert_eq!(sessions.json()["sessions"], serde_json::json!([]));

    let told = Instant::now();
    drop(login.sh("kill -INT $(cat pid)").success());
    running.wait(SECONDS).fails_with(130).says("interrupted");
    heavy.no_job();
    assert!(told.elapsed() < SECONDS);
    let node = heavy.there.cluster.host("med0101").user("root");
    assert_eq!(node.sh("pgrep -u ada -a || true").success().stdout, "");
    // The next one may run on another machine, which could not know that the
    // holder of a lease is dead.
    assert!(!heavy.root.join("leases/lab").exists(), "a lease was left");
    heavy.start().wait(Duration::from_mins(2)).success();
    assert!(heavy.root.join("envs/lab").exists());
}

#[test]
fn at_a_terminal_heavy_work_shows_its_bars_and_the_key_ctrl_c_ends_it() {
    let Some(heavy) = Heavy::up("heavy_terminal") else {
        return;
    };
    let login = heavy.there.cluster.login();
    // What a terminal does: keys go in, what is shown comes out.
    let terminal = "import os, pty, sys\n\
        child, terminal = pty.fork()\n\
        if child == 0:\n    os.execvp(sys.argv[1], sys.argv[1:])\n\
        shown, pressed = b'', False\n\
        while True:\n    \
            try:\n        part = os.read(terminal, 4096)\n    \
            except OSError:\n        break\n    \
            if not part:\n        break\n    \
            shown += part\n    \
            if not pressed and os.path.exists('second/leases/lab') and b'Linking' in shown:\n        \
                pressed = True\n        os.write(terminal, b'\\x03')\n\
        sys.stdout.buffer.write(shown)\n\
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n";
    login.write("terminal.py", terminal);
    let alias = format!("ENVSPEC_CHANNEL_ALIAS=file://{}/", channels().display());
    let command = [
        "env",
        &alias,
        "TERM=xterm",
        "python3",
        "terminal.py",
        &program(),
        "apply",
        "envs/lab.yaml",
        "--root",
        "second",
    ];
    let shown = login.run(command).fails_with(130);
    assert!(
        shown.stdout.contains("this goes on through srun"),
        "{shown}"
    );
    assert!(shown.stdout.contains("Linking ["), "no bars: {shown}");
    assert!(shown.stdout.contains("interrupted"), "{shown}");
    heavy.no_job();
    assert!(!heavy.root.join("leases/lab").exists(), "a lease was left");
}

#[test]
fn heavy_work_that_waits_for_a_node_says_so_and_is_taken_back_by_ctrl_c() {
    let Some(heavy) = Heavy::up("heavy_waits") else {
        return;
    };
    let login = heavy.there.cluster.login();
    heavy.nodes("DRAIN");
    let running = heavy.start();
    soon("what it waits for", || {
        running
            .stderr()
            .contains("queued and waiting for resources")
            .then_some(())
    });
    let said = running.stderr();
    assert!(
        said.contains("Required node not available (down, drained or reserved)"),
        "{said}"
    );
    drop(login.sh("kill -INT $(cat pid)").success());
    drop(running.wait(SECONDS).fails_with(130));
    heavy.no_job();

    // In a loop over a list: srun does not read on in its place.
    heavy.nodes("RESUME");
    let alias = format!(
        "export ENVSPEC_CHANNEL_ALIAS=file://{}/",
        channels().display()
    );
    let each = format!(
        "{alias}; printf '%s\\n' one two | while read -r name; do \
                        '{}' lock --renew envs/lab.yaml; echo \"$name\"; done",
        program()
    );
    let listed = login.sh(&each).success();
    assert_eq!(listed.stdout, "one\ntwo\n", "{listed}");
    assert!(
        listed.stderr.contains("this goes on through srun"),
        "{listed}"
    );
}

/// A machine that has a Slurm, in whose place stand programs that write down
/// their words; its site forbids heavy work.
fn with_fake_slurm(forbidden: &str) -> TestEnv {
    use std::os::unix::fs::PermissionsExt as _;
    let mut env = TestEnv::new();
    let bin = env.path("bin");
    fs_err::create_dir_all(&bin).unwrap();
    let text = "#!/bin/sh\nprintf '%s\\0' \"$@\" >\"$HOME/came\"\nexit \"$(cat \"$HOME/exit\")\"\n";
    for name in ["srun", "sbatch"] {
        fs_err::write(bin.join(name), text).unwrap();
        std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    env.set("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    env.set("SLURM_CONF", "/somewhere");
    let sites = env.path("home/.config/envspec/sites");
    fs_err::create_dir_all(&sites).unwrap();
    let site = format!(
        "name: strict\ntitle: a strict site\nssh: {{hops: [{{hosts: [login.strict.org]}}], nodes: [{}*]}}\n\
         scheduler:\n{HEAVY}{forbidden}",
        rustix::system::uname().nodename().to_str().unwrap()
    );
    fs_err::write(sites.join("strict.yaml"), site).unwrap();
    env
}

#[test]
fn every_word_of_the_command_line_reaches_srun_and_its_exit_code_comes_back() {
    let env = with_fake_slurm("");
    let name = "it's $(touch ran) `id`; \"x\" -oA=b %j\u{2191}\n.yaml";
    let spec = env.work().join(name);
    fs_err::write(
        &spec,
        "name: lab\nsite: strict\nchannels: [tiny]\ndependencies: [left]\n",
    )
    .unwrap();
    for code in [0, 1, 2, 6, 130] {
        fs_err::write(env.path("home/exit"), code.to_string()).unwrap();
        drop(
            env.run(&["lock", name, "--offline"])
                .fails_with(code)
                .says("this goes on through srun"),
        );
        let came = fs_err::read_to_string(env.path("home/came")).unwrap();
        let program = fs_err::canonicalize(program()).unwrap();
        let expected = format!(
            "--job-name=envspec\0--nodes=1\0--ntasks=1\0--mem=900M\0--input=none\0{}\0lock\0{name}\0--offline\0",
            program.display()
        );
        assert_eq!(came, expected);
    }
    assert!(!env.work().join("ran").exists());
}

#[test]
fn a_forbidden_channel_is_refused_where_it_is_asked_for_with_the_sites_reason() {
    let env = TestEnv::new();
    for (channels, dependency) in [
        ("[defaults]", "python"),
        ("['https://repo.anaconda.com/pkgs/main']", "python"),
        ("[conda-forge]", "defaults::python"),
    ] {
        env.spec(
            "lab",
            &format!("site: bih\nchannels: {channels}\ndependencies: [{dependency}]\n"),
        );
        for command in ["lock", "apply"] {
            env.run(&[command])
                .fails_with(2)
                .says("is forbidden at the site bih")
                .says("the site prohibits Anaconda's `defaults`; use conda-forge, bioconda")
                .says("lab.yaml:");
        }
    }
    assert!(!env.work().join("envs/lab.lock").exists());
}

#[test]
fn from_a_node_of_a_site_that_forbids_it_no_ssh_leads_onward() {
    let rule = "forbidden: {practices: {onward_hop: nothing leads on from here}}\n";
    let mut env = with_fake_slurm(rule);
    let far =
        "name: far\ntitle: far\nssh: {hops: [{hosts: [far.invalid]}]}\nscheduler: {slurm: {}}\n";
    fs_err::write(env.path("home/.config/envspec/sites/far.yaml"), far).unwrap();
    env.set("SLURM_JOB_ID", "7");
    for command in ["launch", "connect", "sessions", "stop", "doctor"] {
        env.run(&[command, "lab", "--site", "far"])
            .fails_with(2)
            .says("belongs to strict, and an ssh from there to far.invalid is one onward: nothing leads on from here")
            .says("type this on your laptop");
    }
    // A laptop that is called as a node is has no Slurm.
    for name in ["SLURM_JOB_ID", "SLURM_CONF"] {
        env.set(name, "");
    }
    env.run(&["sessions", "lab", "--site", "far"])
        .fails_with(6)
        .says("could not connect to far.invalid: far.invalid: the name is unknown")
        .says("check the name, your network and VPN");
}
