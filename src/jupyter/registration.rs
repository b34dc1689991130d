//! Kernelspecs in the user's folder: seen, written, removed; those without
//! envspec's mark never touched.
//!
//! It is done in two steps. Staging writes all files beside their places, where a
//! full disk or a folder that may not be written shows; publishing renames.
//!
//! What is atomic. Jupyter takes a folder for a kernelspec once it holds a
//! `kernel.json`, so that file is what publishes: it is written beside its
//! place and renamed into it, after the logos. A reader sees no kernelspec, or
//! the old `kernel.json`, or the new one, each in whole, on any file system and
//! whenever this process is killed. Between the first logo and `kernel.json`
//! the old kernelspec may show a new logo. A removal renames `kernel.json`
//! away first, so what is left of an interrupted one is a folder that Jupyter
//! does not see and the next registration or removal takes over.
//!
//! Two processes of the same user that write the same name at the same moment
//! are not kept apart here: `apply` holds a lease for that.

use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use tempfile::NamedTempFile;
use thiserror::Error;

use crate::kernel::{KernelSpec, Mark, RegisteredName};

/// The file that makes a folder a kernelspec.
pub(super) const KERNEL_JSON: &str = "kernel.json";

/// The file that says whose an unfinished folder is, until `kernel.json` does.
pub(super) const UNFINISHED: &str = ".envspec-unfinished";

/// Who made a kernelspec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// envspec, for this kernel.
    Envspec(Mark),
    /// Somebody else, or a form of the mark that this version can't read.
    Foreign,
}

/// A kernelspec in the user's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The folder's name, as it is written.
    pub name: String,
    /// Who made it.
    pub owner: Owner,
}

/// A file that lies beside a `kernel.json`: a logo, a script of the front end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The file's name.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// A registration that was not done.
#[derive(Debug, Error, Diagnostic)]
pub enum RegistrationError {
    /// The name is taken by a kernelspec that envspec did not make.
    #[error("{path} exists and was not made by envspec")]
    #[diagnostic(help(
        "remove it with `jupyter kernelspec remove {name}`, or give the environment another name"
    ))]
    Foreign {
        /// The folder's name.
        name: String,
        /// The folder.
        path: PathBuf,
    },
    /// The name is taken by an environment of another name, or another kernel.
    #[error(
        "the kernelspec `{name}` belongs to the kernel `{kernel}` of the environment `{environment}` in {root}"
    )]
    #[diagnostic(help(
        "kernelspecs are named <environment>-<kernel> in lower case: rename one of the two environments"
    ))]
    Taken {
        /// The folder's name.
        name: String,
        /// The kernel that has it.
        kernel: String,
        /// The environment that has it.
        environment: String,
        /// That environment's root.
        root: String,
    },
    /// A kernelspec to register bears no mark, or a resource's name is a path.
    #[error("the kernelspec `{name}` can't be registered: {reason}")]
    #[diagnostic(help("this is a mistake in envspec: please report it"))]
    Unfit {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file system refused; the message names the path.
    #[error("the kernelspecs of the user can't be changed: {0}")]
    #[diagnostic(help("look at the folder's owner and at the quota of your home"))]
    Io(#[from] io::Error),
}

/// The kernelspecs in a folder, in the order of their names; none if the folder
/// does not exist. A folder without a readable `kernel.json` is foreign.
pub fn observed(dir: &Path) -> io::Result<Vec<Registered>> {
    let entries = match fs_err::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut all = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string() {
            let owner = owner_of(&entry.path())?;
            if let Some(owner) = owner {
                all.push(Registered { name, owner });
            }
        }
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}

/// The files that lie beside the `kernel.json` of a kernelspec's folder.
pub fn read_resources(kernelspec: &Path) -> io::Result<Vec<Resource>> {
    let mut resources = Vec::new();
    for entry in fs_err::read_dir(kernelspec)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        // `metadata` follows a link: conda packages link logos into place.
        if name != KERNEL_JSON && fs_err::metadata(entry.path())?.is_file() {
            resources.push(Resource {
                name,
                bytes: fs_err::read(entry.path())?,
            });
        }
    }
    resources.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(resources)
}

/// Whether a kernelspec that another environment of envspec's registered under
/// the same name may be replaced. Asked with that one's mark.
pub type MayReplace<'a> = &'a dyn Fn(&Mark) -> bool;

/// A kernelspec whose files are all on the disk, beside their places: what is
/// left to do needs no space. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct Staged {
    folder: PathBuf,
    files: Vec<(NamedTempFile, String)>,
    /// Whether the folder was made for it.
    is_new: bool,
}

/// Stages a kernelspec that bears envspec's mark.
pub fn stage(
    dir: &Path,
    name: &RegisteredName,
    kernelspec: &KernelSpec,
    resources: &[Resource],
    may_replace: MayReplace<'_>,
) -> Result<Staged, RegistrationError> {
    let unfit = |reason| RegistrationError::Unfit {
        name: name.to_string(),
        reason,
    };
    let mark = kernelspec.mark().ok_or_else(|| unfit("it bears no mark"))?;
    let plain = |file: &str| !file.contains('/') && file != KERNEL_JSON && !file.starts_with('.');
    if !resources.iter().all(|resource| plain(&resource.name)) {
        return Err(unfit("a resource's name is no plain file name"));
    }
    fs_err::create_dir_all(dir)?;
    replaced(dir, name, &mark, may_replace)?;

    let folder = dir.join(name.as_str());
    let is_new = !folder.join(KERNEL_JSON).exists();
    if is_new {
        claim(&folder)?;
    }
    let mut staged = Staged {
        folder,
        files: Vec::new(),
        is_new,
    };
    for resource in resources {
        staged.add(&resource.name, &resource.bytes)?;
    }
    // The last one publishes it.
    staged.add(KERNEL_JSON, kernelspec.to_json().as_bytes())?;
    Ok(staged)
}

impl Staged {
    fn add(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let file = write_beside(&self.folder, bytes)?;
        self.files.push((file, name.to_owned()));
        Ok(())
    }

    /// Puts the files into their places, in place of an older kernelspec of this
    /// name. Files of that one which this one hasn't are removed.
    pub fn publish(mut self) -> Result<(), RegistrationError> {
        let files = std::mem::take(&mut self.files);
        let names: Vec<String> = files.iter().map(|(_, name)| name.clone()).collect();
        for (file, name) in files {
            let place = self.folder.join(name);
            file.persist(&place).map_err(|failed| {
                io::Error::new(
                    failed.error.kind(),
                    format!("{}: {}", place.display(), failed.error),
                )
            })?;
        }
        self.is_new = false;
        remove_others(&self.folder, &names)?;
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // First the files that are in no place, then the folder made for them. If
        // that fails it is one that Jupyter does not see and the next one takes.
        self.files.clear();
        if self.is_new
            && let Err(error) = remove_unfinished(&self.folder)
        {
            tracing::debug!("an unfinished kernelspec stays: {error}");
        }
    }
}

/// Writes a kernelspec that bears envspec's mark, or brings an older one of the
/// same kernel up to date.
#[cfg(test)]
pub(super) fn register(
    dir: &Path,
    name: &RegisteredName,
    kernelspec: &KernelSpec,
    resources: &[Resource],
    may_replace: MayReplace<'_>,
) -> Result<(), RegistrationError> {
    stage(dir, name, kernelspec, resources, may_replace)?.publish()
}

/// Removes a kernelspec that bears envspec's mark; a foreign one is refused,
/// one that isn't there is no error.
pub fn unregister(dir: &Path, name: &RegisteredName) -> Result<(), RegistrationError> {
    let folder = dir.join(name.as_str());
    match owner_of(&folder)? {
        Some(Owner::Envspec(_)) => {
            fs_err::rename(folder.join(KERNEL_JSON), folder.join(UNFINISHED))?;
        }
        Some(Owner::Foreign) => {
            return Err(RegistrationError::Foreign {
                name: name.to_string(),
                path: folder,
            });
        }
        None if is_unfinished(&folder)? => {}
        None => return Ok(()),
    }
    remove_unfinished(&folder)?;
    Ok(())
}

/// Removes a folder that says that it is unfinished; that note goes last, so that
/// what is left of an interrupted removal is still known as ours.
fn remove_unfinished(folder: &Path) -> io::Result<()> {
    remove_others(folder, &[UNFINISHED.to_owned()])?;
    fs_err::remove_dir_all(folder)
}

/// Who made the entry at a path: `None` if there is nothing that Jupyter could
/// take for a kernelspec. A link is foreign wherever it leads: writing through
/// it would change a folder elsewhere.
fn owner_of(path: &Path) -> io::Result<Option<Owner>> {
    let metadata = match fs_err::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !metadata.is_dir() {
        return Ok(Some(Owner::Foreign));
    }
    let owner = match fs_err::read_to_string(path.join(KERNEL_JSON)) {
        Ok(text) => {
            let mark = KernelSpec::parse(&text).ok().and_then(|spec| spec.mark());
            mark.map_or(Owner::Foreign, Owner::Envspec)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_unfinished(path)? => {
            return Ok(None);
        }
        Err(_) => Owner::Foreign,
    };
    Ok(Some(owner))
}

/// Whether a folder is what an interrupted registration or removal left: empty,
/// or with our note that it is unfinished.
fn is_unfinished(folder: &Path) -> io::Result<bool> {
    match fs_err::symlink_metadata(folder) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    }
    Ok(folder.join(UNFINISHED).exists() || fs_err::read_dir(folder)?.next().is_none())
}

/// What registering under a name would replace: the mark of another environment
/// of envspec's, if `may_replace` allows it, else `None`. A name that is somebody
/// else's is refused. Jupyter lowercases the names of folders, so `Lab-R` is in
/// the way of `lab-r`.
pub fn replaced(
    dir: &Path,
    name: &RegisteredName,
    mark: &Mark,
    may_replace: MayReplace<'_>,
) -> Result<Option<Mark>, RegistrationError> {
    let mut replaced = None;
    for found in observed(dir)? {
        if found.name.to_lowercase() != name.as_str() {
            continue;
        }
        let is_this_folder = found.name == name.as_str();
        match found.owner {
            Owner::Envspec(owner) if is_this_folder && owner.same_kernel(mark) => {}
            Owner::Envspec(owner) if is_this_folder && may_replace(&owner) => {
                replaced = Some(owner);
            }
            Owner::Envspec(owner) => {
                let Mark {
                    kernel,
                    environment,
                    root,
                    ..
                } = owner;
                return Err(RegistrationError::Taken {
                    name: found.name,
                    kernel,
                    environment,
                    root,
                });
            }
            Owner::Foreign => {
                let path = dir.join(&found.name);
                return Err(RegistrationError::Foreign {
                    name: found.name,
                    path,
                });
            }
        }
    }
    Ok(replaced)
}

/// Makes the folder, and notes in it whose it is before anything else.
fn claim(folder: &Path) -> io::Result<()> {
    match fs_err::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs_err::write(folder.join(UNFINISHED), "")
}

/// Writes a file of no name of its own into a folder.
fn write_beside(folder: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .prefix(".envspec-")
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    // Without it a crash of the machine can leave an empty file of that name.
    file.as_file().sync_all()?;
    Ok(file)
}

/// Removes what a former version or an interrupted one left in our folder.
fn remove_others(folder: &Path, names: &[String]) -> io::Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let kept = names.iter().any(|kept| name == kept.as_str());
        if kept {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs_err::remove_dir_all(entry.path())?;
        } else {
            fs_err::remove_file(entry.path())?;
        }
    }
    Ok(())
}
