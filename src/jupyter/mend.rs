//! Changes to kernelspecs that somebody else made. Nothing is deleted: what was
//! there is kept beside, where Jupyter does not look.

use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::registration::KERNEL_JSON;
use crate::kernel::KernelSpec;

/// Behind the name of the folder that kernelspecs are moved to.
const REMOVED: &str = ".removed-by-envspec";

/// Behind the name of a `kernel.json` as it was before it was changed.
const BEFORE: &str = ".before-envspec";

/// Moves a kernelspec out of its folder into one beside that, as `<name>-<when>`,
/// and gives its new path. A link is moved itself, not what it leads to.
pub fn move_aside(kernelspec: &Path, when: &str) -> io::Result<PathBuf> {
    let parts = kernelspec.file_name().zip(kernelspec.parent());
    let (name, folder) = parts.ok_or(io::ErrorKind::InvalidInput)?;
    let removed = beside(folder, REMOVED)?;
    fs_err::create_dir_all(&removed)?;
    let mut name = name.to_owned();
    name.push(format!("-{when}"));
    let place = free(&removed.join(name));
    fs_err::rename(kernelspec, &place)?;
    Ok(place)
}

/// Writes another `kernel.json` into a kernelspec, whole or not at all, and gives
/// the path at which the former one is kept. The file's mode stays.
pub fn rewrite(kernelspec: &Path, spec: &KernelSpec) -> io::Result<PathBuf> {
    let path = kernelspec.join(KERNEL_JSON);
    let before = fs_err::read(&path)?;
    let mode = fs_err::metadata(&path)?.permissions().mode() & 0o777;
    let first = beside(&path, BEFORE)?;
    let kept = match fs_err::read(&first) {
        Ok(bytes) if bytes == before => first,
        _ => {
            let kept = free(&first);
            write(kernelspec, &kept, &before, mode)?;
            kept
        }
    };
    write(kernelspec, &path, spec.to_json().as_bytes(), mode)?;
    Ok(kept)
}

/// A path with something behind its name.
fn beside(path: &Path, behind: &str) -> io::Result<PathBuf> {
    let mut name = path
        .file_name()
        .ok_or(io::ErrorKind::InvalidInput)?
        .to_owned();
    name.push(behind);
    Ok(path.with_file_name(name))
}

/// The path itself if nothing is there, else the first with a number behind it.
fn free(path: &Path) -> PathBuf {
    let numbered = (2..).map(|number| {
        let mut text = path.as_os_str().to_owned();
        text.push(format!("-{number}"));
        PathBuf::from(text)
    });
    let mut all = std::iter::once(path.to_owned()).chain(numbered);
    all.find(|path| path.symlink_metadata().is_err())
        .expect("there are more numbers than files")
}

/// Writes a file in one step. A link in its place is replaced, not followed: what
/// a package's file is linked to is shared with other prefixes.
fn write(folder: &Path, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(".envspec-")
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    let permissions = std::fs::Permissions::from_mode(mode);
    file.as_file().set_permissions(permissions)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|failed| {
        let reason = format!("{}: {}", path.display(), failed.error);
        io::Error::new(failed.error.kind(), reason)
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"argv": ["python"], "display_name": "x", "language": "python"}"#;

    fn kernelspec(folder: &Path) -> PathBuf {
        let kernelspec = folder.join("kernels/python3");
        fs_err::create_dir_all(&kernelspec).unwrap();
        fs_err::write(kernelspec.join("kernel.json"), JSON).unwrap();
        fs_err::write(kernelspec.join("logo.svg"), "logo").unwrap();
        kernelspec
    }

    #[test]
    fn what_is_moved_aside_is_whole_beside_its_folder_and_each_time_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["python3-now", "python3-now-2"] {
            let place = move_aside(&kernelspec(folder.path()), "now").unwrap();
            let wanted = folder.path().join("kernels.removed-by-envspec").join(name);
            assert_eq!(place, wanted);
            assert_eq!(
                fs_err::read_to_string(place.join("kernel.json")).unwrap(),
                JSON
            );
            assert_eq!(
                fs_err::read_to_string(place.join("logo.svg")).unwrap(),
                "logo"
            );
            assert!(!folder.path().join("kernels/python3").exists());
        }
    }

    #[test]
    fn a_link_is_moved_and_what_it_leads_to_stays() {
        let folder = tempfile::tempdir().unwrap();
        let target = kernelspec(folder.path());
        let link = folder.path().join("kernels/link");
        fs_err::os::unix::fs::symlink(&target, &link).unwrap();
        let place = move_aside(&link, "now").unwrap();
        assert!(place.is_symlink() && target.join("kernel.json").is_file());
    }

    #[test]
    fn a_rewrite_keeps_mode_logos_and_every_former_text() {
        let folder = tempfile::tempdir().unwrap();
        let kernelspec = kernelspec(folder.path());
        let path = kernelspec.join("kernel.json");
        let mode = std::fs::Permissions::from_mode(0o664);
        fs_err::set_permissions(&path, mode).unwrap();
        let spec = KernelSpec::parse(JSON)
            .unwrap()
            .with_program("/e/bin/python");

        let kept = rewrite(&kernelspec, &spec).unwrap();
        assert_eq!(kept, kernelspec.join("kernel.json.before-envspec"));
        assert_eq!(fs_err::read_to_string(&kept).unwrap(), JSON);
        assert_eq!(fs_err::read_to_string(&path).unwrap(), spec.to_json());
        assert_eq!(
            fs_err::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o664
        );
        assert!(kernelspec.join("logo.svg").is_file());

        // The same text is kept once, another one beside it.
        fs_err::write(&path, JSON).unwrap();
        assert_eq!(rewrite(&kernelspec, &spec).unwrap(), kept);
        let other = rewrite(&kernelspec, &spec).unwrap();
        assert_eq!(other, kernelspec.join("kernel.json.before-envspec-2"));
        assert_eq!(fs_err::read_to_string(&kept).unwrap(), JSON);
    }

    #[test]
    fn the_file_that_a_kernel_json_is_linked_to_keeps_its_text() {
        let folder = tempfile::tempdir().unwrap();
        let kernelspec = kernelspec(folder.path());
        let (path, cache) = (
            kernelspec.join("kernel.json"),
            folder.path().join("cache.json"),
        );
        fs_err::rename(&path, &cache).unwrap();
        fs_err::os::unix::fs::symlink(&cache, &path).unwrap();
        let spec = KernelSpec::parse(JSON)
            .unwrap()
            .with_program("/e/bin/python");
        rewrite(&kernelspec, &spec).unwrap();
        assert_eq!(fs_err::read_to_string(&cache).unwrap(), JSON);
        assert!(!path.is_symlink());
    }
}
