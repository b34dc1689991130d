//! What the forms look like, and that their readers accept them.

use std::collections::BTreeSet;

use super::{Case, file, has, pass};
use crate::recipe::{CommandLine, Endpoint, Format, Login, OuterHops, SshVersion, StepKind};
use crate::spec::{At, Launch, Span, WallTime};

fn cases() -> Vec<(&'static str, Case)> {
    let at = |value| {
        Some(At {
            value,
            span: Span { offset: 0, len: 0 },
        })
    };
    let mut gpu = Case::at("bih").user("hpc-login-1.cubi.bihealth.org", "muster_c");
    gpu.launch = Launch {
        time: at(WallTime(48 * 3_600)),
        gpus: Some(At {
            value: 1,
            span: Span { offset: 0, len: 0 },
        }),
        idle: at(WallTime(3_600)),
        ..Launch::default()
    };
    let mut old = Case::at("bih");
    old.ssh = SshVersion::Older;
    old.login = Login::Password;
    old.server = 2;
    vec![
        ("local", Case::at("local")),
        ("slurm", Case::at("slurm")),
        (
            "bih",
            Case::at("bih").user("hpc-login-2.cubi.bihealth.org", "muster_c"),
        ),
        ("bih_gpu", gpu),
        ("bih_old_ssh_password_second", old),
    ]
}

#[test]
fn the_forms_are_as_reviewed() {
    for (name, case) in cases() {
        let recipe = case.recipe();
        // The program of a script is a file of the source: only what differs is
        // held here.
        let start = |text: &str| {
            let cut = text.find("# --- from here on").unwrap();
            text[..cut].to_owned()
        };
        let mut shown = recipe.clone();
        shown.script.text = start(&recipe.script.text);
        insta::assert_snapshot!(format!("{name}_text"), recipe.render(Format::Text));
        insta::assert_snapshot!(format!("{name}_markdown"), shown.render(Format::Markdown));
        insta::assert_snapshot!(format!("{name}_json"), shown.render(Format::Json));
        insta::assert_snapshot!(
            format!("{name}_ssh_config"),
            recipe.render(Format::SshConfig)
        );
        insta::assert_snapshot!(
            format!("{name}_shell"),
            start(&recipe.render(Format::Shell))
        );
        insta::assert_snapshot!(format!("{name}_script"), start(&recipe.script.text));
    }
}

#[test]
fn generated_shell_is_accepted_by_bash_and_shellcheck() {
    for (_, case) in cases() {
        let recipe = case.recipe();
        for text in [recipe.render(Format::Shell), recipe.script.text.clone()] {
            pass("bash", &["-n"], &text);
            if has("shellcheck") {
                pass("shellcheck", &["--shell=bash"], &text);
            }
        }
        let lines: Vec<_> = recipe
            .steps
            .iter()
            .flat_map(|step| &step.commands)
            .map(CommandLine::quoted)
            .collect();
        pass("bash", &["-n"], &lines.join("\n"));
    }
}

/// What `ssh -G` makes of a host.
fn resolved(config: &str, host: &str) -> BTreeSet<String> {
    let config = file(config);
    let path = config.path().to_str().unwrap();
    let output = std::process::Command::new("ssh")
        .args(["-G", "-F", path, host])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

fn holds(settings: &BTreeSet<String>, wanted: &[&str]) {
    for line in wanted {
        assert!(settings.contains(*line), "no `{line}` in {settings:#?}");
    }
}

#[test]
fn ssh_finds_every_hop_of_the_config() {
    if !has("ssh") {
        return;
    }
    let case = Case::at("bih")
        .user("hpc-login-1.cubi.bihealth.org", "muster_c")
        .user("ssh1.mdc-berlin.de", "cmuster");
    let config = case.recipe().render(Format::SshConfig);
    let outer = resolved(&config, "envspec-site-bih+hop1");
    holds(
        &outer,
        &[
            "hostname ssh1.mdc-berlin.de",
            "user cmuster",
            "serveraliveinterval 15",
        ],
    );
    let login = resolved(&config, "envspec-site-bih");
    holds(
        &login,
        &[
            "hostname hpc-login-1.cubi.bihealth.org",
            "user muster_c",
            "proxyjump envspec-site-bih+hop1",
            "controlpersist 600",
        ],
    );
    let node = resolved(&config, "envspec-lab");
    holds(
        &node,
        &[
            "user muster_c",
            "proxyjump envspec-site-bih",
            "exitonforwardfailure yes",
            "controlmaster auto",
            "serveralivecountmax 3",
        ],
    );
    let handle = node
        .iter()
        .find_map(|line| line.strip_prefix("controlpath "))
        .unwrap();
    // ssh appends a suffix of 17 characters, and a socket's path has 104 on macOS.
    assert!(handle.ends_with(".tunnel") && handle.len() < 80, "{handle}");
}

#[test]
fn an_old_ssh_gets_a_proxy_command_and_a_port_in_place_of_a_socket() {
    let mut case = Case::at("bih");
    case.ssh = SshVersion::Older;
    let recipe = case.recipe();
    let config = recipe.render(Format::SshConfig);
    assert!(!config.contains("ProxyJump") && !config.contains("Include"));
    assert_eq!(recipe.endpoint, Endpoint::Port);
    if has("ssh") {
        let node = resolved(&config, "envspec-lab");
        holds(&node, &["proxycommand ssh -W %h:%p envspec-site-bih"]);
    }
}

#[test]
fn inside_the_sites_network_the_outer_hop_is_left_out() {
    let mut case = Case::at("bih");
    case.outer_hops = OuterHops::LeftOut;
    let config = case.recipe().render(Format::SshConfig);
    assert!(!config.contains("mdc-berlin"), "{config}");
    assert!(
        config.contains("HostName hpc-login-1.cubi.bihealth.org"),
        "{config}"
    );
}

#[test]
fn servers_of_one_environment_share_no_name_no_file_and_no_port() {
    let mut second = Case::at("slurm");
    second.server = 2;
    let (first, second) = (Case::at("slurm").recipe(), second.recipe());
    assert_ne!(first.session, second.session);
    assert_ne!(first.local_port, second.local_port);
    assert_ne!(first.endpoint_file, second.endpoint_file);
    assert_ne!(first.script.path, second.script.path);
    // An environment that is called like the other's second server.
    let mut lookalike = Case::at("slurm");
    lookalike.env = crate::spec::EnvName::new("lab-2").unwrap();
    assert_ne!(lookalike.recipe().session, second.session);
}

#[test]
fn a_socket_is_where_ssh_to_the_node_sees_it_and_its_path_fits() {
    assert_eq!(Case::at("slurm").recipe().endpoint, Endpoint::NodeSocket);
    assert_eq!(Case::at("local").recipe().endpoint, Endpoint::Port);
    let mut case = Case::at("bih");
    // 71 + "/sessions" + "/67108863-9999/server.sock" is 107 with the first one.
    case.root = format!("/{}", "r".repeat(71));
    assert_eq!(case.recipe().endpoint, Endpoint::SessionSocket);
    case.root.push('r');
    assert_eq!(case.recipe().endpoint, Endpoint::Port);
}

#[test]
fn an_interactive_job_that_the_site_forbids_is_not_offered() {
    let (_, case) = cases()
        .into_iter()
        .find(|(name, _)| *name == "bih_gpu")
        .unwrap();
    let recipe = case.recipe();
    let step = recipe
        .steps
        .iter()
        .find(|step| step.kind == StepKind::StartInteractively)
        .unwrap();
    assert!(step.commands.is_empty());
    assert!(
        step.note.as_ref().unwrap().contains("24") || step.note.as_ref().unwrap().contains("1-00")
    );
}

#[test]
fn no_form_asks_the_user_to_look_for_a_process() {
    for (_, case) in cases() {
        let recipe = case.recipe();
        for step in &recipe.steps {
            for command in &step.commands {
                let line = command.quoted();
                for word in ["ps ", "grep", "kill ", "pkill"] {
                    assert!(!line.contains(word), "{line}");
                }
            }
        }
    }
}

#[test]
fn a_commands_line_ends_without_a_full_stop() {
    for (_, case) in cases() {
        for step in case.recipe().steps {
            assert!(
                step.commands
                    .iter()
                    .all(|command| !command.quoted().ends_with('.'))
            );
            assert!(step.note.is_none_or(|note| !note.ends_with('.')));
        }
    }
}
