//! `envspec list`: environments and their generations.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::apply::Commits;
use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::say::{FAINT, bytes, causes, counted, table};
use crate::spec::EnvName;
use crate::store::{self, Generation, Root, Space, Tally};

/// List environments and their generations
///
/// The commit is the first that holds spec and lock as they were; with a `+` behind
/// it there is none yet, and it is the one that was checked out.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Only this environment
    name: Option<String>,

    /// Measure what they take of the disk: own, and shared by hard links
    #[arg(long)]
    space: bool,

    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// What a generation takes of the disk.
#[derive(Serialize)]
struct Measured {
    /// What no hard link shares.
    own: Space,
    /// What other generations or the cache have too.
    shared: Space,
}

/// What a root takes of the disk, each file once.
#[derive(Serialize)]
struct RootSpace<'a> {
    root: &'a std::path::Path,
    total: Space,
    /// Of that, what no generation has a link to: packages that `gc` deletes.
    cache_alone: Space,
}

/// One generation in the answer.
#[derive(Serialize)]
struct Row<'a> {
    environment: &'a str,
    generation: &'a str,
    current: bool,
    created: &'a str,
    by: &'a str,
    packages: usize,
    kernels: Vec<&'a str>,
    /// The store paths of those from Nix, by kernel.
    nix: BTreeMap<&'a str, &'a str>,
    commit: Option<String>,
    dirty: bool,
    root: std::path::PathBuf,
    prefix: std::path::PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    space: Option<Measured>,
}

#[derive(Serialize)]
struct Answer<'a> {
    version: u32,
    generations: Vec<Row<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roots: Vec<RootSpace<'a>>,
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let name = match &args.name {
        Some(text) => Some(EnvName::new(text).ok_or_else(|| {
            Failure::usage(
                format!("{text:?} is no name of an environment"),
                "see what there is with: envspec list",
            )
        })?),
        None => None,
    };
    let mut found: Vec<(Root, Generation)> = Vec::new();
    let mut has_broken = false;
    for root in app.roots(&app.sites()?)? {
        let (whole, broken) = store::generations(&root, name.as_ref())?;
        for error in broken {
            has_broken = true;
            app.ui.warning(causes(&error));
        }
        for (name, generation) in store::environments(&root)? {
            let is_there = |found: &Generation| found.receipt.generation == generation;
            if !whole.iter().any(is_there)
                && !root.generations().join(&generation).exists()
                && args.name.as_deref().is_none_or(|n| name.as_str() == n)
            {
                app.ui.warning(format!(
                    "the current generation {generation} of {name} is gone; \
                     build it again with: envspec apply {name}"
                ));
            }
        }
        found.extend(
            whole
                .into_iter()
                .map(|generation| (root.clone(), generation)),
        );
    }
    if let (Some(name), true) = (&name, found.is_empty()) {
        return Err(store::StoreError::Unknown {
            what: "environment",
            name: name.to_string(),
        }
        .into());
    }
    let mut commits = Commits::default();
    let mut rows: Vec<Row<'_>> = found
        .iter()
        .map(|(root, generation)| row(root, generation, &mut commits))
        .collect();
    let roots = if args.space {
        measure(&mut rows, &found)
    } else {
        Vec::new()
    };
    if args.json {
        app.ui.json(&Answer {
            version: 1,
            generations: rows,
            roots,
        })?;
    } else if rows.is_empty() && !has_broken {
        app.ui
            .status("No environment yet. Make one with: envspec apply envs/NAME.yaml");
    } else {
        app.ui.answer(text(&rows))?;
        for root in &roots {
            let RootSpace {
                root,
                total,
                cache_alone,
            } = root;
            app.ui.answer(format!(
                "{} takes {}, {} of it packages that no generation has",
                root.display(),
                space_text(*total),
                bytes(cache_alone.bytes)
            ))?;
        }
    }
    Ok(Exit::Done)
}

/// Measures each row and each root.
fn measure<'f>(rows: &mut [Row<'_>], found: &'f [(Root, Generation)]) -> Vec<RootSpace<'f>> {
    let mut roots: Vec<(&Root, Tally)> = Vec::new();
    for (row, (root, generation)) in rows.iter_mut().zip(found) {
        let tally = Tally::of(&generation.prefix);
        let own = tally.own();
        row.space = Some(Measured {
            own,
            shared: tally.total().without(own),
        });
        match roots.iter_mut().find(|(known, _)| *known == root) {
            Some((_, sum)) => sum.merge(&tally),
            None => roots.push((root, tally)),
        }
    }
    let of_root = |(root, mut tally): (&'f Root, Tally)| {
        let of_generations = tally.total();
        tally.add(&root.packages());
        let total = tally.total();
        RootSpace {
            root: root.path(),
            total,
            cache_alone: total.without(of_generations),
        }
    };
    roots.into_iter().map(of_root).collect()
}

/// `1.2 GB in 4000 files`.
fn space_text(space: Space) -> String {
    let inodes = usize::try_from(space.inodes).unwrap_or(usize::MAX);
    format!("{} in {}", bytes(space.bytes), counted(inodes, "file"))
}

fn row<'g>(root: &Root, generation: &'g Generation, commits: &mut Commits) -> Row<'g> {
    let receipt = &generation.receipt;
    let (commit, dirty) = commits.of(receipt, &receipt.spec);
    Row {
        environment: &receipt.environment,
        generation: &receipt.generation,
        current: generation.current,
        created: &receipt.created,
        by: &receipt.by,
        packages: receipt.packages.len(),
        kernels: receipt
            .kernels
            .iter()
            .map(|kernel| kernel.name.as_str())
            .collect(),
        nix: receipt
            .kernels
            .iter()
            .filter_map(|kernel| {
                let nix = kernel.nix.as_ref()?;
                Some((kernel.name.as_str(), nix.store_path.as_str()))
            })
            .collect(),
        commit,
        dirty,
        root: root.path().to_owned(),
        prefix: generation.prefix.clone(),
        space: None,
    }
}

fn text(rows: &[Row<'_>]) -> String {
    // One root is the common case, and needs no word.
    let several_roots = rows.iter().any(|row| row.root != rows[0].root);
    let mut head = vec![
        "",
        "generation",
        "made (UTC)",
        "by",
        "packages",
        "kernels",
        "commit",
    ];
    if rows.iter().any(|row| row.space.is_some()) {
        head.extend(["own", "shared"]);
    }
    if several_roots {
        head.push("root");
    }
    let lines = rows.iter().map(|row| {
        let commit = match &row.commit {
            Some(commit) => {
                let dirty = if row.dirty { "+" } else { "" };
                format!("{}{dirty}", &commit[..commit.len().min(9)])
            }
            None => crate::cli::say::styled(FAINT, "-"),
        };
        let mut line = vec![
            if row.current { "*" } else { "" }.to_owned(),
            row.generation.to_owned(),
            row.created.replace('T', " ").replace('Z', ""),
            row.by.to_owned(),
            row.packages.to_string(),
            row.kernels.join(" "),
            commit,
        ];
        if let Some(space) = &row.space {
            line.extend([space_text(space.own), space_text(space.shared)]);
        }
        if several_roots {
            line.push(row.root.to_string_lossy().into_owned());
        }
        line
    });
    table(&head, lines)
}
