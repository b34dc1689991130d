//! conda-lock's file, read by rattler's own reader of the format.

use std::collections::BTreeMap;

use rattler_conda_lock::{Document, Package};
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
    let mut document = document.lock_file().clone();
    agree(&mut document.package);
    let mut others: BTreeMap<String, usize> = BTreeMap::new();
    for package in &document.package {
        if package.category != MAIN {
            *others.entry(package.category.clone()).or_default() += 1;
        }
    }
    let import = || LockFile::from_conda_lock(&document, &ImportOptions::default());
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

/// Gives entries of one file the needs of all of them: conda-lock writes for each platform
/// what is needed there, and a lock has a file once.
fn agree(packages: &mut [Package]) {
    let mut needs: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for package in &*packages {
        let known = needs.entry(package.url.clone()).or_default();
        for (name, constraint) in &package.dependencies {
            known.entry(name.clone()).or_insert(constraint.clone());
        }
    }
    for package in packages {
        if let Some(all) = needs.get(&package.url) {
            package.dependencies.clone_from(all);
        }
    }
}
