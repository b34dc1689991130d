//! Saying things: answers to stdout, everything else to stderr.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use serde::Serialize;

use super::failure::{Exit, Failure};

/// How much is said, and in what dress.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub(super) verbosity: Verbosity,
    pub(super) color: anstream::ColorChoice,
}

/// How much is said on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verbosity {
    /// Errors and warnings alone.
    Quiet,
    /// What is done.
    Normal,
    /// What the rooms note for themselves too.
    Verbose,
}

/// The voice of the program.
#[derive(Debug)]
pub(super) struct Ui {
    manner: Manner,
}

/// Names, paths and things to type.
pub(super) const NAME: Style = AnsiColor::Cyan.on_default();
/// What went well.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// What went wrong.
pub(super) const BAD: Style = AnsiColor::Red.on_default();
/// What one may skip.
pub(super) const FAINT: Style = Style::new().dimmed();
/// Headings.
pub(super) const BOLD: Style = Style::new().bold();

/// A text in a style, which falls away where there is no colour.
pub(super) fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

#[expect(
    clippy::unused_self,
    reason = "only who was handed the voice may speak, also where it has nothing to look up"
)]
impl Ui {
    pub(super) fn new(manner: Manner) -> Self {
        manner.color.write_global();
        if manner.verbosity == Verbosity::Verbose {
            tracing_subscriber::fmt()
                .with_writer(std::io::stderr)
                .with_env_filter("envspec=debug,rattler=info")
                .init();
        }
        Self { manner }
    }

    /// The answer that was asked for.
    pub(super) fn answer(&self, text: impl std::fmt::Display) -> Result<(), Failure> {
        writeln!(anstream::stdout().lock(), "{text}").map_err(|error| Failure::output(&error))
    }

    /// The answer as JSON.
    pub(super) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .expect("the answers are plain data, which JSON can hold");
        self.answer(text)
    }

    /// A remark about what is done.
    pub(super) fn status(&self, text: impl std::fmt::Display) {
        if self.manner.verbosity > Verbosity::Quiet {
            // There is nobody to tell if stderr is gone.
            drop(writeln!(anstream::stderr().lock(), "{text}"));
        }
    }

    /// A question, whose answer is waited for on the same line.
    pub(super) fn question(&self, text: impl std::fmt::Display) {
        let mut stderr = anstream::stderr().lock();
        drop(write!(stderr, "{text}").and_then(|()| stderr.flush()));
    }

    /// Something that the user should know, also under `--quiet`.
    pub(super) fn warning(&self, text: impl std::fmt::Display) {
        let word = styled(AnsiColor::Yellow.on_default().bold(), "warning:");
        drop(writeln!(anstream::stderr().lock(), "{word} {text}"));
    }

    /// A note about a place in a spec.
    pub(super) fn note(&self, note: &dyn Diagnostic) {
        let text = self.render(note);
        drop(write!(anstream::stderr().lock(), "{text}"));
    }

    /// Whether the answer goes to a terminal, and so to a person.
    pub(super) fn answers_a_person(&self) -> bool {
        std::io::stdout().is_terminal()
    }

    /// Whether somebody could answer a question.
    pub(super) fn can_ask(&self) -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Whether bars may be drawn.
    pub(super) fn draws(&self) -> bool {
        self.manner.verbosity == Verbosity::Normal && std::io::stderr().is_terminal()
    }

    /// Reports a failure and gives its exit code.
    pub(super) fn failure(&self, failure: &Failure) -> Exit {
        if failure.exit != Exit::Done {
            let text = self.render(failure.report.as_ref());
            drop(write!(anstream::stderr().lock(), "{text}"));
        }
        failure.exit
    }

    fn render(&self, diagnostic: &dyn Diagnostic) -> String {
        let stderr = std::io::stderr();
        let colour = match self.manner.color {
            anstream::ColorChoice::Never => false,
            anstream::ColorChoice::Always | anstream::ColorChoice::AlwaysAnsi => true,
            anstream::ColorChoice::Auto => {
                anstream::AutoStream::choice(&stderr) != anstream::ColorChoice::Never
            }
        };
        let theme = if colour {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme::unicode_nocolor()
        };
        let columns = rustix::termios::tcgetwinsize(&stderr).map(|size| usize::from(size.ws_col));
        let width = columns.ok().filter(|columns| *columns > 0);
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(width.map_or(WIDTH, |columns| columns.clamp(NARROW, WIDTH)))
            .with_links(false);
        let mut text = String::new();
        // miette would put an empty line `Error:` before each of those that belong to it.
        let mut rendered = handler.render_report(&mut text, &Head(diagnostic));
        for related in diagnostic.related().into_iter().flatten() {
            text.push('\n');
            rendered = rendered.and_then(|()| handler.render_report(&mut text, related));
        }
        if rendered.is_err() {
            return format!("{diagnostic}\n");
        }
        text
    }
}

/// The columns that a message fills at most, and that it takes where there are fewer.
const WIDTH: usize = 100;
const NARROW: usize = 40;

/// A diagnostic without those that belong to it.
#[derive(Debug)]
struct Head<'d>(&'d dyn Diagnostic);

impl std::fmt::Display for Head<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self.0, f)
    }
}

impl std::error::Error for Head<'_> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl Diagnostic for Head<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.0.code()
    }

    fn severity(&self) -> Option<miette::Severity> {
        self.0.severity()
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.0.help()
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.0.source_code()
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        self.0.labels()
    }

    fn diagnostic_source(&self) -> Option<&dyn Diagnostic> {
        self.0.diagnostic_source()
    }
}

/// An error and what it came from, in one line.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// The first line of a text, for a remark.
pub(super) fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// A path as a word of a command that the user may copy.
pub(super) fn path_word(path: impl AsRef<std::path::Path>) -> String {
    crate::recipe::quote(&path.as_ref().to_string_lossy())
}

/// The age of a moment, RFC 3339; `None` if it is none, or lies ahead.
pub(super) fn age(moment: &str) -> Option<Duration> {
    let moment: jiff::Timestamp = moment.parse().ok()?;
    Duration::try_from(jiff::Timestamp::now().duration_since(moment)).ok()
}

/// An age in its largest unit: `2 days ago`.
pub(super) fn ago(age: Duration) -> String {
    let seconds = usize::try_from(age.as_secs()).unwrap_or(usize::MAX);
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
    match units.iter().find(|(unit, _)| seconds >= *unit) {
        Some((unit, name)) => format!("{} ago", counted(seconds / unit, name)),
        None => "a moment ago".to_owned(),
    }
}

/// A number of bytes as people read it.
pub(super) fn bytes(count: u64) -> String {
    indicatif::DecimalBytes(count).to_string()
}

/// `1 package`, `2 packages`.
pub(super) fn counted(count: usize, thing: &str) -> String {
    if count == 1 {
        format!("1 {thing}")
    } else {
        format!("{count} {thing}s")
    }
}

/// A table without lines: columns with two spaces between, a bold head.
pub(super) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    table_within(head, rows, &[])
}

/// How wide a column of a table may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// The column, counted from 0.
    pub(super) column: usize,
    /// Its width; what is longer ends in `…`.
    pub(super) width: usize,
}

/// The same with columns that are not to be wider than told.
pub(super) fn table_within(
    head: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
    cuts: &[Cut],
) -> String {
    use tabled::builder::Builder;
    use tabled::settings::object::Columns;
    use tabled::settings::{Modify, Padding, Style as Lines, Width};
    let mut table = Builder::new();
    table.push_record(head.iter().map(|title| styled(BOLD, title)));
    for row in rows {
        table.push_record(row);
    }
    let mut table = table.build();
    table.with(Lines::blank()).with(Padding::new(0, 1, 0, 0));
    for cut in cuts {
        let shorter = Width::truncate(cut.width).suffix("…");
        table.with(Modify::new(Columns::one(cut.column)).with(shorter));
    }
    table
        .to_string()
        .lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

/// A text in lines of so many columns, broken between words; a longer word is left whole.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is one always");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
