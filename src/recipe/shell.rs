//! Shell commands as words, quoted when they are written and never before.
//!
//! A command is a list of [`Word`]s; a word is text that the shell must hand on
//! unchanged, and variables that it must fill in. Nothing else can be said, so
//! no value can become syntax. What it is not: a parser, or a writer of control
//! flow; scripts of more than commands are files of their own beside this one.

use shell_quote::{Bash, QuoteRefExt as _};

/// One word of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(&'static str),
}

impl Word {
    /// Text that arrives as it is.
    pub fn text(text: impl Into<String>) -> Self {
        Self(vec![Part::Text(text.into())])
    }

    /// Appends text.
    #[must_use]
    pub fn and_text(mut self, text: impl Into<String>) -> Self {
        self.0.push(Part::Text(text.into()));
        self
    }

    /// Appends the value of a shell variable.
    #[must_use]
    pub fn and_variable(mut self, name: &'static str) -> Self {
        self.0.push(Part::Variable(name));
        self
    }

    /// The word as a shell reads it.
    pub fn quoted(&self) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => quote(text),
            Part::Variable(name) => format!("\"${name}\""),
        });
        parts.collect()
    }
}

/// One command line that a person can copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// Runs a program.
    Run(Vec<Word>),
    /// Reads the last line that a program prints into variables. The last one,
    /// because login shells print banners.
    Read {
        /// The variables, one for each field of the line.
        into: &'static [&'static str],
        /// The program.
        from: Vec<Word>,
    },
}

impl CommandLine {
    /// A program with arguments that need no variables.
    pub fn run<const N: usize>(words: [&str; N]) -> Self {
        Self::Run(words.iter().map(|word| Word::text(*word)).collect())
    }

    /// The line; for bash and zsh.
    pub fn quoted(&self) -> String {
        match self {
            Self::Run(words) => join(words),
            Self::Read { into, from } => {
                format!("read -r {} < <({} | tail -n 1)", into.join(" "), join(from))
            }
        }
    }

    /// The same command, run on an ssh host. The remote shell reads the words
    /// again: they are quoted for it first, and the result is one word here.
    #[must_use]
    pub fn on(&self, host: &str) -> Self {
        let over =
            |words: &[Word]| vec![Word::text("ssh"), Word::text(host), Word::text(join(words))];
        match self {
            Self::Run(words) => Self::Run(over(words)),
            Self::Read { into, from } => Self::Read {
                into,
                from: over(from),
            },
        }
    }
}

/// The words with a space between them.
pub(super) fn join(words: &[Word]) -> String {
    words.iter().map(Word::quoted).collect::<Vec<_>>().join(" ")
}

/// A text as one shell word: bare where no shell minds, else in plain single
/// quotes; the rare rest is the library's. Control characters never appear as
/// such, so that a copied line is always one line.
pub(super) fn quote(text: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || ",._/:@+-".contains(c);
    // In an option `=` can't be an assignment and `%` no job.
    let in_option = |c: char| bare(c) || c == '=' || c == '%';
    if !text.is_empty()
        && (text.chars().all(bare) || (text.starts_with('-') && text.chars().all(in_option)))
    {
        text.to_owned()
    } else if text.contains('\'') || text.chars().any(char::is_control) {
        text.quoted(Bash)
    } else {
        format!("'{text}'")
    }
}
