//! The form that is run: one script for laptop and login node, with a word for
//! each step (`start`, `where`, `connect`, …).
//!
//! Like the start script it is assignments followed by a program without holes,
//! `session.sh`. The start script and the ssh config travel in it as quoted
//! here-documents, in which a shell expands nothing.

use crate::recipe::model::ScriptFile;
use crate::recipe::request::{Facts, Login, Place};
use crate::recipe::shell::{Word, join, quote};
use crate::recipe::ssh::{self, ConfigFile};
use crate::recipe::steps::{Commands, line};
use crate::site::{InteractiveForm, Line, Practice};

/// The part that is the same for every session.
const PROGRAM: &str = include_str!("session.sh");

/// The script.
pub(in crate::recipe) fn script(facts: &Facts<'_>, start: &ScriptFile) -> String {
    let commands = Commands::new(facts);
    let place = match facts.place {
        Place::Here => "here",
        Place::LastHop => "last_hop",
        Place::Node => "node",
    };
    let login_with = match facts.asked.login {
        Login::Token => "token",
        Login::Password => "password",
    };
    let folder = start
        .path
        .rsplit_once('/')
        .map_or("/", |(folder, _)| folder);
    let words = |words: &[&str]| join(&words.iter().map(|w| Word::text(*w)).collect::<Vec<_>>());
    // The new text is complete before it takes the old one's place.
    let new = format!("{}.new", start.path);
    let store = format!(
        "umask 077 && {} && cat > {} && {}",
        words(&["mkdir", "-p", "--", folder]),
        quote(&new),
        words(&["mv", "-f", "--", &new, &start.path]),
    );
    let mut text = String::from("#!/usr/bin/env bash\n");
    put!(
        text,
        "# Jupyter of {} on {}.\n",
        facts.asked.env,
        facts.asked.site.title
    );
    let not_interactive = match &facts.asked.launch.interactive {
        InteractiveForm::Allowed => "",
        InteractiveForm::Forbidden(reason) => reason.as_str(),
    };
    let practice = |practice| facts.asked.site.forbids(practice).map_or("", Line::as_str);
    for (name, value) in [
        ("session", facts.session.as_str()),
        ("place", place),
        ("login", facts.login().unwrap_or_default()),
        ("login_hosts", &login_hosts(facts)),
        ("login_with", login_with),
        ("local_port", &facts.local_port.to_string()),
        ("url", &facts.url()),
        ("config", &ssh::own_file(facts)),
        ("start_script", &start.path),
        ("not_interactive", not_interactive),
        ("no_screen_on_node", practice(Practice::ScreenOnNode)),
        ("no_onward_hop", practice(Practice::OnwardHop)),
    ] {
        put!(text, "{name}={}\n", quote(value));
    }
    text.push_str("# Commands for the machine where the session is started.\n");
    let nodes = words(&[
        "squeue",
        "--me",
        &format!("--name={}", facts.session),
        "--noheader",
    ]);
    for (name, command) in [
        ("store", store),
        ("submit", line(&commands.submit)),
        ("interactive", line(&commands.interactive)),
        ("queue", line(&commands.queue)),
        ("running", format!("{nodes} --states=RUNNING --format=%N")),
        ("endpoint", line(&commands.where_is_it)),
        ("token", line(&commands.token)),
        ("cancel", line(&commands.cancel)),
    ] {
        put!(text, "{name}={}\n", quote(&command));
    }
    document(&mut text, "start_script_text", &start.text);
    document(
        &mut text,
        "ssh_config_text",
        &ssh::config(facts, ConfigFile::Own),
    );
    text.push_str(PROGRAM);
    text
}

/// How the login nodes call themselves: their names up to the first dot.
fn login_hosts(facts: &Facts<'_>) -> String {
    let hosts = facts
        .asked
        .site
        .login()
        .into_iter()
        .flat_map(|hop| &hop.hosts);
    let labels: Vec<_> = hosts
        .filter_map(|host| host.as_str().split('.').next())
        .collect();
    labels.join(" ")
}

/// A function that prints a text. No line of the text can be the delimiter: all
/// that a user has written stands inside a quoted word behind a name and `=`, or
/// in a comment.
fn document(out: &mut String, name: &str, text: &str) {
    let delimiter = format!("END_OF_{}", name.to_uppercase());
    put!(out, "{name}() {{\n  cat <<'{delimiter}'\n{text}");
    if !text.is_empty() && !text.ends_with('\n') {
        out.push('\n');
    }
    put!(out, "{delimiter}\n}}\n");
}
