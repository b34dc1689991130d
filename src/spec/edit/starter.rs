//! A first spec, with the words that its author may want next.

use super::list::written;
use crate::spec::model::EnvName;

/// What goes into a first spec.
#[derive(Debug, Clone)]
pub struct Starter<'a> {
    /// The environment's name.
    pub name: &'a EnvName,
    /// The channels, in the order of their priority.
    pub channels: &'a [String],
    /// Requirements.
    pub packages: &'a [String],
    /// Kernels of the catalogue.
    pub kernels: &'a [String],
    /// The site, if it is not to be this machine alone.
    pub site: Option<&'a str>,
}

impl Starter<'_> {
    /// The text of the spec. Whether each entry can stand there is for who reads it.
    pub fn text(&self) -> String {
        let mut lines = vec![
            "# One environment: envspec apply makes it real, envspec launch starts its Jupyter."
                .to_owned(),
            "# Every key of conda's environment.yml can stand here; conda ignores the others."
                .to_owned(),
            format!("name: {}", self.name),
        ];
        let channels: Vec<String> = self.channels.iter().map(|it| written(it, true)).collect();
        lines.push(format!("channels: [{}]", channels.join(", ")));
        list(&mut lines, "dependencies", self.packages);
        lines.push(
            "# Each brings its packages; envspec kernels list shows what there is.".to_owned(),
        );
        list(&mut lines, "kernels", self.kernels);
        if let Some(site) = self.site {
            lines.push("# The cluster: envspec doctor looks whether it can be reached.".to_owned());
            lines.push(format!("site: {}", written(site, false)));
            lines.push("# launch: {time: 8:00:00, memory: 16G, cpus: 4, gpus: 0}".to_owned());
        }
        lines.push(
            "# The node it will run on, if that is another machine than the one that installs:"
                .to_owned(),
        );
        lines.push("# target: {glibc: \"2.28\", cuda: \"12.4\"}".to_owned());
        lines.push("# The platforms that the lock is for, if not this machine's alone:".to_owned());
        lines.push("# platforms: [linux-64, linux-aarch64, osx-arm64]".to_owned());
        lines.join("\n") + "\n"
    }
}

fn list(lines: &mut Vec<String>, key: &str, items: &[String]) {
    if items.is_empty() {
        lines.push(format!("{key}: []"));
        return;
    }
    lines.push(format!("{key}:"));
    lines.extend(
        items
            .iter()
            .map(|item| format!("  - {}", written(item, false))),
    );
}

#[cfg(test)]
mod tests {
    use super::Starter;
    use crate::spec::{EnvName, SourceText, parse};

    fn texts(items: &[&str]) -> Vec<String> {
        items.iter().map(|item| (*item).to_owned()).collect()
    }

    #[test]
    fn a_starter_says_what_it_was_made_of_and_nothing_has_to_be_remarked() {
        for site in [None, Some("slurm")] {
            let (channels, packages) = (
                texts(&["conda-forge"]),
                texts(&["scipy >=1.12", "a[build='*b*']"]),
            );
            let kernels = texts(&["python", "r"]);
            let text = Starter {
                name: &EnvName::new("lab").unwrap(),
                channels: &channels,
                packages: &packages,
                kernels: &kernels,
                site,
            }
            .text();
            let (spec, notes) =
                parse(&SourceText::from_text("lab.yaml", text).unwrap(), None).unwrap();
            assert_eq!(notes, []);
            assert_eq!(spec.name.as_str(), "lab");
            let asked: Vec<&str> = spec
                .dependencies
                .iter()
                .map(|own| own.text.as_str())
                .collect();
            assert_eq!(asked, ["scipy >=1.12", "a[build='*b*']"]);
            let named: Vec<&str> = spec
                .kernels
                .iter()
                .map(|own| own.name.value.as_str())
                .collect();
            assert_eq!(named, ["python", "r"]);
            assert_eq!(spec.site.map(|at| at.value).as_deref(), site);
        }
    }

    #[test]
    fn what_could_leave_its_line_is_quoted_or_refused() {
        let name = EnvName::new("lab").unwrap();
        for hostile in [
            "a\nkernels: [x]",
            "a: b",
            "- a",
            "{a: b}",
            "a # b",
            "&x a",
            "\"a",
        ] {
            let packages = texts(&[hostile]);
            let text = Starter {
                name: &name,
                channels: &texts(&["c"]),
                packages: &packages,
                kernels: &[],
                site: None,
            }
            .text();
            let Ok(source) = SourceText::from_text("lab.yaml", text) else {
                continue;
            };
            if let Ok((spec, _)) = parse(&source, None) {
                assert!(spec.kernels.is_empty(), "{hostile:?}");
                assert_eq!(spec.dependencies.len(), 1, "{hostile:?}");
                assert_eq!(spec.dependencies[0].text, hostile.trim());
            }
        }
    }
}
