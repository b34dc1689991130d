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

    /// Appends the value of a shell variable. No text can follow it, so that its
    /// name can't grow.
    #[must_use]
    pub fn and_variable(mut self, name: &'static str) -> Self {
        self.0.push(Part::Variable(name));
        self
    }

    /// The word as a shell reads it.
    pub fn quoted(&self) -> String {
        let plain = |part: &Part| match part {
            Part::Text(text) => text.chars().all(|c| is_bare(c) || c == '='),
            Part::Variable(_) => true,
        };
        let filled_in = self.0.iter().any(|part| matches!(part, Part::Variable(_)));
        if filled_in && self.0.iter().all(plain) {
            // The form that people write: "name=$value".
            let inside = self.0.iter().map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Variable(name) => format!("${name}"),
            });
            return format!("\"{}\"", inside.collect::<String>());
        }
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => quote(text),
            Part::Variable(name) => format!("\"${name}\""),
        });
        parts.collect()
    }

    /// Whether every shell reads the word as it stands.
    fn is_plain(&self) -> bool {
        let plain = |part: &Part| matches!(part, Part::Text(text) if quote(text) == *text);
        self.0.iter().all(plain)
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
                // What comes from there may end in a command line of ssh's own.
                let (into, from) = (into.join(" "), join(from));
                format!("read -r {into} < <({from} | tail -n 1 | tr -d '$`;&|<>()')")
            }
        }
    }

    /// The same command, run on an ssh host.
    #[must_use]
    pub fn on(&self, host: &str) -> Self {
        match self {
            Self::Run(words) => Self::Run(over_ssh(host, words)),
            Self::Read { into, from } => Self::Read {
                into,
                from: over_ssh(host, from),
            },
        }
    }
}

/// The remote shell reads the words again: they are quoted for it first, and the
/// result is one word here. Where neither shell has anything to change they are
/// left apart, which ssh joins with spaces and people read more easily.
fn over_ssh(host: &str, words: &[Word]) -> Vec<Word> {
    let mut command = vec![Word::text("ssh"), Word::text(host)];
    if words.iter().all(Word::is_plain) {
        command.extend_from_slice(words);
    } else {
        command.push(Word::text(join(words)));
    }
    command
}

/// The words with a space between them.
pub(super) fn join(words: &[Word]) -> String {
    words.iter().map(Word::quoted).collect::<Vec<_>>().join(" ")
}

/// A text as one shell word: bare where no shell minds, else in single quotes
/// that every login shell reads alike, csh and fish among them. Control
/// characters never appear as such, so that a copied line is always one line;
/// a word that has some is for bash and zsh alone.
pub fn quote(text: &str) -> String {
    // In an option `=` can't be an assignment and `%` no job.
    let in_option = |c: char| is_bare(c) || c == '=' || c == '%';
    let bare = text.chars().all(is_bare);
    let option = text.starts_with('-') && text.chars().all(in_option);
    if !text.is_empty() && (bare || option) {
        return text.to_owned();
    }
    if text.chars().any(char::is_control) {
        return text.quoted(Bash);
    }
    let mut word = String::from("'");
    for c in text.chars() {
        // Between single quotes csh looks for `!` in its history, and fish takes
        // a backslash for its own.
        if matches!(c, '\'' | '!' | '\\') {
            word.extend(['\'', '\\', c, '\'']);
        } else {
            word.push(c);
        }
    }
    word.push('\'');
    word
}

/// Characters that no shell gives a meaning, wherever they stand in a word.
fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || ",._/:@+-".contains(c)
}
