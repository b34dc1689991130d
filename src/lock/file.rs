//! The file beside the spec: reading it, writing it, the same bytes for the
//! same content.

use rattler_conda_types::{Channel, GenericVirtualPackage, RepoDataRecord, Subdir};
use rattler_lock::{
    Environment, LockFile, LockFileBuilder, ParseCondaLockError, Platform, PlatformData,
    PlatformName, PypiDistributionData, PypiPackageData,
};

use super::changes::PackageId;
use super::error::LockError;
use super::inputs::{Inputs, POST_LINK};
use super::nix::{ANSWERS, LockedNix};
use super::sizes::WheelSizes;
use super::wheel;
use crate::spec::{PANICKED, careful, secret_in, secret_in_channel, shown};

/// The line that opens the inputs; the number is their format's.
const INPUTS: &str = "# envspec-inputs: 1";
/// Each line of the inputs begins so.
pub(super) const INPUT: &str = "#   ";

/// The solution of one prefix for one platform.
#[derive(Debug, Clone)]
pub struct PlatformPackages {
    /// The kernel whose own prefix it is; `None` for the environment's.
    pub isolated: Option<String>,
    /// The platform.
    pub platform: Subdir,
    /// What it was solved for.
    pub virtual_packages: Vec<GenericVirtualPackage>,
    /// The packages.
    pub records: Vec<RepoDataRecord>,
    /// What the `pip:` section adds.
    pub pip: Vec<PypiDistributionData>,
}

/// A lock's text, not yet read. Its inputs can be told from the head alone,
/// in microseconds; [`LockText::read`] parses the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockText {
    name: String,
    text: String,
}

impl LockText {
    /// `name` is what messages call the file.
    pub fn new(name: String, text: String) -> Self {
        Self { name, text }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The lines of the inputs that the lock was made from; `None` if it was
    /// not written by envspec.
    pub fn inputs(&self) -> Option<Vec<&str>> {
        self.lines_of(INPUTS)
    }

    /// The lines of the comment that a line opens.
    pub(super) fn lines_of(&self, opening: &str) -> Option<Vec<&str>> {
        let mut lines = self.text.lines().skip_while(|line| *line != opening);
        lines.next()?;
        Some(lines.map_while(|line| line.strip_prefix(INPUT)).collect())
    }

    /// The packages whose post-link scripts it vouches for.
    pub fn post_link(&self) -> impl Iterator<Item = &str> {
        let lines = self.inputs().into_iter().flatten();
        lines.filter_map(|line| line.strip_prefix(POST_LINK))
    }

    /// Reads the lock.
    pub fn read(&self) -> Result<Lock, LockError> {
        let unreadable = |source| LockError::Unreadable {
            name: self.name.clone(),
            source: Box::new(source),
        };
        let file = careful(|| LockFile::from_str_with_base_directory(&self.text, None))
            .ok_or_else(|| {
                let panicked = std::io::Error::other(PANICKED);
                unreadable(ParseCondaLockError::IoError(panicked))
            })?
            .map_err(unreadable)?;
        Ok(Lock {
            name: self.name.clone(),
            file,
            sizes: self.wheel_sizes(),
        })
    }
}

/// The records of an isolated kernel's prefix, or of the environment's own.
pub type PrefixRecords = (Option<String>, Vec<RepoDataRecord>);

/// A lock, read.
#[derive(Debug, Clone)]
pub struct Lock {
    name: String,
    file: LockFile,
    sizes: WheelSizes,
}

impl Lock {
    /// What messages call the file.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The file as rattler knows it.
    pub(super) fn file(&self) -> &LockFile {
        &self.file
    }

    /// The packages of pip in the environment's prefix, or in an isolated kernel's, for a
    /// platform.
    pub fn pypi(&self, isolated: Option<&str>, platform: Subdir) -> Vec<PypiPackageData> {
        let environment = self.file.environment(environment_name(isolated));
        let locked = self.file.platform(&platform.to_string());
        let packages = environment.zip(locked).and_then(|(environment, locked)| {
            let packages = environment.packages(locked)?;
            Some(
                packages
                    .filter_map(|package| package.as_pypi().cloned())
                    .collect(),
            )
        });
        packages.unwrap_or_default()
    }

    /// Writes the lock of a solution.
    pub fn render(
        spec_name: &str,
        inputs: &Inputs,
        channels: &[Channel],
        solution: &[PlatformPackages],
        nix: &[LockedNix],
    ) -> Result<String, LockError> {
        let rules = "platforms are distinct and declared before their packages";
        let mut platforms: Vec<PlatformData> = solution
            .iter()
            .map(|part| PlatformData {
                name: PlatformName::from(&part.platform),
                subdir: part.platform,
                virtual_packages: part.virtual_packages.iter().map(virtual_text).collect(),
            })
            .collect();
        platforms.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        platforms.dedup_by(|a, b| a.name.as_str() == b.name.as_str());
        let mut builder = LockFileBuilder::new()
            .with_platforms(platforms)
            .expect(rules);
        for part in solution {
            let environment = environment_name(part.isolated.as_deref());
            let channels = channels.iter();
            let channels = channels.map(|channel| channel.base_url.url().as_str());
            builder.set_channels(environment, channels);
            let platform = part.platform.to_string();
            builder
                .add_environment_platform(environment, &platform)
                .expect(rules);
            for record in &part.records {
                builder
                    .add_conda_package(environment, &platform, record.clone().into())
                    .expect(rules);
            }
            for package in &part.pip {
                builder
                    .add_pypi_package(environment, &platform, package.clone().into())
                    .expect(rules);
            }
        }
        let body = builder.finish().render_to_string()?;
        let mut head = format!(
            "# Written by envspec from {spec_name}: commit both, edit only the spec.\n{INPUTS}\n"
        );
        for line in inputs.lines() {
            head.push_str(INPUT);
            head.push_str(&line);
            head.push('\n');
        }
        if !nix.is_empty() {
            head.push_str(ANSWERS);
            head.push('\n');
        }
        for locked in nix {
            head.push_str(INPUT);
            head.push_str(&locked.line());
            head.push('\n');
        }
        Ok(head + &body)
    }

    /// All packages for a platform, as people compare them.
    pub fn packages(&self, platform: Subdir) -> Result<Vec<(PackageId, u64)>, LockError> {
        let mut all = Vec::new();
        for (isolated, records) in self.prefixes(platform)? {
            for record in records {
                let mut package = PackageId::from(&record);
                package.isolated.clone_from(&isolated);
                all.push((package, record.package_record.size.unwrap_or(0)));
            }
        }
        Ok(all)
    }

    /// The records of each prefix for a platform: the environment's own, then those of
    /// isolated kernels by their names.
    pub fn prefixes(&self, platform: Subdir) -> Result<Vec<PrefixRecords>, LockError> {
        let mut prefixes = vec![(None, self.records(None, platform)?)];
        for (name, _) in self.file.environments() {
            // Another tool's may be for other platforms.
            if name != rattler_lock::DEFAULT_ENVIRONMENT_NAME
                && let Ok(records) = self.records(Some(name), platform)
            {
                prefixes.push((Some(name.to_owned()), records));
            }
        }
        Ok(prefixes)
    }

    /// The records of the environment's prefix, or of an isolated kernel's, for a
    /// platform, sorted by name, the wheels of the `pip:` section among them; every one
    /// has a checksum.
    pub fn records(
        &self,
        isolated: Option<&str>,
        platform: Subdir,
    ) -> Result<Vec<RepoDataRecord>, LockError> {
        let mut records = self.conda_records(isolated, platform)?;
        let names = records.iter().map(|record| &record.package_record.name);
        let taken = names.map(|name| name.as_normalized().to_owned()).collect();
        let python = wheel::python(&records);
        for package in self.pip(isolated, platform)? {
            let record = wheel::record(&package, &taken, python.as_ref());
            let record = record.ok_or_else(|| LockError::NoWheel {
                name: self.name.clone(),
                package: package.name.to_string(),
            })?;
            let record = wheel::of_size(record, self.sizes.of(&package));
            self.refuse_odd(&record)?;
            records.push(record);
        }
        records.sort_by(|a, b| a.package_record.name.cmp(&b.package_record.name));
        Ok(records)
    }

    /// Refuses what would lead out of a folder, or move a terminal's cursor.
    fn refuse_odd(&self, record: &RepoDataRecord) -> Result<(), LockError> {
        let package = &record.package_record;
        let name = package.name.as_normalized();
        let build = package.build.to_string();
        if [name, &build, &package.subdir].into_iter().all(is_plain) && !name.is_empty() {
            return Ok(());
        }
        Err(LockError::OddName {
            name: self.name.clone(),
            package: shown(&format!("{name} {build}")),
        })
    }

    /// Those of conda alone.
    pub fn conda_records(
        &self,
        isolated: Option<&str>,
        platform: Subdir,
    ) -> Result<Vec<RepoDataRecord>, LockError> {
        let (environment, locked) = self.part(isolated, platform)?;
        let mut records = environment
            .conda_repodata_records(locked)
            .map_err(|source| LockError::Unreadable {
                name: self.name.clone(),
                source: Box::new(ParseCondaLockError::IoError(std::io::Error::other(source))),
            })?
            .ok_or_else(|| self.no_platform(platform))?;
        for record in &records {
            self.refuse_odd(record)?;
            let package = &record.package_record;
            if package.sha256.is_none() && package.md5.is_none() {
                return Err(LockError::NoHash {
                    name: self.name.clone(),
                    package: package.name.as_normalized().to_owned(),
                });
            }
            if let Some(url) = secret_in_channel(&record.url) {
                return Err(self.secret(url));
            }
        }
        records.sort_by(|a, b| a.package_record.name.cmp(&b.package_record.name));
        Ok(records)
    }

    /// Those of them that are whole archives with a version, as a lock of envspec's has
    /// them all.
    pub fn pip(
        &self,
        isolated: Option<&str>,
        platform: Subdir,
    ) -> Result<Vec<PypiDistributionData>, LockError> {
        let packages = self.pypi(isolated, platform).into_iter();
        let archive = |package: PypiPackageData| {
            let name = package.name().to_string();
            package.into_wheel().ok_or_else(|| LockError::NoWheel {
                name: self.name.clone(),
                package: name,
            })
        };
        let packages: Vec<PypiDistributionData> =
            packages.map(archive).collect::<Result<_, _>>()?;
        let mut places = packages.iter().map(|package| package.location.to_string());
        match places.find_map(|place| secret_in(&place)) {
            Some(url) => Err(self.secret(url)),
            None => Ok(packages),
        }
    }

    fn secret(&self, url: String) -> LockError {
        let name = self.name.clone();
        LockError::Secret { name, url }
    }

    /// The environment of a prefix, and the platform as the file knows it.
    fn part(
        &self,
        isolated: Option<&str>,
        platform: Subdir,
    ) -> Result<(Environment<'_>, Platform<'_>), LockError> {
        let environment = environment_name(isolated);
        let environment = self.file.environment(environment).ok_or_else(|| {
            isolated.map_or_else(
                || self.no_platform(platform),
                |kernel| LockError::NoPrefix {
                    name: self.name.clone(),
                    kernel: kernel.to_owned(),
                },
            )
        })?;
        let locked = self.file.platform(&platform.to_string());
        Ok((
            environment,
            locked.ok_or_else(|| self.no_platform(platform))?,
        ))
    }

    fn no_platform(&self, platform: Subdir) -> LockError {
        LockError::NoPlatform {
            name: self.name.clone(),
            platform,
        }
    }
}

/// Whether a part of a package's file name has only what conda allows there
/// (CEP 26), and a wheel's.
fn is_plain(part: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.+!".contains(c);
    part.chars().all(allowed) && ![".", ".."].contains(&part)
}

/// What the lock calls a prefix. No isolated kernel has the default's name.
fn environment_name(isolated: Option<&str>) -> &str {
    isolated.unwrap_or(rattler_lock::DEFAULT_ENVIRONMENT_NAME)
}

/// `__glibc=2.36`, with the build string where there is one to tell.
fn virtual_text(package: &GenericVirtualPackage) -> String {
    let build = package.build_string.to_string();
    let name = package.name.as_normalized();
    if build == "0" || build.is_empty() {
        format!("{name}={}", package.version)
    } else {
        format!("{name}={}={build}", package.version)
    }
}

#[cfg(test)]
mod tests {
    use super::LockText;

    fn inputs_of(text: &str) -> Option<Vec<String>> {
        LockText::new("x.lock".to_owned(), text.to_owned())
            .inputs()
            .map(|lines| lines.into_iter().map(str::to_owned).collect())
    }

    #[test]
    fn the_inputs_end_with_the_comment_that_holds_them() {
        let text = "# words\n# envspec-inputs: 1\n#   a\n#   b\nversion: 7\n#   c\n";
        assert_eq!(inputs_of(text).unwrap(), ["a", "b"]);
    }

    #[test]
    fn the_kernels_from_nix_stand_behind_the_inputs_and_are_none_of_them() {
        let text =
            "# envspec-inputs: 1\n#   a\n# envspec-nix: 1\n#   linux-64 k /s/p i\nversion: 7\n";
        assert_eq!(inputs_of(text).unwrap(), ["a"]);
        let locked = LockText::new("x.lock".to_owned(), text.to_owned()).nix();
        assert_eq!(locked.len(), 1);
        assert_eq!(
            (locked[0].store_path.as_str(), locked[0].pinned.as_str()),
            ("/s/p", "i")
        );
    }

    #[test]
    fn a_lock_of_another_tool_has_no_inputs() {
        assert_eq!(inputs_of("version: 7\n"), None);
        assert_eq!(inputs_of("# envspec-inputs: 99\n#   a\n"), None);
    }
}
