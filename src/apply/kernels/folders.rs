//! Which folder each kernelspec of a generation has: no two kernels share one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fs_err as fs;

use super::KERNELS;
use crate::apply::error::ApplyError;
use crate::spec::KernelRequest;

/// The folders of a generation's kernelspecs. Jupyter knows no capitals in their names.
pub(super) struct Folders {
    /// Those that packages, scripts and installers brought.
    brought: BTreeSet<String>,
    /// Those that are given away, with the kernel that has each.
    given: BTreeMap<String, String>,
}

impl Folders {
    /// Of a generation whose kernelspecs are all as they were made.
    pub(super) fn of(generation: &Path) -> Self {
        let entries = fs::read_dir(generation.join(KERNELS)).into_iter().flatten();
        let names = entries.flatten().map(|entry| entry.file_name());
        Self {
            brought: names.map(|name| key(&name.to_string_lossy())).collect(),
            given: BTreeMap::new(),
        }
    }

    /// The folder of a kernel, whose kernelspec was made in the folder named `made` if it
    /// was made in the generation's own prefix.
    ///
    /// It keeps that name, which is the one that notebooks of other installations ask
    /// for. A kernel that borrows a definition (`use: python`) or is the second of one
    /// gets a folder of its own, so that both stay; one of another prefix, too.
    pub(super) fn give(
        &mut self,
        request: &KernelRequest,
        made: Option<&str>,
    ) -> Result<String, ApplyError> {
        let kernel = &request.name.value;
        let own = made
            .filter(|made| request.definition.is_none() && !self.given.contains_key(&key(made)));
        let folder = own.map_or_else(|| kernel.to_ascii_lowercase(), str::to_owned);
        let is_made_there = made.is_some_and(|made| key(made) == key(&folder));
        let by = self.given.get(&key(&folder)).cloned();
        if by.is_some() || (self.brought.contains(&key(&folder)) && !is_made_there) {
            let kernel = kernel.clone();
            return Err(ApplyError::FolderTaken { kernel, folder, by });
        }
        self.given.insert(key(&folder), kernel.clone());
        Ok(folder)
    }
}

fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}
