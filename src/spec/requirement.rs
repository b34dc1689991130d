//! One line of `dependencies`: text → [`MatchSpec`], or an objection in the
//! words of its author.
//!
//! The reading is rattler's, as lenient as conda's. What is added: things that
//! rattler lets pass and that can never be meant, mean something else to conda, or
//! would make a spec depend on the folder it is read in.

use rattler_conda_types::{MatchSpec, ParseMatchSpecError, ParseMatchSpecOptions};

use super::source::is_wild;

/// Why a text is no requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Objection {
    /// A few words, for the label under the place.
    pub(super) why: String,
    /// What to write instead.
    pub(super) help: &'static str,
    /// The part of the text that it is about; empty if it is all of it.
    pub(super) part: String,
}

/// Reads a requirement as conda reads it.
///
/// # Errors
/// The objection of rattler's reader or of this one.
pub(super) fn read_requirement(text: &str) -> Result<MatchSpec, Objection> {
    let spec = MatchSpec::from_str(text, ParseMatchSpecOptions::lenient())
        .map_err(|error| Objection::from(&error))?;
    if let Some(build) = &spec.build {
        let build = build.to_string();
        // `>=1,*.7.*` is a version to conda; rattler takes `.7.*` for the build.
        if build.contains([' ', '=', '<', '>', ',']) || build.starts_with('.') {
            return Err(Objection {
                why: "not a version and a build".to_owned(),
                help: HELP_VERSION,
                part: build,
            });
        }
    }
    let channel = spec.channel.as_ref();
    if channel.is_some_and(|channel| channel.name.as_deref() == Some("*")) {
        return Err(Objection {
            why: "a pattern, not a channel".to_owned(),
            help: "name the channel; a platform alone is written like `numpy[subdir=linux-64]`",
            part: "*".to_owned(),
        });
    }
    // rattler reads `./folder::name` relative to the folder of the process.
    if let Some(channel) = &spec.channel
        && channel.base_url.url().scheme() == "file"
        && !text.contains("file://")
        && !text.trim_start().starts_with('/')
        && !text.contains("channel=/")
    {
        return Err(Objection {
            why: "a channel in a relative folder".to_owned(),
            help: "write the channel as `file:///path::name`: a spec is read in many folders",
            part: String::new(),
        });
    }
    Ok(spec)
}

const HELP_VERSION: &str = "a version is written like `1.2.*`, `>=1.2,<2` or `==1.2.3`";
const HELP_BRACKETS: &str = "brackets hold conda's keys, as in `numpy[version='>=2', build='*cuda*']`; \
     pip's extras are separate packages in conda";

impl From<&ParseMatchSpecError> for Objection {
    fn from(error: &ParseMatchSpecError) -> Self {
        use ParseMatchSpecError as E;
        let (why, help) = match error {
            E::InvalidVersionAndBuild(_) => ("not a version", HELP_VERSION),
            E::InvalidVersionSpec(_) => ("", HELP_VERSION),
            E::InvalidBracket => ("the brackets hold no `key=value`", HELP_BRACKETS),
            E::InvalidBracketKey(_) | E::MultipleBracketSectionsNotAllowed => ("", HELP_BRACKETS),
            E::MissingPackageName => ("", "begin with the package's name, as in `numpy >=2`"),
            E::InvalidPackageNameMatcher(_) => (
                "not the name of a package",
                "a name has letters, digits, `-`, `_` and `.`; what pip installs goes below `- pip:`",
            ),
            E::OnlyExactPackageNameMatchersAllowedGlob(_)
            | E::OnlyExactPackageNameMatchersAllowedRegex(_) => (
                "a pattern, not a name",
                "name one package; a `*` belongs to its version",
            ),
            _ => (
                "",
                "write `name`, `name >=1.2`, `name=1.2=build` or `channel::name`",
            ),
        };
        let part = match error {
            E::InvalidVersionAndBuild(part)
            | E::InvalidBuildString(part)
            | E::InvalidBracketKey(part)
            | E::MultipleValueForKey(part)
            | E::OnlyExactPackageNameMatchersAllowedGlob(part)
            | E::OnlyExactPackageNameMatchersAllowedRegex(part) => part.clone(),
            _ => String::new(),
        };
        let why = if why.is_empty() {
            one_line(&error.to_string())
        } else {
            why.to_owned()
        };
        Self { why, help, part }
    }
}

/// A message of another crate may repeat the text, whatever is in it.
pub(super) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if is_wild(c) { ' ' } else { c })
        .take(120)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        read_requirement(text).map_or_else(|objection| objection.why, |spec| panic!("{spec}"))
    }

    #[test]
    fn words_behind_the_build_are_refused_though_rattler_takes_them() {
        assert_eq!(
            why("numpy==1.2 h_0 extra words"),
            "not a version and a build"
        );
        assert_eq!(why("py thon =="), "not a version and a build");
        // rattler would look for the build `=h0`, which no package has.
        assert_eq!(why("a 1.2 =h0"), "not a version and a build");
    }

    #[test]
    fn what_rattler_reads_otherwise_than_conda_is_refused() {
        assert_eq!(why("numpy >=1,*.7.*"), "not a version and a build");
        assert_eq!(why("*/win-32::numpy"), "a pattern, not a channel");
        assert!(read_requirement("numpy 1.7.*,!=1.7.2").is_ok());
    }

    #[test]
    fn a_channel_in_a_relative_folder_is_refused() {
        assert_eq!(why("./here::numpy"), "a channel in a relative folder");
        assert_eq!(why("../there::numpy >=2"), "a channel in a relative folder");
        assert!(read_requirement("file:///srv/channel::numpy").is_ok());
        assert!(read_requirement("https://example.org/channel::numpy").is_ok());
    }

    #[test]
    fn builds_of_all_forms_are_taken() {
        for text in [
            "a * *cuda*",
            "a=1=h_0",
            "a[build='^.*mkl$']",
            "a ==1.2.3 py39_1",
            "a >=1 h1_0",
        ] {
            assert!(
                read_requirement(text).is_ok(),
                "{text}: {:?}",
                read_requirement(text)
            );
        }
    }

    #[test]
    fn an_objection_names_the_guilty_part() {
        assert_eq!(read_requirement("numpy >>2").unwrap_err().part, ">>2");
        assert_eq!(read_requirement("numpy[foo=1]").unwrap_err().part, "foo");
    }
}
