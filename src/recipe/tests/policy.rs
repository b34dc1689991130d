//! What a site forbids is in no recipe, and the form that is run refuses it.

use std::path::Path;
use std::process::Command;

use super::{Case, pass};
use crate::recipe::{Format, Login, Recipe, SshVersion, StepKind, Where};
use crate::site::Sites;
use crate::spec::{At, Span, WallTime};

/// A place where the shell form runs: with the root of the recipe, and programs
/// that write down that they were run.
struct Place {
    folder: tempfile::TempDir,
    case: Case,
}

impl Place {
    fn of(site: &str, programs: &[&str]) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        for name in ["bin", "root", "home"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        // No more than that: this machine may have a Slurm.
        for program in ["bash", "cat", "grep", "mkdir", "mv", "tail", "sh", "uname"] {
            let program = Path::new("/usr/bin").join(program);
            let link = folder.path().join("bin").join(program.file_name().unwrap());
            std::os::unix::fs::symlink(program, link).unwrap();
        }
        for program in programs {
            let path = folder.path().join("bin").join(program);
            std::fs::write(&path, "#!/bin/sh\necho \"${0##*/} $*\" >>\"$HOME/ran\"\n# Else who writes to it is told that nobody reads.\nwhile read -r _; do :; done\n").unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut case = Case::at(site);
        case.root = folder.path().join("root").to_str().unwrap().to_owned();
        Self { folder, case }
    }

    fn has_slurm(&self) -> bool {
        self.folder.path().join("bin/sbatch").exists()
    }

    /// What a word says when it is refused, or what it ran.
    fn word(&self, word: &str, job: Option<&str>) -> Result<String, String> {
        let form = self.folder.path().join("form.sh");
        std::fs::write(&form, self.case.recipe().render(Format::Shell)).unwrap();
        let home = self.folder.path().join("home");
        let ran = home.join("ran");
        drop(std::fs::remove_file(&ran));
        let output = Command::new("/usr/bin/bash")
            .arg(&form)
            .arg(word)
            .env_clear()
            .env("PATH", self.folder.path().join("bin"))
            .env("HOME", &home)
            .envs(
                self.has_slurm()
                    .then_some(("SLURM_CONF", "/etc/slurm.conf")),
            )
            .envs(job.map(|job| ("SLURM_JOB_ID", job)))
            .output()
            .unwrap();
        let ran = std::fs::read_to_string(&ran).unwrap_or_default();
        if output.status.success() {
            return Ok(ran);
        }
        assert_eq!(ran, "", "something was run before the refusal");
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

#[test]
fn an_interactive_job_with_a_gpu_that_the_site_would_end_is_refused_with_its_reason() {
    let mut place = Place::of("bih", &["sbatch", "screen"]);
    let span = Span { offset: 0, len: 0 };
    place.case.launch.gpus = Some(At { value: 1, span });
    let hours = |hours: u64| {
        Some(At {
            value: WallTime(hours * 3600),
            span,
        })
    };
    place.case.launch.time = hours(25);
    let said = place.word("interactive", None).unwrap_err();
    let reason = "bih ends interactive jobs with a GPU after 1-00:00:00, this one asks 1-01:00:00";
    assert!(
        said.contains(reason) && said.contains("bash ") && said.contains(" start"),
        "{said}"
    );
    assert!(
        place
            .word("start", None)
            .unwrap()
            .starts_with("sbatch --output=")
    );
    place.case.launch.time = hours(24);
    assert!(
        place
            .word("interactive", None)
            .unwrap()
            .starts_with("screen -S envspec-lab srun --pty ")
    );
}

#[test]
fn inside_a_job_no_screen_is_opened_and_no_ssh_leads_out_of_the_cluster() {
    let place = Place::of("bih", &["sbatch", "screen"]);
    let said = place.word("interactive", Some("7")).unwrap_err();
    let reason =
        "inside job 7, and screen and tmux belong on the login nodes, not on compute nodes";
    assert!(
        said.contains(reason) && said.contains("type it on the login node"),
        "{said}"
    );
    // A job may submit another one.
    assert!(
        place
            .word("start", Some("7"))
            .unwrap()
            .starts_with("sbatch ")
    );
    // srun would take this job's cores, whatever the site says.
    let free = Place::of("slurm", &["sbatch", "screen"]);
    assert!(
        free.word("interactive", Some("7"))
            .unwrap_err()
            .contains("inside job 7; type it")
    );

    // A node without sbatch, and a laptop.
    let place = Place::of("bih", &["ssh"]);
    for word in ["start", "where", "stop", "connect"] {
        let said = place.word(word, Some("7")).unwrap_err();
        assert!(
            said.contains("hopping onward, out of the cluster, is prohibited"),
            "{said}"
        );
    }
    assert!(place.word("start", None).unwrap().starts_with("ssh "));
}

#[test]
fn no_form_leads_backwards_listens_for_others_or_opens_a_screen_on_a_node() {
    let sites = Sites::builtin();
    for site in sites.names() {
        for (login, ssh) in [
            (Login::Token, SshVersion::Since7_3),
            (Login::Password, SshVersion::Older),
        ] {
            let mut case = Case::at(site);
            (case.login, case.ssh) = (login, ssh);
            let recipe = case.recipe();
            for format in [
                Format::Text,
                Format::Markdown,
                Format::Shell,
                Format::Json,
                Format::SshConfig,
            ] {
                let text = recipe.render(format);
                let words: Vec<&str> = text
                    .split(|c: char| c.is_whitespace() || "'\"".contains(c))
                    .collect();
                for forbidden in [
                    "-R",
                    "-g",
                    "-D",
                    "RemoteForward",
                    "DynamicForward",
                    "GatewayPorts",
                    "-A",
                    "ForwardAgent",
                ] {
                    assert!(
                        !words.contains(&forbidden),
                        "{site} {format:?} has {forbidden}"
                    );
                }
                assert!(!text.contains("0.0.0.0"), "{site} {format:?}");
            }
            screens_are_the_login_nodes(&recipe);
            if Path::new("/usr/bin/ssh").exists() && !recipe.ssh_config.is_empty() {
                let hosts = recipe
                    .ssh_config
                    .lines()
                    .filter_map(|line| line.strip_prefix("Host "));
                for host in hosts {
                    // Not the user's own config and not the machine's.
                    let read = pass_ssh(&recipe.ssh_config, host);
                    assert!(
                        !read.contains("remoteforward") && read.contains("gatewayports no"),
                        "{read}"
                    );
                }
            }
        }
    }
}

fn screens_are_the_login_nodes(recipe: &Recipe) {
    for step in &recipe.steps {
        for command in &step.commands {
            let command = command.quoted();
            if command.contains("screen") {
                assert!(
                    command.starts_with("screen -S ") && step.place == Where::LoginNode,
                    "{command}"
                );
                assert!(matches!(
                    step.kind,
                    StepKind::Start | StepKind::StartInteractively
                ));
            }
        }
    }
}

/// What ssh makes of a config for a host.
fn pass_ssh(config: &str, host: &str) -> String {
    pass("ssh", &["-G", host, "-F"], config)
}

#[test]
fn what_a_login_node_answers_is_no_command_of_the_laptop() {
    let place = Place::of("slurm", &["ssh"]);
    let ssh = place.folder.path().join("bin/ssh");
    for (node, at) in [
        ("$({touch,ran})", "127.0.0.1:1"),
        ("-oProxyCommand=id", "127.0.0.1:1"),
        ("med0101", "-L1:a:2"),
    ] {
        let answer = format!("#!/bin/sh\nwhile read -r _; do :; done\necho '{node} {at}'\n");
        std::fs::write(&ssh, answer).unwrap();
        let said = place.word("connect", None).unwrap_err();
        let is_told = said.contains("is no name of a node") || said.contains("is no place where");
        assert!(is_told, "{said}");
    }
}
