//! `envspec kernels doctor`: every kernelspec that Jupyter finds, judged; those
//! that envspec did not make mended or adopted when asked.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::say::{BAD, FAINT, GOOD, styled, table};
use crate::jupyter::{self, SearchPath, ServerPrefix, Survey};
use crate::kernel::{Fault, KernelSpec, Place, Program, Seen, Verdict, judge};
use crate::store::{self, Receipt};

use super::kernels_mend::{self, Change, Doing};
use super::walk;

/// Judge every kernelspec that Jupyter finds, and mend those of others when asked
///
/// Looks where Jupyter looks: `JUPYTER_PATH`, your own folder, the current generations
/// of envspec, an active environment, the machine's folders. Says of each whether it
/// is good, or: broken (kernel.json can't be used), dead (its program can't run),
/// wrapper (started through conda run), bare (which program runs depends on the
/// server), env (its variables name an environment that is gone), name (Jupyter does
/// not accept it), shadowed (another one of its name is found first). With something
/// wrong, the exit code is 6. Nothing is changed without --repair or --adopt, and
/// nothing is ever deleted.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Look at the kernelspecs in this folder instead, a hub's for example
    #[arg(long = "dir", value_name = "DIR")]
    folders: Vec<PathBuf>,

    /// Mend what needs no guess: a bare command in a prefix becomes absolute; a dead kernelspec of yours is moved
    /// aside if it hides one that runs, or its prefix is there without the program. One that you name, too, if it is
    /// dead on this machine: its prefix or envspec's root may be on another
    #[arg(long, value_name = "NAME", num_args = 0..)]
    repair: Option<Vec<String>>,

    /// Make this kernelspec right for any server: an absolute command, and what activating its prefix gives
    #[arg(long, value_name = "NAME", conflicts_with = "repair")]
    adopt: Option<String>,

    /// Say what --repair or --adopt would do, and do nothing
    #[arg(long)]
    dry_run: bool,

    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    version: u32,
    good: bool,
    kernelspecs: Vec<Row<'a>>,
    /// What each server finds by which name.
    servers: Vec<Server<'a>>,
    changes: &'a [Change],
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    path: &'a str,
    place: String,
    verdict: Verdict,
    made_by_envspec: bool,
    adopted: bool,
    program: Option<&'a str>,
    faults: Vec<Fault>,
}

#[derive(Serialize)]
struct Server<'a> {
    prefix: Option<&'a Path>,
    finds: BTreeMap<&'a str, &'a str>,
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    if args.dry_run && args.repair.is_none() && args.adopt.is_none() {
        return Err(Failure::usage(
            "--dry-run says what --repair or --adopt NAME would do",
            "without either nothing is changed: envspec kernels doctor",
        ));
    }
    let path = search_path(app, args)?;
    let environment = app.texts();
    let survey = look(app, &path, &environment)?;
    let doing = Doing {
        dry_run: args.dry_run,
        json: args.json,
    };
    let changes = match (&args.adopt, &args.repair) {
        (Some(name), _) => vec![kernels_mend::adopt(
            app,
            doing,
            &survey,
            name,
            &environment,
        )?],
        (None, Some(names)) => kernels_mend::repair(app, doing, &survey, names)?,
        (None, None) => Vec::new(),
    };
    let is_changed = changes.iter().any(|change| change.done);
    let survey = if is_changed {
        look(app, &path, &environment)?
    } else {
        survey
    };
    let is_good = |seen: &Seen| judge(seen).is_empty();
    let good = survey.unreadable.is_empty() && survey.kernelspecs.iter().all(is_good);
    if args.json {
        app.ui.json(&Answer {
            version: 1,
            good,
            kernelspecs: survey.kernelspecs.iter().map(row).collect(),
            servers: servers(&path, &survey),
            changes: &changes,
        })?;
    } else if args.adopt.is_none() {
        app.ui.answer(text(&survey.kernelspecs))?;
    }
    // Who adopts one asks for that one.
    Ok(if good || args.adopt.is_some() {
        Exit::Done
    } else {
        Exit::Cluster
    })
}

fn look(
    app: &App<'_>,
    path: &SearchPath,
    environment: &BTreeMap<String, String>,
) -> Result<Survey, Failure> {
    let mut survey = walk::block_on(async { Ok(jupyter::look(path, environment).await) })?;
    for seen in &mut survey.kernelspecs {
        // By whatever path: nothing in a generation is changed.
        if let Some(prefix) = store::generation_around(Path::new(&seen.path)) {
            seen.place = Place::Generation(environment_of(&prefix));
        }
    }
    for error in &survey.unreadable {
        app.ui.warning(plain(&error.to_string()));
    }
    Ok(survey)
}

/// The environment that a generation is of.
fn environment_of(generation: &Path) -> String {
    let folder = generation.file_name().unwrap_or_default().to_string_lossy();
    match Receipt::read(generation) {
        Ok(Some(receipt)) => receipt.environment,
        _ => folder.into_owned(),
    }
}

/// Where to look: the folders given, else where Jupyter would.
fn search_path(app: &App<'_>, args: &Args) -> Result<SearchPath, Failure> {
    if args.folders.is_empty() {
        return Ok(SearchPath::of_user(
            |name| app.variable_as_set(name),
            &prefixes(app)?,
        ));
    }
    let absolute = |folder: &PathBuf| {
        let absolute = std::path::absolute(folder).ok();
        let found = absolute.filter(|folder| folder.is_dir());
        found.ok_or_else(|| {
            Failure::usage(
                format!("{} is no folder", plain(&folder.to_string_lossy())),
                "name the folder that kernelspecs lie in, such as PREFIX/share/jupyter/kernels",
            )
        })
    };
    let folders: Result<Vec<_>, _> = args.folders.iter().map(absolute).collect();
    Ok(SearchPath::of_folders(&folders?))
}

/// The prefixes that a Jupyter may be started from: the current generations, the
/// active environment, the one of the `jupyter` on the PATH.
fn prefixes(app: &App<'_>) -> Result<Vec<ServerPrefix>, Failure> {
    let mut all: Vec<ServerPrefix> = Vec::new();
    let mut add = |prefix: PathBuf, place: Place| {
        if !prefix.is_dir() || all.iter().any(|known| known.prefix == prefix) {
            return;
        }
        let is_venv = prefix.join("pyvenv.cfg").is_file();
        let me = rustix::process::geteuid().as_raw();
        let is_mine = prefix.metadata().is_ok_and(|folder| folder.uid() == me);
        let prefers_own =
            jupyter::prefers_own(|name| app.variable_as_set(name), &prefix, is_venv, is_mine);
        all.push(ServerPrefix {
            prefix,
            place,
            prefers_own,
        });
    };
    for root in app.roots(&app.sites()?)? {
        for (name, generation) in store::environments(&root)? {
            let prefix = root.generation(&generation)?;
            if Receipt::exists(&prefix) {
                let place = Place::Generation(name.to_string());
                add(prefix.canonicalize().unwrap_or(prefix), place);
            }
        }
    }
    let path = app.variable("PATH").unwrap_or_default();
    let on_path = jupyter::which("jupyter", &path.to_string_lossy()).and_then(|program| {
        let folder = program.parent().filter(|folder| folder.ends_with("bin"))?;
        Some(folder.parent()?.to_owned())
    });
    let active = ["VIRTUAL_ENV", "CONDA_PREFIX"].map(|name| app.variable(name).map(PathBuf::from));
    for prefix in active.into_iter().flatten().chain(on_path) {
        // The same as a generation's if it is one.
        let prefix = prefix.canonicalize().unwrap_or(prefix);
        let place = Place::Prefix(prefix.to_string_lossy().into_owned());
        add(prefix, place);
    }
    Ok(all)
}

fn row(seen: &Seen) -> Row<'_> {
    let faults = judge(seen);
    Row {
        name: &seen.name,
        path: &seen.path,
        place: seen.place.text(),
        verdict: faults.first().map_or(Verdict::Good, |fault| fault.verdict),
        made_by_envspec: seen.is_envspecs(),
        adopted: is_adopted(seen),
        program: runs(seen),
        faults,
    }
}

pub(super) fn is_adopted(seen: &Seen) -> bool {
    seen.content.as_ref().is_ok_and(KernelSpec::is_adopted)
}

/// The program that a kernelspec runs now.
fn runs(seen: &Seen) -> Option<&str> {
    match seen.program.as_ref()? {
        Program::Runs(program) => Some(program),
        Program::Bare { now, .. } => now.as_deref(),
        _ => None,
    }
}

fn servers<'a>(path: &'a SearchPath, survey: &'a Survey) -> Vec<Server<'a>> {
    let all = path.servers.iter().zip(&survey.found);
    all.map(|(server, found)| Server {
        prefix: server.prefix.as_deref(),
        finds: found
            .iter()
            .map(|(name, at)| (name.as_str(), survey.kernelspecs[*at].path.as_str()))
            .collect(),
    })
    .collect()
}

/// The kernelspecs as a table, with a line below each fault that says what to do.
fn text(all: &[Seen]) -> String {
    if all.is_empty() {
        return "Jupyter finds no kernelspecs".to_owned();
    }
    let mut rows = Vec::new();
    for seen in all {
        let (name, place) = (plain(&seen.name), plain(&seen.place.text()));
        let faults = judge(seen);
        if faults.is_empty() {
            let adopted = if is_adopted(seen) { ", adopted" } else { "" };
            let found = format!("{}{adopted}", plain(runs(seen).unwrap_or_default()));
            let verdict = styled(GOOD, Verdict::Good.text());
            rows.push(vec![name, place, verdict, styled(FAINT, found)]);
            continue;
        }
        for (at, fault) in faults.iter().enumerate() {
            let first = |text: &str| {
                if at == 0 {
                    text.to_owned()
                } else {
                    String::new()
                }
            };
            let verdict = styled(BAD, fault.verdict.text());
            rows.push(vec![
                first(&name),
                first(&place),
                verdict,
                plain(&fault.found),
            ]);
            let remedy = format!("-> {}", plain(&fault.remedy));
            rows.push(vec![String::new(), String::new(), String::new(), remedy]);
        }
    }
    table(&["kernelspec", "place", "", "what is found"], rows)
}

/// A text of others with what a terminal would obey made visible.
pub(super) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\'' | '"' | '\\' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    shown
}
