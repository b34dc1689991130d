//! `envspec verify`: is a generation what it was when it was made?

use std::os::unix::fs::MetadataExt as _;
use std::time::Instant;

use serde::Serialize;

use crate::apply::{self, Damage, Finding, Repaired, Verified, WaitingFor};
use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::say::{BAD, NAME, bytes, counted, styled, table};
use crate::cli::select;
use crate::conda::Network;

use super::walk;

/// How many findings are shown to a person.
const SHOWN: usize = 20;

/// Compare every file of a generation with what was installed
///
/// Missing, changed and additional files are told apart; the kernelspecs in your
/// folder are looked at too. With damage found, the exit code is 7.
///
/// A repair ends at the same path. It links beside and exchanges the two at once, so
/// that there is something to run at every instant.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The environment's name, or its spec [default: the only spec in envs/]
    name: Option<String>,

    /// The generation, as `envspec list` shows it, or the beginning of its digest [default: the current one]
    generation: Option<String>,

    /// Build it again from its lock if it is damaged, and the package cache too
    #[arg(long)]
    repair: bool,

    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    version: u32,
    generation: &'a str,
    prefix: &'a std::path::Path,
    good: bool,
    repaired: bool,
    files: usize,
    bytes: u64,
    findings: &'a [Finding],
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let current = select::current(app, args.name.as_deref())?;
    let context = app.context(current.root, Network::Online)?;
    let wanted = args.generation.as_deref();
    let started = Instant::now();
    let found = apply::verify(&context, &current.name, wanted)?;
    let is_good = found.findings.is_empty();
    let compared = format!(
        "{} ({}) {}",
        counted(found.files, "file"),
        bytes(found.bytes),
        walk::took(started)
    );
    let mut repaired = None;
    if !args.json && !is_good {
        app.ui.answer(shown(&found))?;
    }
    if !is_good && args.repair {
        warn_of_shared(app, &found);
        repaired = Some(walk::block_on(async {
            let tell = |holder: WaitingFor<'_>| walk::say_waiting(app, &current.name, holder);
            Ok(apply::repair(&context, &current.name, found.clone(), &tell).await?)
        })?);
        let generation = found.generation.clone();
        let again = apply::verify_generation(&context, &current.name, generation)?;
        if let Some(first) = again.findings.first() {
            return Err(Failure::damaged(
                format!(
                    "{} was built again, and {} is not as it should be",
                    again.generation,
                    first.path.display()
                ),
                "somebody else may be changing it, or the disk is failing",
            ));
        }
    }
    if args.json {
        app.ui.json(&Answer {
            version: 1,
            generation: &found.generation,
            prefix: &found.prefix,
            good: is_good || repaired.is_some(),
            repaired: matches!(
                repaired,
                Some(Repaired::Built | Repaired::Registered | Repaired::Realised)
            ),
            files: found.files,
            bytes: found.bytes,
            findings: &found.findings,
        })?;
    }
    let name = styled(NAME, &found.generation);
    if is_good {
        app.ui
            .status(format!("{name} is as it was made: {compared}"));
    } else if let Some(repaired) = repaired {
        app.ui.status(match repaired {
            Repaired::Built => format!("Built {name} again, and it is good"),
            Repaired::Registered => {
                format!("Registered the kernels of {name} again; nothing else was damaged")
            }
            Repaired::Realised => {
                format!(
                    "The kernels of {name} are in the Nix store again; nothing else was damaged"
                )
            }
            Repaired::ByAnother => format!("{name} was repaired meanwhile, and is good"),
        });
    } else if !args.json {
        return Err(Failure::damaged(
            format!("{} is damaged: {compared}", found.generation),
            format!(
                "build it again with: envspec verify {} {}--repair",
                current.name,
                wanted.map_or_else(String::new, |_| format!("{} ", found.generation))
            ),
        ));
    } else {
        return Ok(Exit::Store);
    }
    Ok(Exit::Done)
}

/// Other generations have the same files, by hard links, and keep what is in them.
fn warn_of_shared(app: &App<'_>, found: &Verified) {
    let is_shared = |finding: &&Finding| {
        let path = found.prefix.join(&finding.path);
        let links = path.symlink_metadata().map_or(1, |file| file.nlink());
        finding.damage == Damage::Changed && links > 1
    };
    if let Some(shared) = found.findings.iter().find(is_shared) {
        app.ui.warning(format!(
            "other generations may share what was damaged, such as {}: look at those that \
             `envspec list` shows with envspec verify NAME GENERATION",
            shared.path.display()
        ));
    }
}

/// What was found, as a table.
fn shown(found: &Verified) -> String {
    let word = |damage| match damage {
        Damage::Missing => "missing",
        Damage::Changed => "changed",
        Damage::Extra => "extra",
    };
    let rows = found.findings.iter().take(SHOWN).map(|finding| {
        vec![
            styled(BAD, word(finding.damage)),
            finding.path.display().to_string(),
            finding.package.clone().unwrap_or_default(),
        ]
    });
    let mut text = table(&["", "FILE", "PACKAGE"], rows);
    if found.findings.len() > SHOWN {
        let more = counted(found.findings.len() - SHOWN, "other file");
        text.extend(["\nand ", &more, "; all of them: --json"]);
    }
    text
}
