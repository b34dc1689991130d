//! Kernels from Nix in a lock: what they are made from, and their store paths.

use std::path::Path;

use rattler_conda_types::Subdir;
use serde_json::Value;

use super::error::NixError;
use super::program::{Nix, store_folder};
use super::sources::sources;
use crate::apply::context::Context;
use crate::apply::subject::Subject;
use crate::conda::Step;
use crate::kernel::{Installable, StorePath};
use crate::lock::{Inputs, LockText, LockedNix, NixInput};

/// The kernels of a spec that are asked of Nix, with the state of their sources.
pub(in crate::apply) fn inputs(subject: &Subject) -> Result<Vec<NixInput>, NixError> {
    let beside = &subject.file.beside;
    let of_one = |(kernel, installable): (&str, &Installable)| {
        let folder = installable.folder(beside);
        let sources = folder.map(|folder| sources(kernel, &folder)).transpose()?;
        Ok(NixInput {
            kernel: kernel.to_owned(),
            installable: installable.text().to_owned(),
            sources: sources.flatten(),
        })
    };
    subject.asked_of_nix().map(of_one).collect()
}

/// The kernels from Nix for a new lock. Those whose input is as it was keep their store
/// path, as packages keep their version: `earlier` is the lock that may be kept from.
pub(in crate::apply) async fn lock(
    context: &Context,
    subject: &Subject,
    inputs: &Inputs,
    earlier: Option<&LockText>,
) -> Result<Vec<LockedNix>, NixError> {
    let before = Before::of(earlier);
    let mut all = Vec::new();
    let wanted = || subject.asked_of_nix().zip(&inputs.nix);
    for &platform in &inputs.platforms {
        for ((kernel, installable), input) in wanted() {
            if let Some(kept) = before.get(platform, input) {
                all.push(kept);
                continue;
            }
            let store_path;
            let pinned;
            if let Installable::Store(path) = installable {
                (store_path, pinned) = (path.to_string(), path.to_string());
            } else {
                context.progress.begin(Step::Nix, 0);
                let asked = ask(context, subject, kernel, installable, platform).await;
                context.progress.end(Step::Nix);
                (store_path, pinned) = asked?;
            }
            all.push(LockedNix {
                platform,
                kernel: kernel.to_owned(),
                store_path,
                pinned,
            });
        }
    }
    Ok(all)
}

/// Asks Nix what an installable is by now: its store path, and itself, pinned.
async fn ask(
    context: &Context,
    subject: &Subject,
    kernel: &str,
    installable: &Installable,
    platform: Subdir,
) -> Result<(String, String), NixError> {
    let nix = Nix::find(context).ok_or_else(|| NixError::Missing {
        kernel: kernel.to_owned(),
    })?;
    let beside = &subject.file.beside;
    let asking = Asking {
        nix: &nix,
        kernel,
        beside,
        store: store_folder(context),
    };
    let pinned = match installable {
        Installable::Flake(text) => asking.pinned(text).await?,
        _ => installable.text().to_owned(),
    };
    let argument = match installable {
        Installable::Flake(_) => pinned.clone(),
        _ => installable.argument(beside),
    };
    let system = (platform != context.platform).then_some(platform);
    let path = asking.store_path(&argument, system).await?;
    Ok((path.to_string(), pinned))
}

/// What is asked of Nix about one kernel.
pub(super) struct Asking<'a> {
    pub(super) nix: &'a Nix<'a>,
    pub(super) kernel: &'a str,
    pub(super) beside: &'a Path,
    pub(super) store: &'a str,
}

impl Asking<'_> {
    /// A flake from elsewhere, with the revision that it is at.
    async fn pinned(&self, text: &str) -> Result<String, NixError> {
        let (flake, attribute) = match text.split_once('#') {
            Some((flake, attribute)) => (flake, Some(attribute)),
            None => (text, None),
        };
        let words = ["flake", "metadata", "--json", "--no-update-lock-file"];
        let said = self.nix.command(&words, flake, self.beside).await;
        let said = said.map_err(|output| self.failed(text, output))?;
        let metadata: Value = serde_json::from_str(&said).unwrap_or_default();
        let url = metadata["url"].as_str().unwrap_or(flake);
        Ok(match attribute {
            Some(attribute) => format!("{url}#{attribute}"),
            None => url.to_owned(),
        })
    }

    /// The store path that an installable has or would have; nothing is built.
    pub(super) async fn store_path(
        &self,
        argument: &str,
        platform: Option<Subdir>,
    ) -> Result<StorePath, NixError> {
        let mut words = vec![
            "build",
            "--dry-run",
            "--json",
            "--no-link",
            "--no-update-lock-file",
        ];
        if let Some(platform) = platform {
            let system = system(platform).ok_or_else(|| NixError::NoSystem {
                kernel: self.kernel.to_owned(),
                platform: platform.to_string(),
            })?;
            words.extend(["--system", system]);
        }
        let said = self.nix.command(&words, argument, self.beside).await;
        let said = said.map_err(|output| self.failed(argument, output))?;
        let found = output_path(&said).and_then(|path| StorePath::parse(&path, self.store));
        found.ok_or_else(|| NixError::NoPath {
            kernel: self.kernel.to_owned(),
            installable: argument.to_owned(),
        })
    }

    fn failed(&self, installable: &str, output: String) -> NixError {
        NixError::Evaluation {
            kernel: self.kernel.to_owned(),
            installable: installable.to_owned(),
            output,
        }
    }
}

/// The path in what `nix build --json` prints: that of the output `out`, else of the
/// first.
fn output_path(said: &str) -> Option<String> {
    let document: Value = serde_json::from_str(said).ok()?;
    let outputs = document.get(0)?.get("outputs")?.as_object()?;
    let output = outputs.get("out").or_else(|| outputs.values().next())?;
    Some(output.as_str()?.to_owned())
}

/// Nix's name of a platform; `None` if it has none.
fn system(platform: Subdir) -> Option<&'static str> {
    Some(match platform.as_str() {
        "linux-64" => "x86_64-linux",
        "linux-32" => "i686-linux",
        "linux-aarch64" => "aarch64-linux",
        "linux-ppc64le" => "powerpc64le-linux",
        "linux-riscv64" => "riscv64-linux",
        "osx-64" => "x86_64-darwin",
        "osx-arm64" => "aarch64-darwin",
        _ => return None,
    })
}

/// A kernel's line in the lock, for this platform.
pub(in crate::apply) fn locked(
    context: &Context,
    subject: &Subject,
    lock: &LockText,
    kernel: &str,
) -> Result<LockedNix, NixError> {
    let all = lock.nix().into_iter();
    let mut of_kernel =
        all.filter(|locked| locked.platform == context.platform && locked.kernel == kernel);
    of_kernel.next().ok_or_else(|| NixError::NotLocked {
        name: subject.file.lock_name(),
        kernel: kernel.to_owned(),
        platform: context.platform.to_string(),
    })
}

/// The store paths that a generation for this platform has.
pub(in crate::apply) fn store_paths(
    context: &Context,
    subject: &Subject,
    lock: &LockText,
) -> Result<Vec<String>, NixError> {
    let of_one = |(kernel, _)| Ok(locked(context, subject, lock, kernel)?.store_path);
    subject.asked_of_nix().map(of_one).collect()
}

/// What an earlier lock says.
struct Before {
    inputs: Vec<String>,
    locked: Vec<LockedNix>,
}

impl Before {
    fn of(lock: Option<&LockText>) -> Self {
        let inputs = lock.and_then(LockText::inputs).unwrap_or_default();
        Self {
            inputs: inputs.into_iter().map(str::to_owned).collect(),
            locked: lock.map(LockText::nix).unwrap_or_default(),
        }
    }

    /// A kernel's answer, if it was asked for in the same words.
    fn get(&self, platform: Subdir, input: &NixInput) -> Option<LockedNix> {
        let is_same = self.inputs.contains(&input.line());
        let mut locked = self.locked.iter();
        let found = locked.find(|one| one.platform == platform && one.kernel == input.kernel)?;
        is_same.then(|| found.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::output_path;

    #[test]
    fn the_output_is_the_one_named_out_or_the_first() {
        let said = r#"[{"drvPath":"/s/d","outputs":{"doc":"/s/b","out":"/s/a"}}]"#;
        assert_eq!(output_path(said).unwrap(), "/s/a");
        let said = r#"[{"drvPath":"/s/d","outputs":{"lib":"/s/b"}}]"#;
        assert_eq!(output_path(said).unwrap(), "/s/b");
        for none in [
            "",
            "[]",
            r#"[{"outputs":{"out":null}}]"#,
            r#"[{"outputs":{}}]"#,
        ] {
            assert_eq!(output_path(none), None, "{none}");
        }
    }
}
