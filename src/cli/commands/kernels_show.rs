//! `envspec kernels show`: all that the catalogue knows of one kernel.

use serde::Serialize;

use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::say::{BOLD, styled, wrapped};
use crate::kernel::{
    Argv, Interrupt, InterruptMode, KernelDefinition, KernelId, KernelspecSource, State,
};
use crate::recipe;

use super::kernels_list::{Entry, catalogue, entry};

/// How wide a line of prose may be where a terminal is wider, or there is none.
const WIDTH: usize = 90;

/// Columns of the labels.
const LABEL: usize = 12;

/// The answer in JSON.
#[derive(Serialize)]
struct Shown<'a> {
    version: u32,
    kernel: Entry<'a>,
}

pub(super) fn run(app: &App<'_>, id: &str, json: bool, yaml: bool) -> Result<Exit, Failure> {
    let catalogue = catalogue(app)?;
    let definition = catalogue.get(id)?;
    if yaml {
        app.ui.answer(definition.text.trim_end())?;
    } else if json {
        app.ui.json(&Shown {
            version: 1,
            kernel: entry(&definition, &catalogue),
        })?;
    } else {
        let width = app.columns().map_or(WIDTH, |columns| columns.min(WIDTH));
        let file = catalogue.file(&definition.id);
        app.ui.answer(told(&definition, file, width))?;
    }
    Ok(Exit::Done)
}

/// What is known, in lines of so many columns.
fn told(definition: &KernelDefinition, file: Option<&str>, width: usize) -> String {
    let room = width.saturating_sub(LABEL + 2).max(20);
    let mut lines = vec![format!(
        "{}  {}",
        styled(BOLD, &definition.id),
        definition.summary
    )];
    let mut row = |label: &str, text: &str| {
        for (at, line) in wrapped(text, room).iter().enumerate() {
            let label = if at == 0 { label } else { "" };
            lines.push(format!("{label:>LABEL$}  {line}").trim_end().to_owned());
        }
    };
    let aliases: Vec<&str> = definition.aliases.iter().map(KernelId::as_str).collect();
    let packages = definition.packages.iter();
    let packages: Vec<&str> = packages.map(|package| package.text.as_str()).collect();
    if !aliases.is_empty() {
        row("also called", &aliases.join(", "));
    }
    row("language", &definition.language);
    row("state", state_text(definition.state, file.is_some()));
    row("packages", &packages.join(", "));
    for (at, text) in kernelspec(&definition.kernelspec).iter().enumerate() {
        row(if at == 0 { "kernelspec" } else { "" }, text);
    }
    if let Some(command) = &definition.add_packages {
        let first = command.words().first().map_or("", String::as_str);
        row(
            "more",
            &format!("`packages` of {} are added by {first}", definition.language),
        );
    }
    row("interrupts", &interrupts(definition, file.is_some()));
    let transport = if definition.ipc {
        "unix sockets in a private folder, or TCP"
    } else {
        "TCP"
    };
    row("channels", transport);
    row("homepage", definition.homepage.as_str());
    if let Some(attribute) = &definition.nixpkgs {
        row("nixpkgs", attribute);
    }
    if let Some(file) = file {
        row("file", file);
    }
    if let Some(notes) = &definition.notes {
        row("notes", notes.trim());
    }
    lines.join("\n")
}

/// How its kernelspec comes about: a sentence, then the commands.
fn kernelspec(source: &KernelspecSource) -> Vec<String> {
    let dir = source.dir().as_str();
    match source {
        KernelspecSource::Shipped { .. } => vec![format!("{dir}, shipped by the packages")],
        KernelspecSource::PostLink { package, .. } => vec![format!(
            "{dir}, made by the post-link script of {}, which is run at `apply`",
            package.as_normalized()
        )],
        KernelspecSource::Installer(installer) => {
            let commands = installer.commands.iter().map(command);
            let head = format!("{dir}, made at `apply` unless a package ships it:");
            std::iter::once(head).chain(commands).collect()
        }
        KernelspecSource::Written { argv, .. } => vec![
            format!("{dir}, written by envspec; it starts:"),
            command(argv),
        ],
    }
}

/// A command as a shell would have to be given it.
fn command(argv: &Argv) -> String {
    let words = argv.words().iter().map(|word| recipe::quote(word));
    words.collect::<Vec<_>>().join(" ")
}

fn interrupts(definition: &KernelDefinition, is_own: bool) -> String {
    if let Interrupt::Unsupported(reason) = &definition.interrupt {
        return format!("no: {reason}");
    }
    let seen = match (definition.state, is_own) {
        (State::Tested, false) => "yes",
        (_, false) => "expected, not seen by envspec's tests",
        (_, true) => "see for yourself: envspec kernels test",
    };
    match definition.interrupt_mode {
        Some(InterruptMode::Message) => format!("{seen}; by a message"),
        _ => seen.to_owned(),
    }
}

/// What is known of a kernel. Of one of the user's own only its file says so.
fn state_text(state: State, is_own: bool) -> &'static str {
    match state {
        State::Tested if is_own => "tested: so its file says",
        State::Tested => "tested: installed and run by envspec's tests",
        State::RecipeOnly => "recipe: written from the package's recipe and source, not run",
        State::NeedsNetwork => {
            "network: what makes its kernelspec downloads from outside conda's channels"
        }
        State::Licensed => "licensed: runs a program that has to be bought and is in no package",
        State::Obsolete => "obsolete: its project has ended, or no package of it works",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Catalogue;

    fn shown(id: &str, width: usize) -> String {
        let kernel = Catalogue::builtin().get(id).unwrap();
        anstream::adapter::strip_str(&told(&kernel, None, width)).to_string()
    }

    #[test]
    fn each_way_to_a_kernelspec_is_told() {
        insta::assert_snapshot!("shown_shipped", shown("ir", 80));
        insta::assert_snapshot!("shown_post_link", shown("evcxr", 80));
        insta::assert_snapshot!("shown_installer", shown("tslab", 80));
    }

    #[test]
    fn one_that_envspec_writes_shows_what_it_starts() {
        let text = Catalogue::builtin().get("lua").unwrap().text.replace(
            "shipped: {dir: xlua}",
            "written: {dir: xlua, argv: [xlua, --very well, \"{connection_file}\"]}",
        );
        let kernel = KernelDefinition::parse("lua.yaml", &text).unwrap();
        let told = told(&kernel, Some("envs/kernels/lua.yaml"), 80);
        assert!(
            told.contains("xlua, written by envspec; it starts:\n"),
            "{told}"
        );
        assert!(told.contains("xlua '--very well' "), "{told}");
        assert!(
            told.contains("        file  envs/kernels/lua.yaml"),
            "{told}"
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for kernel in Catalogue::builtin().iter() {
            let told = told(kernel, None, 80);
            let told = anstream::adapter::strip_str(&told).to_string();
            for line in told.lines() {
                // One word may be: an address, a path.
                let is_one_word = line.split_whitespace().count() <= 2;
                assert!(line.chars().count() <= 80 || is_one_word, "{line}");
            }
            assert!(told.contains(kernel.homepage.as_str()));
        }
    }
}
