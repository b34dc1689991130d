//! conda-lock's file, read by rattler's own reader of the format.

use std::collections::BTreeMap;

use rattler_conda_lock::Document;
use rattler_lock::LockFile;
use rattler_lock::conda_lock::ImportOptions;

use super::pixi_lock::of_lock_file;
use super::{ImportError, Imported};
use crate::spec::{PANICKED, careful};

const WHAT: &str = "a conda-lock file of version 1";

/// The category that conda-lock installs without being told another.
const MAIN: &str = "main";

/// Reads the packages of the category `main`, for all platforms.
///
/// # Errors
/// The format's rules are broken, or a package is none that can be fetched.
pub fn conda_lock_file(name: &str, text: &str) -> Result<Imported, ImportError> {
    let form = |error: &dyn std::fmt::Display| ImportError::form(name, WHAT, error);
    let document = Document::parse(text).map_err(|error| form(&error))?;
    let mut others: BTreeMap<String, usize> = BTreeMap::new();
    for package in &document.lock_file().package {
        if package.category != MAIN {
            *others.entry(package.category.clone()).or_default() += 1;
        }
    }
    let import = || LockFile::from_conda_lock_document(&document, &ImportOptions::default());
    let file = careful(import)
        .ok_or_else(|| form(&PANICKED))?
        .map_err(|error| form(&error))?;
    let mut imported = of_lock_file(name, WHAT, &file)?;
    for (category, count) in others {
        imported.left_out.push(format!(
            "{count} entries of the category {category}: only {MAIN} is taken"
        ));
    }
    Ok(imported)
}
