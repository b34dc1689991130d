//! Every kernelspec that Jupyter would find, with what there is to know of it.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::program::{is_executable, is_prefix, program_of};
use super::registration::KERNEL_JSON;
use super::search_path::SearchPath;
use crate::kernel::{KernelSpec, MarkedRoot, Place, Program, Seen};

/// More than any kernel.json has, in bytes.
const LONGEST: u64 = 1 << 20;

/// What was found.
#[derive(Debug, Default)]
pub struct Survey {
    /// The kernelspecs, folder by folder, in the order of their names.
    pub kernelspecs: Vec<Seen>,
    /// What each server of the search path finds: a name's index in `kernelspecs`.
    pub found: Vec<BTreeMap<String, usize>>,
    /// Folders that are there and can't be read.
    pub unreadable: Vec<io::Error>,
}

/// Looks at every kernelspec of a search path. `environment` is that of the
/// server.
pub async fn look(path: &SearchPath, environment: &BTreeMap<String, String>) -> Survey {
    let mut survey = Survey::default();
    let mut folders = Vec::new();
    let mut real = Vec::new();
    for (at, (folder, place)) in path.folders.iter().enumerate() {
        let entries = match kernelspecs_in(folder) {
            Ok(entries) => entries,
            Err(error) => {
                survey.unreadable.push(error);
                continue;
            }
        };
        for entry in entries {
            let seen = look_at(&entry, place, environment).await;
            // What Jupyter does not see hides nothing: no server searches there.
            let is_seen = entry.join(KERNEL_JSON).is_file();
            let at = if is_seen { at } else { path.folders.len() };
            folders.push((at, seen.name.clone()));
            real.push(entry.canonicalize().unwrap_or(entry));
            survey.kernelspecs.push(seen);
        }
    }
    survey.found = path.found(&folders);
    let all = &mut survey.kernelspecs;
    for at in 0..all.len() {
        let (folder, name) = &folders[at];
        let servers = path.servers.iter().zip(&survey.found);
        let asked = servers.filter(|(server, _)| server.order.contains(folder));
        let winners: Vec<usize> = asked.map(|(_, found)| found[name]).collect();
        // The same folder by another path hides nothing.
        let others: Vec<usize> = winners
            .iter()
            .copied()
            .filter(|winner| real[*winner] != real[at])
            .collect();
        if let Some(first) = others.first()
            && others.len() == winners.len()
        {
            all[at].shadowed_by = Some(all[*first].path.clone());
        }
        // What would not run either is nobody's loss.
        if !all[at].program.as_ref().is_some_and(Program::runs) {
            continue;
        }
        let hidden = all[at].path.clone();
        for winner in others {
            if !all[winner].shadows.contains(&hidden) {
                all[winner].shadows.push(hidden.clone());
            }
        }
    }
    survey
}

/// The folders that are kernelspecs, or were meant to be; none if the folder is
/// not there. As `_is_kernel_dir` of `jupyter_client`, with those that a broken
/// link makes invisible to it.
fn kernelspecs_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    use io::ErrorKind::{NotADirectory, NotFound};
    let entries = match fs_err::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_broken_link = |path: &Path| path.is_symlink() && !path.exists();
        let json = path.join(KERNEL_JSON);
        let is_closed = matches!(json.metadata(), Err(error)
            if error.kind() == io::ErrorKind::PermissionDenied && path.is_dir());
        if json.is_file() || is_closed || is_broken_link(&path) || is_broken_link(&json) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

async fn look_at(path: &Path, place: &Place, environment: &BTreeMap<String, String>) -> Seen {
    let content = read(path);
    let shown = path.to_string_lossy().into_owned();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // The prefix of the server that finds it.
    let own = match place {
        Place::Generation(_) | Place::Prefix(_) => path.ancestors().nth(4),
        _ => None,
    };
    let mut program = None;
    let mut in_prefix = None;
    let mut lost = Vec::new();
    let mut root = MarkedRoot::There;
    if let Ok(spec) = &content {
        program = program_of(spec, &shown, own, environment).await;
        in_prefix = match (spec.wrapped(), &program) {
            (Some(wrapped), _) => wrapped
                .command
                .first()
                .and_then(|word| told_program(spec, &shown, word)),
            (None, Some(Program::Bare { word, .. })) => told_program(spec, &shown, word),
            _ => None,
        };
        lost = spec.named_folders();
        lost.retain(|folder| is_gone(Path::new(folder)));
        if let Some(mark) = spec.mark() {
            root = marked_root(Path::new(&mark.root));
        }
    }
    let lacks = program.as_ref().and_then(Program::lacks);
    Seen {
        name: name.to_lowercase(),
        is_link: path.is_symlink(),
        can_change: can_change(path),
        path: shown,
        place: place.clone(),
        content,
        prefix_lacks_it: lacks.is_some_and(|file| prefix_lacks(Path::new(file))),
        program,
        in_prefix,
        lost,
        root,
        shadowed_by: None,
        shadows: Vec::new(),
    }
}

/// Reads a kernel.json that may be anything.
fn read(kernelspec: &Path) -> Result<KernelSpec, String> {
    let path = kernelspec.join(KERNEL_JSON);
    let text = || -> io::Result<String> {
        let file = fs_err::File::open(&path)?;
        let mut text = String::new();
        file.take(LONGEST + 1).read_to_string(&mut text)?;
        Ok(text)
    };
    let text = text().map_err(|error| error.to_string())?;
    if text.len() as u64 > LONGEST {
        return Err(format!("{} is too long", path.display()));
    }
    KernelSpec::parse(&text).map_err(|error| error.to_string())
}

/// The program that a word means in the prefix that the kernelspec tells.
fn told_program(spec: &KernelSpec, folder: &str, word: &str) -> Option<String> {
    let prefixes = spec.told_prefixes(folder).into_iter();
    let prefix = prefixes
        .into_iter()
        .find(|prefix| is_prefix(Path::new(prefix)))?;
    let program = match word.strip_prefix("{prefix}") {
        Some(below) => format!("{prefix}{below}"),
        None if word.starts_with('/') => word.to_owned(),
        None if word.contains('/') => return None,
        None => format!("{prefix}/bin/{word}"),
    };
    is_executable(Path::new(&program)).then_some(program)
}

/// Whether the prefix that a file was in is there, without it. A link that leads
/// nowhere is there: to a Python on a disk that is not mounted here, for example.
fn prefix_lacks(file: &Path) -> bool {
    let is_there = file.symlink_metadata().is_ok();
    let prefix = file.parent().filter(|folder| folder.ends_with("bin"));
    let prefix = prefix.and_then(Path::parent);
    !is_there && prefix.is_some_and(is_prefix)
}

/// Whether the root of a mark is there. An empty folder in its place is what is left
/// of a disk that is not mounted.
fn marked_root(root: &Path) -> MarkedRoot {
    let is_filled = fs_err::read_dir(root).is_ok_and(|mut entries| entries.next().is_some());
    if is_filled {
        MarkedRoot::There
    } else {
        MarkedRoot::Unseen
    }
}

/// Whether there certainly is nothing at a path.
fn is_gone(path: &Path) -> bool {
    matches!(path.metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// Whether this user may change a kernelspec and take it out of its folder.
fn can_change(kernelspec: &Path) -> bool {
    let may_write = |path: &Path| access(path, Access::WRITE_OK).is_ok();
    let folder = kernelspec.parent();
    // A link that leads nowhere can be renamed where it is.
    (may_write(kernelspec) || !kernelspec.exists()) && folder.is_some_and(may_write)
}
