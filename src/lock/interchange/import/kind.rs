//! What a file is, by its name and its first lines.

/// The files of other tools that can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignKind {
    /// conda's and mamba's `environment.yml`, which is a spec already.
    Environment,
    /// A list of URLs behind `@EXPLICIT`.
    Explicit,
    /// conda-lock's file, of version 1.
    CondaLock,
    /// A `pixi.lock`.
    PixiLock,
    /// A `pixi.toml`.
    PixiToml,
    /// A `pyproject.toml`.
    Pyproject,
}

/// Tells what a text is; what nothing speaks for is an `environment.yml`.
pub fn kind_of(file_name: &str, text: &str) -> ForeignKind {
    let lower = file_name.to_lowercase();
    if lower == "pyproject.toml" {
        return ForeignKind::Pyproject;
    }
    if lower.rsplit('.').next() == Some("toml") {
        return ForeignKind::PixiToml;
    }
    let has_key = |key: &str| {
        text.lines().any(|line| {
            let rest = line.strip_prefix(key);
            rest.is_some_and(|rest| rest.trim_start().starts_with(':'))
        })
    };
    if text.lines().any(|line| line.trim() == "@EXPLICIT") {
        ForeignKind::Explicit
    } else if has_key("metadata") && has_key("package") {
        ForeignKind::CondaLock
    } else if has_key("version") && (has_key("environments") || has_key("packages")) {
        ForeignKind::PixiLock
    } else {
        ForeignKind::Environment
    }
}
