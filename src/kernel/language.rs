//! What people call languages: a catalogue says `cpp`, who looks for a kernel `c++`.

/// Names that mean the same language. The first of each is only the first.
const SAME: [&[&str]; 17] = [
    &["c#", "csharp", "cs"],
    &["c++", "cpp", "cxx"],
    &["f#", "fsharp", "fs"],
    &["fortran", "f90"],
    &["go", "golang"],
    &["gp", "pari", "pari/gp"],
    &["javascript", "js", "node", "nodejs"],
    &["julia", "jl"],
    &["kotlin", "kt"],
    &["octave", "matlab"],
    &["powershell", "pwsh"],
    &["python", "py", "python3"],
    &["robotframework", "robot"],
    &["ruby", "rb"],
    &["rust", "rs"],
    &["sage", "sagemath"],
    &["typescript", "ts"],
];

/// Whether a language is the one that is asked for, under whatever name and in
/// whatever case. Octave answers to MATLAB's name, whose language it runs.
pub fn is_language(language: &str, wanted: &str) -> bool {
    let (language, wanted) = (language.to_lowercase(), wanted.trim().to_lowercase());
    let names = |same: &&&[&str]| same.contains(&language.as_str());
    language == wanted
        || SAME
            .iter()
            .find(names)
            .is_some_and(|same| same.contains(&wanted.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_known_by_the_names_that_people_type() {
        for (language, wanted) in [
            ("R", "r"),
            ("cpp", "c++"),
            ("c++", "CPP"),
            ("C#", "csharp"),
            ("javascript", "js"),
            ("PowerShell", "pwsh"),
            ("octave", "MATLAB"),
        ] {
            assert!(is_language(language, wanted), "{language} {wanted}");
        }
        for (language, wanted) in [
            ("c", "c++"),
            ("R", "rust"),
            ("javascript", "java"),
            ("go", ""),
        ] {
            assert!(!is_language(language, wanted), "{language} {wanted}");
        }
    }

    #[test]
    fn a_name_means_one_language() {
        let mut names: Vec<&str> = SAME.concat();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
