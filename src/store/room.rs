//! What is left on a file system for the user.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use rustix::fs::statvfs;

use crate::plan::Room;
use crate::site::Quota;

/// How long a quota is asked for: its server may be down.
const PATIENCE: Duration = Duration::from_secs(5);

/// The number by which `statfs` knows Lustre (`LL_SUPER_MAGIC`).
const LUSTRE: u64 = 0x0BD0_0BD0;

/// What is left below a folder that need not be there yet: of the file system,
/// and of the user's quota on it where one is told.
pub fn room(folder: &Path) -> Room {
    let Some(folder) = folder.ancestors().find(|folder| folder.exists()) else {
        return Room::default();
    };
    let disk = statvfs(folder).map_or_else(
        |_| Room::default(),
        |told| Room {
            bytes: Some(told.f_bavail.saturating_mul(told.f_frsize)),
            // Some file systems have no limit, and say 0.
            files: (told.f_files > 0).then_some(told.f_favail),
        },
    );
    quota(folder).map_or(disk, |quota| {
        disk.and(Room {
            bytes: quota.kibibytes.map(|count| count.saturating_mul(1024)),
            files: quota.files,
        })
    })
}

/// The user's quota on the file system of a folder.
fn quota(folder: &Path) -> Option<Quota> {
    if is_lustre(folder) {
        let uid = rustix::process::getuid().as_raw().to_string();
        let folder = folder.to_str()?;
        let said = ask(&["lfs", "quota", "-q", "-u", &uid, folder])?;
        // A long name of a file system has a line of its own.
        return Quota::parse(&said.replace('\n', " "));
    }
    let source = source(&fs::read_to_string("/proc/self/mounts").ok()?, folder)?;
    let said = ask(&["quota", "-wp"])?;
    said.lines()
        .filter_map(Quota::parse)
        .find(|quota| quota.system == source)
}

#[cfg(target_os = "linux")]
fn is_lustre(folder: &Path) -> bool {
    rustix::fs::statfs(folder).is_ok_and(|told| u64::try_from(told.f_type) == Ok(LUSTRE))
}

#[cfg(not(target_os = "linux"))]
fn is_lustre(_folder: &Path) -> bool {
    false
}

/// What is mounted at a folder, by the mount table.
fn source(mounts: &str, folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    mounts
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(source, rest)| Some((source, rest.split_once(' ')?.0)))
        // Blanks in a name are written as `\040`.
        .map(|(source, place)| (source, place.replace("\\040", " ")))
        .filter(|(_, place)| folder.starts_with(place))
        // Of mounts over one another the last one counts.
        .max_by_key(|(_, place)| place.len())
        .map(|(source, _)| source.to_owned())
}

/// What a program prints; nothing if it is not there or takes too long. That a
/// quota is exceeded is no failure of it.
fn ask(command: &[&str]) -> Option<String> {
    let (program, arguments) = command.split_first()?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let started = Instant::now();
    while child.try_wait().ok()?.is_none() {
        if started.elapsed() > PATIENCE {
            drop(child.kill());
            drop(child.wait());
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_mount_of_a_folder_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a b");
        fs::create_dir(&inner).unwrap();
        let place = folder.path().canonicalize().unwrap();
        let mounts = format!(
            "/dev/vda / ext4 rw 0 0\nhome:/export {place} nfs rw 0 0\n\
             home:/other {place}x nfs rw 0 0\nfs:/x {place}/a\\040b nfs rw 0 0\n",
            place = place.display()
        );
        let of = |folder: &Path| source(&mounts, folder).unwrap();
        assert_eq!(of(folder.path()), "home:/export");
        assert_eq!(of(&inner), "fs:/x");
        assert_eq!(of(Path::new("/")), "/dev/vda");
    }

    #[test]
    fn a_folder_that_is_still_to_be_made_has_the_room_of_the_one_above() {
        let folder = tempfile::tempdir().unwrap();
        let left = room(&folder.path().join("not/there"));
        assert!(left.bytes.is_some_and(|bytes| bytes > 0), "{left:?}");
    }
}
