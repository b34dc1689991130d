//! Kernelspecs in the user's folder: seen, written, removed; those without
//! envspec's mark never touched.
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
use thiserror::Error;

use crate::kernel::{KernelSpec, Mark, RegisteredName};

/// The file that makes a folder a kernelspec.
const KERNEL_JSON: &str = "kernel.json";

/// The file that says whose an unfinished folder is, until `kernel.json` does.
const UNFINISHED: &str = ".envspec-unfinished";

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
    /// The name is taken by another environment, or another kernel of this one.
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

/// Writes a kernelspec that bears envspec's mark, or brings an older one of the
/// same kernel up to date. Files of an older one that are not among
/// `resources` are removed from its folder.
pub fn register(
    dir: &Path,
    name: &RegisteredName,
    kernelspec: &KernelSpec,
    resources: &[Resource],
) -> Result<(), RegistrationError> {
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
    refuse_if_taken(dir, name, &mark)?;

    let folder = dir.join(name.as_str());
    if !folder.join(KERNEL_JSON).exists() {
        claim(&folder)?;
    }
    for resource in resources {
        write_whole(&folder, &resource.name, &resource.bytes)?;
    }
    write_whole(&folder, KERNEL_JSON, kernelspec.to_json().as_bytes())?;
    remove_others(&folder, resources)?;
    Ok(())
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
    fs_err::remove_dir_all(&folder)?;
    Ok(())
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

/// Refuses a name that is somebody else's. Jupyter lowercases the names of
/// folders, so `Lab-R` is in the way of `lab-r`.
fn refuse_if_taken(
    dir: &Path,
    name: &RegisteredName,
    mark: &Mark,
) -> Result<(), RegistrationError> {
    for found in observed(dir)? {
        if found.name.to_lowercase() != name.as_str() {
            continue;
        }
        match found.owner {
            Owner::Envspec(owner) if owner.same_kernel(mark) && found.name == name.as_str() => {}
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
    Ok(())
}

/// Makes the folder, and notes in it whose it is before anything else.
fn claim(folder: &Path) -> io::Result<()> {
    match fs_err::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs_err::write(folder.join(UNFINISHED), "")
}

/// Writes a file in whole or not at all.
fn write_whole(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(".envspec-")
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    // Without it a crash of the machine can leave an empty file of that name.
    file.as_file().sync_all()?;
    let place = folder.join(name);
    file.persist(&place).map_err(|failed| {
        io::Error::new(
            failed.error.kind(),
            format!("{}: {}", place.display(), failed.error),
        )
    })?;
    Ok(())
}

/// Removes what a former version or an interrupted one left in our folder.
fn remove_others(folder: &Path, resources: &[Resource]) -> io::Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let kept = name == KERNEL_JSON || resources.iter().any(|r| name == r.name.as_str());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::EnvName;

    fn name() -> RegisteredName {
        RegisteredName::new(&EnvName::new("Lab").unwrap(), "r").unwrap()
    }

    fn mark(environment: &str, generation: &str) -> Mark {
        Mark {
            version: 1,
            environment: environment.to_owned(),
            kernel: "r".to_owned(),
            generation: generation.to_owned(),
            root: "/root".to_owned(),
        }
    }

    fn spec(mark: &Mark) -> KernelSpec {
        let text = r#"{"argv": ["/g/bin/R"], "display_name": "R", "language": "R"}"#;
        KernelSpec::parse(text).unwrap().marked(mark, None)
    }

    fn logo(bytes: &[u8]) -> Resource {
        Resource {
            name: "logo-svg.svg".to_owned(),
            bytes: bytes.to_vec(),
        }
    }

    /// Every file below a folder with its content, in order.
    fn tree(dir: &Path) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for entry in fs_err::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                all.extend(tree(&path));
            } else {
                let text = fs_err::read_to_string(&path).unwrap_or_default();
                all.push((path.display().to_string(), text));
            }
        }
        all.sort();
        all
    }

    #[test]
    fn a_registered_kernelspec_is_seen_with_its_mark_and_its_logos() {
        let dir = tempfile::tempdir().unwrap();
        let kernels = dir.path().join("jupyter/kernels");
        assert_eq!(observed(&kernels).unwrap(), []);
        let mark = mark("Lab", "Lab-1");
        register(&kernels, &name(), &spec(&mark), &[logo(b"<svg/>")]).unwrap();
        let expected = Registered {
            name: "lab-r".to_owned(),
            owner: Owner::Envspec(mark),
        };
        assert_eq!(observed(&kernels).unwrap(), [expected]);
        assert_eq!(
            read_resources(&kernels.join("lab-r")).unwrap(),
            [logo(b"<svg/>")]
        );
        let json = kernels.join("lab-r/kernel.json");
        let mode = fs_err::metadata(json).unwrap().permissions().mode();
        assert_eq!(mode & 0o133, 0, "no more than rw-r--r--");
    }

    #[test]
    fn a_new_generation_replaces_the_old_one_and_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let old = Resource {
            name: "kernel.js".to_owned(),
            bytes: b"old".to_vec(),
        };
        register(
            dir.path(),
            &name(),
            &spec(&mark("Lab", "Lab-1")),
            &[old, logo(b"1")],
        )
        .unwrap();
        let new = spec(&mark("Lab", "Lab-2"));
        register(dir.path(), &name(), &new, &[logo(b"2")]).unwrap();
        let folder = dir.path().join("lab-r");
        let expected = [
            ("kernel.json", new.to_json()),
            ("logo-svg.svg", "2".to_owned()),
        ]
        .map(|(file, text)| (folder.join(file).display().to_string(), text));
        assert_eq!(tree(dir.path()), expected);
    }

    #[test]
    fn a_foreign_kernelspec_is_neither_overwritten_nor_removed() {
        let ours = spec(&mark("Lab", "Lab-1"));
        let unreadable = "{ not json";
        let stolen = r#"{"argv": ["x"], "metadata": {"envspec": {"version": 1}}}"#;
        for (folder, text) in [
            ("lab-r", r#"{"argv": ["R"]}"#),
            ("LAB-R", r#"{"argv": ["R"]}"#),
            ("lab-r", unreadable),
            ("lab-r", stolen),
        ] {
            let dir = tempfile::tempdir().unwrap();
            fs_err::create_dir(dir.path().join(folder)).unwrap();
            fs_err::write(dir.path().join(folder).join("kernel.json"), text).unwrap();
            let before = tree(dir.path());
            let error = register(dir.path(), &name(), &ours, &[logo(b"x")]).unwrap_err();
            assert!(
                matches!(error, RegistrationError::Foreign { .. }),
                "{error}"
            );
            if folder == "lab-r" {
                assert!(unregister(dir.path(), &name()).is_err());
            }
            assert_eq!(tree(dir.path()), before);
        }
    }

    #[test]
    fn a_folder_of_the_users_own_without_a_kernel_json_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir(dir.path().join("lab-r")).unwrap();
        fs_err::write(dir.path().join("lab-r/notes.txt"), "mine").unwrap();
        let error = register(dir.path(), &name(), &spec(&mark("Lab", "1")), &[]).unwrap_err();
        assert!(matches!(error, RegistrationError::Foreign { .. }));
        assert_eq!(tree(dir.path()).len(), 1);
    }

    #[test]
    fn a_link_is_foreign_and_what_it_leads_to_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let ours = spec(&mark("Lab", "Lab-1"));
        fs_err::write(elsewhere.path().join("kernel.json"), ours.to_json()).unwrap();
        fs_err::os::unix::fs::symlink(elsewhere.path(), dir.path().join("lab-r")).unwrap();
        let before = tree(elsewhere.path());
        let new = spec(&mark("Lab", "Lab-2"));
        assert!(register(dir.path(), &name(), &new, &[]).is_err());
        assert!(unregister(dir.path(), &name()).is_err());
        assert_eq!(tree(elsewhere.path()), before);
        assert!(dir.path().join("lab-r").is_symlink());
    }

    #[test]
    fn two_environments_whose_names_differ_in_case_do_not_share_a_kernelspec() {
        let dir = tempfile::tempdir().unwrap();
        register(dir.path(), &name(), &spec(&mark("Lab", "Lab-1")), &[]).unwrap();
        let error = register(dir.path(), &name(), &spec(&mark("lab", "lab-1")), &[]).unwrap_err();
        assert!(
            matches!(error, RegistrationError::Taken { environment, .. } if environment == "Lab")
        );
        let owner = observed(dir.path()).unwrap().remove(0).owner;
        assert_eq!(owner, Owner::Envspec(mark("Lab", "Lab-1")));
    }

    #[test]
    fn an_interrupted_registration_is_invisible_and_the_next_one_finishes_it() {
        for left in [
            &[][..],
            &[UNFINISHED],
            &[UNFINISHED, "logo-svg.svg", ".envspec-a1b2"],
        ] {
            let dir = tempfile::tempdir().unwrap();
            let folder = dir.path().join("lab-r");
            fs_err::create_dir(&folder).unwrap();
            for file in left {
                fs_err::write(folder.join(file), "half").unwrap();
            }
            assert_eq!(observed(dir.path()).unwrap(), []);
            register(dir.path(), &name(), &spec(&mark("Lab", "Lab-1")), &[]).unwrap();
            let files = tree(dir.path());
            assert_eq!(files.len(), 1, "{files:?}");
        }
    }

    #[test]
    fn removing_takes_the_folder_and_doing_it_again_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        register(dir.path(), &name(), &spec(&mark("Lab", "1")), &[logo(b"x")]).unwrap();
        unregister(dir.path(), &name()).unwrap();
        unregister(dir.path(), &name()).unwrap();
        assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_reader_never_sees_half_a_kernel_json() {
        let dir = tempfile::tempdir().unwrap();
        register(dir.path(), &name(), &spec(&mark("Lab", "0")), &[]).unwrap();
        let file = dir.path().join("lab-r/kernel.json");
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut read = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let text = fs_err::read_to_string(&file).expect("it is always there");
                    KernelSpec::parse(&text).expect("it is always whole");
                    read += 1;
                }
                read
            });
            for generation in 1..100 {
                let spec = spec(&mark("Lab", &generation.to_string()));
                register(dir.path(), &name(), &spec, &[logo(&[b'x'; 4096])]).unwrap();
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(reader.join().unwrap() > 0);
        });
    }

    #[test]
    fn a_kernelspec_without_a_mark_or_with_a_path_for_a_logo_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let unmarked = KernelSpec::parse(r#"{"argv": ["R"]}"#).unwrap();
        assert!(register(dir.path(), &name(), &unmarked, &[]).is_err());
        let ours = spec(&mark("Lab", "1"));
        for bad in ["../x", "kernel.json", ".hidden"] {
            let resource = Resource {
                name: bad.to_owned(),
                bytes: Vec::new(),
            };
            assert!(
                register(dir.path(), &name(), &ours, &[resource]).is_err(),
                "{bad}"
            );
        }
        assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 0);
    }
}
