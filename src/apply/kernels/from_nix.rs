//! A kernel out of a Nix store: its kernelspec found, and made one of the generation.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::folders::Folders;
use super::{KERNELS, Setting, is_executable, unusable, write_kernelspec};
use crate::apply::error::ApplyError;
use crate::apply::nix::{self, NixError};
use crate::apply::subject::SubjectKernel;
use crate::kernel::{FromStore, Installable, KernelSpec};
use crate::store::{KernelReceipt, NixReceipt};

/// Where kernelspecs are in a store path. The second is what nixpkgs'
/// `jupyter-kernel.create` makes; the third is such a folder itself.
const FOLDERS: [&str; 3] = [KERNELS, "kernels", ""];

/// Makes the kernelspec of a kernel out of a Nix store.
pub(super) async fn set_up(
    setting: &Setting<'_>,
    kernel: &SubjectKernel,
    installable: &Installable,
    folders: &mut Folders,
) -> Result<KernelReceipt, ApplyError> {
    let Setting {
        context,
        subject,
        prefix,
        ..
    } = *setting;
    let request = &kernel.request;
    let name = request.name.value.as_str();
    let lock = setting.lock;
    let locked = nix::locked(context, subject, lock, name)?;
    let whence = nix::Whence {
        beside: &subject.file.beside,
        lock: &subject.file.lock_name(),
        then: Some(&subject.file),
    };
    let store_path = nix::realise(context, &locked, prefix, whence).await?;
    let shipped = kernelspec_in(Path::new(store_path.as_str()), name)?;

    let directory = folders.give(request, None)?;
    let into = prefix.join(KERNELS).join(&directory);
    let path = shipped.join("kernel.json");
    let text = fs::read_to_string(&path).map_err(ApplyError::unreadable(&path))?;
    let own = KernelSpec::parse(&text).map_err(unusable(kernel))?;
    let given = request.display_name.as_ref().map(|at| at.value.as_str());
    let plain = Some(own.display_name()).filter(|own| !own.trim().is_empty());
    let plain = plain.unwrap_or(name);
    let from = FromStore {
        store_path: store_path.base(),
        folder: &shipped.to_string_lossy(),
        display_name: given.unwrap_or(plain),
        limits: &request.limits,
        env: &request.env,
    };
    let made = own
        .rewrite_from_store(&from, |path| is_executable(Path::new(path)))
        .and_then(|made| setting.apart(&made))
        .map_err(unusable(kernel))?;
    write_kernelspec(&shipped, &into, &made)?;
    Ok(KernelReceipt {
        name: name.to_owned(),
        definition: tested_as(setting, kernel, own.language()),
        directory,
        registered: kernel.registered.as_str().to_owned(),
        display_name: match given {
            Some(given) => given.to_owned(),
            None => format!("{plain} ({})", subject.file.spec.name),
        },
        nix: Some(NixReceipt {
            installable: installable.text().to_owned(),
            store_path: store_path.to_string(),
        }),
    })
}

/// The folder of the kernelspec that is meant: the only one, or the one that has the
/// name of the spec's entry.
fn kernelspec_in(store_path: &Path, name: &str) -> Result<PathBuf, NixError> {
    if is_kernelspec(store_path) {
        return Ok(store_path.to_owned());
    }
    let all = FOLDERS
        .iter()
        .map(|folder| kernelspecs(&store_path.join(folder)));
    let found = all.into_iter().find(|found| !found.is_empty());
    let found = found.unwrap_or_default();
    let file_name = |path: &PathBuf| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let names: Vec<String> = found.iter().map(file_name).collect();
    let position = match names.as_slice() {
        [] => {
            return Err(NixError::NoKernelspec {
                kernel: name.to_owned(),
                path: store_path.to_owned(),
            });
        }
        [_] => Some(0),
        several => several
            .iter()
            .position(|one| one.eq_ignore_ascii_case(name)),
    };
    match position {
        Some(position) => Ok(found[position].clone()),
        None => Err(NixError::Several {
            kernel: name.to_owned(),
            path: store_path.to_owned(),
            first: names[0].clone(),
            names: names.join(", "),
        }),
    }
}

/// The folders in a folder that are kernelspecs, by name.
fn kernelspecs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| is_kernelspec(path))
        .collect();
    found.sort();
    found
}

fn is_kernelspec(folder: &Path) -> bool {
    folder.join("kernel.json").is_file()
}

/// The definition whose cells test it: the one that the spec names (`use`), else one of
/// its language, else none, which is empty.
fn tested_as(setting: &Setting<'_>, kernel: &SubjectKernel, language: &str) -> String {
    if let Some(named) = &kernel.tested_by {
        return named.id.to_string();
    }
    let name = kernel.request.name.value.as_str();
    let all = setting.context.catalogue.iter();
    let of_language = all.filter(|definition| definition.language.eq_ignore_ascii_case(language));
    let rank = |id: &str| match id {
        id if id.eq_ignore_ascii_case(name) => 0,
        id if id.eq_ignore_ascii_case(language) => 1,
        _ => 2,
    };
    let best = of_language.min_by_key(|definition| rank(definition.id.as_str()));
    best.map(|definition| definition.id.to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::{NixError, kernelspec_in};

    /// A store path with these files in it, and which kernelspec is meant.
    fn meant(files: &[&str], name: &str) -> Result<String, NixError> {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "{}").unwrap();
        }
        let found = kernelspec_in(folder.path(), name)?;
        let below = found.strip_prefix(folder.path()).unwrap();
        Ok(below.to_string_lossy().into_owned())
    }

    #[test]
    fn a_kernelspec_is_found_wherever_nix_packages_have_one() {
        let share = "share/jupyter/kernels/ocaml/kernel.json";
        assert_eq!(
            meant(&[share, "bin/x"], "nix").unwrap(),
            "share/jupyter/kernels/ocaml"
        );
        assert_eq!(
            meant(&["kernels/k/kernel.json"], "nix").unwrap(),
            "kernels/k"
        );
        assert_eq!(meant(&["k/kernel.json"], "nix").unwrap(), "k");
        assert_eq!(meant(&["kernel.json"], "nix").unwrap(), "");
        assert!(matches!(
            meant(&["bin/x"], "nix"),
            Err(NixError::NoKernelspec { .. })
        ));
    }

    #[test]
    fn of_several_the_name_says_which_and_without_one_all_are_told() {
        let files = [
            "kernels/a/kernel.json",
            "kernels/B/kernel.json",
            "kernels/c/logo.png",
        ];
        assert_eq!(meant(&files, "b").unwrap(), "kernels/B");
        let Err(NixError::Several { names, .. }) = meant(&files, "nix") else {
            panic!("one was taken");
        };
        assert_eq!(names, "B, a");
    }
}
