//! One question to uv: requirements in, wheels and sources out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use fs_err as fs;
use rattler_conda_types::Subdir;
use rattler_lock::PypiDistributionData;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::brought;
use super::configured;
use super::error::PipError;
use super::pylock::{self, OfFolder, Unusable, WantedHashes};
use super::ways::{staged, ways};
use crate::lock::WheelSizes;

/// The program, and a Python for it to run itself by.
#[derive(Debug, Clone)]
pub struct Uv {
    /// uv.
    pub program: PathBuf,
    /// Any Python, which need not be the environment's.
    pub python: PathBuf,
}

/// What may be done with the source of a package, to learn what it needs. Which it is built
/// into a wheel is another matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sources<'a> {
    /// None is taken.
    Never,
    /// What its author wrote runs, by this Python, if it does not say its needs in a file.
    Run(&'a Path),
    /// Only that file is read: nothing of the platform runs here, and nothing that builds is
    /// there.
    Read,
}

/// What is asked.
pub struct Question<'a> {
    /// The lines of the `pip:` section.
    pub requirements: &'a [String],
    /// Those that only hold versions down.
    pub constraints: &'a [String],
    /// The hashes that files have to have.
    pub hashes: &'a WantedHashes,
    /// What of sources is allowed.
    pub sources: Sources<'a>,
    /// The folders of this machine that packages may be in.
    pub folders: OfFolder<'a>,
    /// The distributions that conda brings, by their normalised names.
    pub brought: &'a BTreeMap<String, String>,
    /// What is known of the extras of those: lines of their metadata.
    pub extras: &'a BTreeMap<String, Vec<String>>,
    /// The Python that they are for.
    pub python: &'a str,
    /// The platform that they are for.
    pub platform: Subdir,
    /// The C library of the node, or the macOS, as major and minor.
    pub system: Option<(u32, u32)>,
    /// What to keep where nothing forces a change (of an older lock).
    pub earlier: &'a [PypiDistributionData],
    /// Whether what they need is left out.
    pub alone: bool,
    /// Whether nothing may leave the machine.
    pub offline: bool,
    /// Where uv keeps what it learns.
    pub cache: &'a Path,
    /// Whether versions before a release count as others do.
    pub prereleases: bool,
    /// The user's environment, of which uv gets how indexes are reached.
    pub environment: &'a BTreeMap<String, String>,
    /// The same as the configuration says it, for what the environment does not say.
    pub ways: &'a [(&'static str, String)],
}

impl Uv {
    /// Makes a Python that has no packages.
    async fn empty(&self, folder: &Path, cache: &Path) -> Result<(), PipError> {
        let mut command = Command::new(&self.program);
        command
            .args([
                "venv",
                "--quiet",
                "--no-config",
                "--no-python-downloads",
                "--cache-dir",
            ])
            .arg(cache)
            .arg("--python")
            .args([&self.python, folder])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = command.output().await?;
        if output.status.success() {
            return Ok(());
        }
        let words = words(&String::from_utf8_lossy(&output.stderr));
        Err(PipError::Refused { words })
    }
}

/// uv's answer.
#[derive(Debug, Default)]
pub struct Answer {
    /// The wheels that are to be added to what conda brings, sorted by name.
    pub wheels: Vec<PypiDistributionData>,
    /// How large they are, as far as indexes say.
    pub sizes: WheelSizes,
    /// Extras that are asked for and that nothing is known of.
    pub lost: Vec<Lost>,
}

/// An extra of a distribution.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lost {
    /// The distribution.
    pub name: String,
    /// The extra.
    pub extra: String,
}

impl Question<'_> {
    /// Asks uv.
    pub async fn ask(&self, uv: &Uv) -> Result<Answer, PipError> {
        let folder = tempfile::tempdir()?;
        let wheels = folder.path().join("brought");
        fs::create_dir(&wheels)?;
        let mut constraints = brought::write(self.brought, self.extras, &wheels)?;
        for line in self.constraints {
            writeln!(constraints, "{line}").map_err(std::io::Error::other)?;
        }
        fs::write(folder.path().join("constraints.txt"), constraints)?;
        let mut lines = self.requirements.join("\n");
        lines.push('\n');
        fs::write(folder.path().join("requirements.in"), lines)?;
        // What uv finds there it prefers, as in a lock that it brings up to date.
        let answer = folder.path().join("pylock.toml");
        fs::write(&answer, self.preferences())?;
        let configured = configured::read(self.environment)?;
        let environment = configured.environment(self.environment);
        let mut command = self.command(uv, folder.path(), &environment).await?;
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that ends before it has read says why.
            drop(stdin.write_all(configured.uv().as_bytes()).await);
        }
        let output = child.wait_with_output().await?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return Err(self.failure(&said));
        }
        let answer = fs::read_to_string(answer)?;
        // Its paths begin at the folder that it is in.
        let of_folder = |path: &Path| (self.folders)(&folder.path().join(path));
        let read = pylock::read(&answer, self.hashes, &of_folder);
        let (wheels, sizes) = read.map_err(|unusable| self.unusable(unusable))?;
        Ok(Answer {
            wheels,
            sizes,
            lost: lost(&said),
        })
    }

    /// uv, asked; `folder` has what it reads and writes.
    async fn command(
        &self,
        uv: &Uv,
        folder: &Path,
        environment: &BTreeMap<String, String>,
    ) -> Result<Command, PipError> {
        let mut command = Command::new(&uv.program);
        command.current_dir(folder).env_clear();
        let mut python = uv.python.clone();
        if self.sources == Sources::Never {
            command.envs(ways(environment, self.ways));
        } else {
            let home = folder.join("home");
            fs::create_dir_all(home.join("tmp"))?;
            command.envs(staged(environment, self.ways, &home));
        }
        command
            .args(["pip", "compile", "requirements.in"])
            .args([
                "--color",
                "never",
                // What a file says may be a password.
                "--config-file",
                configured::PLACE,
            ])
            .args(["--no-progress", "--no-header"])
            .args(["--no-python-downloads", "--format", "pylock.toml"])
            .args(["--output-file", "pylock.toml"])
            .args([
                "--constraints",
                "constraints.txt",
                "--find-links",
                "brought",
            ])
            .args(["--python-version", self.python, "--python-platform"])
            .arg(self.platform_of_uv()?);
        match self.sources {
            Sources::Never => {
                command.arg("--no-build");
            }
            Sources::Run(of_environment) => of_environment.clone_into(&mut python),
            Sources::Read => {
                // One without packages, so that what builds is not there either.
                let empty = folder.join("empty");
                uv.empty(&empty, self.cache).await?;
                python = empty.join("bin/python");
                command.arg("--no-build-isolation");
            }
        }
        command
            .arg("--python")
            .arg(python)
            .arg("--cache-dir")
            .arg(self.cache)
            .args(self.offline.then_some("--offline"))
            .args(self.prereleases.then_some("--prerelease=allow"))
            .args(self.alone.then_some("--no-deps"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let (true, Some((major, minor))) = (self.platform.is_osx(), self.system) {
            command.env("MACOSX_DEPLOYMENT_TARGET", format!("{major}.{minor}"));
        }
        Ok(command)
    }

    fn unusable(&self, unusable: Unusable) -> PipError {
        match unusable {
            Unusable::NoWheel(packages) => PipError::NoWheel {
                packages,
                platform: self.platform,
                python: self.python.to_owned(),
            },
            Unusable::OtherHash(packages) => PipError::OtherHash { packages },
            Unusable::HashMissing(packages) => PipError::HashMissing { packages },
            Unusable::NoHash(package) => PipError::Answer {
                why: format!("the file of {package} has no SHA-256 or no place"),
            },
            Unusable::Unreadable(why) => PipError::Answer { why },
        }
    }

    /// The packages of the older lock, as a lock of uv's.
    fn preferences(&self) -> String {
        let mut text =
            "lock-version = \"1.0\"\ncreated-by = \"envspec\"\npackages = []\n".to_owned();
        if !self.earlier.is_empty() {
            text = text.replace("packages = []\n", "");
        }
        for package in self.earlier {
            let (name, version) = (&package.name, &package.version);
            write!(
                text,
                "[[packages]]\nname = \"{name}\"\nversion = \"{version}\"\n"
            )
            .expect("a text takes it");
        }
        text
    }

    /// What uv calls the platform: with the newest C library that it knows and the node
    /// has.
    fn platform_of_uv(&self) -> Result<String, PipError> {
        const LIBRARIES: [u32; 12] = [17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40];
        let machine = match self.platform {
            Subdir::Linux64 => "x86_64",
            Subdir::LinuxAarch64 => "aarch64",
            Subdir::Osx64 => return Ok("x86_64-apple-darwin".to_owned()),
            Subdir::OsxArm64 => return Ok("aarch64-apple-darwin".to_owned()),
            Subdir::Win64 => return Ok("x86_64-pc-windows-msvc".to_owned()),
            platform => return Err(PipError::Platform { platform }),
        };
        let minor = self.system.map_or(17, |(_, minor)| minor);
        let known = LIBRARIES.into_iter().rfind(|known| *known <= minor);
        Ok(format!("{machine}-manylinux_2_{}", known.unwrap_or(17)))
    }

    fn failure(&self, said: &str) -> PipError {
        let words = words(said);
        let offline = "Packages were unavailable because the network was disabled";
        if said.contains("Failed to fetch") || said.contains(offline) {
            return PipError::Network { words };
        }
        if said.contains("Failed to build") || said.contains("download and build") {
            let words = last_lines(&words);
            return match self.sources {
                Sources::Read => PipError::ForeignSource {
                    platform: self.platform,
                    words,
                },
                _ => PipError::Source { words },
            };
        }
        if ["401 Unauthorized", "403 Forbidden"]
            .iter()
            .any(|refusal| said.contains(refusal))
        {
            let how = "The index wants a password: put it into ~/.netrc (chmod 600), where uv and the download find it";
            let words = format!("{words}\n{how}");
            return PipError::Network { words };
        }
        if said.contains("unexpected argument") || said.contains("invalid value") {
            let why = "it is too old to know what it is asked".to_owned();
            return PipError::Answer { why };
        }
        if !said.contains("No solution found") {
            return PipError::Refused { words };
        }
        let lines = words.lines();
        // It speaks of an option of uv's, which is not the user's to change.
        let mut reasons: Vec<_> = lines
            .filter(|line| !line.contains("`--no-build`"))
            .collect();
        if words.contains(brought::LOCAL_OF_ALL) {
            reasons.push(
                "A version that ends in +conda is what conda installs: change its line, or pip's",
            );
        }
        let reasons = reasons.join("\n");
        PipError::NoSolution {
            platform: self.platform,
            reasons,
        }
    }
}

/// The end of what a build says.
fn last_lines(words: &str) -> String {
    const LINES: usize = 14;
    // What uv advises is how its own files are written.
    let words = words.split("\nhint: ").next().unwrap_or(words);
    let lines: Vec<&str> = words.lines().collect();
    let Some((first, rest)) = lines.split_first() else {
        return String::new();
    };
    let end = &rest[rest.len().saturating_sub(LINES)..];
    let cut = if end.len() < rest.len() { "…\n" } else { "" };
    format!("{first}\n{cut}{}", end.join("\n"))
        .trim_end()
        .to_owned()
}

/// The extras of what conda brings that uv misses.
fn lost(said: &str) -> Vec<Lost> {
    let of_line = |line: &str| {
        let rest = line.strip_prefix("warning: The package `")?;
        let (package, rest) = rest.split_once("` does not have an extra named `")?;
        let (name, version) = package.split_once("==")?;
        let version: pep440_rs::Version = version.parse().ok()?;
        brought::is_local(&version).then(|| Lost {
            name: name.to_owned(),
            extra: rest.trim_end().trim_end_matches('`').to_owned(),
        })
    };
    let mut all: Vec<Lost> = said.lines().filter_map(of_line).collect();
    all.sort();
    all.dedup();
    all
}

/// What uv says, without the words that envspec says itself and without what a terminal
/// would obey.
fn words(said: &str) -> String {
    // Before them it tells what it does, and what it only warns of.
    let begin = said.lines().position(|line| line.starts_with("error:"));
    let lines = said.lines().skip(begin.unwrap_or(0)).map(|line| {
        let line = line.trim();
        let line = line
            .strip_prefix("cause: ")
            .or(line.strip_prefix("error: "))
            .unwrap_or(line);
        line.chars().filter(|c| !c.is_control()).collect::<String>()
    });
    let told = |line: &String| !line.is_empty() && !line.starts_with("No solution found");
    lines.filter(told).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use rattler_conda_types::Subdir;

    use super::{PipError, Question, Sources, WantedHashes, lost, words};

    fn question(environment: &BTreeMap<String, String>, platform: Subdir) -> Question<'_> {
        static NOTHING: BTreeMap<String, String> = BTreeMap::new();
        static NO_HASHES: WantedHashes = WantedHashes {
            of: BTreeMap::new(),
            all: false,
        };
        static NO_EXTRAS: BTreeMap<String, Vec<String>> = BTreeMap::new();
        Question {
            requirements: &[],
            constraints: &[],
            hashes: &NO_HASHES,
            sources: Sources::Never,
            folders: &|_| None,
            brought: &NOTHING,
            extras: &NO_EXTRAS,
            alone: false,
            python: "3.12.4",
            platform,
            system: Some((2, 30)),
            earlier: &[],
            offline: false,
            cache: Path::new("/c"),
            prereleases: false,
            environment,
            ways: &[],
        }
    }

    #[test]
    fn the_newest_library_that_the_node_has_counts() {
        let none = BTreeMap::new();
        let of = |platform, system| {
            let asked = Question {
                system,
                ..question(&none, platform)
            };
            asked.platform_of_uv().ok()
        };
        let told = |text: &str| Some(text.to_owned());
        assert_eq!(
            of(Subdir::Linux64, Some((2, 30))),
            told("x86_64-manylinux_2_28")
        );
        assert_eq!(
            of(Subdir::Linux64, Some((2, 99))),
            told("x86_64-manylinux_2_40")
        );
        assert_eq!(
            of(Subdir::LinuxAarch64, Some((2, 12))),
            told("aarch64-manylinux_2_17")
        );
        assert_eq!(of(Subdir::OsxArm64, None), told("aarch64-apple-darwin"));
        assert_eq!(of(Subdir::LinuxPpc64le, None), None);
    }

    #[test]
    fn failures_are_told_apart_and_nothing_of_them_moves_a_cursor() {
        let none = BTreeMap::new();
        let asked = question(&none, Subdir::Linux64);
        let failure =
            asked.failure("error: No solution found when\n  cause: a\u{1b}[2J needs b==1+conda\n");
        let PipError::NoSolution { reasons, .. } = failure else {
            panic!("{failure:?}")
        };
        assert!(reasons.starts_with("a[2J needs b==1+conda\nA version that ends in +conda"));
        let failure =
            asked.failure("error: Request failed\n cause: Failed to fetch: `https://h/x`");
        assert!(matches!(failure, PipError::Network { .. }));
        assert!(matches!(
            asked.failure("error: Couldn't parse"),
            PipError::Refused { .. }
        ));
        assert_eq!(words("warning: c\nerror: a\n\n  cause: b"), "a\nb");
    }

    #[test]
    fn an_extra_of_what_conda_brings_that_is_not_known_is_seen() {
        let said = "warning: The package `httpx==0.27+conda` does not have an extra named `http2`\n\
                    warning: The package `rich==13.0` does not have an extra named `x`\n\
                    Resolved 2 packages in 4ms\n";
        let lost = lost(said);
        assert_eq!(lost.len(), 1);
        assert_eq!(
            (lost[0].name.as_str(), lost[0].extra.as_str()),
            ("httpx", "http2")
        );
    }
}
