//! The forms of a recipe that are read: terminal text, Markdown, JSON. The form
//! that is run is in [`shell`].
//!
//! A command stands alone on its line, without a prompt and a full stop, so that
//! a triple click copies it. Nothing is wrapped: a wrapped command is two.

pub(super) mod shell;

use super::model::{Recipe, Step, StepKind, Where};
use super::shell::CommandLine;

/// For a terminal: no wider than its commands, no longer than needed.
pub(super) fn text(recipe: &Recipe) -> String {
    let mut out = format!("Jupyter of {} on {}\n", recipe.env, recipe.site_title);
    if !recipe.kernels.is_empty() {
        put!(out, "Kernels: {}\n", recipe.kernels.join(", "));
    }
    for (label, step) in labelled(&recipe.steps) {
        put!(out, "\n{label}{}", step.title);
        put!(
            out,
            "  [{}]",
            place(recipe, step.place).trim_start_matches("the ")
        );
        out.push('\n');
        for command in &step.commands {
            put!(out, "    {}\n", command.quoted());
        }
        if let Some(note) = &step.note {
            put!(out, "  {note}\n");
        }
    }
    if !recipe.ssh_config.is_empty() {
        out.push_str("\nFor ~/.ssh/config  [laptop]\n\n");
        out.push_str(&recipe.ssh_config);
    }
    if !recipe.notes.is_empty() {
        out.push_str("\nThe site says\n");
        for note in &recipe.notes {
            put!(out, "  {note}\n");
        }
    }
    out
}

/// For a wiki; the start script is in it, because its readers have no envspec.
pub(super) fn markdown(recipe: &Recipe) -> String {
    let mut out = format!(
        "# Jupyter of {} on {}\n",
        recipe.env,
        escaped(&recipe.site_title)
    );
    if !recipe.kernels.is_empty() {
        put!(out, "\nKernels: {}\n", escaped(&recipe.kernels.join(", ")));
    }
    for (label, step) in labelled(&recipe.steps) {
        put!(out, "\n## {label}{}\n", escaped(&step.title));
        if !step.commands.is_empty() {
            put!(out, "\nOn {}:\n", place(recipe, step.place));
            let lines: Vec<_> = step.commands.iter().map(CommandLine::quoted).collect();
            block(&mut out, "bash", &lines.join("\n"));
        }
        if let Some(note) = &step.note {
            put!(out, "\n{}.\n", escaped(note));
        }
    }
    if !recipe.ssh_config.is_empty() {
        out.push_str("\n## For `~/.ssh/config` on the laptop\n");
        block(&mut out, "sshconfig", recipe.ssh_config.trim_end());
    }
    if !recipe.notes.is_empty() {
        out.push_str("\n## The site says\n\n");
        for note in &recipe.notes {
            put!(out, "- {}\n", escaped(note));
        }
    }
    out.push_str("\n## The start script\n");
    out.push_str("\nIt belongs into a folder that only you can read, at this path:\n");
    block(&mut out, "text", &recipe.script.path);
    block(&mut out, "bash", recipe.script.text.trim_end());
    out
}

/// For programs.
pub(super) fn json(recipe: &Recipe) -> String {
    let mut out = serde_json::to_string_pretty(recipe)
        .expect("a recipe has only text keys and no type of its own that fails");
    out.push('\n');
    out
}

/// The steps with what stands before their titles: a number for those that are
/// done every time in this order.
fn labelled(steps: &[Step]) -> impl Iterator<Item = (String, &Step)> {
    let mut number = 0;
    steps.iter().map(move |step| match step.kind {
        StepKind::Start | StepKind::Wait | StepKind::Connect | StepKind::Open => {
            number += 1;
            (format!("{number}. "), step)
        }
        StepKind::Prepare | StepKind::StartInteractively | StepKind::Reconnect | StepKind::End => {
            (String::new(), step)
        }
    })
}

fn place(recipe: &Recipe, place: Where) -> &'static str {
    match place {
        Where::Laptop if recipe.ssh_config.is_empty() => "this machine",
        Where::Laptop => "the laptop",
        Where::LoginNode => "the login node",
    }
}

/// A fenced block whose fence is longer than any run of backticks in it.
fn block(out: &mut String, language: &str, text: &str) {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(3.max(longest + 1));
    put!(out, "\n{fence}{language}\n{text}\n{fence}\n");
}

/// Text of a site or of a path as Markdown shows it unchanged.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if "\\`*_[]<>#|&".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
