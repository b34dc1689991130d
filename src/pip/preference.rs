//! Which of several wheels of one version is taken.

/// How well a wheel fits, of those that fit: one for this very Python before one for its
/// stable ABI before one for any; of a newer Python's ABI before an older's; of a newer C
/// library's before an older's, for it may use more of it (the order of PEP 425's
/// `packaging.tags`). A build number decides last, and then the name, so that the same
/// wheels give the same lock in whatever order they are listed.
pub(super) fn preference(file: &str) -> (u8, u32, u32, String) {
    let stem = file.trim_end_matches(".whl");
    let mut tags = stem.rsplit('-');
    let (platform, abi, python) = (
        tags.next().unwrap_or_default(),
        tags.next().unwrap_or_default(),
        tags.next().unwrap_or_default(),
    );
    let kind = match abi {
        "none" if platform == "any" => 0,
        "none" => 1,
        "abi3" => 2,
        _ => 3,
    };
    let minor = python
        .split('.')
        .filter_map(|tag| tag.strip_prefix("cp3").or(tag.strip_prefix("py3")))
        .filter_map(|minor| minor.parse().ok())
        .max()
        .unwrap_or(0);
    let library = platform.split('.').map(library).max().unwrap_or(0);
    (kind, minor, library, file.to_owned())
}

/// The C library, or the system, that a platform's tag asks for, as a number that grows
/// with it.
fn library(tag: &str) -> u32 {
    let mut words = tag.split('_');
    match words.next() {
        Some("manylinux1") => 5,
        Some("manylinux2010") => 12,
        Some("manylinux2014") => 17,
        // manylinux_2_28_x86_64, macosx_11_0_arm64
        Some("manylinux") => words.nth(1).and_then(|word| word.parse().ok()).unwrap_or(0),
        Some("macosx") => words.next().and_then(|word| word.parse().ok()).unwrap_or(0),
        _ => 0,
    }
}
