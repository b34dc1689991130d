//! `envspec kernels list`: the catalogue, and a kernel of it as JSON has it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::ValueEnum;
use serde::Serialize;

use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::say::{Cut, table, table_within};
use crate::kernel::{
    Argv, Catalogue, Interrupt, InterruptMode, KernelDefinition, KernelId, KernelspecSource, State,
    is_language,
};

/// A state as the command line writes it, which is as a definition does.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum StateWanted {
    /// Installed and run by the tests
    Tested,
    /// Written from the package's recipe, not run
    RecipeOnly,
    /// Its installer downloads from outside conda's channels
    NeedsNetwork,
    /// Runs a program that has to be bought
    Licensed,
    /// Its project has ended, or no package of it works
    Obsolete,
}

impl From<StateWanted> for State {
    fn from(wanted: StateWanted) -> Self {
        match wanted {
            StateWanted::Tested => Self::Tested,
            StateWanted::RecipeOnly => Self::RecipeOnly,
            StateWanted::NeedsNetwork => Self::NeedsNetwork,
            StateWanted::Licensed => Self::Licensed,
            StateWanted::Obsolete => Self::Obsolete,
        }
    }
}

/// The kernels that there are where envspec runs: those beside its specs too.
pub(super) fn catalogue(app: &App<'_>) -> Result<Catalogue, Failure> {
    app.catalogue_beside(Path::new("envs"))
}

/// The answer in JSON.
#[derive(Serialize)]
pub(super) struct Answer<T> {
    pub(super) version: u32,
    pub(super) kernels: Vec<T>,
}

/// A kernel of the catalogue in JSON.
#[derive(Serialize)]
pub(super) struct Entry<'a> {
    pub(super) id: &'a str,
    pub(super) aliases: Vec<&'a str>,
    pub(super) language: &'a str,
    pub(super) display_name: &'a str,
    pub(super) summary: &'a str,
    pub(super) homepage: &'a str,
    pub(super) packages: Vec<&'a str>,
    pub(super) kernelspec: String,
    pub(super) source: Source<'a>,
    pub(super) state: State,
    pub(super) add_packages: Option<&'a [String]>,
    pub(super) env: &'a BTreeMap<String, String>,
    pub(super) smoke: Cell<'a>,
    pub(super) interrupts: bool,
    /// The cell that is interrupted to see that it can be.
    pub(super) interrupt_cell: Option<&'a str>,
    /// Why it can't be interrupted.
    pub(super) not_interruptible: Option<&'a str>,
    /// Set where the kernelspec's own is wrong.
    pub(super) interrupt_mode: Option<InterruptMode>,
    pub(super) ipc: bool,
    pub(super) nixpkgs: Option<&'a str>,
    pub(super) notes: Option<&'a str>,
    /// The file that it comes from; none if it is built in.
    pub(super) file: Option<&'a str>,
}

/// A cell, and what it has to give.
#[derive(Serialize)]
pub(super) struct Cell<'a> {
    code: &'a str,
    expect: &'a str,
}

/// How its kernelspec comes about, in JSON.
#[derive(Serialize)]
#[serde(tag = "way", rename_all = "kebab-case")]
pub(super) enum Source<'a> {
    Shipped {
        dir: &'a str,
    },
    PostLink {
        dir: &'a str,
        package: &'a str,
    },
    Installer {
        dir: &'a str,
        commands: Vec<&'a [String]>,
        env: &'a BTreeMap<String, String>,
        inherit: &'a [String],
        seconds: u32,
    },
    Written {
        dir: &'a str,
        argv: &'a [String],
    },
}

pub(super) fn entry<'a>(definition: &'a KernelDefinition, catalogue: &'a Catalogue) -> Entry<'a> {
    let packages = definition.packages.iter();
    let aliases = definition.aliases.iter();
    let (interrupt_cell, not_interruptible) = match &definition.interrupt {
        Interrupt::Cell(cell) => (Some(cell.as_str()), None),
        Interrupt::Unsupported(reason) => (None, Some(reason.as_str())),
    };
    Entry {
        id: definition.id.as_str(),
        aliases: aliases.map(KernelId::as_str).collect(),
        language: &definition.language,
        display_name: &definition.display_name,
        summary: &definition.summary,
        homepage: definition.homepage.as_str(),
        packages: packages.map(|package| package.text.as_str()).collect(),
        kernelspec: definition.kernelspec.to_string(),
        source: source(&definition.kernelspec),
        state: definition.state,
        add_packages: definition.add_packages.as_ref().map(Argv::words),
        env: &definition.env,
        smoke: Cell {
            code: &definition.smoke.code,
            expect: &definition.smoke.expect,
        },
        interrupts: interrupt_cell.is_some(),
        interrupt_cell,
        not_interruptible,
        interrupt_mode: definition.interrupt_mode,
        ipc: definition.ipc,
        nixpkgs: definition.nixpkgs.as_deref(),
        notes: definition.notes.as_deref().map(str::trim),
        file: catalogue.file(&definition.id),
    }
}

fn source(source: &KernelspecSource) -> Source<'_> {
    let dir = source.dir().as_str();
    match source {
        KernelspecSource::Shipped { .. } => Source::Shipped { dir },
        KernelspecSource::PostLink { package, .. } => Source::PostLink {
            dir,
            package: package.as_normalized(),
        },
        KernelspecSource::Installer(installer) => Source::Installer {
            dir,
            commands: installer.commands.iter().map(Argv::words).collect(),
            env: &installer.env,
            inherit: &installer.inherit,
            seconds: installer.seconds,
        },
        KernelspecSource::Written { argv, .. } => Source::Written {
            dir,
            argv: argv.words(),
        },
    }
}

pub(super) fn run(
    app: &App<'_>,
    language: Option<&str>,
    state: Option<State>,
    json: bool,
) -> Result<Exit, Failure> {
    let catalogue = catalogue(app)?;
    let of_language: Vec<&KernelDefinition> = catalogue
        .iter()
        .filter(|kernel| language.is_none_or(|wanted| is_language(&kernel.language, wanted)))
        .collect();
    let entries: Vec<Entry<'_>> = of_language
        .iter()
        .filter(|kernel| state.is_none_or(|wanted| kernel.state == wanted))
        .map(|kernel| entry(kernel, &catalogue))
        .collect();
    if json {
        app.ui.json(&Answer {
            version: 1,
            kernels: entries,
        })?;
        return Ok(Exit::Done);
    }
    if entries.is_empty() {
        return Err(none_left(&catalogue, language, &of_language));
    }
    app.ui.answer(listed(&entries, app.columns()))?;
    Ok(Exit::Done)
}

/// Nothing is left of the catalogue.
fn none_left(
    catalogue: &Catalogue,
    language: Option<&str>,
    of_language: &[&KernelDefinition],
) -> Failure {
    let names = |kernels: &mut dyn Iterator<Item = &str>| {
        let names: BTreeSet<&str> = kernels.collect();
        names.into_iter().collect::<Vec<_>>().join(", ")
    };
    match language {
        Some(language) if of_language.is_empty() => Failure::usage(
            format!("no kernel for the language {language}"),
            format!(
                "there are kernels for {}",
                names(&mut catalogue.iter().map(|kernel| kernel.language.as_str()))
            ),
        ),
        Some(language) => Failure::usage(
            format!("no kernel for {language} is in that state"),
            format!(
                "there are for that language: {}",
                names(&mut of_language.iter().map(|kernel| kernel.id.as_str()))
            ),
        ),
        None => Failure::usage(
            "no kernel is in that state",
            "`envspec kernels list` shows those that there are",
        ),
    }
}

/// The fewest columns that the packages are worth showing in.
const PACKAGES: usize = 16;

/// The table, in so many columns: the packages go where there is no room for them, what
/// is cut ends in `…`.
fn listed(entries: &[Entry<'_>], columns: Option<usize>) -> String {
    let rows: Vec<[String; 5]> = entries
        .iter()
        .map(|entry| {
            let what = match entry.file {
                Some(file) => format!("{file}: {}", entry.summary),
                None => entry.summary.to_owned(),
            };
            let state = state_word(entry.state).to_owned();
            let packages = entry.packages.join(", ");
            [
                entry.id.to_owned(),
                entry.language.to_owned(),
                state,
                packages,
                what,
            ]
        })
        .collect();
    let head = ["kernel", "language", "state", "packages", "what"];
    let Some(columns) = columns else {
        return table(&head, rows.into_iter().map(Vec::from));
    };
    let widest = |at: usize| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells.chain([head[at].len()]).max().unwrap_or(0)
    };
    let fixed: usize = (0..3).map(|at| widest(at) + 2).sum();
    let rest = columns.saturating_sub(fixed);
    // A long path in front of a summary is nothing to give the packages up for.
    let built_in = entries.iter().filter(|entry| entry.file.is_none());
    let built_in = built_in.map(|entry| entry.summary.chars().count());
    let what = built_in.max().unwrap_or(widest(4)).max(PACKAGES);
    if rest >= what + 2 + PACKAGES {
        let packages = widest(3).min(rest - what - 2);
        let cuts = [
            Cut {
                column: 3,
                width: packages,
            },
            Cut {
                column: 4,
                width: rest - packages - 2,
            },
        ];
        return table_within(&head, rows.into_iter().map(Vec::from), &cuts);
    }
    let head = [head[0], head[1], head[2], head[4]];
    let rows = rows
        .into_iter()
        .map(|[id, language, state, _, what]| vec![id, language, state, what]);
    let cut = Cut {
        column: 3,
        width: rest.max(PACKAGES),
    };
    table_within(&head, rows, &[cut])
}

/// A state in a word, for a table.
fn state_word(state: State) -> &'static str {
    match state {
        State::Tested => "tested",
        State::RecipeOnly => "recipe",
        State::NeedsNetwork => "network",
        State::Licensed => "licensed",
        State::Obsolete => "obsolete",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of some kernels, in so many columns.
    fn table_of(catalogue: &Catalogue, columns: Option<usize>) -> Vec<String> {
        let entries: Vec<_> = catalogue.iter().map(|one| entry(one, catalogue)).collect();
        let plain = anstream::adapter::strip_str(&listed(&entries, columns)).to_string();
        plain.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_terminal_of_80_columns_shows_all_of_each_kernel_but_the_packages() {
        let catalogue = Catalogue::builtin();
        let lines = table_of(&catalogue, Some(80));
        assert_eq!(lines.len(), catalogue.ids().count() + 1);
        for (line, kernel) in lines[1..].iter().zip(catalogue.iter()) {
            assert!(line.chars().count() <= 80, "{line}");
            assert!(line.starts_with(kernel.id.as_str()), "{line}");
            assert!(line.ends_with(&kernel.summary), "cut: {line}");
        }
    }

    #[test]
    fn with_100_columns_come_the_packages_and_all_of_them_where_it_is_no_terminal() {
        let catalogue = Catalogue::builtin();
        let lines = table_of(&catalogue, Some(100));
        assert!(lines[0].contains("packages"), "{}", lines[0]);
        assert!(lines.iter().all(|line| line.chars().count() <= 100));
        let row = |lines: &[String], id: &str| {
            let begin = format!("{id} ");
            let row = lines.iter().find(|line| line.starts_with(&begin));
            row.unwrap().clone()
        };
        assert!(row(&lines, "rust").contains("evcxr  "));
        assert!(row(&lines, "javascript").contains('…'));
        let whole = table_of(&catalogue, None);
        assert!(row(&whole, "javascript").contains("cxx-compiler, make, zeromq"));
        assert!(whole.iter().all(|line| !line.contains('…')));
    }

    #[test]
    fn a_definition_of_ones_own_is_told_by_its_file() {
        let text = Catalogue::builtin().get("lua").unwrap().text.clone();
        let text = text
            .replace("id: lua", "id: mine")
            .replace("aliases: [xlua, xeus-lua]\n", "");
        let file = "envs/kernels/mine.yaml";
        let catalogue = Catalogue::with_overrides([(file, text)]).unwrap();
        for columns in [Some(80), Some(100), Some(20)] {
            let lines = table_of(&catalogue, columns);
            let mine = lines.iter().find(|line| line.starts_with("mine ")).unwrap();
            assert!(mine.contains("envs/kernels/"), "{mine}");
        }
    }
}
