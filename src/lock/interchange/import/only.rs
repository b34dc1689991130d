//! What is for some of the platforms alone, in the words of a spec.
//!
//! A line for conda gets the comment that conda-lock and envspec read, and conda takes for
//! a comment. A line for pip gets a marker (PEP 508), which all of them read.

use std::collections::BTreeSet;

use rattler_conda_types::Subdir;

use super::Asked;
use crate::spec::words_for;

/// Some platforms.
pub(super) type Platforms = BTreeSet<Subdir>;

/// Those that a source is for where it does not tell.
const USUAL: [Subdir; 6] = [
    Subdir::Linux64,
    Subdir::LinuxAarch64,
    Subdir::LinuxPpc64le,
    Subdir::Osx64,
    Subdir::OsxArm64,
    Subdir::Win64,
];

/// The platforms that wishes are for.
pub(super) fn universe(platforms: &[Subdir]) -> Vec<Subdir> {
    if platforms.is_empty() {
        return USUAL.to_vec();
    }
    platforms.to_vec()
}

/// A requirement of conda for some of all platforms, as lines of a spec.
///
/// # Errors
/// What to say of it where no words of a spec mean these platforms.
pub(super) fn for_conda(text: &str, on: &Platforms, all: &[Subdir]) -> Result<Vec<Asked>, String> {
    if all.iter().all(|platform| on.contains(platform)) {
        return Ok(vec![Asked::plainly(text)]);
    }
    let words = words_for(on, all).ok_or_else(|| unsayable(text, on))?;
    let line = |word| Asked {
        selector: Some(word),
        ..Asked::plainly(text)
    };
    Ok(words.into_iter().map(line).collect())
}

/// A requirement of pip that has no marker yet, for some of all platforms.
///
/// # Errors
/// What to say of it where there are no such markers.
pub(super) fn for_pip(text: &str, on: &Platforms, all: &[Subdir]) -> Result<String, String> {
    if all.iter().all(|platform| on.contains(platform)) {
        return Ok(text.to_owned());
    }
    let mut terms = Vec::new();
    for system in ["linux", "darwin", "win32"] {
        let of_system = |platform: &&Subdir| system_of(**platform) == Some(system);
        let wanted: Vec<&Subdir> = on.iter().filter(of_system).collect();
        let is = format!("sys_platform == '{system}'");
        if wanted.is_empty() {
            continue;
        }
        if all.iter().filter(of_system).count() == wanted.len() {
            terms.push(is);
            continue;
        }
        for platform in wanted {
            let machine = machine_of(*platform).ok_or_else(|| unsayable(text, on))?;
            terms.push(format!("{is} and platform_machine == '{machine}'"));
        }
    }
    if on.iter().any(|platform| system_of(*platform).is_none()) || terms.is_empty() {
        return Err(unsayable(text, on));
    }
    let gap = if text.contains('@') { " " } else { "" };
    Ok(format!("{text}{gap}; {}", terms.join(" or ")))
}

fn unsayable(text: &str, on: &Platforms) -> String {
    let platforms: Vec<&str> = on.iter().map(|platform| platform.as_str()).collect();
    format!(
        "the wish for {text}: it is for {} alone, for which a spec has no words",
        platforms.join(", ")
    )
}

/// Python's `sys.platform`.
fn system_of(platform: Subdir) -> Option<&'static str> {
    if platform.is_linux() {
        Some("linux")
    } else if platform.is_osx() {
        Some("darwin")
    } else if platform.is_windows() {
        Some("win32")
    } else {
        None
    }
}

/// Python's `platform.machine()`.
fn machine_of(platform: Subdir) -> Option<&'static str> {
    Some(match platform {
        Subdir::Linux64 | Subdir::Osx64 => "x86_64",
        Subdir::LinuxAarch64 => "aarch64",
        Subdir::LinuxPpc64le => "ppc64le",
        Subdir::LinuxS390X => "s390x",
        Subdir::LinuxRiscv64 => "riscv64",
        Subdir::OsxArm64 => "arm64",
        Subdir::Win64 => "AMD64",
        Subdir::WinArm64 => "ARM64",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use pep508_rs::Requirement;
    use rattler_conda_types::Subdir::{Linux64, LinuxAarch64, NoArch, OsxArm64, Win64};

    use super::{Platforms, for_conda, for_pip};

    #[test]
    fn a_wish_of_pip_for_some_platforms_has_a_marker_that_every_reader_knows() {
        let all = [Linux64, LinuxAarch64, OsxArm64, Win64];
        for (text, on, wanted) in [
            ("a==1", &all[..], "a==1"),
            (
                "a==1",
                &[Linux64, LinuxAarch64],
                "a==1; sys_platform == 'linux'",
            ),
            (
                "a @ https://h/a-1-py3-none-any.whl",
                &[Linux64, OsxArm64],
                "a @ https://h/a-1-py3-none-any.whl ; sys_platform == 'linux' and \
                 platform_machine == 'x86_64' or sys_platform == 'darwin'",
            ),
        ] {
            let on: Platforms = on.iter().copied().collect();
            let line = for_pip(text, &on, &all).unwrap();
            assert_eq!(line, wanted);
            line.parse::<Requirement>().unwrap();
        }
        assert!(for_pip("a", &Platforms::from([NoArch]), &[Linux64, NoArch]).is_err());
    }

    #[test]
    fn a_wish_of_conda_for_some_platforms_is_as_many_lines_as_it_takes() {
        let all = [Linux64, LinuxAarch64, OsxArm64];
        let lines = for_conda("a 1.*", &Platforms::from([Linux64, OsxArm64]), &all).unwrap();
        let words: Vec<_> = lines.iter().map(|line| line.selector.as_deref()).collect();
        assert_eq!(words, [Some("osx"), Some("linux64")]);
        let everywhere = for_conda("a", &all.into_iter().collect(), &all).unwrap();
        assert_eq!(everywhere[0].selector, None);
    }
}
