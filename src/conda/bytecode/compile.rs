//! The compiling, by the prefix's own Python, on all cores.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use futures_util::future::try_join_all;
use rattler_conda_types::PrefixRecord;
use rattler_conda_types::prefix_record::PathType;
use rayon::prelude::*;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::entry::Entry;

/// More interpreters than this help nobody else on a login node.
const MOST: usize = 8;

/// A source to compile.
struct Source {
    /// Which of the packages brings it.
    package: usize,
    /// Below the prefix.
    path: String,
    /// Where its bytecode goes for now.
    target: PathBuf,
}

/// Makes entries of the packages' sources.
pub(super) async fn compile(
    prefix: &Path,
    folder: &Path,
    packages: &[&Entry],
    clobbered: &BTreeSet<PathBuf>,
) -> io::Result<()> {
    fs_err::create_dir_all(folder)?;
    let scratch = tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(folder)?;
    let sources = sources(prefix, scratch.path(), packages, clobbered)?;
    // Dealt out like cards: each gets large and small ones.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = cores.min(MOST);
    let mut hands: Vec<Vec<&Source>> = vec![Vec::new(); workers];
    for (number, source) in sources.iter().enumerate() {
        hands[number % workers].push(source);
    }
    let hands: Vec<_> = hands.into_iter().filter(|hand| !hand.is_empty()).collect();
    let told = try_join_all(hands.iter().map(|hand| interpret(prefix, hand))).await?;

    let mut made: Vec<Vec<(&Path, String)>> = vec![Vec::new(); packages.len()];
    for (source, path) in hands.iter().flatten().zip(told.into_iter().flatten()) {
        if !path.is_empty() {
            made[source.package].push((&source.target, path));
        }
    }
    // One flush for all: what is renamed into its place is on the disk.
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(std::fs::File::open(scratch.path())?)?;
    for (number, (entry, files)) in packages.iter().zip(made).enumerate() {
        let new = scratch.path().join(format!("{number}.entry"));
        fs_err::create_dir_all(&new)?;
        let mut paths = Vec::with_capacity(files.len());
        for (target, path) in files {
            fs_err::rename(target, new.join(paths.len().to_string()))?;
            paths.push(path);
        }
        entry.take(&new, &paths)?;
    }
    Ok(())
}

/// The sources that packages brought and that have no bytecode of their own.
fn sources(
    prefix: &Path,
    scratch: &Path,
    packages: &[&Entry],
    clobbered: &BTreeSet<PathBuf>,
) -> io::Result<Vec<Source>> {
    let of_package = |(package, entry): (usize, &&Entry)| {
        let file = prefix.join("conda-meta").join(&entry.record);
        let record = PrefixRecord::from_path(&file)?;
        let paths = record.paths_data.paths;
        let has: BTreeSet<PathBuf> = paths
            .iter()
            .filter(|entry| entry.relative_path.extension() == Some(OsStr::new("pyc")))
            .map(|entry| bare(&entry.relative_path))
            .collect();
        let sources = paths
            .iter()
            .filter(|entry| {
                entry.path_type == PathType::HardLink
                    // The bytecode of a source that holds the prefix is no other prefix's.
                    && entry.prefix_placeholder.is_none()
                    && !clobbered.contains(&entry.relative_path)
            })
            .filter_map(|entry| {
                let path = entry.relative_path.to_str()?;
                let stem = path.strip_suffix(".py")?;
                if !path.starts_with("lib/python") {
                    return None;
                }
                (!has.contains(Path::new(stem))).then(|| path.to_owned())
            })
            .enumerate()
            .map(|(number, path)| Source {
                package,
                path,
                target: scratch.join(format!("{package}.{number}")),
            });
        Ok(sources.collect::<Vec<_>>())
    };
    let all: io::Result<Vec<Vec<Source>>> =
        packages.par_iter().enumerate().map(of_package).collect();
    Ok(all?.into_iter().flatten().collect())
}

/// The module that a bytecode file is of, without its ending:
/// `a/__pycache__/b.cpython-313.pyc` is of `a/b`.
fn bare(path: &Path) -> PathBuf {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    let folder = path.parent().unwrap_or(Path::new(""));
    match folder.file_name() {
        Some(last) if last == "__pycache__" => folder.with_file_name(stem),
        _ => folder.join(stem),
    }
}

/// Has one interpreter compile sources; says for each where Python will look for
/// the bytecode, below the prefix, or nothing if it can't be compiled.
async fn interpret(prefix: &Path, sources: &[&Source]) -> io::Result<Vec<String>> {
    let mut child = Command::new(prefix.join("bin/python"))
        .args([
            "-I",
            "-S",
            "-B",
            "-W",
            "ignore",
            "-c",
            include_str!("compile.py"),
        ])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut orders = String::new();
    for source in sources {
        let line = serde_json::json!([prefix.join(&source.path), source.path, source.target]);
        orders.push_str(&line.to_string());
        orders.push('\n');
    }
    let stdin = child.stdin.take();
    let order = async {
        if let Some(mut stdin) = stdin {
            stdin.write_all(orders.as_bytes()).await?;
        }
        Ok::<(), io::Error>(())
    };
    let (ordered, output) = tokio::join!(order, child.wait_with_output());
    let output = output?;
    let told: Vec<String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect();
    if !output.status.success() || told.len() != sources.len() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or("it says nothing").to_owned();
        let number = output.status.code().unwrap_or_default();
        let of_system = io::Error::from_raw_os_error(number);
        let kind = match of_system.kind() {
            kind @ (io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => kind,
            _ => io::ErrorKind::Other,
        };
        return Err(io::Error::new(kind, format!("{}: {last}", output.status)));
    }
    ordered?;
    Ok(told)
}
