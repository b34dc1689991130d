//! `envspec update`: newer packages in the lock.

use serde::Serialize;

use crate::apply::{self, Cause, HeldBack, Move, Updated};
use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::heavy;
use crate::cli::say::{BOLD, FAINT, NAME, counted, path_word, styled};
use crate::cli::select;
use crate::lock::{Change, Origin};
use crate::spec::{SourceText, Span, shown};
use crate::store;

use super::{edit_spec, walk};

/// Bring packages in the lock to their newest versions
///
/// Without a name: all of them, to what the spec allows. With names: these alone, and
/// of the others only what could not stay with them. What the spec holds back is told
/// with the line that does. Only the lock is written; `apply` makes it real.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "flags of a command line are independent"
)]
pub(in crate::cli) struct Args {
    /// Packages of the lock [default: all of them]
    #[arg(value_name = "PACKAGE")]
    packages: Vec<String>,

    /// The spec, or the name of an applied environment [default: the only spec in envs/]
    #[arg(long, value_name = "SPEC")]
    spec: Option<String>,

    /// Show the changes and write nothing
    #[arg(long)]
    dry_run: bool,

    /// The same, and exit with 3 if there are changes
    #[arg(long)]
    check: bool,

    /// Answer in JSON
    #[arg(long)]
    json: bool,

    /// Touch no network: use what is cached or on disk
    #[arg(long)]
    offline: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    version: u32,
    lock: String,
    /// Whether the lock was written.
    written: bool,
    changes: Vec<Moved<'a>>,
    held_back: Vec<Held<'a>>,
}

#[derive(Serialize)]
struct Moved<'a> {
    platform: String,
    #[serde(flatten)]
    change: &'a Change,
    /// `renewed`, `named`, `forced` or `unneeded`.
    cause: &'static str,
    /// What forced it, where one requirement did.
    because: Option<&'a str>,
}

#[derive(Serialize)]
struct Held<'a> {
    platform: String,
    package: &'a str,
    isolated: Option<&'a str>,
    newest: &'a str,
    /// The requirements that it does not go with: conda's, then pip's, then what conda
    /// brings.
    by: Vec<String>,
    reasons: &'a [String],
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    edit_spec::refuse_specs_among(&args.packages, "updated", "package")?;
    let file = select::spec(app, args.spec.as_deref())?;
    let context = walk::context(app, &file, walk::network(args.offline))?;
    let subject = file.judge(&context)?;
    if heavy::rule(app, &subject.site).is_some() {
        heavy::pass_on(app, &subject.site)?;
    }
    let names = &args.packages;
    let work = async { Ok(apply::update(&context, &subject, names).await?) };
    let updated = walk::block_on(work)?;
    walk::say_warnings(app, &updated.locked);
    let writes = !args.dry_run && !args.check && !updated.locked.is_written();
    if writes {
        subject.file.refuse_if_changed()?;
        let text = updated.locked.text.as_str();
        store::write_whole(&subject.file.lock_path(), text.as_bytes())?;
    }
    let lock = subject.file.lock_name();
    if args.json {
        app.ui.json(&answer(&updated, lock, writes))?;
    } else {
        if !updated.moves.is_empty() {
            app.ui.answer(text(&updated.moves))?;
        }
        for held in &updated.held {
            app.ui.status(held_text(held, &subject.file.source));
        }
        let name = styled(NAME, &lock);
        let said = match (updated.moves.len(), writes) {
            (0, false) => format!("{name} has nothing newer to take"),
            (count, false) => format!("{} to come; {name} is as it was", counted(count, "change")),
            (0, true) => format!("Wrote {name}"),
            (_, true) => format!(
                "Wrote {name}; make it real with: envspec apply {}",
                path_word(subject.file.source.name())
            ),
        };
        app.ui.status(said);
    }
    if args.check && !updated.moves.is_empty() {
        return Ok(Exit::Pending);
    }
    Ok(Exit::Done)
}

/// The changes for people, below their platforms if there are several.
fn text(moves: &[Move]) -> String {
    let first = moves[0].platform;
    let has_several = moves.iter().any(|moved| moved.platform != first);
    let mut lines = Vec::new();
    let mut heading = None;
    for moved in moves {
        if has_several && heading != Some(moved.platform) {
            heading = Some(moved.platform);
            lines.push(styled(BOLD, moved.platform));
        }
        let cause = match &moved.cause {
            Cause::Renewed | Cause::Named => String::new(),
            Cause::Forced(None) => "  forced".to_owned(),
            Cause::Forced(Some(because)) => format!("  forced: {because}"),
            Cause::Unneeded => "  needed no more".to_owned(),
        };
        let line = walk::change_line(&moved.change);
        lines.push(format!("{line}{}", styled(FAINT, cause)));
    }
    lines.join("\n")
}

/// One sentence about a package that is not the newest.
fn held_text(held: &HeldBack, source: &SourceText) -> String {
    let (name, newest) = (styled(NAME, &held.name), &held.newest);
    let of_kernel = |kernel: &String| format!(" of the kernel {kernel}");
    let of = held.isolated.as_ref().map(of_kernel).unwrap_or_default();
    let platform = held.platform;
    let at = |source: &SourceText, text: &str, span: Span| {
        let (line, _) = source.line_and_column(span.offset);
        format!("{} ({}:{line})", shown(text), source.name())
    };
    let mut lines: Vec<String> = (held.requests.iter())
        .map(|request| match &request.origin {
            Origin::Spec { text, span, .. } => at(source, &format!("- {text}"), *span),
            Origin::Kernel { kernel, .. } => {
                format!("the kernel {kernel}, which needs {}", request.spec)
            }
        })
        .collect();
    lines.extend(held.pip.iter().map(|line| match &line.file {
        Some(file) => at(file, &line.text, line.span),
        None => at(source, &format!("- {}", line.text), line.span),
    }));
    lines.extend(
        held.conda
            .iter()
            .map(|package| format!("conda's {package}")),
    );
    match (lines.as_slice(), held.reasons.as_slice()) {
        ([], []) => format!("{name} {newest}{of} was not reached for {platform} in time"),
        ([], [reason, ..]) => {
            format!("{name} {newest}{of} can't be had for {platform}: {reason}")
        }
        (lines, _) => format!(
            "{name} {newest}{of} is held back for {platform} by {}",
            lines.join(" with ")
        ),
    }
}

fn answer(updated: &Updated, lock: String, written: bool) -> Answer<'_> {
    Answer {
        version: 1,
        lock,
        written,
        changes: (updated.moves.iter())
            .map(|moved| Moved {
                platform: moved.platform.to_string(),
                change: &moved.change,
                cause: cause_word(&moved.cause),
                because: match &moved.cause {
                    Cause::Forced(because) => because.as_deref(),
                    _ => None,
                },
            })
            .collect(),
        held_back: (updated.held.iter())
            .map(|held| Held {
                platform: held.platform.to_string(),
                package: &held.name,
                isolated: held.isolated.as_deref(),
                newest: &held.newest,
                by: (held.requests.iter())
                    .map(|request| request.spec.to_string())
                    .chain(held.pip.iter().map(|line| line.text.clone()))
                    .chain(held.conda.iter().cloned())
                    .collect(),
                reasons: &held.reasons,
            })
            .collect(),
    }
}

fn cause_word(cause: &Cause) -> &'static str {
    match cause {
        Cause::Renewed => "renewed",
        Cause::Named => "named",
        Cause::Forced(_) => "forced",
        Cause::Unneeded => "unneeded",
    }
}
