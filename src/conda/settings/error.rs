//! What can be wrong with conda's or rattler's configuration.
//!
//! It decides where software comes from: what is broken is not passed over.

use std::path::PathBuf;
use std::sync::Arc;

use miette::{Diagnostic, NamedSource, SourceSpan};
use thiserror::Error;

use crate::spec::SpecErrors;

/// A configuration that can't be followed.
#[derive(Debug, Clone, Error, Diagnostic)]
pub enum SettingsError {
    /// A `.condarc` has mistakes; the text that is shown has no secrets.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Condarc(#[from] SpecErrors),

    /// A file is there and can't be read.
    #[error("the configuration {} can't be read: {why}", path.display())]
    #[diagnostic(help(
        "it may say where packages come from: make it a readable text file, or take it away"
    ))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },

    /// A variable of the environment has no meaning.
    #[error("the variable {name}: {message}")]
    #[diagnostic(help("correct it, or take it away: unset {name}"))]
    Variable {
        /// Its name.
        name: String,
        /// What is wrong.
        message: String,
    },

    /// rattler's or pixi's `config.toml` has a mistake.
    #[error("{message}")]
    #[diagnostic(help("correct the line, or take it away"))]
    Toml {
        /// What is wrong.
        message: String,
        /// The text without secrets.
        #[source_code]
        text: Arc<NamedSource<String>>,
        /// The place.
        #[label("here")]
        span: Option<SourceSpan>,
    },
}
