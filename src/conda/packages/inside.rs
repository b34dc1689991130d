//! Whether what packages bring stays inside the prefix.
//!
//! rattler unpacks an archive into its own folder and nowhere else: it leaves entries out
//! whose path has a `..`, makes absolute paths relative, and refuses what a link would
//! carry outside. But it links whatever paths the package's own list names, through
//! whatever links other packages bring. Those are judged here, before anything is linked.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use fs_err as fs;
use rattler_conda_types::RepoDataRecord;
use rattler_conda_types::package::{LinkJson, NoArchLinks, PackageFile as _, PathsJson};
use rayon::prelude::*;

use crate::conda::error::CondaError;
use crate::spec::shown;

/// How many links are followed on the way to one place, as in Linux.
const LINKS: usize = 40;

/// An unpacked package.
pub(super) struct Unpacked<'a> {
    pub(super) record: &'a RepoDataRecord,
    /// Its folder.
    pub(super) folder: PathBuf,
    /// Its list of paths, if it was read already.
    pub(super) paths: Option<&'a PathsJson>,
}

/// What a package does that none may.
struct Breach {
    path: String,
    why: &'static str,
}

/// The links of a prefix to be: the path of each and what it says.
type Links = BTreeMap<PathBuf, PathBuf>;

/// Refuses packages that would write outside the prefix.
///
/// # Errors
/// The first such package, and the path.
pub(super) fn judge(packages: &[Unpacked<'_>]) -> Result<(), CondaError> {
    let place = Place::of(packages);
    let read: Vec<(Vec<PathBuf>, Links)> = packages
        .par_iter()
        .map(|package| {
            let of_package = |breach| refused(package, &breach);
            package.look(&place).map_err(of_package)
        })
        .collect::<Result<_, _>>()?;
    let links: Links = read.iter().flat_map(|(_, links)| links.clone()).collect();
    let leads_out = |path: &Path| is_outside(path, &links);
    let ways_out: Vec<&Path> = links
        .keys()
        .map(PathBuf::as_path)
        .filter(|link| leads_out(link))
        .collect();
    if ways_out.is_empty() {
        return Ok(());
    }
    for (package, (paths, _)) in packages.iter().zip(&read) {
        let through = |path: &&PathBuf| {
            let mut above = path.ancestors().skip(1);
            above.any(|above| ways_out.contains(&above))
        };
        if let Some(path) = paths.iter().find(through) {
            return Err(refused(
                package,
                &Breach {
                    path: path.display().to_string(),
                    why: "is behind a link that leads out of the prefix",
                },
            ));
        }
    }
    Ok(())
}

fn refused(package: &Unpacked<'_>, breach: &Breach) -> CondaError {
    let name = &package.record.package_record.name;
    CondaError::Unsafe {
        package: name.as_normalized().to_owned(),
        path: shown(&breach.path),
        why: breach.why,
    }
}

/// Where noarch packages of Python go.
struct Place(PathBuf);

impl Place {
    fn of(packages: &[Unpacked<'_>]) -> Self {
        let mut records = packages
            .iter()
            .map(|package| &package.record.package_record);
        let python = records.find(|record| record.name.as_normalized() == "python");
        let version = python.and_then(|python| python.version.as_major_minor());
        let usual =
            version.map(|(major, minor)| format!("lib/python{major}.{minor}/site-packages"));
        let said = python.and_then(|python| python.python_site_packages_path.clone());
        Self(said.or(usual).unwrap_or_default().into())
    }

    fn put(&self, path: &Path) -> PathBuf {
        if let Ok(inner) = path.strip_prefix("site-packages") {
            return self.0.join(inner);
        }
        match path.strip_prefix("python-scripts") {
            Ok(inner) => Path::new("bin").join(inner),
            Err(_) => path.to_owned(),
        }
    }
}

impl Unpacked<'_> {
    /// The paths that it brings, and its links.
    fn look(&self, place: &Place) -> Result<(Vec<PathBuf>, Links), Breach> {
        let read;
        let listed = if let Some(paths) = self.paths {
            paths
        } else {
            let folder = &self.folder;
            // Whoever links it says what is wrong with a list that can't be read.
            let Ok(paths) = PathsJson::from_package_directory_with_deprecated_fallback(folder)
            else {
                return Ok((Vec::new(), Links::new()));
            };
            read = paths;
            &read
        };
        let is_python = self.record.package_record.noarch.is_python();
        let (mut paths, mut links) = (Vec::new(), Links::new());
        for entry in &listed.paths {
            let path = &entry.relative_path;
            let breach = |why| Breach {
                path: path.to_string_lossy().into_owned(),
                why,
            };
            if let Some(why) = objection(path) {
                return Err(breach(why));
            }
            let inside = if is_python {
                place.put(path)
            } else {
                path.clone()
            };
            let file = self.folder.join(path);
            let found = file.symlink_metadata().map(|found| found.file_type());
            match found {
                Ok(kind) if kind.is_symlink() => {
                    let target = fs::read_link(&file).unwrap_or_default();
                    links.insert(inside.clone(), target);
                }
                Ok(kind) if !kind.is_file() && !kind.is_dir() => {
                    return Err(breach("is no file, folder or link"));
                }
                // What is not there the installer will miss.
                _ => {}
            }
            paths.push(inside);
        }
        self.commands()?;
        Ok((paths, links))
    }

    /// The commands that the installer writes for a noarch package of Python's.
    fn commands(&self) -> Result<(), Breach> {
        let link = match LinkJson::from_package_directory(&self.folder) {
            Ok(link) => link,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            // rattler reads no command that is a path.
            Err(_) => {
                return Err(Breach {
                    path: LinkJson::package_path().display().to_string(),
                    why: "can't be read",
                });
            }
        };
        let NoArchLinks::Python(python) = link.noarch else {
            return Ok(());
        };
        for point in &python.entry_points {
            let command = Path::new(&point.command);
            if command.file_name() != Some(OsStr::new(&point.command)) {
                return Err(Breach {
                    path: point.command.clone(),
                    why: "is no name of a command",
                });
            }
            if let Some(why) = objection(command) {
                return Err(Breach {
                    path: point.command.clone(),
                    why,
                });
            }
        }
        Ok(())
    }
}

/// What is wrong with a path that a package names.
fn objection(path: &Path) -> Option<&'static str> {
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if !path.components().all(is_plain) {
        return Some("leads out of the prefix");
    }
    if path.starts_with(".envspec") {
        return Some("is where envspec keeps its own");
    }
    // A carriage return is in the name of a folder's icon on macOS, and in packages.
    let is_control = |c: char| c.is_control() && c != '\r';
    path.to_string_lossy()
        .contains(is_control)
        .then_some("has a control character in its name")
}

/// Whether a link, followed to its end through other ones, leads out of the prefix.
fn is_outside(link: &Path, links: &Links) -> bool {
    let mut place = PathBuf::new();
    let mut rest: Vec<PathBuf> = vec![link.to_owned()];
    let mut followed = 0;
    while let Some(path) = rest.pop() {
        let mut parts = path.components();
        while let Some(part) = parts.next() {
            match part {
                Component::CurDir => {}
                Component::Prefix(_) | Component::RootDir => return true,
                Component::ParentDir => {
                    if !place.pop() {
                        return true;
                    }
                }
                Component::Normal(name) => {
                    place.push(name);
                    if let Some(target) = links.get(&place) {
                        followed += 1;
                        if followed > LINKS {
                            return true;
                        }
                        place.pop();
                        rest.push(parts.as_path().to_owned());
                        rest.push(target.clone());
                        break;
                    }
                }
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Links, is_outside, objection};

    #[test]
    fn a_path_stays_below_the_prefix_and_out_of_what_is_envspecs() {
        for (path, is_good) in [
            ("bin/tool", true),
            ("./bin/tool", true),
            ("lib/Icon\r", true),
            ("share/..hidden", true),
            ("../x", false),
            ("lib/../../x", false),
            ("/etc/x", false),
            (".envspec/receipt.json", false),
            ("lib/a\nb", false),
            ("lib/\u{1b}[2J", false),
        ] {
            assert_eq!(objection(Path::new(path)).is_none(), is_good, "{path:?}");
        }
    }

    #[test]
    fn links_are_followed_as_the_system_does() {
        let links: Links = [
            ("lib64", "lib"),
            ("share/man", "../man"),
            ("out", "../x"),
            ("etc/abs", "/etc"),
            ("deep/er/up", "../.."),
            // Written it stays inside; followed it does not.
            ("sly", "deep/er/up/../x"),
            ("loop", "loop"),
            ("by", "lib64/../out/y"),
        ]
        .into_iter()
        .map(|(link, target)| (PathBuf::from(link), PathBuf::from(target)))
        .collect();
        let outside: Vec<&Path> = links
            .keys()
            .map(PathBuf::as_path)
            .filter(|link| is_outside(link, &links))
            .collect();
        let wanted = ["by", "etc/abs", "loop", "out", "sly"];
        assert_eq!(outside, wanted.map(Path::new));
    }
}
