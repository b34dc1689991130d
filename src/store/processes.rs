//! Which generations processes of this machine use.
//!
//! What a process runs, has mapped, has open, stands in, was called with or has
//! in its environment counts. Of other users' processes only some of that can be
//! seen; where there is no `/proc` nothing can.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::layout::Root;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub name: String,
}

/// What processes of this machine use of a root.
#[derive(Debug, Default)]
pub struct InUse {
    /// The first process of each generation, by the name of its folder.
    pub generations: BTreeMap<String, Process>,
    /// Start scripts that run, by the names of their files.
    pub scripts: BTreeMap<String, Process>,
}

/// Looks at all processes.
pub fn in_use(root: &Root) -> InUse {
    let mut found = InUse::default();
    let generations = spellings(&root.generations());
    let scripts = spellings(&root.sessions().join("start"));
    let Ok(entries) = fs::read_dir("/proc") else {
        return found;
    };
    let mut numbers: Vec<u32> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    numbers.sort_unstable();
    for pid in numbers {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let text = seen(&folder);
        let mut names = names_below(&text, &generations).peekable();
        let mut running = names_below(&text, &scripts).peekable();
        if names.peek().is_none() && running.peek().is_none() {
            continue;
        }
        let name = fs::read_to_string(folder.join("comm")).unwrap_or_default();
        let process = Process {
            pid,
            name: name.trim_end().to_owned(),
        };
        for name in names {
            found
                .generations
                .entry(name)
                .or_insert_with(|| process.clone());
        }
        for name in running {
            found.scripts.entry(name).or_insert_with(|| process.clone());
        }
    }
    found
}

/// All that a process shows, as one text.
fn seen(folder: &Path) -> String {
    let mut text = String::new();
    for link in ["exe", "cwd", "root"] {
        if let Ok(target) = std::fs::read_link(folder.join(link)) {
            text.push_str(&target.to_string_lossy());
            text.push('\n');
        }
    }
    for file in ["maps", "cmdline", "environ"] {
        if let Ok(bytes) = std::fs::read(folder.join(file)) {
            text.push_str(&String::from_utf8_lossy(&bytes));
            text.push('\n');
        }
    }
    if let Ok(open) = std::fs::read_dir(folder.join("fd")) {
        for file in open.flatten() {
            if let Ok(target) = std::fs::read_link(file.path()) {
                text.push_str(&target.to_string_lossy());
                text.push('\n');
            }
        }
    }
    text
}

/// How a folder is written: as it is given, and without links.
fn spellings(folder: &Path) -> Vec<String> {
    let mut all = vec![format!("{}/", folder.display())];
    if let Ok(real) = folder.canonicalize() {
        all.push(format!("{}/", real.display()));
    }
    all.dedup();
    all
}

/// The names that follow a folder in a text. Generations and scripts have
/// neither of these characters in theirs.
fn names_below(text: &str, folders: &[String]) -> impl Iterator<Item = String> {
    folders.iter().flat_map(move |folder| {
        text.match_indices(folder).filter_map(|(at, _)| {
            let rest = &text[at + folder.len()..];
            let end = rest
                .find(|c: char| {
                    c == '/' || c.is_whitespace() || c.is_control() || "'\":;".contains(c)
                })
                .unwrap_or(rest.len());
            (end > 0).then(|| rest[..end].to_owned())
        })
    })
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::process::{Command, Stdio};

    use fs_err as fs;

    use super::in_use;
    use crate::store::Root;

    #[test]
    fn a_process_is_found_by_its_folder_its_arguments_and_its_environment() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().join("link"));
        let real = folder.path().join("real");
        let generations = real.join("gen");
        for name in ["lab-1", "lab-2", "lab-3", "lab-4", "lab-5"] {
            fs::create_dir_all(generations.join(name).join("bin")).unwrap();
        }
        fs_err::os::unix::fs::symlink(&real, root.path()).unwrap();
        fs::write(generations.join("lab-4/file"), "").unwrap();
        fs::copy("/bin/sleep", generations.join("lab-5/bin/sleep")).unwrap();
        let sleep = |program: &std::path::Path| {
            let mut command = Command::new(program);
            command.arg("60").stdin(Stdio::null());
            command
        };
        let system = std::path::Path::new("/bin/sleep");
        let mut children = [
            sleep(system).current_dir(generations.join("lab-1")).spawn(),
            Command::new("sh")
                .args(["-c", "kill -STOP $$", "sh"])
                .arg(root.generations().join("lab-2/bin/x"))
                .spawn(),
            sleep(system)
                .env("CONDA_PREFIX", root.generations().join("lab-3"))
                .spawn(),
            sleep(system)
                .stdout(std::fs::File::open(generations.join("lab-4/file")).unwrap())
                .spawn(),
            sleep(&generations.join("lab-5/bin/sleep")).spawn(),
        ]
        .map(Result::unwrap);
        std::thread::sleep(std::time::Duration::from_millis(200));
        let found = in_use(&root);
        let pids: Vec<_> = children.iter().map(std::process::Child::id).collect();
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        for (number, pid) in pids.iter().enumerate() {
            let name = format!("lab-{}", number + 1);
            assert_eq!(
                found.generations.get(&name).map(|process| process.pid),
                Some(*pid),
                "{name}: {found:?}"
            );
        }
        assert!(in_use(&root).generations.is_empty());
    }
}
