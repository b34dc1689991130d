//! The script that starts a server: what differs from session to session,
//! followed by `config.py`, `probe.py` and `server.sh`, which never do.
//!
//! The values are assignments to shell variables, each one quoted word; the
//! program below them has no holes to fill. Slurm's own options are comments of
//! the script, and hold only numbers and names whose characters are checked.

use super::request::{Endpoint, Facts, Login, Place};
use super::shell::quote;
use crate::lock::Need;
use crate::spec::Interface;

/// The part that is the same for every session: two programs of Python as
/// functions that print them, and what uses them.
const PROGRAM: &str = concat!(
    "# --- from here on the script is the same for every session ---------------------\n",
    "config() { cat <<'END_OF_PYTHON'\n",
    include_str!("config.py"),
    "END_OF_PYTHON\n}\nprobe() { cat <<'END_OF_PYTHON'\n",
    include_str!("probe.py"),
    "END_OF_PYTHON\n}\n",
    include_str!("server.sh")
);

/// What the packages need of the node, a line each: what it is, the lowest version (or
/// `-`, or the name of a microarchitecture), whether it must be there, and who needs it.
/// Only what a shell can find out.
fn needs(needs: &[Need]) -> String {
    let line = |need: &Need| {
        let what = need.what();
        let least = match (what.as_str(), need.architecture(), need.least()) {
            ("archspec", Some(name), _) if name.starts_with("x86_64_v") => name,
            // For `sort -V`, to which 2.34 is older than 2.34.0.
            ("glibc" | "cuda" | "linux", None, Some(least)) => {
                least.to_string().trim_end_matches(".0").to_owned()
            }
            ("cuda", None, None) => "-".to_owned(),
            _ => return None,
        };
        let must = if need.if_there { "may" } else { "must" };
        Some(format!("{what} {least} {must} {}", need.by))
    };
    let lines: Vec<String> = needs.iter().filter_map(line).collect();
    lines.join("\n")
}

/// The script.
pub(super) fn script(facts: &Facts<'_>) -> String {
    let asked = &facts.asked;
    let launch = asked.launch;
    let mut text = String::from("#!/bin/bash\n");
    if facts.place == Place::Node {
        for option in facts.resources() {
            put!(text, "#SBATCH {option}\n");
        }
        // The shell of the script is told two minutes before the end; a requeue
        // goes on in the same log.
        text.push_str("#SBATCH --signal=B:TERM@120\n#SBATCH --open-mode=append\n");
    }
    put!(
        text,
        "# Starts Jupyter for the environment {}.\n",
        asked.env
    );
    let endpoint = match facts.endpoint {
        Endpoint::NodeSocket => "node_socket",
        Endpoint::SessionSocket => "session_socket",
        Endpoint::Port => "port",
    };
    let scheduler = match facts.place {
        Place::Node => "slurm",
        Place::Here | Place::LastHop => "none",
    };
    let interface = match launch.interface {
        Interface::Lab => "lab",
        Interface::Notebook => "notebook",
        Interface::Server => "server",
    };
    let login = match asked.login {
        Login::Token => "token",
        Login::Password => "password",
    };
    let announce = match facts.place {
        Place::Here => "url",
        Place::LastHop | Place::Node => "nothing",
    };
    let idle = launch.idle.map_or(0, |time| time.0);
    for (name, value) in [
        ("generation", asked.generation.trim_end_matches('/')),
        ("environment", asked.env.as_str()),
        ("session", &facts.session),
        ("sessions", &facts.sessions),
        ("scheduler", scheduler),
        ("endpoint", endpoint),
        ("port", &facts.local_port.to_string()),
        ("interface", interface),
        ("url_path", facts.url_path()),
        ("announce", announce),
        ("root_dir", launch.root_dir.as_deref().unwrap_or_default()),
        ("idle", &idle.to_string()),
        ("login", login),
        ("needs", &needs(asked.needs)),
    ] {
        put!(text, "{name}={}\n", quote(value));
    }
    text.push_str("variables=(\n");
    for (name, value) in asked.variables {
        put!(text, "  {}\n", quote(&format!("{name}={value}")));
    }
    text.push_str(")\n");
    text.push_str(PROGRAM);
    text
}
