//! The text of a site's file → [`Site`], and what can be wrong with it.
//!
//! One error at a time: a site's file is written once, by one person, and its
//! first mistake usually explains the others.

use std::sync::Arc;

use miette::{Diagnostic, NamedSource, SourceSpan};
use serde_yaml::MessageFormatter as _;
use thiserror::Error;

use super::model::{Scheduler, Site};

/// What is wrong with a site, or with the name of one.
#[derive(Debug, Error, Diagnostic)]
pub enum SiteError {
    /// The file is no YAML, or not a site's.
    #[error("{file}:{line}: {message}")]
    Invalid {
        /// The file as the user knows it.
        file: String,
        /// The line, counted from 1; 0 when it is unknown.
        line: u64,
        /// What is wrong and what is allowed there.
        message: String,
        /// The text, for the excerpt.
        #[source_code]
        text: Arc<NamedSource<String>>,
        /// The place.
        #[label("here")]
        span: Option<SourceSpan>,
        /// What to do.
        #[help]
        help: String,
    },
    /// No site has this name.
    #[error("unknown site `{name}`")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The nearest name, and all of them.
        #[help]
        help: String,
    },
}

/// Reads a site; `stem` is the file's name without its extension, which must
/// be the site's name, so that the list of names needs no parsing.
pub(super) fn site(file: &str, stem: &str, text: &str) -> Result<Site, SiteError> {
    let invalid = |line: u64, span: Option<SourceSpan>, message: String| SiteError::Invalid {
        file: file.to_owned(),
        line,
        message,
        text: Arc::new(NamedSource::new(file, text.to_owned())),
        span,
        help: "envs/sites/bih.yaml of envspec shows every key".to_owned(),
    };
    let site: Site = serde_yaml::from_str(text).map_err(|error| {
        let location = error.location();
        let line = location.map_or(0, |place| place.line());
        let span = location.and_then(|place| {
            let offset = usize::try_from(place.span().byte_offset()?).ok()?;
            let len = usize::try_from(place.span().byte_len()?).ok()?;
            Some(SourceSpan::from((offset, len)))
        });
        invalid(line, span, first_line(&error))
    })?;
    if site.name.as_str() != stem {
        let message = format!("the site's name is `{}`, the file's is `{stem}`", site.name);
        return Err(invalid(line_of(text, "name:"), None, message));
    }
    if let Some(path) = site
        .storage
        .shared
        .iter()
        .find(|path| !path.as_str().starts_with('/'))
    {
        let message = format!("the shared root `{path}` is no absolute path");
        return Err(invalid(line_of(text, "shared:"), None, message));
    }
    if matches!(site.scheduler, Scheduler::Slurm(_)) && site.ssh.hops.is_empty() {
        let message =
            "a site with a scheduler needs `ssh.hops`: its login node at least".to_owned();
        return Err(invalid(line_of(text, "scheduler:"), None, message));
    }
    if let Scheduler::Slurm(slurm) = &site.scheduler
        && let (Some(time), Some(longest)) = (slurm.defaults.time, slurm.longest())
        && time > longest
    {
        let message = "the default time is longer than every partition's".to_owned();
        return Err(invalid(line_of(text, "defaults:"), None, message));
    }
    Ok(site)
}

/// The error's own sentence, without the excerpt and the place that the parser
/// appends: [`SiteError`] shows both itself.
fn first_line(error: &serde_yaml::Error) -> String {
    let text = serde_yaml::DefaultMessageFormatter.format_message(error.without_snippet());
    text.lines().next().unwrap_or_default().to_owned()
}

fn line_of(text: &str, key: &str) -> u64 {
    let before = text
        .lines()
        .take_while(|line| !line.trim_start().starts_with(key))
        .count();
    u64::try_from(before).map_or(0, |before| before + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        site("sites/x.yaml", "x", text).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_what_is_allowed() {
        let said = message("name: x\ntitle: X\nscheduler: none\nstorge: {}\n");
        assert!(said.starts_with("sites/x.yaml:4: "), "{said}");
        assert!(
            said.contains("storge") && said.contains("storage"),
            "{said}"
        );
    }

    #[test]
    fn a_bad_value_deep_inside_is_placed_on_its_own_line() {
        let said = message(
            "name: x\ntitle: X\nssh:\n  hops:\n    - hosts: [good.org]\n    - hosts:\n        - \"a b\"\nscheduler: none\n",
        );
        assert!(said.starts_with("sites/x.yaml:7: "), "{said}");
        assert!(said.contains("a b") && said.contains("host name"), "{said}");
    }

    #[test]
    fn times_and_sizes_say_how_they_are_written() {
        let said =
            message("name: x\ntitle: X\nscheduler:\n  slurm:\n    defaults:\n      time: 8h\n");
        assert!(
            said.starts_with("sites/x.yaml:6: ") && said.contains("8:00:00"),
            "{said}"
        );
        let said = message(
            "name: x\ntitle: X\nscheduler:\n  slurm:\n    defaults:\n      memory: 16 GB\n",
        );
        assert!(
            said.starts_with("sites/x.yaml:6: ") && said.contains("16G"),
            "{said}"
        );
    }

    #[test]
    fn an_unknown_scheduler_names_the_known_ones() {
        let said = message("name: x\ntitle: X\nscheduler: pbs\n");
        assert!(said.starts_with("sites/x.yaml:3: "), "{said}");
        assert!(said.contains("pbs") && said.contains("slurm"), "{said}");
    }

    #[test]
    fn a_duplicate_key_an_empty_file_and_a_tab_are_errors_and_no_panic() {
        for text in [
            "name: x\nname: x\n",
            "",
            "\t",
            "[",
            "name: x\n\ttitle: X\n",
            "\u{0}",
        ] {
            message(text);
        }
    }

    #[test]
    fn a_name_that_is_not_the_files_is_an_error() {
        let said = message("# a comment\nname: y\ntitle: X\nscheduler: none\n");
        assert_eq!(
            said,
            "sites/x.yaml:2: the site's name is `y`, the file's is `x`"
        );
    }

    #[test]
    fn a_shared_root_is_an_absolute_path() {
        let said = message("name: x\ntitle: X\nscheduler: none\nstorage:\n  shared: [~/envspec]\n");
        assert!(said.starts_with("sites/x.yaml:5: "), "{said}");
        assert!(said.contains("absolute"), "{said}");
        let text = "name: x\ntitle: X\nscheduler: none\nstorage: {shared: [/sw/envspec]}\n";
        let read = site("sites/x.yaml", "x", text).unwrap();
        assert_eq!(read.storage.shared[0].as_str(), "/sw/envspec");
    }

    #[test]
    fn a_hop_without_a_host_is_an_error() {
        let said = message("name: x\ntitle: X\nssh: {hops: [{hosts: []}]}\nscheduler: none\n");
        assert!(said.contains("at least one host"), "{said}");
    }
}
